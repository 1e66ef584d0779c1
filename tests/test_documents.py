"""Merging an upload into what is stored: newest wins per EVSE and Connector, and nothing ever vanishes."""

import copy
from typing import Any

import orjson
import pytest

from ocpi import documents
from ocpi.documents import Merge
from tests.documents import Body, connector_body, evse_body, location_body

NOW = "2026-03-02T12:00:00.500Z"
T = [f"2026-03-02T0{hour}:00:00Z" for hour in range(10)]


def connector(hour: int, ocpi_id: str = "1", **overrides: Any) -> Body:
    """Return a Connector last updated at that hour."""
    return connector_body(id=ocpi_id, last_updated=T[hour], **overrides)


def evse(hour: int, uid: str = "E1", connectors: list[Body] | None = None, **overrides: Any) -> Body:
    """Return an EVSE last updated at that hour; its Connector is as old as can be."""
    return evse_body(uid=uid, last_updated=T[hour], connectors=connectors or [connector(0)], **overrides)


def location(hour: int, *evses: Body, **overrides: Any) -> Body:
    """Return a Location last updated at that hour."""
    return location_body(last_updated=T[hour], evses=list(evses), **overrides)


def put(old: Body, new: Body, before: dict[str, str] | None = None) -> tuple[Body, Merge]:
    """Merge a whole Location as the CPO would PUT it; neither document may be changed by that."""
    merge, given = Merge(before or {}, NOW), copy.deepcopy((old, new))
    merged = merge.location(old, new, new["last_updated"])
    assert (old, new) == given
    return merged, merge


def notes(merge: Merge) -> list[tuple[str, str]]:
    """Return rule and path of what the CPO is told."""
    return [(finding.rule, finding.path) for finding in merge.notes]


def statuses(merged: Body) -> list[tuple[str, str, str]]:
    """Return uid, status and last_updated of every EVSE."""
    return [(e["uid"], e["status"], e["last_updated"]) for e in merged["evses"]]


# --- Newest wins -------------------------------------------------------------------------------------------------------


def test_documents_newer_location_replaces_all_of_it():
    merged, merge = put(location(1, evse(1)), location(2, evse(2, status="CHARGING"), name="New"))

    assert merged == location(2, evse(2, status="CHARGING"), name="New")
    assert (merge.sent, merge.notes) == ({}, [])


def test_documents_a_status_that_overtook_a_location_is_kept():
    merged, merge = put(location(3, evse(3, status="CHARGING"), evse(1, "E2")), location(4, evse(2), evse(4, "E2")))

    assert statuses(merged) == [("E1", "CHARGING", T[3]), ("E2", "AVAILABLE", T[4])]
    assert notes(merge) == [("S-stale", "/evses/0")]


def test_documents_a_status_that_overtook_a_location_does_not_hide_its_newer_connectors():
    stored = location(5, evse(5, connectors=[connector(1)], status="CHARGING"))

    merged, _ = put(stored, location(6, evse(4, connectors=[connector(4, tariff_ids=["NEW"])])))

    assert merged["evses"] == [evse(5, connectors=[connector(4, tariff_ids=["NEW"])], status="CHARGING")]


def test_documents_an_older_connector_does_not_replace_a_newer_one():
    stored = location(3, evse(3, connectors=[connector(3, max_amperage=16), connector(1, "2")]))

    merged, merge = put(stored, location(4, evse(4, connectors=[connector(2), connector(4, "2", max_voltage=400)])))

    assert merged["evses"][0]["connectors"] == [connector(3, max_amperage=16), connector(4, "2", max_voltage=400)]
    assert notes(merge) == [("S-stale", "/evses/0/connectors/0")]


def test_documents_an_evse_sent_again_as_it_is_served_counts_as_sent_then():
    stored = location(5, evse(5, connectors=[connector(5)]))

    _, merge = put(stored, location(6, evse(5, connectors=[connector(5)])), {"e1": T[1]})

    assert merge.sent == {}


def test_documents_equal_time_and_other_content_is_applied():
    merged, merge = put(location(1, evse(1)), location(1, evse(1, status="BLOCKED")))

    assert statuses(merged) == [("E1", "BLOCKED", T[1])]
    assert merge.notes == []


