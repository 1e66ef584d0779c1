"""OAuth2 client credentials for NDW's pull: issue short access tokens (Authlib) and check them (joserfc).

Access tokens are JWTs of RFC 9068 signed with ES256 by the first of SIGNING_KEYS; all of SIGNING_KEYS verify, which is how
a key is rotated. There is no token table: revoking a client, or moving its `not_before`, ends its access tokens.
Source: NDW DOT-NL, "Pull"; RFC 6749 §4.4; RFC 9068.
"""

import base64
import hmac
import io
import logging
import time
from functools import cache

from authlib.integrations.django_oauth2 import AuthorizationServer
from authlib.integrations.django_oauth2.requests import DjangoOAuth2Payload, DjangoOAuth2Request
from authlib.oauth2.rfc6749 import OAuth2Request, grants
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from tenants import limits, remote, secrets, sql
from tenants.models import OAuthClient

logger = logging.getLogger(__name__)

LIFE_S = 1800
AUDIENCE = "ocpi-sender"
ALGORITHM = "ES256"
CLOCK_SKEW_S = 60
LONGEST_FORM = 8192  # bytes


@cache
def _keys(encoded: tuple[str, ...]) -> KeySet:
    return KeySet([_key(*entry.split(":", 1)) for entry in encoded])


def _key(kid: str, der: str) -> ECKey:
    key = ECKey.import_key(base64.b64decode(der), {"kid": kid, "use": "sig", "alg": ALGORITHM})
    if key.curve_name != "P-256":
        raise ValueError(f"signing key {kid} is not on P-256")
    return key


def signing_keys() -> KeySet:
    """Return SIGNING_KEYS (`<kid>:<base64 of PKCS#8 DER>`), newest first. Raises ValueError for an unusable key."""
    return _keys(tuple(settings.SIGNING_KEYS))


def issuer() -> str:
    """Return the `iss` of our access tokens."""
    return settings.PUBLIC_URL or "gateway"


class _Client:
    """An OAuthClient as Authlib asks for it; an unknown id looks like a wrong secret."""

    def __init__(self, client_id: str, row: OAuthClient | None) -> None:
        self.client_id, self.row = client_id, row

    def get_client_id(self) -> str:
        return self.client_id

    def check_client_secret(self, secret: str) -> bool:
        stored = self.row.digest if self.row else ""
        return hmac.compare_digest(stored, secrets.digest(secret)) and bool(self.row)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in _ClientCredentials.TOKEN_ENDPOINT_AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"

    def get_allowed_scope(self, scope: str | None) -> str | None:
        return None if scope and set(scope.split()) - {"pull"} else "pull"


class _ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


class _AccessTokens(JWTBearerTokenGenerator):
    def __init__(self) -> None:
        super().__init__(issuer="", alg=ALGORITHM, expires_generator=lambda client, grant_type: LIFE_S)

    def access_token_generator(self, client, grant_type, user, scope):
        self.issuer = issuer()
        return super().access_token_generator(client, grant_type, user, scope)

    def get_jwks(self) -> KeySet:
        return KeySet(signing_keys().keys[:1])

    def get_audiences(self, client, user, scope) -> str:
        return AUDIENCE

    def get_extra_claims(self, client, grant_type, user, scope) -> dict:
        # A client whose access tokens have just been ended gets one that counts.
        issued_at = max(int(time.time()), int(client.row.not_before.timestamp()))
        return {"tenant": str(client.row.tenant) if client.row.tenant_id else "*", "iat": issued_at}


class _Request(DjangoOAuth2Request):
    def __init__(self, request: HttpRequest) -> None:
        # Authlib refuses http:// by itself, as an uncaught error; `token_view` has already answered that.
        OAuth2Request.__init__(self, request.method, "https://gateway" + request.path, headers=request.headers)
        self.payload = DjangoOAuth2Payload(request)
        self._request = request


class _Server(AuthorizationServer):
    def query_client(self, client_id: str) -> _Client:
        rows = OAuthClient.objects.live().of_usable_tenants().select_related("tenant")
        printable = client_id if client_id.isprintable() else ""
        return _Client(client_id, rows.filter(client_id=printable).first())

    def save_token(self, token: dict, request: OAuth2Request) -> None:
        request.client.row.touch()

    def create_oauth2_request(self, request: HttpRequest) -> _Request:
        return _Request(request)


