"""A CPO uploads Locations, EVSEs and Connectors: what is stored, what is pushed, what is refused and how."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection

from ocpi.models import Location, Push
from tests import factories, stored
from tests.conftest import CLIENT, Caller, uploader
from tests.documents import Body, connector_body, evse_body, location_body

LOC = "/locations/NL/EXA/LOC-0001"
EVSE, CONNECTOR = f"{LOC}/EVSE-1", f"{LOC}/EVSE-1/1"
BEFORE, FIRST, LATER, LAST = (f"2026-03-02T{time}Z" for time in ("09:00:00", "09:15:00", "10:00:00", "11:00:00"))


@pytest.fixture(autouse=True)
def tariff(request: pytest.FixtureRequest) -> None:
    """The Tariff that `cpo`'s connectors name, known before anything else happens."""
    if "cpo" in request.fixturenames:
        factories.put_tariff(request.getfixturevalue("cpo"))


@pytest.fixture
def nowhere(cpo: Any) -> Any:
    """A Connection that notes what NDW lacks and sends nothing."""
    return factories.connect_to_nowhere(cpo)


@pytest.fixture
def shown(nowhere: Any, upload: Caller, cpo: Any) -> Body:
    """LOC-0001, compliant, uploaded and delivered."""
    body = location_body()
    assert upload.put(LOC, body).status_code == 201
    stored.deliver(cpo)
    return body


def without(body: Body, *fields: str) -> Body:
    """Return the body without some fields."""
    return {name: value for name, value in body.items() if name not in fields}


def later(body: Body | None = None, **changes: Any) -> Body:
    """Return a body, by default the Location's, with changes and sent at LATER."""
    return (body or location_body()) | {"last_updated": LATER} | changes


def answer(response: Any) -> tuple[int, int]:
    """Return HTTP status and OCPI status code."""
    return response.status_code, response.envelope["status_code"]


def findings(response: Any) -> list[tuple[str, str, str]]:
    """Return severity, rule and path of the findings in an answer."""
    return [(f["severity"], f["rule"], f["path"]) for f in response.envelope.get("data", [])]


# --- PUT ---------------------------------------------------------------------------------------------------------------


def test_put_location_creates_then_replaces(cpo, upload, nowhere):
    created = upload.put(LOC, location_body())
    replaced = upload.put(LOC, later(name="Neude"))

    assert (answer(created), answer(replaced)) == ((201, 1000), (200, 1000))
    assert sorted(created.envelope) == ["status_code", "status_message", "timestamp"]
    assert stored.document(cpo) == later(name="Neude")
    assert stored.pushed(cpo) == [("location LOC-0001", 2, True, None)]


def test_put_location_stores_one_canonical_body(cpo, upload):
    shuffled = dict(reversed(location_body(last_updated="2026-03-02T09:15:00.000", state=None).items()))

    upload.put(LOC, shuffled)

    assert bytes(stored.location(cpo).body) == json.dumps(location_body(), separators=(",", ":")).encode()


def test_put_location_without_connection_leaves_no_push(cpo, upload):
    upload.put(LOC, location_body())

    assert (Location.objects.count(), Push.objects.count()) == (1, 0)


def test_put_location_again_writes_and_pushes_nothing(cpo, upload, shown):
    before = stored.everything(cpo)

    response = upload.put(LOC, shown)

    assert answer(response) == (200, 1000)
    assert stored.everything(cpo) == before


def test_put_location_with_newer_times_only_is_stored_but_not_pushed(cpo, upload, shown):
    pushes = list(Push.objects.values_list())

    response = upload.put(LOC, later(evses=[later(evse_body(), connectors=[later(connector_body())])]))

    assert (answer(response), stored.document(cpo)["last_updated"]) == ((200, 1000), LATER)
    assert list(Push.objects.values_list()) == pushes


def test_put_location_of_another_case_is_the_same_object(cpo, upload, shown):
    body = later(id="loc-0001", country_code="nl", party_id="exa", name="Neude")

    response = upload.put("/locations/nl/exa/LOC-0001", body)

    assert answer(response) == (200, 1000)
    assert stored.document(cpo) == later(name="Neude")


def test_put_location_raises_the_times_of_parents(cpo, upload):
    connector = connector_body(last_updated=LAST)

    response = upload.put(LOC, location_body(evses=[evse_body(connectors=[connector])]))

    assert findings(response) == [
        ("warning", "L-06", "/evses/0/last_updated"),
        ("warning", "L-06", "/last_updated"),
    ]
    document = stored.document(cpo)
    assert (document["last_updated"], document["evses"][0]["last_updated"]) == (LAST, LAST)


