"""The admin's Imports pages: upload, watch, decide; what they show, and to whom."""

import datetime as dt
import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from ocpi import imports, intake
from ocpi.models import Import, ImportPart, Location
from tenants import html
from tenants.models import Tenant
from tests.documents import evse_body, location_body
from tests.factories import make_tenant
from tests.test_admin import _browser, _queries, said, staff, text

LIST, FORM = "/admin/ocpi/import/", "/admin/ocpi/import/upload/"
HOSTILE = "<script>alert('x')"


@pytest.fixture
def boss(db) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def locations(count: int, **fields: Any) -> list[dict]:
    return [
        location_body(id=f"L{n}", evses=[evse_body(uid=f"E{n}", evse_id=f"NL*EXA*E{n}")], **fields)
        for n in range(count)
    ]


def lines(documents: list[dict]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


def receive(tenant: Tenant, documents: list[dict], **how: Any) -> Import:
    return intake.receive(tenant, "location", [lines(documents)], **how)


def work(one: Import) -> Import:
    """Let the worker work; return the import as it is then."""
    while imports.work():
        pass
    one.refresh_from_db()
    return one


def send(browser: Client, tenant: Tenant, body: bytes, **fields: Any) -> HttpResponse:
    """Fill in the form, and send it."""
    given = {"tenant": tenant.pk, "kind": "location", "mode": "upsert"} | fields
    return browser.post(FORM, given | {"file": SimpleUploadedFile("night.ndjson", body)}, follow=True)


def page(one: Import, name: str = "change", *args: object) -> str:
    return html.url(f"ocpi_import_{name}", one.pk, *args)


def decide(browser: Client, one: Import, deed: str, **fields: object) -> HttpResponse:
    return browser.post(page(one, "decide"), {"do": deed, **fields}, follow=True)


def in_service(tenant: Tenant) -> int:
    return sum(evse["status"] != "REMOVED" for one in tenant.locations.all() for evse in one.document["evses"])


@pytest.fixture
def held(cpo: Tenant) -> Import:
    """A full set that would remove 5 of 10 EVSEs."""
    work(receive(cpo, locations(10)))
    one = work(receive(cpo, locations(5), mode="full"))
    assert (one.state, one.preview["removed"]) == ("held", 5)
    return one


# --- Uploading ---------------------------------------------------------------------------------------------------------


def test_upload_is_worked_on_and_its_page_tells_what_came_of_it(boss, cpo, django_capture_on_commit_callbacks):
    good, gap, foreign, bad = locations(4)
    del gap["energy_mix"]
    foreign["party_id"], bad["country"] = "RIV", "Nederland"

    with django_capture_on_commit_callbacks() as queued:
        before = send(boss, cpo, lines([good, gap, foreign, bad]))
    one = work(Import.objects.get())
    shown = boss.get(page(one))

    assert before.redirect_chain == [(page(one), 302)]
    assert said(before) == ["Received night.ndjson."]
    assert imports.ring in queued
    assert "0 % waits for its turn" in text(before)
    assert (one.kind, one.mode, one.is_dry_run, one.origin) == ("location", "upsert", False, "boss, night.ndjson")
    words = text(shown)
    assert "Received 4 objects in the file Created 2 new here" in words
    assert "Refused 2 not stored: errors" in words
    assert "gap N-energy_mix energy_mix is missing; DOT-NL demands it" in words
    assert "error L-14 ‹name› is ‹value›, but your party is ‹own› 1 L2" in words  # noqa: RUF001
    assert "2 L1 created N-energy_mix /energy_mix energy_mix is missing; DOT-NL demands it" in words
    assert f'href="{html.url("ocpi_location_change", Location.objects.get(ocpi_id="L1").pk)}"' in shown.content.decode()
    assert 'href="/api/docs/rules#N-energy_mix"' in shown.content.decode()
    rows = [json.loads(row) for row in boss.get(page(one, "results", "ndjson")).getvalue().splitlines()]
    assert [(row["line"], row["id"], row["outcome"]) for row in rows] == [
        (1, "L0", "created"),
        (2, "L1", "created"),
        (3, "L2", "refused"),
        (4, "L3", "refused"),
    ]
    told = boss.get(page(one, "results", "csv")).getvalue().decode("utf-8-sig").splitlines()
    assert told[1].startswith("1,L0,created,warning,L-25,/evses/0/connectors/0/tariff_ids/0,")
    assert boss.get(page(one, "results", "xml")).status_code == 404


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'[{"id": "1"}, {"id": ]', "element 2: Expecting value, byte 21."),
        (b"{" * 1001, "An import may have at most 1000 bytes, decompressed."),
        (b"", "The submitted file is empty."),
    ],
)
def test_upload_of_a_bad_file_says_why_at_the_field(boss, cpo, settings, body, words):
    settings.IMPORT_MAX_BYTES = 1000

    response = send(boss, cpo, body)

    assert response.context["form"].errors == {"file": [words]}
    assert words in text(response)
    assert (Import.objects.count(), ImportPart.objects.count()) == (0, 0)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_spreadsheet_is_given_out_and_taken_back(boss, cpo, form):
    page_of_form = boss.get(FORM).content.decode()
    template = boss.get(html.url("ocpi_import_template", form))
    assert html.url("ocpi_import_template", form) in page_of_form

    answer = send(boss, cpo, template.content, kind="connectors-csv")

    one = work(Import.objects.get())
    assert (answer.status_code, one.is_sheet, one.state, one.counts["refused"]) == (200, True, "done", 1)
    assert list(one.rules) == ["sheet_example"]  # nobody delivers the example
    assert "/2/location_id" in boss.get(page(one)).content.decode()


