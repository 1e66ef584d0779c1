"""The status watch in the admin: what it lists, when it was looked at, who sees whose."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from ocpi.models import Location, Lookout, Watched
from tenants.models import Membership, Tenant
from tests.factories import make_tenant, put_location

PAGE = "/admin/ocpi/watched/"


@pytest.fixture
def boss(db) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def _browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: HttpResponse) -> str:
    """Return what a person reads of a page's content, in one line."""
    assert response.status_code == 200
    found = re.sub(r"<[^>]*>", " ", response.content.decode().split('id="content-main"')[-1])
    return " ".join(found.split())


def odd(tenant: Tenant, uid: str, kind: str = "unknown", **fields: object) -> Watched:
    if not tenant.locations.exists():
        put_location(tenant, id=f"LOC-{tenant.party_id}")
    given = {"location": tenant.locations.get(), "status": "UNKNOWN", "since_at": timezone.now()} | fields
    return Watched.objects.create(tenant=tenant, evse_uid=uid, kind=kind, **given)


def listed(response: HttpResponse) -> list[str]:
    return sorted(row.evse_uid for row in response.context["cl"].result_list)


def test_list_leads_to_the_location_and_says_how_often_it_flaps(boss, cpo):
    odd(cpo, "E-1", "flapping", changes=77)
    odd(cpo, "", "uniform", location=None, since_at=None)

    page = boss.get(PAGE)

    assert f'href="/admin/ocpi/location/{Location.objects.get().pk}/change/"' in page.content.decode()
    assert "flapping 77 changes in 24 hours NL-EXA LOC-EXA E-1 UNKNOWN" in text(page)
    assert "uniform NL-EXA whole fleet - UNKNOWN" in text(page)


def test_list_is_filtered_by_kind_and_tenant(boss, cpo, rival):
    odd(cpo, "E-1", "unknown")
    odd(cpo, "E-2", "charging")
    odd(rival, "E-3", "unknown")

    assert listed(boss.get(PAGE)) == ["E-1", "E-2", "E-3"]
    assert listed(boss.get(PAGE, {"kind": "unknown"})) == ["E-1", "E-3"]
    assert listed(boss.get(PAGE, {"kind": "unknown", "tenant__id__exact": cpo.pk})) == ["E-1"]
    assert listed(boss.get(PAGE, {"q": "LOC-RIV"})) == ["E-3"]


def test_member_sees_his_own_tenant_only(cpo, rival):
    own, theirs = odd(cpo, "E-1"), odd(rival, "E-2")
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_watched", "view_location"]))
    Membership.objects.create(tenant=cpo, user=user)
    browser = _browser(user)

    assert listed(browser.get(PAGE)) == ["E-1"]
    assert browser.get(f"{PAGE}{own.pk}/change/").status_code == 200
    assert browser.get(f"{PAGE}{theirs.pk}/change/").status_code == 404
    assert "Nothing has been looked at yet" in text(browser.get(PAGE))
    Lookout.objects.create(tenant=rival, looked_at=timezone.now())
    assert "Nothing has been looked at yet" in text(browser.get(PAGE))


def test_empty_list_says_when_it_was_looked_at(boss, cpo):
    assert "Nothing odd" not in text(boss.get(PAGE))
    at = timezone.now()
    Lookout.objects.create(tenant=cpo, looked_at=at)

    page = text(boss.get(PAGE))

    assert f"Nothing odd Looked at {timezone.localtime(at):%Y-%m-%d %H:%M:%S} : every EVSE" in page
    assert "Not every tenant has been looked at yet." not in page
    Lookout.objects.create(tenant=make_tenant("NEW"))
    assert "Not every tenant has been looked at yet." in text(boss.get(PAGE))


def test_nobody_writes_here(boss, cpo):
    row = odd(cpo, "E-1")

    assert boss.get(f"{PAGE}add/").status_code == 403
    assert boss.post(f"{PAGE}{row.pk}/change/", {"evse_uid": "x"}).status_code == 403
    assert boss.post(f"{PAGE}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Watched.objects.get().evse_uid == "E-1"


def test_tenant_page_sets_heartbeat_and_digest(boss, cpo):
    form = {"country_code": "NL", "party_id": "EXA", "name": "Example", "is_active": "on", "brake_percent": "10"}

    response = boss.post(f"/admin/tenants/tenant/{cpo.pk}/change/", form | {"heartbeat_h": "48", "has_digest": "on"})

    cpo.refresh_from_db()
    assert (response.status_code, cpo.heartbeat_h, cpo.has_digest) == (302, 48, True)
    assert boss.post(f"/admin/tenants/tenant/{cpo.pk}/change/", form | {"heartbeat_h": "0"}).status_code == 200
