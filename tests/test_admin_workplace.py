"""A tenant's page: who may see it, what it says, ticking, hand-over sheets, the list that leads there."""

import datetime as dt
import re
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from ocpi.models import Push, Scorecard
from tenants import secrets
from tenants.models import ConnectionStep, Membership, OAuthClient, Tenant, Token
from tests import factories, minutes
from tests.conftest import Caller
from tests.test_admin import _browser, _queries, said, staff, text

PAGE = "/admin/tenants/tenant/NL-EXA/"
NDW, CPO = f"{PAGE}hand-over/ndw/", f"{PAGE}hand-over/cpo/"
PAGES = [PAGE, NDW, CPO]
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def boss(db: None) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def member_of(tenant: Tenant, *permissions: str) -> Client:
    """Return the browser of a tenant user with these permissions."""
    browser = staff(*permissions)
    Membership.objects.create(tenant=tenant, user=User.objects.get(username="clerk"))
    return browser


def cards(response: Any) -> dict[str, tuple[str, str]]:
    return {card["title"]: (card["figure"], card["words"]) for card in response.context["cards"]}


def logged() -> list[tuple[str, int, str]]:
    entries = LogEntry.objects.order_by("pk")
    return [(one.object_repr, one.action_flag, one.change_message) for one in entries]


# --- Who ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_page_is_for_who_may_see_tenants_and_that_one(cpo, rival, page):
    anonymous = Client().get(page)
    nobody = staff().get(page)
    User.objects.all().delete()
    of_rival = member_of(rival, "tenants.view_tenant").get(page)
    User.objects.all().delete()
    own = member_of(cpo, "tenants.view_tenant").get(page)

    assert (anonymous.status_code, nobody.status_code, of_rival.status_code, own.status_code) == (302, 403, 404, 200)
    assert anonymous["Location"] == f"/admin/login/?next={page}"


def test_unknown_tenant_is_404(boss, cpo):
    pages = [page.replace("NL-EXA", "NL-NON") for page in PAGES]

    assert [boss.get(page).status_code for page in pages] == [404] * 3
    assert boss.post(f"{pages[0]}steps/1/", {"do": "tick", "note": "x"}).status_code == 404


def test_page_shows_only_what_the_permissions_allow(cpo):
    Token(tenant=cpo, purpose="pull").issue()
    factories.put_location(cpo)

    page = staff("tenants.view_tenant").get(PAGE)

    shown = text(page)
    assert [tab["title"] for tab in page.context["tabs"]] == ["Overview", "Edit", "History"]
    assert page.context["cards"] == []
    assert (page.context["connections"], page.context["credentials"], page.context["scorecard"]) == ("", "", None)
    assert "compliant" not in shown
    assert "Issued on" not in shown
    assert "<form" not in page.content.decode().split('id="content-main"')[-1]


def test_page_of_a_tenant_user_tells_nothing_of_others(cpo, rival):
    Token(tenant=None, purpose="pull", note="ndw's own").issue()
    Token(tenant=rival, purpose="pull").issue()
    Token(tenant=cpo, purpose="pull", note="ours").issue()
    for tenant, share in ((cpo, 1), (rival, 3)):
        fills = {"N-energy_mix": [share, 4]}
        Scorecard.objects.create(
            tenant=tenant, day=timezone.localdate(), locations=4, shown=0, evses=4, tariffs=0, fills=fills
        )
    permissions = ("tenants.view_tenant", "tenants.view_token", "ocpi.view_location")
    browser = member_of(cpo, *permissions)
    page, sheet = text(browser.get(PAGE)), browser.get(NDW).content.decode()
    User.objects.all().delete()
    for_staff = text(staff(*permissions).get(PAGE))

    assert ("ndw's own" in page, "ours" in page) == (False, True)
    assert sheet.count("gw-p.") == 1
    assert "energy_mix 25 % 1 of 4 - " in page
    assert "ndw&#x27;s own" in for_staff
    assert "energy_mix 25 % 1 of 4 50 % " in for_staff


# --- What --------------------------------------------------------------------------------------------------------------


