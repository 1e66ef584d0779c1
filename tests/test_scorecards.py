"""The AFIR scorecard: exact figures of every field, one row a tenant and day, averages in which each CPO counts as one."""

import datetime as dt
from typing import Any

from django.utils import timezone

from ocpi import scorecards
from ocpi.models import Scorecard
from tenants.models import Tenant
from tests import factories
from tests.documents import connector_body, evse_body

TODAY = timezone.localdate
FULL = {
    "N-opening_times": [1, 1],
    "N-energy_mix": [1, 1],
    "N-parking_restrictions": [1, 1],
    "N-max_electric_power": [1, 1],
    "N-tariff_ids": [1, 1],
    "A-operator": [1, 1],
    "A-help_phone": [0, 1],
    "A-payment": [0, 1],
    "A-reference": [1, 1],
    "A-power": [1, 1],
    "A-ad_hoc": [0, 1],
}


def row(tenant: Tenant, age: int, **fills: Any) -> Scorecard:
    """Store the row of some days ago."""
    return Scorecard.objects.create(
        tenant=tenant, day=TODAY() - dt.timedelta(days=age), locations=1, shown=1, evses=1, tariffs=1, fills=fills
    )


def test_scorecard_of_one_location(cpo):
    factories.put_location(cpo)

    found = scorecards.of(cpo)

    assert (found.day, found.locations, found.shown, found.evses, found.tariffs) == (TODAY(), 1, 1, 1, 0)
    assert found.fills == FULL
    assert set(found.fills) == {field.name for field in scorecards.FIELDS}


def test_scorecard_counts_every_object_on_its_own_and_no_removed_evse(cpo, monkeypatch):
    monkeypatch.setattr(scorecards, "BATCH", 2)  # three Locations are two batches
    bare = connector_body(id="2", max_electric_power=None, tariff_ids=[])
    evses = [
        evse_body(connectors=[connector_body(), bare], capabilities=["CREDIT_CARD_PAYABLE"]),
        evse_body(uid="EVSE-2", evse_id="NL*EXA*E2", physical_reference=None, parking_restrictions=[]),
        evse_body(uid="EVSE-3", evse_id="NL*EXA*E3", parking_restrictions=None),
        evse_body(uid="EVSE-4", evse_id="NL*EXA*E4", status="REMOVED", parking_restrictions=None),
    ]
    factories.put_tariff(cpo)
    factories.put_location(cpo, evses=evses, energy_mix=None, help_phone="+31 30 1234567")
    factories.put_location(cpo, id="L2", evses=[], opening_times=None, operator=None)
    factories.put_location(cpo, id="L3", evses=[], publish=False)

    found = scorecards.of(cpo)

    assert (found.locations, found.shown, found.evses, found.tariffs) == (3, 0, 3, 1)
    assert found.fills == {
        "N-opening_times": [2, 3],
        "N-energy_mix": [2, 3],
        "N-parking_restrictions": [2, 3],
        "N-max_electric_power": [3, 4],
        "N-tariff_ids": [3, 4],
        "A-operator": [2, 3],
        "A-help_phone": [1, 3],
        "A-payment": [1, 3],
        "A-reference": [2, 3],
        "A-power": [2, 3],
        "A-ad_hoc": [3, 3],
    }


def test_scorecards_are_written_once_a_day_for_who_has_locations(cpo, rival):
    factories.put_location(cpo)
    row(cpo, 1)

    assert scorecards.write() == 1
    factories.put_location(cpo, id="L2")
    factories.put_location(rival)
    assert scorecards.write() == 1
    assert scorecards.write() == 0

    today = Scorecard.objects.filter(day=TODAY()).values_list("tenant__party_id", "locations")
    assert sorted(today) == [("EXA", 1), ("RIV", 1)]
    assert Scorecard.objects.count() == 3


def test_scorecards_go_on_with_the_next_run_when_time_is_up(cpo, rival):
    factories.put_location(cpo)
    factories.put_location(rival)

    assert [scorecards.write(longest_s=0) for _ in range(3)] == [1, 1, 0]


def test_scorecards_of_long_ago_are_forgotten(cpo):
    row(cpo, 400)
    row(cpo, 401)

    scorecards.write()

    assert [one.day for one in Scorecard.objects.all()] == [TODAY() - dt.timedelta(days=400)]


def test_averages_count_each_tenant_as_one_with_its_latest_row(cpo, rival):
    row(cpo, 0, a=[1000, 1000], b=[0, 0])
    row(cpo, 1, a=[0, 1000])
    row(rival, 6, a=[1, 4], b=[1, 3])
    row(factories.make_tenant("OLD"), 7, a=[0, 1])

    row(factories.make_tenant("NEW"), 0, a=[1, 1], b=[0, 0])
    assert scorecards.averages() == ({"a": 75, "b": 100 / 3}, 3)
    assert scorecards.averages(2) == ({"a": 75}, 3)


def test_trend_is_of_the_last_days_oldest_first_or_the_latest_there_is(cpo, rival):
    for age in (0, 29, 30):
        row(cpo, age)
    for age in (90, 60):
        row(rival, age)

    days = [[(TODAY() - one.day).days for one in scorecards.trend(tenant)] for tenant in (cpo, rival)]

    assert days == [[29, 0], [60]]
