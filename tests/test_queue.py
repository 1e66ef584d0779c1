"""Push rows as a queue: what an upload leaves in them, who may take them, what an answer makes of them."""

import datetime as dt
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections

from ocpi import push, queue, store
from ocpi.envelope import correlation_id
from ocpi.models import Push, PushAttempt
from ocpi.queue import Claimed
from ocpi.rulings import Do
from tenants.models import Connection
from tests import factories
from tests.pushing import (
    age,
    answer,
    claim,
    claim_one,
    end_leases,
    make_due,
    record,
    rename,
    row,
    set_status,
    tariff_row,
    two_evses,
)


@pytest.fixture
def connection(cpo, ndw) -> Connection:
    return factories.make_connection(cpo, ndw)


@pytest.fixture
def delivered(cpo, connection) -> Connection:
    """A Connection over which NDW has accepted Location LOC-0001, with two EVSEs."""
    factories.put_location(cpo, evses=two_evses())
    record(claim_one(connection))
    return connection


def unanswered(claimed: Claimed) -> None:
    """Write down that NDW did not answer in time."""
    result = answer(claimed, Do.RETRY)
    result.ruling.may_arrive = True
    queue.record([result])


def gathered(connection: Connection) -> tuple[str, bool, str | None, int, int]:
    push = row(connection)
    return push.state, push.whole, push.evse_uid, push.version, push.changes


# --- What uploads gather -----------------------------------------------------------------------------------------------


def test_queue_changes_before_sending_are_one_row_with_the_first_clock(cpo, connection):
    factories.put_location(cpo)
    started = row(connection).changed_at

    rename(cpo, "Stadsplein")
    set_status(cpo, "CHARGING")

    assert gathered(connection) == ("dirty", True, None, 3, 3)
    assert row(connection).changed_at == started
    assert b'"Stadsplein"' in claim_one(connection).body


def test_queue_what_waits_keeps_its_place_however_often_it_changes(cpo, connection):
    factories.put_location(cpo)
    age(connection, 30)
    due_at = row(connection).due_at

    rename(cpo, "Stadsplein")

    assert row(connection).due_at == due_at
    assert 29 < queue.oldest_due_s() < 40
    rename(cpo, "Kerkplein")
    record(claim_one(connection))
    rename(cpo, "Marktplein")
    assert queue.oldest_due_s() < 1


def test_queue_status_of_one_evse_is_a_part(cpo, delivered):
    set_status(cpo, "CHARGING")
    set_status(cpo, "AVAILABLE")

    assert gathered(delivered) == ("dirty", False, "EVSE-1", 3, 2)
    assert row(delivered).priority == Push.Priority.STATUS


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([("EVSE-1", "CHARGING"), ("EVSE-2", "CHARGING")], id="two EVSEs"),
        pytest.param([("EVSE-1", "CHARGING"), ("EVSE-2", "CHARGING"), ("EVSE-1", "AVAILABLE")], id="and back"),
        pytest.param([("EVSE-1", "CHARGING"), (None, "Stadsplein")], id="then another field"),
        pytest.param([(None, "Stadsplein"), ("EVSE-1", "CHARGING")], id="after another field"),
    ],
)
def test_queue_anything_more_is_the_whole(cpo, delivered, changes):
    for evse_uid, value in changes:
        set_status(cpo, value, evse_uid) if evse_uid else rename(cpo, value)

    claimed = claim_one(delivered)

    assert (claimed.whole, claimed.changes) == (True, len(changes))


def test_queue_unchanged_upload_is_nothing_to_send(cpo, delivered):
    factories.put_location(cpo, evses=two_evses())

    assert gathered(delivered) == ("delivered", False, None, 1, 0)
    assert claim(delivered) == []


def test_queue_upload_names_its_correlation_id(cpo, connection):
    correlation_id.set("corr-7")
    factories.put_location(cpo)

    assert claim_one(connection).correlation_id == "corr-7"


