"""The admin's Problems pages and where they lead: figures, order, links that find as much as they say, prices, permissions."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection as database
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ocpi.models import Location, Tariff
from tenants.models import Tenant
from tests.documents import connector_body, evse_body
from tests.factories import make_tenant, put_location, put_tariff

ALL = "/admin/ocpi/location/problems/"
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def boss(db) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def _browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def staff(*permissions: str) -> Client:
    """Return the browser of somebody with these permissions of ocpi only."""
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="ocpi", codename__in=permissions))
    return _browser(user)


def text(response: HttpResponse) -> str:
    """Return what a person reads of a page's content, in one line."""
    assert response.status_code == 200
    found = re.sub(r"<[^>]*>", " ", response.content.decode().split('id="content-main"')[-1])
    return " ".join(found.split())


def listed(browser: Client, address: str) -> list[str]:
    """Return the ids in a list, in its order."""
    return [one.ocpi_id for one in browser.get(address).context["cl"].queryset]


def locations(browser: Client, **query: object) -> list[str]:
    return [one.ocpi_id for one in browser.get(reverse("admin:ocpi_location_changelist"), query).context["cl"].queryset]


def put(tenant: Tenant, name: str, evses: int = 1, connector: dict | None = None, **overrides: Any) -> None:
    """Store a Location whose EVSEs no other has."""
    bodies = [
        evse_body(
            uid=f"{name}-{n}",
            evse_id=f"NL*{tenant.party_id}*E{name}{n}",
            connectors=[connector_body(**connector or {})],
        )
        for n in range(evses)
    ]
    put_location(tenant, id=name, evses=bodies, **overrides)


def fill(tenant: Tenant) -> None:
    """Store one Location that is shown, three that are held back by one or two gaps, one that is not published."""
    put_tariff(tenant)
    put(tenant, "SHOWN")
    put(tenant, "MIX1", 3, energy_mix=None)
    put(tenant, "MIX2", 1, energy_mix=None, colour="red")
    put(tenant, "BOTH", 2, energy_mix=None, opening_times=None)
    put(tenant, "UNPUB", 4, energy_mix=None, publish=False)


# --- All CPOs ----------------------------------------------------------------------------------------------------------


def test_problems_of_an_empty_gateway_say_what_to_do(boss):
    response = boss.get(ALL)

    assert "No CPO yet Add the first one" in text(response)
    assert reverse("admin:tenants_tenant_add") in response.content.decode()


def test_problems_sort_by_what_the_first_step_frees_and_end_with_who_is_ready(boss):
    for name in ("AAA", "BBB", "CCC", "DDD", "EEE"):
        make_tenant(name)
    ready, small, large, hidden, _ = Tenant.objects.all()
    put(ready, "L")
    put(small, "L", 2, energy_mix=None)
    put(small, "M", 9, energy_mix=None, opening_times=None)
    put(large, "L", 3, opening_times=None)
    put(hidden, "L", publish=False)

    response = boss.get(ALL)

    assert [
        (row["tenant"].party_id, row["state"], row["step"] and row["step"]["frees"]) for row in response.context["rows"]
    ] == [
        ("CCC", "held back", "3 EVSEs"),
        ("BBB", "held back", "2 EVSEs"),
        ("DDD", "not published", None),
        ("EEE", "no Locations", None),
        ("AAA", "ready", None),
    ]
    assert "NL-BBB CPO BBB held back 2 0 % 2 11 energy_mix → frees 2 EVSEs 0" in text(response)
    assert "All together 5 20 % 3 14 0" in text(response)
    assert "CPOs ready 1 of 5" in text(response)


def test_problems_name_the_cpos_that_free_most_with_fewest_rules(boss, cpo, rival):
    fill(cpo)
    put(cpo, "REST", 1, energy_mix=None, opening_times=None, parking_type=None)
    put(rival, "L", 7, energy_mix=None, opening_times=None)

    first = boss.get(ALL).context["first"]

    assert [(str(one["tenant"]), one["rules"], one["frees"], one["percent"]) for one in first] == [
        ("NL-RIV", "energy_mix + opening_times", "7 EVSEs", 100),
        ("NL-EXA", "energy_mix", "4 EVSEs", 57),
    ]
    assert [listed(boss, one["objects_url"]) for one in first] == [["L"], ["MIX1", "MIX2"]]


