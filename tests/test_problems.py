"""Problems: what two objects make together, for whom it is told, page by page; and a rule book that has changed."""

from typing import Any

import orjson
import pytest

from ocpi import problems, recheck, store
from ocpi.models import Location, Push, Tariff
from ocpi.rules import EDITION, Finding, uploads
from tests import factories, stored
from tests.documents import connector_body, evse_body, location_body, tariff_body
from tests.factories import put_location, put_tariff

LATER = "2026-03-02T10:00:00Z"
EARLIER = "2026-03-01T00:00:00Z"
OLD_EVSES = [evse_body(last_updated=EARLIER, connectors=[connector_body(last_updated=EARLIER)])]
CONNECTOR = connector_body(tariff_ids=["NONE"])
TARIFF_PATH = "/evses/0/connectors/0/tariff_ids"


def told(findings: list[Finding]) -> list[tuple[str, str, str]]:
    """Return rule, path and message."""
    return [(one.rule, one.path, one.message) for one in findings]


def seen_by(tenant: Any, **filters: Any) -> list[tuple[str, str, str]]:
    """Return id, rule and path of all problems a CPO reads."""
    return [(p.ocpi_id, p.finding.rule, p.finding.path) for p in problems.page(tenant, **filters).results]


def with_evse(**fields: Any) -> dict[str, Any]:
    """Return the fields of a Location with one EVSE like this, without tariffs that could be unknown."""
    return {"evses": [evse_body(**fields)]}


def naming(*tariff_ids: str) -> list[dict[str, Any]]:
    """Return EVSEs whose one Connector names these tariffs."""
    return [evse_body(connectors=[connector_body(tariff_ids=list(tariff_ids))])]


# --- Tariffs nobody knows (L-25) ---------------------------------------------------------------------------------------


def test_problems_tariff_that_is_not_known_is_named_until_it_arrives(cpo):
    outcome = put_location(cpo)

    assert told(outcome.findings) == [("L-25", f"{TARIFF_PATH}/0", 'Tariff "ADHOC-1" is not known here')]
    assert seen_by(cpo) == [("LOC-0001", "L-25", f"{TARIFF_PATH}/0")]

    put_tariff(cpo, id="adhoc-1")

    assert seen_by(cpo) == []
    assert put_location(cpo).findings == []


def test_problems_tariff_of_another_party_is_as_unknown_as_none(cpo, rival):
    put_tariff(rival)

    assert [one.rule for one in put_location(cpo).findings] == ["L-25"]


def test_problems_tariff_that_was_deleted_is_unknown_again(cpo):
    put_tariff(cpo)
    put_location(cpo, evses=[evse_body(status="REMOVED")])
    store.delete_tariff(cpo, "ADHOC-1")

    store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "AVAILABLE", "last_updated": LATER})

    assert seen_by(cpo) == [("LOC-0001", "L-25", f"{TARIFF_PATH}/0")]


def test_problems_removed_evse_needs_no_tariff(cpo):
    put_location(cpo, evses=[evse_body(status="REMOVED")])

    assert "L-25" not in {rule for _, rule, _ in seen_by(cpo)}


def test_problems_unchanged_upload_still_tells_of_the_tariff(cpo):
    put_location(cpo)

    again = put_location(cpo)

    assert (again.changed, [one.rule for one in again.findings]) == (False, ["L-25"])


def test_problems_of_a_child_upload_stand_at_paths_in_the_child(cpo):
    put_tariff(cpo)
    put_location(cpo)

    evse = store.put_evse(cpo, "LOC-0001", evse_body(uid="E2", evse_id="NL*EXA*E2", connectors=[CONNECTOR]))
    connector = store.put_connector(cpo, "LOC-0001", "E2", CONNECTOR | {"max_amperage": 33})

    assert [(one.rule, one.path) for one in evse.findings] == [("L-25", "/connectors/0/tariff_ids/0")]
    assert [(one.rule, one.path) for one in connector.findings] == [("L-25", "/tariff_ids/0")]


