"""Bulk uploads: every format comes to the same bytes, each line gets its answer, full sets, the brake, kills in the middle."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, transaction
from django.http import StreamingHttpResponse
from django.utils import timezone

from gateway import embedded
from ocpi import errors, imports, intake, push, spreadsheets, store
from ocpi.models import Import, ImportPart, Location, Push, Tariff
from tenants.models import Tenant
from tests import factories
from tests.benchmarks import stage
from tests.conftest import CLIENT, Caller
from tests.documents import evse_body, location_body, tariff_body
from tests.test_api import assert_problem, rest_client

LATER = "2026-03-03T09:15:00Z"


@pytest.fixture
def rest(cpo) -> Caller:
    """`cpo`'s client of the REST side."""
    factories.connect_to_nowhere(cpo)
    factories.put_tariff(cpo)
    return rest_client(cpo)


def locations(count: int, evses: int = 1, **fields: Any) -> list[dict]:
    """Return so many different Locations."""
    return [
        location_body(
            id=f"L{n}",
            evses=[evse_body(uid=f"E{n}-{k}", evse_id=f"NL*EXA*E{n}A{k}") for k in range(evses)],
            **fields,
        )
        for n in range(count)
    ]


def lines(documents: list[Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


def send(rest: Caller, body: bytes, query: str = "kind=locations", **headers: str) -> dict:
    """Upload, let the worker work, return the import as it is then."""
    response = rest.call("POST", f"/imports?{query}", body, **headers)
    assert response.status_code in (200, 202), response.content
    while imports.work():
        pass
    return rest.get(f"/imports/{response.envelope['id']}").envelope


def results(rest: Caller, one: dict, query: str = "") -> list[dict]:
    response = rest.call("GET", f"/imports/{one['id']}/results{query}")
    return [json.loads(line) for line in response.getvalue().splitlines()]


def told(rest: Caller, one: dict) -> list[tuple]:
    return [
        (each["line"], each["id"], each["outcome"], [finding["rule"] for finding in each["findings"]])
        for each in results(rest, one)
    ]


def counted(one: dict) -> dict[str, int]:
    """Return the counts that are not 0."""
    return {name: count for name, count in one["counts"].items() if count}


@pytest.fixture(autouse=True)
def streamed(monkeypatch):
    """Let a Caller parse what is streamed, too."""
    monkeypatch.setattr(StreamingHttpResponse, "content", b"", raising=False)


# --- Formats -----------------------------------------------------------------------------------------------------------

DOCUMENTS = locations(3)
ARRAY = json.dumps(DOCUMENTS, indent=1).encode()
ENVELOPE = json.dumps({"status_code": 1000, "data": DOCUMENTS, "timestamp": LATER}).encode()
CUT = gzip.compress(lines(DOCUMENTS[:1]), mtime=0) + gzip.compress(lines(DOCUMENTS[1:]), mtime=0)


@pytest.mark.parametrize(
    "body",
    [
        lines(DOCUMENTS),
        lines(DOCUMENTS).replace(b"\n", b"\r\n\n"),
        lines(DOCUMENTS).rstrip(),
        b"\xef\xbb\xbf" + lines(DOCUMENTS),
        ARRAY,
        ENVELOPE,
        gzip.compress(ARRAY, mtime=0),
        CUT,
    ],
    ids=["ndjson", "crlf", "no end", "bom", "array", "envelope", "gzip", "two gzip members"],
)
def test_import_every_format_comes_to_the_same(cpo, rest, body):
    for one in DOCUMENTS:
        store.put_location(cpo, json.loads(json.dumps(one)))
    expected = list(Location.objects.order_by("ocpi_id").values_list("ocpi_id", "body", "findings", "evse_keys"))
    Push.objects.all().delete()
    Location.objects.all().delete()

    one = send(rest, body)

    assert (one["state"], counted(one)) == ("done", {"received": 3, "created": 3})
    assert [each[1:3] for each in told(rest, one)] == [("L0", "created"), ("L1", "created"), ("L2", "created")]
    assert (
        list(Location.objects.order_by("ocpi_id").values_list("ocpi_id", "body", "findings", "evse_keys")) == expected
    )
    assert Push.objects.filter(location__isnull=False, state="dirty").count() == 3
    assert not ImportPart.objects.exists()


def test_import_any_cut_gives_the_same_documents():
    chance = random.Random(7)
    odd = [{"id": "a\nb\u2028é😀", "n": [1, -2.5e3, True, None], "o": {"]": "}["}}, {"id": "\\\"'[{"}, {}]
    for body in (
        lines(odd),
        json.dumps(odd, indent=2).encode(),
        json.dumps({"data": odd, "status_code": 1000}).encode(),
    ):
        packed = gzip.compress(body)
        for raw in (body, packed):
            cuts = sorted(chance.sample(range(1, len(raw)), 12))
            pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
            assert [json.loads(one) for one in intake.documents(pieces)] == odd


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "The body is empty."),
        (b"  \n", "The body is empty."),
        (b"id;name\n1;2\n", "The body begins like none of NDJSON, a JSON array and an OCPI envelope, in UTF-8."),
        ("[{}]".encode("utf-16"), "The body begins like none of NDJSON, a JSON array and an OCPI envelope, in UTF-8."),
        (b'[{"id": "1"}, {"id": ]', "element 2: Expecting value, byte 21."),
        (b'[{"id": "1"}', "The body ends where ] is expected behind element 1, byte 12."),
        (b'[{"id": "1"}] x', "Something follows the end of the JSON, byte 14."),
        (b'[{"id": "1"} {"id": "2"}]', '"{" stands where ] is expected behind element 1, byte 13.'),
        (b"[" * 5000, "element 1: it is nested too deep, byte 1."),
        (b'{"status_code": 2001, "data": []}', "The envelope is an answer with status_code \"2001\", not data."),
        (b'{"status_code": 1000, "status_message": "ok"}', "The envelope has no data."),
        (b'{"data": [{}]', "The body ends where } is expected at the end of the envelope, byte 13."),
        (gzip.compress(b"{}" * 900, mtime=0)[:-20], "The gzip stream ended early."),
        (b"\x1f\x8b\x00\x00 no gzip at all", "The body is not good gzip"),
    ],
)  # fmt: skip
def test_import_what_breaks_the_whole_is_refused_at_once(rest, body, why):
    response = rest.call("POST", "/imports?kind=locations", body)

    assert_problem(response, 400, why)
    assert (Import.objects.count(), ImportPart.objects.count()) == (0, 0)


