"""Every row of the push client's action table, and what it leads to. Source: protocol §9."""

import datetime as dt
import json
from email.utils import format_datetime

import pytest

from ocpi import ndw as client
from ocpi import push, rulings, store
from ocpi.ndw import Answer
from ocpi.rulings import Do
from tenants.models import Connection
from tests import factories
from tests.pushing import make_due, rename, row, sent, set_status, tariff_row

LOCATION, EVSE = "/locations/NL/EXA/LOC-0001", "/locations/NL/EXA/LOC-0001/EVSE-1"


def envelope(code: int) -> str:
    return json.dumps({"status_code": code, "timestamp": "2026-03-02T10:00:00Z"})


def judge(method: str, http_status: int, text: str = "", *, is_part: bool = False, tries: int = 1, **headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return rulings.judge(method, is_part=is_part, tries=tries, answer=Answer(http_status, named, text))


# method, part, tries, HTTP status, body -> what to do
PUT, PATCH, DELETE = ("PUT", False), ("PATCH", True), ("DELETE", False)
TABLE = [
    # 200 or 201 with 1xxx, either one, for any PUT; OCPI's 200 for a DELETE is tolerated
    *[(PUT, 1, status, envelope(code), Do.DELIVERED) for status in (200, 201) for code in (1000, 1999)],
    (PATCH, 1, 200, envelope(1000), Do.DELIVERED),
    (DELETE, 1, 200, envelope(1000), Do.DELIVERED),
    # 204: NDW's DELETE; tolerated elsewhere
    *[(kind, 1, 204, "", Do.DELIVERED) for kind in (DELETE, PUT, PATCH)],
    # 200 with 2xxx: the content is refused
    *[(PUT, 1, 200, envelope(code), Do.REJECTED) for code in (2000, 2001, 2002, 2003, 2999)],
    *[(PATCH, 1, 200, envelope(code), Do.REJECTED) for code in (2000, 2001, 2002, 2999)],
    (PATCH, 1, 200, envelope(2003), Do.WHOLE),
    # 200 with 3xxx, 4xxx
    *[(PUT, 1, 200, envelope(code), Do.RETRY) for code in (3000, 3999, 4002, 4003)],
    *[(PUT, 1, 200, envelope(code), Do.PAUSE) for code in (3001, 3002, 3003, 4001)],
    # 200 or 201 that says nothing: five tries
    *[
        (PUT, tries, status, text, do)
        for tries, do in ((1, Do.RETRY), (4, Do.RETRY), (5, Do.QUARANTINED))
        for status in (200, 201)
        for text in ("", "<html>", '{"status_code": 10', "{}", '{"status_code": "1000"}', envelope(200), "[]", "null")
    ],
    # HTTP says it
    *[
        (PUT, 1, status, envelope(2000), Do.QUARANTINED)
        for status in (400, 404, 405, 406, 410, 411, 414, 415, 501, 505)
    ],
    *[(PUT, 1, status, "", Do.PAUSE) for status in (301, 302, 303, 307, 308, 403)],
    *[(PUT, 1, status, "", Do.RETRY) for status in (408, 425, 500, 502, 503, 504)],
    (PUT, 1, 401, "", Do.REAUTHENTICATE),
    (PUT, 1, 413, "", Do.SPLIT),
    (PATCH, 1, 413, "", Do.REJECTED),
    (PUT, 1, 422, envelope(2001), Do.REJECTED),
    (PUT, 1, 429, "", Do.THROTTLED),
    (PATCH, 1, 404, "", Do.WHOLE),
    *[(DELETE, 1, status, "", Do.DELIVERED) for status in (404, 410)],
    # 409, 412: one full PUT, then rejected
    *[(kind, 1, status, "", Do.WHOLE) for kind in (PUT, PATCH) for status in (409, 412)],
    *[(PUT, 2, status, "", Do.REJECTED) for status in (409, 412)],
    # An HTTP error wins over whatever its body says
    (PUT, 1, 500, envelope(1000), Do.RETRY),
    (PUT, 1, 400, envelope(1000), Do.QUARANTINED),
]


@pytest.mark.parametrize(("kind", "tries", "http_status", "text", "do"), TABLE)
def test_rulings_action_table(kind, tries, http_status, text, do):
    method, is_part = kind

    assert judge(method, http_status, text, is_part=is_part, tries=tries).do is do


@pytest.mark.parametrize(
    ("error", "do"),
    [
        (client.NdwError("ConnectTimeout"), Do.RETRY),
        (client.NdwError("ReadTimeout"), Do.RETRY),
        (client.Insecure("TLS: certificate has expired"), Do.PAUSE),
    ],
)
def test_rulings_no_answer(error, do):
    assert rulings.judge_error(error).do is do


def test_rulings_request_that_nobody_answered_may_yet_arrive():
    assert rulings.judge_error(client.Unanswered("ReadTimeout")).may_arrive is True
    assert rulings.judge_error(client.NdwError("ConnectionRefusedError")).may_arrive is False


@pytest.mark.parametrize(("tries", "is_lasting"), [(10, False), (11, True)])
@pytest.mark.parametrize("code", [3000, 3900])
def test_rulings_3xxx_is_tried_ten_times_fast_and_then_slowly(code, tries, is_lasting):
    assert judge("PUT", 200, envelope(code), tries=tries).is_lasting is is_lasting


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0", 1),
        ("900", 900),
        ("901", 900),
        ("1" * 5000, 900),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_rulings_retry_after_in_seconds(status, value, seconds):
    assert judge("PUT", status, retry_after=value).wait_s == seconds


@pytest.mark.parametrize(("offset_s", "least", "most"), [(100, 95, 100), (-100, 1, 1), (99_999, 900, 900)])
def test_rulings_retry_after_as_a_date(offset_s, least, most):
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=offset_s)

    assert least <= (judge("PUT", 429, retry_after=format_datetime(moment, usegmt=True)).wait_s or 0) <= most


