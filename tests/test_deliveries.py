"""Where objects stand with NDW: `GET /api/v1/deliveries`, `/locations`, `/tariffs`; states, pages, history, no one else's."""

import json
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.utils import timezone

from ocpi import deliveries, push, store
from ocpi.models import Push, PushAttempt
from tenants.models import Connection, Tenant
from tests import factories, stored
from tests.conftest import Caller
from tests.pushing import SECOND, claim_one, rename, row
from tests.test_api import assert_problem, rest_client

KEYS = [
    "kind", "id", "environment", "state", "changed_at", "accepted_at", "attempts", "due_at", "http_status", "ocpi_status",
    "answer",
]  # fmt: skip


@pytest.fixture
def rest(cpo) -> Caller:
    """`cpo`'s client of the REST side."""
    return rest_client(cpo)


def told(rest: Caller, query: str = "", path: str = "/deliveries") -> list[dict[str, Any]]:
    """Return the results of one page."""
    response = rest.get(path + query)
    assert (response.status_code, list(response.envelope)) == (200, ["results", "next"]), response.content
    return response.envelope["results"]


def states(rest: Caller, query: str = "", path: str = "/deliveries") -> dict[str, str | None]:
    return {one["id"]: one["state"] for one in told(rest, query, path)}


def make_every_state(cpo: Tenant, ndw: Any) -> Connection:
    """Store one object of each state but blocked over a Connection to the simulator."""
    connection = factories.make_connection(cpo, ndw)
    factories.put_tariff(cpo)
    factories.put_location(cpo, id="DELIVERED")
    push.drain()
    ndw.fail_next(2001)
    factories.put_location(cpo, id="REJECTED")
    push.drain()
    factories.put_location(cpo, id="SENDING")
    claim_one(connection)
    factories.put_location(cpo, id="DIRTY")
    factories.put_location(cpo, id="WITHHELD", energy_mix=None)
    factories.put_location(cpo, id="UNPUB", publish=False)
    return connection


EVERY = {
    "DELIVERED": "delivered",
    "REJECTED": "rejected",
    "SENDING": "sending",
    "DIRTY": "dirty",
    "WITHHELD": "withheld",
    "ADHOC-1": "delivered",
}


# --- Deliveries --------------------------------------------------------------------------------------------------------


def test_deliveries_of_a_tenant_without_any(rest):
    response = rest.get("/deliveries")

    assert (response["Content-Type"], response.envelope) == ("application/json", {"results": [], "next": None})


def test_deliveries_tell_every_state(cpo, ndw, rest):
    connection = make_every_state(cpo, ndw)

    assert states(rest) == EVERY
    connection.pause("maintenance")
    assert states(rest) == EVERY | {"DIRTY": "blocked"}
    Connection.objects.update(is_retired=True)
    assert [(one["id"], one["environment"]) for one in told(rest)] == [("WITHHELD", None)]


@pytest.mark.parametrize("state", deliveries.STATES)
def test_deliveries_are_those_of_the_state_asked_for(cpo, ndw, rest, state):
    connection = make_every_state(cpo, ndw)
    if state == "blocked":
        connection.pause("maintenance")

    expected = {name: one for name, one in (EVERY | {"DIRTY": "blocked"}).items() if one == state}
    assert states(rest, f"?state={state}") == (expected if state != "dirty" else {"DIRTY": "dirty"})


def test_deliveries_say_what_ndw_answered_and_when(cpo, ndw, rest):
    connection = make_every_state(cpo, ndw)

    found = {one["id"]: one for one in told(rest)}

    assert {tuple(one) for one in found.values()} == {tuple(KEYS)}
    assert {one["environment"] for one in found.values()} == {"staging"}
    good, bad, waits = found["DELIVERED"], found["REJECTED"], found["DIRTY"]
    assert (good["http_status"], good["ocpi_status"], good["changed_at"], good["due_at"]) == (201, 1000, None, None)
    assert good["accepted_at"].endswith("Z")
    assert json.loads(good["answer"])["status_code"] == 1000
    assert (bad["http_status"], bad["ocpi_status"], bad["accepted_at"], bad["due_at"]) == (200, 2001, None, None)
    assert bad["answer"] == PushAttempt.objects.get(outcome="rejected").answer
    assert bad["changed_at"].endswith("Z")
    assert (waits["http_status"], waits["answer"], waits["attempts"]) == (None, "", 0)
    assert waits["due_at"] == waits["changed_at"]
    assert row(connection, "DIRTY").due_at


def test_deliveries_answers_are_cut(cpo, ndw, rest):
    factories.make_connection(cpo, ndw)
    factories.put_location(cpo)
    push.drain()
    PushAttempt.objects.update(answer="<b>\u00e9" * 300)

    (one,) = told(rest, "?id=LOC-0001")

    assert one["answer"] == one["history"][0]["answer"] == ("<b>\u00e9" * 300)[:500]


