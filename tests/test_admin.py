"""The admin: what it shows, how many queries that takes, what it never shows, who may do what."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connection as database
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ocpi import intake, store
from ocpi.models import Import, Location, Push, PushAttempt, Source, Tariff, UploadHour, Watched
from tenants import secrets
from tenants.models import Connection, Membership, OAuthClient, ServiceAccount, Tenant, Token
from tests.conftest import Caller
from tests.documents import evse_body
from tests.factories import connect_to_nowhere, make_tenant, make_token, put_location, put_tariff

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
READ_ONLY = [Location, Tariff, Push, PushAttempt, Import, Watched, UploadHour]
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def boss(db) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def staff(*permissions: str) -> Client:
    """Return the browser of somebody with these permissions only."""
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    names = [permission.split(".") for permission in permissions]
    user.user_permissions.set(Permission.objects.get(content_type__app_label=app, codename=name) for app, name in names)
    return _browser(user)


def _browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def url(model: Any, page: str = "changelist", *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def text(response: HttpResponse) -> str:
    """Return what a person reads of a page's content, in one line."""
    assert response.status_code == 200
    found = re.sub(r"<[^>]*>", " ", response.content.decode().split('id="content-main"')[-1])
    return " ".join(found.split())


def act(browser: Client, model: Any, action: str, *objects: Any) -> HttpResponse:
    """Run an action of a list."""
    return browser.post(url(model), {"action": action, "_selected_action": [one.pk for one in objects]}, follow=True)


def said(response: HttpResponse) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def fill(numbers: range) -> None:
    """Store one of everything for each number, everything of its own."""
    for number in numbers:
        tenant = make_tenant(f"A{number:02}")
        make_token(tenant)
        OAuthClient(tenant=tenant).issue()
        account = ServiceAccount(
            name=f"NDW {number}", environment="staging", token_url="http://127.0.0.1:9/token", client_id=f"us{number}"
        )
        account.set_client_secret("s3cret")
        Connection.objects.create(
            tenant=tenant, environment="staging", service_account=account, push_url="http://127.0.0.1:9"
        )
        Source(tenant=tenant, url="http://127.0.0.1:9/versions").set_token("t0ken")
        put_tariff(tenant)
        put_location(tenant)
        put_location(tenant, id="GAPS", energy_mix=None)
        for push in tenant.pushes.all():
            attempt(push)
        tenant.pushes.filter(tariff=None).update(state="rejected", last_answer="OCPI 2001")
        intake.receive(tenant, "location", [b"{}"])
        Watched.objects.create(tenant=tenant, location=tenant.locations.first(), kind="unknown", status="UNKNOWN")
        UploadHour.objects.create(tenant=tenant, hour=timezone.now().replace(minute=0, second=0, microsecond=0))
        user = User.objects.create_user(f"user{number}")
        Membership.objects.create(tenant=tenant, user=user)
        LogEntry.objects.log_actions(user.pk, [tenant], CHANGE, "Looked at.", single_object=True)
        Group.objects.create(name=f"group{number}")


def attempt(push: Push, **changes: Any) -> PushAttempt:
    given = {
        "tenant_id": push.tenant_id, "push": push, "started_at": timezone.now(), "took_ms": 12, "method": "PUT",
        "url": "http://127.0.0.1:9/ocpi/locations/NL/EXA/LOC-1/EVSE%201", "http_status": 200, "ocpi_status": 2001,
        "answer": '{"status_code": 2001, "status_message": "no such operator"}', "outcome": "rejected", "version": 1,
        "changes": 1, "request_id": "r-1",
    }  # fmt: skip
    return PushAttempt.objects.create(**given | changes)


# --- Every page --------------------------------------------------------------------------------------------------------


def _queries(browser: Client, address: str) -> int:
    with CaptureQueriesContext(database) as caught:
        assert browser.get(address).status_code == 200
    return len(caught)


def test_every_list_takes_as_many_queries_for_ten_rows_as_for_one(boss):
    addresses = {model._meta.label: url(model) for model in MODELS} | {"home": reverse("admin:index")}
    fill(range(1))
    one = {name: [_queries(boss, address) for _ in range(2)][1] for name, address in addresses.items()}

    fill(range(1, 10))
    ten = {name: _queries(boss, address) for name, address in addresses.items()}

    assert ten == one
    assert max(one.values()) <= 14, one


def test_every_page_of_one_object_takes_few_queries_however_much_hangs_on_it(boss):
    fill(range(1))
    tenant, push = Tenant.objects.get(), Push.objects.filter(tariff=None).first()
    pages = [url(model, "change", model.objects.latest("pk").pk) for model in MODELS]
    pages += [url(Push, "change", push.pk), url(Location, "change", push.location_id)]
    before = {page: [_queries(boss, page) for _ in range(2)][1] for page in pages}

    for _ in range(5):
        make_token(tenant)
        attempt(push)

    assert {page: _queries(boss, page) for page in pages} == before
    assert max(before.values()) <= 16, before