def test_queue_each_connection_has_a_row_of_its_own(cpo, ndw, connection):
    production = factories.make_connection(cpo, ndw, "production")
    factories.put_location(cpo)

    record(claim_one(connection))

    assert (row(connection).state, row(production).state) == ("delivered", "dirty")


def test_queue_rows_of_another_tenant_are_not_touched(cpo, rival, ndw, connection):
    other = factories.make_connection(rival, ndw)
    factories.put_location(cpo)

    assert Push.objects.filter(connection=other).count() == 0
    assert claim(other) == []


# --- Claims and leases -------------------------------------------------------------------------------------------------


def test_queue_claim_counts_the_try_and_takes_what_was_gathered(cpo, delivered):
    set_status(cpo, "CHARGING")

    claimed = claim_one(delivered)

    assert (claimed.version, claimed.whole, claimed.evse_uid, claimed.attempts) == (2, False, "EVSE-1", 1)
    assert gathered(delivered) == ("dirty", False, None, 2, 1)
    assert claim(delivered) == []


def test_queue_part_needs_a_base_that_ndw_accepted(cpo, connection):
    factories.put_location(cpo)
    Push.objects.update(whole=False)
    set_status(cpo, "CHARGING")

    assert claim_one(connection).whole is True


def test_queue_expired_lease_is_claimed_again_as_a_whole(cpo, delivered):
    set_status(cpo, "CHARGING")
    first = claim_one(delivered)
    end_leases(delivered)

    second = claim_one(delivered)

    assert (first.whole, second.whole, second.attempts) == (False, True, 2)
    assert first.lease_token != second.lease_token


def test_queue_change_does_not_make_an_expired_lease_a_part(cpo, delivered):
    set_status(cpo, "CHARGING")
    claim_one(delivered)
    end_leases(delivered)

    set_status(cpo, "AVAILABLE", "EVSE-2")

    assert claim_one(delivered).whole is True


@pytest.mark.parametrize("do", [Do.DELIVERED, Do.REJECTED, Do.RETRY, Do.PAUSE, Do.WHOLE])
def test_queue_worker_that_lost_its_lease_changes_nothing(cpo, connection, do):
    factories.put_location(cpo)
    lost = claim_one(connection)
    end_leases(connection)
    claim_one(connection)
    before = Push.objects.filter(pk=lost.id).values().get()

    record(lost, do)

    assert Push.objects.filter(pk=lost.id).values().get() == before


def test_queue_request_that_outlived_its_lease_is_followed_by_the_present_state(cpo, connection):
    factories.put_location(cpo)
    late = answer(claim_one(connection))
    end_leases(connection)
    record(claim_one(connection))
    assert row(connection).state == "delivered"

    late.is_late = True
    queue.record([late])

    assert gathered(connection) == ("dirty", True, None, 2, 0)
    assert row(connection).changed_at is None


def test_queue_after_a_worker_that_is_gone_the_state_is_sent_once_more(cpo, delivered):
    set_status(cpo, "CHARGING")
    claim_one(delivered)
    end_leases(delivered)
    record(claim_one(delivered))
    told = row(delivered)
    assert (told.state, queue.doubt()) == ("delivered", 0)

    age(delivered, queue.DOUBT_S)

    assert queue.doubt() == 1
    last = claim_one(delivered)
    assert (last.whole, last.changed_at, last.changes) == (True, None, 0)
    record(last)
    assert (row(delivered).state, row(delivered).doubt_until, queue.doubt()) == ("delivered", None, 0)


def test_queue_change_while_an_earlier_request_may_arrive_goes_at_once_and_once_more(cpo, delivered):
    set_status(cpo, "CHARGING")
    unanswered(claim_one(delivered))
    make_due(delivered)
    record(claim_one(delivered))

    set_status(cpo, "AVAILABLE")
    now = claim_one(delivered)
    record(now)

    assert (now.whole, now.changes, row(delivered).state) == (True, 1, "delivered")
    age(delivered, queue.DOUBT_S)
    assert (queue.doubt(), len(claim(delivered))) == (1, 1)


