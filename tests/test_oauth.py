"""OAuth2: the token endpoint, pulling with an access token, and forged ones."""

import base64
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings as django_settings
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from tenants import oauth
from tenants.models import OAuthClient
from tests.conftest import Caller
from tests.factories import make_tenant, put_location, put_tariff

FORM = "application/x-www-form-urlencoded"
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def client_of(db):
    """Return a function that makes a client of a tenant (None: of all): its id and secret as a form."""

    def make(tenant: Any) -> dict[str, str]:
        client = OAuthClient(tenant=tenant)
        secret = client.issue()
        return {"client_id": client.client_id, "client_secret": secret}

    return make


def post(
    form: dict[str, str] | str, url: str = "/oauth/token", content_type: str = FORM, **headers: str
) -> HttpResponse:
    body = form if isinstance(form, str) else urlencode(form)
    return Client().post(url, body, content_type=content_type, headers=headers)


def basic(client: dict[str, str]) -> str:
    return "Basic " + base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()


def bearer(client: dict[str, str]) -> str:
    """Return an access token."""
    return post(GRANT | client).json()["access_token"]


def pull(token: str, party: str = "EXA", path: str = "locations", scheme: str = "Bearer") -> HttpResponse:
    return Caller(f"/ocpi/sender/NL/{party}/2.2.1/", {"Authorization": f"{scheme} {token}"}).get(path)


# --- The endpoint ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["form", "basic"])
def test_token_endpoint_gives_a_short_token_for_a_form_and_for_basic(cpo, client_of, how):
    client = client_of(cpo)

    response = post(GRANT | client) if how == "form" else post(GRANT, Authorization=basic(client))

    answer = response.json()
    assert response.status_code == 200
    assert (response["Content-Type"], response["Cache-Control"]) == ("application/json", "no-store")
    assert sorted(answer) == ["access_token", "expires_in", "scope", "token_type"]
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 1800, "pull")
    assert "refresh_token" not in answer


def test_access_token_claims_and_header_are_those_of_rfc_9068(cpo, client_of):
    client = client_of(cpo)

    token = jwt.decode(bearer(client), oauth.signing_keys(), algorithms=["ES256"])

    claims = token.claims
    assert (token.header["alg"], token.header["typ"], token.header["kid"]) == ("ES256", "at+jwt", "t1")
    assert (claims["iss"], claims["aud"], claims["tenant"]) == ("gateway", "ocpi-sender", "NL-EXA")
    assert (claims["client_id"], claims["sub"]) == (client["client_id"],) * 2
    assert claims["exp"] - claims["iat"] == 1800
    assert abs(claims["iat"] - time.time()) < 10


@pytest.mark.parametrize("how", ["form", "basic"])
def test_token_endpoint_wrong_secret_and_unknown_client_look_alike(cpo, client_of, how):
    client = client_of(cpo)
    wrong = [
        client | {"client_secret": client["client_secret"][:-1]},
        client | {"client_secret": ""},
        client | {"client_id": "gw-p.unknown1"},
        {"client_id": "", "client_secret": ""},
        client | {"client_id": client["client_id"].upper()},
    ]

    answers = [post(GRANT | one) if how == "form" else post(GRANT, Authorization=basic(one)) for one in wrong]

    assert [one.status_code for one in answers] == [401] * 5
    assert len({one.content for one in answers}) == 1
    assert answers[0].json()["error"] == "invalid_client"
    assert {one["Cache-Control"] for one in answers} == {"no-store"}
    assert OAuthClient.objects.get().last_used_at is None


def test_token_endpoint_revoked_client_and_inactive_tenant_look_unknown(cpo, rival, client_of):
    revoked, inactive, unknown = client_of(cpo), client_of(rival), {"client_id": "x", "client_secret": "x"}
    OAuthClient.objects.get(tenant=cpo).revoke()
    type(rival).objects.filter(pk=rival.pk).update(is_active=False)

    answers = [post(GRANT | one) for one in (revoked, inactive, unknown)]

    assert [(one.status_code, one.json()["error"]) for one in answers] == [(401, "invalid_client")] * 3
    assert len({one.content for one in answers}) == 1