def test_put_location_that_lost_an_evse_keeps_it_as_removed(cpo, upload, shown):
    response = upload.put(LOC, later(without(shown, "evses")))

    (evse,) = stored.document(cpo)["evses"]
    assert (evse["uid"], evse["status"]) == ("EVSE-1", "REMOVED")
    assert evse["last_updated"] == stored.document(cpo)["last_updated"] > LATER
    assert findings(response) == [("warning", "L-13", "/evses"), ("warning", "L-04", "/evses")]
    assert stored.pushed(cpo) == [("location LOC-0001", 2, False, "EVSE-1")]


def test_put_location_keeps_the_newer_evse(cpo, upload, shown):
    upload.patch(EVSE, {"status": "CHARGING", "last_updated": LAST})

    response = upload.put(LOC, later(name="Neude", evses=[later(evse_body())]))

    document = stored.document(cpo)
    assert (document["name"], document["evses"][0]["status"], document["last_updated"]) == ("Neude", "CHARGING", LAST)
    assert findings(response) == [("warning", "S-stale", "/evses/0")]


def test_put_location_at_the_same_time_with_other_content_is_applied(cpo, upload, shown):
    response = upload.put(LOC, location_body(name="Neude"))

    assert (answer(response), stored.document(cpo)["name"]) == ((200, 1000), "Neude")
    assert stored.pushed(cpo) == [("location LOC-0001", 2, True, None)]


@pytest.mark.parametrize("removed_by", ["location", "evse"])
def test_put_of_a_removed_evse_inherits_the_mandatory_values(cpo, upload, shown, removed_by):
    connector = without(connector_body(), "max_electric_power", "tariff_ids")
    evse = without(evse_body(status="REMOVED", connectors=[connector], last_updated=LATER), "parking_restrictions")

    response = upload.put(LOC, later(evses=[evse])) if removed_by == "location" else upload.put(EVSE, evse)

    assert answer(response) == (200, 1000)
    assert stored.document(cpo)["evses"] == [evse_body(status="REMOVED", last_updated=LATER)]


def test_put_keeps_unknown_properties_apart(cpo, upload, pull):
    evse = evse_body(connectors=[connector_body(x_plug="a")], x_evse=[1, 2.5])

    response = upload.put(LOC, location_body(evses=[evse], x_location={"secret": None}))

    assert {f[:2] for f in findings(response)} == {("warning", "S-unknown")}
    assert pull.get("/locations/LOC-0001").envelope["data"] == location_body() == stored.document(cpo)
    assert stored.location(cpo).unknown == {
        "/x_location": {"secret": None},
        "/evses/0/x_evse": [1, 2.5],
        "/evses/0/connectors/0/x_plug": "a",
    }


def test_unknown_properties_follow_the_object_they_came_with(cpo, upload):
    upload.put(LOC, location_body(evses=[evse_body(x_old=1, connectors=[connector_body(x_plug=1)])], x_site=1))

    upload.patch(LOC, {"name": "Neude", "x_new": 2, "last_updated": LATER})
    upload.put(CONNECTOR, connector_body(x_plug=3, last_updated=LATER))
    assert stored.location(cpo).unknown == {
        "/x_site": 1, "/x_new": 2, "/evses/0/x_old": 1, "/evses/0/connectors/0/x_plug": 3
    }  # fmt: skip

    upload.put(EVSE, evse_body(last_updated=LAST, status="CHARGING"))
    assert stored.location(cpo).unknown == {"/x_site": 1, "/x_new": 2}


# --- Who and which -----------------------------------------------------------------------------------------------------

DISAGREEING: dict[str, tuple[str, Body]] = {
    "location id": (LOC, location_body(id="LOC-0002")),
    "location party": (LOC, location_body(party_id="GWY")),
    "location country": (LOC, location_body(country_code="BE")),
    "evse uid": (EVSE, evse_body(uid="EVSE-2")),
    "connector id": (CONNECTOR, connector_body(id="2")),
}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(("url", "body"), DISAGREEING.values(), ids=DISAGREEING)
def test_upload_refuses_identifiers_that_differ_from_the_url(cpo, upload, shown, method, url, body):
    before = stored.everything(cpo)

    response = upload.call(method, url, later(body))

    assert answer(response) == (200, 2001)
    assert {(severity, rule) for severity, rule, _ in findings(response)} == {("error", "L-14")}
    assert stored.everything(cpo) == before


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 1000),
        ({"OCPI_to_country_code": "nl", "OCPI_to_party_id": "exa"}, 1000),
        ({"OCPI_to_country_code": "NL", "OCPI_to_party_id": "RIV"}, 2001),
    ],
)
def test_upload_is_for_the_party_it_is_addressed_to(cpo, upload, headers, code):
    response = upload.put(LOC, location_body(), **headers)

    assert response.envelope["status_code"] == code
    assert Location.objects.count() == (1 if code == 1000 else 0)