def test_import_is_capped(rest, settings):
    settings.IMPORT_MAX_BYTES = 100_000
    bomb = gzip.compress(b'{"id":"' + b" " * 50_000_000 + b'"}')

    assert_problem(rest.call("POST", "/imports?kind=locations", bomb), 413, "100000 bytes")
    assert_problem(rest.call("POST", "/imports?kind=locations", b"{" * 100_001), 413, "100000 bytes")
    assert not Import.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        lines([{}] * 4),
        b"\n" * 3 + b"{}\n",
        b"[{},{},{},{}]",
        b'{"data": [{},{},{},{}]}',
        gzip.compress(lines([{}] * 4)),
    ],
    ids=["ndjson", "blank lines", "array", "envelope", "gzip"],
)
def test_import_of_too_many_documents_is_refused_at_once(rest, monkeypatch, body):
    monkeypatch.setattr(intake, "MOST_DOCUMENTS", 3)

    assert_problem(rest.call("POST", "/imports?kind=locations", body), 413, "at most 3 lines or elements")
    assert (Import.objects.count(), ImportPart.objects.count()) == (0, 0)
    assert rest.call("POST", "/imports?kind=locations", b"[{},{},{}]").status_code == 202


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "kind"),
        ("kind=evses", "kind"),
        ("kind=locations&mode=all", "mode"),
        ("kind=locations&dry_run=maybe", "dry_run"),
        ("kind=locations&wait=61", "wait"),
    ],
)
def test_import_parameters(rest, query, why):
    assert_problem(rest.call("POST", f"/imports?{query}", b"{}"), 400, why)


# --- Lines -------------------------------------------------------------------------------------------------------------


def test_import_each_line_gets_its_answer(cpo, rest):
    store.put_location(
        cpo, location_body(id="OLD", last_updated=LATER, evses=[evse_body(uid="OLD", evse_id="NL*EXA*E77")])
    )
    good, gap, foreign, unknown_party = locations(4)
    del gap["energy_mix"], unknown_party["country_code"], unknown_party["party_id"]
    foreign["party_id"] = "RIV"
    stale = location_body(id="OLD", evses=[])
    body = lines([good, gap, foreign, unknown_party, stale])
    body += b'{"id": "L9", "id": "L9"}\nnot json\n' + b'"' + b"x" * 1_048_577 + b'"\n\n[]\n'

    one = send(rest, body)

    assert counted(one) == {"received": 9, "created": 3, "refused": 5, "stale": 1, "warned": 1}
    assert told(rest, one) == [
        (1, "L0", "created", []),
        (2, "L1", "created", ["N-energy_mix"]),
        (3, "L2", "refused", ["L-14"]),
        (4, "L3", "created", []),
        (5, "OLD", "stale", ["S-stale"]),
        (6, "L9", "refused", ["S-json"]),
        (7, None, "refused", ["S-json"]),
        (8, None, "refused", ["S-size"]),
        (10, None, "refused", ["S-object"]),
    ]
    assert {each["rule"]: (each["count"], each["sample"]) for each in one["rules"]}["S-json"] == (2, ["L9"])
    text = rest.call("GET", f"/imports/{one['id']}/results?format=csv&lang=nl").getvalue().decode("utf-8-sig")
    assert text.splitlines()[1] == "1,L0,created,,,,,"
    assert text.splitlines()[3].startswith(
        '3,L2,refused,error,L-14,/party_id,"party_id is ""RIV"", maar uw partij is NL-EXA"'
    )


@pytest.mark.parametrize("mode", ["upsert", "full"])
def test_import_of_an_id_that_cannot_be_stored_goes_on(rest, mode):
    one = send(rest, rb'{"id": "L\u00009"}' + b"\n" + lines(locations(1)), f"kind=locations&mode={mode}")

    assert (one["state"], counted(one)) == ("done", {"received": 2, "created": 1, "refused": 1})
    assert told(rest, one)[0][:3] == (1, None, "refused")


def test_import_counts_blank_lines_before_the_first(cpo, rest):
    assert [each["line"] for each in results(rest, send(rest, b"\n \r\n{oops\n\nnope\n"))] == [3, 5]


def test_import_that_comes_byte_by_byte_is_not_looked_at_for_each(monkeypatch):
    body, tries = b'[{"id": "' + b"x" * 400_000 + b'"}]', []
    decode = intake._Text._decode
    monkeypatch.setattr(intake._Text, "_decode", staticmethod(lambda text, at: tries.append(at) or decode(text, at)))

    assert list(intake.documents(bytes([one]) for one in body)) == [body[1:-1]]
    assert len(tries) < 10