@cache
def _server() -> _Server:
    server = _Server(None, None)
    server.register_grant(_ClientCredentials)
    server.register_token_generator("default", _AccessTokens())
    return server


@csrf_exempt
def token_view(request: HttpRequest) -> HttpResponse:
    """Answer `POST /oauth/token`: a form with grant_type=client_credentials, the client in the form or as HTTP Basic."""
    request, address = _of_known_length(request), remote.address(request)
    problem = _form_problem(request)
    if wait_s := limits.token_failure_wait_s(address):
        response = _unavailable(429, wait_s)
    elif problem:
        response = JsonResponse({"error": "invalid_request", "error_description": problem}, status=400)
    else:
        response = _grant(request)
    if response.status_code == 401:
        limits.note_token_failure(address)
    if request.method != "POST":
        response = JsonResponse({"error": "invalid_request", "error_description": "Use POST."}, status=405)
        response["Allow"] = "POST"
    response["Content-Type"] = "application/json"
    response["Cache-Control"] = "no-store"
    return response


def _of_known_length(request: HttpRequest) -> HttpRequest:
    """Return a request whose form came in chunks with the form read: Django takes it for an empty one.

    Of one that is too long a byte more than it may have, by which it is known.
    """
    if "HTTP_TRANSFER_ENCODING" not in request.META:
        return request
    form, stream = b"", request.META["wsgi.input"]
    while len(form) <= LONGEST_FORM and (piece := stream.read(LONGEST_FORM + 1 - len(form))):
        form += piece
    return WSGIRequest(request.META | {"CONTENT_LENGTH": str(len(form)), "wsgi.input": io.BytesIO(form)})


def _grant(request: HttpRequest) -> HttpResponse:
    try:
        return _server().create_token_response(request)
    except UnicodeDecodeError:  # Authlib takes it for granted that what HTTP Basic carries is UTF-8
        return JsonResponse({"error": "invalid_client"}, status=401, headers={"WWW-Authenticate": "Basic"})
    except Error as error:
        if not sql.is_away(error):
            raise
        logger.error("Database not available: %s", type(error.__cause__ or error).__name__)
        return _unavailable(503, sql.AWAY_S)


def _unavailable(status: int, wait_s: int) -> HttpResponse:
    return JsonResponse({"error": "temporarily_unavailable"}, status=status, headers={"Retry-After": str(wait_s)})


def _form_problem(request: HttpRequest) -> str:
    if request.method != "POST":
        return ""
    if settings.IS_HTTPS and not request.is_secure():
        return "Use https."
    if request.content_type != "application/x-www-form-urlencoded":
        return "The body must be application/x-www-form-urlencoded."
    if int(request.META.get("CONTENT_LENGTH") or 0) > LONGEST_FORM:
        return "The form is too long."
    if request.GET:
        return "Parameters belong in the body, not in the URL."
    doubled = [name for name, values in request.POST.lists() if len(values) > 1]
    if doubled:
        return f"Given more than once: {doubled[0][:40]}."
    if "HTTP_AUTHORIZATION" in request.META and "client_secret" in request.POST:
        return "Give the client once: in the form or as HTTP Basic, not both."
    return ""


def find_client(access_token: str) -> OAuthClient | None:
    """Return the live client an access token of ours was issued to, or None for any other string."""
    claims = _claims(access_token)
    if claims is None:
        return None
    client = (
        OAuthClient.objects.live()
        .of_usable_tenants()
        .select_related("tenant")
        .filter(client_id=claims["client_id"])
        .first()
    )
    if client is None or claims["iat"] < int(client.not_before.timestamp()):
        return None
    return client


def _claims(access_token: str) -> dict | None:
    try:
        token = jwt.decode(access_token, signing_keys(), algorithms=[ALGORITHM])
        jwt.JWTClaimsRegistry(
            leeway=CLOCK_SKEW_S,
            iss={"essential": True, "value": issuer()},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            iat={"essential": True},
            client_id={"essential": True},
        ).validate(token.claims)
    except (JoseError, ValueError, TypeError, KeyError, OverflowError):
        return None
    claims = token.claims
    times_are_ints = all(type(claims[name]) is int for name in ("exp", "iat"))
    has_name = isinstance(claims["client_id"], str) and claims["client_id"].isprintable()
    if token.header.get("typ") != "at+jwt" or not times_are_ints or not has_name:
        return None
    return claims if claims["exp"] > time.time() else None
