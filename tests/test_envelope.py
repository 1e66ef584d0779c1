"""What every answer has in common, and the answers to requests that no view sees."""

import datetime as dt
import re
import time
from typing import Any

import orjson
import psycopg
import pytest
from django.db import InternalError, connection, transaction
from django.test import RequestFactory

from ocpi import envelope, errors
from ocpi.models import Location
from tests import factories
from tests.conftest import Caller, puller, uploader
from tests.documents import location_body

LOC = "/locations/NL/EXA/LOC-0001"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CALLER = {"OCPI_from_country_code": "DE", "OCPI_from_party_id": "ABC"}


def answer(response: Any) -> tuple[int, int]:
    """Return HTTP status and OCPI status code."""
    return response.status_code, response.envelope["status_code"]


def routing(response: Any) -> list[str | None]:
    """Return who the answer is from and for."""
    return [response.get(f"OCPI-{way}-{name}") for way in ("from", "to") for name in ("country-code", "party-id")]


# --- The body ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 404])
def test_envelope_has_exactly_its_four_properties(status):
    with_data = orjson.loads(envelope.answer(code=2003, message='"é"', http_status=status, data=b'[{"a":1}]').content)
    without = orjson.loads(envelope.answer(http_status=status).content)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", with_data.pop("timestamp"))
    assert with_data == {"data": [{"a": 1}], "status_code": 2003, "status_message": '"é"'}
    assert {**without, "timestamp": ""} == {"status_code": 1000, "status_message": "Success", "timestamp": ""}


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (dt.datetime(2026, 3, 2, 9, 15, tzinfo=dt.UTC), "2026-03-02T09:15:00Z"),
        (dt.datetime(2026, 3, 2, 9, 15, 0, 250_999, tzinfo=dt.UTC), "2026-03-02T09:15:00.250Z"),
        (dt.datetime(2026, 3, 2, 9, 15, 0, 999, tzinfo=dt.UTC), "2026-03-02T09:15:00Z"),
        (dt.datetime(2026, 3, 2, 9, 15, tzinfo=dt.timezone(dt.timedelta(hours=1))), "2026-03-02T08:15:00Z"),
    ],
)
def test_timestamp_is_utc_with_three_fraction_digits_or_none(moment, text):
    assert envelope.timestamp(moment) == text


@pytest.mark.parametrize(("documents", "data"), [([], []), ([b'{"a":1}'], [{"a": 1}]), ([b"1", b"2", b"3"], [1, 2, 3])])
def test_page_glues_documents_together(documents, data):
    response = envelope.page(documents, total=7, limit=3, next_url="http://x/?a=1")

    assert orjson.loads(response.content)["data"] == data
    assert (response["X-Total-Count"], response["X-Limit"], response["Link"]) == (
        "7",
        "3",
        '<http://x/?a=1>; rel="next"',
    )


# --- Headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"), [(LOC, 200), ("/locations/NL/EXA/NONE", 404), ("/locations/NL/EXA/%00", 404), ("/nothing", 404)]
)
def test_message_ids_are_echoed_also_on_errors(cpo, upload, path, status):
    factories.put_location(cpo)

    response = upload.get(path, X_Request_ID="req-1", X_Correlation_ID="cor-1")

    assert response.status_code == status
    assert (response["X-Request-ID"], response["X-Correlation-ID"]) == ("req-1", "cor-1")


def test_message_ids_are_echoed_on_401(db):
    response = Caller("/ocpi/receiver", {}).get("/versions", X_Request_ID="req-1", X_Correlation_ID="cor-1")

    assert (response.status_code, response["X-Request-ID"], response["X-Correlation-ID"]) == (401, "req-1", "cor-1")


@pytest.mark.parametrize("given", [None, "", "a b", "a\tb", "é", "x" * 101])
def test_message_ids_are_made_when_absent_or_unusable(cpo, upload, given):
    headers = {} if given is None else {"X_Request_ID": given, "X_Correlation_ID": given}

    response = upload.put(LOC, location_body(), **headers)

    assert response.status_code == 201
    assert UUID.fullmatch(response["X-Request-ID"])
    assert UUID.fullmatch(response["X-Correlation-ID"])
    assert response["X-Request-ID"] != response["X-Correlation-ID"]


def test_routing_headers_are_swapped(cpo, upload, pull):
    factories.put_location(cpo)
    swapped = ["NL", "EXA", "DE", "ABC"]

    assert routing(upload.get(LOC, **CALLER)) == swapped
    assert routing(upload.put(LOC, [], **CALLER)) == swapped
    assert routing(upload.get("/locations/NL/EXA/NONE", **CALLER)) == swapped
    assert routing(pull.get("/tariffs", **CALLER)) == swapped


