"""A Location's and a Tariff's page, and the Versions page: what was served when, what NDW had, what differs."""

import datetime as dt
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ocpi import history, push, store
from ocpi.admin.history import PER_PAGE
from ocpi.admin.versions import LATEST
from ocpi.models import Location, PushAttempt, Tariff, Version
from tenants.models import Membership
from tests.documents import connector_body, evse_body
from tests.factories import make_connection, put_location, put_tariff

HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def boss(db) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def clerk(tenant: Any = None, *permissions: str) -> Client:
    """Return the browser of somebody with these permissions, for one tenant or all."""
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="ocpi", codename__in=permissions))
    if tenant:
        Membership.objects.create(user=user, tenant=tenant)
    return _browser(user)


def _browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(browser: Client, of: Any, what: str = "versions", **query: object) -> str:
    """Return what a person reads of a page of an object."""
    name = f"admin:ocpi_{of._meta.model_name}_{what}"
    response = browser.get(reverse(name, args=[of.pk]), query)
    assert response.status_code == 200
    found = re.sub(r"<[^>]*>", " ", response.content.decode().split('id="content-main"')[-1])
    return " ".join(found.split())


def rename(tenant: Any, name: str, number: int) -> None:
    stamp = f"2026-03-02T10:{number // 60:02}:{number % 60:02}Z"
    store.patch_location(tenant, "LOC-0001", {"name": name, "last_updated": stamp})


def local(at: dt.datetime) -> str:
    """Return a moment as the form gives it."""
    return f"{timezone.localtime(at):%Y-%m-%dT%H:%M:%S.%f}"


# --- Pages of one object -----------------------------------------------------------------------------------------------


def test_location_page_puts_findings_beside_evse_connector_and_field(boss, cpo):
    put_tariff(cpo)
    bare = evse_body(uid="E2", evse_id="NL*EXA*E2", parking_restrictions=None)
    bare["connectors"] = [connector_body(max_electric_power=None)]
    put_location(cpo, energy_mix=None, evses=[evse_body(), bare])

    shown = page(boss, Location.objects.get(), "change")

    assert "stand beside what they concern: energy_mix , E2" in shown
    first, second = shown.split("EVSE-1 NL*EXA*E1001*1 AVAILABLE")[1].split("E2 NL*EXA*E2 AVAILABLE")
    assert "gap" not in first
    gaps = re.findall(r"gap (\w+) is missing", second.split("Close")[0].split("Field Value")[0])
    assert gaps == ["parking_restrictions", "max_electric_power"]
    assert "energy_mix missing gap energy_mix is missing; DOT-NL demands it" in shown


def test_location_page_folds_removed_evses_and_tells_since_when_a_status_holds(boss, cpo):
    put_location(cpo, evses=[evse_body(), evse_body(uid="E2", evse_id="NL*EXA*E2")])
    put_location(cpo, last_updated="2026-03-02T10:00:00Z")
    store.patch_evse(cpo, "LOC-0001", "EVSE-1", {"status": "CHARGING", "last_updated": "2026-03-02T11:00:00Z"})
    location = Location.objects.get()

    shown = page(boss, location, "change")

    since = f"{timezone.localtime(location.received_at):%Y-%m-%d %H:%M:%S}"
    assert f"EVSE-1 NL*EXA*E1001*1 CHARGING since {since}" in shown
    assert "1 EVSE is REMOVED E2 NL*EXA*E2 REMOVED since" in shown
    assert "EVSE EVSE-1: status AVAILABLE → CHARGING" in shown
    assert "EVSE E2: status AVAILABLE → REMOVED" in shown


def test_location_page_leads_to_a_large_document_and_carries_a_small_one(boss, cpo):
    put_location(cpo)
    put_location(cpo, id="BIG", evses=[evse_body(uid=f"E{n}", evse_id=f"NL*EXA*E{n}") for n in range(30)])
    small, big = Location.objects.order_by("pk")
    address = reverse("admin:ocpi_location_document", args=[big.pk])

    assert "&quot;uid&quot;: &quot;EVSE-1&quot;" in page(boss, small, "change")
    assert "&quot;uid&quot;" not in page(boss, big, "change")
    assert address in boss.get(reverse("admin:ocpi_location_change", args=[big.pk])).content.decode()
    assert boss.get(address).json() == big.document


def test_location_page_shows_what_ndw_answered_and_how_old_the_change_was(boss, cpo, ndw):
    make_connection(cpo, ndw)
    put_location(cpo)
    push.drain()
    made = PushAttempt.objects.get()
    PushAttempt.objects.update(changed_at=made.started_at - dt.timedelta(seconds=2), took_ms=500)

    assert "Staging PUT delivered 201 1000 2.5 s old" in page(boss, Location.objects.get(), "change")


