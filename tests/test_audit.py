"""Who did what: each act in the admin leaves its line on the object it concerns, without a secret; the page that lists them."""

from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from gateway.management.commands.migrate import APPS
from ocpi.models import Import, Push, Source
from tenants import roles
from tenants.models import Connection, OAuthClient, ServiceAccount, Tenant, Token
from tests.factories import connect_to_nowhere, put_location

SECRET = "s3cret-7d20ce"
LIST = "/admin/admin/logentry/"


@pytest.fixture
def operator(db) -> Client:
    """An operator's browser."""
    roles.grant(APPS)
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(Group.objects.get(name=roles.OPERATOR))
    client = Client()
    client.force_login(user)
    return client


def told() -> list[tuple[str, str, str]]:
    """Return who did what to what kind of object, in order; and forget it."""
    entries = LogEntry.objects.order_by("pk").select_related("user", "content_type")
    found = [(one.user.username, str(one.content_type.model), one.get_change_message()) for one in entries]
    assert SECRET not in str(list(entries.values()))
    LogEntry.objects.all().delete()
    return found


def press(client: Client, one: Any, button: str, **form: Any) -> None:
    """Press a button of an object's page, and the one of the dialog."""
    name = f"admin:{one._meta.app_label}_{one._meta.model_name}_{button}"
    assert client.post(reverse(name, args=[one.pk]), {"_form_submitted": "True", **form}).status_code == 302


def olga(kind: str, *words: str) -> list[tuple[str, str, str]]:
    return [("olga", kind, one) for one in words]


def test_audit_of_credentials(operator, cpo):
    for _ in range(3):
        operator.post("/admin/tenants/token/add/", {"tenant": cpo.pk, "purpose": "upload"})
    operator.post("/admin/tenants/oauthclient/add/", {"tenant": cpo.pk})
    press(operator, OAuthClient.objects.get(), "end_access_tokens")
    press(operator, Token.objects.latest("pk"), "revoke_this")

    issued = "Issued: the value was shown this once."
    assert told() == [
        *olga("token", issued, issued, "Revoked: a third was issued.", issued),
        *olga("oauthclient", issued, "Ended its access tokens."),
        *olga("token", "Revoked."),
    ]


def test_audit_of_a_secret_names_the_field_only(operator):
    form = {"name": "NDW", "environment": "staging", "token_url": "http://127.0.0.1:9/token", "client_id": "us"}

    operator.post("/admin/tenants/serviceaccount/add/", form | {"client_secret": SECRET})
    made = ServiceAccount.objects.get()
    operator.post(f"/admin/tenants/serviceaccount/{made.pk}/change/", form | {"client_secret": f"{SECRET}-2"})

    assert ServiceAccount.objects.get().client_secret == f"{SECRET}-2"
    assert told() == olga("serviceaccount", "Added.", "Changed Client secret.")


def test_audit_of_deliveries(operator, cpo):
    made = connect_to_nowhere(cpo)
    put_location(cpo)
    push = Push.objects.get()
    press(operator, push, "push_this_now")
    press(operator, made, "resume_this")
    press(operator, made, "pause_this", reason="NDW is down")
    Push.objects.update(state="rejected", last_answer="OCPI 2001")
    for form in (
        {"do": "push", "cause": "OCPI 2001"},
        {"do": "resume", "reason": "NDW is up"},
        {"do": "resume"},
        {"do": "pause", "reason": "again"},
    ):
        operator.post("/admin/ocpi/push/waiting/", form | {"connection": made.pk})
    operator.post(f"/admin/ocpi/push/waiting/{made.pk}/resend/")

    assert told() == [
        *olga("push", "Push now."),
        *olga("connection", "Resumed.", "Paused: NDW is down", "Pushed again 1 rejected: OCPI 2001"),
        *olga("connection", "Resumed: NDW is up", "Resumed.", "Paused: again", "Resent everything: 1 objects."),
    ]


def test_audit_of_imports(operator, cpo):
    file = SimpleUploadedFile("night.ndjson", b"{}")
    operator.post("/admin/ocpi/import/upload/", {"tenant": cpo.pk, "kind": "location", "mode": "upsert", "file": file})
    for deed in ({"do": "accept"}, {"do": "discard", "reason": "half of it"}, {"do": "discard"}):
        held = Import.objects.create(tenant=cpo, kind="location", mode="full", phase="scan", state="held", preview={})
        operator.post(f"/admin/ocpi/import/{held.pk}/decide/", deed)

    assert told() == olga("import", "Uploaded night.ndjson.", "Accepted.", "Discarded: half of it", "Discarded.")