def test_queue_what_is_sent_when_nothing_can_arrive_any_more_is_not_sent_again(cpo, delivered):
    set_status(cpo, "CHARGING")
    unanswered(claim_one(delivered))
    make_due(delivered)
    age(delivered, queue.DOUBT_S)

    record(claim_one(delivered))

    assert (row(delivered).state, row(delivered).doubt_until) == ("delivered", None)


def test_queue_drain_sends_what_is_in_doubt(cpo, delivered, ndw):
    Push.objects.filter(location__ocpi_id="LOC-0001").update(doubt_until=dt.datetime.now(dt.UTC))
    ndw.received.clear()

    push.drain()

    assert [request.method for request in ndw.received] == ["PUT"]


def test_queue_release_gives_back_without_counting(cpo, delivered):
    set_status(cpo, "CHARGING")
    claimed = claim_one(delivered)

    queue.release([claimed])

    again = claim_one(delivered)
    assert (again.whole, again.attempts, again.changed_at) == (True, 1, claimed.changed_at)


def test_queue_release_after_the_lease_is_lost_changes_nothing(cpo, connection):
    factories.put_location(cpo)
    lost = claim_one(connection)
    end_leases(connection)
    held = claim_one(connection)

    queue.release([lost])

    assert row(connection).lease_token == held.lease_token


def test_queue_claim_stays_within_the_rate_cap(cpo, connection, settings):
    settings.NDW_RATE_CAP = 60  # a burst of 3
    for number in range(10):
        factories.put_location(cpo, id=f"LOC-{number}")
    Connection.objects.update(allowance_at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=60))

    claimed = [len(queue.claim(connection, 10, "token")) for _ in range(2)]

    assert claimed == [3, 0]


@pytest.mark.parametrize("field", ["is_paused", "is_retired"])
def test_queue_paused_or_retired_in_between_gives_nothing(cpo, connection, field):
    factories.put_location(cpo)
    Connection.objects.update(**{field: True})

    assert queue.due_connections() == []
    assert queue.claim(connection, 10, "token") == []


# --- The order ---------------------------------------------------------------------------------------------------------


def claimed_ids(connection: Connection, limit: int = 10) -> list[str]:
    return [claimed.ocpi_id for claimed in claim(connection, limit)]


def test_queue_status_overtakes_other_changes_and_those_the_backlog(cpo, connection):
    for name in ("backlog", "location", "status"):
        factories.put_location(cpo, id=name)
    Push.objects.filter(location__ocpi_id="backlog").update(priority=Push.Priority.BACKLOG)
    Push.objects.filter(location__ocpi_id="status").update(priority=Push.Priority.STATUS)

    assert [claimed_ids(connection, 1) for _ in range(3)] == [["status"], ["location"], ["backlog"]]


def test_queue_change_lifts_a_row_out_of_the_backlog(cpo, connection):
    factories.put_location(cpo)
    Push.objects.update(priority=Push.Priority.BACKLOG)

    set_status(cpo, "CHARGING")

    assert row(connection).priority == Push.Priority.STATUS


def test_queue_location_waits_five_seconds_for_a_tariff_ndw_never_had(cpo, connection):
    factories.put_tariff(cpo)
    factories.put_location(cpo)
    Push.objects.filter(tariff__isnull=False).update(due_at=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))

    assert claimed_ids(connection) == []
    age(connection, 4)
    assert claimed_ids(connection) == []
    age(connection, 1.1)
    assert claimed_ids(connection) == ["LOC-0001"]


def test_queue_location_does_not_wait_for_a_tariff_that_is_rejected(cpo, connection):
    factories.put_tariff(cpo)
    record(claim_one(connection), Do.REJECTED)

    factories.put_location(cpo)

    assert claimed_ids(connection) == ["LOC-0001"]


