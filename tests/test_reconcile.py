"""Once a night: what NDW is not known to have accepted is sent again, spread over an hour, and nothing else is."""

import datetime as dt
from itertools import pairwise

import pytest
from django.conf import settings
from django.db import connection as database
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ocpi import push, reconcile, store, tasks
from ocpi.models import Location, Push, Tariff
from tenants.models import Connection
from tests import factories
from tests.pushing import claim_one, make_due, rename, row, sent, set_status, tariff_row
from tests.test_deliveries import statements

COUNT = 4


@pytest.fixture
def connection(cpo, ndw) -> Connection:
    """A Connection over which NDW has COUNT Locations and a Tariff."""
    made = factories.make_connection(cpo, ndw)
    factories.put_tariff(cpo)
    for number in range(COUNT):
        factories.put_location(cpo, id=f"LOC-{number}")
    push.drain()
    ndw.received.clear()
    assert Push.objects.filter(state="delivered").count() == COUNT + 1
    return made


def doubt(*ids: str) -> None:
    """Make these Locations look as if NDW had accepted an earlier version last."""
    Push.objects.filter(location__ocpi_id__in=ids).update(accepted_version=F("version") - 1)


def test_reconcile_finds_nothing_where_all_is_accepted(connection, ndw):
    assert reconcile.reconcile() == (0, 0)
    assert push.drain() == 0


def test_reconcile_finds_nothing_after_a_status(cpo, connection, ndw):
    set_status(cpo, "CHARGING", location_id="LOC-1")
    push.drain()

    assert [method for method, _ in sent(ndw)] == ["PATCH"]
    assert reconcile.reconcile() == (0, 0)


def test_reconcile_finds_nothing_where_only_last_updated_is_newer(cpo, connection):
    before = bytes(Location.objects.get(ocpi_id="LOC-1").body)
    factories.put_location(cpo, id="LOC-1", last_updated="2026-03-02T12:00:00Z")

    assert bytes(Location.objects.get(ocpi_id="LOC-1").body) != before
    assert row(connection, "LOC-1").state == "delivered"
    assert reconcile.reconcile() == (0, 0)


def test_reconcile_sends_what_was_accepted_in_another_version(connection, ndw):
    doubt("LOC-1", "LOC-3")
    before = row(connection, "LOC-1").version

    assert reconcile.reconcile() == (0, 2)

    found = row(connection, "LOC-1")
    assert (found.state, found.priority, found.whole, found.evse_uid) == ("dirty", Push.Priority.BACKLOG, True, None)
    assert (found.changed_at, found.attempts, found.version) == (None, 0, before + 1)
    make_due(connection)
    push.drain()
    assert sorted(sent(ndw)) == [("PUT", "/locations/NL/EXA/LOC-1"), ("PUT", "/locations/NL/EXA/LOC-3")]
    assert reconcile.reconcile() == (0, 0)


@pytest.mark.parametrize("field", ["accepted_hash", "accepted_version", "accepted_at"])
def test_reconcile_sends_what_was_never_accepted(connection, field):
    Push.objects.filter(location__ocpi_id="LOC-1").update(**{field: None})

    assert reconcile.reconcile() == (0, 1)
    assert row(connection, "LOC-1").state == "dirty"


def test_reconcile_sends_what_has_another_body_than_was_accepted(connection, ndw):
    for model, name in ((Location, "LOC-2"), (Tariff, "ADHOC-1")):
        found = model.objects.get(ocpi_id=name)
        model.objects.filter(pk=found.pk).update(body=bytes(found.body).replace(b"NL", b"nl", 1))

    assert reconcile.reconcile() == (0, 2)

    assert (row(connection, "LOC-2").state, tariff_row(connection).state) == ("dirty", "dirty")
    make_due(connection)
    push.drain()
    assert reconcile.reconcile() == (0, 0)


def test_reconcile_makes_rows_that_are_missing(connection, ndw):
    Push.objects.filter(location__ocpi_id="LOC-1").delete()

    assert reconcile.reconcile() == (1, 0)

    assert row(connection, "LOC-1").priority == Push.Priority.BACKLOG
    push.drain()
    assert sent(ndw) == [("PUT", "/locations/NL/EXA/LOC-1")]