@pytest.mark.parametrize(
    "grant", ["password", "authorization_code", "refresh_token", "implicit", "", "CLIENT_CREDENTIALS"]
)
def test_token_endpoint_refuses_other_grants(cpo, client_of, grant):
    response = post({"grant_type": grant} | client_of(cpo))

    assert (response.status_code, response.json()["error"]) == (400, "unsupported_grant_type")


def test_token_endpoint_refuses_a_scope_we_do_not_have(cpo, client_of):
    client = client_of(cpo)

    refused, given = (post(GRANT | client | {"scope": scope}) for scope in ("pull admin", "pull"))

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    assert given.status_code == 200


def test_token_endpoint_refuses_what_is_not_one_form(cpo, client_of):
    client = client_of(cpo)
    form = GRANT | client
    once = "&".join(f"{name}={value}" for name, value in form.items())
    answers = [
        post(json.dumps(form), content_type="application/json"),
        post(once, content_type="multipart/form-data; boundary=x"),
        post(once, content_type="text/plain"),
        post(GRANT, url=f"/oauth/token?client_id={client['client_id']}&client_secret={client['client_secret']}"),
        post(form, url="/oauth/token?grant_type=client_credentials"),
        post(f"{once}&grant_type=client_credentials"),
        post(f"{once}&client_secret=x"),
        post(f"{once}&scope=pull&scope=pull"),
        post(form, Authorization=basic(client)),
        post(once + "&x=" + "a" * 10_000),
    ]

    assert [(one.status_code, one.json()["error"]) for one in answers] == [(400, "invalid_request")] * 10
    assert {one["Cache-Control"] for one in answers} == {"no-store"}
    assert OAuthClient.objects.get().last_used_at is None


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_token_endpoint_knows_post_only(db, method):
    response = Client().generic(method, "/oauth/token")

    assert (response.status_code, response["Allow"], response["Cache-Control"]) == (405, "POST", "no-store")


@pytest.mark.parametrize("name", ["client_id", "client_secret", "grant_type", "scope"])
@pytest.mark.parametrize(
    "value", ["%00", "a%00b", "%ED%A0%80", "%FF", "%F0%9F%92%A9", "%0D%0AX: y", "a" * 5000, "%u0000"]
)
def test_token_endpoint_odd_characters_are_a_4xx(cpo, client_of, name, value):
    form = {key: value for key, value in (GRANT | client_of(cpo)).items() if key != name}

    response = post("&".join(f"{key}={text}" for key, text in form.items()) + f"&{name}={value}")

    assert response.status_code in (400, 401)
    assert response.json()["error"] in ("invalid_client", "unsupported_grant_type", "invalid_scope", "invalid_request")


@pytest.mark.parametrize(
    "value", ["Basic", "Basic !!!", "Basic AAAA", "Basic /////w==", "Basic AAA6AAA=", "Bearer x", "Digest x"]
)
def test_token_endpoint_odd_authorization_headers_are_a_401(db, value):
    response = post(GRANT, Authorization=value)

    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_token_endpoint_over_https_only_when_we_are_known_by_https(cpo, client_of, settings):
    settings.IS_HTTPS, settings.SECURE_PROXY_SSL_HEADER = True, ("HTTP_X_FORWARDED_PROTO", "https")
    client = client_of(cpo)

    plain, secure = post(GRANT | client), post(GRANT | client, X_Forwarded_Proto="https")

    assert (plain.status_code, plain.json()["error"], secure.status_code) == (400, "invalid_request", 200)


@pytest.mark.django_db(transaction=True)
def test_token_endpoint_without_a_database_is_503(client_of):
    client = client_of(make_tenant("EXA"))
    with psycopg.connect(**connection.get_connection_params()) as other, connection.cursor() as cursor:
        other.execute("LOCK TABLE tenants_oauthclient IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SET lock_timeout = '20ms'")

        response = post(GRANT | client)

        cursor.execute("RESET lock_timeout")
    assert (response.status_code, response.json()) == (503, {"error": "temporarily_unavailable"})
    assert (response["Retry-After"], response["Cache-Control"]) == ("5", "no-store")