# --- Two tariffs of one type (L-26) ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, ["L-26"]),
        ({"type": "REGULAR"}, {}, []),
        ({"type": None}, {"type": None}, ["L-26"]),
        ({"end_date_time": "2099-01-01T00:00:00Z"}, {"start_date_time": "2099-01-01T00:00:00Z"}, []),
        ({"end_date_time": "2099-01-01T00:00:00.001Z"}, {"start_date_time": "2099-01-01T00:00:00Z"}, ["L-26"]),
        ({"end_date_time": "2020-01-01T00:00:00Z"}, {"end_date_time": "2021-01-01T00:00:00Z"}, []),
    ],
)
def test_problems_two_tariffs_of_a_type_compete_only_while_both_are_valid(cpo, one, other, expected):
    put_tariff(cpo, id="ONE", **one)
    put_tariff(cpo, id="TWO", **other)

    outcome = put_location(cpo, evses=naming("ONE", "TWO"))

    assert [finding.rule for finding in outcome.findings] == expected
    assert [rule for _, rule, _ in seen_by(cpo)] == expected


def test_problems_two_tariffs_of_a_type_are_named(cpo):
    put_tariff(cpo, id="ONE")
    put_tariff(cpo, id="TWO")

    outcome = put_location(cpo, evses=naming("ONE", "two"))

    message = (
        'Tariffs "two" and "ONE" are both AD_HOC_PAYMENT and valid at the same time; which one counts is not defined'
    )
    assert told(outcome.findings) == [("L-26", f"{TARIFF_PATH}/1", message)]


def test_problems_tariff_that_is_named_twice_does_not_compete_with_itself(cpo):
    put_tariff(cpo)

    assert put_location(cpo, evses=naming("ADHOC-1", "adhoc-1", "ADHOC-1")).findings == []


def test_problems_many_tariffs_of_a_type_are_told_once_each_and_the_rest_counted(cpo):
    names = [f"T{number}" for number in range(130)]
    for name in names:
        put_tariff(cpo, id=name)

    findings = put_location(cpo, evses=naming(*names)).findings

    assert [one.rule for one in findings] == ["L-26"] * 100 + ["S-more"]
    assert findings[-1].message == "L-26: findings that are not listed: 29"


# --- The same EVSE twice (L-29, evse_id) -------------------------------------------------------------------------------


def test_problems_uid_in_two_locations_is_told_at_both(cpo):
    put_tariff(cpo)
    put_location(cpo, id="OLD", **with_evse(evse_id="NL*EXA*E1"))

    outcome = put_location(cpo, id="NEW", **with_evse(uid="evse-1", evse_id="NL*EXA*E2"))

    message = 'EVSE uid "evse-1" stands in Location "OLD" too; a uid is unique within the party'
    assert told(outcome.findings) == [("L-29", "/evses/0/uid", message)]
    assert seen_by(cpo) == [("OLD", "L-29", "/evses/0/uid"), ("NEW", "L-29", "/evses/0/uid")]


def test_problems_uid_that_is_removed_elsewhere_has_moved(cpo):
    put_tariff(cpo)
    put_location(cpo, id="OLD", **with_evse(status="REMOVED"))

    assert put_location(cpo, id="NEW", **with_evse()).findings == []


def test_problems_same_uid_at_another_party_is_no_problem(cpo, rival):
    put_tariff(cpo)
    put_location(rival, **with_evse(evse_id="NL*RIV*E1"))

    assert put_location(cpo).findings == []


def test_problems_evse_id_in_two_locations_is_told_however_it_is_spelt(cpo):
    put_tariff(cpo)
    put_location(cpo, id="ONE", **with_evse(uid="A", evse_id="NL*EXA*E1001*1"))

    outcome = put_location(cpo, id="TWO", **with_evse(uid="B", evse_id="nlexae10011"))

    message = 'evse_id "nlexae10011" stands in Location "ONE" too'
    assert told(outcome.findings) == [("S-evse_id", "/evses/0/evse_id", message)]