def test_import_of_one_id_twice_is_two_uploads(cpo, rest):
    first, second = location_body(id="L1", name="First"), location_body(id="l1", name="Second", last_updated=LATER)

    one = send(rest, lines([first, second]))

    assert counted(one) == {"received": 2, "created": 1, "updated": 1}
    assert Location.objects.get().document["name"] == "Second"


def test_import_of_a_known_line_behind_another_of_its_id_is_applied(cpo, rest):
    first, second = location_body(id="L1", name="First"), location_body(id="L1", name="Second")
    send(rest, lines([second]))

    send(rest, lines([first, second]))

    assert Location.objects.get().document["name"] == "Second"


def test_import_again_changes_and_pushes_nothing(cpo, rest):
    body = lines(locations(20))
    send(rest, body)
    before = list(Push.objects.order_by("pk").values_list("version", "changed_at"))
    received = list(Location.objects.order_by("pk").values_list("received_at"))

    assert counted(send(rest, body)) == {"received": 20, "unchanged": 20}
    assert list(Push.objects.order_by("pk").values_list("version", "changed_at")) == before
    assert list(Location.objects.order_by("pk").values_list("received_at")) == received


def test_import_of_a_known_line_mends_what_came_in_between(cpo, rest):
    body = lines(locations(1))
    send(rest, body)
    store.patch_evse(cpo, "L0", "E0-0", {"status": "CHARGING", "last_updated": LATER})

    assert counted(send(rest, body)) == {"received": 1, "unchanged": 1, "warned": 1}
    assert Location.objects.get().document["evses"][0]["status"] == "CHARGING"  # newest wins


def test_import_dry_run_stores_nothing(cpo, rest):
    store.put_location(cpo, location_body(id="L0"))
    before = list(Location.objects.values_list("body"))
    documents = locations(3, last_updated=LATER)
    documents[2]["party_id"] = "RIV"

    one = send(rest, lines(documents), "kind=locations&dry_run=true")

    assert (one["state"], counted(one)) == (
        "done",
        {"received": 3, "created": 1, "updated": 1, "refused": 1, "removed": 1, "warned": 1},
    )
    assert one["preview"]["samples"] == {"updated": ["L0"], "removed": ["L0"], "created": ["L1"], "refused": ["L2"]}
    assert list(Location.objects.values_list("body")) == before


def test_import_key_gives_the_import_made_before(rest):
    key = {"Idempotency_Key": "night-1"}
    first = send(rest, lines(locations(1)), **key)

    assert send(rest, lines(locations(1)), **key) == first
    assert Import.objects.count() == 1
    again = rest.call("POST", "/imports?kind=locations", lines(locations(2)), **key)
    assert_problem(again, 422, "Idempotency-Key")
    assert_problem(rest.call("POST", "/imports?kind=locations", b"{}", Idempotency_Key=""), 400, "Idempotency-Key")


def test_import_belongs_to_its_tenant(rest, rival):
    one = send(rest, lines(locations(1)))
    other = rest_client(rival)

    assert_problem(other.get(f"/imports/{one['id']}"), 404, "Unknown import.")
    assert_problem(other.get(f"/imports/{one['id']}/results"), 404, "Unknown import.")
    assert_problem(other.get("/imports/x"), 404, "Unknown import.")
    assert other.get("/imports").envelope == {"results": []}
    assert rest.get("/imports").envelope == {"results": [one]}


def test_import_tariffs(cpo, rest):
    one = send(rest, lines([tariff_body(id="T1"), tariff_body(id="T2", currency="EURO")]), "kind=tariffs")

    assert counted(one) == {"received": 2, "created": 1, "refused": 1}
    assert sorted(Tariff.objects.values_list("ocpi_id", flat=True)) == ["ADHOC-1", "T1"]


# --- Full sets ---------------------------------------------------------------------------------------------------------


def statuses(tenant: Tenant) -> dict[str, str]:
    found = {}
    for location in tenant.locations.all():
        found |= {evse["uid"]: evse["status"] for evse in location.document.get("evses") or []}
    return found


def test_full_set_removes_what_it_lacks(cpo, rest):
    send(rest, lines(locations(60)))
    Push.objects.update(state="delivered")
    left = locations(60)
    del left[3], left[7]

    one = send(rest, lines(left), "kind=locations&mode=full")

    assert (one["state"], counted(one)) == ("done", {"received": 58, "unchanged": 58, "removed": 2})
    assert [uid for uid, status in statuses(cpo).items() if status == "REMOVED"] == ["E3-0", "E8-0"]
    assert told(rest, one) == [(0, "L3", "removed", []), (0, "L8", "removed", [])]
    assert sorted(Push.objects.filter(state="dirty").values_list("location__ocpi_id", flat=True)) == ["L3", "L8"]
    again = send(rest, lines(left), "kind=locations&mode=full")
    assert counted(again) == {"received": 58, "unchanged": 58}


