"""Every URL against every credential that must not open it: no door, no difference, no byte of another tenant."""

import base64
import datetime as dt
import json
from typing import Any
from urllib.parse import urlencode

import pytest
import zstandard
from django.urls import reverse
from django.utils import timezone

from ocpi import urls
from ocpi.models import Import, ImportReport, Location
from tenants import oauth
from tenants.models import OAuthClient, Tenant, Token
from tests import factories, stored
from tests.conftest import CLIENT
from tests.documents import evse_body, location_body, tariff_body

METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "POST"]
NAMES = [str(pattern.name) for pattern in urls.urlpatterns]
OF_A_PARTY = [str(pattern.name) for pattern in urls.urlpatterns if "country_code" in pattern.pattern.regex.groupindex]
FOR_UPLOAD_TOKENS = ("receiver", "rest")
CANARY = "canary-3f9c1b"
IDS = {
    "location_id": "LOC-0001",
    "evse_uid": "EVSE-1",
    "connector_id": "1",
    "tariff_id": "ADHOC-1",
    "import_id": "3f9c1b00-0000-4000-8000-000000000001",  # the rival's
}
LATER = "2026-03-02T10:00:00Z"


def url(name: str, party_id: str = "EXA", **ids: str) -> str:
    """Return the URL of a route, filled in for a party and with the ids of what every tenant here has."""
    groups = next(pattern for pattern in urls.urlpatterns if pattern.name == name).pattern.regex.groupindex
    values = {"country_code": "NL", "party_id": party_id} | IDS | ids
    return reverse(name, kwargs={group: values[group] for group in groups})


def purpose(name: str) -> str:
    """Return the purpose of credentials that opens a route."""
    return Token.Purpose.UPLOAD if name.startswith(FOR_UPLOAD_TOKENS) else Token.Purpose.PULL


def other_purpose(name: str) -> str:
    """Return the purpose that does not."""
    return Token.Purpose.PULL if name.startswith(FOR_UPLOAD_TOKENS) else Token.Purpose.UPLOAD


def body_for(name: str, party_id: str) -> Any:
    """Return a body that would change something if the request got through."""
    if "tariff" in name:
        return tariff_body(party_id=party_id, currency="SEK", last_updated=LATER)
    return location_body(party_id=party_id, name="Taken over", last_updated=LATER)


def call(method: str, path: str, authorization: str | None, body: Any = None) -> Any:
    """Make a request with an Authorization header or none."""
    headers = {} if authorization is None else {"Authorization": authorization}
    raw = json.dumps(body or {"name": "Taken over", "status": "BLOCKED", "last_updated": LATER})
    return CLIENT.generic(
        method, path, raw if method in ("PUT", "PATCH", "POST") else "", "application/json", headers=headers
    )


def assert_refused(response: Any, method: str, name: str, status: int, code: int) -> None:
    """Assert the HTTP status, and what the body says in the form of the route: an envelope, or a problem."""
    assert response.status_code == status
    if method != "HEAD":
        told = response.json()
        assert told["status"] == status if name.startswith("rest") else told["status_code"] == code


def seen(response: Any) -> tuple[int, dict, dict]:
    """Return all a caller can see, but for timestamps and message ids."""
    body = json.loads(response.content) if response.content else {}
    headers = {k: v for k, v in response.headers.items() if k not in ("X-Request-ID", "X-Correlation-ID")}
    return response.status_code, body | {"timestamp": ""}, headers