def test_every_form_to_add_opens(boss):
    for model in MODELS:
        assert boss.get(url(model, "add")).status_code == (403 if model in [*READ_ONLY, LogEntry] else 200), model


@pytest.mark.parametrize(
    ("term", "found"), [("NL-EXA", ["NL-EXA"]), ("nl-r", ["NL-RIV"]), ("BE-EXA", []), ("exa", ["NL-EXA"])]
)
def test_tenant_is_found_by_its_party_as_it_is_written(boss, cpo, rival, term, found):
    asked = {"app_label": "tenants", "model_name": "token", "field_name": "tenant", "term": term}
    answer = boss.get("/admin/autocomplete/", asked).json()

    assert [one["text"] for one in answer["results"]] == found


def test_every_filter_and_search_works(boss):
    fill(range(1))
    for model in MODELS:
        assert boss.get(url(model), {"q": "x"}).status_code == 200
        for spec in admin.site._registry[model].list_filter:
            for word, _ in getattr(spec, "choices_by_word", {}).items():
                assert boss.get(url(model), {spec.parameter_name: word}).status_code == 200, (model, word)
    tenant = Tenant.objects.get()
    for model in (Token, OAuthClient, Connection, Location, Tariff, Push, PushAttempt, Import):
        found = boss.get(url(model), {"tenant__id__exact": tenant.pk})
        assert found.context["cl"].queryset.count() == model.objects.count()
        assert boss.get(url(model), {"tenant__id__exact": tenant.pk + 1}).context["cl"].queryset.count() == 0


def test_every_page_keeps_out_anonymous_and_ordinary_users(db):
    fill(range(1))
    ordinary = _browser(User.objects.create_user("ordinary", password="x"))
    pages = [reverse("admin:index")]
    pages += [url(model, page) for model in MODELS for page in ("changelist", "add")]
    pages += [url(model, "change", model.objects.latest("pk").pk) for model in MODELS]

    for browser in (Client(), ordinary):
        for page in pages:
            response = browser.get(page)
            assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={page}")


def test_every_page_keeps_out_staff_without_a_permission(db):
    fill(range(1))
    clerk = staff()

    home = clerk.get(reverse("admin:index"))

    assert "cards" not in home.context
    assert "Locations" not in home.content.decode()
    for model in MODELS:
        assert clerk.get(url(model)).status_code == 403
        assert clerk.get(url(model, "change", model.objects.latest("pk").pk)).status_code == 403


def test_every_answer_forbids_storing_and_framing(boss):
    for page in [reverse("admin:index"), *(url(model) for model in MODELS)]:
        response = boss.get(page)
        assert "no-store" in response["Cache-Control"]
        assert response["X-Frame-Options"] == "DENY"


def test_login_leads_home(db):
    User.objects.create_superuser("boss", password="x")

    response = Client().post("/admin/login/", {"username": "boss", "password": "x"})

    assert (response.status_code, response["Location"]) == (302, "/admin/")


def test_login_does_not_lead_away(db):
    User.objects.create_superuser("boss", password="x")

    response = Client().post("/admin/login/?next=//evil.example/", {"username": "boss", "password": "x"})

    assert response["Location"] == "/admin/"


# --- Home --------------------------------------------------------------------------------------------------------------


def test_home_of_an_empty_gateway_says_how_to_begin(boss):
    response = boss.get(reverse("admin:index"))

    assert [(step["title"], step["done"]) for step in response.context["steps"]] == [
        ("Add the first CPO", False),
        ("Issue its upload token", False),
        ("Connect it to NDW", False),
        ("Wait for its first upload", False),
    ]
    assert [card["number"] for card in response.context["cards"]] == [0] * 6
    assert (response.context["health"], response.context["panels"]) == ([], [])


def test_home_counts_and_names_what_needs_a_look(boss, cpo):
    connect_to_nowhere(cpo)
    make_token(cpo)
    put_tariff(cpo)
    put_location(cpo)
    put_location(cpo, id="GAPS", energy_mix=None)
    put_location(cpo, id="UNPUB", publish=False)
    Push.objects.filter(tariff=None).update(
        state="rejected", last_answer='OCPI 2001 {"status_code":2001,"status_message":"bad"}'
    )

    response = boss.get(reverse("admin:index"))

    cards = {card["title"]: (card["number"], card["words"]) for card in response.context["cards"]}
    assert cards == {
        "Tenants": (1, "1 active"),
        "Locations": (3, "1 shown to NDW"),
        "EVSEs held back": (1, "in 1 Locations with gaps"),
        "Tariffs": (1, "in force"),
        "Waiting": (1, "changes NDW lacks"),
        "Rejected": (1, "refused by NDW"),
    }
    assert response.context["steps"] == []
    page = " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())
    assert "NL-EXA → staging paused 0 % - 1" in page
    assert "goes nowhere" in page
    assert "OCPI 2001: bad 1" in page
    for card in response.context["cards"]:
        if card["title"] == "EVSEs held back":
            assert boss.get(card["url"]).context["total"].held_back == card["number"]
        else:
            assert boss.get(card["url"]).context["cl"].queryset.count() == card["number"], card


