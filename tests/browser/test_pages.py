"""Every page of the sidebar, and one of each kind behind it: sound at a desk and on a phone, in light and dark, and quiet."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import WIDTHS, sound
from tests.browser.stage import Cpo, Gateway, wait_for

# Lists whose first row leads to a page of another kind.
DETAILS = ["/admin/tenants/tenant/", "/admin/tenants/connection/", "/admin/ocpi/location/", "/admin/ocpi/tariff/"]
DETAILS += ["/admin/ocpi/push/", "/admin/ocpi/pushattempt/", "/admin/ocpi/import/"]
OTHERS = [
    "/admin/ocpi/location/problems/NL-PAG/",
    "/admin/ocpi/location/offboard/NL-PAG/",
    "/admin/tenants/tenant/NL-PAG/hand-over/ndw/",
    "/admin/tenants/tenant/NL-PAG/hand-over/cpo/",
    "/admin/ocpi/location/map/?by=delivery",
    "/admin/second-factor/",
    "/admin/ocpi/import/upload/",
    "/admin/tenants/tenant/add/",
    "/admin/tenants/token/add/",
    "/admin/tenants/serviceaccount/add/",
    "/admin/tenants/connection/add/",
    "/admin/ocpi/source/add/",
]


@pytest.fixture(scope="session")
def filled(gateway: Gateway, cast: dict[str, Cpo]) -> Cpo:
    """A CPO with something of everything, on pages that would else be empty."""
    cpo = cast["PAG"]
    cpo.put_tariff()
    cpo.put_location()
    cpo.put_location("GAPS", energy_mix=None)
    cpo.upload_full_set([{"id": "BAD", "colour": "green"}])
    held = "NL/PAG/loc-0001"
    wait_for(lambda: held in gateway.at_ndw("/_state?full=1")["documents"]["locations"], "NDW to have the Location")
    return cpo


def sidebar(page: Page) -> list[str]:
    """Return the addresses of the sidebar."""
    page.goto("/admin/")
    links = page.locator("#nav-sidebar a[href^='/admin/']")
    found = [link.get_attribute("href") or "" for link in links.all()]
    return list(dict.fromkeys(found))


def look(page: Page, address: str, wide: str) -> str:
    """Return what is wrong with a page, "" when nothing is."""
    response = page.goto(address)
    if response is None or response.status != 200:
        return f"{address}: {response and response.status}"
    try:
        sound(page, f"page{address.removeprefix('/admin')}-{wide}")
    except AssertionError as error:
        return str(error)
    return f"{address}: wider than the screen" if is_too_wide(page) else ""


def is_too_wide(page: Page) -> bool:
    """Return whether a page has to be moved sideways."""
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_sound(opened, admin, filled, width):
    page = opened(width, admin)
    addresses = sidebar(page)
    assert len(addresses) > 10
    for address in DETAILS:
        page.goto(address)
        first = page.locator("#result_list tbody a[href^='/admin/']").first
        addresses.append((first.get_attribute("href") or "").partition("?")[0])

    addresses.append(
        next(one for one in addresses if "/ocpi/location/" in one and one.endswith("/change/")).replace(
            "change", "versions"
        )
    )
    wrong = [look(page, address, width) for address in [*addresses, *OTHERS]]

    assert not any(wrong), "\n\n".join(filter(None, wrong))


@pytest.mark.parametrize("width", WIDTHS)
def test_login_is_sound(opened, gateway, width):
    page = opened(width)

    assert look(page, "/admin/login/", width) == ""


def test_filters_open_and_close_by_keyboard(opened, admin, filled):
    page = opened("desk", admin)
    page.goto("/admin/ocpi/location/")
    opener, panel = page.get_by_role("button", name="Filters"), page.locator("#changelist-filter")
    opener.focus()

    page.keyboard.press("Enter")
    expect(panel.locator(":focus")).to_be_visible()

    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(opener).to_be_focused()