def test_reconcile_is_spread_evenly_over_an_hour(connection):
    doubt(*(f"LOC-{number}" for number in range(COUNT)))
    before = timezone.now()

    assert reconcile.reconcile() == (0, COUNT)

    due = list(Push.objects.filter(state="dirty").order_by("location").values_list("due_at", flat=True))
    assert before <= due[0] <= timezone.now()
    steps = [round((later - earlier).total_seconds()) for earlier, later in pairwise(due)]
    assert steps == [3600 // COUNT] * (COUNT - 1)


def test_reconcile_spread_goes_on_over_batches(connection):
    doubt(*(f"LOC-{number}" for number in range(COUNT)))

    assert reconcile.reconcile(batch=2) == (0, COUNT)

    due = list(Push.objects.filter(state="dirty").order_by("location").values_list("due_at", flat=True))
    assert [round((later - due[0]).total_seconds()) for later in due] == [0, 900, 1800, 2700]


def test_reconcile_twice_changes_nothing_more(connection):
    doubt("LOC-1")
    reconcile.reconcile()
    before = list(Push.objects.order_by("pk").values())

    assert reconcile.reconcile() == (0, 0)
    assert list(Push.objects.order_by("pk").values()) == before


def test_reconcile_leaves_alone_what_is_rejected_dirty_or_being_sent(cpo, connection, ndw):
    ndw.fail_next(2001)
    rename(cpo, "Refused", "LOC-0")
    push.drain()
    rename(cpo, "Sent", "LOC-1")
    claim_one(connection)
    rename(cpo, "Waits", "LOC-2")
    doubt("LOC-0", "LOC-1", "LOC-2")
    before = list(Push.objects.order_by("pk").values())

    assert reconcile.reconcile() == (0, 0)

    assert list(Push.objects.order_by("pk").values()) == before
    assert [row(connection, f"LOC-{number}").state for number in range(3)] == ["rejected", "dirty", "dirty"]


def test_reconcile_leaves_alone_what_gaps_withhold(cpo, connection):
    Location.objects.filter(ocpi_id="LOC-1").update(is_shown=False)
    doubt("LOC-1")

    assert reconcile.reconcile() == (0, 0)


def test_reconcile_tells_ndw_again_what_is_hidden_or_deleted(cpo, connection, ndw):
    store.patch_location(cpo, "LOC-1", {"publish": False, "last_updated": "2026-03-02T10:00:00Z"})
    factories.put_tariff(cpo, id="GONE")
    push.drain()
    store.delete_tariff(cpo, "GONE")
    push.drain()
    assert reconcile.reconcile() == (0, 0)
    ndw.received.clear()
    doubt("LOC-1")
    Push.objects.filter(tariff__ocpi_id="GONE").update(accepted_version=1)

    assert reconcile.reconcile() == (0, 2)

    assert tariff_row(connection, "GONE").priority == Push.Priority.TARIFF_DELETE
    make_due(connection)
    push.drain()
    assert sorted(sent(ndw)) == [("DELETE", "/tariffs/NL/EXA/GONE"), ("PUT", "/locations/NL/EXA/LOC-1")]


def test_reconcile_of_one_tenant_touches_no_other(cpo, rival, connection, ndw):
    factories.make_connection(rival, ndw)
    factories.put_location(rival, id="LOC-1")
    push.drain()
    doubt("LOC-1")

    assert reconcile.reconcile(rival) == (0, 1)
    assert row(connection, "LOC-1").state == "delivered"


def test_reconcile_leaves_a_retired_connection_alone(connection):
    doubt("LOC-1")
    Connection.objects.update(is_retired=True)

    assert reconcile.reconcile() == (0, 0)


def test_reconcile_changes_of_the_cpo_overtake_it(cpo, connection):
    doubt(*(f"LOC-{number}" for number in range(COUNT)))
    reconcile.reconcile()
    make_due(connection)
    set_status(cpo, "CHARGING", location_id="LOC-3")

    found = row(connection, "LOC-3")
    assert (found.priority, found.whole, found.changed_at is None) == (Push.Priority.STATUS, True, False)


def test_reconcile_takes_as_many_statements_for_four_objects_as_for_one(connection):
    doubt("LOC-1")
    one = statements(reconcile.reconcile)
    doubt("LOC-0", "LOC-2", "LOC-3")

    assert statements(reconcile.reconcile) == one


def test_reconcile_reads_and_writes_by_connection(connection):
    doubt("LOC-1")

    with CaptureQueriesContext(database) as caught:
        reconcile.reconcile()

    assert sum(query["sql"].startswith(("WITH doubtful", "\n    WITH doubtful")) for query in caught) == 1


def test_reconcile_is_done_by_beat_at_night(connection):
    doubt("LOC-1")
    (entry,) = (one for one in settings.CELERY_BEAT_SCHEDULE.values() if one["task"].endswith("reconcile_deliveries"))

    assert tasks.reconcile_deliveries() == 1
    assert (entry["schedule"].hour, len(entry["schedule"].minute)) == ({3}, 1)
    assert settings.CELERY_TIMEZONE == "Europe/Amsterdam"
    assert tasks.reconcile_deliveries.soft_time_limit > dt.timedelta(minutes=5).total_seconds()
