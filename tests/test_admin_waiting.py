"""The admin's Waiting page: causes, figures that lead to as many rows, pushing again, pausing; who may; nothing unescaped."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection as database
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ocpi import causes, push, queue
from ocpi.models import Location, Push, PushAttempt
from tenants.models import Connection, Tenant
from tests import factories
from tests.pushing import claim, rename, row, sent
from tests.test_deliveries import statements

PAGE = "/admin/ocpi/push/waiting/"
HOSTILE = "<script>alert('x')</script>"
UNKNOWN = 'OCPI 2001 {"status_code":2001,"status_message":"EVSE \'%s\' of %s is not known","timestamp":"2026-03-02T10:00:0%sZ"}'


@pytest.fixture
def boss(db) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def _browser(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def staff(*permissions: str) -> Client:
    """Return the browser of somebody with these permissions only."""
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return _browser(user)


def text(response: HttpResponse) -> str:
    """Return what a person reads of a page's content, in one line."""
    assert response.status_code == 200
    found = re.sub(r"<[^>]*>", " ", response.content.decode().split('id="content-main"')[-1])
    return " ".join(found.split())


def said(response: HttpResponse) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def log() -> list[tuple[str, str]]:
    return [(entry.object_repr, entry.get_change_message()) for entry in LogEntry.objects.order_by("pk")]


def reject(connection: Connection, *names: str) -> None:
    """Make these Locations rejected for the same reason in different words, with and without an id's digits."""
    for number, name in enumerate(names):
        factories.put_location(connection.tenant, id=name)
        rows = Push.objects.filter(connection=connection, location__ocpi_id=name)
        rows.update(state="rejected", last_answer=UNKNOWN % (name, f"NL*EXA*E{number}", number))


def fill(tenant: Tenant) -> Connection:
    """Store objects of a tenant whose Connection is paused: 3 rejected for 2 causes, 1 blocked, 2 withheld by 3 gaps."""
    connection = factories.connect_to_nowhere(tenant)
    reject(connection, "BAD-1", "BAD-2", "ODD")
    Push.objects.filter(connection=connection, location__ocpi_id="ODD").update(last_answer="HTTP 404 <html>none</html>")
    factories.put_location(tenant, id="WAITS")
    factories.put_location(tenant, id="MIX", energy_mix=None)
    factories.put_location(tenant, id="BOTH", energy_mix=None, opening_times=None)
    return connection


def told(tenant: Tenant | None = None) -> list[tuple[str, str]]:
    return [(one.state, str(one)) for one in causes.causes(tenant)]


# --- Causes ------------------------------------------------------------------------------------------------------------


def test_causes_of_an_empty_gateway(db):
    assert causes.causes() == []


def test_causes_group_what_ndw_does_not_have(cpo):
    fill(cpo)

    assert told() == [
        ("withheld", "2 objects: energy_mix missing"),
        ("withheld", "1 objects: opening_times missing"),
        ("rejected", "2 objects: OCPI 2001: EVSE … of … is not known"),
        ("rejected", "1 objects: HTTP 404: <html>none</html>"),
        ("blocked", "1 objects: goes nowhere"),
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "not yet tried"),
        ("OCPI 2001", "OCPI 2001"),
        ('OCPI 2001 {"status_code":2001}', "OCPI 2001: …"),
        (r'OCPI 2001 {"status_message":"tariff \"A 1\" unknown"}', "OCPI 2001: tariff … unknown"),
        (r'OCPI 2001 {"status_message" : "isn' + "'t a good one, don't", "OCPI 2001: isn't a good one, don't"),
        ("HTTP 503 try again in 17 s", "HTTP 503: try again in … s"),
        ("HTTP 200 without a usable OCPI envelope", "HTTP 200: without a usable OCPI envelope"),
        ("timed out after 10.0 s", "timed out after … s"),
        ("HTTP 500 " + "x" * 490, "HTTP 500: " + "x" * 190),
    ],
)
def test_causes_say_the_same_of_answers_alike(cpo, answer, words):
    connection = factories.connect_to_nowhere(cpo)
    factories.put_location(cpo)
    Push.objects.update(state="rejected", last_answer=answer)

    assert [one.words for one in causes.causes()] == [words]
    assert causes.refused(connection, words).count() == 1
    assert causes.refused(connection, words + "!").count() == 0


