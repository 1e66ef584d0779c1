"""The plain REST side: validate, problems, and the form of its errors."""

import json
from io import BytesIO
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import RequestFactory

from ocpi import errors
from ocpi.rules import uploads
from tenants.models import Tenant, Token
from tests import factories, stored
from tests.conftest import CLIENT, Caller
from tests.documents import connector_body, evse_body, location_body, tariff_body

ROOT = "/api/v1"
KINDS = ["location", "evse", "connector", "tariff"]
BODIES = {"location": location_body, "evse": evse_body, "connector": connector_body, "tariff": tariff_body}


def rest_client(tenant: Tenant) -> Caller:
    """Return a tenant's client of the REST side."""
    return Caller(ROOT, {"Authorization": f"Token {factories.make_token(tenant, Token.Purpose.UPLOAD)}"})


@pytest.fixture
def rest(cpo) -> Caller:
    """`cpo`'s client of the REST side."""
    return rest_client(cpo)


def validate(rest: Caller, kind: str, body: Any, query: str = "") -> Any:
    """Return the answer to one object."""
    response = rest.call("POST", f"/validate?kind={kind}{query}", body)
    assert response.status_code == 200, response.content
    return response.envelope


def rules_of(answer: Any) -> list[str]:
    """Return the ids of an answer's findings."""
    return [finding["rule"] for finding in answer["findings"]]


def assert_problem(response: Any, status: int, *words: str) -> dict[str, Any]:
    """Assert that the answer is a problem that says these words; return it."""
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    problem = json.loads(response.content)
    assert list(problem)[:4] == ["type", "title", "status", "detail"]
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert [word for word in words if word not in problem["detail"]] == []
    return problem


# --- Validate ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plural", ["", "s"])
@pytest.mark.parametrize("kind", KINDS)
def test_validate_a_good_object_of_each_kind(cpo, rest, kind, plural):
    factories.put_tariff(cpo)

    answer = validate(rest, kind + plural, BODIES[kind]())

    assert (answer["verdict"], answer["findings"]) == ("ok", [])
    assert list(answer)[2:] == {"location": ["readiness"], "tariff": ["price"]}.get(kind, [])


def test_validate_lists_all_findings_errors_first(rest):
    body = location_body(city=7, coordinates={"latitude": "1", "longitude": "2"}, oddity=1, opening_times=None)

    answer = validate(rest, "location", body)

    severities = [finding["severity"] for finding in answer["findings"]]
    assert answer["verdict"] == "refused"
    assert severities == sorted(severities, key=["error", "gap", "warning"].index)
    assert {("/city", "error"), ("/coordinates/latitude", "error"), ("/oddity", "warning")} <= {
        (finding["path"], finding["severity"]) for finding in answer["findings"]
    }
    assert list(answer) == ["verdict", "findings"]
    assert list(answer["findings"][0]) == ["path", "rule", "severity", "message", "hint"]


def test_validate_gaps_before_warnings(cpo, rest):
    answer = validate(rest, "location", location_body(oddity=1, opening_times=None))

    assert answer["verdict"] == "gaps"
    assert [finding["severity"] for finding in answer["findings"]] == ["gap", "warning", "warning", "warning"]
    assert {"N-opening_times", "S-unknown", "S-null", "L-25"} == set(rules_of(answer))


@pytest.mark.parametrize(("lang", "words"), [("", "is missing"), ("&lang=en", "is missing"), ("&lang=nl", "ontbreekt")])
def test_validate_speaks_the_language_asked_for(rest, lang, words):
    answer = validate(rest, "location", {"id": "LOC-1"}, lang)

    assert words in answer["findings"][0]["message"]


def test_validate_price_is_in_both_languages(rest):
    price = validate(rest, "tariff", tariff_body())["price"]

    assert list(price) == ["en", "nl"]
    assert all(price.values())
    assert price["en"] != price["nl"]