# --- Tenants -----------------------------------------------------------------------------------------------------------


def test_tenant_is_made_in_capitals_and_only_once(boss):
    form = {"country_code": "nl", "party_id": "exa", "name": "Example", "is_active": "on"}

    first, second = (boss.post(url(Tenant, "add"), form) for _ in range(2))

    assert first.status_code == 302
    assert "This party exists." in text(second)
    assert str(Tenant.objects.get()) == "NL-EXA"


def test_tenant_party_locks_once_objects_carry_it(boss, cpo):
    form = {"country_code": "BE", "party_id": "NEW", "name": "Renamed", "is_active": "on", "brake_percent": "10"}
    form["heartbeat_h"] = "24"
    page = url(Tenant, "change", cpo.pk)
    put_tariff(cpo)

    response = boss.post(page, form)

    cpo.refresh_from_db()
    assert (response.status_code, str(cpo), cpo.name) == (302, "NL-EXA", "Renamed")
    Tariff.objects.all().delete()
    boss.post(page, form)
    cpo.refresh_from_db()
    assert str(cpo) == "BE-NEW"


def test_tenant_cannot_be_deleted(boss, cpo):
    assert boss.post(url(Tenant, "delete", cpo.pk), {"post": "yes"}).status_code == 403
    assert Tenant.objects.count() == 1


def test_tenant_page_leads_to_all_that_belongs_to_it(boss, cpo):
    connect_to_nowhere(cpo)
    make_token(cpo, note="their CPMS")
    OAuthClient(tenant=cpo).issue()
    put_tariff(cpo)
    put_location(cpo)

    page = text(boss.get(url(Tenant, "change", cpo.pk)))

    assert "1 Location 1 Tariff" in page
    assert f"{Token.objects.get().prefix} Upload (CPO) live - their CPMS" in page
    assert f"{OAuthClient.objects.get().client_id} OAuth2 client live" in page
    assert "Staging paused none at 127.0.0.1:9, staging http://127.0.0.1:9" in page


@pytest.mark.parametrize(
    ("action", "model", "query"),
    [
        ("issue_upload_token", Token, "tenant={}&purpose=upload"),
        ("issue_pull_token", Token, "tenant={}&purpose=pull"),
        ("issue_oauth_client", OAuthClient, "tenant={}"),
        ("connect", Connection, "tenant={}"),
    ],
)
def test_tenant_page_leads_to_the_filled_in_form(boss, cpo, action, model, query):
    response = boss.get(url(Tenant, action, cpo.pk))

    assert (response.status_code, response["Location"]) == (302, f"{url(model, 'add')}?{query.format(cpo.pk)}")
    initial = boss.get(response["Location"]).context["adminform"].form.initial
    assert initial["tenant"] == str(cpo.pk)


# --- Tokens and clients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Token, OAuthClient])
def test_credential_is_shown_once_and_kept_as_a_digest(boss, cpo, model):
    form = {"tenant": cpo.pk, "purpose": "pull", "note": "ticket 7"}

    response = boss.post(url(model, "add"), form)

    value = re.search(r'id="issued-value">([^<]+)<', response.content.decode())[1]  # type: ignore[index]
    issued = model.objects.get()
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert (issued.digest, issued.tenant, issued.note, issued.purpose) == (
        secrets.digest(value),
        cpo,
        "ticket 7",
        "pull",
    )
    for page in (
        url(model),
        url(model, "change", issued.pk),
        url(model, "history", issued.pk),
        url(Tenant, "change", cpo.pk),
    ):
        later = boss.get(page).content.decode()
        assert value not in later
        assert issued.digest not in later
    assert value not in str(list(LogEntry.objects.values_list("object_repr", "change_message")))
    assert value not in str(dict(boss.session))


def test_access_tokens_of_a_client_are_ended_in_the_admin(boss, cpo):
    OAuthClient(tenant=cpo).issue()
    client = OAuthClient.objects.get()

    page = boss.post(url(OAuthClient, "end_access_tokens", client.pk), {"_form_submitted": "True"}, follow=True)

    assert said(page) == ["Its access tokens are refused from now on."]
    assert OAuthClient.objects.get().not_before > client.not_before
    assert OAuthClient.objects.get().is_live
    assert LogEntry.objects.get().get_change_message() == "Ended its access tokens."


def test_token_of_the_form_opens_its_door(boss, cpo):
    response = boss.post(url(Token, "add"), {"tenant": cpo.pk, "purpose": "upload"})

    value = re.search(r'id="issued-value">([^<]+)<', response.content.decode())[1]  # type: ignore[index]
    assert Caller("/ocpi/receiver/", {"Authorization": f"Token {value}"}).get("versions").status_code == 200


def test_token_to_upload_needs_a_tenant_and_one_to_pull_does_not(boss):
    upload, pull = (boss.post(url(Token, "add"), {"purpose": purpose}) for purpose in ("upload", "pull"))

    assert "An upload token belongs to one tenant." in text(upload)
    assert 'id="issued-value"' in pull.content.decode()
    assert [(token.tenant, token.purpose) for token in Token.objects.all()] == [(None, "pull")]