def test_causes_of_what_waits(cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    for name in ("SENDING", "NEW-1", "NEW-2", "TRIED"):
        factories.put_location(cpo, id=name)
    Push.objects.filter(location__ocpi_id="TRIED").update(last_answer="HTTP 503")
    assert len(claim(connection, 1)) == 1

    assert told(cpo) == [
        ("dirty", "2 objects: not yet tried"),
        ("dirty", "1 objects: last answer: HTTP 503"),
        ("sending", "1 objects: being sent"),
    ]
    Connection.objects.update(failures=queue.BREAKER_FAILURES)
    assert told(cpo) == [
        ("dirty", "3 objects: NDW does not answer: 5 requests in a row; one tries every few seconds"),
        ("sending", "1 objects: being sent"),
    ]


def test_causes_know_since_when(cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    for name in ("OLD", "NEW"):
        factories.put_location(cpo, id=name)
    factories.put_location(cpo, id="GAPS", energy_mix=None)

    withheld, waiting = causes.causes()

    assert waiting.since == row(connection, "OLD").changed_at
    assert withheld.since == Location.objects.get(ocpi_id="GAPS").received_at


def test_causes_of_one_tenant_and_of_live_connections_only(cpo, rival):
    fill(cpo)
    fill(rival)

    assert {str(one.tenant) for one in causes.causes()} == {"NL-EXA", "NL-RIV"}
    assert {str(one.tenant) for one in causes.causes(cpo)} == {"NL-EXA"}
    Connection.objects.filter(tenant=cpo).update(is_retired=True)
    assert {one.state for one in causes.causes(cpo)} == {"withheld"}


def test_causes_take_four_statements_however_much_there_is(cpo, rival):
    fill(cpo)
    one = statements(causes.causes)
    fill(rival)
    reject(Connection.objects.get(tenant=cpo), *(f"MORE-{number}" for number in range(8)))

    assert (one, statements(causes.causes)) == (4, 4)


# --- The page ----------------------------------------------------------------------------------------------------------


def test_waiting_page_of_an_empty_gateway(boss):
    assert "Nothing waits NDW has accepted everything it shall have." in text(boss.get(PAGE))


def test_waiting_page_shows_causes_and_every_figure_leads_to_as_many_rows(boss, cpo):
    fill(cpo)

    response = boss.get(PAGE)

    page = text(response)
    assert "NL-EXA → staging paused" in page
    assert "rejected OCPI 2001: EVSE … of … is not known 2" in page
    assert "withheld energy_mix missing 2" in page
    (party,) = response.context["parties"]
    rows = party["withheld"] + [line for one in party["connections"] for line in one["rows"]]
    assert len(rows) == 5
    for line in rows:
        assert boss.get(line["url"]).context["cl"].queryset.count() == line["cause"].count, line["url"]


def test_waiting_page_figures_of_what_waits_lead_to_rows_too(boss, cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    for name in ("SENDING", "NEW-1", "NEW-2", "TRIED"):
        factories.put_location(cpo, id=name)
    Push.objects.filter(location__ocpi_id="TRIED").update(last_answer="HTTP 503")
    claim(connection, 1)

    (party,) = boss.get(PAGE).context["parties"]

    found = {line["cause"].words: boss.get(line["url"]) for line in party["connections"][0]["rows"]}
    assert {words: page.context["cl"].queryset.count() for words, page in found.items()} == {
        "not yet tried": 2,
        "last answer: HTTP 503": 1,
        "being sent": 1,
    }


def test_waiting_page_names_connections_for_which_nothing_waits(boss, cpo, ndw):
    factories.make_connection(cpo, ndw)

    page = text(boss.get(PAGE))

    assert "Connections for which nothing waits NL-EXA → staging sending Pause Resend everything…" in page


def test_waiting_page_takes_as_many_queries_for_ten_tenants_as_for_one(boss, cpo):
    def queries() -> int:
        with CaptureQueriesContext(database) as caught:
            assert boss.get(PAGE).status_code == 200
        return len(caught)

    fill(cpo)
    one = [queries(), queries()][1]
    for number in range(9):
        fill(factories.make_tenant(f"A{number:02}"))

    assert queries() == one
    assert one <= 13


def test_waiting_page_is_in_the_sidebar(boss):
    assert f'href="{PAGE}"' in boss.get("/admin/").content.decode()
    assert reverse("admin:ocpi_waiting") == PAGE


def test_waiting_page_escapes_what_others_wrote(boss, cpo):
    fill(cpo)
    Tenant.objects.update(name=HOSTILE)
    Connection.objects.update(pause_reason=HOSTILE)
    Push.objects.filter(state="rejected").update(last_answer=f"OCPI 2001 {HOSTILE}")

    for page in (PAGE, reverse("admin:ocpi_resend", args=[Connection.objects.get().pk])):
        shown = boss.get(page).content.decode()
        assert "<script>alert" not in shown
        assert "&lt;script&gt;alert" in shown


# --- Pushing again -----------------------------------------------------------------------------------------------------


def test_push_again_all_rejected_of_a_cause(boss, cpo, ndw):
    fill(cpo)
    connection = Connection.objects.get()
    (cause,) = (one for one in causes.causes() if one.count == 2 and one.state == "rejected")

    response = boss.post(PAGE, {"do": "push", "connection": connection.pk, "cause": cause.key}, follow=True)

    assert said(response) == ["2 will be sent now."]
    assert {name: row(connection, name).state for name in ("BAD-1", "BAD-2", "ODD")} == {
        "BAD-1": "dirty", "BAD-2": "dirty", "ODD": "rejected"
    }  # fmt: skip
    assert log() == [("NL-EXA → staging", "Pushed again 2 rejected: OCPI 2001: EVSE … of … is not known")]


def test_push_again_goes_to_ndw(boss, cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    ndw.fail_next("ocpi", status_code=2001, status_message="EVSE 1 is not known")
    factories.put_location(cpo)
    push.drain()
    (cause,) = causes.causes()

    boss.post(PAGE, {"do": "push", "connection": connection.pk, "cause": cause.key})
    push.drain()

    assert [path for _, path in sent(ndw)] == ["/locations/NL/EXA/LOC-0001"] * 2
    assert (row(connection).state, causes.causes()) == ("delivered", [])


def test_push_again_leaves_another_connection_alone(boss, cpo, rival):
    fill(cpo)
    fill(rival)
    words = "OCPI 2001: EVSE … of … is not known"

    boss.post(PAGE, {"do": "push", "connection": Connection.objects.get(tenant=cpo).pk, "cause": words})

    assert Push.objects.filter(tenant=rival, state="rejected").count() == 3
    assert Push.objects.filter(tenant=cpo, state="rejected").count() == 1


def test_resend_everything_asks_first_and_says_how_many(boss, cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    factories.put_tariff(cpo)
    for name in ("LOC-1", "LOC-2", "HIDDEN"):
        factories.put_location(cpo, id=name)
    push.drain()
    Location.objects.filter(ocpi_id="HIDDEN").update(is_shown=False)
    page = reverse("admin:ocpi_resend", args=[connection.pk])

    asked = text(boss.get(page))
    assert "2 Locations and 1 Tariffs are sent to NDW again" in asked
    assert Push.objects.filter(state="dirty").count() == 0
    response = boss.post(page, follow=True)

    assert said(response) == ["3 will be sent again, behind what changes meanwhile."]
    assert log() == [("NL-EXA → staging", "Resent everything: 3 objects.")]
    assert set(Push.objects.filter(state="dirty").values_list("priority", "changed_at")) == {(3, None)}
    assert row(connection, "HIDDEN").state == "delivered"
    push.drain()
    assert len(sent(ndw)) == 4 + 3


def test_resend_everything_leaves_what_waits_its_place(cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    factories.put_location(cpo)
    push.drain()
    rename(cpo, "Stadsplein")
    changed_at = row(connection).changed_at

    assert causes.resend(causes.visible(connection), is_backlog=True) == 1

    assert (row(connection).priority, row(connection).changed_at) == (Push.Priority.LOCATION, changed_at)


# --- Pausing -----------------------------------------------------------------------------------------------------------


def test_pause_and_resume_with_a_reason(boss, cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    form = {"connection": connection.pk, "reason": f"NDW moves {HOSTILE}"}

    response = boss.post(PAGE, form | {"do": "pause"}, follow=True)
    connection.refresh_from_db()
    assert (connection.is_paused, connection.pause_reason) == (True, f"boss: NDW moves {HOSTILE}")
    assert said(response) == ["Paused NL-EXA → staging; changes go on being noted."]
    again = boss.post(PAGE, form | {"do": "pause"}, follow=True)
    assert said(again) == [f"NL-EXA → staging is paused already: boss: NDW moves {HOSTILE}"]

    boss.post(PAGE, {"connection": connection.pk, "do": "resume", "reason": "NDW is back"})
    boss.post(PAGE, {"connection": connection.pk, "do": "resume"})
    connection.refresh_from_db()
    assert (connection.is_paused, connection.pause_reason) == (False, "")
    assert [words for _, words in log()] == [f"Paused: NDW moves {HOSTILE}", "Resumed: NDW is back", "Resumed."]


@pytest.mark.parametrize("reason", ["", "  ", "\0"])
def test_pause_needs_a_reason(boss, cpo, ndw, reason):
    connection = factories.make_connection(cpo, ndw)

    response = boss.post(PAGE, {"do": "pause", "connection": connection.pk, "reason": reason}, follow=True)

    connection.refresh_from_db()
    assert (connection.is_paused, log()) == (False, [])
    assert said(response) == ["Say why: whoever finds the Connection paused will read it."]


# --- Who may -----------------------------------------------------------------------------------------------------------


def test_waiting_pages_keep_out_who_may_not_look(cpo):
    connection = fill(cpo)
    ordinary = _browser(User.objects.create_user("ordinary", password="x"))
    pages = [PAGE, reverse("admin:ocpi_resend", args=[connection.pk])]

    for page in pages:
        for browser in (Client(), ordinary):
            assert browser.get(page).status_code == 302
    clerk = staff()
    assert [clerk.get(page).status_code for page in pages] == [403, 403]


def test_who_may_only_look_changes_nothing(cpo):
    connection = fill(cpo)
    clerk, before = staff("view_push"), list(Push.objects.order_by("pk").values())
    words = "OCPI 2001: EVSE … of … is not known"
    connection.resume()

    assert "Push all again" not in text(clerk.get(PAGE))
    deeds = [{"do": "push", "cause": words}, {"do": "pause", "reason": "x"}, {"do": "resume"}]
    answers = [clerk.post(PAGE, {"connection": connection.pk} | deed).status_code for deed in deeds]
    answers += [getattr(clerk, verb)(f"{PAGE}{connection.pk}/resend/").status_code for verb in ("get", "post")]

    connection.refresh_from_db()
    assert (answers, connection.is_paused, log()) == ([403] * 5, False, [])
    assert list(Push.objects.order_by("pk").values()) == before


def test_nothing_is_done_from_another_site_or_by_a_link(cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    browser = _browser(User.objects.create_superuser("boss", password="x"), enforce_csrf_checks=True)
    form = {"do": "pause", "connection": connection.pk, "reason": "x"}

    answers = [browser.post(PAGE, form), browser.post(f"{PAGE}{connection.pk}/resend/"), browser.get(PAGE, form)]

    connection.refresh_from_db()
    assert ([one.status_code for one in answers], connection.is_paused) == ([403, 403, 200], False)


@pytest.mark.parametrize("form", [{}, {"do": "delete"}, {"do": "pause"}, {"do": "pause", "connection": "x"}])
def test_deeds_that_make_no_sense_are_404(boss, cpo, ndw, form):
    factories.make_connection(cpo, ndw)

    assert boss.post(PAGE, form).status_code == 404
    assert boss.post(PAGE, form | {"do": "push", "connection": "9" * 18}).status_code == 404
    assert boss.get(f"{PAGE}{'9' * 18}/resend/").status_code == 404


# --- History -----------------------------------------------------------------------------------------------------------


def test_push_page_leads_to_all_requests_page_by_page(boss, cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    factories.put_location(cpo)
    factories.put_location(cpo, id="OTHER")
    push.drain()
    made = PushAttempt.objects.get(push=row(connection))
    for _ in range(150):
        made.pk = None
        made.save()

    page = boss.get(reverse("admin:ocpi_push_change", args=[row(connection).pk])).content.decode()
    (address,) = re.findall(r'href="([^"]*/pushattempt/\?push__id__exact=\d+)"', page)

    pages = [boss.get(f"{address}&p={number}").context["cl"].result_list for number in (1, 2)]
    assert [len(list(one)) for one in pages] == [100, 51]
    assert {attempt.push_id for one in pages for attempt in one} == {row(connection).pk}
