"""Encrypt what must be readable again (NDW secrets) and digest what must not (our own tokens).

A ciphertext reads `v1.<kid>.<base64 of nonce + AES-256-GCM>` and is bound to the row it was made for, so that it cannot be
moved to another tenant's row. `FIELD_KEYS` is the key ring, newest first: the first encrypts, all decrypt.
"""

import base64
import hashlib
import hmac
import os
import secrets
import string

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_ALPHABET = string.ascii_letters + string.digits


class Undecryptable(Exception):
    """No key of FIELD_KEYS opens this value, or it was made for another row."""


def _ring() -> dict[str, AESGCM]:
    pairs = (entry.split(":", 1) for entry in settings.FIELD_KEYS)
    return {kid: AESGCM(base64.b64decode(key)) for kid, key in pairs}


def encrypt(plain: str, bound_to: str) -> str:
    """Return the ciphertext of `plain`; only the same `bound_to` (model, field, row) opens it."""
    kid, key = next(iter(_ring().items()))
    nonce = os.urandom(12)
    sealed = nonce + key.encrypt(nonce, plain.encode(), bound_to.encode())
    return f"v1.{kid}.{base64.b64encode(sealed).decode()}"


def is_newest(sealed: str) -> bool:
    """Return True for a ciphertext of the first key."""
    return sealed.startswith(f"v1.{next(iter(_ring()))}.")


def decrypt(sealed: str, bound_to: str) -> str:
    """Return the plain text. Raises Undecryptable."""
    try:
        _, kid, payload = sealed.split(".", 2)
        raw = base64.b64decode(payload)
        return _ring()[kid].decrypt(raw[:12], raw[12:], bound_to.encode()).decode()
    except (ValueError, KeyError, InvalidTag) as error:
        raise Undecryptable(f"no key opens the value of {bound_to}") from error


def new_token(purpose: str) -> tuple[str, str]:
    """Return a new credential and the part of it that may be seen: `gw-u.4fZ1c9Qa`, then 43 letters and digits more.

    The dash and dots are outside the Base64 alphabet, so that the raw and the encoded form of a token (OCPI sends it
    encoded, many peers do not) can never be confused.  Source: protocol §2.5.
    """
    prefix = f"gw-{purpose[0].lower()}." + _random(8)
    return f"{prefix}.{_random(43)}", prefix


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def digest(credential: str) -> str:
    """Return the keyed digest under which a credential is stored and looked up (64 hex digits)."""
    return hmac.new(settings.TOKEN_PEPPER.encode(), credential.encode(), hashlib.sha256).hexdigest()