def test_token_cannot_end_before_it_begins(boss, cpo):
    form = {"tenant": cpo.pk, "purpose": "upload", "expires_at_0": "2020-01-01", "expires_at_1": "00:00"}

    response = boss.post(url(Token, "add"), form)

    assert "This is in the past." in text(response)
    assert Token.objects.count() == 0


@pytest.mark.parametrize("how", ["list", "page"])
def test_token_revoked_is_refused_at_once(boss, cpo, rival, how):
    value, other = make_token(cpo), make_token(rival)
    token = Token.objects.get(tenant=cpo)

    if how == "list":
        response = act(boss, Token, "revoke", token)
    else:
        response = boss.post(url(Token, "revoke_this", token.pk), {"_form_submitted": "True"}, follow=True)

    door = {
        one: Caller("/ocpi/receiver/", {"Authorization": f"Token {one}"}).get("versions").status_code
        for one in (value, other)
    }
    assert door == {value: 401, other: 200}
    assert said(response) == ["Revoked 1."]
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Revoked."]
    assert said(act(boss, Token, "revoke", token)) == ["Revoked 0."]


def test_token_is_not_revoked_by_a_link(boss, cpo):
    make_token(cpo)
    token = Token.objects.get()

    response = boss.get(url(Token, "revoke_this", token.pk))

    token.refresh_from_db()
    assert (response.status_code, token.revoked_at) == (200, None)


def test_token_is_not_revoked_from_another_site(cpo):
    make_token(cpo)
    token = Token.objects.get()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("boss", password="x"))

    response = browser.post(url(Token, "revoke_this", token.pk), {"_form_submitted": "True"})

    token.refresh_from_db()
    assert (response.status_code, token.revoked_at) == (403, None)


def test_token_is_revoked_by_who_may_issue_only(cpo):
    make_token(cpo)
    token, clerk = Token.objects.get(), staff("tenants.view_token")

    by_page = clerk.post(url(Token, "revoke_this", token.pk), {"_form_submitted": "True"})
    act(clerk, Token, "revoke", token)

    token.refresh_from_db()
    assert (by_page.status_code, token.revoked_at) == (403, None)


@pytest.mark.parametrize("page", ["change", "delete"])
def test_token_is_neither_changed_nor_deleted(boss, cpo, page):
    make_token(cpo)
    token = Token.objects.get()

    response = boss.post(url(Token, page, token.pk), {"post": "yes", "note": "new", "purpose": "pull"})

    assert response.status_code == 403
    assert Token.objects.values_list("note", "purpose").get() == ("", "upload")


def test_token_list_is_filtered_by_state(boss, cpo):
    now = timezone.now()
    Token(tenant=cpo, purpose="pull", note="gone", revoked_at=now).issue()
    Token(tenant=cpo, purpose="pull", note="over", expires_at=now - dt.timedelta(minutes=1)).issue()
    Token(tenant=cpo, purpose="pull", note="good", expires_at=now + dt.timedelta(minutes=1)).issue()

    found = {
        state: [token.note for token in boss.get(url(Token), {"state": state}).context["cl"].queryset]
        for state in ("live", "revoked", "expired")
    }

    assert found == {"live": ["good"], "revoked": ["gone"], "expired": ["over"]}


# --- Service accounts and connections ----------------------------------------------------------------------------------


ACCOUNT = {"name": "NDW", "environment": "staging", "token_url": "http://127.0.0.1:9/token", "client_id": "us"}


def account(**fields: Any) -> ServiceAccount:
    made = ServiceAccount(**ACCOUNT | fields)
    made.set_client_secret("s3cret-of-ours")
    return made


def test_service_account_secret_goes_in_encrypted_and_never_comes_out(boss):
    refused = boss.post(url(ServiceAccount, "add"), ACCOUNT)
    boss.post(url(ServiceAccount, "add"), ACCOUNT | {"client_secret": "s3cret-of-ours"})

    made = ServiceAccount.objects.get()
    assert "A new service account needs its secret." in text(refused)
    assert made.client_secret == "s3cret-of-ours"
    assert made.client_secret_sealed.startswith("v1.t1.")
    for page in (url(ServiceAccount), url(ServiceAccount, "change", made.pk), url(ServiceAccount, "history", made.pk)):
        shown = boss.get(page).content.decode()
        assert "s3cret-of-ours" not in shown
        assert made.client_secret_sealed not in shown
    log = str(list(LogEntry.objects.values_list("object_repr", "change_message")))
    assert "s3cret-of-ours" not in log


def test_service_account_secret_stays_when_the_field_is_left_empty(boss):
    made = account()
    ServiceAccount.objects.update(access_token_sealed="v1.token")

    boss.post(url(ServiceAccount, "change", made.pk), ACCOUNT | {"name": "Renamed", "client_secret": ""})

    made.refresh_from_db()
    assert (made.name, made.client_secret, made.access_token_sealed) == ("Renamed", "s3cret-of-ours", "v1.token")