def test_queue_location_does_not_wait_for_a_change_of_a_tariff_ndw_has(cpo, connection):
    factories.put_tariff(cpo)
    record(claim_one(connection))
    factories.put_tariff(cpo, currency="USD", last_updated="2026-03-05T00:00:00Z")
    factories.put_location(cpo)

    assert set(claimed_ids(connection)) == {"ADHOC-1", "LOC-0001"}


def test_queue_tariff_delete_waits_for_locations_that_named_it_at_most_a_minute(cpo, connection):
    factories.put_tariff(cpo)
    record(claim_one(connection))
    factories.put_location(cpo)
    record(claim_one(connection))
    others = [{**two_evses()[0], "status": "REMOVED", "last_updated": "2026-03-03T00:00:00Z"}]
    factories.put_location(cpo, evses=others, last_updated="2026-03-03T00:00:00Z")
    store.delete_tariff(cpo, "ADHOC-1")

    location = claim_one(connection)
    age(connection, 20)
    assert (location.ocpi_id, claim(connection)) == ("LOC-0001", [])
    record(location)
    assert claimed_ids(connection) == ["ADHOC-1"]


def test_queue_tariff_delete_goes_after_a_minute_whatever_locations_do(cpo, connection):
    factories.put_tariff(cpo)
    record(claim_one(connection))
    store.delete_tariff(cpo, "ADHOC-1")
    factories.make_push(connection)
    Push.objects.filter(location__isnull=False).update(accepted_tariff_ids=["adhoc-1"], state="delivered")

    age(connection, 59)
    assert claimed_ids(connection) == []
    age(connection, 1.1)
    assert claimed_ids(connection) == ["ADHOC-1"]


def test_queue_what_ndw_never_had_and_shall_not_see_is_not_sent(cpo, connection):
    factories.put_tariff(cpo)
    store.delete_tariff(cpo, "ADHOC-1")
    factories.put_location(cpo)
    factories.put_location(cpo, publish=False, last_updated="2026-03-03T00:00:00Z")

    assert claim(connection) == []
    assert (row(connection).state, row(connection).accepted_at) == ("delivered", None)
    assert (tariff_row(connection).state, tariff_row(connection).accepted_at) == ("delivered", None)


def test_queue_what_ndw_may_have_is_hidden_there_too(cpo, connection):
    factories.put_location(cpo)
    claim_one(connection)
    end_leases(connection)
    factories.put_location(cpo, publish=False, last_updated="2026-03-03T00:00:00Z")

    assert b'"publish":false' in claim_one(connection).body


# --- What an answer makes of a row -------------------------------------------------------------------------------------


def test_queue_accepted_is_delivered_and_proven(cpo, connection):
    factories.put_location(cpo)
    claimed = claim_one(connection)

    record(claimed)

    push = row(connection)
    assert gathered(connection) == ("delivered", False, None, 1, 0)
    assert (push.changed_at, push.accepted_version, push.accepted_tariff_ids) == (None, 1, ["adhoc-1"])
    proof = PushAttempt.objects.get(push=push)
    assert (proof.outcome, proof.version, proof.changes, proof.changed_at) == ("delivered", 1, 1, claimed.changed_at)
    assert push.accepted_at == proof.started_at + dt.timedelta(milliseconds=proof.took_ms)


def test_queue_change_during_the_request_stays_dirty_with_a_clock_of_its_own(cpo, delivered):
    set_status(cpo, "CHARGING")
    claimed = claim_one(delivered)
    set_status(cpo, "AVAILABLE")
    second = row(delivered).next_changed_at
    set_status(cpo, "CHARGING")
    assert claimed.changed_at
    assert second
    assert second > claimed.changed_at

    record(claimed)

    push = row(delivered)
    assert gathered(delivered) == ("dirty", False, "EVSE-1", 4, 2)
    assert (push.changed_at, push.next_changed_at, push.accepted_version) == (second, None, 2)
    assert claim_one(delivered).version == 4


