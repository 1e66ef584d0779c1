"""The drain, end to end in one process: uploads in, NDW (the simulator) on the other side."""

import datetime as dt
import itertools
import logging
import re
import threading
import time
import uuid
from collections import Counter

import pytest
from django.db import OperationalError, connections
from django.db import connection as database

from ocpi import push, queue, store, tokens
from ocpi.models import Location, Push, PushAttempt
from tenants.models import Connection, ServiceAccount
from tests import factories
from tests.documents import evse_body
from tests.pushing import (
    age,
    claim_one,
    end_leases,
    make_due,
    rename,
    row,
    sent,
    set_status,
    tariff_row,
    two_evses,
)

LOCATION = "/locations/NL/EXA/LOC-0001"
EVSE_1, EVSE_2 = f"{LOCATION}/EVSE-1", f"{LOCATION}/EVSE-2"
TARIFF = "/tariffs/NL/EXA/ADHOC-1"
OTHERS_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
)


@pytest.fixture
def connection(cpo, ndw) -> Connection:
    return factories.make_connection(cpo, ndw)


@pytest.fixture
def delivered(cpo, connection, ndw) -> Connection:
    """A Connection over which NDW has one Location with two EVSEs, and nothing noted of how it got it."""
    factories.put_location(cpo, evses=two_evses())
    push.drain()
    ndw.received.clear()
    return connection