def test_rulings_reason_can_be_stored():
    assert rulings.judge_error(client.NdwError("a\x00b" * 1000)).reason == ("ab" * 1000)[:500]


def test_rulings_answer_longer_than_its_cap_is_no_answer():
    assert rulings.judge("PUT", is_part=False, tries=1, answer=Answer(200, {}, envelope(1000), False)).do is Do.RETRY


# --- The important ones, end to end --------------------------------------------------------------------------------------


@pytest.fixture
def connection(cpo, ndw) -> Connection:
    return factories.make_connection(cpo, ndw)


@pytest.fixture
def delivered(cpo, connection, ndw) -> Connection:
    """A Connection whose one Location NDW has."""
    factories.put_location(cpo)
    push.drain()
    ndw.received.clear()
    return connection


def test_rulings_2001_rejects_until_the_object_changes(cpo, connection, ndw):
    ndw.fail_next(2001, status_message="opening_times: odd")
    factories.put_location(cpo)

    push.drain()

    make_due(connection)
    push.drain()
    assert (row(connection).state, len(ndw.received)) == ("rejected", 1)
    assert row(connection).last_answer.startswith('OCPI 2001 {"status_code":2001,"status_message":"opening_times: odd"')

    rename(cpo, "Stadsplein")
    push.drain()
    assert (row(connection).state, len(ndw.received), row(connection).last_answer) == ("delivered", 2, "")


@pytest.mark.parametrize("fault", [404, 2003])
def test_rulings_patch_without_a_base_becomes_one_put(cpo, delivered, ndw, fault):
    ndw.fail_next(fault, method="PATCH")
    set_status(cpo, "CHARGING")

    push.drain()

    assert sent(ndw) == [("PATCH", EVSE), ("PUT", LOCATION)]
    assert (row(delivered).state, ndw.received[1].body["evses"][0]["status"]) == ("delivered", "CHARGING")