def test_page_says_how_the_tenant_does(boss, cpo):
    now = timezone.now()
    Tenant.objects.filter(pk=cpo.pk).update(contact_name="Anna", contact_email="anna@example.org")
    production = minutes.connect(cpo)
    factories.put_tariff(cpo)
    minutes.accept(minutes.a_push(production), now - dt.timedelta(hours=2), 1, 2, 70)
    minutes.waiting_for(production, 125)
    minutes.a_push(production, state="rejected")
    factories.put_location(cpo, id="GAPS", energy_mix=None)
    Push.objects.filter(tariff__isnull=False).delete()
    Caller("/ocpi/sender/NL/EXA/2.2.1", {"Authorization": f"Token {factories.make_token(cpo, 'pull')}"}).get(
        "/locations"
    )
    Tenant.objects.filter(pk=cpo.pk).update(offboarding_at=now)

    page = boss.get(PAGE)

    found = cards(page)
    assert found == {
        "Locations shown": ("3", "of 4"),
        "Locations withheld": ("1", "with 1 EVSEs"),
        "Tariffs": ("1", "0 with warnings"),
        "Waiting": ("1", "the oldest for 2\xa0minutes"),
        "Rejected": ("1", "refused by NDW"),
        "The minute": ("50 %", "of 4 changes in 24 hours within 60 s"),
        "Last upload": ("0\xa0minutes ago", found["Last upload"][1]),
        "Last complete pull": ("0\xa0minutes ago", "Tariffs: never"),
    }
    shown = text(page)
    assert "CPO EXA active offboarding since" in shown
    assert "Contact: Anna anna@example.org" in shown
    assert "Production sending - none at 127.0.0.1:9, production http://127.0.0.1:9" in shown
    for card in page.context["cards"]:
        assert not card["url"] or boss.get(card["url"]).status_code == 200
    for tab in page.context["tabs"]:
        assert boss.get(tab["url"]).status_code == 200


def test_page_of_a_new_tenant_says_what_to_do_next(boss, cpo):
    page = text(boss.get(PAGE))

    assert page.count("nothing yet") == 9
    assert "None yet: nothing is pushed to NDW. Connect to NDW" in page
    assert "None yet: issue them on the hand-over sheets." in page
    assert "None yet: the first is written within minutes of the first Location." in page


def test_scorecard_stands_against_the_average_with_its_trend(boss, cpo, rival):
    day = timezone.localdate() - dt.timedelta(days=1)
    for tenant, age, filled in ((cpo, 0, 9), (cpo, 5, 1), (rival, 0, 5)):
        Scorecard.objects.create(
            tenant=tenant, day=day - dt.timedelta(days=age), locations=1, shown=1, evses=10, tariffs=0,
            fills={"N-opening_times": [filled, 10], "A-payment": [0, 0]},
        )  # fmt: skip

    page = boss.get(PAGE)

    assert "There is none of today yet: this is the latest." in text(page)
    assert "opening_times 90 % 9 of 10 70 % " in text(page)
    first = f"{day - dt.timedelta(days=5):%-d %b}"
    assert f'aria-label="opening_times: from 10 % on {first} to 90 %"' in page.content.decode()
    assert "a way to pay without a contract (capabilities) - - " in text(page)


def test_page_takes_as_many_queries_for_ten_things_as_for_one(boss, cpo, rival):
    def more(numbers: range) -> None:
        for n in numbers:
            factories.put_tariff(cpo, id=f"T{n}", currency="EUR")
            factories.put_location(cpo, id=f"L{n}", energy_mix=None if n % 2 else {"is_green_energy": True})
            Token(tenant=cpo, purpose="pull").issue()
            OAuthClient(tenant=cpo).issue()
            ConnectionStep.objects.create(tenant=cpo, number=n + 1, done_by=User.objects.get())
            Scorecard.objects.create(
                tenant=cpo, day=timezone.localdate() - dt.timedelta(days=n), locations=1, shown=1, evses=1, tariffs=1
            )

    minutes.connect(cpo)
    more(range(1))
    one = {page: [_queries(boss, page) for _ in range(2)][1] for page in PAGES}

    minutes.connect(cpo, "staging")
    more(range(1, 9))

    assert {page: _queries(boss, page) for page in PAGES} == one
    assert max(one.values()) <= 16, one  # two more go over the raw driver: what NDW accepted, what waits


def test_hostile_words_are_escaped(boss, cpo):
    Tenant.objects.filter(pk=cpo.pk).update(name=HOSTILE, contact_name=HOSTILE)
    ConnectionStep.objects.create(tenant=cpo, number=1, note=HOSTILE)
    Token(tenant=cpo, purpose="pull", note=HOSTILE).issue()
    minutes.connect(cpo).pause(HOSTILE)

    for page in PAGES:
        assert HOSTILE not in boss.get(page).content.decode()


def test_list_and_new_tenant_lead_to_the_page_and_the_form_back(boss, cpo):
    listed = boss.get("/admin/tenants/tenant/?q=EXA").content.decode()
    form = boss.get(f"/admin/tenants/tenant/{cpo.pk}/change/").content.decode()
    added = boss.post(
        "/admin/tenants/tenant/add/", {"country_code": "NL", "party_id": "NEW", "name": "N", "is_active": "on"}
    )

    assert f'<a class="text-link" href="{PAGE}">NL-EXA</a>' in listed
    assert f'<a href="{PAGE}">Overview</a>' in " ".join(form.split())
    assert added["Location"] == "/admin/tenants/tenant/NL-NEW/"


# --- Ticking -----------------------------------------------------------------------------------------------------------