def test_queue_change_during_a_request_that_fails_keeps_the_first_clock(cpo, connection):
    factories.put_location(cpo)
    claimed = claim_one(connection)
    rename(cpo, "Stadsplein")

    record(claimed, Do.RETRY)

    assert row(connection).changed_at == claimed.changed_at


def test_queue_refusal_of_a_version_that_moved_stays_dirty(cpo, connection):
    factories.put_location(cpo)
    claimed = claim_one(connection)
    rename(cpo, "Stadsplein")
    second = row(connection).next_changed_at

    record(claimed, Do.REJECTED, "OCPI 2001")

    assert (row(connection).state, row(connection).changed_at) == ("dirty", second)
    make_due(connection)
    assert claim_one(connection).version == 2


def test_queue_rejected_then_mended_counts_from_the_mending(cpo, connection):
    factories.put_location(cpo)
    record(claim_one(connection), Do.REJECTED, "OCPI 2001")
    age(connection, 100)

    before = dt.datetime.now(dt.UTC)
    rename(cpo, "Stadsplein")

    claimed = claim_one(connection)
    assert claimed.changed_at
    assert claimed.changed_at >= before
    assert claimed.whole is True


@pytest.mark.parametrize(("tries", "most_s"), [(1, 1), (2, 2), (3, 4), (7, 60), (40, 60)])
def test_queue_backoff_doubles_to_a_minute_and_is_scattered(cpo, connection, tries, most_s):
    waits = set()
    for number in range(20):
        factories.put_location(cpo, id=f"LOC-{number}")
    Push.objects.update(attempts=tries - 1)
    claimed = claim(connection, 20)
    before = dt.datetime.now(dt.UTC)

    queue.record([answer(one, Do.RETRY, "HTTP 503") for one in claimed[:4]])

    for one in claimed[:4]:
        push = Push.objects.get(pk=one.id)
        waits.add(push.due_at)
        assert (push.state, push.whole, push.attempts) == ("dirty", True, tries)
        assert -1 <= (push.due_at - before).total_seconds() <= most_s + 1
    assert len(waits) == 4


def test_queue_new_version_ends_a_backoff(cpo, connection):
    factories.put_location(cpo)
    record(claim_one(connection), Do.RETRY, "HTTP 503", wait_s=900)
    assert claim(connection) == []

    rename(cpo, "Stadsplein")

    assert claim_one(connection).attempts == 1


def test_queue_push_now_sends_what_was_refused_without_a_clock(cpo, connection):
    factories.put_location(cpo)
    record(claim_one(connection), Do.REJECTED, "OCPI 2001")

    assert queue.send_again(Push.objects.all()) == 1

    claimed = claim_one(connection)
    assert (claimed.whole, claimed.changed_at, claimed.attempts) == (True, None, 1)


def test_queue_push_now_during_a_request_sends_once_more(cpo, delivered):
    set_status(cpo, "CHARGING")
    claimed = claim_one(delivered)
    queue.send_again(Push.objects.all())

    record(claimed)

    assert claim_one(delivered).whole is True


def test_queue_retired_gathers_and_sends_what_changed_when_it_comes_back(cpo, delivered):
    Connection.objects.update(is_retired=True)
    rename(cpo, "Stadsplein")
    assert queue.due_connections() == []
    assert Push.objects.with_shown_state().get().shown_state == "blocked"

    Connection.objects.update(is_retired=False)

    assert b'"Stadsplein"' in claim_one(delivered).body


# --- The Connection learns ---------------------------------------------------------------------------------------------


def fail(connection: Connection, times: int, do: Do = Do.RETRY, reason: str = "HTTP 503") -> None:
    """Have so many requests fail one after the other, each of an object not tried before."""
    for _ in range(times):
        untried = Push.objects.filter(connection=connection, attempts=0, state="dirty").first()
        assert untried is not None
        Push.objects.filter(pk=untried.pk).update(priority=-1)
        record(claim(connection, 1)[0], do, reason)
        Push.objects.filter(pk=untried.pk).update(priority=Push.Priority.LOCATION)