def test_documents_keep_the_spelling_of_the_first_upload():
    new = location(2, evse(2, "e1", [connector(2, "A")]), id="loc-0001")

    merged, _ = put(location(1, evse(1, "E1", [connector(1, "a")])), new)

    assert (merged["id"], merged["evses"][0]["uid"]) == ("LOC-0001", "E1")
    assert merged["evses"][0]["connectors"][0]["id"] == "a"


# --- Nothing vanishes --------------------------------------------------------------------------------------------------


def test_documents_a_missing_evse_stays_as_removed():
    merged, merge = put(location(1, evse(1), evse(1, "E2")), location(2, evse(1, "E2")))

    assert statuses(merged) == [("E2", "AVAILABLE", T[1]), ("E1", "REMOVED", NOW)]
    assert merged["last_updated"] == NOW
    assert merge.sent == {"": T[2], "e1": T[1]}
    assert notes(merge) == [("L-04", "/evses")]


def test_documents_a_location_without_evses_removes_them_all():
    without: tuple[Body, ...] = ({"evses": []}, {})
    for nothing in without:
        new = {k: v for k, v in location(2).items() if k != "evses"} | nothing

        merged, _ = put(location(1, evse(1), evse(1, "E2")), new)

        assert [status for _, status, _ in statuses(merged)] == ["REMOVED", "REMOVED"]


def test_documents_a_removed_evse_that_is_still_missing_stays_as_it_is():
    once, first = put(location(1, evse(1), evse(1, "E2")), location(2, evse(1, "E2")))

    twice, second = put(once, location(2, evse(1, "E2")), first.sent)

    assert twice == once
    assert (second.sent, second.notes) == (first.sent, [])


def test_documents_a_missing_evse_that_is_newer_than_the_location_is_kept():
    merged, merge = put(location(5, evse(1), evse(5, "E2")), location(4, evse(4)), {"": T[1]})

    assert statuses(merged) == [("E1", "AVAILABLE", T[4]), ("E2", "AVAILABLE", T[5])]
    assert notes(merge) == [("L-04", "/evses")]


def test_documents_removal_is_stamped_after_what_was_served():
    ahead = "2026-03-02T12:03:00Z"

    merged, _ = put(location(1, evse(1) | {"last_updated": ahead}), location(2) | {"last_updated": ahead})

    assert statuses(merged) == [("E1", "REMOVED", "2026-03-02T12:03:00.001Z")]


def test_documents_a_removed_evse_that_comes_back_is_judged_by_what_the_cpo_sent():
    removed, merge = put(location(1, evse(1)), location(2))

    merged, again = put(removed, location(3, evse(1)), merge.sent)

    assert statuses(merged) == [("E1", "AVAILABLE", "2026-03-02T12:00:00.501Z")]
    assert again.sent == {"": T[3], "e1": T[1]}
    assert notes(again) == [("L-03", "/evses/0/status")]


def test_documents_a_removed_evse_inherits_what_it_no_longer_carries():
    bare = {k: v for k, v in evse(2, status="REMOVED").items() if k not in ("parking_restrictions", "evse_id")}
    bare["connectors"] = [{k: v for k, v in connector(0).items() if k not in ("max_electric_power", "tariff_ids")}]

    merged, _ = put(location(1, evse(1)), location(2, bare))

    (kept,) = merged["evses"]
    assert (kept["parking_restrictions"], kept.get("evse_id")) == (["EV_ONLY"], None)
    assert kept["connectors"] == [connector(0)]


def test_documents_a_connector_left_out_of_an_evse_is_gone():
    stored = location(1, evse(1, connectors=[connector(1, "1"), connector(1, "2")]))

    merged, merge = put(stored, location(2, evse(2, connectors=[connector(1, "2")])))

    assert merged["evses"] == [evse(2, connectors=[connector(1, "2")])]
    assert merge.notes == []


# --- One EVSE ----------------------------------------------------------------------------------------------------------


def test_documents_child_raises_the_location_and_remembers_what_the_cpo_sent_for_it():
    merge = Merge({}, NOW)

    merged = merge.child(location(1, evse(1), evse(1, "E2")), evse(5, "E2", status="BLOCKED"), T[5])

    assert (merged["last_updated"], statuses(merged)[1]) == (T[5], ("E2", "BLOCKED", T[5]))
    assert merge.sent == {"": T[1]}


def test_documents_child_of_a_new_uid_is_added():
    merge = Merge({}, NOW)

    merged = merge.child(location(3), evse(2, "E9"), T[2])

    assert (merged["last_updated"], statuses(merged)) == (T[3], [("E9", "AVAILABLE", T[2])])


