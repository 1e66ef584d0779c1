"""What stands between CPOs and NDW: the arithmetic on small tables, and the numbers of what is stored."""

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from ocpi import overview, problems
from ocpi.models import Location
from ocpi.plans import Line, Lot, Standing, Step, beginning, plan
from tests.documents import connector_body, evse_body
from tests.factories import make_tenant, put_location, put_tariff


def lot(gaps: str = "", warnings: str = "", evses: int = 1, **fields: object) -> Lot:
    """Return one Location, held back when it has gaps."""
    given = {"tenant_id": 1, "is_shown": not gaps, "publish": True, "locations": 1} | fields
    return Lot(gaps=frozenset(gaps), warnings=frozenset(warnings), evses=evses, **given)


def held(**evses: int) -> dict[frozenset[str], tuple[int, int]]:
    """Return Locations held back: gaps, a letter each -> EVSEs, in one Location."""
    return {frozenset(gaps): (1, count) for gaps, count in evses.items()}


def steps(**evses: int) -> list[tuple[str, int, int]]:
    """Return the plan, shortened."""
    return [("".join(step.rules), step.evses, step.total) for step in plan(held(**evses))]


# --- The plan ----------------------------------------------------------------------------------------------------------


def test_plan_of_nothing_is_empty():
    assert plan({}) == []


def test_plan_counts_locations_and_evses():
    found = plan({frozenset("A"): (3, 7), frozenset("AB"): (2, 4)})

    assert found == [Step(("A",), 3, 7, 7), Step(("B",), 2, 4, 11)]


@pytest.mark.parametrize(
    ("evses", "expected"),
    [
        ({"A": 5}, [("A", 5, 5)]),
        ({"A": 5, "B": 9}, [("B", 9, 9), ("A", 5, 14)]),
        ({"A": 9, "AB": 5}, [("A", 9, 9), ("B", 5, 14)]),
        ({"A": 3, "AB": 5}, [("A", 3, 3), ("B", 5, 8)]),
        # Nothing is free before both are mended.
        ({"AB": 5}, [("AB", 5, 5)]),
        ({"AB": 5, "ABC": 1}, [("AB", 5, 5), ("C", 1, 6)]),
        # Two rules free so much more that they go first.
        ({"A": 3, "BC": 100}, [("BC", 100, 100), ("A", 3, 103)]),
        ({"A": 3, "B": 1, "BC": 100}, [("B", 1, 1), ("C", 100, 101), ("A", 3, 104)]),
        # As many for each rule: the fewer rules.
        ({"A": 10, "BC": 20}, [("A", 10, 10), ("BC", 20, 30)]),
        ({"AB": 2, "AC": 2, "B": 1}, [("B", 1, 1), ("A", 2, 3), ("C", 2, 5)]),
    ],
)
def test_plan_takes_what_frees_most_for_each_rule(evses, expected):
    assert steps(**evses) == expected


def test_plan_of_locations_without_evses_goes_by_locations():
    found = plan({frozenset("A"): (1, 0), frozenset("B"): (4, 0)})

    assert found == [Step(("B",), 4, 0, 0), Step(("A",), 1, 0, 0)]


@pytest.mark.parametrize(
    ("evses", "rules", "total"),
    [
        ({"A": 5}, "A", 5),
        ({"A": 5, "AB": 4}, "A", 5),
        ({"A": 5, "AB": 6}, "AB", 11),
        ({"A": 3, "BC": 100}, "BC", 100),
        ({"AB": 118, "ABC": 123}, "ABC", 241),
    ],
)
def test_beginning_of_a_plan_frees_most_for_each_rule(evses, rules, total):
    found = beginning(plan(held(**evses)))

    assert ("".join(found.rules), found.evses) == (rules, total)


def test_plan_is_the_same_whatever_the_order():
    groups = held(A=2, B=2, AB=2, C=2, BC=2)

    assert plan(groups) == plan(dict(reversed(groups.items())))
    assert plan(groups)[-1].total == 10


# --- A standing --------------------------------------------------------------------------------------------------------