def test_full_set_pulls_the_brake_and_an_operator_decides(cpo, rest):
    send(rest, lines(locations(10, evses=2)))
    half = locations(10, evses=2)[:5]

    held = send(rest, lines(half), "kind=locations&mode=full")

    assert (held["state"], held["note"]) == ("held", "10 of 20 EVSEs would be removed, more than 10 %.")
    assert held["preview"]["samples"]["removed"] == ["L5", "L6", "L7", "L8", "L9"]
    assert "REMOVED" not in statuses(cpo).values()
    assert imports.work() is False

    assert imports.accept(Import.objects.get(pk=held["id"]), "ann") is True
    imports.work()

    done = rest.get(f"/imports/{held['id']}").envelope
    assert (done["state"], counted(done)) == ("done", {"received": 5, "unchanged": 5, "removed": 10})
    assert list(statuses(cpo).values()) == ["AVAILABLE"] * 10 + ["REMOVED"] * 10
    assert imports.accept(Import.objects.get(pk=held["id"]), "ann") is False


def test_full_set_that_is_held_gives_way_to_a_newer_one(cpo, rest):
    send(rest, lines(locations(10)))
    first = send(rest, lines(locations(2)), "kind=locations&mode=full")
    second = send(rest, lines(locations(3)), "kind=locations&mode=full")

    old = rest.get(f"/imports/{first['id']}").envelope
    assert (first["state"], second["state"]) == ("held", "held")
    assert (old["state"], old["note"]) == ("discarded", "Superseded by a newer full set; nothing was stored.")


def test_full_set_whose_lines_are_lost_removes_nothing(cpo, rest):
    send(rest, lines(locations(60)))
    response = rest.call("POST", "/imports?kind=locations&mode=full", lines(locations(60)))
    ImportPart.objects.all().delete()

    imports.work()

    one = Import.objects.get(pk=response.envelope["id"])
    assert (one.state, one.note[:18]) == ("failed", "Lines are missing:")
    assert set(statuses(cpo).values()) == {"AVAILABLE"}


def test_full_set_that_is_discarded_stores_nothing(cpo, rest):
    send(rest, lines(locations(6)))
    changed = locations(1, name="New", last_updated=LATER)

    held = send(rest, lines(changed), "kind=locations&mode=full")
    imports.discard(Import.objects.get(pk=held["id"]), "ann")

    one = rest.get(f"/imports/{held['id']}").envelope
    assert (one["state"], one["progress"]) == ("discarded", 1.0)
    assert not tuple(Location.objects.filter(ocpi_id="L0", body__contains=b"New"))
    assert not ImportPart.objects.exists()


def test_full_set_that_leaves_nothing_is_held_however_small(cpo, rest):
    send(rest, lines(locations(2)))

    assert (
        send(rest, b"[]", "kind=locations&mode=full")["note"] == "Nothing would remain: all 2 EVSEs would be removed."
    )


def test_full_set_whose_only_evse_has_another_uid_is_not_held(cpo, rest):
    send(rest, lines(locations(1)))
    other = location_body(id="L0", evses=[evse_body(uid="NEW", evse_id="NL*EXA*E1")], last_updated=LATER)

    one = send(rest, lines([other]), "kind=locations&mode=full")

    assert (one["state"], one["note"], counted(one)["removed"]) == ("done", "", 1)
    assert statuses(cpo) == {"NEW": "AVAILABLE", "E0-0": "REMOVED"}


REMOVED = evse_body(uid="E0-0", evse_id="NL*EXA*E0A0", status="REMOVED", last_updated=LATER)
REFUSED = location_body(id="L0", country="Nederland")


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([location_body(id="NEW", evses=[])], "held"),
        ([location_body(id="L0", evses=[REMOVED], last_updated=LATER)], "held"),
        ([REFUSED], "done"),
        (locations(1), "done"),
        ([location_body(id="NEW", evses=[evse_body(uid="NEW", evse_id="NL*EXA*E1")])], "done"),
    ],
    ids=["no EVSE in what is new", "REMOVED by itself", "refused stays", "unchanged stays", "a new EVSE"],
)
def test_full_set_is_held_when_nothing_in_service_would_remain(cpo, rest, documents, expected):
    send(rest, lines(locations(4)))

    one = send(rest, lines(documents), "kind=locations&mode=full")

    assert (one["state"], one["note"][:22]) == (expected, "Nothing would remain: " if expected == "held" else "")


def test_full_set_of_other_tariffs_is_not_held(cpo, rest):
    send(rest, lines([tariff_body(id="T1")]), "kind=tariffs")

    one = send(rest, lines([tariff_body(id="T2")]), "kind=tariffs&mode=full")

    assert (one["state"], counted(one)) == ("done", {"received": 1, "created": 1, "removed": 2})


@pytest.mark.parametrize(("count", "state"), [(58, "done"), (2, "discarded")], ids=["removes", "would be held"])
def test_full_set_leaves_what_is_missing_to_a_newer_one(cpo, rest, count, state):
    send(rest, lines(locations(60)))
    Push.objects.update(state="delivered")
    bodies = [lines(locations(count)), lines(locations(60))]
    ids = [rest.call("POST", "/imports?kind=locations&mode=full", body).envelope["id"] for body in bodies]

    while imports.work():
        pass

    older, newer = [rest.get(f"/imports/{one}").envelope for one in ids]
    notes = {"done": "What is missing was left to a newer full set.", "discarded": imports.SUPERSEDED}
    assert (older["state"], older["note"]) == (state, notes[state])
    assert (newer["state"], counted(newer)) == ("done", {"received": 60, "unchanged": 60})
    assert set(statuses(cpo).values()) == {"AVAILABLE"}
    assert not Push.objects.filter(state="dirty").exists()


