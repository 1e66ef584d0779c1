"""The map: cells add up, edges and tenants hold, states are right; who may look, what makes no sense."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.staticfiles import finders
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ocpi import places
from ocpi.models import Location, Push
from ocpi.places import Area
from tenants.models import Connection, Membership, Tenant
from tests.documents import evse_body
from tests.factories import connect_to_nowhere, make_tenant, put_location

PAGE, POINTS = "/admin/ocpi/location/map/", "/admin/ocpi/location/map/points/"
COUNTRY = "3,50,8,54"
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def boss(db) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def _browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def clerk(*tenants: Tenant, permission: str = "view_location") -> Client:
    """Return the browser of somebody who belongs to these tenants."""
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename=permission))
    for tenant in tenants:
        Membership.objects.create(tenant=tenant, user=user)
    return _browser(user)


def ask(browser: Client, bbox: str = COUNTRY, zoom: int = 8, **query: object) -> Any:
    response = browser.get(POINTS, {"bbox": bbox, "zoom": zoom, **query})
    assert response.status_code == 200, response.content
    return response.json()


def put_at(tenant: Tenant, ocpi_id: str, latitude: float, longitude: float, **overrides: Any) -> None:
    where = {"latitude": f"{latitude:.6f}", "longitude": f"{longitude:.6f}"}
    evses = [evse_body(uid=f"E-{ocpi_id}", evse_id=f"NL*{tenant.party_id}*E{ocpi_id}")]
    put_location(tenant, **{"id": ocpi_id, "coordinates": where, "evses": evses} | overrides)


def names(answer: Any) -> list[str]:
    return sorted(one["id"] for one in answer["listed"])


def states(answer: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for cell in answer["cells"]:
        total.update(cell["states"])
    return dict(total)


# --- Cells -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("zoom", "cells"), [(0, 1), (7, 20), (12, 30), (22, 30)])
def test_cells_add_up_to_all_points_at_every_zoom(boss, cpo, zoom, cells):
    for number in range(30):
        put_at(cpo, f"L{number}", 51 + number % 6 * 0.31, 4 + number % 5 * 0.53)

    answer = ask(boss, zoom=zoom)

    assert (answer["total"], sum(cell["count"] for cell in answer["cells"])) == (30, 30)
    assert len(answer["cells"]) == cells
    for cell in answer["cells"]:
        west, south, east, north = cell["box"]
        assert south - 1e-6 <= cell["at"][0] <= north + 1e-6
        assert west - 1e-6 <= cell["at"][1] <= east + 1e-6


def test_points_on_the_edges_are_in_view_and_those_just_outside_are_not(boss, cpo):
    put_at(cpo, "IN", 52.0, 5.0)
    put_at(cpo, "NORTH", 52.000001, 5.0)
    put_at(cpo, "EAST", 52.0, 5.000001)
    put_at(cpo, "SOUTH", 51.899999, 5.0)

    answer = ask(boss, "4.9,51.9,5.0,52.0")

    assert (answer["total"], names(answer)) == (1, ["IN"])


def test_the_box_of_a_cell_finds_its_locations_again(boss, cpo):
    put_at(cpo, "A", 52.123456, 5.123456)
    put_at(cpo, "B", 52.123456, 5.123456, name=HOSTILE)
    put_at(cpo, "FAR", 52.2, 5.4)
    [spot] = [cell for cell in ask(boss, zoom=19)["cells"] if cell["count"] == 2]

    answer = ask(boss, ",".join(map(repr, spot["box"])), zoom=19)

    assert names(answer) == ["A", "B"]
    named = next(one for one in answer["listed"] if one["id"] == "B")
    assert named["name"] == f"{HOSTILE}, Marktplein 1, Utrecht"
    assert named["url"] == f"/admin/ocpi/location/{Location.objects.get(ocpi_id='B').pk}/change/"


def test_a_wide_view_asked_for_closely_is_gathered_all_the_same(boss, cpo):
    world = Area(-180, -90, 180, 90)
    for number in range(40):
        put_at(cpo, f"L{number}", 50 + number * 0.1, 3 + number * 0.1)

    picture = places.look(world, 22, "compliance", None)

    assert sum(cell.count for cell in picture.cells) == 40
    assert len(picture.cells) < 10  # in 2000 cells for the whole world one is as wide as a country


def test_the_list_names_fifty_worst_first(boss, cpo):
    for number in range(51):
        put_at(cpo, f"L{number}", 52.0, 5.0)
    put_at(cpo, "GAPS", 52.0, 5.0, energy_mix=None)

    answer = ask(boss)

    assert (answer["total"], len(answer["listed"]), answer["listed"][0]["id"]) == (52, 50, "GAPS")


# --- States ------------------------------------------------------------------------------------------------------------


def test_compliance_says_shown_withheld_and_unpublished(boss, cpo):
    put_at(cpo, "SHOWN", 52.0, 5.0)
    put_at(cpo, "GAPS", 52.0, 5.0, energy_mix=None)
    put_at(cpo, "HIDDEN", 52.0, 5.0, publish=False)

    answer = ask(boss)

    assert {one["id"]: one["state"] for one in answer["listed"]} == {
        "SHOWN": "shown", "GAPS": "withheld", "HIDDEN": "unpublished",
    }  # fmt: skip
    assert states(answer) == {"shown": 1, "withheld": 1, "unpublished": 1}


def test_delivery_says_the_worst_over_live_connections(boss, cpo):
    connect_to_nowhere(cpo)
    for name in ("WAITS", "REFUSED", "DONE", "BOTH"):
        put_at(cpo, name, 52.0, 5.0)
    put_at(cpo, "GAPS", 52.0, 5.0, energy_mix=None)
    for name, state in (("REFUSED", "rejected"), ("DONE", "delivered"), ("BOTH", "delivered")):
        Push.objects.filter(location__ocpi_id=name).update(state=state)
    old = Connection.objects.get()
    other = Connection.objects.create(
        tenant=cpo, environment="production", service_account=old.service_account, push_url="http://127.0.0.1:9"
    )
    both = Location.objects.get(ocpi_id="BOTH")
    Push.objects.create(tenant=cpo, connection=other, location=both, state="rejected", priority=2)

    told = {one["id"]: one["state"] for one in ask(boss, by="delivery")["listed"]}
    Connection.objects.filter(pk=other.pk).update(is_retired=True)
    later = {one["id"]: one["state"] for one in ask(boss, by="delivery")["listed"]}

    assert told == {"WAITS": "waiting", "REFUSED": "rejected", "DONE": "delivered", "BOTH": "rejected", "GAPS": "none"}
    assert later == told | {"BOTH": "delivered"}


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (["AVAILABLE", "OUTOFORDER"], "broken"),
        (["INOPERATIVE", "UNKNOWN"], "broken"),
        (["AVAILABLE", "UNKNOWN"], "unknown"),
        (["CHARGING", "AVAILABLE"], "free"),
        (["CHARGING", "BLOCKED"], "busy"),
        (["RESERVED", "REMOVED"], "busy"),
        (["PLANNED", "REMOVED"], "idle"),
    ],
)
@pytest.mark.parametrize("is_scheduled", [False, True])
def test_status_is_read_from_the_evses_only(boss, cpo, statuses, state, is_scheduled):
    schedule = {"period_begin": "2027-01-01T00:00:00Z", "status": "OUTOFORDER"}
    more = {"status_schedule": [schedule]} if is_scheduled else {}
    evses = [
        evse_body(uid=f"E{number}", evse_id=f"NL*EXA*E{number}", status=status, **more)
        for number, status in enumerate(statuses)
    ]
    put_location(cpo, evses=evses, name='"status":"OUTOFORDER"')

    assert states(ask(boss, by="status")) == {state: 1}


def test_status_is_not_told_of_too_many(boss, cpo, monkeypatch):
    monkeypatch.setattr(places, "MOST_BODIES", 1)
    put_at(cpo, "A", 52.0, 5.0)
    one = ask(boss, by="status")
    put_at(cpo, "B", 52.0, 5.0)

    two = ask(boss, by="status")

    assert (one["told"], one["listed"][0]["state"], states(one)) == (True, "free", {"free": 1})
    assert (two["told"], two["listed"][0]["state"], two["total"]) == (False, "", 2)


# --- Who, and what makes no sense --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["compliance", "status", "delivery"])
def test_a_member_sees_his_own_tenant_only(cpo, rival, by):
    put_at(cpo, "OWN", 52.0, 5.0)
    put_at(rival, "THEIRS", 52.0, 5.0)
    browser = clerk(cpo)

    answer = ask(browser, by=by)

    assert (answer["total"], names(answer)) == (1, ["OWN"])
    assert ask(browser, by=by, tenant=cpo.pk)["total"] == 1
    assert browser.get(POINTS, {"bbox": COUNTRY, "zoom": 8, "tenant": rival.pk}).status_code == 404
    assert browser.get(PAGE, {"tenant": rival.pk}).status_code == 404
    page = browser.get(PAGE).content.decode()
    assert ("NL-EXA" in page, "NL-RIV" in page) == (True, False)


def test_a_tenant_is_picked_out_of_all(boss, cpo, rival):
    put_at(cpo, "OURS", 52.0, 5.0)
    put_at(rival, "THEIRS", 52.1, 5.2)

    assert names(ask(boss)) == ["OURS", "THEIRS"]
    assert names(ask(boss, tenant=rival.pk)) == ["THEIRS"]
    settings = json.loads(boss.get(PAGE, {"tenant": rival.pk}).context["settings"])
    assert settings["bounds"] == [[52.1, 5.2], [52.1, 5.2]]
    assert settings["points"] == f"{POINTS}?by=compliance&tenant={rival.pk}"


@pytest.mark.parametrize("address", [PAGE, POINTS])
def test_the_map_keeps_out_who_may_not_see_locations(db, address):
    assert clerk(permission="view_push").get(address).status_code == 403
    assert Client().get(address).status_code == 302


@pytest.mark.parametrize(
    "query",
    [
        {}, {"bbox": COUNTRY}, {"zoom": "8"}, {"bbox": "1,2,3", "zoom": "8"}, {"bbox": "a,b,c,d", "zoom": "8"},
        {"bbox": "nan,50,8,54", "zoom": "8"}, {"bbox": "3,50,inf,54", "zoom": "8"}, {"bbox": "8,50,3,54", "zoom": "8"},
        {"bbox": "3,54,8,50", "zoom": "8"}, {"bbox": "3,50,8,54\0", "zoom": "8"}, {"bbox": COUNTRY, "zoom": "-1"},
        {"bbox": COUNTRY, "zoom": "23"}, {"bbox": COUNTRY, "zoom": "8.5"}, {"bbox": COUNTRY, "zoom": "٣"},
        {"bbox": COUNTRY, "zoom": "9" * 5000}, {"bbox": COUNTRY, "zoom": "8", "by": "colour"},
        {"bbox": COUNTRY, "zoom": "8", "tenant": "EXA"}, {"bbox": COUNTRY, "zoom": "8", "tenant": "1" * 30},
    ],
)  # fmt: skip
def test_points_asked_for_badly_are_refused_in_words(boss, query):
    response = boss.get(POINTS, query)

    assert response.status_code == 400
    assert len(response.json()["error"]) > 20


@pytest.mark.parametrize("query", [{"by": HOSTILE}, {"tenant": HOSTILE}])
def test_the_page_asked_for_badly_is_refused_in_words(boss, query):
    response = boss.get(PAGE, query)

    assert (response.status_code, response["Content-Type"]) == (400, "text/plain; charset=utf-8")


def test_a_view_beyond_the_world_is_cut_to_it(boss, cpo):
    put_at(cpo, "A", 52.0, 5.0)

    assert ask(boss, "-999,-99,999,99", zoom=3)["total"] == 1


# --- The page ----------------------------------------------------------------------------------------------------------


def test_page_takes_few_queries_however_many_locations(boss, cpo):
    boss.get(PAGE)  # a session's first page looks for a second factor
    counts = []
    for batch in range(2):
        for number in range(5):
            put_at(make_tenant(f"T{batch}{number}"), f"L{batch}{number}", 52.0, 5.0)
        for address in (PAGE, f"{POINTS}?bbox={COUNTRY}&zoom=8&by=status"):
            with CaptureQueriesContext(database) as caught:
                assert boss.get(address).status_code == 200
            counts.append(len(caught))

    assert counts[:2] == counts[2:]
    assert max(counts) <= 6


def test_page_asks_nobody_else_unless_tiles_are_configured(boss, settings):
    plain = boss.get(PAGE)
    settings.MAP_TILES_URL, settings.MAP_TILES_ATTRIBUTION = "https://tiles.example/{z}/{x}/{y}.png", "© Somebody"
    tiled = boss.get(PAGE)

    assert "http" not in plain.context["settings"]
    assert json.loads(tiled.context["settings"])["tiles"] == "https://tiles.example/{z}/{x}/{y}.png"
    content = plain.content.decode().split('id="content-main"')[1].split("</section>")[0]
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=", content)


def test_page_finds_its_scripts_and_styles(boss):
    page = boss.get(PAGE).content.decode()
    found = re.findall(r'/static/((?:leaflet|ocpi/map)[^"]*)"', page)

    assert found == ["leaflet/leaflet.css", "ocpi/map.css", "leaflet/leaflet.js", "ocpi/map.js"]
    assert all(finders.find(name) for name in [*found, "ocpi/map_outline.js"])


def test_points_travel_compressed(boss, cpo):
    for number in range(20):
        put_at(cpo, f"L{number}", 52.0, 5.0 + number * 0.1)

    response = boss.get(POINTS, {"bbox": COUNTRY, "zoom": 12}, headers={"Accept-Encoding": "gzip"})

    assert response["Content-Encoding"] == "gzip"
    assert "no-store" in response["Cache-Control"]