# --- EVSE and Connector ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "body", "raised"),
    [
        (EVSE, evse_body(status="CHARGING", last_updated=LATER), (LATER, LATER, FIRST)),
        (CONNECTOR, connector_body(max_amperage=33, last_updated=LATER), (LATER, LATER, LATER)),
    ],
)
def test_put_child_touches_the_child_and_the_times_above_it(cpo, upload, shown, url, body, raised):
    response = upload.put(url, body)

    document = stored.document(cpo)
    (evse,) = document["evses"]
    assert (answer(response), findings(response)) == ((200, 1000), [])
    assert (document["last_updated"], evse["last_updated"], evse["connectors"][0]["last_updated"]) == raised
    assert upload.get(url).envelope["data"] == body


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (f"{LOC}/EVSE-2", evse_body(uid="EVSE-2", last_updated=LATER)),
        (f"{EVSE}/2", connector_body(id="2", last_updated=LATER)),
    ],
)
def test_put_child_that_is_new_creates_it(cpo, upload, shown, url, body):
    created, again = upload.put(url, body), upload.put(url, body)

    assert (answer(created), answer(again)) == ((201, 1000), (200, 1000))
    assert upload.get(url).envelope["data"] == body
    assert stored.pushed(cpo) == [("location LOC-0001", 2, True, None)]


def test_status_changes_of_one_evse_are_pushed_as_that_evse(cpo, upload, shown):
    upload.patch(EVSE, {"status": "CHARGING", "last_updated": LATER})
    upload.patch(EVSE, {"status": "AVAILABLE", "last_updated": LAST})

    assert stored.pushed(cpo) == [("location LOC-0001", 3, False, "EVSE-1")]
    assert stored.document(cpo)["evses"] == [evse_body(last_updated=LAST)]


def test_statuses_of_two_evses_are_pushed_as_a_whole(cpo, upload, nowhere):
    upload.put(LOC, location_body(evses=[evse_body(), evse_body(uid="EVSE-2")]))
    stored.deliver(cpo)

    for uid in ("EVSE-1", "EVSE-2"):
        upload.patch(f"{LOC}/{uid}", {"status": "CHARGING", "last_updated": LATER})

    assert stored.pushed(cpo) == [("location LOC-0001", 3, True, None)]


def test_location_does_not_grow_without_end(cpo, upload, shown):
    directions = [{"language": "nl", "text": "x" * 512}] * 900

    answers = [answer(upload.put(f"{LOC}/BIG-{n}", evse_body(uid=f"BIG-{n}", directions=directions))) for n in range(3)]

    assert answers == [(201, 1000), (201, 1000), (200, 2001)]
    assert [evse["uid"] for evse in stored.document(cpo)["evses"]] == ["EVSE-1", "BIG-0", "BIG-1"]


def test_answer_lists_a_hundred_findings_and_counts_them_all(cpo, upload):
    bare = without(evse_body(), "parking_restrictions")

    evses = [bare | {"uid": f"E{n}", "evse_id": f"NL*EXA*E{n}"} for n in range(150)]

    created = upload.put(LOC, location_body(evses=evses))

    first = "/evses/0/parking_restrictions: parking_restrictions is missing; DOT-NL demands it"
    assert created.envelope["status_message"] == f"Accepted. {first} (150 findings, the first 100 in data)"
    assert len(created.envelope["data"]) == 100


def test_answer_to_an_evse_speaks_of_that_evse(cpo, upload):
    bare = without(evse_body(), "parking_restrictions")
    upload.put(LOC, location_body(evses=[bare | {"uid": f"E{n}"} for n in range(3)]))

    response = upload.patch(f"{LOC}/E1", {"status": "CHARGING", "last_updated": LATER})

    own = ("gap", "N-parking_restrictions", "/parking_restrictions")
    assert findings(response) == [own, ("warning", "S-withheld", "")]


# --- PATCH -------------------------------------------------------------------------------------------------------------


def test_patch_location_changes_the_named_fields_only(cpo, upload, shown):
    response = upload.patch(LOC, {"id": "LOC-0001", "name": "Neude", "last_updated": LATER})

    assert (answer(response), findings(response)) == ((200, 1000), [])
    assert stored.document(cpo) == shown | {"name": "Neude", "last_updated": LATER}


