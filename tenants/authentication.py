"""Turn the Authorization header into a credential: `request.auth` is a Token or an OAuthClient.

Which of the two doors it opens, and for which party, the views decide; here an unknown, revoked or expired credential, or
one of an inactive tenant, is refused alike.
"""

import base64
import binascii
import re

from django.db import connection
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from tenants import limits, oauth, remote, secrets, sql
from tenants.models import Credential, Tenant, Token

LONGEST = 4096  # a header longer than any of our credentials is refused before any work
_HEADER = re.compile(r"([A-Za-z]+) (\S+)")

# Written out: every upload and every pull asks this, and composing it from a QuerySet costs as much as storing a Location.
_TOKEN_COLUMNS = [field.attname for field in Token._meta.concrete_fields]
_TENANT_COLUMNS = [field.attname for field in Tenant._meta.concrete_fields]
_FIND = f"""
    SELECT {", ".join(f"token.{name}" for name in _TOKEN_COLUMNS)}, {", ".join(f"tenant.{name}" for name in _TENANT_COLUMNS)}
    FROM tenants_token token LEFT JOIN tenants_tenant tenant ON tenant.id = token.tenant_id
    WHERE token.digest = ANY (%s) AND token.revoked_at IS NULL
      AND (token.expires_at IS NULL OR token.expires_at > clock_timestamp()) AND (tenant.id IS NULL OR tenant.is_active)
    LIMIT 2
"""
_FIND_TENANT = f"""
    SELECT {", ".join(_TENANT_COLUMNS)} FROM tenants_tenant WHERE country_code = %s AND party_id = %s AND is_active
"""


class _HeaderAuthentication(BaseAuthentication):
    """Read `Authorization: <scheme> <value>`."""

    schemes: tuple[str, ...] = ("token",)

    def authenticate(self, request: Request) -> tuple[Credential, Credential]:
        """Return (credential, credential). Raises AuthenticationFailed (401) for all else, also for no header."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        match = _HEADER.fullmatch(header) if len(header) <= LONGEST else None
        if match is None or match[1].lower() not in self.schemes:
            raise AuthenticationFailed("An Authorization header with a valid credential is needed.")
        address = remote.address(request)
        if match[2] not in _let_in and (wait_s := limits.failure_wait_s(address)):
            raise Throttled(wait_s, "Too many credentials from this address were refused.")
        found = find_token(match[2]) if match[1].lower() == "token" else oauth.find_client(match[2])
        if found is None:
            limits.note_failure(address)
            raise AuthenticationFailed("The credential is not valid.")
        _remember(match[2])
        found.touch()
        return found, found

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme, which makes DRF answer 401."""
        return ", ".join(scheme.title() for scheme in self.schemes)


# The last ones that were valid here: they still have to be, but are looked up whatever their address has done.
_let_in: dict[str, None] = {}
_MOST_LET_IN = 1000


def _remember(value: str) -> None:
    if value not in _let_in:
        if len(_let_in) >= _MOST_LET_IN:
            _let_in.clear()
        _let_in[value] = None


class UploadToken(_HeaderAuthentication):
    """CPO, OCPI Receiver interface: `Authorization: Token …`."""


class PullToken(_HeaderAuthentication):
    """NDW, OCPI Sender interface: `Authorization: Token …` or `Authorization: Bearer <JWT>`."""

    schemes = ("token", "bearer")


def find_token(value: str) -> Token | None:
    """Return the live token a header value stands for, sent raw or in Base64, with or without a newline inside.

    Source: OCPI 2.2.1 transport_and_format, "Authorization header"; protocol §2.5.
    """
    digests = [secrets.digest(candidate) for candidate in _candidates(value)]
    rows = sql.ask(_FIND, [digests]).fetchall()
    if len(rows) != 1:
        return None
    row, width = rows[0], len(_TOKEN_COLUMNS)
    token = Token.from_db(connection.alias, _TOKEN_COLUMNS, row[:width])
    token.tenant = Tenant.from_db(connection.alias, _TENANT_COLUMNS, row[width:]) if token.tenant_id else None
    return token


def find_tenant(country_code: str, party_id: str) -> Tenant | None:
    """Return the active tenant of a party, in any case."""
    row = sql.run(_FIND_TENANT, [country_code.upper(), party_id.upper()]).fetchone()
    return Tenant.from_db(connection.alias, _TENANT_COLUMNS, row) if row else None


def _candidates(value: str) -> set[str]:
    try:
        padded = value + "=" * (-len(value) % 4)
        return {value, base64.b64decode(padded, validate=True).decode().rstrip("\r\n")}
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return {value}