def test_pages_of_a_large_location_take_few_queries_however_many_versions_it_has(boss, cpo):
    evses = [evse_body(uid=f"E{n}", evse_id=f"NL*EXA*E{n}") for n in range(200)]
    put_location(cpo, evses=evses)
    for number in range(40):
        rename(cpo, f"N{number}", number)
    location = Location.objects.get()
    moment = Version.objects.order_by("pk")[3].until_at

    page(boss, location, "change")  # a session's first page looks for a second factor
    counts = {}
    for what, query in [("change", {}), ("versions", {}), ("versions", {"at": local(moment)})]:
        with CaptureQueriesContext(database) as caught:
            page(boss, location, what, **query)
        counts[what, *query] = len(caught)

    assert max(counts.values()) <= 16, counts


def test_trail_above_the_versions_is_that_of_the_object(boss, cpo):
    put_location(cpo)
    location = Location.objects.get()

    trails = []
    for what in ("change", "versions"):
        answer = boss.get(reverse(f"admin:ocpi_location_{what}", args=[location.pk]))
        (heading,) = re.findall("<h1[^>]*>(.*?)</h1>", answer.text, re.DOTALL)
        trails.append(re.findall(r"<a[^>]*>\s*(.*?)\s*</a\s*>", heading, re.DOTALL))

    assert trails == 2 * [["OCPI", "Locations", str(location)]]


# --- All versions ------------------------------------------------------------------------------------------------------


def test_history_lists_versions_newest_first_page_by_page_in_words(boss, cpo):
    put_location(cpo)
    for number in range(PER_PAGE + 2):
        rename(cpo, f"N{number}", number)
    location = Location.objects.get()
    oldest = history.versions(location, limit=PER_PAGE)[-2]

    first = page(boss, location)
    second = page(boss, location, before=oldest.id)
    last = page(boss, location, "change")

    assert re.findall(r"name N(\d+) → N\d+", first) == [str(number) for number in reversed(range(1, PER_PAGE + 1))]
    assert "Versions 28" in first
    assert re.findall(r"name \S+ → (\S+)", second) == ["N1", "N0"]
    assert "what was before is not known" in second
    assert len(re.findall(r"name N\d+ → N\d+", last)) == LATEST


def test_history_tells_what_came_in_words(boss, cpo):
    put_location(cpo)
    more = connector_body(id="2", last_updated="2026-03-02T11:00:00Z")
    evse = evse_body(connectors=[connector_body(), more], last_updated="2026-03-02T11:00:00Z")
    added = evse_body(uid="E2", evse_id="NL*EXA*E2")
    put_location(cpo, evses=[evse, added], publish=False, last_updated="2026-03-02T11:00:00Z")
    put_location(cpo, evses=[evse, added], publish=False, last_updated="2026-03-02T12:00:00Z")

    shown = page(boss, Location.objects.get())

    assert "only its time not shown" in shown
    assert "not shown to NDW any more publish true → false EVSE EVSE-1, connector 2: added EVSE E2: added" in shown


# --- At a moment -------------------------------------------------------------------------------------------------------


def test_history_shows_what_was_served_and_what_ndw_had_accepted_at_a_moment(boss, cpo, ndw):
    make_connection(cpo, ndw)
    put_location(cpo)
    push.drain()
    accepted_at = PushAttempt.objects.get().started_at
    rename(cpo, "B", 1)
    undelivered_at = Location.objects.get().received_at
    push.drain()
    rename(cpo, "C", 2)
    location = Location.objects.get()

    early, between, late = (page(boss, location, at=local(at)) for at in (accepted_at, undelivered_at, timezone.now()))

    assert "&quot;name&quot;: &quot;Marktplein&quot;" in early
    assert "shown NDW could pull it." in early
    assert "then came name Marktplein → B" in early
    assert "PUT 201 1000 what was served" in early
    assert "PUT 201 1000 an earlier version; what had come since: name" in between
    assert "&quot;name&quot;: &quot;B&quot;" in between
    assert "It still is so." in late
    assert "PUT 200 1000 an earlier version; what had come since: name B → C" in late


def test_history_says_what_ndw_could_not_pull_and_what_is_not_known(boss, cpo):
    put_location(cpo, publish=False)
    location = Location.objects.get()

    assert "not shown NDW could not pull it." in page(boss, location, at=local(timezone.now()))
    assert "Nothing: no request that NDW accepted is known" in page(boss, location, at=local(timezone.now()))
    assert "nothing is known" in page(boss, location, at="2026-01-01T00:00")


@pytest.mark.parametrize("at", ["x", "2026-13-01T00:00", "0001-01-01T00:00", "9999-12-31T23:59", HOSTILE, "\0"])
def test_history_of_no_moment_says_so(boss, cpo, at):
    put_location(cpo)

    assert "This is not a date and time" in page(boss, Location.objects.get(), at=at)
    assert "No version is known for" in page(boss, Location.objects.get(), a=at, b="now")