def test_patch_replaces_lists_and_nested_objects_as_a_whole(cpo, upload, shown):
    upload.patch(LOC, {"energy_mix": {"is_green_energy": False}, "last_updated": LATER})
    upload.patch(EVSE, {"capabilities": ["RFID_READER"], "last_updated": LATER})
    upload.patch(CONNECTOR, {"tariff_ids": ["ADHOC-2"], "last_updated": LATER})

    document = stored.document(cpo)
    assert document["energy_mix"] == {"is_green_energy": False}
    assert document["evses"][0]["capabilities"] == ["RFID_READER"]
    assert document["evses"][0]["connectors"] == [connector_body(tariff_ids=["ADHOC-2"], last_updated=LATER)]


def test_patch_location_puts_the_listed_evses_and_leaves_the_others(cpo, upload, nowhere):
    upload.put(LOC, location_body(evses=[evse_body(), evse_body(uid="EVSE-2")]))

    new, changed = evse_body(uid="EVSE-3"), evse_body(uid="evse-2", status="BLOCKED", last_updated=LATER)
    upload.patch(LOC, {"evses": [new, changed], "last_updated": LATER})

    assert stored.document(cpo)["evses"] == [evse_body(), changed | {"uid": "EVSE-2"}, new]


def test_patch_null_clears_an_optional_field_with_a_warning(cpo, upload, shown):
    response = upload.patch(LOC, {"name": None, "last_updated": LATER})

    assert findings(response) == [("warning", "S-null", "/name")]
    assert stored.document(cpo) == without(shown, "name") | {"last_updated": LATER}


BAD_PATCHES: dict[str, tuple[str, Any]] = {
    "without last_updated": (EVSE, {"status": "CHARGING"}),
    "empty": (LOC, {}),
    "no object": (LOC, []),
    "null": (LOC, None),
    "wrong case of an enum": (EVSE, {"status": "charging", "last_updated": LATER}),
    "unknown enum": (EVSE, {"status": "OCCUPIED", "last_updated": LATER}),
    "incomplete child": (LOC, {"evses": [{"uid": "EVSE-1", "status": "CHARGING"}], "last_updated": LATER}),
    "incomplete object": (LOC, {"energy_mix": {"supplier_name": "X"}, "last_updated": LATER}),
    "null on what DOT-NL demands": (LOC, {"opening_times": None, "last_updated": LATER}),
    "null on what OCPI demands": (LOC, {"address": None, "last_updated": LATER}),
    "date only": (EVSE, {"status": "CHARGING", "last_updated": "2026-03-02"}),
    "a gap opened": (CONNECTOR, {"tariff_ids": [], "last_updated": LATER}),
    "in the future": (EVSE, {"status": "CHARGING", "last_updated": "2099-01-01T00:00:00Z"}),
}


@pytest.mark.parametrize(("url", "patch"), BAD_PATCHES.values(), ids=BAD_PATCHES)
def test_patch_refused_changes_nothing(cpo, upload, shown, url, patch):
    before = stored.everything(cpo)

    response = upload.patch(url, b"null" if patch is None else patch)

    assert answer(response) == (200, 2001)
    assert findings(response)[0][0] in ("error", "gap")
    assert stored.everything(cpo) == before


# --- Stale -------------------------------------------------------------------------------------------------------------

STALE: dict[str, tuple[str, str, Body]] = {
    "put location": ("PUT", LOC, location_body(name="Old", last_updated=BEFORE, evses=[])),
    "patch location": ("PATCH", LOC, {"name": "Old", "last_updated": BEFORE}),
    "put evse": ("PUT", EVSE, evse_body(status="BLOCKED", last_updated=BEFORE, connectors=[connector_body(last_updated=BEFORE)])),
    "patch evse": ("PATCH", EVSE, {"status": "BLOCKED", "last_updated": BEFORE}),
    "put connector": ("PUT", CONNECTOR, connector_body(max_amperage=1, last_updated=BEFORE)),
    "patch connector": ("PATCH", CONNECTOR, {"max_amperage": 1, "last_updated": BEFORE}),
}  # fmt: skip


@pytest.mark.parametrize(("method", "url", "body"), STALE.values(), ids=STALE)
def test_upload_that_is_older_is_refused_and_changes_nothing(cpo, upload, shown, method, url, body):
    before = stored.everything(cpo)

    response = upload.call(method, url, body)

    assert answer(response) == (200, 2001)
    assert "not applied" in response.envelope["status_message"]
    assert stored.everything(cpo) == before