def test_problems_without_any_say_so(boss, cpo):
    put(cpo, "L")

    assert "Nothing is held back: NDW sees every Location that is published." in text(boss.get(ALL))


# --- One CPO -----------------------------------------------------------------------------------------------------------


def test_problems_of_a_cpo_show_plan_gaps_and_warnings(boss, cpo):
    fill(cpo)

    response = boss.get(f"{ALL}NL-EXA/")

    assert [
        (step["rules"], step["frees"], step["total"], step["done"], step["percent"])
        for step in response.context["steps"]
    ] == [
        ("energy_mix", "4 EVSEs", 4, 0, 67),
        ("opening_times", "2 EVSEs", 6, 67, 33),
    ]
    assert [tuple(row["line"]) for row in response.context["gaps"]] == [
        ("N-energy_mix", 3, 6, 4),
        ("N-opening_times", 1, 2, 0),
    ]
    assert [(row["kind"], *row["line"][:3]) for row in response.context["warnings"]] == [
        ("Locations", "S-unknown", 1, 1)
    ]
    page = text(response)
    assert "Locations 5 with 11 EVSEs Shown to NDW 20 % 1 Locations Withheld 3 1 more are not published" in page
    assert "N-energy_mix energy_mix is missing; DOT-NL demands it" in page
    assert "advisory, blocks nothing" in page
    assert "the operator&#x27;s name met 5 of 5 Locations" in page
    assert "GET http://testserver/api/v1/problems?rule=N-energy_mix" in page


def test_problems_of_a_cpo_lead_to_as_many_objects_as_they_say(boss, cpo, rival):
    fill(rival)
    fill(cpo)
    put(cpo, "LOST", connector={"tariff_ids": ["NOBODY"]}, parking_type=None)
    put_tariff(cpo, id="ODD", colour="red")

    context = boss.get(f"{ALL}NL-EXA/").context

    rows = context["gaps"] + context["warnings"]
    assert {(row["line"].rule, row["line"].objects): len(listed(boss, row["url"])) for row in rows} == {
        ("N-energy_mix", 3): 3,
        ("N-opening_times", 1): 1,
        ("S-unknown", 1): 1,
        ("L-25", 1): 1,
    }
    assert len(rows) == 5  # S-unknown of a Location and of a Tariff


def test_problems_of_a_cpo_that_is_ready_say_so(boss, cpo):
    put_tariff(cpo)
    put(cpo, "L")

    page = text(boss.get(f"{ALL}nl-exa/"))

    assert "Ready for NDW NDW sees every Location that this CPO publishes." in page
    assert "Warnings None." in page


def test_problems_of_a_cpo_without_locations_say_what_to_do(boss, cpo):
    assert "No Location yet NDW sees nothing of this CPO." in text(boss.get(f"{ALL}NL-EXA/"))


def test_problems_of_nobody_are_not_found(boss):
    assert boss.get(f"{ALL}NL-XXX/").status_code == 404
    assert boss.get(f"{ALL}%00/").status_code == 404


def test_problems_leave_the_list_of_locations_unmarked_in_the_sidebar(boss, cpo):
    def marked(address: str) -> list[str]:
        groups = boss.get(address).context["sidebar_navigation"]
        return [item["title"] for group in groups for item in group["items"] if item["active"]]

    assert marked(ALL) == ["Problems"]
    assert marked(f"{ALL}NL-EXA/") == ["Problems"]
    assert marked(reverse("admin:ocpi_location_changelist")) == ["Locations"]


# --- Both --------------------------------------------------------------------------------------------------------------


def test_problems_take_as_many_queries_for_ten_cpos_as_for_one(boss):
    def queries(address: str) -> int:
        with CaptureQueriesContext(database) as caught:
            assert boss.get(address).status_code == 200
        return len(caught)

    fill(make_tenant("A00"))
    one = [[queries(page) for _ in range(2)][1] for page in (ALL, f"{ALL}NL-A00/")]
    for number in range(1, 10):
        fill(make_tenant(f"A{number:02}"))

    assert [queries(page) for page in (ALL, f"{ALL}NL-A00/")] == one
    assert max(one) <= 12