@pytest.mark.parametrize("line", [b"{oops\n", b'{"id": "L59", "id": "L58"}\n'], ids=["no JSON", "two ids"])
def test_full_set_with_a_line_that_cannot_be_read_removes_nothing(cpo, rest, line):
    send(rest, lines(locations(60)))

    one = send(rest, lines(locations(59)) + line, "kind=locations&mode=full")

    assert (one["state"], counted(one)) == ("done", {"received": 60, "unchanged": 59, "refused": 1})
    assert one["note"] == "Nothing that is missing was removed: a line has no id that can be read."


def test_full_set_counts_refused_lines_as_present(cpo, rest):
    send(rest, lines(locations(60)))
    bad = locations(60)
    bad[5]["country"] = "Nederland"

    assert counted(send(rest, lines(bad), "kind=locations&mode=full")) == {
        "received": 60,
        "unchanged": 59,
        "refused": 1,
    }


def test_full_set_keeps_what_changed_after_it_came_in(cpo, rest):
    send(rest, lines(locations(60)))
    response = rest.call("POST", "/imports?kind=locations&mode=full", lines(locations(59)))
    store.patch_evse(cpo, "L59", "E59-0", {"status": "CHARGING", "last_updated": LATER})

    imports.work()

    assert rest.get(f"/imports/{response.envelope['id']}").envelope["state"] == "done"
    assert statuses(cpo)["E59-0"] == "CHARGING"


def test_full_set_of_tariffs_keeps_one_that_is_named(cpo, rest):
    send(rest, lines([tariff_body(id=f"T{n}") for n in range(50)]), "kind=tariffs")
    send(rest, lines(locations(1)))  # names ADHOC-1

    one = send(rest, lines([tariff_body(id=f"T{n}") for n in range(49)]), "kind=tariffs&mode=full")

    assert counted(one) == {"received": 49, "unchanged": 50, "removed": 1, "warned": 1}
    assert told(rest, one) == [(0, "ADHOC-1", "unchanged", ["T-22"]), (0, "T49", "removed", [])]
    assert sorted(Tariff.objects.filter(deleted_at=None).values_list("ocpi_id", flat=True))[0] == "ADHOC-1"


# --- Spreadsheets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["csv", "xlsx"])
def test_sheet_is_an_import_whose_findings_name_cells(cpo, rest, name):
    data = CLIENT.get(f"/api/v1/imports/template?format={name}", headers=rest.headers)
    assert data["Content-Disposition"] == f'attachment; filename="connectors.{name}"'
    names = [column.name for column in spreadsheets.COLUMNS]
    rows = [[row.values.get(each, "") for each in names] for row in spreadsheets.read(data.content).rows]
    for row in rows:
        row[0] = "HOME"
    rows[1][names.index("max_voltage")] = "many"
    other = list(rows[0])
    other[0], other[names.index("evse_uid")], other[names.index("standard")] = "AWAY", "AWAY-1", "PLUG"
    other[names.index("evse_id")] = "NL*EXA*E99"
    text = "\n".join(";".join(row) for row in [names, *rows, other]).encode()

    one = send(rest, text, "kind=connectors-csv")

    assert counted(one) == {"received": 2, "refused": 2}
    assert [(each["line"], each["id"], [f["path"] for f in each["findings"]]) for each in results(rest, one)] == [
        (2, "HOME", ["/3/max_voltage"]),
        (len(rows) + 2, "AWAY", [f"/{len(rows) + 2}/standard"]),
    ]

    good = text.replace(b"many", b"230").replace(b"PLUG", b"IEC_62196_T2")
    assert counted(send(rest, good, "kind=connectors-csv")) == {"received": 2, "created": 2, "warned": 1}
    assert {one.is_shown for one in Location.objects.all()} == {True}
    pushes = list(Push.objects.order_by("pk").values_list("version"))
    assert counted(send(rest, good, "kind=connectors-csv"))["unchanged"] == 2
    assert list(Push.objects.order_by("pk").values_list("version")) == pushes


def test_sheet_that_says_no_status_leaves_the_one_that_is_known(cpo, rest):
    names = [column.name for column in spreadsheets.COLUMNS]
    known = spreadsheets.read(spreadsheets.template_csv()).rows[0].values | {"location_id": "HOME", "evse_uid": "H-1"}
    new = known | {"evse_uid": "H-2", "evse_id": "NL*EXA*EH2"}
    header = ";".join(names)
    both, one = (
        "\n".join(
            [header, *(";".join((row | {"status": ""}).get(name, "") for name in names) for row in rows)]
        ).encode()
        for rows in ([known, new], [known])
    )
    send(rest, one, "kind=connectors-csv")
    later = timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    store.patch_evse(cpo, "HOME", "H-1", {"status": "OUTOFORDER", "last_updated": later})

    send(rest, both, "kind=connectors-csv")
    send(rest, one, "kind=connectors-csv")  # the other EVSE is REMOVED by that
    send(rest, both, "kind=connectors-csv")

    assert [evse["status"] for evse in Location.objects.get().document["evses"]] == ["OUTOFORDER", "AVAILABLE"]


def test_sheet_that_is_none_is_refused_at_once(rest):
    problem = assert_problem(rest.call("POST", "/imports?kind=connectors-csv", b"PK\x03\x04 no workbook"), 400)

    assert [finding["rule"] for finding in problem["findings"]] == ["S-sheet"]
    assert not Import.objects.exists()


# --- In the middle -----------------------------------------------------------------------------------------------------