def test_stale_is_judged_by_what_the_cpo_sent_not_by_what_is_served(cpo, upload, shown):
    upload.put(LOC, later(without(shown, "evses")))  # the gateway stamps the REMOVED EVSE with its own clock
    assert stored.document(cpo)["last_updated"] > LAST

    response = upload.put(LOC, later(shown, last_updated=LAST))

    assert answer(response) == (200, 1000)
    assert stored.document(cpo)["evses"][0]["status"] == "AVAILABLE"


@pytest.mark.parametrize(("brings", "code"), [(["name", "evses"], 2001), (["name"], 1000)], ids=["named", "not named"])
def test_stale_is_judged_by_what_a_patch_brought_though_it_changed_nothing(cpo, upload, shown, brings, code):
    upload.put(CONNECTOR, later(connector_body(max_amperage=16)))  # the EVSE is served as of then, and was sent before
    whole = {"name": "Neude", "evses": stored.document(cpo)["evses"]}
    upload.patch(LOC, {name: whole[name] for name in brings} | {"last_updated": LAST})

    response = upload.patch(EVSE, {"status": "CHARGING", "last_updated": "2026-03-02T09:30:00Z"})

    assert answer(response) == (200, code)


def test_served_times_never_go_backwards(cpo, upload, shown):
    times = []
    for body in (
        later(without(shown, "evses")),
        later(shown, last_updated=LAST),
        later(shown, last_updated=LAST, name="Neude"),
    ):
        upload.put(LOC, body)
        times.append(stored.document(cpo)["last_updated"])

    assert times == sorted(times)
    assert times[0] < times[1]


# --- Gaps and publish --------------------------------------------------------------------------------------------------

GAPS: dict[str, tuple[Callable[[], Body], str]] = {
    "opening_times": (lambda: without(location_body(), "opening_times"), "/opening_times"),
    "energy_mix": (lambda: without(location_body(), "energy_mix"), "/energy_mix"),
    "parking_restrictions": (
        lambda: location_body(evses=[without(evse_body(), "parking_restrictions")]),
        "/evses/0/parking_restrictions",
    ),
    "max_electric_power": (
        lambda: location_body(evses=[evse_body(connectors=[without(connector_body(), "max_electric_power")])]),
        "/evses/0/connectors/0/max_electric_power",
    ),
    "tariff_ids": (
        lambda: location_body(evses=[evse_body(connectors=[connector_body(tariff_ids=[])])]),
        "/evses/0/connectors/0/tariff_ids",
    ),
}


@pytest.mark.parametrize(("make", "path"), GAPS.values(), ids=GAPS)
def test_location_with_a_gap_is_withheld_until_it_is_mended(cpo, upload, pull, nowhere, make, path):
    withheld = upload.put(LOC, make())
    assert (answer(withheld), findings(withheld)) == ((201, 1000), [("gap", f"N-{path.rpartition('/')[2]}", path)])
    assert (stored.pushed(cpo), answer(pull.get("/locations/LOC-0001"))) == ([], (404, 2003))
    assert (pull.get("/locations").envelope["data"], answer(upload.get(LOC))) == ([], (200, 1000))

    mended = upload.put(LOC, later())

    assert (answer(mended), findings(mended)) == ((200, 1000), [])
    assert pull.get("/locations").envelope["data"] == [later()]
    assert stored.pushed(cpo) == [("location LOC-0001", 1, True, None)]


def test_withheld_location_takes_patches_and_is_shown_whole_when_the_last_gap_closes(cpo, upload, nowhere):
    upload.put(LOC, without(location_body(), "opening_times"))

    status = upload.patch(EVSE, {"status": "CHARGING", "last_updated": LATER})
    assert (answer(status), findings(status)) == ((200, 1000), [("warning", "S-withheld", "")])
    assert stored.pushed(cpo) == []

    upload.patch(LOC, {"opening_times": {"twentyfourseven": True}, "last_updated": LATER})
    assert stored.pushed(cpo) == [("location LOC-0001", 1, True, None)]


@pytest.mark.parametrize(("make", "path"), GAPS.values(), ids=GAPS)
@pytest.mark.parametrize("publish", [True, False])
def test_shown_location_refuses_an_update_that_opens_a_gap(cpo, upload, shown, make, path, publish):
    before = stored.everything(cpo)

    response = upload.put(LOC, later(make(), publish=publish))

    assert (answer(response), findings(response)) == ((200, 2001), [("gap", f"N-{path.rpartition('/')[2]}", path)])
    assert stored.everything(cpo) == before


