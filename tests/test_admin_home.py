"""The admin's first page and its look: exact figures, links to exactly those rows, whose eyes, which language, which gateway."""

import datetime as dt
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection as database
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ocpi import clock, silence
from ocpi.models import Alarm, Crawl, DeliveryDay, Import, Push, Source, UploadHour
from tenants.models import Connection, Membership, Tenant, Token
from tests.conftest import CLIENT, puller
from tests.factories import make_tenant, make_token, put_location, put_tariff
from tests.minutes import a_push, accept, connect, waiting_for
from tests.test_api import rest_client

HOME = "/admin/"
NOW = timezone.now
HOUR = dt.timedelta(hours=1)


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def boss(db: None) -> Client:
    """A superuser's browser."""
    return browser(User.objects.create_superuser("boss", password="x"))


def staff(*permissions: str, tenant: Tenant | None = None) -> Client:
    """Return the browser of somebody with these permissions, of a tenant or of none."""
    user = User.objects.create_user(f"clerk {tenant}", password="x", is_staff=True)
    names = [permission.split(".") for permission in permissions]
    user.user_permissions.set(Permission.objects.get(content_type__app_label=app, codename=name) for app, name in names)
    if tenant:
        Membership.objects.create(tenant=tenant, user=user)
    return browser(user)


def text(shown: Any) -> str:
    """Return what a person reads, in one line."""
    return " ".join(unescape(re.sub(r"<title>.*?</title>|<[^>]*>", " ", str(shown))).split())


def parts(response: HttpResponse) -> dict[str, str]:
    """Return what each part of the page says."""
    return {panel["title"]: text(panel["content"]) for panel in response.context["panels"]}


def rows_behind(client: Client, content: Any) -> list[tuple[int, int]]:
    """Return each figure of a part that leads to a list, with how many rows are there."""
    links = re.findall(r'href="([^"]+)">([\d,]+)<', str(content))
    found = [(int(figure.replace(",", "")), client.get(url.replace("&amp;", "&"))) for url, figure in links]
    return [(figure, page.context["cl"].queryset.count()) for figure, page in found if "cl" in (page.context or {})]


def seen(tenant: Tenant, hours_ago: int, accepted: int = 1, refused: int = 0) -> None:
    hour = NOW().replace(minute=0, second=0, microsecond=0) - hours_ago * HOUR
    UploadHour.objects.create(tenant=tenant, hour=hour, accepted=accepted, refused=refused)


def busy(cpo: Tenant) -> Connection:
    """Give a tenant one of everything that the first page shows; return its Connection to production."""
    production, staging = connect(cpo), connect(cpo, "staging")
    accept(a_push(production), NOW(), *[1.0] * 98, 90.0)
    answer = 'OCPI 2001 {"status_message":"no such operator"}'
    a_push(production, state="rejected", changed_at=NOW(), changes=1, last_answer=answer)
    waiting_for(production, 50, last_answer="HTTP 503")
    waiting_for(production, 40, last_answer="HTTP 503")
    staging.pause("not yet")
    put_location(cpo, id="GAPS", energy_mix=None)
    Push.objects.filter(connection=staging).delete()
    DeliveryDay.objects.create(
        tenant=cpo, connection=production, day=timezone.localdate() - dt.timedelta(days=3), changes=200, accepted=200,
        within_60s=150, requests=200,
    )  # fmt: skip
    seen(cpo, 0, 5, 1)
    seen(cpo, 2, 7)
    return production


# --- Figures -----------------------------------------------------------------------------------------------------------


def test_home_says_of_each_connection_how_it_does(boss, cpo):
    busy(cpo)

    shown = re.sub(r" [45]\d s ", " N s ", parts(boss.get(HOME))["Connections today"])

    assert shown == (
        "Connection State Within 60 s today p99 Waiting Oldest Rejected"
        " NL-EXA → production sending 98 % 2.8 s 2 N s 1"
        " NL-EXA → staging paused - - - - -"
    )


def test_home_tells_what_waits_and_what_is_rejected_by_cause(boss, cpo):
    busy(cpo)

    shown = parts(boss.get(HOME))

    assert shown["Waiting, by cause"] == "State Because Objects dirty last answer: HTTP 503 NL-EXA → production 2"
    assert shown["Rejected, by cause"] == "NDW's answer Objects OCPI 2001: no such operator 1"
    assert shown["Withheld, by gap"] == "Gap Locations energy_mix missing 1"