@pytest.mark.parametrize("headers", [{}, {"OCPI_from_party_id": "ABC"}, CALLER | {"OCPI_from_party_id": "A\rB"}])
def test_routing_headers_are_left_out_when_the_caller_gave_none(cpo, upload, headers):
    assert routing(upload.get(LOC, **headers)) == [None] * 4


def test_versions_carry_no_routing_headers(cpo, upload, pull):
    to_another = {"OCPI_to_country_code": "NL", "OCPI_to_party_id": "RIV"}
    callers = [Caller("/ocpi/receiver", upload.headers), Caller("/ocpi/sender/NL/EXA", pull.headers)]

    for response in (
        caller.get(path, **CALLER, **to_another) for caller in callers for path in ("/versions", "/2.2.1")
    ):
        assert (answer(response), routing(response)) == ((200, 1000), [None] * 4)


@pytest.mark.parametrize("path", [LOC, "/locations/NL/EXA/NONE", "/nothing"])
def test_answers_are_json_and_not_cached_whatever_is_accepted(cpo, upload, path):
    factories.put_location(cpo)

    for accept in ("text/html", "image/*;q=1", "\xff", "application/xml"):
        response = upload.get(f"{path}?format=xml", Accept=accept, Range="bytes=0-1", If_None_Match="*")

        assert (response["Content-Type"], response["Cache-Control"]) == ("application/json", "no-store")
        assert response.status_code in (200, 404)


# --- What no view sees -------------------------------------------------------------------------------------------------

NOWHERE = [
    "/ocpi/",
    "/ocpi/versions",
    "/ocpi/receiver/2.1.1",
    "/ocpi/receiver/2.2.1/credentials",
    "/ocpi/receiver/2.2.1/tariffs",
    "/ocpi/receiver/2.2.1/tariffs/NL/EXA",
    "/ocpi/receiver/2.2.1/tariffs/NL/EXA/A%2FB",
    "/ocpi/receiver/2.2.1/tariffs/NL/EXA/..%2f..",
    "/ocpi/receiver/2.2.1//tariffs/NL/EXA/A",
    "/ocpi/receiver/2.2.1/tariffs/NL/EXA/A//",
    "/ocpi/receiver/2x2x1",
    "/ocpi/sender/NL/EXA/2.2.1/sessions",
]


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_unknown_path_is_404_in_an_envelope_without_redirect(cpo, upload, path, method):
    response = Caller("", upload.headers).call(method, path, location_body())

    assert (answer(response), response["Content-Type"]) == ((404, 2000), "application/json")
    assert "Location" not in response


@pytest.mark.django_db(transaction=True)
def test_database_that_does_not_answer_is_503_and_nothing_is_stored():
    cpo = factories.make_tenant("EXA")
    upload, pull = uploader(cpo), puller(cpo)
    with psycopg.connect(**connection.get_connection_params()) as other, connection.cursor() as cursor:
        other.execute("LOCK TABLE ocpi_location IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SET lock_timeout = '20ms'")

        answers = [upload.put(LOC, location_body()), upload.get(LOC), pull.get("/locations")]

        cursor.execute("RESET lock_timeout")
    assert [(answer(response), response["Retry-After"]) for response in answers] == [((503, 3000), "5")] * 3
    assert Location.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_database_that_only_reads_is_503():
    upload = uploader(factories.make_tenant("EXA"))
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")

        response = upload.put(LOC, location_body())

        cursor.execute("RESET default_transaction_read_only")
    assert (answer(response), response["Retry-After"], Location.objects.count()) == ((503, 3000), "5", 0)


@pytest.mark.django_db(transaction=True)
def test_process_that_was_frozen_in_a_transaction_answers_503():
    request = RequestFactory().put("/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001")

    def freeze() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
            time.sleep(0.3)
            cursor.execute("SELECT 1")

    with pytest.raises(InternalError) as ended:
        freeze()
    response = errors.handle(ended.value, {"request": request})

    said = (response.status_code, orjson.loads(response.content)["status_code"], response["Retry-After"])
    assert said == (503, 3000, "5")


def test_our_own_mistake_is_500_and_tells_nothing():
    request = RequestFactory().get("/ocpi/receiver/versions")

    response = errors.handle(ZeroDivisionError("secret"), {"request": request})

    assert (response.status_code, orjson.loads(response.content)["status_code"]) == (500, 3000)
    assert b"secret" not in response.content


def test_a_session_opens_no_door_of_the_api(cpo, admin_client):
    factories.put_location(cpo)

    response = admin_client.get(f"/ocpi/receiver/2.2.1{LOC}")

    assert (response.status_code, response.json()["status_code"]) == (401, 2000)