@pytest.mark.parametrize("change", [{"client_secret": "another"}, {"client_id": "we"}])
def test_service_account_changed_forgets_its_access_token(boss, change):
    made = account()
    ServiceAccount.objects.update(access_token_sealed="v1.token")

    boss.post(url(ServiceAccount, "change", made.pk), ACCOUNT | change)

    made.refresh_from_db()
    assert made.access_token_sealed == ""
    assert made.client_secret == change.get("client_secret", "s3cret-of-ours")


def test_service_account_secret_is_not_shown_to_who_may_only_look(db):
    made = account()
    clerk = staff("tenants.view_serviceaccount")

    page = clerk.get(url(ServiceAccount, "change", made.pk))

    assert page.status_code == 200
    assert "s3cret-of-ours" not in page.content.decode()


@pytest.mark.parametrize(
    "address", ["https://evil.example/token", "http://169.254.169.254/latest", "ftp://127.0.0.1/x"]
)
def test_service_account_token_url_must_be_one_we_may_call(boss, address):
    response = boss.post(url(ServiceAccount, "add"), ACCOUNT | {"token_url": address, "client_secret": "x"})

    assert response.status_code == 200
    assert set(response.context["adminform"].form.errors) == {"token_url"}
    assert ServiceAccount.objects.count() == 0


def connection_form(cpo: Tenant, made: ServiceAccount, **changes: Any) -> dict[str, Any]:
    push_url = "http://127.0.0.1:9/ocpi"
    return {"tenant": cpo.pk, "environment": "staging", "service_account": made.pk, "push_url": push_url} | changes


def test_connection_is_made_and_wants_its_pushes_spread(boss, cpo):
    response = boss.post(url(Connection, "add"), connection_form(cpo, account()))

    assert response.status_code == 302
    assert (str(Connection.objects.get()), Connection.objects.get().needs_spreading) == ("NL-EXA → staging", True)


@pytest.mark.parametrize(
    ("push_url", "words"),
    [
        ("https://evil.example/ocpi", "not in NDW_ALLOWED_HOSTS, which lists 127.0.0.1, localhost."),
        ("http://10.0.0.1/", "not in NDW_ALLOWED_HOSTS"),
        ("https://us:pw@127.0.0.1/", "no user name, password or #"),
        ("ftp://127.0.0.1/", "not https; only a loopback host may be http."),
        ("http://127.0.0.1:9/ocpi?x=y", "No ? belongs in it"),
        ("nonsense", "Enter a valid URL"),
    ],
)
def test_connection_push_url_must_be_one_we_may_call(boss, cpo, push_url, words):
    response = boss.post(url(Connection, "add"), connection_form(cpo, account(), push_url=push_url))

    assert words in str(response.context["adminform"].form.errors["push_url"])
    assert Connection.objects.count() == 0


def test_connection_account_must_be_of_its_environment(boss, cpo):
    response = boss.post(url(Connection, "add"), connection_form(cpo, account(environment="production")))

    errors = response.context["adminform"].form.errors
    assert errors == {"service_account": ["This account is for production, the Connection for staging."]}


def test_connection_tenant_and_environment_lock_once_it_is_made(boss, cpo, rival):
    made = connect_to_nowhere(cpo)

    form = connection_form(rival, made.service_account, environment="production", push_url="http://127.0.0.1:9/new")
    response = boss.post(url(Connection, "change", made.pk), form)

    made.refresh_from_db()
    assert (response.status_code, str(made), made.push_url) == (302, "NL-EXA → staging", "http://127.0.0.1:9/new")


def test_connection_saved_leaves_alone_what_workers_write(boss, cpo):
    made = connect_to_nowhere(cpo)
    form = admin.site._registry[Connection]
    stale = Connection.objects.get(pk=made.pk)
    made.resume()
    Connection.objects.update(failures=7)

    class Changed:
        changed_data = ["push_url"]

    stale.push_url, stale.is_paused = "http://127.0.0.1:9/new", False
    form.save_model(None, stale, Changed, change=True)

    made.refresh_from_db()
    assert (made.push_url, made.failures, made.is_paused) == ("http://127.0.0.1:9/new", 7, False)


def test_connection_brought_back_from_retirement_is_spread_again(boss, cpo):
    made = connect_to_nowhere(cpo)
    Connection.objects.update(is_retired=True, needs_spreading=False)

    boss.post(url(Connection, "change", made.pk), connection_form(cpo, made.service_account, push_url=made.push_url))

    made.refresh_from_db()
    assert (made.is_retired, made.needs_spreading) == (False, True)