@pytest.mark.parametrize(("stored_type", "met"), [("AD_HOC_PAYMENT", 1), ("REGULAR", 0)])
def test_validate_readiness_counts_what_the_law_asks_next(cpo, rest, stored_type, met):
    factories.put_tariff(cpo, type=stored_type)

    readiness = validate(rest, "location", location_body(help_phone="+31 30 1234567"), "&lang=nl")["readiness"]

    demands = {demand["id"]: demand for demand in readiness.pop("demands")}
    assert readiness == {"profile": "afir-2025-655", "since": "2026-04-14", "advisory": True}
    assert demands["A-ad_hoc"] == {
        "id": "A-ad_hoc", "text": "een bekend tarief voor laden zonder contract", "met": met, "of": 1
    }  # fmt: skip
    assert (demands["A-help_phone"]["met"], demands["A-payment"]["met"]) == (1, 0)


@pytest.mark.parametrize("kind", ["location", "tariff"])
@pytest.mark.parametrize(
    "party", [{}, {"country_code": None, "party_id": None}, {"country_code": "nl", "party_id": "exA"}]
)
def test_validate_the_party_is_the_tokens(cpo, rest, kind, party):
    factories.put_tariff(cpo)
    body = {name: value for name, value in BODIES[kind]().items() if name not in ("country_code", "party_id")}

    answer = validate(rest, kind, body | party)

    assert (answer["verdict"], answer["findings"]) == ("ok", [])


@pytest.mark.parametrize("kind", ["location", "tariff"])
def test_validate_another_party_is_an_error(rest, kind):
    answer = validate(rest, kind, BODIES[kind](country_code="DE", party_id="RIV"), "&lang=nl")

    assert (answer["verdict"], list(answer)) == ("refused", ["verdict", "findings"])
    assert answer["findings"][:2] == [
        uploads.FOREIGN_PARTY.at("/country_code", name="country_code", value='"DE"', own="NL-EXA").as_dict("nl"),
        uploads.FOREIGN_PARTY.at("/party_id", name="party_id", value='"RIV"', own="NL-EXA").as_dict("nl"),
    ]


@pytest.mark.parametrize("kind", ["location", "evse", "connector"])
def test_validate_looks_at_what_is_stored(cpo, rest, kind):
    unknown = validate(rest, kind, BODIES[kind]())
    factories.put_tariff(cpo)
    known = validate(rest, kind, BODIES[kind]())

    assert (rules_of(unknown), rules_of(known)) == (["L-25"], [])


def test_validate_says_nothing_about_another_party(cpo, rival, rest):
    factories.put_location(rival, name="canary")
    factories.put_tariff(rival)

    answer = validate(rest, "location", location_body())

    assert sorted(set(rules_of(answer))) == ["L-25", "S-evse_id"]  # the same evse_id at another party, unnamed
    assert "RIV" not in json.dumps(answer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [None, True, 7, "text", [], [location_body()], {}, {"evses": {}, "elements": 1}])