def test_problems_evse_id_at_another_party_is_told_to_both_without_naming_them(cpo, rival):
    put_tariff(cpo)
    put_tariff(rival)
    put_location(rival, id="SECRET-PLACE")

    put_location(cpo)

    mine, theirs = problems.page(cpo).results, problems.page(rival, rule="S-evse_id").results
    assert told([p.finding for p in mine]) == [
        ("S-evse_id", "/evses/0/evse_id", 'evse_id "NL*EXA*E1001*1" is delivered by another party too')
    ]
    assert uploads.EVSE_ID_ABROAD in [p.finding.broken for p in theirs]
    told_to_both = repr(mine) + repr(theirs)
    assert "RIV" not in repr(mine)
    assert "SECRET-PLACE" not in repr(mine)
    assert "Marktplein" not in told_to_both


def test_problems_evse_id_that_another_party_does_not_show_is_not_told(cpo, rival):
    put_tariff(cpo)
    put_location(rival, publish=False)

    assert put_location(cpo).findings == []
    assert seen_by(cpo) == []


def test_problems_own_double_is_told_before_that_of_another_party(cpo, rival):
    put_tariff(cpo)
    put_location(rival, id="FIRST")
    put_location(cpo, id="OWN", **with_evse(uid="A"))

    findings = put_location(cpo, id="SECOND", **with_evse(uid="B")).findings

    assert [one.message for one in findings] == ['evse_id "NL*EXA*E1001*1" stands in Location "OWN" too']


def test_problems_operators_see_who_the_other_party_is(cpo, rival):
    put_location(rival, id="THERE")
    put_location(cpo)

    findings = problems.look(cpo, stored.location(cpo).pk, location_body(), names_parties=True)

    messages = [one.message for one in findings if one.rule == "S-evse_id"]
    assert messages == ['evse_id "NL*EXA*E1001*1" stands in Location "NL-RIV THERE" too']


# --- A document that is not stored -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "document", "path"),
    [
        ("evse", evse_body(), "/connectors/0/tariff_ids/0"),
        ("connector", connector_body(), "/tariff_ids/0"),
    ],
)
def test_problems_of_a_part_stand_at_paths_in_it(cpo, kind, document, path):
    assert [(f.rule, f.path) for f in problems.of_part(cpo, kind, document)] == [("L-25", path)]


def tried(tenant: Any, kind: Any, document: Any) -> tuple[bool, list[str]]:
    """Return whether an upload would be refused, and the rules it would be told of."""
    is_refused, findings = store.try_out(kind, tenant, document)
    return is_refused, [finding.rule for finding in findings]


def test_try_out_says_what_the_upload_would_and_stores_nothing(cpo):
    factories.connect_to_nowhere(cpo)
    put_tariff(cpo)
    put_location(cpo)
    before = stored.everything(cpo)
    later = {"last_updated": LATER}

    assert tried(cpo, "location", location_body(id="loc-0001")) == (False, [])
    assert tried(cpo, "location", location_body(id="OTHER")) == (False, ["L-29"])
    assert tried(cpo, "location", location_body(**later, energy_mix=None)) == (True, ["N-energy_mix"])
    assert tried(cpo, "location", location_body(**later, evses=[])) == (False, ["L-13", "L-04"])
    assert tried(cpo, "location", location_body(last_updated=EARLIER, evses=OLD_EVSES)) == (True, ["S-stale"])
    assert tried(cpo, "tariff", tariff_body(last_updated="2026-02-01T00:00:00Z")) == (True, ["S-stale"])
    assert tried(cpo, "tariff", tariff_body(id="NEW")) == (False, [])
    assert stored.everything(cpo) == before


def test_problems_ad_hoc_tariffs_are_those_for_everybody(cpo):
    put_tariff(cpo, id="HOC")
    put_tariff(cpo, id="ALL", type=None)
    put_tariff(cpo, id="REG", type="REGULAR")

    found = problems.ad_hoc_tariffs(cpo, location_body(evses=naming("Hoc", "all", "REG", "NONE")))

    assert found == {"hoc", "all"}


# --- Pages -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(cpo: Any) -> Any:
    """Three Locations with two problems each, one clean, and a Tariff with one."""
    put_tariff(cpo)
    for number in range(3):
        evse = evse_body(uid=f"E{number}", evse_id=f"NL*EXA*E{number}", parking_restrictions=[])
        put_location(cpo, id=f"L{number}", energy_mix=None, evses=[evse])
    put_location(cpo, id="CLEAN")
    put_tariff(
        cpo,
        id="ODD",
        elements=[{"price_components": [{"type": "ENERGY", "price": 0.12345, "vat": 21, "step_size": 1}]}],
    )
    return cpo