def test_home_figures_lead_to_exactly_their_rows(boss, cpo, rival):
    busy(cpo)
    a_push(connect(rival), state="rejected", last_answer='OCPI 2001 {"status_message":"no such operator"}')

    response = boss.get(HOME)

    found = {panel["title"]: rows_behind(boss, panel["content"]) for panel in response.context["panels"]}
    assert found["Connections today"] == [(2, 2), (1, 1), (1, 1)]
    assert found["Rejected, by cause"] == [(2, 2)]
    assert found["Waiting, by cause"] == [(2, 2)]
    assert found["Withheld, by gap"] == [(1, 1)]
    assert found["Uploads per hour"] == [(5, 1), (7, 1)]


def test_home_charts_what_came_in_by_hour_and_by_day(boss, cpo, rival):
    seen(cpo, 0, 5, 1)
    seen(rival, 0, 10)
    seen(cpo, 3, 7)
    seen(cpo, 24 * 40, 99)
    connect(cpo)

    panels = {panel["title"]: panel for panel in boss.get(HOME).context["panels"]}

    hours, days = panels["Uploads per hour"], panels["Uploads per day"]
    assert (text(hours["note"]), text(days["note"])) == ("22 accepted, 1 refused",) * 2
    bars = re.findall(r"<title>(\d\d:\d\d): (\d+)</title>", str(hours["content"]))
    assert (len(bars), [int(count) for _, count in bars if count != "0"]) == (24, [7, 16])
    assert bars[-1][0] == f"{timezone.localtime():%H}:00"
    query = parse_qs(urlsplit(hours["url"]).query)
    listed = boss.get(hours["url"]).context["cl"].queryset
    assert set(query) == {"hour__gte", "hour__lt"}
    assert sorted(listed.values_list("accepted", flat=True)) == [5, 7, 10]


def test_home_draws_the_share_within_the_minute_by_day(boss, cpo):
    busy(cpo)

    panel = next(one for one in boss.get(HOME).context["panels"] if one["title"].startswith("Within 60 s per day"))

    shares = re.findall(r"<title>[^<]*: ([\d.]+)</title>", str(panel["content"]))
    assert shares == ["75", "98"]  # three days ago, and today with its rejected one
    assert text(panel["note"]) == "production; the lowest day: 75 %"


def test_home_names_the_silent_longest_first(boss, cpo, rival):
    quiet, never, away = make_tenant("QUI", heartbeat_h=2), make_tenant("NEV"), make_tenant("AWY", is_active=False)
    Tenant.objects.update(created_at=NOW() - 100 * HOUR)
    Tenant.objects.filter(pk=rival.pk).update(contact_name="R. Ival", contact_email="r@ival.example")
    seen(cpo, 23)
    seen(rival, 30)
    seen(quiet, 5)
    seen(away, 90)

    shown = parts(boss.get(HOME)) if connect(cpo) else {}

    assert re.findall(r"NL-\w+", shown["CPOs that went silent"]) == ["NL-NEV", "NL-RIV", "NL-QUI"]
    assert "NL-NEV never" in shown["CPOs that went silent"]
    assert "R. Ival r@ival.example" in shown["CPOs that went silent"]
    assert never.pk


def test_silence_is_broken_by_every_sign_of_life(cpo):
    long_ago = NOW() - 48 * HOUR
    Tenant.objects.update(created_at=long_ago)
    make_token(cpo)
    source = Source(tenant=cpo, url="http://127.0.0.1:9/versions", failures=3, locations_from=long_ago)
    source.set_token("t")

    def silent() -> list[Tenant]:
        return [one.tenant for one in silence.silent(Tenant.objects.all())]

    assert silent() == [cpo]
    assert silence.silent([cpo])[0].since == long_ago
    Source.objects.update(failures=0, last_finished_at=NOW() - HOUR)
    assert silent() == []
    Source.objects.all().delete()
    Token.objects.update(last_used_at=NOW() - HOUR)
    assert silent() == []  # nothing better is known
    seen(cpo, 47)
    assert silent() == [cpo]  # it looked, and did not upload
    Import.objects.create(tenant=cpo, kind="location", phase="scan", is_dry_run=True)
    assert silent() == [cpo]
    Import.objects.create(tenant=cpo, kind="location", phase="apply")
    assert silent() == []


def test_home_tells_when_ndw_last_pulled_everything(boss, cpo, rival):
    connect(cpo)
    never = make_tenant("NEV")
    for tenant, kind, hours in [
        (cpo, "location", 2),
        (cpo, "tariff", 30),
        (rival, "location", 5),
        (rival, "tariff", 5),
    ]:
        Crawl.objects.create(tenant=tenant, kind=kind, finished_at=NOW() - hours * HOUR, objects_count=1234)
    Crawl.objects.create(tenant=never, kind="location")

    shown = parts(boss.get(HOME))["NDW's last complete pull"]

    assert re.findall(r"NL-\w+", shown) == ["NL-NEV", "NL-RIV", "NL-EXA"]
    assert "NL-NEV never never" in shown
    assert shown.count("1,234") == 4


