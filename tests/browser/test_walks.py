"""What an operator does, from end to end, in a browser: the gateway, its workers and NDW are real processes."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import log_in
from tests.browser.looking import sound
from tests.browser.stage import Cpo, now, wait_for
from tests.documents import evse_body, location_body, tariff_body

TENANT_USER = "Tenant user"
ADD_TENANT_USER = f"""
from django.contrib.auth.models import Group, User
from tenants.models import Membership, Tenant
user = User.objects.create_user("visitor", password="a long word", is_staff=True)
user.groups.add(Group.objects.get(name="{TENANT_USER}"))
Membership.objects.create(user=user, tenant=Tenant.objects.get(party_id="OWN"))
"""


def main(page: Page) -> Locator:
    """Return what a page is about, without the sidebar."""
    return page.locator("#main, main, #content-main").first


def save(page: Page) -> None:
    with page.expect_navigation():
        page.locator("[name=_save]").first.click()


def press(page: Page, name: str) -> None:
    """Press a button that leads to the next page."""
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


def follow(page: Page, row: Locator) -> None:
    """Go to the page of what is in a list."""
    with page.expect_navigation():
        row.first.locator("tbody a[href^='/admin/'], a[href*='/change/']").first.click()


def choose(page: Page, name: str, words: str) -> None:
    """Choose in a field that searches."""
    page.locator(f"#select2-id_{name}-container").click()
    page.locator(".select2-search__field").fill(words)
    page.locator(".select2-results__option", has_text=words).first.click()


def at_ndw(cpo: Cpo, ocpi_id: str) -> dict | None:
    """Return what NDW holds of a Location; None when it has none."""
    documents = cpo.gateway.at_ndw("/_state?full=1")["documents"]["locations"].values()
    return next((one for one in documents if (one["party_id"], one["id"]) == (cpo.party_id, ocpi_id)), None)


def reload_until(page: Page, words: str | re.Pattern[str]) -> None:
    """Read a page anew until it says so."""

    def says() -> bool:
        page.reload()
        return page.get_by_text(words).count() > 0

    wait_for(says, f"{words} at {page.url}")


def test_walk_from_an_empty_desk_to_all_nine_steps(opened, gateway):
    page = opened("desk")
    log_in(page, gateway, gateway.user, gateway.password)
    sound(page, "walk-home")
    page.goto("/admin/tenants/tenant/add/")
    page.locator("#id_country_code").fill("nl")
    page.locator("#id_party_id").fill("wlk")
    page.locator("#id_name").fill("Walk B.V.")
    save(page)

    page.goto("/admin/tenants/tenant/?q=WLK")
    follow(page, page.locator("#result_list"))
    sound(page, "walk-tenant")
    workplace = page.url
    cpo, ndw = Cpo(gateway, "WLK", issue(page, "upload")), Cpo(gateway, "WLK", issue(page, "pull"))
    sound(page, "walk-token")

    for environment in ("staging", "production"):
        connect(page, gateway.ndw, environment)
    cpo.put_tariff()
    cpo.put_location()

    wait_for(lambda: at_ndw(cpo, "LOC-0001"), "NDW to have the Location")
    page.goto("/admin/ocpi/location/?q=LOC-0001")
    follow(page, page.locator("#result_list tr", has_text="WLK"))
    reload_until(page, re.compile(r"^\s*delivered\s*$", re.IGNORECASE))
    sound(page, "walk-location")

    for kind in ("locations", "tariffs"):
        assert ndw.send("GET", f"/ocpi/sender/NL/WLK/2.2.1/{kind}", None)[0] == 200
    spare = "/ocpi/receiver/2.2.1/tariffs/NL/WLK/SPARE"
    assert cpo.send("PUT", spare, tariff_body(party_id="WLK", id="SPARE"))[0] == 201
    status = {"status": "CHARGING", "last_updated": now()}
    assert cpo.send("PATCH", "/ocpi/receiver/2.2.1/locations/NL/WLK/LOC-0001/EVSE-1", status)[0] == 200
    wait_for(lambda: (at_ndw(cpo, "LOC-0001") or {})["evses"][0]["status"] == "CHARGING", "NDW to have the status")
    assert cpo.send("DELETE", spare, None)[0] == 200

    page.goto(workplace)
    for number in range(1, 10):
        step = page.locator(f"#step-{number}")
        wait_for(lambda: page.reload() and step.get_by_text("ready to tick").count(), f"evidence of step {number}")  # noqa: B023
        with page.expect_navigation():
            step.get_by_role("button").first.click()
    expect(page.locator("li.ticked[id^=step-]")).to_have_count(9)
    sound(page, "walk-nine-steps")


def issue(page: Page, purpose: str) -> str:
    """Issue the tenant's token for a purpose; return what is shown once."""
    page.goto("/admin/tenants/token/add/")
    choose(page, "tenant", "NL-WLK")
    page.locator("#id_purpose").select_option(purpose)
    save(page)
    return page.locator("#issued-value").inner_text().strip()