@pytest.fixture
def many(cpo, connection) -> Connection:
    """A Connection with ten Locations to send."""
    for number in range(10):
        factories.put_location(cpo, id=f"LOC-{number}")
    return connection


def rest_s(connection: Connection) -> int:
    """Return how long the Connection rests yet; 0 when it does not."""
    connection.refresh_from_db()
    if connection.probe_at is None:
        return 0
    return round((connection.probe_at - dt.datetime.now(dt.UTC)).total_seconds())


def test_queue_fifth_failure_in_a_row_opens_the_circuit(many):
    fail(many, 4)
    assert (rest_s(many), many.failures) == (0, 4)

    fail(many, 1)

    assert (rest_s(many), queue.due_connections()) == (5, [])


def test_queue_success_in_between_keeps_the_circuit_closed(many):
    fail(many, 4)
    make_due(many)
    good, bad = claim(many, 2)

    queue.record([answer(good), answer(bad, Do.RETRY)])

    assert (rest_s(many), many.failures) == (0, 0)


def test_queue_open_circuit_lets_one_probe_through_every_five_seconds(many):
    fail(many, 5)
    age(many, 5)

    assert len(claim(many)) == 1
    assert (claim(many), rest_s(many)) == ([], 5)
    age(many, 5)
    assert len(claim(many)) == 1


def test_queue_probe_that_is_answered_closes_the_circuit(many):
    fail(many, 5)
    age(many, 5)

    record(claim_one(many))

    assert (rest_s(many), many.failures, queue.due_connections()) == (0, 0, [many])


def test_queue_answer_to_what_was_sent_before_does_not_end_a_rest_that_ndw_asked_for(many):
    late, refused = claim(many, 2)
    record(refused, Do.THROTTLED, "HTTP 429", wait_s=60)

    record(late)

    assert (rest_s(many), many.failures) == (60, 5)


def test_queue_clock_that_went_back_stops_nothing(many, settings):
    settings.NDW_RATE_CAP = 100
    Connection.objects.filter(pk=many.pk).update(allowance_at=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=10))

    assert len(queue.claim(Connection.objects.get(pk=many.pk), 10, "access-token")) == 5


def test_queue_who_is_just_back_is_asked_little_at_first(many):
    fail(many, 5)
    age(many, 5)
    record(claim_one(many))

    assert len(claim(many)) == 1
    Connection.objects.filter(pk=many.pk).update(probe_at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=30))
    assert len(claim(many)) == 8


def test_queue_everything_is_due_as_soon_as_the_circuit_closes(many):
    record(claim(many, 1)[0], Do.RETRY, "HTTP 503", wait_s=600)
    fail(many, 4)

    many.refresh_from_db()
    assert many.failures == 5
    assert max(push.due_at for push in Push.objects.all()) <= many.probe_at


def test_queue_object_that_always_fails_does_not_keep_the_circuit_open(cpo, many):
    fail(many, 5)
    factories.put_tariff(cpo)
    Push.objects.filter(tariff__isnull=False).update(attempts=50, priority=Push.Priority.TARIFF)
    age(many, 6)

    probe = claim_one(many)

    assert (probe.kind, probe.attempts) == ("location", 1)


def test_queue_throttling_rests_the_whole_connection_and_blames_no_object(many):
    claimed = claim(many, 3)

    queue.record([answer(one, Do.THROTTLED, "HTTP 429", wait_s=70) for one in claimed])

    assert (rest_s(many), queue.due_connections()) == (70, [])
    assert {(push.attempts, push.state) for push in Push.objects.all()} == {(0, "dirty")}
    age(many, 71)
    assert len(claim(many)) == 1  # then one of them asks first


def test_queue_throttling_without_a_word_doubles_with_each_probe(many):
    rests = []
    queue.record([answer(one, Do.THROTTLED, "HTTP 429") for one in claim(many, 3)])
    for _ in range(4):
        rests.append(rest_s(many))
        age(many, rests[-1] + 1)
        record(claim_one(many), Do.THROTTLED, "HTTP 429")

    assert rests == [5, 10, 20, 40]


