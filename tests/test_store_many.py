"""Many objects in one transaction come to what each would come to by itself."""

import random
from functools import partial
from typing import Any

import pytest
from django.db import connections

from ocpi import rules, store
from ocpi.errors import Refused
from ocpi.models import Location, Push, Tariff
from tenants.models import Tenant
from tests import factories, stored
from tests.chaos.promises import together
from tests.documents import connector_body, evse_body, location_body, tariff_body


def put_many(kind: Any, tenant: Tenant, documents: list[Any]) -> list[store.Outcome | Refused]:
    return store.put_many(kind, tenant, [rules.check(kind, document) for document in documents])


def told(one: store.Outcome | Refused) -> Any:
    if isinstance(one, Refused):
        return type(one).__name__, sorted((finding.path, finding.rule) for finding in one.findings)
    return one.created, one.changed, sorted((finding.path, finding.rule) for finding in one.findings)


def one_by_one(kind: str, tenant: Tenant, documents: list[Any]) -> list[Any]:
    put, found = {"location": store.put_location, "tariff": store.put_tariff}[kind], []
    for document in documents:
        try:
            found.append(put(tenant, document))
        except Refused as refusal:
            found.append(refusal)
    return found


def a_location(chance: random.Random, party_id: str, number: int) -> dict[str, Any]:
    """Return a Location that may be new, changed, stale, incomplete, wrong, or hidden."""
    stamp = f"2026-03-0{chance.randrange(2, 5)}T10:00:00Z"
    evses = [
        evse_body(
            uid=f"E{number}-{n}",
            evse_id=f"NL*{party_id}*E{number}{n}",
            status=chance.choice(["AVAILABLE", "CHARGING", "OCCUPIED", "REMOVED"]),
            connectors=[connector_body(tariff_ids=chance.choice([["ADHOC-1"], ["NONE"]]), last_updated=stamp)],
            last_updated=stamp,
        )
        for n in range(chance.randrange(1, 3))
    ]
    odd = chance.choice([{}, {}, {}, {"energy_mix": None}, {"publish": False}, {"country": "NL"}, {"colour": "green"}])
    return location_body(party_id=party_id, id=f"L{number}", evses=evses, last_updated=stamp, **odd)


@pytest.mark.parametrize("seed", range(4))
def test_many_locations_come_to_the_same_as_one_by_one(cpo, rival, seed):
    """Two tenants, the same uploads: the one gets them together, the other one by one."""
    for tenant in (cpo, rival):
        factories.connect_to_nowhere(tenant)
        factories.put_tariff(tenant)
    chance = random.Random(seed)
    for _ in range(3):
        numbers = chance.sample(range(12), 8)
        state = chance.getstate()
        together = put_many("location", cpo, [a_location(chance, "EXA", number) for number in numbers])
        chance.setstate(state)
        apart = one_by_one("location", rival, [a_location(chance, "RIV", number) for number in numbers])

        # What is unchanged is not compared with others when it comes together with many.
        for one, other in zip(together, apart, strict=True):
            assert told(one)[:2] == told(other)[:2]
            assert told(one) == told(other) or told(one)[1] is False

    def rows(tenant: Tenant) -> list[Any]:
        found = Location.objects.filter(tenant=tenant).order_by("ocpi_id")
        return [
            (
                one.ocpi_id,
                bytes(one.body).replace(b"RIV", b"EXA"),
                one.is_shown,
                one.gaps,
                one.warnings,
                one.unknown,
                one.cpo_times,
            )
            for one in found
        ]

    def pushes(tenant: Tenant) -> list[Any]:
        found = Push.objects.filter(tenant=tenant, location__isnull=False).order_by("location__ocpi_id")
        return list(
            found.values_list("location__ocpi_id", "state", "whole", "evse_uid", "version", "changes", "priority")
        )

    assert rows(cpo) == rows(rival)
    assert pushes(cpo) == pushes(rival)
    assert len(rows(cpo)) > 4


def test_many_tariffs_come_to_the_same_as_one_by_one(cpo):
    factories.put_tariff(cpo, id="T1")
    factories.put_tariff(cpo, id="T2")
    store.delete_tariff(cpo, "T2")

    found = put_many(
        "tariff",
        cpo,
        [
            tariff_body(id="T1"),
            tariff_body(id="T2"),
            tariff_body(id="T3"),
            tariff_body(id="T4", elements=[]),
            tariff_body(id="t1x", currency="SEK"),
            "no object",
        ],
    )

    apart = [told(one)[0] for one in found]
    assert apart == [False, "Stale", True, "Refused", True, "Refused"]
    assert Tariff.objects.filter(tenant=cpo, deleted_at=None).count() == 3


def test_many_are_refused_without_touching_what_is_stored(cpo):
    factories.put_location(cpo, id="L1")
    before = stored.everything(cpo)

    found = put_many("location", cpo, [location_body(id="L1", country="NL"), location_body(id="L2", evses=5)])

    assert [isinstance(one, Refused) for one in found] == [True, True]
    assert stored.everything(cpo) == before


def test_many_and_single_uploads_of_the_same_objects_at_once_lose_nothing(transactional_db, cpo):
    factories.put_tariff(cpo)

    def work(number: int) -> None:
        try:
            for step in range(5):
                documents = [
                    location_body(id=f"L{n}", name=f"{number} {step}", last_updated=f"2026-03-0{step + 2}T10:00:00Z")
                    for n in random.Random(number * 10 + step).sample(range(10), 10)
                ]
                if number % 2:
                    put_many("location", cpo, documents)
                else:
                    one_by_one("location", cpo, documents)
        finally:
            connections.close_all()

    together([partial(work, number) for number in range(4)])

    assert Location.objects.filter(tenant=cpo).count() == 10
    assert {one.document["last_updated"] for one in Location.objects.all()} == {"2026-03-06T10:00:00Z"}


def test_many_with_an_id_twice_are_not_taken(cpo):
    with pytest.raises(ValueError, match="twice"):
        put_many("location", cpo, [location_body(id="L1"), location_body(id="l1")])
