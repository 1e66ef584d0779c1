"""The wizard that takes a tenant out: two confirmations, live progress, try again, the proof; who may."""

import hashlib
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection as database
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ocpi import acceptances, offboarding, push, tasks
from ocpi.models import Offboarding, Push
from tenants.models import Membership, Tenant
from tests import factories
from tests.documents import evse_body
from tests.pushing import make_due

PAGE = "/admin/ocpi/location/offboard/NL-EXA/"


@pytest.fixture
def boss(db: None) -> Client:
    """A superuser's browser."""
    return browser(User.objects.create_superuser("boss", password="x"))


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def clerk(*permissions: str) -> User:
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def text(response: HttpResponse) -> str:
    """Return what a person reads of a page's content, in one line."""
    assert response.status_code == 200
    found = re.sub(r"<[^>]*>", " ", response.content.decode().split('id="content-main"')[-1])
    return " ".join(found.split())


def do(boss: Client, deed: str, **values: str) -> list[str]:
    """Send a step's form; return what is said."""
    response: Any = boss.post(PAGE, {"do": deed} | values, follow=True)
    return [str(message) for message in response.context["messages"]]


def begun(tenant: Tenant) -> bool:
    tenant.refresh_from_db()
    return tenant.offboarding_at is not None


def log() -> list[tuple[str, str, str]]:
    entries = LogEntry.objects.order_by("pk").select_related("user")
    return [(str(one.user), one.object_repr, one.change_message) for one in entries]


def leave(tenant: Tenant) -> None:
    assert offboarding.begin(tenant, "boss", confirmed_at=timezone.now(), confirmed_by="boss")


# --- Two confirmations -------------------------------------------------------------------------------------------------


def test_offboard_says_first_what_will_happen(boss, cpo, ndw):
    factories.make_connection(cpo, ndw, "production")
    factories.put_location(cpo)
    factories.put_location(cpo, id="GONE", evses=[evse_body(uid="E2", evse_id="NL*EXA*E2", status="REMOVED")])
    factories.make_token(cpo)

    page = text(boss.get(PAGE))

    assert "1 EVSEs in service of 2 Locations are set REMOVED; the tariffs stay." in page
    assert "2 Locations are pushed to NDW (Production), and the acceptance of each is waited for." in page
    assert "In the end 1 upload tokens are revoked, and 1 Connections retired." in page
    assert "1 of 2" in page


def test_offboard_takes_two_confirmations_and_notes_both(boss, cpo):
    factories.put_location(cpo)

    said = [do(boss, "confirm", evses="1")]
    assert "2 of 2" in text(boss.get(PAGE))
    assert not begun(cpo)
    said.append(do(boss, "begin", party="NL-RIV"))
    assert not begun(cpo)
    said.append(do(boss, "begin", party=" nl-exa "))

    assert begun(cpo)
    assert said == [[], ["Nothing has happened: type NL-EXA to confirm."], []]
    assert log() == [
        ("boss", "NL-EXA", "Offboarding: confirmed once."),
        ("boss", "NL-EXA", "Offboarding: confirmed twice; uploads are refused from now on."),
    ]
    one = Offboarding.objects.get()
    assert (one.confirmed_by, one.begun_by, one.confirmed_at < one.begun_at) == ("boss", "boss", True)


@pytest.mark.parametrize("evses", ["", "2"])
def test_offboard_first_confirmation_is_of_what_there_is(boss, cpo, evses):
    factories.put_location(cpo)

    said = do(boss, "confirm", evses=evses)

    assert said == ["Nothing was confirmed: tick that you have read it. The figures may have changed."]
    assert "1 of 2" in text(boss.get(PAGE))


def test_offboard_cannot_begin_without_the_first_confirmation(boss, cpo, rival):
    boss.post(PAGE.replace("EXA", "RIV"), {"do": "confirm", "evses": "0"})  # of another

    said = do(boss, "begin", party="NL-EXA")

    assert said == ["Confirm first what will happen; that counts for a quarter of an hour."]
    assert (begun(cpo), begun(rival)) == (False, False)


def test_offboard_can_be_cancelled_before_the_second_confirmation_only(boss, cpo):
    do(boss, "confirm", evses="0")
    assert do(boss, "cancel") == ["Cancelled: nothing has happened."]
    do(boss, "begin", party="NL-EXA")
    assert not begun(cpo)

    do(boss, "confirm", evses="0")
    do(boss, "begin", party="NL-EXA")

    assert do(boss, "cancel") == ["It has begun: there is no way back."]
    assert begun(cpo)
    assert [message for _, _, message in log()][1] == "Offboarding: cancelled before the second confirmation."


def test_offboard_is_reached_from_the_tenant(boss, cpo):
    page = boss.get(f"/admin/tenants/tenant/{cpo.pk}/change/").content.decode()
    address = f"/admin/tenants/tenant/{cpo.pk}/offboard"

    response = boss.get(re.search(rf'href="({address}[^"]*)"', page)[1])

    assert (response.status_code, response["Location"]) == (302, PAGE)