def test_step_is_ticked_and_taken_back_and_both_are_logged(boss, cpo):
    ticked = boss.post(f"{PAGE}steps/4/", {"do": "tick", "note": "  mail of\nNDW "}, follow=True)
    shown = text(ticked)
    again = boss.post(f"{PAGE}steps/4/", {"do": "tick", "note": "once more"})
    kept = ConnectionStep.objects.get()
    back = boss.post(f"{PAGE}steps/4/", {"do": "untick"}, follow=True)

    assert (ticked.redirect_chain, said(ticked)) == ([(f"{PAGE}#step-4", 302)], ["Ticked: Pull by staging."])
    assert f"Ticked by boss on {timezone.localtime(kept.done_at):%-d %b %Y %H:%M}: mail of NDW" in shown
    assert (again.status_code, kept.note, kept.number) == (302, "mail of NDW", 4)
    assert (said(back), ConnectionStep.objects.count()) == (["No longer ticked: Pull by staging."], 0)
    assert logged() == [
        ("NL-EXA", CHANGE, "Ticked step 4: mail of NDW"),
        ("NL-EXA", CHANGE, "Took back the tick of step 4."),
    ]


def test_step_without_evidence_is_not_ticked_without_a_note(boss, cpo):
    answer = boss.post(f"{PAGE}steps/2/", {"do": "tick", "note": "  "}, follow=True)

    assert said(answer) == ["There is no evidence of this step: say in a note why it is done."]
    assert (ConnectionStep.objects.count(), logged()) == (0, [])


def test_step_is_ticked_by_who_may_change_that_tenant_only(cpo, rival):
    factories.put_location(cpo)
    form, address = {"do": "tick", "note": "x"}, f"{PAGE}steps/2/"
    looker = staff("tenants.view_tenant").post(address, form)
    User.objects.all().delete()
    of_rival = member_of(rival, "tenants.view_tenant", "tenants.change_tenant").post(address, form)
    User.objects.all().delete()
    own = member_of(cpo, "tenants.view_tenant", "tenants.change_tenant")
    by_link = own.get(address)
    unknown = own.post(address, {"do": "other"})
    protected = Client(enforce_csrf_checks=True)
    protected.force_login(User.objects.get())
    forged = protected.post(address, form)
    none_yet = ConnectionStep.objects.count()
    own.post(address, form)

    statuses = [one.status_code for one in (looker, of_rival, by_link, unknown, forged)]
    assert (statuses, none_yet) == ([403, 404, 405, 404, 403], 0)
    assert ConnectionStep.objects.get().tenant == cpo


# --- Hand-over ---------------------------------------------------------------------------------------------------------


def test_sheets_name_addresses_and_show_no_secret(boss, cpo, settings):
    settings.PUBLIC_URL = "https://gw.example"
    values = [factories.make_token(cpo, purpose) for purpose in ("pull", "upload")]
    made = OAuthClient(tenant=cpo)
    values.append(made.issue())

    sheets = {page: boss.get(page) for page in (NDW, CPO)}
    ndw, of_cpo = (" ".join(sheet.content.decode().split()) for sheet in sheets.values())

    assert dict(sheets[NDW].context["urls"]) == {
        "Versions": "https://gw.example/ocpi/sender/NL/EXA/versions",
        "Locations": "https://gw.example/ocpi/sender/NL/EXA/2.2.1/locations",
        "Tariffs": "https://gw.example/ocpi/sender/NL/EXA/2.2.1/tariffs",
        "OAuth2 token endpoint": "https://gw.example/oauth/token",
    }
    assert dict(sheets[CPO].context["urls"]) == {
        "Versions": "https://gw.example/ocpi/receiver/versions",
        "Locations": "https://gw.example/ocpi/receiver/2.2.1/locations/NL/EXA/{location_id}",
        "Tariffs": "https://gw.example/ocpi/receiver/2.2.1/tariffs/NL/EXA/{tariff_id}",
        "Many at once": "https://gw.example/api/v1/imports",
        "What is to be mended": "https://gw.example/api/v1/problems",
        "Documentation": "https://gw.example/api/docs",
        "Every rule": "https://gw.example/api/docs/rules",
    }
    prefixes = {token.purpose: token.prefix for token in Token.objects.all()}
    assert (prefixes["pull"] in ndw, prefixes["upload"] in ndw, made.client_id in ndw) == (True, False, True)
    assert (prefixes["pull"] in of_cpo, prefixes["upload"] in of_cpo, made.client_id in of_cpo) == (False, True, False)
    assert not [value for value in values if value in ndw or value in of_cpo]
    assert 'style="' not in ndw + of_cpo