def test_import_goes_on_where_a_failure_left_it(cpo, rest, monkeypatch):
    monkeypatch.setattr(imports, "BATCH", 7)
    documents = locations(50)
    documents[20]["party_id"] = "RIV"
    real, calls = store.put_many, iter(range(100))

    def failing(*args: Any, **kwargs: Any) -> Any:
        done = real(*args, **kwargs)
        if next(calls) % 3 == 2:
            raise OperationalError("the server closed the connection unexpectedly")
        return done

    monkeypatch.setattr(store, "put_many", failing)
    response = rest.call("POST", "/imports?kind=locations", lines(documents))
    for _ in range(40):
        try:
            if not imports.work():
                break
        except OperationalError:
            transaction.set_rollback(False)

    one = rest.get(f"/imports/{response.envelope['id']}").envelope
    assert (one["state"], counted(one)) == ("done", {"received": 50, "created": 49, "refused": 1})
    assert [each[0] for each in told(rest, one)] == list(range(1, 51))


def test_import_is_left_to_the_worker_that_has_it(cpo, rest, monkeypatch):
    monkeypatch.setattr(imports, "BATCH", 10)
    rest.call("POST", "/imports?kind=locations", lines(locations(50)))
    one = Import.objects.get()
    mine = imports._chunk(one, None)

    assert (imports.work(), Import.objects.get().line) == (False, 10)  # its turn is not over
    assert imports._chunk(one, mine) is mine
    monkeypatch.setattr(imports, "TURN", imports.TURN * 0)
    assert (imports.work(), Import.objects.get().state) == (False, "done")  # it was: killed, frozen, or gone
    assert imports._chunk(one, mine) is None


def test_imports_of_one_tenant_and_kind_are_done_in_the_order_they_came_in(cpo, rest, rival, monkeypatch):
    monkeypatch.setattr(imports, "BATCH", 1)
    monkeypatch.setattr(imports, "TURN", imports.TURN * 0)
    queries = ["kind=locations", "kind=locations&dry_run=true", "kind=locations", "kind=tariffs"]
    ids = [rest.call("POST", f"/imports?{query}", lines(locations(2))).envelope["id"] for query in queries]
    ids.append(rest_client(rival).call("POST", "/imports?kind=locations", lines(locations(2))).envelope["id"])
    imports._chunk(Import.objects.get(pk=ids[0]), None)  # the others have waited longer since

    def states() -> list[str]:
        return [Import.objects.get(pk=one).state for one in ids]

    assert states() == ["running", "queued", "queued", "queued", "queued"]
    assert imports.work() is True
    assert states() == ["done", "queued", "queued", "done", "done"]
    assert (imports.work(), states()) == (False, ["done"] * 5)


def test_import_ends_a_batch_that_takes_long_to_judge(cpo, rest, monkeypatch):
    known = locations(3)
    send(rest, lines(known))
    monkeypatch.setattr(imports, "JUDGING_S", 0)
    l5, again = location_body(id="L5", name="First", evses=[]), location_body(id="L5", name="Second", evses=[])
    body = b"\n" + lines([known[0], l5, known[1]]) + b"\n\nno JSON\n" + lines([again, known[2]]) + b"\n"
    rest.call("POST", "/imports?kind=locations", body)

    one = Import.objects.get(line=0)
    ends = [each.line for each in imports.finish(one)]

    assert ends == [4, 7, 10, 10]
    assert [each.first_line for each in one.reports.order_by("pk")] == [2, 7, 8]
    assert counted({"counts": one.counts}) == {
        "received": 6,
        "created": 1,
        "updated": 1,
        "unchanged": 3,
        "refused": 1,
        "warned": 2,
    }
    assert Location.objects.get(ocpi_id="L5").document["name"] == "Second"


def test_import_does_not_cut_what_the_other_process_has_judged(cpo, rest, monkeypatch):
    send(rest, lines(locations(10)))
    for name, value in {"BATCH": 10, "LARGE": 0, "JUDGING_S": 0}.items():
        monkeypatch.setattr(imports, name, value)
    monkeypatch.setattr("ocpi.judge.LONGEST_S", 60)
    rest.call("POST", "/imports?kind=locations", lines(locations(25)))

    one = Import.objects.get(line=0)

    assert [each.line for each in imports.finish(one)] == [10, 20, 25, 25]
    assert counted({"counts": one.counts}) == {"received": 25, "created": 15, "unchanged": 10}


@pytest.fixture
def command(cpo, tmp_path, capsys):
    """Return what `manage.py import` says about documents."""

    def run(documents: list[dict], *options: str) -> str:
        path = tmp_path / "locations.ndjson"
        path.write_bytes(lines(documents))
        call_command("import", "NL-EXA", "locations", str(path), *options)
        return capsys.readouterr().out

    return run


def test_import_command_works_on_the_older_ones_itself(cpo, rest, command):
    older = rest.call("POST", "/imports?kind=locations", lines(locations(2))).envelope

    assert command(locations(3)).startswith("done: 3 received, 1 created, 2 unchanged\n")
    assert rest.get(f"/imports/{older['id']}").envelope["state"] == "done"


def test_import_command_tells_of_a_fault_in_the_first_batch(cpo, command, monkeypatch, capsys):
    monkeypatch.setattr(store, "put_many", lambda *args, **kwargs: 1 / 0)

    with pytest.raises(SystemExit):
        command(locations(1))

    told = capsys.readouterr().out
    assert told.startswith("failed: 0 received, \nInternal error (ZeroDivisionError) behind line 0;")