def test_home_shows_imports_under_way_and_leads_to_the_held(boss, cpo):
    connect(cpo)
    for state in ("held", "running", "queued", "done", "receiving"):
        Import.objects.create(
            tenant=cpo, kind="location", mode="full", phase="scan", state=state, note="much" * (state == "held")
        )

    response = boss.get(HOME)

    shown = parts(response)["Imports under way"]
    assert re.findall(r"Locations (held much|running|queued)", shown) == ["held much", "running", "queued"]
    held = next(one for one in response.context["health"] if "import" in one["words"])
    assert held["words"] == "1 import waits for a decision"
    assert boss.get(held["url"]).context["cl"].queryset.count() == 1


# --- All well? ---------------------------------------------------------------------------------------------------------


def test_home_says_that_all_is_well(boss, cpo):
    accept(a_push(connect(cpo)), NOW(), *[1.0] * 100)

    health = boss.get(HOME).context["health"]

    assert [(one["level"], one["words"]) for one in health] == [
        ("good", "The minute is kept: 100 % of 100 changes today"),
        ("good", "Nothing is paused, unanswered or late."),
    ]


def test_home_says_what_is_wrong_and_leads_there(boss, cpo, rival):
    production = busy(cpo)
    unanswered = connect(rival)
    Connection.objects.filter(pk=unanswered.pk).update(failures=7)
    Alarm.objects.create(tenant=cpo, connection=production, opened_at=NOW())

    health = {one["words"]: one for one in boss.get(HOME).context["health"]}

    assert {words: one["level"] for words, one in health.items()} == {
        "The minute is not kept: 98 % of 100 changes today": "bad",
        "1 alarm is open": "bad",
        "1 connection is paused": "bad",
        "1 connection gets no answer": "bad",
    }
    for words in ("1 connection is paused", "1 connection gets no answer"):
        assert boss.get(health[words]["url"]).context["cl"].queryset.count() == 1


# --- Whose eyes --------------------------------------------------------------------------------------------------------

ALL_OF_IT = [
    *("tenants.view_tenant", "tenants.view_connection", "ocpi.view_push", "ocpi.view_location", "ocpi.view_tariff"),
    "ocpi.view_import",
]


def test_home_of_a_tenants_user_is_about_that_tenant_only(cpo, rival):
    for tenant in (cpo, rival):
        busy(tenant)
        put_tariff(tenant)
    Import.objects.create(tenant=rival, kind="location", phase="scan", state="held")

    response = staff(*ALL_OF_IT, tenant=cpo).get(HOME)

    page = response.content.decode()
    assert "NL-EXA" in page
    assert "NL-RIV" not in page
    numbers = {card["title"]: card["number"] for card in response.context["cards"]}
    assert numbers == {
        "Tenants": 1, "Locations": 5, "EVSEs held back": 1, "Tariffs": 1, "Waiting": 4, "Rejected": 1,
    }  # fmt: skip
    assert parts(response)["Rejected, by cause"].endswith("no such operator 1")
    notes = {panel["title"]: text(panel["note"]) for panel in response.context["panels"]}
    assert notes["Uploads per hour"] == "12 accepted, 1 refused"
    assert "import" not in str(response.context["health"])


@pytest.mark.parametrize(
    ("permission", "cards", "titles"),
    [
        ("tenants.view_tenant", ["Tenants"], ["CPOs that went silent", "NDW's last complete pull"]),
        ("ocpi.view_push", ["Waiting", "Rejected"], ["Within 60 s per day, in %"]),
        (
            "ocpi.view_location",
            ["Locations", "EVSEs held back"],
            ["Withheld, by gap", "Uploads per hour", "Uploads per day"],
        ),
    ],
)
def test_home_shows_what_the_reader_may_see(cpo, permission, cards, titles):
    busy(cpo)

    response = staff(permission).get(HOME)

    assert [card["title"] for card in response.context["cards"]] == cards
    assert list(parts(response)) == titles
    assert response.context["steps"] == []


def test_home_takes_as_many_queries_however_much_there_is(boss, cpo, rival):
    def queries(client: Client) -> int:
        with CaptureQueriesContext(database) as caught:
            assert client.get(HOME).status_code == 200
        return len(caught)

    busy(cpo)
    clerk = staff(*ALL_OF_IT, tenant=cpo)
    before = [[queries(client) for _ in range(2)][1] for client in (boss, clerk)]

    busy(rival)
    for number in range(20):
        a_push(
            Connection.objects.get(tenant=rival, environment="production"),
            state="rejected",
            last_answer=f"HTTP {400 + number}",
        )
        connect(make_tenant(f"X{number:02}"))

    assert [queries(client) for client in (boss, clerk)] == before
    assert max(before) <= 20, before