def test_connection_is_paused_with_a_reason_and_resumed(boss, cpo):
    made = connect_to_nowhere(cpo)
    made.resume()
    page = url(Connection, "pause_this", made.pk)

    without = boss.post(page, {"_form_submitted": "True", "reason": ""})
    made.refresh_from_db()
    assert (without.status_code, made.is_paused) == (200, False)

    boss.post(page, {"_form_submitted": "True", "reason": f"NDW is down {HOSTILE}"})
    made.refresh_from_db()
    assert (made.state, made.pause_reason) == ("paused", f"boss: NDW is down {HOSTILE}")
    shown = boss.get(url(Connection, "change", made.pk)).content.decode()
    assert "boss: NDW is down &lt;script&gt;" in shown

    response = boss.post(url(Connection, "resume_this", made.pk), {"_form_submitted": "True"}, follow=True)
    made.refresh_from_db()
    assert (made.state, made.pause_reason, said(response)[-1]) == ("sending", "", "Resumed 1.")
    log = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert log == [f"Paused: NDW is down {HOSTILE}", "Resumed."]


def test_connection_dialog_sends_a_script_on(boss, cpo):
    made = connect_to_nowhere(cpo)

    response = boss.post(
        url(Connection, "resume_this", made.pk), {"_form_submitted": "True"}, headers={"HX-Request": "true"}
    )

    assert (response.status_code, response["HX-Redirect"]) == (200, url(Connection, "change", made.pk))


def test_connections_are_paused_and_resumed_in_the_list(boss, cpo, rival):
    made = [connect_to_nowhere(tenant) for tenant in (cpo, rival)]

    assert said(act(boss, Connection, "resume", *made)) == ["Resumed 2."]
    assert set(Connection.objects.values_list("is_paused", flat=True)) == {False}
    assert said(act(boss, Connection, "pause", *made)) == ["Paused 2; changes go on being noted."]
    assert set(Connection.objects.values_list("pause_reason", flat=True)) == {"boss: paused in the list"}
    assert said(act(boss, Connection, "pause", *made)) == ["Paused 0; changes go on being noted."]


def test_connection_cannot_be_deleted(boss, cpo):
    made = connect_to_nowhere(cpo)

    assert boss.post(url(Connection, "delete", made.pk), {"post": "yes"}).status_code == 403


# --- Locations, Tariffs, Pushes, Attempts ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", READ_ONLY)
def test_uploads_and_deliveries_are_read_only_also_for_a_superuser(boss, model):
    fill(range(1))
    one = model.objects.latest("pk")
    before = list(model.objects.order_by("pk").values())

    answers = [
        boss.post(url(model, "add"), {}),
        boss.post(url(model, "change", one.pk), {"ocpi_id": "x", "state": "delivered"}),
        boss.post(url(model, "delete", one.pk), {"post": "yes"}),
    ]

    assert [response.status_code for response in answers] == [403] * 3
    assert "delete_selected" not in str(boss.get(url(model)).context.get("action_form"))
    assert list(model.objects.order_by("pk").values()) == before


def test_location_page_shows_gaps_evses_delivery_and_document(boss, cpo):
    connect_to_nowhere(cpo)
    put_tariff(cpo)
    put_location(cpo)
    put_location(cpo, id="GAPS", energy_mix=None, evses=[evse_body(uid="EVSE-2", evse_id="NL*EXA*E1001*2")])
    pks = Location.objects.order_by("pk").values_list("pk", flat=True)

    shown, withheld = (text(boss.get(url(Location, "change", pk))) for pk in pks)

    assert "Marktplein, Marktplein 1, Utrecht NDW shown" in shown
    assert "None: nothing to mend." in shown
    assert "NL-EXA → staging blocked" in shown
    assert (
        "EVSE-1 NL*EXA*E1001*1 AVAILABLE updated 2026-03-02 10:15:00 Connector Power Price"
        " 1: IEC_62196_T2, socket 22.08 kW (AC_3_PHASE, 230 V, 32 A) ADHOC-1 Night" in shown
    )
    assert "&quot;party_id&quot;: &quot;EXA&quot;" in shown
    assert "NDW withheld" in withheld
    assert "energy_mix missing gap energy_mix is missing; DOT-NL demands it" in withheld
    assert "None: NDW has not been sent this object" in withheld


def test_location_without_what_is_optional_is_shown_too(boss, cpo):
    connector = {
        "id": "1",
        "standard": "CHADEMO",
        "format": "CABLE",
        "power_type": "DC",
        "max_voltage": 500,
        "max_amperage": 125,
    }
    bare = evse_body(
        evse_id=None, parking_restrictions=None, connectors=[connector | {"last_updated": "2026-03-02T09:15:00Z"}]
    )
    put_location(cpo, id="BARE", name=None, energy_mix=None, evses=[bare])
    put_location(cpo, id="EMPTY", evses=None)

    pages = {one.ocpi_id: text(boss.get(url(Location, "change", one.pk))) for one in Location.objects.all()}

    assert "1: CHADEMO, cable - (DC, 500 V, 125 A) -" in pages["BARE"]
    assert "Marktplein 1, Utrecht NDW withheld" in pages["BARE"]
    assert "EVSEs None." in pages["EMPTY"]


