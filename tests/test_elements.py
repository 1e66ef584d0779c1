"""When prices apply: which are dead, which leave moments uncovered, and what the lint says about it."""

import pytest

from ocpi.rules import check, elements
from ocpi.rules.elements import covers, priced
from tests.cases_tariffs import DATES, NIGHT, WEEK, component, element, tariff, within
from tests.documents import tariff_body

FLAT = component("FLAT", 1)
DEAD = ["/elements/1/price_components/0"]


def dead(*parts: dict) -> list[str]:
    """Return the components that never apply."""
    return [one.path for one in priced(tariff(*parts)) if one.behind is not None]


@pytest.mark.parametrize(
    "always",
    [{}, {"day_of_week": []}, {"day_of_week": WEEK[::-1]}, {"min_kwh": 0, "min_duration": 0}],
)
def test_component_behind_an_unrestricted_one_is_dead(always):
    assert dead(element(**always), element(**NIGHT)) == DEAD
    assert dead(element(**NIGHT), element(**always)) == []


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (NIGHT, NIGHT, True),
        (NIGHT, NIGHT | {"max_kwh": 5}, True),
        (NIGHT | {"max_kwh": 5}, NIGHT, False),
        ({"start_time": "22:00"}, NIGHT, False),
        ({"start_time": "22:00"}, {"start_time": "22:00", "end_time": "00:00"}, False),  # not certain
        ({"start_time": "08:00", "end_time": "18:00"}, {"start_time": "09:00", "end_time": "17:00"}, False),
        ({"day_of_week": WEEK[:5]}, {"day_of_week": ["FRIDAY", "MONDAY", "MONDAY"]}, True),
        ({"day_of_week": WEEK[:5]}, {"day_of_week": ["FRIDAY", "SATURDAY"]}, False),
        ({"min_power": 11}, {"min_power": 11.0, "max_power": 50}, True),
        ({"min_power": 11}, {"min_power": 10.9}, False),
        ({"max_duration": 60}, {"max_duration": 60}, True),
        ({"max_duration": 60}, {"max_duration": 61}, False),
        (DATES, DATES | {"end_date": "2026-08-31"}, True),
        (DATES, {"start_date": "2026-06-30", "end_date": "2026-09-01"}, False),
    ],
)
def test_covers_only_what_is_certain(wide, narrow, expected):
    assert covers(wide, narrow) is expected


def test_reservations_are_compared_with_the_same_reservations():
    reserved, expired = (element(FLAT, reservation=kind) for kind in ("RESERVATION", "RESERVATION_EXPIRES"))

    assert dead(element(FLAT), reserved, expired) == []
    assert dead(reserved, element(FLAT)) == []
    assert dead(reserved, reserved) == DEAD
    assert dead(element(FLAT), element()) == []


@pytest.mark.parametrize(
    ("whens", "expected"),
    [
        ([{"start_date": "2026-01-01"}], True),
        ([{"max_kwh": 10}, {"min_kwh": 10}], True),
        ([{"max_kwh": 10}, {"min_kwh": 10.1}], False),
        ([{"day_of_week": WEEK[:5]}, {"day_of_week": WEEK[5:]}], True),
        ([{"day_of_week": WEEK[:5]}, {"day_of_week": WEEK[4:6]}], False),
        ([{"end_time": "08:00"}, {"start_time": "08:00"}], True),
        ([NIGHT, {"start_time": "05:00", "end_time": "22:00", "max_power": 50}, {"min_power": 50}], True),
        ([NIGHT, {"start_time": "06:00", "end_time": "22:00", "max_power": 50}, {"min_power": 51}], False),
        ([{"start_time": "08:00", "end_time": "08:00"}], False),
        ([{"start_time": f"{n:02}:00", "min_kwh": n, "max_power": n, "max_current": n} for n in range(1, 20)], None),
    ],
)
def test_are_complete_knows_when_something_always_holds(whens, expected):
    assert elements.are_complete(whens) is expected


@pytest.mark.parametrize(
    "body",
    [
        tariff(element(component(price=0), **NIGHT), element(FLAT)),  # free energy
        tariff(element(component("PARKING_TIME"), **NIGHT), element(FLAT)),  # no energy
        tariff(element(start_time="00:00", end_time="23:59")),  # another rule tells
        tariff(element(day_of_week=WEEK[:5], **NIGHT)),  # whose hours are those after midnight?
        tariff(element(start_date="2026-01-01")),
    ],
)
def test_energy_that_may_well_be_covered_is_no_finding(body):
    assert "energy_without_a_fallback" not in rules(body)


@pytest.mark.parametrize(
    ("body", "is_found"),
    [
        (tariff(element(component(price=0.0))), True),
        (tariff(element(component("FLAT", -0.0))), False),
        (tariff(element(component("FLAT", 0), max_kwh=5)), True),
        (tariff(element(component("FLAT", 0), day_of_week=WEEK, min_kwh=0)), False),
        (tariff(element(component("FLAT", 0), reservation="RESERVATION")), True),
        (tariff(element(component("FLAT", 0)), element(component("FLAT", 0))), True),
        (tariff(element(component(price=0)), min_price={"excl_vat": 1}), False),
        (tariff(element(component(price=0)), min_price={"excl_vat": 0.0}), True),
    ],
)
def test_free_of_charge_has_one_form(body, is_found):
    assert ("free_in_other_words" in rules(body)) is is_found


@pytest.mark.parametrize(
    ("restrictions", "is_found"),
    [
        (DATES | NIGHT, True),
        (DATES | {"end_time": "06:00"}, True),
        ({"start_date": "2026-07-01", "start_time": "22:00"}, True),
        ({"end_date": "2026-07-01", "start_time": "22:00"}, False),
        (DATES, False),
    ],
)
def test_dates_with_times_are_unclear_where_each_time_has_a_date(restrictions, is_found):
    assert ("dates_with_times" in rules(within(**restrictions))) is is_found


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("0.388EURperKWH", True),
        ("Laden kost 0,40 euro per kWh", True),
        ("€0.40/kWh", True),
        ("Na 2,5 uur geldt een tarief per uur", False),
        ("Wij leveren 100 % groene stroom, 0,0 g CO2 per kWh", False),
    ],
)
def test_price_per_kwh_in_a_text_is_found(text, is_found):
    body = tariff_body(tariff_alt_text=[{"language": "nl", "text": text}])

    assert ("price_in_words" in rules(body)) is is_found


def test_vat_as_a_fraction_suggests_a_percentage_that_exists():
    findings = check("tariff", tariff(element(component(vat=0.055), component("FLAT", vat=0.5)))).findings

    assert [finding.hint for finding in findings] == ["vat is a percentage, not a fraction: is 5.5 meant?", ""]


def rules(body: dict) -> set[str]:
    """Return the names of the rules a Tariff breaks."""
    return {finding.broken.name for finding in check("tariff", body).findings}