@pytest.fixture(scope="module")
def tenants(kept: None) -> tuple[Tenant, Tenant]:
    """Two tenants with objects of the same ids; everything of the second, the rival, bears a canary."""
    cpo, rival = factories.make_tenant("EXA"), factories.make_tenant("RIV")
    factories.connect_to_nowhere(cpo)
    for tenant, word in ((cpo, "own"), (rival, CANARY)):
        factories.put_location(tenant, name=word, evses=[evse_body(physical_reference=word)], operator={"name": word})
        factories.put_tariff(tenant, tariff_alt_text=[{"language": "en", "text": word}])
    factories.put_location(rival, id="RIVAL-2", name=CANARY)
    factories.put_tariff(rival, id="RIVAL-2", tariff_alt_url=f"https://example.org/{CANARY}")
    done = Import.objects.create(
        pk=IDS["import_id"], tenant=rival, kind="location", phase="apply", state="done", note=CANARY
    )
    told = zstandard.compress(json.dumps([1, CANARY, "created", []]).encode())
    ImportReport.objects.create(tenant=rival, report_of=done, phase="apply", first_line=1, data=told)
    return cpo, rival


@pytest.fixture
def both(tenants: tuple[Tenant, Tenant], db: None) -> tuple[Tenant, Tenant]:
    """Both, in a test of its own."""
    return tenants


# --- No door -----------------------------------------------------------------------------------------------------------


def no_credential(tenant: Tenant, name: str) -> str | None:
    return None


def unknown(tenant: Tenant, name: str) -> str:
    return "Token gw-u.AAAAAAAA." + "A" * 43


def revoked(tenant: Tenant, name: str) -> str:
    value = factories.make_token(tenant, purpose(name))
    Token.objects.get().revoke()
    return f"Token {value}"


def expired(tenant: Tenant, name: str) -> str:
    past = timezone.now() - dt.timedelta(seconds=1)
    return f"Token {factories.make_token(tenant, purpose(name), expires_at=past)}"


def of_an_inactive_tenant(tenant: Tenant, name: str) -> str:
    value = factories.make_token(tenant, purpose(name))
    Tenant.objects.filter(pk=tenant.pk).update(is_active=False)
    return f"Token {value}"


def as_basic(tenant: Tenant, name: str) -> str:
    value = factories.make_token(tenant, purpose(name))
    return "Basic " + base64.b64encode(f"{value}:{value}".encode()).decode()


def as_bearer(tenant: Tenant, name: str) -> str:
    return f"Bearer {factories.make_token(tenant, purpose(name))}"


SHUT_OUT = [no_credential, unknown, revoked, expired, of_an_inactive_tenant, as_basic, as_bearer]


@pytest.mark.parametrize("credential", SHUT_OUT)
@pytest.mark.parametrize("name", NAMES)
def test_without_a_valid_credential_every_url_is_401(both, name, credential):
    cpo, _ = both
    authorization, before = credential(cpo, name), stored.everything(cpo)

    for method in METHODS:
        response = call(method, url(name), authorization, body_for(name, "EXA"))

        assert_refused(response, method, name, 401, 2000)
        assert response["WWW-Authenticate"] == ("Token" if name.startswith(FOR_UPLOAD_TOKENS) else "Token, Bearer")
    assert stored.everything(cpo) == before


MALFORMED = [
    "",
    "Token",
    "Token ",
    "{}",
    "Token  {}",
    "Token\t{}",
    "Token {} {}",
    "Token {}, Token {}",
    "Token {}x",
    "Token x{}",
    "Tokens {}",
    "Token token={}",
    'Token "{}"',
    "Token {}" + "A" * 5000,
    "Token " + "=" * 10,
    "Token \xff\xfe",
]


@pytest.mark.parametrize("name", ["receiver-location", "sender-locations"])
@pytest.mark.parametrize("template", MALFORMED)
def test_malformed_authorization_is_401(both, name, template):
    token = factories.make_token(both[0], purpose(name))

    response = call("GET", url(name), template.replace("{}", token))

    assert (response.status_code, response.json()["status_code"]) == (401, 2000)


def base64_of(text: str) -> str:
    """Return Base64 without thinking about padding."""
    return base64.b64encode(text.encode()).decode()