def test_validate_judges_any_json(rest, kind, body):
    answer = validate(rest, kind, json.dumps(body).encode())

    assert answer["verdict"] == "refused"
    assert answer["findings"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_good", [True, False])
def test_validate_stores_nothing(cpo, rest, kind, is_good):
    factories.connect_to_nowhere(cpo)
    factories.put_tariff(cpo)
    factories.put_location(cpo)
    before = stored.everything(cpo)

    validate(rest, kind, BODIES[kind](last_updated="2026-03-05T00:00:00Z") if is_good else {"id": 1})

    assert stored.everything(cpo) == before


# --- Validate: requests it does not take -------------------------------------------------------------------------------

NOT_JSON = {
    "empty": b"",
    "text": b"nothing",
    "cut off": b'{"id": "LOC',
    "byte order mark": b"\xef\xbb\xbf{}",
    "not UTF-8": b'{"id": "\xff"}',
    "NaN": b'{"max_voltage": NaN}',
    "Infinity": b'{"max_voltage": -Infinity}',
    "key given twice": b'{"id": "1", "id": "2"}',
    "lone surrogate": b'{"id": "\\ud800"}',
    "two documents": b"{} {}",
    "too deep": b"[" * 100 + b"]" * 100,
    "huge number": b'{"price": 1e400}',
    "NUL": b'{"id": "a\x00"}',
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_validate_what_is_not_json_is_400(rest, body):
    assert_problem(rest.call("POST", "/validate?kind=tariff", body), 400, "not acceptable JSON")


def test_validate_gives_the_readers_words(rest):
    assert_problem(rest.call("POST", "/validate?kind=tariff", b'{"a":1,"a":2}'), 400, "key 'a' is given twice")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", ["kind", "location, locations, evse", "tariffs"]),
        ("?kind=", ["kind", "location, locations"]),
        ("?kind=session", ["kind", '"session"', "location, locations"]),
        ("?kind=Location", ["kind", '"Location"']),
        ("?kind=%00%FF", ["kind"]),
        ("?kind=tariff&lang=fr", ["lang", '"fr"', "en, nl"]),
        ("?kind=tariff&lang=", ["lang", "en, nl"]),
    ],
)
def test_validate_a_bad_parameter_is_named(rest, query, words):
    assert_problem(rest.call("POST", "/validate" + query, tariff_body()), 400, *words)


def test_validate_too_many_parameters_are_400(rest):
    assert_problem(rest.call("POST", "/validate?" + "a&" * 2001, tariff_body()), 400)


@pytest.mark.parametrize(
    "given", ["text/plain", "application/x-ndjson", "application/json; charset=latin-1", "multipart/form-data"]
)
def test_validate_another_type_is_415(rest, given):
    assert_problem(
        rest.call("POST", "/validate?kind=tariff", tariff_body(), Content_Type=given), 415, "application/json"
    )


def test_validate_a_compressed_body_is_415(rest):
    assert_problem(rest.call("POST", "/validate?kind=tariff", b"{}", Content_Encoding="gzip"), 415, "Content-Encoding")


@pytest.mark.parametrize("given", ["", "application/json", "APPLICATION/JSON; charset=UTF-8"])
def test_validate_json_may_have_no_type(rest, given):
    response = rest.call("POST", "/validate?kind=tariff", tariff_body(), Content_Type=given)

    assert response.envelope["verdict"] == "ok"


def test_validate_a_body_over_the_limit_is_413(rest):
    body = b'"' + b"x" * (1_048_576 - 2) + b'"'

    assert validate(rest, "tariff", body)["verdict"] == "refused"
    assert_problem(rest.call("POST", "/validate?kind=tariff", body + b" "), 413, "1048576")


def raw_post(rest: Caller, raw: bytes, **environ: str) -> Any:
    """POST bytes as a server hands them over, with headers of one's own choice."""
    given: dict[str, Any] = {"wsgi.input": BytesIO(raw), "CONTENT_TYPE": "application/json"} | environ
    return CLIENT.generic("POST", f"{ROOT}/validate?kind=tariff", headers=rest.headers, **given)


@pytest.mark.parametrize(
    ("body", "status"), [(json.dumps(tariff_body()).encode(), 200), (b" " * 1_048_577, 413), (b"", 400)]
)
def test_validate_a_chunked_body_is_read(rest, body, status):
    assert raw_post(rest, body, HTTP_TRANSFER_ENCODING="chunked").status_code == status


@pytest.mark.parametrize(("length", "status"), [("-1", 400), ("x", 400), ("999", 400), ("", 400), ("9" * 30, 413)])
def test_validate_a_length_that_lies_is_refused(rest, length, status):
    assert_problem(raw_post(rest, b"{}", CONTENT_LENGTH=length), status)


# --- Problems ----------------------------------------------------------------------------------------------------------


def listed(rest: Caller, query: str = "") -> list[tuple[str, str, str]]:
    """Return (kind, id, rule) of one page."""
    response = rest.get("/problems" + query)
    assert response.status_code == 200, response.content
    return [(one["kind"], one["id"], one["finding"]["rule"]) for one in response.envelope["results"]]