def test_queue_later_failure_does_not_shorten_the_rest_that_ndw_asked_for(many):
    throttled, failed = claim(many, 2)
    record(throttled, Do.THROTTLED, "HTTP 429", wait_s=70)

    record(failed, Do.RETRY, "ReadTimeout")

    assert rest_s(many) == 70


def test_queue_three_objects_quarantined_alike_pause_the_connection(many):
    fail(many, 2, Do.QUARANTINED, "HTTP 404")
    many.refresh_from_db()
    assert many.is_paused is False

    fail(many, 1, Do.QUARANTINED, "HTTP 404")

    many.refresh_from_db()
    assert many.pause_reason == "NDW gave 3 objects in a row the same answer: HTTP 404"


def test_queue_one_odd_object_that_keeps_changing_does_not_pause_the_connection(cpo, connection):
    factories.put_location(cpo)
    for number in range(5):
        rename(cpo, f"Plein {number}")
        record(claim_one(connection), Do.QUARANTINED, "HTTP 400")

    connection.refresh_from_db()
    assert (connection.is_paused, connection.same_refusals) == (False, 1)


def test_queue_odd_objects_among_good_ones_do_not_pause_the_connection(many):
    first = claim(many, 4)
    queue.record([answer(first[0]), *[answer(one, Do.QUARANTINED, "HTTP 400") for one in first[1:]]])

    many.refresh_from_db()
    assert (many.is_paused, many.same_refusals) == (False, 0)


def test_queue_different_refusals_do_not_add_up(many):
    for reason in ("HTTP 400", "HTTP 404", "HTTP 405", "HTTP 415"):
        record(claim(many, 1)[0], Do.QUARANTINED, reason)

    many.refresh_from_db()
    assert (many.is_paused, many.same_refusals) == (False, 1)


def test_queue_pause_keeps_gathering_and_resume_sends_the_latest(cpo, connection):
    factories.put_location(cpo)
    connection.pause("An operator looks.")
    rename(cpo, "Stadsplein")
    rename(cpo, "Kerkplein")
    assert Push.objects.with_shown_state().get().shown_state == "blocked"
    assert queue.due_connections() == []

    connection.resume()

    claimed = claim_one(connection)
    assert (claimed.version, claimed.changes, b'"Kerkplein"' in claimed.body) == (3, 3, True)


def test_queue_oldest_due_is_what_the_relay_asks(cpo, connection):
    assert queue.oldest_due_s() == 0
    factories.put_location(cpo)
    age(connection, 30)
    assert 30 <= queue.oldest_due_s() < 32

    claim_one(connection)
    assert queue.oldest_due_s() == 0
    connection.pause("An operator looks.")
    end_leases(connection)
    assert queue.oldest_due_s() == 0


# --- Next to each other ------------------------------------------------------------------------------------------------


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """Run all at once, each with a connection of its own; return what they returned or raised."""
    results: list[Any] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(index: int) -> None:
        try:
            barrier.wait(5)
            results[index] = works[index]()
        except Exception as error:
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_queue_no_row_is_claimed_twice(transactional_db, cpo, connection):
    for number in range(40):
        factories.put_location(cpo, id=f"LOC-{number}")

    def take() -> list[int]:
        return [one.id for _ in range(30) for one in claim(connection, 4)]

    taken = [pk for part in in_threads(take, take, take) for pk in part]

    assert len(taken) == len(set(taken)) == 40