class Drain(threading.Thread):
    """A drain in a thread, as in another process."""

    def __init__(self, longest_s: float = 10) -> None:
        super().__init__()
        self.longest_s = longest_s
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Drain, and remember what went wrong."""
        try:
            push.drain(self.longest_s)
        except Exception as error:
            self.error = error
        finally:
            connections.close_all()


# --- What is sent ------------------------------------------------------------------------------------------------------


def test_push_sends_the_document_as_it_is_served(cpo, connection, ndw, pull):
    factories.put_location(cpo)

    assert push.drain() == 1

    assert sent(ndw) == [("PUT", LOCATION)]
    assert ndw.received[0].raw == bytes(Location.objects.get().body)
    assert ndw.received[0].body == pull.get("/locations/LOC-0001").envelope["data"]
    assert (row(connection).state, push.drain()) == ("delivered", 0)


def test_push_carries_the_correlation_id_of_the_upload_and_the_cpos_party(connection, upload, ndw):
    answer = upload.put(
        "/tariffs/NL/EXA/ADHOC-1", factories.tariff_body(), X_Correlation_ID="corr-7", X_Request_ID="r-7"
    )
    ndw.fail_next("drop")

    push.drain(0)
    make_due(connection)
    push.drain()

    first, second = (request.headers for request in ndw.received)
    assert answer.status_code == 201
    assert (first["x-correlation-id"], second["x-correlation-id"]) == ("corr-7", "corr-7")
    assert len({"r-7", first["x-request-id"], second["x-request-id"]}) == 3
    assert (second["ocpi-from-country-code"], second["ocpi-from-party-id"]) == ("NL", "EXA")
    assert [str(uuid.UUID(headers["x-request-id"])) for headers in (first, second)] == [
        attempt.request_id for attempt in PushAttempt.objects.order_by("pk")
    ]


def test_push_several_changes_are_one_request_with_the_latest_state(cpo, connection, ndw):
    factories.put_location(cpo)
    for status in ("CHARGING", "AVAILABLE", "OUTOFORDER"):
        set_status(cpo, status)

    push.drain()

    assert sent(ndw) == [("PUT", LOCATION)]
    assert ndw.received[0].body["evses"][0]["status"] == "OUTOFORDER"
    assert PushAttempt.objects.get().changes == 4


def test_push_status_of_one_evse_is_patched(cpo, delivered, ndw):
    moment = set_status(cpo, "CHARGING", "EVSE-2")

    push.drain()

    assert sent(ndw) == [("PATCH", EVSE_2)]
    assert ndw.received[0].body == {"status": "CHARGING", "last_updated": moment}
    assert ndw.locations["NL", "EXA", "loc-0001"] == Location.objects.get().document


def test_push_statuses_of_two_evses_are_one_put(cpo, delivered, ndw):
    set_status(cpo, "CHARGING", "EVSE-1")
    set_status(cpo, "CHARGING", "EVSE-2")

    push.drain()

    assert sent(ndw) == [("PUT", LOCATION)]


def test_push_status_back_and_forth_is_one_patch(cpo, delivered, ndw):
    set_status(cpo, "CHARGING")
    set_status(cpo, "AVAILABLE")

    push.drain()

    assert sent(ndw) == [("PATCH", EVSE_1)]


@pytest.mark.parametrize("fault", ["apply_then_drop", "drop", "reset", 503, 408, 3000, "empty"])
def test_push_every_retry_of_a_patch_is_a_put(cpo, delivered, ndw, fault):
    ndw.fail_next(fault)
    set_status(cpo, "CHARGING")

    push.drain(0)
    make_due(delivered)
    push.drain()

    assert sent(ndw) == [("PATCH", EVSE_1), ("PUT", LOCATION)]
    assert ndw.locations["NL", "EXA", "loc-0001"] == Location.objects.get().document
    assert ndw.stale == []


def test_push_removed_evse_is_told_ndw(cpo, delivered, ndw):
    set_status(cpo, "REMOVED", "EVSE-2")

    push.drain()

    assert ndw.locations["NL", "EXA", "loc-0001"]["evses"][1]["status"] == "REMOVED"


def test_push_unpublished_location_goes_once_more(cpo, delivered, ndw):
    factories.put_location(cpo, evses=two_evses(), publish=False, last_updated="2026-03-03T00:00:00Z")
    set_status(cpo, "CHARGING")

    push.drain()

    assert [request.body["publish"] for request in ndw.received] == [False]


def test_push_location_with_gaps_is_withheld_until_they_close(cpo, connection, ndw):
    factories.put_location(cpo, energy_mix=None)
    assert push.drain() == 0

    store.patch_location(
        cpo, "LOC-0001", {"energy_mix": {"is_green_energy": True}, "last_updated": "2026-03-03T00:00:00Z"}
    )
    push.drain()

    assert sent(ndw) == [("PUT", LOCATION)]


# --- The order ---------------------------------------------------------------------------------------------------------


def test_push_tariff_goes_before_the_location_that_names_it(cpo, connection, ndw):
    factories.put_location(cpo)
    factories.put_tariff(cpo)
    ndw.fail_next("delay", path="tariffs", seconds=0.1)

    push.drain()

    assert sent(ndw) == [("PUT", TARIFF), ("PUT", LOCATION)]
    assert ndw.received[1].at - ndw.received[0].at >= 0.1


def test_push_deleted_tariff_goes_after_the_location_that_named_it(cpo, connection, ndw):
    factories.put_tariff(cpo)
    factories.put_location(cpo)
    push.drain()
    connector = evse_body()["connectors"][0] | {"tariff_ids": ["OTHER"], "last_updated": "2026-03-04T00:00:00Z"}
    store.put_connector(cpo, "LOC-0001", "EVSE-1", connector)
    store.delete_tariff(cpo, "ADHOC-1")
    ndw.fail_next("delay", path="locations", seconds=0.1)

    push.drain()

    assert sent(ndw)[2:] == [("PUT", LOCATION), ("DELETE", TARIFF)]
    assert ndw.received[3].at - ndw.received[2].at >= 0.1
    assert (tariff_row(connection).state, ndw.tariffs) == ("delivered", {})


def test_push_tariff_that_comes_back_is_put_again(cpo, connection, ndw):
    factories.put_tariff(cpo)
    push.drain()
    store.delete_tariff(cpo, "ADHOC-1")
    push.drain()

    factories.put_tariff(cpo, last_updated="2026-03-05T00:00:00Z")
    push.drain()

    assert [method for method, _ in sent(ndw)] == ["PUT", "DELETE", "PUT"]
    assert (len(ndw.tariffs), ndw.stale) == (1, [])


# --- Changes, leases and workers next to each other --------------------------------------------------------------------


def test_push_change_during_the_request_is_sent_after_it(transactional_db, cpo, delivered, ndw):
    ndw.fail_next("hang")
    set_status(cpo, "CHARGING")
    drain = Drain()
    ndw.wait_until(lambda: ndw.received)

    moment = set_status(cpo, "AVAILABLE")
    second = row(delivered).next_changed_at
    ndw.faults.release()
    drain.join(10)

    assert [(request.method, request.body["status"]) for request in ndw.received] == [
        ("PATCH", "CHARGING"),
        ("PATCH", "AVAILABLE"),
    ]
    assert ndw.received[1].body["last_updated"] == moment
    assert row(delivered).state == "delivered"
    newest, oldest = PushAttempt.objects.filter(method="PATCH")
    assert (newest.changed_at, oldest.changes, newest.changes) == (second, 1, 1)


def test_push_refusal_of_a_version_that_moved_is_followed_by_the_new_one(transactional_db, cpo, connection, ndw):
    ndw.fail_next("delay", seconds=0.3)
    ndw.fail_next(2001)
    factories.put_location(cpo)
    drain = Drain()
    ndw.wait_until(lambda: ndw.received)

    rename(cpo, "Stadsplein")
    drain.join(10)

    assert [request.ocpi_code for request in ndw.received] == [2001, 1000]
    assert (row(connection).state, ndw.received[1].body["name"]) == ("delivered", "Stadsplein")


def test_push_no_object_has_two_requests_under_way(transactional_db, cpo, connection, ndw):
    """Two workers drain while the CPO goes on uploading."""
    for number in range(8):
        factories.put_location(cpo, id=f"LOC-{number}")
    ndw.fail_next("delay", times=None, seconds=0.03)
    drains = [Drain(), Drain()]
    for number in range(80):
        set_status(cpo, ("CHARGING", "AVAILABLE")[number // 8 % 2], location_id=f"LOC-{number % 8}")
    for drain in drains:
        drain.join(20)
    push.drain()

    arrivals: dict[str, list[float]] = {}
    for request in ndw.received:
        arrivals.setdefault(request.path.split("/")[4], []).append(request.at)
    gaps = [after - before for times in arrivals.values() for before, after in itertools.pairwise(times)]
    assert len(gaps) > 8
    assert min(gaps) >= 0.03
    assert ndw.stale == []
    assert [document for _, document in sorted(ndw.locations.items())] == [
        location.document for location in Location.objects.order_by("ocpi_id")
    ]


def test_push_two_workers_send_nothing_twice(transactional_db, cpo, connection, ndw):
    for number in range(60):
        factories.put_location(cpo, id=f"LOC-{number}")

    drains = [Drain(), Drain()]
    for drain in drains:
        drain.join(20)

    assert Counter(path for _, path in sent(ndw)) == {f"/locations/NL/EXA/LOC-{number}": 1 for number in range(60)}
    assert PushAttempt.objects.count() == 60


def test_push_worker_that_died_is_followed_by_a_put(cpo, delivered, ndw):
    set_status(cpo, "CHARGING")
    claim_one(delivered)
    assert push.drain() == 0

    end_leases(delivered)
    push.drain()

    assert sent(ndw) == [("PUT", LOCATION)]


def test_push_nothing_starts_with_little_lease_left(cpo, connection, ndw):
    factories.put_location(cpo)
    claimed = claim_one(connection)
    claimed.lease_ends = time.monotonic() + push.LEAST_LEASE_S - 0.1

    result = push._attempt(claimed)
    push._write_down([result])

    assert ndw.received == []
    assert (row(connection).lease_token, row(connection).attempts) == (None, 0)
    assert PushAttempt.objects.count() == 0


def test_push_what_could_not_begin_in_time_is_given_back(cpo, connection, ndw):
    for number in range(40):
        factories.put_location(cpo, id=f"LOC-{number}")
    Connection.objects.update(allowance=100, allowance_at=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1))
    ndw.fail_next("delay", times=None, seconds=1)

    made = push.drain(0.05)

    assert 0 < made == len(ndw.received) <= push.THREADS
    waiting = Push.objects.filter(state="dirty")
    assert {(one.lease_token, one.attempts, one.whole) for one in waiting} == {(None, 0, True)}
    assert len(waiting) == 40 - made


def test_push_database_that_goes_away_costs_a_request_but_no_change(transactional_db, cpo, delivered, ndw):
    ndw.fail_next("hang")
    set_status(cpo, "CHARGING")
    drain = Drain()
    ndw.wait_until(lambda: ndw.received)
    with database.cursor() as cursor:
        cursor.execute(OTHERS_END)

    drain.join(10)
    ndw.faults.release()
    assert isinstance(drain.error, OperationalError)

    assert (row(delivered).state, row(delivered).whole) == ("dirty", False)
    end_leases(delivered)
    push.drain()
    assert sent(ndw) == [("PATCH", EVSE_1), ("PUT", LOCATION)]
    assert row(delivered).state == "delivered"


# --- Faults ------------------------------------------------------------------------------------------------------------


def test_push_revoked_token_is_replaced_once_and_blames_nobody(cpo, delivered, ndw):
    ndw.revoke()
    set_status(cpo, "CHARGING")

    push.drain()

    assert [(request.method, request.status) for request in ndw.received] == [("PATCH", 401), ("PATCH", 200)]
    assert len(ndw.token_calls) == 2
    assert [attempt.outcome for attempt in PushAttempt.objects.order_by("pk")][1:] == ["new token", "delivered"]
    assert Connection.objects.get().is_paused is False


def test_push_many_requests_with_a_revoked_token_cost_one_new_one(cpo, connection, ndw):
    for number in range(12):
        factories.put_location(cpo, id=f"LOC-{number}")
    push.drain()
    ndw.revoke()
    for number in range(12):
        set_status(cpo, "CHARGING", location_id=f"LOC-{number}")

    push.drain()

    assert len(ndw.token_calls) == 2
    assert Push.objects.filter(state="delivered").count() == 12


def test_push_second_401_pauses_the_connection(cpo, connection, ndw):
    ndw.fail_next(401, times=2)
    factories.put_location(cpo)

    push.drain()

    connection.refresh_from_db()
    assert (len(ndw.received), len(ndw.token_calls)) == (2, 2)
    assert connection.pause_reason == "NDW refuses this Connection: HTTP 401 also with a new access token"
    assert (row(connection).state, row(connection).attempts) == ("dirty", 0)


def test_push_token_that_was_revoked_again_on_the_way_is_not_the_second_401(cpo, connection, ndw):
    for number in range(2):
        factories.put_location(cpo, id=f"LOC-{number}")
    push.drain()
    ndw.received.clear()
    ndw.revoke()
    ndw.fail_next(
        "delay", path="LOC-1/", times=2, seconds=0.3
    )  # the other has shown by then that the new token is good
    ndw.fail_next(401, path="LOC-1/", times=2)
    for number in range(2):
        set_status(cpo, "CHARGING", location_id=f"LOC-{number}")

    push.drain()

    assert [request.status for request in ndw.received if "LOC-1/" in request.path] == [401, 401, 200]
    assert (len(ndw.token_calls), Connection.objects.get().is_paused) == (3, False)


def test_push_401_of_one_object_under_good_tokens_pauses_after_the_second_new_one(cpo, connection, ndw):
    for number in range(2):
        factories.put_location(cpo, id=f"LOC-{number}")
    push.drain()
    ndw.fail_next("delay", path="LOC-1/", times=None, seconds=0.2)
    ndw.fail_next(401, path="LOC-1/", times=None)
    set_status(cpo, "CHARGING", location_id="LOC-1")
    set_status(cpo, "CHARGING", location_id="LOC-0")

    push.drain()

    assert Connection.objects.get().is_paused
    assert len(ndw.token_calls) <= 3


def test_push_dead_token_of_another_worker_is_not_yet_the_second_401(cpo, delivered, ndw, monkeypatch):
    set_status(cpo, "CHARGING")
    looks = iter([queue.due_connections()])
    account = delivered.service_account
    ours = tokens._cache[account.pk]
    tokens.invalidate(account, ours.token)
    tokens.access_token(account)
    tokens._cache[account.pk] = ours  # as if another process had fetched the new one just after we looked
    ndw.revoke()
    monkeypatch.setattr(queue, "due_connections", lambda look=queue.due_connections: next(looks, None) or look())

    push.drain()

    assert [request.status for request in ndw.received] == [401, 401, 200]
    assert (len(ndw.token_calls), Connection.objects.get().is_paused) == (3, False)


def test_push_401_while_iam_is_down_waits_for_iam(cpo, delivered, ndw):
    ndw.revoke()
    ndw.fail_next(503, kind="token")
    set_status(cpo, "CHARGING")

    push.drain()

    assert ([request.status for request in ndw.received], len(ndw.token_calls)) == ([401], 2)
    assert (row(delivered).state, row(delivered).attempts, row(delivered).lease_token) == ("dirty", 0, None)
    assert (Connection.objects.get().is_paused, Connection.objects.get().probe_at) == (False, None)

    ServiceAccount.objects.update(fetching_until=None)
    push.drain()
    assert row(delivered).state == "delivered"


def test_push_while_iam_is_down_nothing_is_tried_and_nobody_blamed(cpo, connection, ndw):
    ndw.fail_next(503, kind="token", times=None)
    factories.put_location(cpo)

    for _ in range(5):
        push.drain()

    assert (len(ndw.token_calls), ndw.received) == (1, [])
    assert (row(connection).attempts, Connection.objects.get().failures) == (0, 0)


def test_push_refused_account_pauses_all_its_connections(cpo, rival, ndw):
    connections_of_account = [factories.make_connection(tenant, ndw) for tenant in (cpo, rival)]
    ndw.fail_next(401, kind="token", times=None)
    factories.put_location(cpo)
    factories.put_location(rival)

    push.drain()

    reasons = {Connection.objects.get(pk=one.pk).pause_reason for one in connections_of_account}
    assert len(reasons) == 1
    assert "answered HTTP 401" in reasons.pop()
    assert len(ndw.token_calls) == 1


def test_push_refusal_of_an_account_may_quote_anything_but_is_kept_without_the_secret(cpo, connection, ndw):
    ndw.fail_next(401, kind="token", body=f"bad\x00client {ndw.client_secret}")
    factories.put_location(cpo)

    push.drain()

    assert Connection.objects.get().pause_reason == f"{ndw.token_url} answered HTTP 401: bad�client <client secret>"


def test_push_account_that_cannot_be_opened_stops_no_other(cpo, rival, ndw):
    factories.make_connection(cpo, ndw)
    other = factories.connect_to_nowhere(rival)
    other.resume()
    ServiceAccount.objects.filter(pk=other.service_account_id).update(
        client_secret_sealed="v1.gone.AAAA", token_url=ndw.token_url
    )
    factories.put_location(cpo)
    factories.put_location(rival)

    push.drain()

    assert sent(ndw) == [("PUT", LOCATION)]
    assert Connection.objects.get(pk=other.pk).is_paused is True


def test_push_url_that_is_not_allowed_pauses(cpo, connection, ndw):
    Connection.objects.update(push_url="https://other.example/ocpi")
    factories.put_location(cpo)

    push.drain()

    assert "other.example: not in NDW_ALLOWED_HOSTS" in Connection.objects.get().pause_reason
    assert ndw.token_calls == []


def test_push_429_rests_the_whole_connection_but_no_other(cpo, rival, connection, ndw):
    other = factories.make_connection(rival, ndw)
    ndw.fail_next(429, path="/EXA/", headers={"Retry-After": "40"}, times=None)
    for number in range(3):
        factories.put_location(cpo, id=f"LOC-{number}")
    factories.put_location(rival)

    push.drain()
    push.drain()

    probe_at = Connection.objects.get(pk=connection.pk).probe_at
    assert probe_at is not None
    assert 38 < (probe_at - dt.datetime.now(dt.UTC)).total_seconds() <= 40
    assert sum("/EXA/" in path for _, path in sent(ndw)) <= 3
    assert row(other).state == "delivered"


def test_push_outage_opens_the_circuit_and_one_probe_closes_it(cpo, connection, ndw):
    factories.put_tariff(cpo)
    push.drain()
    ndw.received.clear()
    for number in range(30):
        factories.put_location(cpo, id=f"LOC-{number}")
    with ndw.down():
        push.drain()
        assert Connection.objects.get().failures >= 5
        assert queue.due_connections() == []
    age(connection, 6)
    ndw.fail_next("delay", seconds=0.1)

    push.drain()

    first, *others = ndw.received
    assert min(request.at for request in others) >= first.at + 0.1
    assert (len(others), Push.objects.filter(state="delivered").count()) == (29, 31)
    assert Connection.objects.get().failures == 0


def test_push_probe_that_fails_is_the_only_one_for_five_seconds(cpo, connection, ndw):
    for number in range(30):
        factories.put_location(cpo, id=f"LOC-{number}")
    Connection.objects.update(failures=5)
    ndw.fail_next(503, times=None)

    for _ in range(3):
        push.drain()

    assert len(ndw.received) == 1


def test_push_object_that_cannot_be_sent_stops_no_other(cpo, delivered, ndw):
    set_status(cpo, "CHARGING")
    Location.objects.update(body=b"{")  # it should never come to this
    factories.put_location(cpo, id="LOC-2")

    push.drain()

    assert sent(ndw) == [("PUT", "/locations/NL/EXA/LOC-2")]
    assert (row(delivered).state, row(delivered).last_answer) == ("rejected", "our own fault: JSONDecodeError")


def test_push_object_that_is_always_refused_is_sent_once(cpo, connection, ndw):
    ndw.fail_next(2001, path="LOC-3$", times=None)
    for number in range(10):
        factories.put_location(cpo, id=f"LOC-{number}")

    push.drain()
    make_due(connection)
    push.drain()

    assert len(ndw.received) == 10
    assert [str(one) for one in Push.objects.exclude(state="delivered")] == ["location LOC-3"]


def test_push_now_sends_a_rejected_object_again(cpo, connection, ndw):
    ndw.fail_next(2001)
    factories.put_location(cpo)
    push.drain()

    queue.send_again(Push.objects.all())
    push.drain()

    assert row(connection).state == "delivered"
    assert [attempt.changed_at is None for attempt in PushAttempt.objects.order_by("pk")] == [False, True]


# --- Too large ---------------------------------------------------------------------------------------------------------


def test_push_location_too_large_goes_as_itself_and_its_evses(cpo, delivered, ndw):
    ndw.fail_next(413, method="PUT", path="LOC-0001$")
    rename(cpo, "Stadsplein")

    push.drain()

    assert sent(ndw) == [("PUT", LOCATION), ("PATCH", LOCATION), ("PUT", EVSE_1), ("PUT", EVSE_2)]
    assert row(delivered).state == "delivered"
    assert ndw.locations["NL", "EXA", "loc-0001"] == Location.objects.get().document


def test_push_new_location_too_large_is_made_without_its_evses_first(cpo, connection, ndw):
    ndw.fail_next(413, method="PUT", path="LOC-0001$")
    factories.put_location(cpo, evses=two_evses())

    push.drain()

    assert sent(ndw)[1:] == [("PATCH", LOCATION), ("PUT", LOCATION), ("PUT", EVSE_1), ("PUT", EVSE_2)]
    assert row(connection).state == "delivered"
    assert ndw.locations["NL", "EXA", "loc-0001"] == Location.objects.get().document


def test_push_location_too_large_goes_on_where_it_stopped(cpo, delivered, ndw):
    ndw.fail_next(413, method="PUT", path="LOC-0001$", times=None)
    ndw.fail_next(503, path="EVSE-2$")
    rename(cpo, "Stadsplein")

    push.drain(0)
    make_due(delivered)
    push.drain(0)

    first = [("PUT", LOCATION), ("PATCH", LOCATION)]
    assert sent(ndw) == [*first, ("PUT", EVSE_1), ("PUT", EVSE_2), *first, ("PUT", EVSE_2)]
    assert row(delivered).state == "delivered"


def test_push_evse_too_large_rejects_the_location(cpo, delivered, ndw):
    ndw.fail_next(413, method="PUT", path="LOC-0001$")
    ndw.fail_next(413, path="EVSE-1$")
    rename(cpo, "Stadsplein")

    push.drain()

    assert sent(ndw) == [("PUT", LOCATION), ("PATCH", LOCATION), ("PUT", EVSE_1)]
    assert (row(delivered).state, row(delivered).last_answer[:31]) == ("rejected", "EVSE EVSE-1 is too large for ND")


def test_push_tariff_too_large_is_rejected(cpo, connection, ndw):
    ndw.fail_next(413, times=None)
    factories.put_tariff(cpo)

    push.drain()

    assert (sent(ndw), tariff_row(connection).state) == ([("PUT", TARIFF)], "rejected")


# --- Many tenants, many objects ----------------------------------------------------------------------------------------


def test_push_noisy_tenant_does_not_hold_up_another(cpo, rival, connection, ndw):
    factories.make_connection(rival, ndw)
    for number in range(150):
        factories.put_location(cpo, id=f"LOC-{number}")
    factories.put_location(rival)

    push.drain()

    place = [path for _, path in sent(ndw)].index("/locations/NL/RIV/LOC-0001")
    assert place <= 2 * push.THREADS
    assert len(ndw.received) == 151


def test_push_slow_target_leaves_threads_to_the_others(cpo, connection, ndw, monkeypatch):
    monkeypatch.setattr(push, "SLOW_MS", 100)
    monkeypatch.setattr(push, "_took_ms", {})
    ndw.fail_next("delay", times=None, seconds=0.3)
    for number in range(30):
        factories.put_location(cpo, id=f"LOC-{number}")

    push.drain()

    made = [request.at for request in ndw.received]
    assert len(made) == 30
    assert max(sum(at <= other < at + 0.25 for other in made) for at in made) == push.SLOW_SHARE


def test_push_stays_within_the_rate_cap(cpo, connection, ndw, settings):
    settings.NDW_RATE_CAP = 60
    for number in range(60):
        factories.put_location(cpo, id=f"LOC-{number}")

    started = time.time()
    push.drain(0.8)

    made = [request.at for request in ndw.received]
    for at in made:
        assert sum(at <= other < at + 0.5 for other in made) <= 0.5 * 60 + 0.05 * 60 + 1
    assert 0.8 * 60 * 0.7 <= len(made) <= (time.time() - started) * 60 + 3


# --- Secrets -----------------------------------------------------------------------------------------------------------


def test_push_secrets_are_nowhere_in_clear(cpo, connection, ndw, caplog):
    caplog.set_level(logging.DEBUG)
    ndw.fail_next("html")
    factories.put_location(cpo)
    push.drain(0)
    make_due(connection)
    push.drain(0)
    token = ndw.received[0].headers["authorization"].removeprefix("Bearer ")
    ndw.fail_next(502, body=f"<pre>Authorization: Bearer {token}</pre>")
    set_status(cpo, "CHARGING")

    push.drain(0)

    kept = caplog.text + everything_stored()
    assert "Authorization: Bearer <access token>" in PushAttempt.objects.all()[0].answer
    assert ndw.client_id in kept
    for secret in (ndw.client_secret, token, *(call.raw.decode() for call in ndw.token_calls)):
        assert secret not in kept


def everything_stored() -> str:
    """Return every row of every table as text, and what is base64 in it also decoded."""
    with database.cursor() as cursor:
        names = [name for name in database.introspection.table_names(cursor) if re.match("ocpi|tenants", name)]
        rows = []
        for name in names:
            cursor.execute(f'SELECT t::text FROM "{name}" t')
            rows += [text for (text,) in cursor.fetchall()]
    return "\n".join(rows)