def test_shown_location_refuses_a_new_evse_with_a_gap(cpo, upload, shown):
    before = stored.everything(cpo)

    response = upload.put(f"{LOC}/EVSE-2", without(evse_body(uid="EVSE-2", last_updated=LATER), "parking_restrictions"))

    assert answer(response) == (200, 2001)
    assert findings(response) == [("gap", "N-parking_restrictions", "/evses/1/parking_restrictions")]
    assert stored.everything(cpo) == before


def test_publish_false_goes_out_once_and_leaves_the_pulls(cpo, upload, pull, shown):
    hidden = upload.patch(LOC, {"publish": False, "last_updated": LATER})

    assert answer(hidden) == (200, 1000)
    assert stored.pushed(cpo) == [("location LOC-0001", 2, True, None)]
    assert (pull.get("/locations").envelope["data"], answer(pull.get("/locations/LOC-0001"))) == ([], (404, 2003))

    stored.deliver(cpo)
    upload.patch(LOC, {"name": "Neude", "last_updated": LAST})
    assert stored.pushed(cpo) == []


def test_publish_false_from_the_start_never_goes_out(cpo, upload, pull, nowhere):
    upload.put(LOC, location_body(publish=False))
    upload.patch(EVSE, {"status": "CHARGING", "last_updated": LATER})

    assert (Push.objects.count(), pull.get("/locations").envelope["data"]) == (0, [])


def test_publish_false_that_ndw_did_not_accept_is_sent_again_when_it_changes(cpo, upload, shown):
    upload.patch(LOC, {"publish": False, "last_updated": LATER})
    Push.objects.update(state=Push.State.REJECTED)

    gap = upload.patch(CONNECTOR, {"max_electric_power": 0, "last_updated": LATER})
    assert (answer(gap), stored.pushed(cpo)) == ((200, 2001), [])

    upload.patch(LOC, {"name": "Neude", "last_updated": LAST})
    assert stored.pushed(cpo) == [("location LOC-0001", 3, True, None)]


def test_publish_true_again_is_pushed_whole(cpo, upload, pull, shown):
    upload.patch(LOC, {"publish": False, "last_updated": LATER})
    stored.deliver(cpo)

    upload.patch(LOC, {"publish": True, "last_updated": LAST})

    assert stored.pushed(cpo) == [("location LOC-0001", 3, True, None)]
    assert pull.get("/locations").envelope["data"] == [shown | {"last_updated": LAST}]


def test_push_carries_the_correlation_id_of_the_upload(cpo, upload, shown):
    upload.patch(EVSE, {"status": "CHARGING", "last_updated": LATER}, X_Correlation_ID="trace-me")

    assert Push.objects.get().correlation_id == "trace-me"


# --- GET ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("url", "body"),
    [
        (LOC, location_body()),
        (EVSE, evse_body()),
        (CONNECTOR, connector_body()),
        ("/locations/nl/exa/loc-0001/evse-1/1", connector_body()),
    ],
)
def test_get_returns_what_is_stored_with_and_without_slash(upload, shown, url, body, slash):
    response = upload.get(url + slash)

    assert (answer(response), response.envelope["data"]) == ((200, 1000), body)


@pytest.mark.parametrize("slash", ["", "/"])
def test_every_method_takes_both_forms_of_the_url(cpo, upload, slash):
    answers = [
        upload.put(LOC + slash, location_body()),
        upload.patch(EVSE + slash, {"status": "CHARGING", "last_updated": LATER}),
        upload.put(CONNECTOR + slash, connector_body(last_updated=LATER)),
    ]

    assert [answer(response) for response in answers] == [(201, 1000), (200, 1000), (200, 1000)]


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("GET", "/locations/NL/EXA/NONE", None),
        ("GET", f"{LOC}/NONE", None),
        ("GET", f"{EVSE}/NONE", None),
        ("PATCH", "/locations/NL/EXA/NONE", {"name": "x", "last_updated": LATER}),
        ("PATCH", f"{LOC}/NONE", {"status": "CHARGING", "last_updated": LATER}),
        ("PATCH", f"{EVSE}/NONE", {"max_amperage": 16, "last_updated": LATER}),
        ("PUT", "/locations/NL/EXA/NONE/EVSE-1", evse_body()),
        ("PUT", "/locations/NL/EXA/NONE/EVSE-1/1", connector_body()),
        ("PUT", f"{LOC}/NONE/1", connector_body()),
    ],
)
def test_unknown_object_is_404_and_creates_nothing(cpo, upload, shown, method, url, body):
    before = stored.everything(cpo)

    response = upload.call(method, url, body)

    assert answer(response) == (404, 2003)
    assert stored.everything(cpo) == before