def test_queue_body_is_that_of_the_claimed_version(transactional_db, cpo, connection):
    """An upload in the same moment is either in the body and the version, or in neither."""
    factories.put_location(cpo, name="Plein 0")
    names: dict[int, str] = {}

    def upload() -> None:
        for number in range(1, 40):
            rename(cpo, f"Plein {number}")

    def take() -> None:
        for _ in range(60):
            for one in claim(connection):
                names[one.version] = one.body.decode().split('"name":"')[1].split('"')[0]
                record(one)

    assert in_threads(upload, take) == [None, None]
    assert len(names) > 2
    assert all(name == f"Plein {version - 1}" for version, name in names.items())


def test_queue_uploads_claims_and_records_do_not_deadlock(transactional_db, cpo, ndw, connection):
    """Two Connections: an upload locks two rows of one object, a record many rows of both."""
    production = factories.make_connection(cpo, ndw, "production")
    ids = [f"LOC-{number}" for number in range(6)]
    for ocpi_id in ids:
        factories.put_location(cpo, id=ocpi_id)
    Push.objects.filter(
        connection=connection, location__ocpi_id=ids[0]
    ).delete()  # its next row is younger than the other's

    def upload() -> None:
        for number in range(120):
            set_status(cpo, ("CHARGING", "AVAILABLE")[number // 6 % 2], location_id=ids[number % 6])

    def deliver() -> None:
        for _ in range(60):
            queue.record([answer(one) for target in (production, connection) for one in claim(target)])

    assert in_threads(upload, deliver, deliver) == [None, None, None]


def test_queue_record_survives_the_loss_of_its_connection(transactional_db, cpo, connection):
    factories.put_location(cpo)
    claimed = claim_one(connection)
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    in_threads(lambda: _kill_backend(pid))

    record(claimed)

    assert row(connection).state == "delivered"


def _kill_backend(pid: int) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_queue_record_that_fails_leaves_nothing_half_done(transactional_db, cpo, connection):
    factories.put_location(cpo)
    claimed = claim_one(connection)
    bad = answer(claimed)
    bad.request_id = str(uuid.uuid4()) * 2  # longer than its column: the second half of the record fails

    with pytest.raises(Exception, match="too long"):
        queue.record([bad])

    assert (row(connection).state, row(connection).lease_token) == ("dirty", claimed.lease_token)
    assert PushAttempt.objects.count() == 0


# --- Objects that end their worker -------------------------------------------------------------------------------------


def claim_and_die(connection: Connection) -> list[Any]:
    """Claim what is due and never answer; the lease runs out at once."""
    claimed = claim(connection)
    end_leases(connection)
    return claimed


def test_queue_object_that_ends_its_worker_three_times_rests_a_minute(cpo, delivered, caplog):
    set_status(cpo, "CHARGING")

    claims = [len(claim_and_die(delivered)) for _ in range(4)]

    push = row(delivered)
    assert claims == [1, 1, 1, 0]
    assert (push.state, push.crashes, push.lease_token, push.whole) == ("dirty", 3, None, True)
    assert 55 < (push.due_at - dt.datetime.now(dt.UTC)).total_seconds() <= 60
    assert push.last_answer == "Its worker ended before an answer 3 times in a row; it rests in between"
    assert "they rest" in caplog.text


def test_queue_object_that_rested_is_tried_once_and_rests_longer(cpo, delivered):
    set_status(cpo, "CHARGING")
    Push.objects.update(crashes=3)

    claims = [len(claim_and_die(delivered)) for _ in range(2)]

    assert claims == [1, 0]
    assert 115 < (row(delivered).due_at - dt.datetime.now(dt.UTC)).total_seconds() <= 120


def test_queue_new_version_of_an_object_that_rests_goes_at_once(cpo, delivered):
    set_status(cpo, "CHARGING")
    for _ in range(4):
        claim_and_die(delivered)

    set_status(cpo, "RESERVED")

    assert len(claim(delivered)) == 1


def test_queue_answer_of_any_kind_ends_the_count(cpo, delivered):
    set_status(cpo, "CHARGING")
    claim_and_die(delivered)
    claimed = claim_one(delivered)
    assert row(delivered).crashes == 1

    record(claimed, Do.RETRY)

    assert row(delivered).crashes == 0