def test_saving_a_tenant_does_not_bring_it_back(boss, cpo):
    leave(cpo)
    page = f"/admin/tenants/tenant/{cpo.pk}/change/"
    form = {key: value for key, value in boss.get(page).context["adminform"].form.initial.items() if value is not None}
    stale = Tenant.objects.get()

    assert boss.post(page, form | {"name": "Renamed"}).status_code == 302

    assert (Tenant.objects.get().name, begun(stale)) == ("Renamed", True)


# --- Who may -----------------------------------------------------------------------------------------------------------

ADDRESSES = [PAGE, f"{PAGE}progress/", f"{PAGE}proof.csv"]


def test_offboard_is_not_for_who_may_not_change_tenants(cpo):
    client = browser(clerk("view_tenant", "change_push"))

    assert [client.get(address).status_code for address in ADDRESSES] == [403] * 3
    assert client.post(PAGE, {"do": "confirm", "evses": "0"}).status_code == 403


def test_offboard_is_unknown_to_members(cpo):
    user = clerk("view_tenant", "change_tenant", "change_push")
    Membership.objects.create(tenant=cpo, user=user)
    client = browser(user)

    assert [client.get(address).status_code for address in ADDRESSES] == [404] * 3
    assert client.post(PAGE, {"do": "confirm", "evses": "0"}).status_code == 404
    assert "Offboard…" not in client.get(f"/admin/tenants/tenant/{cpo.pk}/change/").content.decode()


def test_offboard_of_nobody_is_unknown(boss, db):
    assert [boss.get(address).status_code for address in ADDRESSES] == [404] * 3


# --- Under way ---------------------------------------------------------------------------------------------------------


def test_offboard_shows_how_far_it_is_lists_refusals_and_tries_again(boss, cpo, ndw):
    connection = factories.make_connection(cpo, ndw, "production")
    for number in range(2):
        factories.put_location(cpo, id=f"L{number}", evses=[evse_body(uid=f"E{number}", evse_id=f"NL*EXA*E{number}")])
    push.drain()
    leave(cpo)
    before = boss.get(f"{PAGE}progress/").json()
    tasks.offboard()
    ndw.fail_next(2001, path="L1", status_message="EVSE <b>unknown</b>")
    push.drain()
    tasks.offboard()

    now, page = boss.get(f"{PAGE}progress/").json(), boss.get(PAGE)

    assert (before["state"], before["progress"], before["words"]["set"]) == ("removing 0", 0.0, "0")
    assert (now["state"], now["progress"]) == ("pushing 1", 0.75)
    assert [now["words"][name] for name in ("set", "accepted", "waiting", "rejected")] == ["2", "1", "0", "1"]
    assert "L1 OCPI 2001" in text(page)
    assert "<b>unknown" not in page.content.decode()
    assert do(boss, "again") == ["1 Location is sent again."]
    make_due(connection)
    push.drain()
    tasks.offboard()
    assert boss.get(f"{PAGE}progress/").json()["state"] == "over"
    assert "It is over" in text(boss.get(PAGE))


def test_offboard_names_the_pause_that_it_waits_for(boss, cpo):
    factories.put_location(cpo)
    factories.connect_to_nowhere(cpo)
    leave(cpo)

    assert "The Connection is paused goes nowhere" in text(boss.get(PAGE))


def test_offboard_again_demands_the_permission_to_push(cpo):
    leave(cpo)

    assert browser(clerk("change_tenant")).post(PAGE, {"do": "again"}).status_code == 403


# --- Over --------------------------------------------------------------------------------------------------------------


def test_offboard_shows_the_proof_and_gives_it_as_csv(boss, cpo, ndw):
    factories.make_connection(cpo, ndw, "production")
    factories.put_location(cpo)
    push.drain()
    do(boss, "confirm", evses="1")
    do(boss, "begin", party="NL-EXA")
    assert boss.get(f"{PAGE}proof.csv").status_code == 404
    tasks.offboard()
    push.drain()
    tasks.offboard()

    page, file = text(boss.get(PAGE)), boss.get(f"{PAGE}proof.csv")

    one = Offboarding.objects.get()
    assert hashlib.sha256(file.content).hexdigest() == one.digest
    assert one.digest in page
    assert file["Content-Disposition"] == 'attachment; filename="offboarded-NL-EXA.csv"'
    summary, ((*line,),) = acceptances.read(file.content.decode())
    assert dict(summary)["confirmed second"].endswith("Z boss")
    assert " ".join(line) in page


def test_offboard_takes_few_queries_however_much_there_is(boss, cpo, ndw):
    factories.make_connection(cpo, ndw, "production")
    for number in range(8):
        factories.put_location(cpo, id=f"L{number}", evses=[evse_body(uid=f"E{number}", evse_id=f"NL*EXA*E{number}")])
    push.drain()
    leave(cpo)
    boss.get(PAGE)  # a session's first page looks for a second factor
    counted = []

    for rejected in ("L0", "L"):
        Push.objects.filter(location__ocpi_id__startswith=rejected).update(state="rejected")
        with CaptureQueriesContext(database) as caught:
            assert boss.get(PAGE).status_code == 200
        counted.append(len(caught))

    assert counted[0] == counted[1] <= 12