def test_documents_child_forgets_the_times_of_the_evse_it_replaces():
    merge = Merge({"": T[1], "e1": T[1], "e10": T[2]}, NOW)

    merge.child(location(6, evse(5), evse(6, "E10")), evse(7), T[7])

    assert merge.sent == {"": T[1], "e10": T[2]}


# --- Time and order ----------------------------------------------------------------------------------------------------


def test_documents_served_time_never_goes_backwards():
    stored, before = location(9, evse(9, status="CHARGING")), {"": T[1], "e1": T[1]}

    merged, merge = put(stored, location(2, evse(2)), before)

    assert (merged["last_updated"], statuses(merged)) == (
        "2026-03-02T09:00:00.001Z",
        [("E1", "AVAILABLE", "2026-03-02T09:00:00.001Z")],
    )
    assert merge.sent == {"": T[2], "e1": T[2]}


def test_documents_same_content_does_not_move_the_served_time():
    merged, merge = put(location(9, evse(9)), location(2, evse(2)), {"": T[1], "e1": T[1]})

    assert merged == location(9, evse(9))
    assert merge.sent == {"": T[2], "e1": T[2]}


def test_documents_parents_are_never_older_than_what_is_inside():
    merged, _ = put(location(1, evse(1)), location(2, evse(1), evse(3, "E2")))

    assert merged["last_updated"] == T[3]


def test_documents_order_and_latest_look_at_the_instant():
    times = ["2026-03-02T09:15:00.250Z", "2026-03-02T09:15:00Z", "2026-03-02T09:15:01Z", "2026-03-02T09:15:00.251Z"]

    assert sorted(times, key=documents.order) == [times[1], times[0], times[3], times[2]]
    assert documents.latest(*times) == times[2]


@pytest.mark.parametrize(
    ("time", "after"),
    [
        ("2026-03-02T09:15:00Z", "2026-03-02T09:15:00.001Z"),
        ("2026-03-02T09:15:00.999Z", "2026-03-02T09:15:01Z"),
        ("2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z"),
    ],
)
def test_documents_just_after_is_a_millisecond(time, after):
    assert documents.just_after(time) == after


# --- What a change means for NDW ---------------------------------------------------------------------------------------

STORED = location(1, evse(1), evse(1, "E2"))
CHANGES: dict[str, tuple[Body, str | None]] = {
    "one status": (location(2, evse(1), evse(2, "E2", status="CHARGING")), "E2"),
    "removed": (location(2, evse(2, status="REMOVED"), evse(1, "E2")), "E1"),
    "nothing": (location(2, evse(1), evse(1, "E2")), None),
    "two statuses": (location(2, evse(2, status="CHARGING"), evse(2, "E2", status="CHARGING")), None),
    "status and name": (location(2, evse(1), evse(2, "E2", status="CHARGING"), name="New"), None),
    "status and more of the EVSE": (location(2, evse(1), evse(2, "E2", status="CHARGING", floor_level="1")), None),
    "status and a connector": (location(2, evse(1), evse(2, "E2", [connector(2)], status="CHARGING")), None),
    "a new EVSE": (location(2, evse(1), evse(1, "E2"), evse(2, "E3")), None),
    "the other way round": (location(2, evse(1, "E2"), evse(1)), None),
}


@pytest.mark.parametrize(("new", "uid"), CHANGES.values(), ids=CHANGES)
def test_documents_status_only_names_the_one_evse(new, uid):
    assert documents.status_only(STORED, new) == uid


def test_documents_content_leaves_out_times_and_nothing_else():
    one, other = location(1, evse(1), name='"last_updated":"2026"'), location(2, evse(1), name='"last_updated":"2027"')

    assert documents.content(orjson.dumps(one)) == documents.content(
        orjson.dumps(location(5, evse(6), name=one["name"]))
    )
    assert documents.content(orjson.dumps(one)) != documents.content(orjson.dumps(other))


def test_documents_evse_at_and_connector_at_ignore_case():
    assert documents.evse_at(STORED, "e2") == (1, STORED["evses"][1])
    assert documents.evse_at(STORED, "E3") == (2, None)
    assert documents.evse_at({}, "E1") == (0, None)
    assert documents.connector_at(evse(1, connectors=[connector(1, "a")]), "A") == (0, connector(1, "a"))
    assert documents.connector_at(evse(1), "9") == (1, None)
