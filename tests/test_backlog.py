"""What a new Connection still lacks is made in batches, first the tariffs; old attempts are cleared away."""

import datetime as dt
import threading

import pytest
from django.db import connections, transaction

from ocpi import backlog, push, store, tasks
from ocpi.models import Push, PushAttempt
from tenants.models import Connection
from tests import factories
from tests.pushing import claim, rename, row, sent, set_status


@pytest.fixture
def stocked(cpo):
    """A tenant with what it uploaded before it had a Connection; one Location is withheld, one Tariff deleted."""
    for number in range(3):
        factories.put_location(cpo, id=f"LOC-{number}")
    factories.put_location(cpo, id="WITHHELD", energy_mix=None)
    for name in ("ADHOC-1", "DELETED"):
        factories.put_tariff(cpo, id=name)
    store.delete_tariff(cpo, "DELETED")
    return cpo


def connect(tenant, ndw) -> Connection:
    """Return a Connection that is still to be spread."""
    made = factories.make_connection(tenant, ndw)
    Connection.objects.filter(pk=made.pk).update(needs_spreading=True)
    return Connection.objects.get(pk=made.pk)


def grow_old(connection: Connection) -> None:
    """Make the Connection so old that no upload can have missed it."""
    created_at = dt.datetime.now(dt.UTC) - backlog.SETTLED_AFTER - dt.timedelta(seconds=1)
    Connection.objects.filter(pk=connection.pk).update(created_at=created_at)


def needs_spreading(connection: Connection) -> bool:
    connection.refresh_from_db()
    return connection.needs_spreading


def test_backlog_is_everything_ndw_may_see_without_a_clock(stocked, ndw):
    connection = connect(stocked, ndw)

    assert tasks.spread() == 4

    rows = Push.objects.order_by("pk")
    assert [str(one) for one in rows] == ["tariff ADHOC-1", "location LOC-0", "location LOC-1", "location LOC-2"]
    assert {(one.priority, one.changed_at, one.changes, one.whole) for one in rows} == {
        (Push.Priority.BACKLOG, None, 0, True)
    }
    push.drain()
    assert sent(ndw)[0] == ("PUT", "/tariffs/NL/EXA/ADHOC-1")
    assert Push.objects.filter(connection=connection, state="delivered").count() == 4
    assert {attempt.changed_at for attempt in PushAttempt.objects.all()} == {None}


def test_backlog_is_made_in_batches(cpo, ndw):
    for number in range(5):
        factories.put_location(cpo, id=f"LOC-{number}")

    assert (backlog.spread(connect(cpo, ndw), batch=2), Push.objects.count()) == (5, 5)


def test_backlog_spreads_each_object_once(stocked, ndw):
    connection = connect(stocked, ndw)

    assert (backlog.spread(connection), backlog.spread(connection)) == (4, 0)
    assert Push.objects.count() == 4


def test_backlog_is_looked_at_again_until_no_upload_can_have_missed_the_connection(stocked, ndw):
    connection = connect(stocked, ndw)
    tasks.spread()
    tasks.spread()
    assert needs_spreading(connection) is True

    grow_old(connection)
    tasks.spread()

    assert needs_spreading(connection) is False


def test_backlog_that_is_not_yet_made_is_not_settled(stocked, ndw):
    connection = connect(stocked, ndw)
    grow_old(connection)

    assert tasks.spread() == 4

    assert needs_spreading(connection) is True


def test_backlog_of_a_retired_connection_is_not_made(stocked, ndw):
    connection = connect(stocked, ndw)
    Connection.objects.update(is_retired=True)

    assert (tasks.spread(), Push.objects.count()) == (0, 0)
    assert needs_spreading(connection) is True


def test_backlog_changes_of_the_cpo_overtake_it(stocked, ndw):
    connection = connect(stocked, ndw)
    backlog.spread(connection)
    set_status(stocked, "CHARGING", location_id="LOC-2")
    Push.objects.filter(tariff__isnull=False).update(state="delivered")

    assert [one.ocpi_id for one in claim(connection, 1)] == ["LOC-2"]
    assert row(connection, "LOC-2").changed_at is not None


def test_backlog_does_not_miss_an_upload_that_began_before_the_connection(transactional_db, cpo, ndw):
    began, may_commit = threading.Event(), threading.Event()

    def upload() -> None:
        with transaction.atomic():
            factories.put_location(cpo)
            began.set()
            may_commit.wait(10)
        connections.close_all()

    uploading = threading.Thread(target=upload)
    uploading.start()
    assert began.wait(10)
    connection = connect(cpo, ndw)
    assert backlog.spread(connection) == 0

    may_commit.set()
    uploading.join(10)

    assert Push.objects.count() == 0  # neither saw the other
    assert (tasks.spread(), row(connection).state) == (1, "dirty")


def test_backlog_spread_next_to_another_does_not_end_early(transactional_db, stocked, ndw):
    """The second waits for the rows of the first, makes none itself, and must not take that for all being made."""
    connection = connect(stocked, ndw)
    grow_old(connection)
    began, may_commit = threading.Event(), threading.Event()
    made = []

    def first() -> None:
        with transaction.atomic():
            backlog._spread_kind(connection, "tariff", backlog.BATCH)
            began.set()
            may_commit.wait(10)
        connections.close_all()

    def second() -> None:
        made.append(backlog.spread(connection))
        connections.close_all()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert began.wait(10)
    threads[1].start()
    may_commit.set()
    for thread in threads:
        thread.join(10)

    assert made[0] >= 3
    assert (needs_spreading(connection), Push.objects.count()) == (True, 4)


def test_backlog_attempts_are_kept_for_ninety_days(cpo, ndw):
    factories.make_connection(cpo, ndw)
    factories.put_location(cpo)
    push.drain()
    rename(cpo, "Stadsplein")
    push.drain()
    young, old = PushAttempt.objects.all()
    now = dt.datetime.now(dt.UTC)
    PushAttempt.objects.filter(pk=old.pk).update(started_at=now - dt.timedelta(days=91))
    PushAttempt.objects.filter(pk=young.pk).update(started_at=now - dt.timedelta(days=89))

    assert tasks.prune_attempts() == 1

    assert PushAttempt.objects.get() == young


def test_backlog_is_everything_again_when_the_push_url_changes(stocked, ndw):
    connection = connect(stocked, ndw)
    tasks.spread()
    push.drain()
    hidden = {"publish": False, "last_updated": "2026-03-02T10:00:00Z"}
    store.patch_location(stocked, "LOC-2", hidden)
    push.drain()
    ndw.reset()

    Connection.objects.filter(pk=connection.pk).update(push_url=ndw.push_url + "/")
    tasks.spread()
    push.drain()

    assert sorted(ocpi_id for _, _, ocpi_id in ndw.locations) == ["loc-0", "loc-1"]
    assert {method for method, _ in sent(ndw)} == {"PUT"}
    assert Push.objects.exclude(state="delivered").count() == 0