def connect(page: Page, ndw: dict[str, str], environment: str) -> None:
    """Make a service account and a Connection of the tenant to the simulator."""
    page.goto("/admin/tenants/serviceaccount/add/")
    page.locator("#id_name").fill(f"Walk at NDW's {environment}")
    page.locator("#id_environment").select_option(environment)
    for name in ("token_url", "client_id", "client_secret"):
        page.locator(f"#id_{name}").fill(ndw[name])
    save(page)
    page.goto("/admin/tenants/connection/add/")
    choose(page, "tenant", "NL-WLK")
    page.locator("#id_environment").select_option(environment)
    choose(page, "service_account", f"Walk at NDW's {environment}")
    page.locator("#id_push_url").fill(ndw["push_url"])
    save(page)
    expect(page).to_have_url(re.compile(r"/admin/tenants/connection/"))


def test_walk_from_a_refusal_to_green(desk, gateway, cast):
    cpo = cast["REF"]
    cpo.put_tariff()
    gateway.at_ndw(
        "/_faults",
        [
            {
                "match": {"path": "REF/BAD"},
                "action": "ocpi",
                "status_code": 2001,
                "status_message": "no such square",
                "times": 1,
            }
        ],
    )
    cpo.put_location("BAD")

    desk.goto("/admin/")
    reload_until(desk, "no such square")
    desk.locator("a[href*='state=rejected']").first.click()
    follow(desk, desk.locator("#result_list tr", has_text="BAD"))
    expect(main(desk)).to_contain_text("no such square")
    sound(desk, "walk-refused")
    cpo.put_location("BAD", name="Another square", last_updated=now())

    wait_for(lambda: (at_ndw(cpo, "BAD") or {}).get("name") == "Another square", "NDW to take the mended Location")
    reload_until(desk, re.compile(r"^\s*delivered\s*$", re.IGNORECASE))


def test_walk_a_braked_import_is_accepted(desk, cast):
    cpo = cast["BRK"]
    documents = [
        location_body(
            id=f"L{n}", party_id="BRK", evses=[evse_body(uid=f"E{n}", evse_id=f"NL*BRK*E{n}")], last_updated=now()
        )
        for n in range(12)
    ]
    cpo.upload_full_set(documents)
    cpo.upload_full_set(documents[:6])

    desk.goto("/admin/")
    desk.locator("a[href*='state=held']").first.click()
    follow(desk, desk.locator("#result_list tr", has_text="NL-BRK"))
    sound(desk, "walk-held")
    desk.locator("input[name=gone]").check()
    press(desk, "Accept")

    reload_until(desk, re.compile(r"^\s*done\s*$", re.IGNORECASE))
    expect(desk.locator(".card.removed strong")).to_have_text("6")
    sound(desk, "walk-accepted")


def test_walk_a_tenant_leaves(desk, cast):
    cpo = cast["OUT"]
    cpo.put_tariff()
    cpo.put_location()
    wait_for(lambda: at_ndw(cpo, "LOC-0001"), "NDW to have the Location")

    desk.goto("/admin/ocpi/location/offboard/NL-OUT/")
    sound(desk, "walk-offboard-first")
    desk.locator("input[name=evses]").check()
    press(desk, "Go on")
    sound(desk, "walk-offboard-second")
    desk.locator("input[name=party]").fill("NL-OUT")
    press(desk, "Offboard it for good")
    sound(desk, "walk-offboard-progress")
    status, said = cpo.send("PUT", "/ocpi/receiver/2.2.1/locations/NL/OUT/LOC-0002", location_body(id="LOC-0002"))

    assert (status, said["status_code"]) in [(403, 2000), (401, 2000)]
    expect(desk.get_by_role("heading", name="It is over")).to_be_visible(timeout=40_000)  # the page looks by itself
    sound(desk, "walk-offboard-proof")
    assert (at_ndw(cpo, "LOC-0001") or {})["evses"][0]["status"] == "REMOVED"


def test_walk_a_tenant_user_sees_his_own_only(opened, gateway, cast):
    for cpo in (cast["OWN"], cast["RIV"]):
        cpo.put_tariff()
        cpo.put_location(f"AT-{cpo.party_id}")
    gateway.manage("shell", "-c", ADD_TENANT_USER)
    page = opened("phone")
    log_in(page, gateway, "visitor", "a long word")

    page.goto("/admin/ocpi/location/")
    expect(main(page)).to_contain_text("AT-OWN")
    expect(main(page)).not_to_contain_text("AT-RIV")
    sound(page, "walk-visitor")
    assert page.request.get("/admin/ocpi/location/problems/NL-RIV/").status in (403, 404)
    assert page.request.get("/admin/ocpi/location/offboard/NL-OWN/").status in (403, 404)
