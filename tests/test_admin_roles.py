"""Every page of the admin for every role, as the table in `cases_admin` says; no byte of another tenant; no way up."""

import copy
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db.models import ForeignKey, Model
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, reverse
from django.utils import timezone

from gateway.management.commands.migrate import APPS
from ocpi.models import Import, Location, Push, PushAttempt, Source, Tariff, UploadHour, Watched
from tenants import roles, scope
from tenants.admin.confined import ConfinedAdmin
from tenants.models import Connection, Membership, OAuthClient, ServiceAccount, Tenant, Token
from tests import cases_admin as cases
from tests.documents import evse_body
from tests.factories import connect_to_nowhere, make_tenant, make_token, put_location, put_tariff

CANARY = "canary-7d20ce"
WRITTEN = ("tenants", "ocpi", "auth", "admin")  # apps whose rows must not move when something is refused
Things = dict[Any, Any]


# --- The stage ---------------------------------------------------------------------------------------------------------


def _patterns(found: Any) -> Iterator[URLPattern]:
    for one in found:
        yield from _patterns(one.url_patterns) if hasattr(one, "url_patterns") else [one]


def patterns() -> dict[str, URLPattern]:
    """Return the named pages of the admin; of two with a name the first, which answers."""
    found: dict[str, URLPattern] = {}
    for one in _patterns(admin.site.urls[0]):
        if one.name:
            found.setdefault(one.name, one)
    return found


def furnish(tenant: Tenant, word: str) -> Things:
    """Make one of everything for a tenant, with a word in whatever people write; return it by model."""
    connection = connect_to_nowhere(tenant)
    push_url = f"http://127.0.0.1:9/{word}"
    Connection.objects.filter(pk=connection.pk).update(push_url=push_url, spread_for=push_url, pause_reason=word)
    make_token(tenant, note=word)
    OAuthClient(tenant=tenant, note=word).issue()
    Source(tenant=tenant, url=f"http://127.0.0.1:9/{word}", last_error=word).set_token("t0ken")
    put_tariff(tenant, id=word)
    put_location(tenant, id=word, name=word, energy_mix=None, evses=[evse_body(uid=word, evse_id=None)])
    put_location(tenant, name=word)
    push = tenant.pushes.filter(tariff=None).get()
    PushAttempt.objects.create(
        tenant=tenant, push=push, started_at=timezone.now(), took_ms=1, method="PUT", url=push_url, http_status=200,
        answer=word, outcome="rejected", version=1, changes=1, request_id=word,
    )  # fmt: skip
    Push.objects.filter(pk=push.pk).update(state="rejected", last_answer=f"OCPI 2001 {word}")
    Import.objects.create(
        tenant=tenant, kind="location", mode="full", phase="scan", state="held", note=word, origin=word,
        key=word, preview={"removed": 0, "samples": {"created": [word]}},
    )  # fmt: skip
    UploadHour.objects.create(tenant=tenant, hour=timezone.now().replace(minute=0, second=0, microsecond=0))
    Watched.objects.create(tenant=tenant, location=push.location, evse_uid=word, kind="unknown", status="UNKNOWN")
    user = User.objects.create_user(f"user-{word}", email=f"{word}@example.org", is_staff=True)
    user.groups.add(Group.objects.get(name=roles.TENANT_USER))
    membership = Membership.objects.create(tenant=tenant, user=user)
    found: Things = {
        model: model.objects.filter(tenant=tenant).latest("pk")
        for model in (
            Token,
            OAuthClient,
            Connection,
            Source,
            Tariff,
            Location,
            PushAttempt,
            Import,
            UploadHour,
            Watched,
        )
    }
    entry = LogEntry.objects.log_actions(user.pk, [tenant], CHANGE, word, single_object=True)
    found |= {Tenant: tenant, Push: push, User: user, Membership: membership, LogEntry: entry}
    return found | {ServiceAccount: connection.service_account, Group: Group.objects.get(name=roles.READER)}


@pytest.fixture(scope="module")
def all_of_own(kept: None) -> Things:
    """Everything of a tenant, NL-EXA."""
    roles.grant(APPS)
    return furnish(make_tenant("EXA"), "own")