TOKEN_FORMS = {
    "raw": lambda token: f"Token {token}",
    "base64": lambda token: f"Token {base64_of(token)}",
    "base64 with a newline in it": lambda token: f"Token {base64_of(token + chr(10))}",
    "base64 with CRLF in it": lambda token: f"Token {base64_of(token + chr(13) + chr(10))}",
    "base64 without padding": lambda token: f"Token {base64_of(token).rstrip('=')}",
    "small scheme": lambda token: f"token {token}",
    "capital scheme": lambda token: f"TOKEN {base64_of(token)}",
}


@pytest.mark.parametrize("form", TOKEN_FORMS.values(), ids=TOKEN_FORMS)
@pytest.mark.parametrize("name", ["receiver-location", "sender-locations"])
def test_token_is_taken_raw_and_in_base64(both, name, form):
    token = factories.make_token(both[0], purpose(name))

    assert call("GET", url(name), form(token)).status_code == 200


def test_token_in_the_query_opens_nothing(both):
    token = factories.make_token(both[0], Token.Purpose.UPLOAD)

    for parameter in ("token", "access_token", "Authorization"):
        assert call("GET", url("receiver-location") + "?" + urlencode({parameter: token}), None).status_code == 401


@pytest.mark.parametrize("name", NAMES)
def test_credential_of_the_other_purpose_is_403_on_its_own_party(both, name):
    cpo, _ = both
    token, before = factories.make_token(cpo, other_purpose(name)), stored.everything(cpo)

    for method in METHODS:
        response = call(method, url(name), f"Token {token}", body_for(name, "EXA"))

        assert_refused(response, method, name, 403, 2000)
    assert stored.everything(cpo) == before


# --- No difference -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_purpose", [purpose, other_purpose])
@pytest.mark.parametrize("name", OF_A_PARTY)
def test_foreign_party_looks_as_if_it_did_not_exist(both, name, of_purpose):
    cpo, rival = both
    authorization = f"Token {factories.make_token(cpo, of_purpose(name))}"
    before = stored.everything(rival)

    for method in METHODS:
        foreign = seen(call(method, url(name, "RIV"), authorization, body_for(name, "RIV")))
        others = [
            call(method, url(name, "NIL"), authorization, body_for(name, "NIL")),
            call(method, url(name, "RIV", location_id="NONE", tariff_id="NONE"), authorization),
            call(method, url(name, "riv"), authorization, body_for(name, "EXA")),
        ]
        assert foreign[0] == 404
        assert method == "HEAD" or foreign[1]["status_code"] == (2003 if "/locations" in url(name) else 2000)
        assert [seen(other) for other in others] == [foreign] * 3
    assert stored.everything(rival) == before


@pytest.mark.parametrize("name", ["receiver-location", "receiver-evse", "receiver-connector", "receiver-tariff"])
def test_foreign_object_looks_like_an_unknown_one_of_ones_own(both, name):
    authorization = f"Token {factories.make_token(both[0], purpose(name))}"

    for method in ("GET", "PATCH", "DELETE"):
        foreign = seen(call(method, url(name, "RIV"), authorization))
        own = seen(call(method, url(name, location_id="NONE", tariff_id="NONE"), authorization))

        assert own == foreign or own[0] == 405


@pytest.mark.parametrize("name", OF_A_PARTY)
def test_tenants_with_the_same_ids_get_their_own(both, name):
    _, rival = both
    authorization = f"Token {factories.make_token(rival, purpose(name))}"

    own, foreign = call("GET", url(name, "RIV"), authorization), call("GET", url(name), authorization)

    assert (own.status_code, foreign.status_code) == (200, 404)
    has_words = not name.endswith(("versions", "details", "connector"))
    assert (CANARY in own.content.decode()) == has_words


# --- No byte -----------------------------------------------------------------------------------------------------------