def test_location_list_is_filtered_by_what_ndw_sees_and_by_rule(boss, cpo):
    put_location(cpo, id="SHOWN")
    put_location(cpo, id="GAPS", energy_mix=None)
    put_location(cpo, id="UNPUB", publish=False)

    def ids(**query: str) -> list[str]:
        return [one.ocpi_id for one in boss.get(url(Location), query).context["cl"].queryset.order_by("pk")]

    assert ids(visible="shown") == ["SHOWN"]
    assert ids(visible="hidden") == ["GAPS", "UNPUB"]
    assert ids(visible="withheld") == ["GAPS"]
    assert ids(visible="unpublished") == ["UNPUB"]
    assert (ids(rule="N-energy_mix"), ids(rule="N-tariff_ids")) == (["GAPS"], [])


def test_tariff_page_shows_prices_and_tombstones_stay(boss, cpo):
    put_tariff(cpo)
    tariff = Tariff.objects.get()
    page = text(boss.get(url(Tariff, "change", tariff.pk)))
    store.delete_tariff(cpo, "ADHOC-1")

    assert "1 0.3306 EUR per kWh, VAT 21 %, step 1 start time: 22:00 end time: 06:00" in page
    assert "2 0.4132 EUR per kWh, VAT 21 %, step 1 0.2893 EUR per session, VAT 21 %, step 1 always" in page
    assert "State deleted" in text(boss.get(url(Tariff, "change", tariff.pk)))
    found = {
        state: boss.get(url(Tariff), {"state": state}).context["cl"].queryset.count()
        for state in ("in force", "deleted")
    }
    assert found == {"in force": 0, "deleted": 1}


def test_push_list_is_filtered_by_the_state_a_person_sees(boss, cpo, rival):
    for tenant in (cpo, rival):
        connect_to_nowhere(tenant)
        for number in range(4):
            put_location(tenant, id=f"{tenant.party_id}-{number}")
    Connection.objects.get(tenant=cpo).resume()
    names = {"sending": "EXA-1", "rejected": "EXA-2", "delivered": "EXA-3"}
    rows = {state: Push.objects.filter(location__ocpi_id=name) for state, name in names.items()}
    rows["sending"].update(lease_until=timezone.now() + dt.timedelta(seconds=30))
    rows["rejected"].update(state="rejected")
    rows["delivered"].update(state="delivered")
    Push.objects.filter(location__ocpi_id="RIV-1").update(lease_until=timezone.now() - dt.timedelta(seconds=1))

    def ids(state: str) -> list[str]:
        found = boss.get(url(Push), {"state": state}).context["cl"].queryset.order_by("pk")
        assert state == "waiting" or {one.shown_state for one in found} == {state}
        return [one.target.ocpi_id for one in found]

    assert ids("dirty") == ["EXA-0"]
    assert {state: ids(state) for state in names} == {state: [name] for state, name in names.items()}
    assert ids("blocked") == ["RIV-0", "RIV-1", "RIV-2", "RIV-3"]
    assert ids("waiting") == ["EXA-0", "EXA-1", "RIV-0", "RIV-1", "RIV-2", "RIV-3"]


@pytest.mark.parametrize("how", ["list", "page"])
def test_push_now_makes_a_rejected_push_due_as_a_whole(boss, cpo, how):
    connect_to_nowhere(cpo)
    put_location(cpo)
    later = timezone.now() + dt.timedelta(hours=1)
    Push.objects.update(state="rejected", whole=False, evse_uid="EVSE-1", due_at=later, attempts=3)
    push = Push.objects.get()

    if how == "list":
        response = act(boss, Push, "push_now", push)
    else:
        response = boss.post(url(Push, "push_this_now", push.pk), {"_form_submitted": "True"}, follow=True)

    push.refresh_from_db()
    assert (push.state, push.whole, push.evse_uid, push.attempts) == ("dirty", True, None, 0)
    assert push.due_at <= timezone.now()
    assert said(response) == ["1 will be sent now."]
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Push now."]


def test_push_now_sends_nothing_that_is_withheld(boss, cpo):
    connect_to_nowhere(cpo)
    put_location(cpo)
    Push.objects.update(state="delivered", accepted_at=timezone.now())
    Location.objects.update(is_shown=False, publish=True)

    response = act(boss, Push, "push_now", Push.objects.get())

    assert (Push.objects.get().state, said(response)) == ("delivered", ["0 will be sent now."])


@pytest.mark.parametrize("model", [Token, OAuthClient, Connection, Push, Location])
def test_address_with_a_key_that_can_be_none_is_404(boss, model):
    assert boss.get(url(model, "change", "abc")).status_code == 404


def test_push_now_is_for_who_may_change_a_push(cpo):
    connect_to_nowhere(cpo)
    put_location(cpo)
    Push.objects.update(state="rejected")
    push, clerk = Push.objects.get(), staff("ocpi.view_push")

    by_page = clerk.post(url(Push, "push_this_now", push.pk), {"_form_submitted": "True"})
    act(clerk, Push, "push_now", push)

    push.refresh_from_db()
    assert (by_page.status_code, push.state) == (403, "rejected")