def test_import_command_goes_on_when_postgresql_ended_its_session(transactional_db, cpo, command, monkeypatch):
    monkeypatch.setattr(imports, "BATCH", 2)
    factories.connect_to_nowhere(cpo)
    real, calls = imports._Batch.write, iter(range(9))

    def ended(batch: Any, one: Import) -> None:
        real(batch, one)
        if next(calls) in (0, 2):
            imports.sql.run("RESET ROLE", [])
            imports.sql.run("SELECT pg_terminate_backend(pg_backend_pid())", [])

    monkeypatch.setattr(imports._Batch, "write", ended)

    assert command(locations(3)).startswith("done: 3 received, 3 created, 3 warned\n")


def test_import_that_meets_a_fault_of_ours_says_so(cpo, rest, monkeypatch):
    monkeypatch.setattr(store, "put_many", lambda *args, **kwargs: 1 / 0)

    one = send(rest, lines(locations(1)))

    assert (one["state"], one["note"]) == (
        "failed",
        "Internal error (ZeroDivisionError) behind line 0; what was done before stays.",
    )


def test_import_of_an_inactive_tenant_ends(cpo, rest):
    response = rest.call("POST", "/imports?kind=locations", lines(locations(1)))
    Tenant.objects.update(is_active=False)

    imports.work()

    assert Import.objects.get(pk=response.envelope["id"]).state == "failed"
    assert not Location.objects.exists()


def test_import_whose_body_broke_off_leaves_nothing(cpo):
    def pieces():
        yield lines(locations(1))
        raise errors.Malformed("The body ended before its Content-Length.")

    with pytest.raises(errors.Malformed):
        intake.receive(cpo, "location", pieces())

    assert not Import.objects.exists()


