"""The admin's Minute pages: figures, order, what waits and why, the proof to download, queries, permissions."""

import datetime as dt
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection as database
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ocpi import clock, proof
from ocpi.models import DeliveryDay, Push
from tenants.models import Connection, Tenant
from tests.factories import make_tenant
from tests.minutes import a_push, accept, connect, waiting_for, without_moment

ALL = "/admin/ocpi/push/minute/"
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def boss(db: None) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def _browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def staff(*permissions: str) -> Client:
    """Return the browser of somebody with these permissions of ocpi only."""
    user = User.objects.create_user(" ".join(permissions), password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="ocpi", codename__in=permissions))
    return _browser(user)


def text(response: HttpResponse) -> str:
    """Return what a person reads of a page's content, in one line; what waits does so for N s."""
    assert response.status_code == 200
    found = re.sub(r"<[^>]*>", " ", response.content.decode().split('id="content-main"')[-1])
    return re.sub(r" [23]\d s: ", " N s: ", " ".join(found.split()))


@pytest.fixture
def production(cpo: Tenant) -> Connection:
    return connect(cpo)


def a_day(connection: Connection, age: int, **figures: Any) -> DeliveryDay:
    """Store the figures of a day."""
    given: dict[str, Any] = {
        "changes": 1000, "accepted": 1000, "within_60s": 999, "requests": 900,
        "p50_ms": 800, "p95_ms": 2_000, "p99_ms": 5_000, "max_ms": 61_000,
    }  # fmt: skip
    day = timezone.localdate() - dt.timedelta(days=age)
    return DeliveryDay.objects.create(tenant=connection.tenant, connection=connection, day=day, **given | figures)


def this_day(push: Push, *ages_s: float) -> None:
    """Store acceptances of today."""
    accept(push, clock.midnight(timezone.localdate()), *ages_s)


# --- All Connections ---------------------------------------------------------------------------------------------------


def test_minute_of_an_empty_gateway_says_so(boss):
    assert "Today No Connection yet." in text(boss.get(ALL))


def test_minute_shows_today_the_days_before_and_what_waits_longest(boss, cpo, production):
    staging = connect(cpo, "staging")
    this_day(a_push(production), 1, 3, 61)
    waiting = waiting_for(production, 20, last_answer='OCPI 2001 {"status_code":2001,"status_message":"bad"}')
    Push.objects.filter(connection=staging).update(state="delivered")
    a_day(production, 1)
    a_day(production, 30)
    a_day(production, 31, within_60s=0)

    response = boss.get(ALL)

    page = text(response)
    figures = "66.6 % 3 3.0 s 55.2 s 59.8 s 61.0 s 99.9 %"
    assert f"NL-EXA → production {figures} N s: location {waiting.location.ocpi_id} OCPI 2001: bad" in page
    assert "NL-EXA → staging - 0 - - - - - - From our" in page
    source = response.content.decode()
    assert 'max="3" value="2" title="2 of 3"' in source
    assert 'max="2000" value="1998" title="1,998 of 2,000"' in source
    assert reverse("admin:ocpi_push_change", args=[waiting.pk]) in source


def test_minute_leaves_out_retired_connections(boss, production):
    Connection.objects.update(is_retired=True)

    assert "No Connection yet." in text(boss.get(ALL))
    assert boss.get(f"{ALL}{production.pk}/").status_code == 200


# --- One Connection ----------------------------------------------------------------------------------------------------


def test_minute_of_a_connection_shows_its_days_and_leads_to_its_proofs(boss, production):
    this_day(a_push(production), 2)
    row = a_day(production, 1)
    a_day(production, 2, changes=4, accepted=0, within_60s=0, p50_ms=None, p95_ms=None, p99_ms=None, max_ms=None)
    a_day(production, 31)

    response = boss.get(f"{ALL}{production.pk}/")

    page = text(response)
    assert "today 100 % 1 2.0 s 2.0 s 2.0 s 2.0 s" in page
    assert f"{row.day:%a %d %b} 99.9 % 1,000 0.8 s 2.0 s 5.0 s 61.0 s" in page
    assert "0 % 4 - - - - Proof" in page
    assert "Waiting longest now Nothing waits." in page
    for month in proof.months():
        assert f'href="{ALL}{production.pk}/{month:%Y-%m}.csv"' in response.content.decode()
        assert f"{month:%B %Y}" in page