def test_audit_of_sources(operator, cpo):
    Source(tenant=cpo, url="http://127.0.0.1:9/versions").set_token("t0ken")
    source = Source.objects.get()
    for button in ("test_this", "fetch_changes_of_this", "fetch_everything_of_this"):
        press(operator, source, button)

    assert told() == olga("source", "Tested.", "Fetch changes now.", "Fetch everything now.")


def test_audit_of_memberships(operator, cpo):
    user = User.objects.create_user("cees")
    user.groups.add(Group.objects.get(name=roles.TENANT_USER))
    operator.post("/admin/tenants/membership/add/", {"tenant": cpo.pk, "user": user.pk})
    operator.post(f"/admin/tenants/membership/{user.memberships.get().pk}/delete/", {"post": "yes"})

    assert [(kind, words) for _, kind, words in told()] == [("membership", "Added."), ("membership", "")]


def test_history_of_an_object_shows_what_was_done_to_it(operator, cpo):
    made = connect_to_nowhere(cpo)
    press(operator, made, "resume_this")
    press(operator, made, "pause_this", reason="<b>NDW</b> is down")

    page = operator.get(f"/admin/tenants/connection/{made.pk}/history/").content.decode()

    assert page.index("Resumed.") > 0
    assert "Paused: &lt;b&gt;NDW&lt;/b&gt; is down" in page
    assert "olga" in page


# --- The page ----------------------------------------------------------------------------------------------------------


def note(user: str, one: Any, words: str) -> None:
    by, _ = User.objects.get_or_create(username=user)
    LogEntry.objects.log_actions(by.pk, [one], CHANGE, words)


def listed(client: Client, **query: Any) -> list[str]:
    return [one.change_message for one in client.get(LIST, query).context["cl"].queryset]


def test_audit_page_is_found_by_user_kind_tenant_and_words(operator, cpo, rival):
    mine, theirs = connect_to_nowhere(cpo), connect_to_nowhere(rival)
    held = Import.objects.create(tenant=cpo, kind="location", mode="full", phase="scan", state="held")
    for user, one in (("anna", mine), ("anna", theirs), ("bert", held), ("bert", cpo), ("bert", mine.service_account)):
        note(user, one, f"{user} {one}")
    anna = User.objects.get(username="anna").pk
    kind = LogEntry.objects.filter(object_id=str(mine.pk), user=anna).first().content_type_id

    assert listed(operator) == [
        f"bert {mine.service_account}",
        "bert NL-EXA",
        f"bert {held}",
        f"anna {theirs}",
        f"anna {mine}",
    ]
    assert listed(operator, user=anna) == [f"anna {theirs}", f"anna {mine}"]
    assert listed(operator, kind=kind) == [f"anna {theirs}", f"anna {mine}"]
    assert listed(operator, tenant=cpo.pk) == ["bert NL-EXA", f"bert {held}", f"anna {mine}"]
    assert listed(operator, tenant=rival.pk) == [f"anna {theirs}"]
    assert listed(operator, q="NL-RIV") == [f"anna {theirs}"]
    assert [listed(operator, **{name: "x"}) for name in ("user", "kind", "tenant")] == [[]] * 3


def test_audit_page_leads_to_the_object_while_it_is_there(operator, cpo):
    note("anna", cpo, "Looked.")
    page = f"/admin/tenants/tenant/{cpo.pk}/change/"

    assert page in operator.get(LIST).content.decode()


def test_audit_page_takes_as_many_queries_for_many_lines_as_for_one(operator, cpo):
    def queries() -> int:
        with CaptureQueriesContext(database) as caught:
            assert operator.get(LIST, {"tenant": cpo.pk}).status_code == 200
        return len(caught)

    note("anna", cpo, "Once.")
    one = [queries() for _ in range(2)][1]
    for number in range(20):
        note(f"user{number}", cpo, "Again.")

    assert queries() == one <= 14


@pytest.mark.parametrize("page", ["add/", "{}/change/", "{}/delete/"])
def test_audit_is_written_by_nobody(cpo, page):
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    note("anna", cpo, "Looked.")
    entry = LogEntry.objects.get()

    assert boss.post(LIST + page.format(entry.pk), {"post": "yes"}).status_code == 403
    boss.post(LIST, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
    assert LogEntry.objects.get() == entry


def test_audit_keeps_what_was_done_to_what_is_gone(operator, cpo):
    made = connect_to_nowhere(cpo)
    note("anna", made, "Paused.")
    Connection.objects.all().delete()

    assert listed(operator) == ["Paused."]
    assert Tenant.objects.count() == 1