def test_problems_of_a_tenant_without_any(rest):
    response = rest.get("/problems")

    assert (response["Content-Type"], response.envelope) == ("application/json", {"results": [], "next": None})


@pytest.fixture
def with_problems(cpo, rival, rest) -> Caller:
    """`cpo` with a gap and warnings in two Locations and a Tariff; `rival` has such things too."""
    for tenant in (cpo, rival):
        factories.put_tariff(tenant, oddity=1)
        factories.put_location(tenant, id="LOC-1", evses=[], opening_times=None)
        factories.put_location(tenant, id="LOC-2", oddity=tenant.party_id, evses=[])
    return rest


ALL = [("location", "LOC-1", "N-opening_times"), ("location", "LOC-2", "S-unknown"), ("tariff", "ADHOC-1", "S-unknown")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ALL),
        ("?severity=gap", ALL[:1]),
        ("?severity=warning", ALL[1:]),
        ("?severity=error", []),
        ("?rule=S-unknown", ALL[1:]),
        ("?rule=S-unknown&kind=tariff", ALL[2:]),
        ("?kind=tariffs", ALL[2:]),
        ("?kind=location&severity=warning", ALL[1:2]),
        ("?limit=1000", ALL),
    ],
)
def test_problems_are_those_asked_for(with_problems, query, expected):
    found = [one for one in listed(with_problems, query) if one[2] in ("N-opening_times", "S-unknown")]

    assert found == expected


def test_problems_are_told_in_the_language_asked_for(with_problems):
    texts = [
        with_problems.get(f"/problems?severity=gap&lang={lang}").envelope["results"][0]["finding"]["message"]
        for lang in ("en", "nl")
    ]

    assert ["missing" in texts[0], "ontbreekt" in texts[1]] == [True, True]


def test_problems_next_is_followed_to_the_end_with_all_that_was_asked(with_problems):
    whole = with_problems.get("/problems?lang=nl&severity=warning").envelope["results"]
    url, pages = "/problems?lang=nl&severity=warning&limit=1", []

    while url:
        page = with_problems.get(url).envelope
        pages.append(page["results"])
        assert page["next"] is None or page["next"].startswith(
            "http://testserver/api/v1/problems?severity=warning&lang=nl"
        )
        url = (page["next"] or "").removeprefix("http://testserver/api/v1")

    assert [len(page) for page in pages] == [1] * len(whole)
    assert [one for page in pages for one in page] == whole


def test_problems_of_another_tenant_are_never_told(with_problems):
    content = with_problems.get("/problems").content.decode()

    assert '"RIV' not in content
    assert content.count("LOC-1") >= 1


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("severity=bad", ["severity", '"bad"', "error, gap, warning"]),
        ("kind=evse", ["kind", '"evse"', "location, locations, tariff, tariffs"]),
        ("rule=L-999", ["rule", '"L-999"', "/api/docs/rules"]),
        ("rule=", ["rule", "/api/docs/rules"]),
        ("lang=de", ["lang", "en, nl"]),
        ("limit=0", ["limit", "1 to 1000"]),
        ("limit=1001", ["limit", "1 to 1000"]),
        ("limit=ten", ["limit", "1 to 1000"]),
        ("limit=", ["limit", "1 to 1000"]),
        ("limit=-1", ["limit", "1 to 1000"]),
        ("limit=%D9%A3", ["limit", "1 to 1000"]),
        ("limit=" + "9" * 5000, ["limit", "1 to 1000"]),
        ("after=nonsense", ["after"]),
        ("after=%00", ["after"]),
        ("after=%C3%A9", ["after"]),
        ("after=a", ["after"]),
    ],
)
def test_problems_a_bad_parameter_is_named(rest, query, words):
    assert_problem(rest.get("/problems?" + query), 400, *words)