def test_minute_of_a_connection_names_the_pause(boss, production):
    push = waiting_for(production, 20)
    production.pause("NDW refuses this Connection")

    found = f"N s: location {push.location.ocpi_id} paused: NDW refuses this Connection"
    assert f"Waiting longest now {found}" in text(boss.get(f"{ALL}{production.pk}/"))


# --- The proof ---------------------------------------------------------------------------------------------------------


def test_minute_proof_is_that_of_the_command(boss, production):
    month = proof.last_month()
    accept(a_push(production), clock.midnight(month), 5)

    response = boss.get(f"{ALL}{production.pk}/{month:%Y-%m}.csv")

    assert response["Content-Type"] == "text/csv; charset=utf-8; header=present"
    name = f"proof-NL-EXA-production-{month:%Y-%m}.csv"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    assert without_moment(response.content.decode()) == without_moment(proof.write(production, month))
    assert "slowest s,5.000,,,," in response.content.decode()


@pytest.mark.parametrize("path", ["999999/", "999999/{}.csv", "{pk}/2020-01.csv", "{pk}/2999-01.csv", "{pk}/x.csv"])
def test_minute_of_what_is_not_there_is_not_found(boss, production, path):
    address = ALL + path.format(f"{proof.last_month():%Y-%m}", pk=production.pk)

    assert boss.get(address).status_code == 404


# --- All pages ---------------------------------------------------------------------------------------------------------


def addresses(connection: Connection) -> list[str]:
    return [ALL, f"{ALL}{connection.pk}/", f"{ALL}{connection.pk}/{proof.last_month():%Y-%m}.csv"]


def _queries(browser: Client, address: str) -> int:
    with CaptureQueriesContext(database) as caught:
        assert browser.get(address).status_code == 200
    return len(caught)


def _fill(connection: Connection) -> None:
    this_day(a_push(connection), 1)
    accept(a_push(connection), clock.midnight(proof.last_month()), 1, 2)
    waiting_for(connection, 20)
    a_day(connection, 1)


def test_minute_takes_as_many_queries_for_ten_connections_as_for_one(boss, production):
    pages = addresses(production)
    _fill(production)
    one = {page: [_queries(boss, page) for _ in range(2)][1] for page in pages}

    for number in range(9):
        _fill(connect(make_tenant(f"A{number:02}")))
    a_day(production, 2)

    assert {page: _queries(boss, page) for page in pages} == one
    assert list(one.values()) == [6, 6, 6]


def test_minute_is_for_who_may_see_pushes(production):
    pages = addresses(production)

    other, clerk = staff("view_location"), staff("view_push")

    assert [other.get(page).status_code for page in pages] == [403] * 3
    assert [clerk.get(page).status_code for page in pages] == [200] * 3
    for page in pages:
        response = Client().get(page)
        assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={page}")


def test_minute_escapes_what_ndw_and_operators_write(boss, production):
    waiting_for(production, 20, last_answer=HOSTILE)
    answers = [boss.get(page).content.decode() for page in addresses(production)[:2]]
    production.pause(HOSTILE)
    answers += [boss.get(page).content.decode() for page in addresses(production)[:2]]

    assert all(HOSTILE not in page for page in answers)
    assert all("&lt;script&gt;" in page for page in answers)


def test_home_says_how_production_does_today(boss, cpo, production):
    this_day(a_push(production), 1, 3, 61)
    this_day(a_push(connect(cpo, "staging")), 500)

    first = boss.get(reverse("admin:index")).context["health"][0]

    assert first["words"] == "The minute is not kept: 66.6 % of 3 changes today"


def test_home_without_changes_today_says_so(boss, production):
    first = boss.get(reverse("admin:index")).context["health"][0]

    assert (first["level"], first["words"]) == ("info", "No change for production yet today.")