def test_deliveries_without_a_connection_tell_what_is_withheld(cpo, rest):
    factories.put_location(cpo)
    factories.put_location(cpo, id="GAPS", energy_mix=None)

    assert [[one[name] for name in KEYS] for one in told(rest)] == [
        ["location", "GAPS", None, "withheld", None, None, 0, None, None, None, ""]
    ]
    assert told(rest, "?environment=staging") == []


def test_deliveries_withheld_again_after_ndw_had_it(cpo, ndw, rest):
    factories.make_connection(cpo, ndw)
    factories.put_location(cpo)
    push.drain()
    store.patch_location(cpo, "LOC-0001", {"publish": False, "last_updated": "2026-03-02T10:00:00Z"})
    push.drain()
    assert states(rest) == {"LOC-0001": "delivered"}

    factories.put_location(cpo, energy_mix=None, last_updated="2026-03-02T11:00:00Z")

    assert states(rest) == {"LOC-0001": "withheld"}
    assert states(rest, "?state=delivered") == {}


def test_deliveries_of_each_environment(cpo, ndw, rest):
    for environment in ("staging", "production"):
        factories.make_connection(cpo, ndw, environment)
    factories.put_location(cpo)
    factories.put_tariff(cpo)

    assert [(one["kind"], one["environment"]) for one in told(rest)] == [
        ("location", "staging"),
        ("location", "production"),
        ("tariff", "staging"),
        ("tariff", "production"),
    ]
    assert [one["kind"] for one in told(rest, "?environment=production")] == ["location", "tariff"]
    assert [one["environment"] for one in told(rest, "?kind=tariffs&environment=staging")] == ["staging"]


@pytest.mark.parametrize("query", ["", "&state=withheld", "&state=delivered", "&kind=location", "&environment=staging"])
def test_deliveries_next_is_followed_to_the_end(cpo, ndw, rest, query):
    for environment in ("staging", "production"):
        factories.make_connection(cpo, ndw, environment)
    factories.put_tariff(cpo)
    for number in range(3):
        factories.put_location(cpo, id=f"LOC-{number}")
        factories.put_location(cpo, id=f"GAPS-{number}", energy_mix=None)
    push.drain()
    whole, found, url = told(rest, "?" + query), [], f"/deliveries?limit=1{query}"

    while url:
        page = rest.get(url).envelope
        found += page["results"]
        assert len(page["results"]) == 1
        url = (page["next"] or "").removeprefix("http://testserver/api/v1")

    assert found == whole
    assert len(found) >= 6


def statements(look: Callable[[], object]) -> int:
    """Return how many statements a call runs, those of the raw driver too: libpq writes down what it sends."""
    connection: Any = database.connection
    with tempfile.TemporaryFile() as trace:
        connection.pgconn.trace(trace.fileno())
        look()
        connection.pgconn.untrace()
        trace.seek(0)
        return sum(line.split(b"\t")[1:4:2] in ([b"F", b"Execute"], [b"F", b"Query"]) for line in trace)


def test_deliveries_take_as_many_queries_for_ten_objects_as_for_two(cpo, ndw):
    factories.make_connection(cpo, ndw)
    counts = []

    for numbers in (range(2), range(2, 10)):
        for number in numbers:
            factories.put_location(cpo, id=f"LOC-{number}")
            factories.put_tariff(cpo, id=f"T-{number}")
        push.drain()
        found = deliveries.page(cpo)
        asked = [lambda: deliveries.page(cpo), lambda f=found: deliveries.history(f.results)]
        asked += [lambda: deliveries.page(cpo, limit=1), lambda: deliveries.objects(cpo, "location")]
        counts.append([statements(one) for one in asked])

    assert (counts, len(found.results)) == ([[2, 1, 1, 1]] * 2, 20)


# --- History -----------------------------------------------------------------------------------------------------------


def test_history_of_one_object_is_newest_first(cpo, ndw, rest):
    factories.make_connection(cpo, ndw)
    factories.put_location(cpo)
    factories.put_location(cpo, id="OTHER")
    push.drain()
    ndw.fail_next(2001)
    rename(cpo, "Stadsplein")
    push.drain()

    (one,) = told(rest, "?kind=location&id=loc-0001")

    assert list(one) == [*KEYS, "history"]
    assert [(a["method"], a["outcome"], a["http_status"], a["ocpi_status"]) for a in one["history"]] == [
        ("PUT", "rejected", 200, 2001),
        ("PUT", "delivered", 201, 1000),
    ]
    assert list(one["history"][0]) == [
        "started_at", "took_ms", "method", "outcome", "http_status", "ocpi_status", "answer", "changed_at",
    ]  # fmt: skip
    assert "history" not in told(rest)[0]


def test_history_has_the_last_fifty(cpo, ndw, rest):
    connection = factories.make_connection(cpo, ndw)
    factories.put_location(cpo)
    push.drain()
    made, now = PushAttempt.objects.get(), timezone.now()
    for number in range(60):
        made.pk, made.took_ms, made.started_at = None, number, now + number * SECOND
        made.save()

    (one,) = told(rest, "?id=LOC-0001")

    assert [attempt["took_ms"] for attempt in one["history"]] == list(range(59, 9, -1))
    assert PushAttempt.objects.filter(push=row(connection)).count() == 61