def test_upload_sent_twice_is_one_import(boss, cpo):
    key = boss.get(FORM).context["key"]

    for _ in range(2):
        send(boss, cpo, lines(locations(1)), key=key)
    other = send(boss, cpo, lines(locations(2)), key=key)

    assert Import.objects.count() == 1
    assert "came with another body or other parameters" in other.context["form"].errors["file"][0]
    assert other.context["key"] != key


def test_upload_is_for_active_tenants_and_known_choices(boss, cpo):
    gone = make_tenant("OLD", is_active=False)

    response = send(boss, gone, lines(locations(1)), kind="cdr", mode="all")

    assert sorted(response.context["form"].errors) == ["kind", "mode", "tenant"]
    assert not Import.objects.exists()


# --- Watching ----------------------------------------------------------------------------------------------------------


def test_progress_says_what_the_page_shows(boss, cpo):
    one = receive(cpo, locations(4))
    counts = dict.fromkeys(imports.COUNTS, 0) | {"received": 1500, "created": 1200, "refused": 300}
    started_at = timezone.now() - dt.timedelta(seconds=1000)
    Import.objects.update(
        state="running", offset=2500, size=10_000, line=1_500_400, started_at=started_at, counts=counts
    )

    answer = boss.get(page(one, "progress")).json()

    zeros = dict.fromkeys(("updated", "unchanged", "stale", "removed", "warned"), "0")
    assert answer == {
        "state": "running",
        "progress": 0.25,
        "words": {
            "percent": "25 %",
            "pace": "storing, 1,500 a second, 50 min 0 s left",
            "received": "1,500",
            "created": "1,200",
            "refused": "300",
            **zeros,
        },
    }
    shown = boss.get(page(one)).content.decode()
    for name, words in answer["words"].items():
        assert f'data-live="{name}">{words}<' in shown
    assert "/ocpi/import.js" in shown


def test_list_shows_what_matters_and_not_what_is_still_coming_in(boss, cpo, held):
    receive(cpo, locations(2), is_dry_run=True, origin="REST, their CPMS")
    Import.objects.create(tenant=cpo, kind="tariff", phase="apply")
    other = receive(make_tenant("OTH"), locations(1))

    words = text(boss.get(LIST))

    assert "NL-EXA Locations dry run queued 0 %, waits for its turn -" in words
    assert "NL-EXA Locations full held 50 % 5 of 10 EVSEs would be removed, more than 10 %." in words
    assert "NL-EXA Locations upsert done - 10 created" in words
    assert "Tariffs" not in words.partition("Sent by")[2].partition("By state")[0]
    found = {
        query: boss.get(LIST, {"q": query}).context["cl"].queryset.count()
        for query in ("nl-exa", "NL-OTH", "cpms", str(other.pk), "nobody")
    }
    assert found == {"nl-exa": 3, "NL-OTH": 1, "cpms": 1, str(other.pk): 1, "nobody": 0}
    assert list(boss.get(LIST, {"state": "held"}).context["cl"].queryset) == [held]


def test_list_takes_as_many_queries_for_many_rows_as_for_one(boss, cpo):
    work(receive(cpo, locations(3)))
    one = [_queries(boss, LIST) for _ in range(2)][1]

    for number in range(5):
        receive(make_tenant(f"A{number:02}"), locations(1))

    assert _queries(boss, LIST) == one


def test_empty_list_says_how_to_begin(boss):
    response = boss.get(LIST)

    assert "CPOs send theirs with their upload token to POST /api/v1/imports" in text(response)
    assert 'href="/api/docs"' in response.content.decode()