ALL = [
    *((f"L{n}", rule) for n in range(3) for rule in ("N-energy_mix", "N-parking_restrictions")),
    ("ODD", "S-decimals"),
]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 8])
def test_problems_pages_join_without_a_hole_or_a_double(many, limit):
    results, after = [], None
    while True:
        page = problems.page(many, after=after, limit=limit)
        results += [(p.ocpi_id, p.finding.rule) for p in page.results]
        assert len(page.results) <= limit
        after = page.next
        if after is None:
            break

    assert results == ALL


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"severity": "gap"}, [one for one in ALL if one[1] == "N-energy_mix"]),
        ({"severity": "warning"}, [one for one in ALL if one[1] != "N-energy_mix"]),
        ({"severity": "error"}, []),
        ({"rule": "N-parking_restrictions"}, [one for one in ALL if one[1] == "N-parking_restrictions"]),
        ({"rule": "S-decimals"}, ALL[-1:]),
        ({"rule": "L-25"}, []),
        ({"kind": "tariff"}, ALL[-1:]),
        ({"kind": "location", "rule": "S-decimals"}, []),
    ],
)
def test_problems_filters_keep_what_they_name(many, filters, expected):
    assert [(p.ocpi_id, p.finding.rule) for p in problems.page(many, **filters).results] == expected


@pytest.mark.parametrize("after", ["x", "bDE", "l1.0", "ZDEuMA", "bC0xLjA", "é", "A" * 200])
def test_problems_page_that_is_not_ours_is_refused(cpo, after):
    with pytest.raises(ValueError, match="not a value of ours"):
        problems.page(cpo, after=after)


def test_problems_of_a_deleted_tariff_are_gone(many):
    store.delete_tariff(many, "ODD")

    assert seen_by(many, kind="tariff") == []


# --- What is kept ------------------------------------------------------------------------------------------------------


def test_problems_repairs_are_told_and_not_kept(cpo):
    put_tariff(cpo)

    outcome = put_location(cpo, state=None, name=" Marktplein ", last_updated="2026-03-02T09:15:00")

    assert sorted(f.rule for f in outcome.findings) == ["S-date_time", "S-null", "S-space"]
    assert (stored.location(cpo).findings, stored.location(cpo).warnings) == ([], [])
    assert stored.document(cpo)["name"] == "Marktplein"


def test_problems_unknown_properties_stay_told_after_a_status(cpo):
    put_tariff(cpo)
    put_location(cpo, colour="green")

    store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "CHARGING", "last_updated": LATER})

    assert seen_by(cpo) == [("LOC-0001", "S-unknown", "/colour")]
    assert stored.location(cpo).warnings == ["S-unknown"]


def test_problems_change_of_an_unknown_property_alone_is_kept(cpo):
    put_tariff(cpo)
    factories.connect_to_nowhere(cpo)
    put_location(cpo, other=3)
    stored.deliver(cpo)

    put_location(cpo, other=3, second=4)
    store.patch_location(cpo, "LOC-0001", {"help_phone": "+31", "last_updated": "2026-03-02T09:15:00Z"})
    put_tariff(cpo, colour="red")

    assert stored.location(cpo).unknown == {"/other": 3, "/second": 4, "/help_phone": "+31"}
    assert Tariff.objects.get().unknown == {"/colour": "red"}
    assert stored.pushed(cpo) == []

    store.patch_location(cpo, "LOC-0001", {"help_phone": None, "last_updated": LATER})
    put_location(cpo, last_updated=LATER)

    assert stored.location(cpo).unknown is None
    assert seen_by(cpo, kind="location") == []


def test_problems_replaced_child_loses_what_was_kept_apart_of_it(cpo):
    put_location(
        cpo, evses=[evse_body(foo=1, connectors=[connector_body(bar=2)]), evse_body(uid="E2", evse_id="x", foo=3)]
    )

    store.patch_location(cpo, "LOC-0001", {"evses": [evse_body(uid="evse-1")], "last_updated": LATER})

    assert stored.location(cpo).unknown == {"/evses/1/foo": 3}