@pytest.mark.parametrize(
    ("page", "form", "model", "words"),
    [
        (NDW, {"kind": "pull", "environment": "staging"}, Token, "for NDW."),
        (NDW, {"kind": "oauth_client", "environment": ""}, OAuthClient, "for NDW."),
        (CPO, {"kind": "upload"}, Token, "for the CPO."),
    ],
)
def test_sheet_issues_a_credential_and_shows_it_once(boss, cpo, page, form, model, words):
    answer = boss.post(page, form)

    made, html = model.objects.get(), answer.content.decode()
    value = re.search('id="issued-value">([^<]+)<', html)[1]
    assert (made.tenant, made.digest, made.environment) == (cpo, secrets.digest(value), form.get("environment", ""))
    assert made.purpose == {"oauth_client": "pull"}.get(form["kind"], form["kind"])
    assert (answer.status_code, html.count(value), "no-store" in answer["Cache-Control"]) == (200, 1, True)
    assert [(one[1], one[2][-len(words) :]) for one in logged()][1] == (CHANGE, words)
    assert [one[1] for one in logged()] == [ADDITION, CHANGE]
    assert made.shown_name in logged()[1][2]
    assert not [entry for entry in logged() if value in entry[2] or value.split(".")[-1] in entry[2]]
    assert value not in boss.get(page).content.decode()
    assert value not in boss.get(PAGE).content.decode()


def test_sheet_asks_before_a_third_credential_ends_the_oldest(boss, cpo):
    form = {"kind": "pull", "environment": "production"}
    boss.post(NDW, form)
    boss.post(NDW, form)
    oldest = Token.objects.earliest("pk")

    asked = boss.post(NDW, form)
    unchanged = (Token.objects.count(), Token.objects.live().count())
    other = boss.post(NDW, form | {"environment": "staging"})
    boss.post(NDW, form | {"confirmed": "yes"})

    assert (asked.context["ends"], unchanged) == (oldest.prefix, (2, 2))
    assert "issued" not in asked.context
    assert 'id="issued-value"' in other.content.decode()
    oldest.refresh_from_db()
    assert (oldest.state, Token.objects.live().count()) == ("revoked", 3)


def test_sheet_issues_for_who_may_and_only_what_it_hands_over(cpo, rival):
    looker = staff("tenants.view_tenant")
    refused = [looker.post(NDW, {"kind": "pull"}), looker.post(CPO, {"kind": "upload"})]
    buttons = "<button>" in looker.get(NDW).content.decode()
    User.objects.all().delete()
    issuer = staff("tenants.view_tenant", "tenants.add_token")
    wrong = [
        issuer.post(NDW, {"kind": "upload"}),
        issuer.post(CPO, {"kind": "pull"}),
        issuer.post(CPO, {"kind": "upload", "environment": "staging"}),
        issuer.post(NDW, {"kind": "pull", "environment": "other"}),
        issuer.post(NDW, {}),
    ]
    no_client = issuer.post(NDW, {"kind": "oauth_client"})
    User.objects.all().delete()
    of_rival = member_of(rival, "tenants.view_tenant", "tenants.add_token").post(CPO, {"kind": "upload"})

    assert ([one.status_code for one in refused], buttons) == ([403, 403], False)
    assert [one.status_code for one in wrong] == [404] * 5
    assert (no_client.status_code, of_rival.status_code) == (403, 404)
    assert (Token.objects.count(), OAuthClient.objects.count(), logged()) == (0, 0, [])


# --- Environment of credentials ----------------------------------------------------------------------------------------


def test_token_to_upload_has_no_environment(boss, cpo):
    form = {"tenant": cpo.pk, "purpose": "upload", "environment": "staging"}

    refused = boss.post("/admin/tenants/token/add/", form)
    boss.post("/admin/tenants/token/add/", form | {"purpose": "pull"})

    assert "Only a pull token has one." in text(refused)
    assert [(one.purpose, one.environment) for one in Token.objects.all()] == [("pull", "staging")]


def test_list_of_credentials_shows_and_filters_the_environment(boss, cpo):
    for environment in ("staging", "production", ""):
        Token(tenant=cpo, purpose="pull", environment=environment).issue()
        OAuthClient(tenant=cpo, environment=environment).issue()

    for model in ("token", "oauthclient"):
        page = boss.get(f"/admin/tenants/{model}/?environment__exact=staging")
        assert [one.environment for one in page.context["cl"].queryset] == ["staging"]


def test_credentials_of_two_environments_do_not_end_each_other(cpo):
    def issue(environment: str) -> Token:
        token = Token(tenant=cpo, purpose="pull", environment=environment)
        token.issue()
        return token

    made = [issue(one) for one in ("staging", "production", "staging", "production")]
    four = Token.objects.live().count()
    issue("")

    assert four == 4
    assert set(Token.objects.live()) == {made[3], Token.objects.latest("pk")}
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenants_token WHERE purpose = 'pull'")
        assert cursor.fetchone() == (5,)