# --- Deciding ----------------------------------------------------------------------------------------------------------


def test_held_import_waits_for_somebody_who_has_looked(boss, cpo, held):
    home = boss.get("/admin/").content.decode()
    words = text(boss.get(page(held)))

    careless = decide(boss, held, "accept")
    held.refresh_from_db()

    assert f'href="{LIST}?state=held">1 import waits for a decision' in home
    assert "Waits for a decision: 5 of 10 EVSEs would be removed, more than 10 %." in words
    assert "removed 5 EVSEs 5 Locations are not in the file L5 , L6 , L7 , L8 , L9 unchanged 5" in words
    assert said(careless) == ["Nothing was accepted: tick that you have checked what would be removed."]
    assert (held.state, LogEntry.objects.count()) == ("held", 0)


def test_held_import_that_is_accepted_is_stored(boss, cpo, held):
    accepted = decide(boss, held, "accept", gone=5)
    late = decide(boss, held, "discard")
    work(held)

    assert said(accepted) == ["Accepted: it is stored now."]
    assert said(late) == ["It is queued already: boss was quicker."]
    assert (held.state, held.counts["removed"], held.decided_by, in_service(cpo)) == ("done", 5, "boss", 5)
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Accepted."]
    assert "Accepted by boss Was held 5 of 10 EVSEs would be removed, more than 10 %." in text(boss.get(page(held)))
    assert "import" not in str(boss.get("/admin/").context["health"])


def test_held_import_that_is_discarded_stores_nothing(boss, cpo, held):
    response = decide(boss, held, "discard", reason="Half of it is missing.")
    again = decide(boss, held, "accept", gone=5)
    work(held)

    assert said(response) == ["Discarded: nothing was stored."]
    assert said(again) == ["It is discarded already: boss was quicker."]
    assert (held.state, held.note) == ("discarded", "Discarded; nothing was stored. Half of it is missing.")
    assert (in_service(cpo), ImportPart.objects.count()) == (10, 0)
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Discarded: Half of it is missing."]


def test_discard_of_what_was_accepted_meanwhile_leaves_its_lines(cpo, held):
    imports.accept(held, "ann")

    assert imports.discard(held, "bob") is False

    assert ImportPart.objects.count() == 1
    assert work(held).counts["removed"] == 5
    assert in_service(cpo) == 5


# --- Who, and what they are shown ---------------------------------------------------------------------------------------


def test_each_door_asks_for_its_own_permission(cpo, held):
    clerk = staff("ocpi.view_import")
    addresses = [page(held), page(held, "progress"), page(held, "results", "ndjson"), page(held, "results", "csv")]

    assert [clerk.get(address).status_code for address in [LIST, *addresses]] == [200] * 5
    assert 'value="accept"' not in clerk.get(page(held)).content.decode()
    assert FORM not in clerk.get(LIST).content.decode()
    assert clerk.get(FORM).status_code == send(clerk, cpo, lines(locations(1))).status_code == 403
    assert [decide(clerk, held, deed, gone=5).status_code for deed in ("accept", "discard")] == [403, 403]
    held.refresh_from_db()
    assert (held.state, Import.objects.count()) == ("held", 2)
    clerk.logout()
    assert [clerk.get(address).status_code for address in addresses] == [302] * 4


def test_staff_without_a_permission_see_nothing(held):
    stranger = staff()

    for name in ("change", "progress"):
        assert stranger.get(page(held, name)).status_code == 403
    assert stranger.get(page(held, "results", "csv")).status_code == 403
    assert "held" not in stranger.get("/admin/").context


def test_decision_is_not_made_by_a_link(boss, held):
    assert boss.get(page(held, "decide"), {"do": "accept", "gone": 5}).status_code == 405
    assert decide(boss, held, "explode").status_code == 404


def test_hostile_ids_are_escaped(boss, cpo):
    bad = location_body(id=HOSTILE, country=HOSTILE)
    endless = location_body(id="x" * 5000 + "\u202e", country=HOSTILE)
    trial = work(receive(cpo, [bad, endless], is_dry_run=True, origin=HOSTILE))
    real = work(receive(cpo, [bad], key=HOSTILE, mode="full"))
    Import.objects.filter(pk=real.pk).update(state="held", note=HOSTILE, phase="scan")

    for address in (LIST, page(trial), page(real)):
        shown = boss.get(address).content.decode()
        assert "<script>alert" not in shown, address
        assert "&lt;script&gt;alert" in shown, address
        assert "x" * 101 not in shown
        assert "\u202e" not in shown
