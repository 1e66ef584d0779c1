"""What X-Total-Count says is counted as it changes, whoever writes; no list is scanned for it."""

import random
from functools import partial

import pytest
from django.db import connection as database
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from ocpi import counts, store
from ocpi.models import Location, ShownCount, Tariff
from tenants.models import Tenant
from tests import factories
from tests.chaos.promises import together
from tests.pushing import later


def told(tenant: Tenant) -> tuple[int, int]:
    """Return how many Locations and Tariffs the counts say NDW sees."""
    with database.cursor() as cursor:
        found = []
        for kind in ("location", "tariff"):
            cursor.execute(counts.SHOWN, {"tenant": tenant.pk, "kind": kind})
            found.append(cursor.fetchone()[0])
    return found[0], found[1]


def true(tenant: Tenant) -> tuple[int, int]:
    return (
        Location.objects.filter(tenant=tenant, is_shown=True).count(),
        Tariff.objects.filter(tenant=tenant, deleted_at=None).count(),
    )


def do_something(chance: random.Random, tenant: Tenant) -> None:
    """Upload something that may show or hide an object."""
    ocpi_id = f"O{chance.randrange(6)}"
    what = chance.randrange(4)
    if what == 0:
        factories.put_location(tenant, id=ocpi_id, publish=chance.random() < 0.5, last_updated=later())
    elif what == 1 and tenant.locations.filter(ocpi_id=ocpi_id, is_shown=False).exists():
        store.patch_location(tenant, ocpi_id, {"publish": True, "last_updated": later()})
    elif what == 2:
        factories.put_tariff(tenant, id=ocpi_id, last_updated=later())
    elif tenant.tariffs.filter(ocpi_id=ocpi_id, deleted_at=None).exists():
        store.delete_tariff(tenant, ocpi_id)


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_true_after_any_uploads(cpo, rival, seed):
    chance = random.Random(seed)
    for step in range(60):
        do_something(chance, chance.choice([cpo, rival]))
        if step % 20 == 19:
            counts.fold()
        assert (told(cpo), told(rival)) == (true(cpo), true(rival))

    assert told(cpo) != (0, 0)


def test_counts_follow_bulk_statements_and_what_is_rolled_back(cpo, rival):
    for tenant in (cpo, rival):
        for number in range(3):
            factories.put_location(tenant, id=f"L{number}")
    with transaction.atomic():
        Location.objects.update(is_shown=False)
        transaction.set_rollback(True)

    Location.objects.filter(tenant=cpo).exclude(ocpi_id="L0").update(is_shown=False)
    Location.objects.filter(tenant=rival, ocpi_id="L0").delete()

    assert (told(cpo), told(rival)) == ((1, 0), (2, 0))


def test_counts_fold_into_one_row_a_list(cpo, rival):
    for number in range(5):
        factories.put_location(cpo, id=f"L{number}")
        factories.put_tariff(rival, id=f"T{number}")

    assert counts.fold() == 2

    assert sorted(ShownCount.objects.values_list("tenant", "kind", "change")) == sorted(
        [(cpo.pk, "location", 5), (rival.pk, "tariff", 5)]
    )
    assert counts.fold() == 0


def test_counts_stay_true_while_many_write_and_fold(transactional_db, cpo):
    def work(number: int) -> None:
        for step in range(15):
            factories.put_location(cpo, id=f"L{number}-{step}")
            counts.fold()
        connections.close_all()

    together([partial(work, number) for number in range(4)])

    assert told(cpo) == true(cpo) == (60, 0)


def test_list_takes_one_query_for_a_page_and_its_total(cpo, pull):
    for number in range(5):
        factories.put_location(cpo, id=f"L{number}")
    pull.get("/locations?limit=2")

    with CaptureQueriesContext(database) as ours:
        response = pull.get("/locations?limit=2")

    assert response["X-Total-Count"] == "5"
    assert [query["sql"] for query in ours.captured_queries if "count(" in query["sql"].lower()] == []


def test_counts_that_no_trigger_has_seen_are_mended(cpo, rival):
    for number in range(3):
        factories.put_location(cpo, id=f"L{number}")
    factories.put_tariff(rival)
    ShownCount.objects.create(tenant=cpo, kind="location", change=-7)
    ShownCount.objects.filter(tenant=rival).delete()

    assert counts.recount() == 2

    assert (told(cpo), told(rival)) == ((3, 0), (0, 1))
    assert counts.recount() == 0