def test_uploads_by_the_hour_are_the_readers_own(cpo, rival):
    seen(cpo, 0, 5)
    seen(rival, 0, 9)

    page = staff("ocpi.view_location", tenant=cpo).get("/admin/ocpi/uploadhour/")

    assert [row.accepted for row in page.context["cl"].queryset] == [5]
    assert staff("ocpi.view_push").get("/admin/ocpi/uploadhour/").status_code == 403


# --- The look ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "badge", "prefix"),
    [("production", "Production", ""), ("staging", "Staging", "[Staging]"), ("blue", "blue", "[blue]")],
)
def test_badge_says_which_gateway_this_is(boss, settings, name, badge, prefix):
    settings.GATEWAY_ENVIRONMENT = name

    for page in (boss.get(HOME), Client().get("/admin/login/")):
        assert page.context["environment"][0] == badge
        assert re.search(r"<title>\s*(\S*)", page.content.decode())[1] == (prefix or page.context["title"].split()[0])  # type: ignore[index]
    assert re.search(rf">\s*{badge}\s*</span>", boss.get(HOME).content.decode())


def test_login_page_says_what_it_is(db):
    page = text(Client().get("/admin/login/").content.decode())

    assert "OCPI gateway From CPOs to DOT-NL Development" in page
    assert "NDW pulls them, and gets every change within a minute." in page


def test_language_is_chosen_and_stays_in_the_admin(boss):
    chosen = boss.post("/admin/language/", {"language": "nl", "next": HOME})
    page = boss.get(HOME)

    assert (chosen.status_code, chosen["Location"]) == (302, HOME)
    assert chosen.cookies["django_language"]["path"] == "/admin/"
    assert page["Content-Language"] == "nl"
    assert '<html lang="nl"' in page.content.decode()
    assert ">Uitloggen<" in re.sub(r"\s+", "", page.content.decode()).replace("Afmelden", "Uitloggen")


def test_api_is_english_whatever_language_is_asked_for(cpo):
    dutch = {"Accept-Language": "nl", "Cookie": "django_language=nl"}
    CLIENT.get("/admin/login/", headers=dutch)  # the thread spoke Dutch last
    put_location(cpo)
    pull, rest = puller(cpo), rest_client(cpo)

    answers = {
        path: [CLIENT.generic(method, path, headers=caller.headers | more) for more in (dutch, {})]
        for method, path, caller in [
            ("GET", pull.root + "/locations", pull),
            ("PUT", pull.root + "/locations", pull),
            ("GET", "/ocpi/nothing", pull),
            ("POST", "/oauth/token", pull),
            ("GET", "/api/v1/problems", rest),
            ("DELETE", "/api/v1/problems", rest),
            ("GET", "/healthz", rest),
        ]
    }

    for path, (asked, plain) in answers.items():
        assert "Content-Language" not in asked, path
        assert "Language" not in asked.get("Vary", ""), path
        assert (asked.status_code, asked.get("Vary")) == (plain.status_code, plain.get("Vary")), path
    refused = answers["/api/v1/problems"]
    assert [one.json().get("detail") for one in refused] == ['Method "DELETE" not allowed.'] * 2


# --- Empty lists -------------------------------------------------------------------------------------------------------


def test_empty_list_tells_what_to_do_next(boss):
    page = boss.get("/admin/ocpi/location/").content.decode()

    assert "No Location yet" in page
    assert 'href="/admin/tenants/token/"' in page.split("No Location yet")[1]


def test_empty_list_of_a_search_leads_back_to_everything(boss, cpo):
    page = text(boss.get("/admin/tenants/tenant/", {"q": "nobody"}).content.decode())

    assert "Nothing matches Nothing here is like what you look for. Show everything" in page


def test_empty_list_leads_nowhere_the_reader_may_not_go(db):
    page = staff("ocpi.view_location").get("/admin/ocpi/location/").content.decode()

    assert "No Location yet" in page
    assert "See that the CPO has an upload token" not in page


def test_every_list_that_can_be_empty_has_its_words(boss):
    from django.contrib import admin

    from ocpi.admin import look

    names = {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}

    assert names - set(look.EMPTY) == {
        "auth_user",
        "admin_logentry",
        "ocpi_import",
        "ocpi_watched",
    }  # whoever looks is a user, and has left a line; the others have a page of their own


def test_sidebar_counts_what_wants_somebody(boss, cpo):
    quiet = boss.get("/admin/tenants/tenant/").content.decode()
    busy(cpo)
    Import.objects.create(tenant=cpo, kind="location", phase="scan", state="held")

    page = boss.get("/admin/tenants/tenant/").content.decode()

    assert "look-badge" not in quiet
    assert re.findall(r'look-badge (\w+)">(\d+)<', page) == [("warning", "1"), ("danger", "1")]
    assert clock.WITHIN_S == 60