@pytest.fixture(scope="module")
def all_of_rival(all_of_own: Things) -> Things:
    """Everything of a rival, who has the account at NDW and an evse_id in common with NL-EXA; and what is for all tenants."""
    rival = make_tenant("RIV", name=CANARY, contact_name=CANARY, contact_email=f"{CANARY}@example.org")
    found = furnish(rival, CANARY)
    ServiceAccount.objects.update(name=f"account-{CANARY}", client_id=CANARY)
    make_token(None, "pull", note=CANARY)
    OAuthClient(note=CANARY).issue()
    # As if the tenant user had been the rival's once.
    LogEntry.objects.log_actions(all_of_own[User].pk, [rival, found[Token]], CHANGE, CANARY)
    return found


@pytest.fixture
def own(all_of_own: Things, db: None) -> Things:
    """Everything of NL-EXA, in a test of its own."""
    return _again(all_of_own)


@pytest.fixture
def rival_things(all_of_rival: Things, db: None) -> Things:
    """Everything of the rival, in a test of its own."""
    return _again(all_of_rival)


def _again(things: Things) -> Things:
    return {model: copy.copy(one) for model, one in things.items()}


def person(*groups: str, **fields: Any) -> User:
    user = User.objects.create_user(f"in-{'-'.join(groups) or 'no-group'}", is_staff=True, **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    assert user.groups.count() == len(groups)
    return user


def browser(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def sight(role: str, own: Things, rival: Things) -> tuple[Client, Things]:
    """Return the browser of somebody, and what he looks at."""
    if role in ("own", "rival"):
        return browser(own[User]), own if role == "own" else rival
    groups = {"nobody": [], "reader": [roles.READER], "operator": [roles.OPERATOR]}[role]
    return browser(person(*groups)), own


def address(name: str, pattern: URLPattern, things: Things) -> str:
    """Return where a page is about one of these things."""
    wanted = {}
    for argument in pattern.pattern.regex.groupindex:
        if argument in ("object_id", "id"):
            model = next((one for one in things if name.startswith(f"{_label(one)}_")), Location)
            wanted[argument] = things[model].pk
        elif argument == "pk":
            label = next(label for start, label in cases.PK_OF.items() if name.startswith(start))
            wanted[argument] = next(one.pk for model, one in things.items() if model._meta.model_name == label)
        elif argument == "content_type_id":
            wanted[argument] = 1
        else:
            wanted[argument] = {"party": str(things[Tenant])}.get(argument) or cases.OTHER_ARGUMENTS[argument]
    return reverse(f"admin:{name}", kwargs=wanted)


def _label(model: type[Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def _is_about_something(pattern: URLPattern) -> bool:
    return bool({"object_id", "id", "pk", "party"} & set(pattern.pattern.regex.groupindex))


def bytes_of(response: Any) -> bytes:
    """Return all that a browser gets, headers too."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return body + str(dict(response.headers)).encode()


def snapshot() -> dict[str, list]:
    """Return every row there is, groups of users too."""
    models = [model for app in WRITTEN for model in apps.get_app_config(app).get_models()]
    models += [User.groups.through, User.user_permissions.through, Group.permissions.through]
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in models}


def lists() -> list[tuple[str, type[Model], ConfinedAdmin]]:
    return [(reverse(f"admin:{_label(m)}_changelist"), m, page) for m, page in admin.site._registry.items()]


# --- The table ---------------------------------------------------------------------------------------------------------


def test_table_has_every_page_of_the_admin():
    assert set(patterns()) - cases.NOT_PAGES == set(cases.PAGES)


def test_every_model_is_shown_by_an_admin_that_confines():
    assert [model for model, page in admin.site._registry.items() if not isinstance(page, ConfinedAdmin)] == []


def test_every_page_sends_anonymous_visitors_to_log_in(own, rival_things):
    visitor = Client()
    for name, pattern in patterns().items():
        if name not in cases.NOT_PAGES:
            page = address(name, pattern, own)
            response = visitor.get(page)
            assert (response.status_code, response["Location"]) == (
                302,
                f"/admin/login/?next={page}",
            ), name


def _get_all(client: Client, role: str, things: Things) -> dict[str, tuple[str, bytes]]:
    """Return what somebody gets of each page: the status, and all bytes but the address he asked for."""
    found = {}
    for name, pattern in patterns().items():
        if name in cases.PAGES and (role != "rival" or _is_about_something(pattern) or name == "view_on_site"):
            page = address(name, pattern, things)
            response = client.get(page)
            found[name] = str(response.status_code), bytes_of(response).replace(page.encode(), b"")
    return found


def _statuses(found: dict[str, tuple[str, bytes]]) -> dict[str, str]:
    return {name: status for name, (status, _) in found.items()}


def _as_the_table_says(role: str) -> dict[str, str]:
    return {name: row[role] for name, row in cases.PAGES.items() if row[role] != "-"}


@pytest.mark.parametrize("role", [role for role in cases.ROLES if role != "operator"])
def test_every_page_answers_each_role_as_the_table_says(own, rival_things, role):
    client, things = sight(role, own, rival_things)
    canaries = _canaries(rival_things) if role in ("own", "rival") else []

    found = _get_all(client, role, things)

    assert _statuses(found) == _as_the_table_says(role)
    assert [(name, word) for name, (_, got) in found.items() for word in canaries if word in got] == []


def test_every_page_answers_an_operator_as_the_table_says_and_has_the_canaries(own, rival_things):
    """Or the tests for them could not fail."""
    found = _get_all(browser(person(roles.OPERATOR)), "operator", rival_things)

    assert _statuses(found) == _as_the_table_says("operator")
    places = {word: sum(word in got for _, got in found.values()) for word in _canaries(rival_things)}
    assert all(places.values()), places
    assert places[CANARY.encode()] > 40


@pytest.mark.parametrize("role", ["own", "rival", "nobody"])
def test_what_is_not_there_looks_like_what_is_anothers(own, rival_things, role):
    client, _ = sight(role, own, rival_things)
    for _, model, page in lists():
        missing = reverse(f"admin:{_label(model)}_change", args=[10**9])
        expected = 404 if role != "nobody" and page.tenant_path and model is not Import else None
        if expected:
            assert client.get(missing).status_code == expected, model


# --- Not a byte --------------------------------------------------------------------------------------------------------


def _addresses(own: Things, rival: Things) -> Iterator[str]:
    """Yield whatever else a tenant user may type: filters, orders, searches, choices."""
    pk, account = rival[Tenant].pk, rival[ServiceAccount].pk
    for page, model, shown in lists():
        yield f"{page}?tenant__id__exact={pk}"
        yield f"{page}?q=RIV&o={len(shown.list_display)}"
        yield f"{page}add/?tenant={pk}&service_account={account}&purpose=pull&user={rival[User].pk}"
        for field in model._meta.get_fields():
            if isinstance(field, ForeignKey):
                named = {
                    "app_label": model._meta.app_label,
                    "model_name": model._meta.model_name,
                    "field_name": field.name,
                }
                yield f"{reverse('admin:autocomplete')}?{urlencode(named)}"
    for rule in ("S-evse_id", "L-26", "N-energy_mix"):
        yield f"{reverse('admin:ocpi_location_changelist')}?rule={rule}"


def _canaries(rival: Things) -> list[bytes]:
    words = [CANARY, "NL-RIV", rival[Token].prefix, rival[OAuthClient].client_id, str(rival[Import].pk)]
    words += list(Token.objects.filter(tenant=None).values_list("prefix", flat=True))
    return [word.encode() for word in words]


def test_tenant_user_gets_no_byte_of_another_tenant(own, rival_things):
    client = browser(own[User])
    canaries = _canaries(rival_things)

    for page in _addresses(own, rival_things):
        response = client.get(page)
        got = bytes_of(response).replace(page.encode(), b"")
        assert response.status_code < 500, page
        assert [word for word in canaries if word in got] == [], page


def test_tenant_user_is_told_of_a_shared_evse_id_but_not_by_whom(own, rival_things):
    shared = own[Tenant].locations.get(ocpi_id="LOC-0001")
    page = reverse("admin:ocpi_location_change", args=[shared.pk])

    told, known = (browser(user).get(page).content.decode() for user in (own[User], person(roles.OPERATOR)))

    assert "is delivered by another party too" in told
    assert ("NL-RIV" in told, "NL-RIV" in known) == (False, True)


def test_tenant_user_sees_all_of_his_own(own, rival_things):
    client = browser(own[User])
    counts = {
        model: client.get(page).context["cl"].queryset.count()
        for page, model, shown in lists()
        if shown.tenant_path and model not in (Group, User)
    }

    assert counts == {
        Tenant: 1, Token: 1, OAuthClient: 1, Connection: 1, Location: 2, Tariff: 1, Push: 2, PushAttempt: 1, Import: 1,
        Source: 1, UploadHour: 1, Watched: 1,
    }  # fmt: skip


def test_tenant_user_without_a_tenant_sees_nothing(own, rival_things):
    client = browser(person(roles.TENANT_USER))

    for page, model, _ in lists():
        response = client.get(page)
        if response.status_code == 200:
            assert response.context["cl"].queryset.count() == 0, model
    for name in ("ocpi_problems", "ocpi_waiting", "ocpi_minute", "index"):
        got = client.get(reverse(f"admin:{name}")).content.decode()
        assert ("NL-EXA" in got, "NL-RIV" in got) == (False, False), name


def test_user_with_two_tenants_sees_both(own, rival_things):
    Membership.objects.create(tenant=rival_things[Tenant], user=own[User])
    got = browser(own[User]).get(reverse("admin:tenants_tenant_changelist"))

    assert got.context["cl"].queryset.count() == 2


# --- Nothing moves -----------------------------------------------------------------------------------------------------


def _forms(things: Things) -> list[dict[str, Any]]:
    given: dict[str, Any] = {model._meta.model_name: one.pk for model, one in things.items()}
    given |= {"service_account": things[ServiceAccount].pk, "groups": [things[Group].pk]}
    return [cases.FORM | given | {"do": deed} for deed in cases.DEEDS]


def _post_everything(client: Client, things: Things) -> None:
    """Ask for every change there is: by every page, and by every action of every list."""
    for name, pattern in patterns().items():
        if name not in {*cases.NOT_PAGES, "password_change"}:
            forms = (
                _forms(things)
                if "pk" in pattern.pattern.regex.groupindex or name == "ocpi_waiting"
                else _forms(things)[:1]
            )
            for form in forms:
                assert client.post(address(name, pattern, things), form).status_code < 500, (name, form)
    for page, model, shown in lists():
        for deed in ["delete_selected", *shown.actions]:
            response = client.post(page, {"action": deed, "_selected_action": [things[model].pk], "post": "yes"})
            assert response.status_code < 500, (page, deed)


@pytest.mark.parametrize("role", ["nobody", "reader", "rival"])
def test_nothing_moves_for_who_may_not(own, rival_things, role):
    client, things = sight(role, own, rival_things)
    before = snapshot()

    _post_everything(client, things)

    assert snapshot() == before


def test_tenant_user_moves_nothing_of_his_own_but_upload_tokens(own, rival_things):
    make_token(own[Tenant], "pull")
    client, before = browser(own[User]), snapshot()

    _post_everything(client, own)

    after = snapshot()
    assert {label for label in after if after[label] != before[label]} == {"tenants.Token", "admin.LogEntry"}
    assert [(token.purpose, token.state) for token in Token.objects.filter(tenant=own[Tenant]).order_by("pk")] == [
        ("upload", "revoked"),
        ("pull", "live"),
    ]


def test_operator_moves_much_or_the_tests_above_could_not_fail(own, rival_things):
    client, before = browser(person(roles.OPERATOR)), snapshot()

    _post_everything(client, own)

    after = snapshot()
    moved = {label for label in after if after[label] != before[label]}
    assert moved >= {
        "tenants.Tenant", "tenants.Token", "tenants.OAuthClient", "tenants.Connection", "tenants.ServiceAccount",
        "tenants.Membership", "ocpi.Push", "ocpi.Import", "ocpi.Source", "admin.LogEntry",
    }  # fmt: skip
    assert moved.isdisjoint({"auth.User", "auth.Group", "auth.User_groups", "auth.Group_permissions"})


# --- Tokens of a tenant user -------------------------------------------------------------------------------------------


def _issue(client: Client, **form: Any) -> HttpResponse:
    return client.post(reverse("admin:tenants_token_add"), form)


def test_tenant_user_issues_an_upload_token_of_his_own(own, rival_things):
    response = _issue(browser(own[User]), tenant=own[Tenant].pk, purpose="upload")

    assert 'id="issued-value"' in response.content.decode()
    assert Token.objects.filter(tenant=own[Tenant], purpose="upload").count() == 2


@pytest.mark.parametrize("purpose", ["upload", "pull"])
@pytest.mark.parametrize("of", ["rival", "nobody", "own"])
def test_tenant_user_issues_no_other_token(own, rival_things, purpose, of):
    if (of, purpose) == ("own", "upload"):
        return
    pk = {"rival": rival_things[Tenant].pk, "own": own[Tenant].pk, "nobody": ""}[of]
    before = Token.objects.count()

    response = _issue(browser(own[User]), tenant=pk, purpose=purpose)

    assert response.context["adminform"].form.errors
    assert (response.status_code, Token.objects.count()) == (200, before)


@pytest.mark.parametrize("kind", ["pull", "oauth_client"])
def test_tenant_user_lets_nobody_pull_by_the_hand_over_sheet(own, rival_things, kind):
    sheet, client = reverse("admin:tenants_tenant_hand_over", args=["NL-EXA", "ndw"]), browser(own[User])
    before = snapshot()

    response = client.post(sheet, {"kind": kind, "environment": "", "confirmed": "yes"})

    assert (response.status_code, snapshot() == before) == (404, True)
    assert 'name="kind"' not in client.get(sheet).content.decode()


def test_tenant_user_is_offered_upload_and_his_own_tenants_only(own, rival_things):
    form = browser(own[User]).get(reverse("admin:tenants_token_add")).context["adminform"].form

    assert [value for value, _ in form.fields["purpose"].choices if value] == ["upload"]
    assert list(form.fields["tenant"].queryset) == [own[Tenant]]


def test_tenant_user_revokes_an_upload_token_and_no_pull_token(own, rival_things):
    make_token(own[Tenant], "pull")
    client, states = browser(own[User]), {}
    for token in Token.objects.filter(tenant=own[Tenant]):
        page = reverse("admin:tenants_token_revoke_this", args=[token.pk])
        client.post(reverse("admin:tenants_token_changelist"), {"action": "revoke", "_selected_action": [token.pk]})
        by_list = Token.objects.get(pk=token.pk).state
        states[token.purpose] = by_list, client.post(page, {"_form_submitted": "True"}).status_code

    assert states == {"upload": ("revoked", 302), "pull": ("live", 403)}


# --- The groups --------------------------------------------------------------------------------------------------------


def granted(name: str) -> set[str]:
    found = Permission.objects.filter(group__name=name).values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in found}


def test_groups_have_exactly_their_permissions(db):
    roles.grant(APPS)
    ours = {
        f"{model._meta.app_label}.{verb}_{model._meta.model_name}"
        for app in APPS
        for model in apps.get_app_config(app).get_models()
        for verb in ("add", "change", "delete", "view")
    }
    views = {one for one in ours if ".view_" in one}

    assert granted(roles.OPERATOR) == ours | {"admin.view_logentry"}
    assert granted(roles.READER) == views | {"admin.view_logentry"}
    assert granted(roles.TENANT_USER) == views - {"tenants.view_serviceaccount", "tenants.view_membership"} | {
        "tenants.add_token"
    }


def test_migrate_makes_and_mends_the_groups(db):
    Group.objects.all().delete()
    call_command("migrate", check_unapplied=True, verbosity=0)
    assert Group.objects.count() == 0

    call_command("migrate", verbosity=0)
    tampered = Group.objects.get(name=roles.TENANT_USER)
    tampered.permissions.add(*Permission.objects.filter(codename="delete_user"))
    Group.objects.get(name=roles.READER).permissions.clear()
    user = person(roles.READER)
    call_command("migrate", verbosity=0)

    assert "auth.delete_user" not in granted(roles.TENANT_USER)
    assert "tenants.view_tenant" in granted(roles.READER)
    assert [group.name for group in user.groups.all()] == [roles.READER]


# --- No way up ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def meddler(own: Things) -> Client:
    """An operator whom somebody has given every permission about users, groups and memberships."""
    user = person(roles.OPERATOR)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    return browser(user)


def user_form(user: User, **changes: Any) -> dict[str, Any]:
    """Return what the page of a user sends."""
    tenants = changes.pop("tenants", [])
    form = {"username": user.username, "is_active": "on", "is_staff": "on", "date_joined_0": "2026-01-01",
            "date_joined_1": "00:00", "memberships-TOTAL_FORMS": len(tenants), "memberships-INITIAL_FORMS": 0}  # fmt: skip
    return form | {f"memberships-{n}-tenant": tenant.pk for n, tenant in enumerate(tenants)} | changes


@pytest.mark.parametrize("page", ["add", "change", "delete", "password_change"])
def test_nobody_but_a_superuser_edits_users(meddler, own, page):
    boss = User.objects.create_superuser("boss", password="x")
    before = snapshot()
    for user in (boss, own[User], User.objects.get(username=f"in-{roles.OPERATOR}")):
        args = [] if page == "add" else [user.pk]
        form = user_form(user, is_superuser="on", groups=[1], password1="correct-horse-9", password2="correct-horse-9",
                         usable_password="true", post="yes")  # fmt: skip
        assert meddler.post(reverse(f"admin:auth_user_{page}", args=args), form).status_code == 403

    assert snapshot() == before


@pytest.mark.parametrize("page", ["add", "change", "delete"])
def test_nobody_but_a_superuser_edits_groups(meddler, page):
    own_group = Group.objects.create(name="ours")
    args = [] if page == "add" else [own_group.pk]

    response = meddler.post(reverse(f"admin:auth_group_{page}", args=args), {"name": "x", "post": "yes"})

    assert (response.status_code, Group.objects.filter(name="ours").count()) == (403, 1)


@pytest.mark.parametrize("name", roles.NAMES)
def test_roles_are_neither_renamed_nor_deleted_by_a_superuser(own, name):
    boss, group = browser(User.objects.create_superuser("boss")), Group.objects.get(name=name)
    before = snapshot()

    answers = [
        boss.post(reverse(f"admin:auth_group_{page}", args=[group.pk]), {"name": "mine", "post": "yes"}).status_code
        for page in ("change", "delete")
    ]
    boss.post(
        reverse("admin:auth_group_changelist"),
        {"action": "delete_selected", "_selected_action": [group.pk], "post": "yes"},
    )

    assert (answers, snapshot()) == ([403, 403], before)


def test_operator_gives_tenants_to_tenant_users_only(own, rival_things):
    client, boss = browser(person(roles.OPERATOR)), User.objects.create_superuser("boss")
    free, reader = person(roles.TENANT_USER), person(roles.READER)
    page = reverse("admin:tenants_membership_add")

    for user in (free, boss, reader, User.objects.get(username=f"in-{roles.OPERATOR}")):
        client.post(page, {"tenant": own[Tenant].pk, "user": user.pk})

    assert set(Membership.objects.filter(tenant=own[Tenant]).values_list("user__username", flat=True)) == {
        "user-own",
        free.username,
    }


def test_operator_leaves_memberships_of_superusers_alone(own):
    boss = User.objects.create_superuser("boss")
    odd = Membership.objects.create(tenant=own[Tenant], user=boss)
    client = browser(person(roles.OPERATOR))

    client.post(reverse("admin:tenants_membership_delete", args=[odd.pk]), {"post": "yes"})

    assert Membership.objects.filter(pk=odd.pk).exists()
    assert scope.confined_to(boss) is None


@pytest.mark.parametrize("wrong", ["operator", "reader", "permission", "superuser"])
def test_tenant_user_is_nothing_else(own, wrong):
    boss, groups = browser(User.objects.create_superuser("boss")), {one.name: one.pk for one in Group.objects.all()}
    changes: dict[str, Any] = {"groups": [groups[roles.TENANT_USER]], "tenants": []}
    match wrong:
        case "operator" | "reader":
            changes["groups"].append(groups[wrong.capitalize()])
        case "permission":
            changes["user_permissions"] = [Permission.objects.get(codename="view_serviceaccount").pk]
        case "superuser":
            changes["is_superuser"] = "on"
    user = User.objects.create_user("new")

    response = boss.post(reverse("admin:auth_user_change", args=[user.pk]), user_form(user, **changes))

    assert "A tenant user is in no other group" in str(response.context["adminform"].form.non_field_errors())
    assert User.objects.get(pk=user.pk).groups.count() == 0


def test_superuser_makes_a_tenant_user_of_a_user_at_once(own):
    boss, user = browser(User.objects.create_superuser("boss")), User.objects.create_user("new")
    page = reverse("admin:auth_user_change", args=[user.pk])
    group = Group.objects.get(name=roles.TENANT_USER).pk

    without = boss.post(page, user_form(user, tenants=[own[Tenant]]))
    assert "Only a user in the group" in without.content.decode()
    assert Membership.objects.filter(user=user).count() == 0

    boss.post(page, user_form(user, groups=[group], tenants=[own[Tenant]]))
    assert scope.confined_to(User.objects.get(pk=user.pk)) == [own[Tenant].pk]


@pytest.mark.parametrize(
    ("model", "field"), [(Token, "digest"), (ServiceAccount, "client_secret_sealed"), (Source, "token_sealed")]
)
def test_no_url_spells_out_a_secret(own, model, field):
    client = browser(person(roles.READER))
    page = reverse(f"admin:{_label(model)}_changelist")

    first = client.get(page, {f"{field}__startswith": getattr(own[model], field)[0]})

    assert first.status_code == 400