def test_standing_counts_what_is_shown_withheld_and_not_published():
    one = Standing((lot(evses=4), lot("A", evses=2, locations=3), lot("B", publish=False, evses=8)))

    assert (one.locations, one.shown, one.withheld, one.unpublished) == (5, 1, 3, 1)
    assert (one.evses, one.held_back, one.shown_percent, one.is_ready) == (14, 2, 20, False)


@pytest.mark.parametrize(
    ("lots", "is_ready"),
    [
        ([], False),
        ([lot()], True),
        ([lot(), lot(is_shown=False, publish=False)], True),
        ([lot(is_shown=False, publish=False)], False),
        ([lot(), lot("A")], False),
        ([lot("A", is_shown=True)], True),  # a later profile takes nothing away
    ],
)
def test_standing_is_ready_when_ndw_sees_all_that_is_published(lots, is_ready):
    assert Standing(tuple(lots)).is_ready is is_ready


def test_standing_adds_up_gaps_of_what_is_held_back():
    one = Standing((lot("A", evses=3), lot("AB", evses=5), lot("B", publish=False, evses=9), lot("A", is_shown=True)))

    assert one.gaps() == [Line("A", 2, 8, 3), Line("B", 1, 5, 0)]
    assert one.plan() == [Step(("A",), 1, 3, 3), Step(("B",), 1, 5, 8)]


def test_standing_adds_up_warnings_of_all():
    one = Standing((lot(warnings="XY", evses=3), lot("A", warnings="Y", evses=5), lot(evses=9)))

    assert one.warnings() == [Line("Y", 2, 8), Line("X", 1, 3)]
    assert one.warned == 2


# --- What is stored ----------------------------------------------------------------------------------------------------


def test_standings_are_one_query_for_all_tenants(cpo, rival):
    put_location(cpo)
    put_location(cpo, id="GAPS", energy_mix=None, evses=[evse_body(uid=uid, evse_id=f"NL*EXA*E{uid}") for uid in "23"])
    put_location(rival, opening_times=None, publish=False)

    with CaptureQueriesContext(database) as caught:
        found = overview.standings()

    assert len(caught) == 1
    assert {tenant_id: (one.shown, one.held_back, one.unpublished) for tenant_id, one in found.items()} == {
        cpo.pk: (1, 2, 0),
        rival.pk: (0, 0, 1),
    }
    assert set(overview.standing(cpo).lots) == set(found[cpo.pk].lots)


def test_tariffs_are_counted_with_their_warnings(cpo, rival):
    put_tariff(cpo)
    put_tariff(cpo, id="ODD", colour="red")

    assert overview.tariffs() == {cpo.pk: (2, 1)}


def test_tariff_warnings_concern_the_evses_of_locations_that_name_the_tariff(cpo):
    put_tariff(cpo, id="Odd", colour="red")
    two = [
        evse_body(uid=uid, evse_id=f"NL*EXA*E{uid}", connectors=[connector_body(tariff_ids=["ODD"])]) for uid in "12"
    ]
    put_location(cpo, evses=two)
    put_location(cpo, id="OTHER")
    rule = cpo.tariffs.get().warnings[0]

    assert overview.tariff_warnings(cpo) == [Line(rule, 1, 2)]


@pytest.mark.parametrize(
    ("party", "is_known"),
    [("NL-EXA", True), ("nl-exa", True), ("NLEXA", False), ("", False), ("NL-EXA-1", False), ("NL-ËXA", False)],
)
def test_tenant_is_found_by_its_party(cpo, party, is_known):
    assert overview.find_tenant(party) == (cpo if is_known else None)


# --- Together ----------------------------------------------------------------------------------------------------------