def test_problems_status_asks_nothing_about_others_unless_it_brings_an_evse_back(cpo, django_assert_num_queries):
    put_tariff(cpo, id="ONE")
    put_tariff(cpo, id="TWO")
    put_location(cpo, evses=naming("ONE", "TWO", "NONE"))

    charging = store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "CHARGING", "last_updated": LATER})
    store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "REMOVED", "last_updated": LATER})
    back = store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "AVAILABLE", "last_updated": LATER})

    assert [one.rule for one in charging.findings] == []
    assert [one.rule for one in back.findings] == ["L-03", "L-25", "L-26"]


def test_patch_takes_blanks_around_last_updated_off_too(cpo):
    put_location(cpo)

    outcome = store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "CHARGING", "last_updated": f"{LATER} "})

    assert [one.rule for one in outcome.findings] == ["S-space"]
    assert stored.document(cpo)["evses"][0]["last_updated"] == LATER


def outdate(**fields: Any) -> None:
    """Make all Locations look as if another edition of the book had judged them."""
    Location.objects.update(edition="older", **fields)
    Tariff.objects.update(edition="older")


def test_recheck_renews_findings_and_leaves_the_rest(cpo):
    put_tariff(cpo)
    put_location(cpo, evses=[evse_body(parking_restrictions=[])])
    before = stored.location(cpo)
    outdate(findings=[], warnings=[], gaps=["N-gone"], evse_keys=[])

    assert (recheck.waiting(), recheck.outdated(), recheck.waiting()) == (2, 2, 0)

    after = stored.location(cpo)
    for field in ("body", "findings", "warnings", "gaps", "evse_keys", "is_shown", "received_at", "cpo_times"):
        assert getattr(after, field) == getattr(before, field), field
    assert after.edition == EDITION


def test_recheck_never_hides_what_ndw_has(cpo):
    put_location(cpo)
    gapped = stored.document(cpo)
    del gapped["energy_mix"]
    from_the_past = stored.location(cpo)
    Location.objects.filter(pk=from_the_past.pk).update(body=orjson.dumps(gapped))
    outdate()

    recheck.outdated()

    after = stored.location(cpo)
    assert (after.gaps, after.is_shown) == (["N-energy_mix"], True)


def test_recheck_is_not_needed_for_the_status_of_what_ndw_has(cpo):
    put_tariff(cpo)
    put_location(cpo)
    gapped = {name: value for name, value in stored.document(cpo).items() if name != "energy_mix"}
    Location.objects.update(body=orjson.dumps(gapped), edition="older")

    before = store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "CHARGING", "last_updated": LATER})
    after = store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "BLOCKED", "last_updated": LATER})

    assert (before.changed, after.changed, before.findings, after.findings) == (True, True, [], [])
    assert (stored.location(cpo).is_shown, stored.location(cpo).gaps) == (True, ["N-energy_mix"])


def test_recheck_shows_and_pushes_what_has_lost_its_last_gap(cpo):
    factories.connect_to_nowhere(cpo)
    put_location(cpo)
    stored.deliver(cpo)
    outdate(gaps=["N-gone"], is_shown=False)

    recheck.outdated()

    assert stored.location(cpo).is_shown is True
    assert stored.pushed(cpo) == [("location LOC-0001", 2, True, None)]
    assert Push.objects.get().changed_at is None  # nobody waits for what an upgrade has shown


def test_recheck_keeps_what_a_stricter_book_refuses(cpo):
    put_location(cpo)
    wrong = stored.document(cpo) | {"time_zone": "Mars/Phobos"}
    Location.objects.update(body=orjson.dumps(wrong))
    outdate()

    recheck.outdated()

    assert (stored.document(cpo)["time_zone"], stored.location(cpo).is_shown) == ("Mars/Phobos", True)
    assert seen_by(cpo, severity="error") == [("LOC-0001", "L-24", "/time_zone")]


def test_recheck_stops_in_time_and_goes_on(cpo):
    put_location(cpo)
    outdate()

    assert recheck.outdated(longest_s=-1) == 0
    assert recheck.waiting() == 1