@pytest.mark.parametrize("page", [ALL, f"{ALL}NL-EXA/"])
def test_problems_are_for_who_may_see_locations(db, cpo, page):
    assert _browser(User.objects.create_user("ordinary", password="x")).get(page).status_code == 302
    assert Client().get(page).status_code == 302
    assert staff("view_tariff").get(page).status_code == 403


def test_problems_need_no_more_than_to_see_locations(db, cpo):
    clerk = staff("view_location")

    assert clerk.get(ALL).status_code == 200
    assert clerk.get(f"{ALL}NL-EXA/").status_code == 200


def test_problems_show_what_cpos_wrote_escaped(boss):
    tenant = make_tenant("EXA", name=HOSTILE)
    put_tariff(tenant, id="<script>alert(1)", colour=HOSTILE)
    put_location(tenant, id="<script>alert(1)", energy_mix=None, **{f"x{HOSTILE}": HOSTILE})
    location, tariff = Location.objects.get(), Tariff.objects.get()

    for page in (
        ALL,
        f"{ALL}NL-EXA/",
        reverse("admin:ocpi_location_change", args=[location.pk]),
        reverse("admin:ocpi_tariff_change", args=[tariff.pk]),
        f"{reverse('admin:ocpi_location_changelist')}?rule=S-unknown&tariff={HOSTILE}&mended={HOSTILE}",
    ):
        shown = boss.get(page).content.decode()
        assert "<script>alert" not in shown, page
        assert "&lt;script&gt;alert" in shown, page


# --- Lists -------------------------------------------------------------------------------------------------------------


def test_location_list_by_rule_begins_with_the_largest(boss, cpo):
    fill(cpo)

    assert locations(boss, rule="N-energy_mix") == ["UNPUB", "MIX1", "BOTH", "MIX2"]
    assert locations(boss, rule="N-energy_mix", visible="withheld") == ["MIX1", "BOTH", "MIX2"]
    assert locations(boss) == ["UNPUB", "BOTH", "MIX2", "MIX1", "SHOWN"]


def test_location_list_by_a_rule_that_is_gap_and_warning_asks_which(boss, cpo):
    put(cpo, "FINE")
    for name, given in (("GAP", None), ("WARNING", [])):
        put_location(cpo, id=name, evses=[evse_body(uid=name, evse_id=f"NL*EXA*E{name}", parking_restrictions=given)])

    rule = "N-parking_restrictions"
    assert sorted(locations(boss, rule=rule)) == ["GAP", "WARNING"]
    assert locations(boss, rule=rule, severity="gap") == ["GAP"]
    assert locations(boss, rule=rule, severity="warning") == ["WARNING"]
    assert locations(boss, severity="gap") == ["GAP"]


@pytest.mark.parametrize("tenant", ["own", "all"])
def test_location_list_by_a_rule_of_two_objects(boss, cpo, rival, tenant):
    query = {"tenant__id__exact": cpo.pk} if tenant == "own" else {}
    put_tariff(cpo)
    put_tariff(cpo, id="OTHER")
    put(cpo, "FINE")
    put(cpo, "LOST", connector={"tariff_ids": ["NOBODY"]})
    put(cpo, "CHOICE", connector={"tariff_ids": ["ADHOC-1", "OTHER"]})
    for name in ("TWIN1", "TWIN2"):
        put_location(cpo, id=name, evses=[evse_body(evse_id=None, uid="SAME", status="REMOVED")])
        put_location(
            cpo, id=name, last_updated="2026-03-03T00:00:00Z", evses=[evse_body(evse_id=f"NL*EXA*E{name}", uid="SAME")]
        )

    found = {rule: sorted(locations(boss, rule=rule, **query)) for rule in ("L-25", "L-26", "L-29")}

    assert found == {"L-25": ["LOST"], "L-26": ["CHOICE"], "L-29": ["TWIN1", "TWIN2"]}


@pytest.mark.parametrize(
    "query", [{"rule": "X-99"}, {"rule": "\0"}, {"mended": "\0"}, {"mended": "X"}, {"tariff": "x\0y"}]
)
def test_location_list_by_nonsense_is_empty(boss, cpo, query):
    fill(cpo)

    assert locations(boss, **query) == []