# --- Pulling -----------------------------------------------------------------------------------------------------------


def test_pull_with_bearer_gives_the_bytes_a_token_gives(cpo, client_of, pull):
    put_tariff(cpo)
    put_location(cpo)
    client = client_of(cpo)
    headers = {"Authorization": f"Bearer {bearer(client)}"}

    for path in ("/locations", "/tariffs", "/locations/LOC-0001"):
        with_token, with_bearer = pull.get(path), Caller(pull.root, headers).get(path)
        assert with_token.status_code == 200
        assert _without_time(with_bearer) == _without_time(with_token)
        assert with_bearer["Content-Type"] == with_token["Content-Type"]
    assert OAuthClient.objects.get().last_used_at is not None


def _without_time(response: HttpResponse) -> bytes:
    return response.content.replace(response.envelope["timestamp"].encode(), b"now")


def test_pull_scheme_is_read_without_case(cpo, client_of):
    token = bearer(client_of(cpo))

    assert [pull(token, scheme=scheme).status_code for scheme in ("bearer", "BEARER", "Token")] == [200, 200, 401]


def test_pull_another_tenants_party_looks_unknown(cpo, rival, client_of):
    put_location(rival)
    token = bearer(client_of(cpo))

    theirs, nobodys = pull(token, "RIV"), pull(token, "NON")

    assert (theirs.status_code, theirs.envelope["status_code"]) == (404, 2003)
    assert _without_time(theirs) == _without_time(nobodys)


def test_pull_client_of_all_tenants_sees_each_also_later_ones(cpo, rival, client_of):
    token = bearer(client_of(None))
    later = make_tenant("LAT")
    put_tariff(later)

    totals = {party: pull(token, party, "tariffs")["X-Total-Count"] for party in ("EXA", "RIV", "LAT")}

    assert totals == {"EXA": "0", "RIV": "0", "LAT": "1"}
    assert pull(token, "NON").status_code == 404
    claims = jwt.decode(token, oauth.signing_keys(), algorithms=["ES256"]).claims
    assert claims["tenant"] == "*"


def test_pull_access_token_does_not_upload(cpo, client_of):
    token = bearer(client_of(None))

    response = Caller("/ocpi/receiver/", {"Authorization": f"Bearer {token}"}).get("versions")

    assert response.status_code == 401


def test_pull_ends_with_the_client(cpo, client_of):
    token = bearer(client_of(cpo))
    assert pull(token).status_code == 200

    OAuthClient.objects.get().revoke()

    assert pull(token).status_code == 401


def test_pull_ends_with_the_tenant(cpo, client_of):
    token = bearer(client_of(cpo))

    type(cpo).objects.filter(pk=cpo.pk).update(is_active=False)

    assert pull(token).status_code == 401


def test_pull_tokens_from_before_not_before_are_refused(cpo, client_of):
    token = bearer(client_of(cpo))

    OAuthClient.objects.get().end_access_tokens()

    assert pull(token).status_code == 401


def test_client_gets_a_token_that_counts_as_soon_as_its_others_are_ended(cpo, client_of):
    client = client_of(cpo)
    OAuthClient.objects.get().end_access_tokens()

    assert pull(bearer(client)).status_code == 200


# --- Forged tokens -----------------------------------------------------------------------------------------------------


def claims_of(client: dict[str, str], **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": "gateway", "aud": "ocpi-sender", "sub": client["client_id"], "client_id": client["client_id"],
        "iat": now, "exp": now + 600, "jti": "1", "tenant": "NL-EXA", "scope": "pull",
    }  # fmt: skip
    return {name: value for name, value in (good | changes).items() if value is not None}


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(claims: dict[str, Any], key: Any = None, **header: Any) -> str:
    key = key or oauth.signing_keys().keys[0]
    given = {"alg": "ES256", "typ": "at+jwt", "kid": "t1"} | header
    algorithms = [given["alg"]]
    return jwt.encode({name: v for name, v in given.items() if v is not None}, claims, key, algorithms=algorithms)


