"""System checks: a bad configuration stops `manage.py`, the workers and the web processes, with an id."""

import base64
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, register
from django.core.exceptions import ImproperlyConfigured

from tenants import oauth

_RUN = "Run `make run` once, which makes it under GATEWAY_DATA, or set it in the environment (see .env.example)."


@register()
def required_settings(**kwargs: Any) -> list[Error]:
    """Name each variable that has no default and is not set (ocpi.E001)."""
    names = ["SECRET_KEY", "FIELD_KEYS", "TOKEN_PEPPER", "SIGNING_KEYS", "REDIS_URL"]
    missing = [name for name in names if not _value(name)]
    if not settings.HAS_SERVERS and not _names_a_server(settings.DATABASES["default"]):
        missing.append("DATABASE_URL")
    return [Error(f"{name} is not set.", hint=_RUN, id="ocpi.E001") for name in missing]


def _value(name: str) -> Any:
    try:
        return getattr(settings, name)
    except ImproperlyConfigured:  # Django's own way to say that SECRET_KEY is empty
        return None


def _names_a_server(database: dict[str, Any]) -> bool:
    return bool(database.get("HOST") or database.get("OPTIONS", {}).get("host"))


@register()
def usable_keys(**kwargs: Any) -> list[Error]:
    """Try every key once (ocpi.E002, ocpi.E003)."""
    problems = []
    for entry in settings.FIELD_KEYS:
        kid, _, key = entry.partition(":")
        try:
            is_good = len(base64.b64decode(key, validate=True)) == 32 and kid.isalnum()
        except ValueError:
            is_good = False
        if not is_good:
            problems.append(Error(f"FIELD_KEYS: key {kid!r} is not <kid>:<base64 of 32 bytes>.", id="ocpi.E002"))
    try:
        oauth.signing_keys()
    except Exception as error:  # whatever the key library makes of it
        problems.append(Error(f"SIGNING_KEYS: {error}", hint="<kid>:<base64 of a PKCS#8 P-256 key>", id="ocpi.E003"))
    return problems


@register()
def public_url(**kwargs: Any) -> list[Error]:
    """Demand a plain origin (ocpi.E004): Link headers and NDW's URLs are built from it."""
    parts = urlsplit(settings.PUBLIC_URL)
    if settings.PUBLIC_URL and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path):
        return [Error("PUBLIC_URL must be an origin such as https://gateway.example.", id="ocpi.E004")]
    return []