def test_push_page_shows_the_object_and_what_ndw_said(boss, cpo):
    connect_to_nowhere(cpo)
    put_location(cpo)
    push = Push.objects.get()
    attempt(push)
    Push.objects.update(
        state="rejected", last_answer='OCPI 2001 {"status_code": 2001, "status_message": "no such operator"}'
    )

    page = text(boss.get(url(Push, "change", push.pk)))

    assert "Object Location LOC-0001 Connection NL-EXA → staging State rejected" in page
    assert "OCPI 2001: no such operator" in page
    assert "PUT rejected 200 2001 12 ms no such operator" in page


def test_attempts_name_object_answer_and_outcome(boss, cpo):
    connect_to_nowhere(cpo)
    put_location(cpo)
    push = Push.objects.get()
    made = attempt(push)
    attempt(push, outcome="new token", http_status=None, ocpi_status=None, answer="ConnectTimeout")

    rows = text(boss.get(url(PushAttempt)))
    page = text(boss.get(url(PushAttempt, "change", made.pk)))

    assert "NL-EXA PUT LOC-1 / EVSE 1 rejected 200 2001 12 ms no such operator" in rows
    assert "new token - - 12 ms ConnectTimeout" in rows
    assert "&quot;status_message&quot;: &quot;no such operator&quot;" in page
    assert boss.get(url(PushAttempt), {"outcome": "new token"}).context["cl"].queryset.count() == 1


ODD = ["", "{", "[" * 3000, "null", '{"status_message": 1}', '{"status_code": 1000}', "\ufffd", "x" * 2048]


@pytest.mark.parametrize("answer", ODD)
def test_answers_of_any_shape_are_shown(boss, cpo, answer):
    connect_to_nowhere(cpo)
    put_location(cpo)
    push = Push.objects.get()
    made = attempt(push, answer=answer)
    Push.objects.update(state="rejected", last_answer=answer[:500])

    for page in (
        url(PushAttempt),
        url(PushAttempt, "change", made.pk),
        url(Push),
        url(Push, "change", push.pk),
        "/admin/",
    ):
        assert boss.get(page).status_code == 200


def test_hostile_words_of_cpos_ndw_and_operators_are_escaped_everywhere(boss):
    tenant = make_tenant("EXA", name=HOSTILE, contact_name=HOSTILE)
    Token(tenant=tenant, purpose="upload", note=HOSTILE).issue()
    connection = connect_to_nowhere(tenant)
    Connection.objects.update(pause_reason=HOSTILE)
    ServiceAccount.objects.update(name=HOSTILE, client_id=HOSTILE)
    location_id = "<script>alert('x')<b>"
    evse = evse_body(uid="<script>alert('x')", physical_reference="<script>alert(1)")
    put_tariff(
        tenant, id="<script>alert(1)", tariff_alt_text=[{"language": "nl", "text": HOSTILE}], **{f"x{HOSTILE}": HOSTILE}
    )
    put_location(tenant, id=location_id, name=HOSTILE, city=HOSTILE, evses=[evse], **{f"x{HOSTILE}": HOSTILE})
    for push in Push.objects.all():
        words = json.dumps({"status_message": HOSTILE})
        attempt(push, url=f"http://127.0.0.1:9/locations/NL/EXA/{HOSTILE}", answer=words, request_id=HOSTILE)
        attempt(push, answer=HOSTILE, correlation_id=HOSTILE)
    Push.objects.update(state="rejected", last_answer=f"OCPI 2001 {HOSTILE}", correlation_id=HOSTILE)
    intake.receive(tenant, "location", [b"{}"], origin=HOSTILE, key=HOSTILE)
    Watched.objects.create(tenant=tenant, location=tenant.locations.get(), kind="unknown", evse_uid=evse["uid"])
    models = [Tenant, Token, ServiceAccount, Connection, *(model for model in READ_ONLY if model is not UploadHour)]
    pages = ["/admin/", *(url(model) for model in models)]
    pages += [url(model, "change", one.pk) for model in models for one in model.objects.all()]

    for page in pages:
        shown = boss.get(page).content.decode()
        assert "<script>alert" not in shown, page
        assert "&lt;script&gt;alert" in shown, page
    assert connection.pk


# --- Users -------------------------------------------------------------------------------------------------------------


def test_user_is_made_with_a_password_that_is_hashed(boss):
    form = {
        "username": "new",
        "password1": "correct-horse-9",
        "password2": "correct-horse-9",
        "usable_password": "true",
    }

    response = boss.post(url(User, "add"), form)

    assert response.status_code == 302
    assert User.objects.get(username="new").check_password("correct-horse-9")


def test_user_is_not_made_with_a_password_of_14_characters(boss):
    form = {"username": "new", "password1": "correct-horse9", "password2": "correct-horse9", "usable_password": "true"}

    refused = boss.post(url(User, "add"), form).context["adminform"].errors

    assert list(refused) == ["password2"]
    assert refused["password2"] == ["This password is too short. It must contain at least 15 characters."]
    assert not User.objects.filter(username="new").exists()


def test_admin_needs_no_database_to_be_checked():
    call_command("check")