def test_history_of_what_was_never_sent_is_empty(cpo, rest):
    factories.put_location(cpo, energy_mix=None)

    assert [one["history"] for one in told(rest, "?id=LOC-0001")] == [[]]
    assert told(rest, "?id=UNKNOWN") == []


# --- Objects -----------------------------------------------------------------------------------------------------------


def test_locations_are_listed_with_state_and_gaps(cpo, ndw, rest):
    make_every_state(cpo, ndw)

    found = told(rest, path="/locations")

    assert {one["id"]: one["state"] for one in found} == {
        **{name: state for name, state in EVERY.items() if name != "ADHOC-1"},
        "UNPUB": None,
    }
    assert found[4] == {
        "id": "WITHHELD", "last_updated": "2026-03-02T09:15:00Z", "state": "withheld", "gaps": ["N-energy_mix"]
    }  # fmt: skip


def test_locations_state_is_productions_where_there_is_one(cpo, ndw, rest):
    factories.put_location(cpo)
    assert states(rest, path="/locations") == {"LOC-0001": None}

    factories.make_connection(cpo, ndw)
    assert states(rest, path="/locations") == {"LOC-0001": "dirty"}  # its row is about to be made
    production = factories.make_connection(cpo, ndw, "production")
    rename(cpo, "Stadsplein")
    production.pause("not yet")
    push.drain()
    assert states(rest, path="/locations") == {"LOC-0001": "blocked"}

    Connection.objects.filter(pk=production.pk).update(is_retired=True)
    assert states(rest, path="/locations") == {"LOC-0001": "delivered"}


def test_tariffs_are_listed_without_the_deleted(cpo, ndw, rest):
    factories.make_connection(cpo, ndw)
    for name in ("ADHOC-1", "GONE"):
        factories.put_tariff(cpo, id=name)
    store.delete_tariff(cpo, "GONE")

    assert told(rest, path="/tariffs") == [
        {"id": "ADHOC-1", "last_updated": "2026-03-01T00:00:00Z", "state": "dirty", "gaps": []}
    ]


@pytest.mark.parametrize("path", ["/locations", "/tariffs"])
def test_objects_next_is_followed_to_the_end(cpo, rest, path):
    for number in range(3):
        factories.put_location(cpo, id=f"ONE-{number}")
        factories.put_tariff(cpo, id=f"ONE-{number}")

    first = rest.get(f"{path}?limit=2").envelope
    second = rest.get(first["next"].removeprefix("http://testserver/api/v1")).envelope

    assert [one["id"] for one in first["results"] + second["results"]] == ["ONE-0", "ONE-1", "ONE-2"]
    assert second["next"] is None


# --- What it does not take, and what it does not tell ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=waiting", ["state", '"waiting"', "withheld, dirty, sending, delivered, rejected, blocked"]),
        ("state=", ["state"]),
        ("kind=evse", ["kind", '"evse"', "location, locations, tariff, tariffs"]),
        ("environment=test", ["environment", '"test"', "staging, production"]),
        ("id=", ["id"]),
        ("id=%00", ["id"]),
        ("limit=0", ["limit", "1 to 1000"]),
        ("limit=1001", ["limit", "1 to 1000"]),
        ("after=nonsense", ["after"]),
        ("after=%00", ["after"]),
        ("after=", ["after"]),
        ("after=bDE", ["after"]),
    ],
)
def test_deliveries_a_bad_parameter_is_named(rest, query, words):
    assert_problem(rest.get("/deliveries?" + query), 400, *words)


@pytest.mark.parametrize(("path", "after"), [("/locations", "dDEuMA"), ("/tariffs", "bDEuMA"), ("/tariffs", "x")])
def test_objects_a_bad_place_is_named(rest, path, after):
    assert_problem(rest.get(f"{path}?after={after}"), 400, "after")


def test_deliveries_of_a_rival_are_never_told(cpo, rival, ndw, rest):
    for tenant in (cpo, rival):
        factories.make_connection(tenant, ndw)
        factories.put_location(tenant, id="SAME")
        factories.put_location(tenant, id=f"OF-{tenant.party_id}")
        factories.put_tariff(tenant, id=f"OF-{tenant.party_id}")
    push.drain()
    PushAttempt.objects.filter(tenant=rival).update(answer="canary")

    for path in ("/deliveries", "/deliveries?id=SAME", "/deliveries?id=OF-RIV", "/locations", "/tariffs"):
        content = rest.get(path).content.decode()
        assert ("canary" in content, "OF-RIV" in content) == (False, False)
    assert told(rest, "?id=OF-RIV") == []
    assert [len(one["history"]) for one in told(rest, "?id=SAME")] == [1]


def test_deliveries_change_nothing(cpo, ndw, rest):
    make_every_state(cpo, ndw)
    before = stored.everything(cpo)

    for path in ("/deliveries", "/deliveries?id=DIRTY", "/locations", "/tariffs"):
        assert rest.get(path).status_code == 200

    assert stored.everything(cpo) == before
    assert Push.objects.count() == 5