# For each line it reads a worker of its own, which ends as the second line says; only the first start takes long.
WORKERS = """
import os, sys, django
django.setup()
from ocpi import imports
imports.BATCH = 50
imports.TURN *= 0
for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        imports.work(60)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def test_import_whose_worker_is_killed_ten_times_comes_to_the_same(transactional_db, cpo, rival):
    """kill -9 between and within batches: nothing twice, nothing half, nothing left out."""
    ended = []
    with subprocess.Popen(
        [sys.executable, "-c", WORKERS], cwd=embedded.ROOT, env=stage.database_environment(), text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as workers:  # fmt: skip
        assert workers.stdin
        assert workers.stdout
        for tenant, kills in ((rival, 0), (cpo, 10)):
            documents = [location_body(party_id=tenant.party_id, id=f"L{n}", evses=[]) for n in range(3000)]
            for one in documents[::100]:
                one["country"] = "Nederland"
            factories.connect_to_nowhere(tenant)
            one = intake.receive(tenant, "location", [lines(documents)])
            for kill in range(kills + 1):
                print("work", file=workers.stdin)
                pid = int(workers.stdout.readline())
                if kill < kills:
                    time.sleep(0.02 + 0.02 * kill)
                    os.kill(pid, signal.SIGKILL)
                assert int(workers.stdout.readline()) == (signal.SIGKILL if kill < kills else 0)
                one.refresh_from_db()
                assert (one.state == "done") == (kill == kills), (kill, one.line)
            ended.append(one)
        workers.stdin.close()

    undisturbed, killed = ended
    assert killed.counts == undisturbed.counts
    assert counted({"counts": killed.counts}) == {
        "received": 3000, "created": 2970, "refused": 30, "warned": 2970,
    }  # fmt: skip
    assert list(imports.results(killed)) == list(imports.results(undisturbed))
    bodies = [
        [one.document | {"party_id": ""} for one in tenant.locations.order_by("ocpi_id")] for tenant in (cpo, rival)
    ]
    assert bodies[0] == bodies[1]
    assert Push.objects.filter(tenant=cpo, version=1).count() == Push.objects.filter(tenant=cpo).count() == 2970


def test_full_set_with_half_the_evses_missing_reaches_ndw(transactional_db, cpo, ndw):
    factories.make_connection(cpo, ndw)
    factories.put_tariff(cpo)
    rest = rest_client(cpo)
    send(rest, lines(locations(6, evses=2)))
    push.drain()
    half = locations(6, last_updated=LATER)

    held = send(rest, lines(half), "kind=locations&mode=full")
    assert (held["state"], held["note"]) == ("held", "6 of 12 EVSEs would be removed, more than 10 %.")
    push.drain()
    assert {evse["status"] for one in ndw.locations.values() for evse in one["evses"]} == {"AVAILABLE"}
    imports.accept(Import.objects.get(pk=held["id"]), "ann")
    while imports.work():
        pass
    push.drain()

    assert sorted((evse["uid"], evse["status"]) for one in ndw.locations.values() for evse in one["evses"]) == sorted(
        (f"E{n}-{k}", status) for n in range(6) for k, status in enumerate(["AVAILABLE", "REMOVED"])
    )


# --- What a review came upon -------------------------------------------------------------------------------------------


def test_full_set_keeps_an_id_with_spaces_at_its_ends(cpo, rest):
    documents = [*locations(30), location_body(id=" S ", evses=[evse_body(uid="S", evse_id="NL*EXA*ES")])]
    send(rest, lines(documents))

    one = send(rest, lines(documents), "kind=locations&mode=full")

    assert counted(one) == {"received": 31, "unchanged": 31}
    assert statuses(cpo)["S"] == "AVAILABLE"


@pytest.mark.parametrize("odd", ["", "  "])
def test_full_set_with_an_empty_id_removes_nothing(cpo, rest, odd):
    send(rest, lines(locations(60)))

    one = send(rest, lines([*locations(59), location_body(id=odd)]), "kind=locations&mode=full")

    assert counted(one) == {"received": 60, "unchanged": 59, "refused": 1}


def test_import_of_huge_ids_stays_small(rest):
    one = send(rest, lines([{"id": f"{n}" + "x" * 100_000} for n in range(10)]))

    assert counted(one) == {"received": 10, "refused": 10}
    assert len(json.dumps(one)) < 50_000


def test_full_set_keeps_what_changes_while_it_is_removed(cpo, rest, monkeypatch):
    send(rest, lines(locations(60)))
    response = rest.call("POST", "/imports?kind=locations&mode=full", lines(locations(58)))
    real = imports.rows.lock_many

    def late(kind: str, tenant: Tenant, ids: Any) -> Any:
        if list(ids) == ["L58", "L59"]:  # another upload had the lock
            store.patch_evse(cpo, "L59", "E59-0", {"status": "CHARGING", "last_updated": LATER})
        return real(kind, tenant, ids)

    monkeypatch.setattr(imports.rows, "lock_many", late)
    while imports.work():
        pass

    one = rest.get(f"/imports/{response.envelope['id']}").envelope
    assert (one["state"], one["counts"]["removed"]) == ("done", 1)
    assert (statuses(cpo)["E58-0"], statuses(cpo)["E59-0"]) == ("REMOVED", "CHARGING")


def test_full_set_whose_lines_are_gone_removes_nothing(cpo, rest):
    send(rest, lines(locations(30)))
    response = rest.call("POST", "/imports?kind=locations&mode=full", lines(locations(30)))
    ImportPart.objects.all().delete()

    imports.work()

    assert rest.get(f"/imports/{response.envelope['id']}").envelope["state"] == "failed"
    assert "REMOVED" not in statuses(cpo).values()


@pytest.mark.parametrize("fault", ["cut answer", "no process"])
def test_import_does_without_the_other_process(cpo, rest, monkeypatch, fault):
    monkeypatch.setattr(imports, "BATCH", 20)
    monkeypatch.setattr(imports, "LARGE", 0)
    if fault == "cut answer":  # killed while it writes
        real = subprocess.Popen
        code = "import sys; sys.stdout.buffer.write((99).to_bytes(8) + b'\\x80\\x05cut')"
        monkeypatch.setattr(
            "ocpi.judge.subprocess.Popen", lambda command, **kw: real([sys.executable, "-c", code], **kw)
        )
    else:

        def none(*args: Any, **kwargs: Any) -> Any:
            raise BlockingIOError("fork")

        monkeypatch.setattr("ocpi.judge.subprocess.Popen", none)

    one = send(rest, lines(locations(60)))

    assert (one["state"], one["note"], counted(one)) == ("done", "", {"received": 60, "created": 60})


def test_sheet_with_a_location_of_too_many_rows_goes_on(cpo, rest):
    names = [column.name for column in spreadsheets.COLUMNS]
    row = spreadsheets.read(spreadsheets.template_csv()).rows[0]
    first = [row.values.get(each, "") for each in names]
    rows = []
    for n in range(3000):
        one = list(first)
        one[0], one[names.index("evse_uid")], one[names.index("evse_id")] = "BIG", f"B-{n}", f"NL*EXA*EB{n}"
        rows.append(one)
    small = list(first)
    small[0], small[names.index("evse_uid")], small[names.index("evse_id")] = "SMALL", "S-1", "NL*EXA*ES1"
    text = "\n".join(";".join(row) for row in [names, *rows, small]).encode()

    one = send(rest, text, "kind=connectors-csv")

    assert (one["state"], counted(one)["refused"], counted(one)["created"]) == ("done", 1, 1)


def test_envelope_with_data_twice_is_refused(rest):
    body = json.dumps({"data": DOCUMENTS[:1]}).encode()[:-1] + b"," + json.dumps({"data": DOCUMENTS[1:]}).encode()[1:]

    assert_problem(rest.call("POST", "/imports?kind=locations", body), 400, "twice")


def test_import_that_cannot_reach_the_database_leaves_others_their_turn(cpo, rest, monkeypatch):
    bodies = {"locations": lines(locations(1)), "tariffs": lines([tariff_body(id="T1")])}
    ids = [rest.call("POST", f"/imports?kind={kind}", body).envelope["id"] for kind, body in bodies.items()]
    real = imports._Batch.write

    def failing(batch: Any, one: Import) -> None:
        if str(one.pk) == ids[0]:
            raise OperationalError("canceling statement due to statement timeout")
        real(batch, one)

    monkeypatch.setattr(imports._Batch, "write", failing)
    for _ in range(3):
        with pytest.raises(OperationalError):
            imports.work()

    assert [rest.get(f"/imports/{each}").envelope["state"] for each in ids] == ["queued", "done"]


def test_import_whose_worker_was_frozen_goes_on(transactional_db, cpo, monkeypatch):
    factories.connect_to_nowhere(cpo)
    one = intake.receive(cpo, "location", [lines(locations(3))])
    real, calls = imports._Batch.write, iter(range(9))

    def frozen(batch: Any, found: Import) -> None:
        if next(calls) == 0:
            imports.sql.run("SET idle_in_transaction_session_timeout = 100", [])
            time.sleep(0.5)
        real(batch, found)

    monkeypatch.setattr(imports._Batch, "write", frozen)
    with pytest.raises(DatabaseError, match="idle-in-transaction"):
        imports.work()
    while imports.work():
        pass

    one.refresh_from_db()
    assert (one.state, one.note, one.counts.get("created")) == ("done", "", 3)