def test_rulings_patch_without_a_base_is_rejected_when_the_put_is_too(cpo, delivered, ndw):
    ndw.fail_next(2003, times=2)
    set_status(cpo, "CHARGING")

    push.drain()

    assert sent(ndw) == [("PATCH", EVSE), ("PUT", LOCATION)]
    assert row(delivered).state == "rejected"


@pytest.mark.parametrize("status", [409, 412])
def test_rulings_conflict_is_one_put_more_and_then_rejected(cpo, connection, ndw, status):
    ndw.fail_next(status, times=None)
    factories.put_location(cpo)

    push.drain()

    assert sent(ndw) == [("PUT", LOCATION)] * 2
    assert row(connection).state == "rejected"


def test_rulings_answers_without_an_envelope_to_three_objects_pause(cpo, connection, ndw):
    ndw.fail_next("html", times=None)
    for number in range(3):
        factories.put_location(cpo, id=f"LOC-{number}")

    for _ in range(15):
        make_due(connection)
        push.drain(0)

    reason = Connection.objects.get().pause_reason
    assert (
        reason == "NDW gave 3 objects in a row the same answer: No usable OCPI envelope, again and again"[: len(reason)]
    )
    assert Connection.objects.get().is_paused


def test_rulings_one_object_without_an_envelope_pauses_nobody_however_often_it_changes(cpo, connection, ndw):
    ndw.fail_next("html", times=None)
    for number in range(4):
        rename(cpo, f"Plein {number}") if number else factories.put_location(cpo)
        for _ in range(5):
            make_due(connection)
            push.drain(0)

    assert (row(connection).state, len(ndw.received)) == ("rejected", 20)
    assert not Connection.objects.get().is_paused


@pytest.mark.parametrize("answer", ["html", 409])
def test_rulings_outage_does_not_count_as_answers_of_another_kind(cpo, connection, ndw, answer):
    factories.put_location(cpo)

    for fault in (503, 503, "drop", 503, answer):
        ndw.fail_next(fault)
        make_due(connection)
        push.drain(0)
    push.drain()
    make_due(connection)
    push.drain()

    assert (row(connection).state, len(ndw.received)) == ("delivered", 6)


def test_rulings_delete_of_an_unknown_tariff_is_done(cpo, connection, ndw):
    factories.put_tariff(cpo)
    push.drain()
    ndw.tariffs.clear()

    store.delete_tariff(cpo, "ADHOC-1")
    push.drain()

    assert [(request.method, request.status) for request in ndw.received] == [("PUT", 201), ("DELETE", 404)]
    assert tariff_row(connection).state == "delivered"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (403, "NDW refuses this Connection: HTTP 403"),
        (3001, "NDW refuses this Connection: OCPI 3001"),
        (4001, "NDW refuses this Connection: OCPI 4001"),
        (308, "NDW refuses this Connection: HTTP 308"),
    ],
)
def test_rulings_what_concerns_the_connection_pauses_it(cpo, connection, ndw, fault, reason):
    ndw.fail_next(fault)
    factories.put_location(cpo)

    push.drain()

    connection.refresh_from_db()
    assert (connection.is_paused, connection.pause_reason, len(ndw.received)) == (True, reason, 1)
    assert (row(connection).state, row(connection).attempts) == ("dirty", 0)


@pytest.mark.parametrize(
    "fault", ["html", "empty", "garbage", "bad_utf8", "no_status_code", "truncate", "gzip_bomb", "big"]
)
def test_rulings_answer_without_an_envelope_is_retried_and_then_quarantined(cpo, connection, ndw, fault):
    ndw.fail_next(fault, times=None)
    factories.put_location(cpo)

    for tries in range(1, 6):
        assert (row(connection).state, row(connection).attempts) == ("dirty", tries - 1)
        make_due(connection)
        push.drain(0)

    make_due(connection)
    assert (row(connection).state, push.drain(), len(ndw.received)) == ("rejected", 0, 5)