# --- Two versions ------------------------------------------------------------------------------------------------------


def test_history_compares_any_two_versions_and_moments(boss, cpo):
    put_location(cpo)
    for number in range(4):
        rename(cpo, f"N{number}", number)
    location = Location.objects.get()
    keys = [one.id for one in history.versions(location)]

    between = page(boss, location, a=keys[-1], b=keys[1])
    backwards = page(boss, location, a="now", b=keys[1])
    moments = page(boss, location, a=local(history.versions(location)[0].since_at), b=local(timezone.now()))

    assert "/name Marktplein N1" in between
    assert "/name N3 N1" in backwards
    assert "/name N2 N3" in moments
    assert "both are the same document" in page(boss, location, a="now", b="now")


def test_history_gives_the_document_of_a_version(boss, cpo):
    put_location(cpo)
    rename(cpo, "B", 1)
    location, address = (
        Location.objects.get(),
        reverse("admin:ocpi_location_document", args=[Location.objects.get().pk]),
    )

    assert boss.get(address, {"version": Version.objects.get().pk}).json()["name"] == "Marktplein"
    assert boss.get(address).json() == location.document
    assert [boss.get(address, {"version": odd}).status_code for odd in ("x", "0", "99999999")] == [404, 404, 404]


def test_history_of_a_tariff_tells_when_it_was_gone(boss, cpo):
    put_tariff(cpo)
    gone_at = timezone.now()
    store.delete_tariff(cpo, "ADHOC-1")
    put_tariff(cpo, currency="NOK", last_updated="2026-03-02T10:00:00Z")
    tariff = Tariff.objects.get()

    shown = page(boss, tariff)

    assert "shown to NDW currency EUR → NOK" in shown
    assert "not shown to NDW any more" in shown
    assert "NDW could pull it." in page(boss, tariff, at=local(gone_at))
    assert "NDW could not pull it." in page(boss, tariff, at=local(Version.objects.order_by("pk")[0].until_at))
    assert "currency EUR → NOK" in page(boss, tariff, "change")


# --- Who may see it ----------------------------------------------------------------------------------------------------


def addresses(of: Any) -> list[str]:
    name = of._meta.model_name
    return [reverse(f"admin:ocpi_{name}_{what}", args=[of.pk]) for what in ("versions", "document")]


def test_history_is_for_who_may_view_the_object(cpo):
    put_location(cpo)
    browser = clerk(None, "view_tariff")

    for address in addresses(Location.objects.get()):
        assert browser.get(address).status_code == 403
        assert Client().get(address).status_code == 302


def test_history_of_another_tenants_object_is_not_there(cpo, rival):
    for tenant in (cpo, rival):
        put_location(tenant)
        put_tariff(tenant)
    browser = clerk(rival, "view_location", "view_tariff")

    for model in (Location, Tariff):
        own, other = model.objects.get(tenant=rival), model.objects.get(tenant=cpo)
        assert [browser.get(address).status_code for address in addresses(own)] == [200, 200]
        assert [browser.get(address).status_code for address in addresses(other)] == [404, 404]


def test_a_version_is_found_only_at_its_own_object(boss, cpo, rival):
    for tenant in (cpo, rival):
        put_location(tenant)
        rename(tenant, f"secret of {tenant}", 1)
    theirs = Version.objects.get(tenant=rival)
    location = Location.objects.get(tenant=cpo)

    assert boss.get(addresses(location)[1], {"version": theirs.pk}).status_code == 404
    assert "No version is known" in page(boss, location, a=theirs.pk, b="now")
    assert "RIV" not in page(boss, location)


def test_hostile_words_in_versions_are_escaped(boss, cpo, ndw):
    make_connection(cpo, ndw)
    put_location(cpo, name=HOSTILE, evses=[evse_body(uid="<script>alert('x')")])
    push.drain()
    PushAttempt.objects.update(answer=HOSTILE)
    store.patch_evse(
        cpo, "LOC-0001", "<script>alert('x')", {"status": "CHARGING", "last_updated": "2026-03-02T10:00:00Z"}
    )
    rename(cpo, f"B{HOSTILE}", 1)
    location = Location.objects.get()
    versions, _ = addresses(location)
    queries: list[dict[str, Any]] = [
        {},
        {"at": local(timezone.now())},
        {"a": Version.objects.earliest("pk").pk, "b": "now"},
    ]

    pages = [boss.get(versions, query) for query in queries]
    pages.append(boss.get(reverse("admin:ocpi_location_change", args=[location.pk])))

    for found in pages:
        assert "<script>alert" not in found.content.decode()
        assert "&lt;script&gt;alert" in found.content.decode()