# --- What is no request of this API ------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [LOC, EVSE, CONNECTOR, "/locations/NL/EXA/NONE"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "TRACE", "PURGE"])
def test_method_that_is_not_defined_is_405_with_allow(cpo, upload, shown, url, method):
    before = stored.everything(cpo)

    response = upload.call(method, url, X_HTTP_Method_Override="PUT")

    assert answer(response) == (405, 2000)
    assert response["Allow"] == "GET, PUT, PATCH, HEAD, OPTIONS"
    assert stored.everything(cpo) == before


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/merge-patch+json",
        "application/vnd.api+json",
        ";;;",
        "application/json; charset=utf-16",
        "application/json; charset=zlib",
        "application/json; charset=idna",
        "application/json; charset=nope",
    ],
)
def test_other_media_types_are_415(upload, cpo, content_type):
    response = CLIENT.generic(
        "PUT", upload.root + LOC, json.dumps(location_body()), content_type, headers=upload.headers
    )

    assert (response.status_code, response.json()["status_code"]) == (415, 2000)
    assert Location.objects.count() == 0


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset",
        "application/json; charset=UTF-8",
        'application/json; charset="utf-8"',
    ],
)
def test_json_in_utf8_is_read_however_it_is_named(upload, cpo, content_type):
    body = json.dumps(location_body(name="Café"), ensure_ascii=False).encode()

    response = CLIENT.generic("PUT", upload.root + LOC, body, content_type, headers=upload.headers)

    assert (response.status_code, stored.document(cpo)["name"]) == (201, "Café")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "x-nonsense"])
def test_coded_bodies_are_415(upload, cpo, coding):
    assert answer(upload.put(LOC, location_body(), Content_Encoding=coding)) == (415, 2000)
    assert Location.objects.count() == 0


@pytest.mark.parametrize(
    "raw",
    [b" ", b'{"id":', b'{"status": "AVAILABLE",}', b'{"price": NaN}', b'{"id": 1, "id": 2}', b'{"x": "\xff"}',
     "\ufeff{}".encode(), "{}".encode("utf-16"), b"[" * 100_000, b'{"x": 1e400}', b'{"x": "\\ud800"}'],
)  # fmt: skip
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_is_not_json_is_400(upload, cpo, shown, raw, method):
    before = stored.everything(cpo)

    response = upload.call(method, LOC, raw)

    assert answer(response) == (400, 2001)
    assert response.envelope["status_message"].startswith("The body is not acceptable JSON: ")
    assert findings(response) == [("error", "S-json", "")]
    assert stored.everything(cpo) == before


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"x"', b"1", b"true", b"{}"])
@pytest.mark.parametrize("url", [LOC, EVSE, CONNECTOR])
def test_json_that_is_no_object_of_ours_is_2001(cpo, upload, shown, raw, url):
    before = stored.everything(cpo)

    response = upload.put(url, raw)

    assert answer(response) == (200, 2001)
    assert findings(response)[0][0] == "error"
    assert stored.everything(cpo) == before


def test_put_names_everything_that_is_wrong(upload, cpo):
    connector = without(connector_body(max_voltage="230"), "power_type")

    response = upload.put(
        LOC, location_body(country="NL", evses=[evse_body(status="OCCUPIED", connectors=[connector])])
    )

    assert answer(response) == (200, 2001)
    assert [path for _, _, path in findings(response)] == [
        "/country",
        "/evses/0/status",
        "/evses/0/connectors/0/power_type",
        "/evses/0/connectors/0/max_voltage",
    ]
    assert response.envelope["status_message"].startswith("/country: ")
    assert Location.objects.count() == 0


def raw_put(upload: Caller, raw: bytes, **environ: str) -> Any:
    """PUT bytes as a server hands them over, with headers of one's own choice."""
    given: dict[str, Any] = {"wsgi.input": BytesIO(raw), "CONTENT_TYPE": "application/json"} | environ
    return CLIENT.generic("PUT", upload.root + LOC, headers=upload.headers, **given)


MEBIBYTE = 1_048_576