def fill_together(cpo, rival) -> None:
    """Store Locations that break every rule of two objects, and one that breaks none."""
    put_tariff(cpo, id="A")
    put_tariff(cpo, id="B")
    put_tariff(cpo, id="R", type="REGULAR")
    put_tariff(rival, id="ELSEWHERE")

    def put(tenant, name, uid, evse_id, *tariff_ids):
        evse = evse_body(uid=uid, evse_id=evse_id, connectors=[connector_body(tariff_ids=list(tariff_ids))])
        put_location(tenant, id=name, evses=[evse])

    put(cpo, "FINE", "1", "NL*EXA*E1", "A", "R")
    put(cpo, "UNKNOWN", "2", "NL*EXA*E2", "ELSEWHERE")
    put(cpo, "CHOICE", "3", "NL*EXA*E3", "a", "B")
    put(cpo, "UID-1", "4", "NL*EXA*E4", "A")
    put(cpo, "UID-2", "4", "NL*EXA*E5", "A")
    put(cpo, "NUMBER", "6", "NL*EXA*E6", "A")
    put(cpo, "MOVED-1", "7", "NL*EXA*E7", "A")  # uid and evse_id, which is one finding
    put(cpo, "MOVED-2", "7", "NL*EXA*E7", "A")
    put(rival, "THEIRS", "1", "NL-EXA-E6", "ELSEWHERE")


def test_together_agrees_with_the_problems_of_a_tenant(cpo, rival):
    fill_together(cpo, rival)

    for tenant in (cpo, rival):
        found = {rule: set(overview.concerned(rule, [tenant])) for rule in problems.TOGETHER}
        one_by_one: dict[str, set[int]] = {rule: set() for rule in problems.TOGETHER}
        for problem in problems.of_tenant(tenant, "location"):
            if problem.finding.rule in one_by_one:
                one_by_one[problem.finding.rule].add(problem.pk)
        assert found == one_by_one


def test_together_counts_objects_and_evses(cpo, rival):
    fill_together(cpo, rival)

    assert {line.rule: line[1:] for line in overview.together(cpo) if line.rule != "S-evse_id"} == {
        "L-25": (1, 1, 0),
        "L-26": (1, 1, 0),
        "L-29": (4, 4, 0),
    }


def test_concerned_takes_all_tenants_at_once(cpo, rival):
    fill_together(cpo, rival)

    found = overview.concerned("S-evse_id", [cpo, rival])

    names = Location.objects.filter(pk__in=found).values_list("ocpi_id", flat=True)
    assert {"NUMBER", "THEIRS"} <= set(names)


def test_together_of_a_tenant_without_anything_is_empty(cpo):
    assert overview.together(cpo) == []


# --- Readiness ---------------------------------------------------------------------------------------------------------


def test_fills_count_the_newest_locations_only(cpo):
    put_tariff(cpo)
    put_location(cpo, id="OLD", operator=None)
    put_location(cpo, id="NEW", help_phone="+31201234567")

    both, looked_at = overview.fills(cpo, overview.tariff_types(cpo))
    newest, _ = overview.fills(cpo, overview.tariff_types(cpo), limit=1)

    assert looked_at == 2
    assert {one.advice.id: (one.met, one.of, one.percent) for one in both} == {
        "A-operator": (1, 2, 50),
        "A-help_phone": (1, 2, 50),
        "A-payment": (0, 2, 0),
        "A-reference": (2, 2, 100),
        "A-power": (2, 2, 100),
        "A-ad_hoc": (2, 2, 100),
    }
    assert {(one.advice.id, one.met) for one in newest} >= {("A-operator", 1), ("A-help_phone", 1)}
    assert overview.fills_of(Location.objects.get(ocpi_id="NEW")) == newest


def test_fills_of_no_location_are_zero(cpo):
    found, looked_at = overview.fills(cpo, {})

    assert (looked_at, {(one.met, one.of, one.percent) for one in found}) == (0, {(0, 0, 0)})


def test_numbers_take_as_many_queries_for_ten_locations_as_for_two(db):
    tenant, counts = make_tenant(), []
    put_tariff(tenant, id="T")
    for numbers in (range(2), range(2, 10)):
        for number in numbers:
            put_tariff(tenant, id=f"T{number}")
            connector = connector_body(tariff_ids=["T", f"T{number}"])
            put_location(tenant, id=f"L{number}", energy_mix=None, evses=[evse_body(connectors=[connector])])
        with CaptureQueriesContext(database) as caught:
            overview.together(tenant)
            overview.fills(tenant, overview.tariff_types(tenant))
        counts.append(len(caught))

    assert counts[0] == counts[1]