QUERIES = [
    "",
    "?kind=location",
    "?id=RIVAL-2",
    "?limit=1",
    "?offset=1",
    "?date_from=2020-01-01T00:00:00Z",
    "?limit=1000&date_to=2030-01-01T00:00:00Z",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_byte_of_a_rival_is_served(both, name):
    token = f"Token {factories.make_token(both[0], purpose(name))}"
    paths = [url(name), url(name, "RIV"), url(name, location_id="RIVAL-2", tariff_id="RIVAL-2")]
    asked = [("GET", url(name) + query) for query in QUERIES] + [(m, path) for m in METHODS for path in paths]
    asked += [("POST", url(name) + query) for query in QUERIES]

    for method, path in asked:
        response = call(method, path, token, body_for(name, "RIV"))

        assert CANARY not in response.content.decode()
        assert CANARY not in str(response.headers)


def test_a_rivals_place_in_a_crawl_leads_to_ones_own_objects(both):
    cpo, rival = both
    answers = {}
    for tenant in both:
        token = f"Token {factories.make_token(tenant, Token.Purpose.PULL)}"
        answers[tenant] = token, call("GET", url("sender-locations", tenant.party_id) + "?limit=1", token)
    link = answers[rival][1]["Link"].partition("?")[2].partition(">")[0]

    response = call("GET", f"{url('sender-locations')}?{link}", answers[cpo][0])

    assert (response.status_code, response.json()["data"], response["X-Total-Count"]) == (200, [], "1")


def test_body_of_another_party_is_refused(both):
    token = f"Token {factories.make_token(both[0], Token.Purpose.UPLOAD)}"
    before = [stored.everything(tenant) for tenant in both]

    for name in ("receiver-location", "receiver-tariff"):
        for method in ("PUT", "PATCH"):
            response = call(method, url(name), token, body_for(name, "RIV"))
            assert (response.status_code, response.json()["status_code"]) in {(200, 2001), (405, 2000)}
    assert [stored.everything(tenant) for tenant in both] == before


def test_upload_touches_no_other_tenant(both):
    cpo, rival = both
    token = f"Token {factories.make_token(cpo, Token.Purpose.UPLOAD)}"
    before = stored.everything(rival)

    assert call("PUT", url("receiver-location"), token, body_for("receiver-location", "EXA")).status_code == 200
    assert call("PUT", url("receiver-tariff"), token, body_for("receiver-tariff", "EXA")).status_code == 200

    assert stored.everything(rival) == before
    assert Location.objects.get(tenant=cpo).document["name"] == "Taken over"


# --- Credentials for all tenants ---------------------------------------------------------------------------------------


def test_pull_token_for_all_sees_each_party_under_its_own_url(both):
    token = f"Token {factories.make_token(None, Token.Purpose.PULL)}"

    own, rivals = (call("GET", url("sender-locations", party), token).json()["data"] for party in ("EXA", "RIV"))

    assert ([d["name"] for d in own], [d["party_id"] for d in rivals]) == (["own"], ["RIV", "RIV"])
    assert call("GET", url("sender-locations", "NIL"), token).status_code == 404
    Tenant.objects.filter(party_id="RIV").update(is_active=False)
    assert call("GET", url("sender-locations", "RIV"), token).status_code == 404


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(FOR_UPLOAD_TOKENS)])
def test_pull_token_for_all_uploads_nothing(both, name):
    token, before = f"Token {factories.make_token(None, Token.Purpose.PULL)}", stored.everything(both[0])

    for method in METHODS:
        assert call(method, url(name), token, body_for(name, "EXA")).status_code == 403
    assert stored.everything(both[0]) == before


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("sender")])
def test_access_token_opens_only_its_own_party_and_ends_with_its_client(both, name):
    cpo, _ = both
    client = OAuthClient(tenant=cpo)
    form = {"grant_type": "client_credentials", "client_secret": client.issue(), "client_id": client.client_id}
    granted = CLIENT.post("/oauth/token", urlencode(form), content_type="application/x-www-form-urlencoded").json()
    bearer = f"Bearer {granted['access_token']}"

    assert granted["expires_in"] == oauth.LIFE_S
    assert call("GET", url(name), bearer).status_code == 200
    assert call("GET", url(name, "RIV"), bearer).status_code == 404
    client.revoke()
    assert call("GET", url(name), bearer).status_code == 401