def raw_signed(claims: bytes | dict[str, Any], **header: Any) -> str:
    """Sign with our own key whatever the libraries would refuse to make."""
    given = {"alg": "ES256", "typ": "at+jwt", "kid": "t1"} | header
    signing_input = f"{part({n: v for n, v in given.items() if v is not None})}.{part(claims)}"
    algorithm = JWSRegistry(algorithms=["ES256"]).get_alg("ES256")
    return f"{signing_input}.{part(algorithm.sign(signing_input.encode(), oauth.signing_keys().keys[0]))}"


def test_forged_the_yardstick_itself_opens(cpo, client_of):
    client = client_of(cpo)

    assert pull(signed(claims_of(client))).status_code == 200
    assert pull(raw_signed(claims_of(client))).status_code == 200


def _refused(token: str) -> None:
    response = pull(token)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Token, Bearer")
    assert response.envelope["status_code"] == 2000


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, ["ES256"], "ES256 "])
@pytest.mark.parametrize("signature", ["", "AAAA", "genuine"])
def test_forged_without_an_algorithm_is_refused(cpo, client_of, algorithm, signature):
    client = client_of(cpo)
    genuine = signed(claims_of(client)).rpartition(".")[2]
    header = {"alg": algorithm, "typ": "at+jwt", "kid": "t1"}

    _refused(f"{part(header)}.{part(claims_of(client))}.{genuine if signature == 'genuine' else signature}")


@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
def test_forged_with_our_public_key_as_a_secret_is_refused(cpo, client_of, algorithm):
    claims, key = claims_of(client_of(cpo)), oauth.signing_keys().keys[0]
    public = [
        key.as_pem(private=False),
        key.as_der(private=False),
        json.dumps(key.as_dict(private=False)).encode(),
        b"",
    ]

    for secret in public:
        signing_input = f"{part({'alg': algorithm, 'typ': 'at+jwt', 'kid': 't1'})}.{part(claims)}"
        digest = hmac.digest(secret, signing_input.encode(), algorithm.replace("HS", "sha"))
        _refused(f"{signing_input}.{part(digest)}")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": ["gateway"]},
        {"aud": "another"},
        {"aud": ["another", "yet another"]},
        {"aud": None},
        {"exp": 0},
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"exp": str(int(time.time()) + 600)},
        {"exp": time.time() + 600.5},
        {"exp": True},
        {"exp": [1]},
        {"exp": -1},
        {"iat": int(time.time()) + 600},
        {"iat": None},
        {"iat": str(int(time.time()))},
        {"iat": int(time.time()) - 86_400},
        {"nbf": int(time.time()) + 600},
        {"client_id": None},
        {"client_id": "gw-p.unknown1"},
        {"client_id": 1},
        {"client_id": ["x"]},
        {"client_id": "a\x00b"},
        {"client_id": "\ud800"},
    ],
    ids=lambda changes: "-".join(changes),  # not the times: xdist wants the same names in every process
)
def test_forged_claims_under_a_genuine_signature_are_refused(cpo, client_of, changes):
    _refused(raw_signed(claims_of(client_of(cpo), **changes)))


@pytest.mark.parametrize("claims", [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"exp": 1e400}', b"[" * 5000])
def test_forged_payload_that_is_no_object_is_refused(cpo, claims):
    _refused(raw_signed(claims))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"typ": ""},
        {"kid": "../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": "t2"},
        {"kid": 1},
        {"kid": "t1\x00"},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"b64": False, "crit": []},
        {"zip": "DEF", "crit": ["zip"]},
    ],
    ids=str,
)
def test_forged_header_under_a_genuine_signature_is_refused(cpo, client_of, header):
    _refused(raw_signed(claims_of(client_of(cpo)), **header))