@pytest.mark.parametrize(("size", "status"), [(MEBIBYTE, 201), (MEBIBYTE + 1, 413), (3 * MEBIBYTE, 413)])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_body_has_at_most_a_mebibyte(upload, cpo, size, status, is_chunked):
    raw = json.dumps(location_body()).encode().ljust(size)

    response = raw_put(
        upload, raw, **({"HTTP_TRANSFER_ENCODING": "chunked"} if is_chunked else {"CONTENT_LENGTH": str(size)})
    )

    assert response.status_code == status
    assert response.json()["status_code"] == (1000 if status == 201 else 2000)
    assert Location.objects.count() == (1 if status == 201 else 0)


@pytest.mark.parametrize(("length", "status"), [("99999", 400), ("-5", 400), ("abc", 400), ("9" * 30, 413), ("", 400)])
def test_content_length_that_lies_is_refused(upload, cpo, length, status):
    response = raw_put(upload, json.dumps(location_body()).encode(), CONTENT_LENGTH=length)

    assert response.status_code == status
    assert Location.objects.count() == 0


GARBAGE = ["%00", "a%00b", "%FF", "%C0%AF", "%ED%A0%80", "%0D%0AX-Evil:1", "a%0Ab", "%7F", "caf%C3%A9", "%E2%84%AA"]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
def test_url_that_can_hold_no_id_is_404_and_never_stored(upload, cpo, garbage, method):
    response = upload.call(method, f"/locations/NL/EXA/{garbage}", location_body(id=garbage))

    assert (answer(response), "X-Evil" in response) == ((404, 2003), False)
    assert Location.objects.count() == 0


@pytest.mark.parametrize("ocpi_id", ["A*1", "a b", "50%", "50%AB", "A%8AB", "x?y#z", "a;b=c&d+e", "~.-_", "'\"<i>"])
def test_ids_with_reserved_characters_come_back_as_they_are(upload, cpo, pull, ocpi_id):
    url = f"/locations/NL/EXA/{quote(ocpi_id, safe='')}"

    assert answer(upload.put(url, location_body(id=ocpi_id))) == (201, 1000)
    assert answer(upload.patch(url, {"name": "Other", "last_updated": LATER})) == (200, 1000)
    assert upload.get(url).envelope["data"]["id"] == ocpi_id
    assert pull.get(f"/locations/{quote(ocpi_id, safe='')}").envelope["data"]["id"] == ocpi_id


@pytest.mark.parametrize("ocpi_id", ["x" * 37, "x" * 200, "a\\b", " ", "..", "."])
def test_ids_that_ocpi_or_a_url_cannot_hold_are_2001(upload, cpo, ocpi_id):
    response = upload.put(f"/locations/NL/EXA/{quote(ocpi_id, safe='')}", location_body(id=ocpi_id))

    assert answer(response) == (200, 2001)
    assert Location.objects.count() == 0


# --- At the same moment ------------------------------------------------------------------------------------------------

AT_ONCE = 20


def at_once(calls: list[Callable[[], Any]]) -> list[tuple[int, int]]:
    """Make the calls in threads that all start together; return their answers."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> tuple[int, int]:
        try:
            barrier.wait()
            return answer(call())
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.django_db(transaction=True)
def test_many_puts_of_one_new_location_at_once_leave_the_newest():
    cpo = factories.make_tenant("EXA")
    factories.connect_to_nowhere(cpo)
    upload = uploader(cpo)
    bodies = [location_body(name=f"v{n}", last_updated=f"2026-03-02T10:00:{n:02}Z") for n in range(AT_ONCE)]

    answers = at_once([partial(upload.put, LOC, body) for body in reversed(bodies)])

    assert (answers.count((201, 1000)), set(answers)) == (1, {(201, 1000), (200, 1000), (200, 2001)} & set(answers))
    assert stored.document(cpo) == bodies[-1]
    assert (Location.objects.count(), Push.objects.count()) == (1, 1)
    assert Push.objects.get().version == AT_ONCE - answers.count((200, 2001))


@pytest.mark.django_db(transaction=True)
def test_many_patches_of_different_evses_at_once_are_all_applied():
    cpo = factories.make_tenant("EXA")
    factories.connect_to_nowhere(cpo)
    upload = uploader(cpo)
    upload.put(LOC, location_body(evses=[evse_body(uid=f"E{n}") for n in range(AT_ONCE)]))

    patch = {"status": "CHARGING", "last_updated": LATER}
    answers = at_once([partial(upload.patch, f"{LOC}/E{n}", patch) for n in range(AT_ONCE)])

    assert answers == [(200, 1000)] * AT_ONCE
    assert [e["status"] for e in stored.document(cpo)["evses"]] == ["CHARGING"] * AT_ONCE
    assert Push.objects.get().version == AT_ONCE + 1