def test_location_list_offers_rules_of_locations_and_tariff_list_those_of_tariffs(boss, cpo):
    def rules(model: str) -> set[str]:
        specs = boss.get(reverse(f"admin:ocpi_{model}_changelist")).context["cl"].filter_specs
        return {
            rule for spec in specs if getattr(spec, "parameter_name", "") == "rule" for rule, _ in spec.lookup_choices
        }

    of_locations, of_tariffs = rules("location"), rules("tariff")

    assert {"N-energy_mix", "L-25", "L-26", "L-29", "S-evse_id", "L-17"} <= of_locations
    assert not any(rule.startswith("T-") for rule in of_locations)
    assert {"T-20", "S-unknown"} <= of_tariffs
    assert not any(rule.startswith(("L-", "N-")) for rule in of_tariffs)


def test_tariff_list_by_rule(boss, cpo):
    put_tariff(cpo)
    put_tariff(cpo, id="ODD", colour="red")

    assert listed(boss, f"{reverse('admin:ocpi_tariff_changelist')}?rule=S-unknown") == ["ODD"]


# --- Pages of one object -----------------------------------------------------------------------------------------------


def test_location_page_shows_what_it_makes_with_others_and_names_the_party(boss, cpo, rival):
    put_location(rival, id="THEIRS")
    put_location(cpo, energy_mix=None)
    ours = cpo.locations.get()

    page = text(boss.get(reverse("admin:ocpi_location_change", args=[ours.pk])))

    assert "ADHOC-1 not uploaded warning tariff_ids/0 Tariff &quot;ADHOC-1&quot; is not known here" in page
    assert "energy_mix missing gap energy_mix is missing" in page
    assert "NL-RIV THEIRS" in page


def test_location_page_speaks_the_readers_language(boss, cpo):
    put_location(cpo, energy_mix=None)

    address = reverse("admin:ocpi_location_change", args=[cpo.locations.get().pk])
    page = text(boss.get(address, headers={"Accept-Language": "nl"}))

    assert "energy_mix ontbreekt; DOT-NL eist het" in page
    assert "de naam van de exploitant voldaan 1 van 1 Locations" in page


def test_location_page_shows_prices_beside_tariffs_and_what_the_law_asks(boss, cpo):
    put_tariff(
        cpo, id="flat", elements=[{"price_components": [{"type": "FLAT", "price": 2, "vat": 21, "step_size": 1}]}]
    )
    put(cpo, "L", connector={"tariff_ids": ["FLAT", "NOBODY"]})

    page = text(boss.get(reverse("admin:ocpi_location_change", args=[cpo.locations.get().pk])))

    assert "FLAT € 2.42 start, incl. 21 % VAT NOBODY not uploaded" in page
    assert "a way to pay without a contract (capabilities) not met 0 of 1 EVSEs" in page
    assert "an ad-hoc tariff we know met 1 of 1 EVSEs" in page


def test_tariff_page_shows_the_price_in_both_languages_and_who_names_it(boss, cpo, rival):
    put_tariff(cpo, elements=[{"price_components": [{"type": "FLAT", "price": 2, "vat": 21, "step_size": 1}]}])
    put(cpo, "L1")
    put(cpo, "L2")
    put(rival, "THEIRS")
    response = boss.get(reverse("admin:ocpi_tariff_change", args=[cpo.tariffs.get().pk]))

    page = text(response)

    assert "Price en: € 2.42 start, incl. 21 % VAT nl: € 2,42 start, incl. 21 % btw" in page
    assert "Named by 2 Locations" in page
    address = re.search(r'href="([^"]*tariff=adhoc-1[^"]*)"', response.content.decode())
    assert address
    assert listed(boss, address[1].replace("&amp;", "&")) == ["L2", "L1"]


def test_tariff_list_shows_prices(boss, cpo):
    put_tariff(cpo, elements=[{"price_components": [{"type": "FLAT", "price": 2, "vat": 21, "step_size": 1}]}])

    assert "€ 2.42 start, incl. 21 % VAT" in text(boss.get(reverse("admin:ocpi_tariff_changelist")))