@pytest.mark.parametrize("field", ["jwk", "jku", "x5u", "x5c", "kid"])
def test_forged_with_a_key_the_token_brings_along_is_refused(cpo, client_of, field):
    client, theirs = client_of(cpo), ECKey.import_key(ec.generate_private_key(ec.SECP256R1()))
    url = "http://127.0.0.1:9/keys"
    brought = {"jwk": theirs.as_dict(private=False), "jku": url, "x5u": url, "x5c": ["AAAA"], "kid": "evil"}

    _refused(jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "t1"}, claims_of(client), theirs))
    body = jwt.encode({"alg": "ES256", "typ": "at+jwt"} | {field: brought[field]}, claims_of(client), theirs)
    _refused(body)


def test_forged_signature_or_body_that_was_touched_is_refused(cpo, rival, client_of):
    client = client_of(cpo)
    head, body, signature = bearer(client).split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    touched = [
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-8]}",
        f"{head}.{body}.{part(raw[:-1])}",
        f"{head}.{body}.{part(raw + bytes(1))}",
        f"{head}.{body}.{part(bytes(64))}",
        f"{head}.{body}.{part(raw[32:] + raw[:32])}",
        f"{head}.{part(claims_of(client, exp=int(time.time()) + 10**6))}.{signature}",
        f"{head}.{part(claims_of(client, tenant='NL-RIV'))}.{signature}",
        f"{part({'alg': 'ES256', 'typ': 'at+jwt'})}.{body}.{signature}",
        f"{head}.{body}.{signature}.x.y",
        f"{head}..{body}.{signature}.",
        f".{body}.{signature}",
        "..",
        "a.b.c",
        "eyJ" + "a" * 4000,
    ]

    for token in touched:
        _refused(token)
    assert pull(f"{head}.{body}.{signature}").status_code == 200


def test_forged_tenant_claim_alone_opens_nothing(cpo, rival, client_of):
    token = signed(claims_of(client_of(cpo), tenant="NL-RIV"))

    assert [pull(token, party).status_code for party in ("EXA", "RIV")] == [200, 404]


# --- Signing keys ------------------------------------------------------------------------------------------------------


def _new_key(kid: str) -> str:
    der = ec.generate_private_key(ec.SECP256R1()).private_bytes(s.Encoding.DER, s.PrivateFormat.PKCS8, s.NoEncryption())
    return f"{kid}:{base64.b64encode(der).decode()}"


def test_signing_keys_rotate_newest_signs_all_verify(cpo, client_of, settings):
    client, old_keys, new_key = client_of(cpo), list(django_settings.SIGNING_KEYS), _new_key("t2")
    before = bearer(client)

    settings.SIGNING_KEYS = [new_key, *old_keys]
    after = bearer(client)

    assert json.loads(base64.urlsafe_b64decode(after.split(".")[0] + "=="))["kid"] == "t2"
    assert [pull(token).status_code for token in (before, after)] == [200, 200]
    settings.SIGNING_KEYS = [new_key]
    assert [pull(token).status_code for token in (before, after)] == [401, 200]


def test_signing_keys_of_the_same_name_are_not_the_same(cpo, client_of, settings):
    token = bearer(client_of(cpo))

    settings.SIGNING_KEYS = [_new_key("t1")]

    assert pull(token).status_code == 401


def test_signing_key_off_the_curve_is_refused():
    der = ec.generate_private_key(ec.SECP384R1()).private_bytes(s.Encoding.DER, s.PrivateFormat.PKCS8, s.NoEncryption())

    with pytest.raises(ValueError, match="signing key k9 is not on P-256"):
        oauth._key("k9", base64.b64encode(der).decode())


def test_issuer_is_the_public_url_and_a_token_of_another_is_refused(cpo, client_of, settings):
    settings.PUBLIC_URL = "https://one.example"
    token = bearer(client_of(cpo))
    assert jwt.decode(token, oauth.signing_keys(), algorithms=["ES256"]).claims["iss"] == "https://one.example"
    assert pull(token).status_code == 200

    settings.PUBLIC_URL = "https://two.example"

    assert pull(token).status_code == 401