# --- Errors ------------------------------------------------------------------------------------------------------------


def test_errors_of_an_unknown_url_are_problems(rest):
    for path in ("/nothing", "/validate/more", "/locations/LOC-0001", "/deliveries/more", "/%FF", "/problems%00"):
        assert_problem(rest.get(path), 404)


def test_errors_without_a_token_are_401_with_the_scheme(db):
    response = CLIENT.get(f"{ROOT}/problems")

    assert_problem(response, 401)
    assert response["WWW-Authenticate"] == "Token"


def test_errors_with_a_pull_token_are_403(cpo):
    for tenant in (cpo, None):
        caller = Caller(ROOT, {"Authorization": f"Token {factories.make_token(tenant, Token.Purpose.PULL)}"})
        assert_problem(caller.get("/problems"), 403)


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        ("/validate", "GET", "POST, OPTIONS"),
        ("/problems", "PATCH", "GET, HEAD, OPTIONS"),
        ("/locations", "PUT", "GET, HEAD, OPTIONS"),
    ],
)
def test_errors_of_a_method_name_those_there_are(rest, path, method, allow):
    response = rest.call(method, path)

    assert_problem(response, 405)
    assert response["Allow"] == allow


def test_options_name_the_methods(rest):
    response = rest.call("OPTIONS", "/validate")

    assert (response.status_code, response["Allow"], response.content) == (204, "POST, OPTIONS", b"")


@pytest.mark.parametrize("path", ["/problems", "/nothing", "/problems?limit=x"])
def test_message_ids_are_echoed(rest, path):
    response = rest.get(path, X_Request_ID="req-1", X_Correlation_ID="cor-1")

    assert (response["X-Request-ID"], response["X-Correlation-ID"]) == ("req-1", "cor-1")


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_slash_at_the_end_makes_no_difference(rest, slash):
    for path in ("/problems", "/deliveries", "/locations", "/tariffs"):
        assert rest.get(path + slash).status_code == 200
    assert rest.call("POST", f"/validate{slash}?kind=tariff", tariff_body()).status_code == 200


def handled(error: Exception) -> Any:
    """Return what a view of the REST side answers to an error."""
    return errors.handle(error, {"request": RequestFactory().get(f"{ROOT}/problems"), "view": None})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Malformed("m"), 400),
        (errors.TooLarge("m"), 413),
        (errors.UnsupportedMedia("m"), 415),
        (errors.WrongPurpose("m"), 403),
        (errors.UnknownObject("m"), 404),
        (errors.Stale("m"), 422),
        (errors.Refused("m"), 422),
    ],
)
def test_errors_have_an_honest_status(db, error, status):
    assert set(assert_problem(handled(error), status, "m")) == {"type", "title", "status", "detail"}


def test_errors_refused_lists_the_findings(db):
    finding = uploads.UNKNOWN_TARIFF.at("/tariff_ids/0", value='"X"')

    problem = assert_problem(handled(errors.Refused.because([finding])), 422, finding.message)

    assert problem["findings"] == [finding.as_dict()]


def test_errors_of_ours_are_500_and_tell_nothing(db):
    problem = assert_problem(handled(RuntimeError("secret")), 500)

    assert "secret" not in json.dumps(problem)


@pytest.mark.django_db(transaction=True)
def test_database_that_does_not_answer_is_503():
    rest = rest_client(factories.make_tenant("EXA"))
    with psycopg.connect(**connection.get_connection_params()) as other, connection.cursor() as cursor:
        other.execute("LOCK TABLE ocpi_location, ocpi_tariff IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SET lock_timeout = '20ms'")

        answers = [
            rest.get("/problems"),
            rest.get("/deliveries"),
            rest.get("/locations"),
            rest.call("POST", "/validate?kind=location", location_body()),
        ]

        cursor.execute("RESET lock_timeout")
    assert [assert_problem(response, 503)["status"] for response in answers] == [503] * 4
    assert [response["Retry-After"] for response in answers] == ["5"] * 4
