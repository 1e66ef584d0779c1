"""`manage.py push …`: what it prints, what it does, what it refuses."""

import pytest
from django.core.management import CommandError

from ocpi import push
from ocpi.models import Push, PushAttempt
from tenants.models import Connection
from tests import factories
from tests.pushing import claim, end_leases, rename, row, sent, tariff_row
from tests.test_commands import lines, run

HOSTILE = "\x1b[31m<b>"


@pytest.fixture
def connection(cpo, ndw) -> Connection:
    """A Connection over which NDW has a Tariff and LOC-0001 and has rejected two others; one more is withheld."""
    made = factories.make_connection(cpo, ndw)
    factories.put_tariff(cpo)
    factories.put_location(cpo)
    push.drain()
    for name in ("BAD-1", "BAD-2"):
        ndw.fail_next("ocpi", status_code=2001, status_message=f"EVSE '{name}' of {name} is not known")
        factories.put_location(cpo, id=name)
        push.drain()
    factories.put_location(cpo, id="GAPS", energy_mix=None)
    ndw.received.clear()
    return made


def states() -> dict[str, str]:
    return {one.target.ocpi_id: one.state for one in Push.objects.order_by("pk")}


# --- waiting -----------------------------------------------------------------------------------------------------------


def test_waiting_names_causes_with_counts(cpo, rival, connection):
    factories.connect_to_nowhere(rival)
    factories.put_location(rival)

    printed = [line.split(" ") for line in lines(run("push", "waiting"))]

    assert [(*line[:5], " ".join(line[7:])) for line in printed[1:3]] == [
        ("NL-EXA", "withheld", "1", *printed[1][3:5], " ".join(printed[1][7:])),
        ("NL-EXA", "→", "staging", "rejected", "2", " ".join(printed[2][7:])),
    ]
    assert [" ".join(line).partition(":")[0] for line in printed[:1]] == ["connection state objects since because"]
    assert " ".join(printed[1]).endswith("energy_mix missing")
    assert " ".join(printed[2]).endswith("OCPI 2001: EVSE … of … is not known")
    assert " ".join(printed[3]).startswith("NL-RIV → staging blocked 1 ")
    assert " ".join(printed[3]).endswith("goes nowhere")
    assert len(lines(run("push", "waiting", "nl-exa"))) == 3


def test_waiting_of_a_gateway_without_anything(db):
    assert run("push", "waiting") == "Nothing waits: NDW has accepted everything it shall have.\n"


def test_waiting_cannot_steer_the_terminal(cpo):
    factories.connect_to_nowhere(cpo)
    factories.put_location(cpo)
    Connection.objects.update(pause_reason=HOSTILE)

    printed = run("push", "waiting")

    assert ("\x1b" in printed, "�[31m<b>" in printed) == (False, True)


# --- resend ------------------------------------------------------------------------------------------------------------


def test_resend_rejected(connection, ndw):
    assert run("push", "resend", "NL-EXA", "--rejected") == "NL-EXA → staging: 2 will be sent again\n"

    push.drain()
    assert sorted(sent(ndw)) == [("PUT", "/locations/NL/EXA/BAD-1"), ("PUT", "/locations/NL/EXA/BAD-2")]
    assert set(states().values()) == {"delivered"}


@pytest.mark.parametrize(
    ("option", "name", "path"),
    [("--location", "loc-0001", "/locations/NL/EXA/LOC-0001"), ("--tariff", "adhoc-1", "/tariffs/NL/EXA/ADHOC-1")],
)
def test_resend_one_object(connection, ndw, option, name, path):
    printed = run("push", "resend", "nl-exa", option, name, "--environment", "staging")

    assert printed.startswith("NL-EXA → staging: ")
    assert printed.endswith("will be sent again\n")
    push.drain()
    assert sent(ndw) == [("PUT", path)]


def test_resend_all_goes_behind_what_changes(cpo, connection, ndw):
    assert run("push", "resend", "NL-EXA", "--all") == "NL-EXA → staging: 4 will be sent again\n"

    assert {one.priority for one in Push.objects.all()} == {Push.Priority.BACKLOG}
    rename(cpo, "Stadsplein", "BAD-2")
    assert row(connection, "BAD-2").priority == Push.Priority.LOCATION
    assert [one.ocpi_id for one in claim(connection, 1)] == ["BAD-2"]
    end_leases(connection)
    push.drain()
    assert (len(sent(ndw)), set(states().values())) == (4, {"delivered"})


def test_resend_while_paused_says_so(connection):
    connection.pause("maintenance")

    printed = run("push", "resend", "NL-EXA", "--rejected")

    assert printed == "NL-EXA → staging: 2 will be sent again once it is resumed (paused: maintenance)\n"


def test_resend_touches_no_other_tenant(cpo, rival, connection, ndw):
    factories.make_connection(rival, ndw)
    factories.put_location(rival)
    push.drain()

    run("push", "resend", "NL-EXA", "--all")

    assert {one.state for one in Push.objects.filter(tenant=rival)} == {"delivered"}


def test_resend_does_not_send_what_gaps_withhold(cpo, connection):
    Push.objects.filter(location__ocpi_id="BAD-1").get().target.__class__.objects.filter(ocpi_id="BAD-1").update(
        is_shown=False
    )

    assert "1 will be sent again" in run("push", "resend", "NL-EXA", "--rejected")
    assert "is withheld" in run("push", "resend", "NL-EXA", "--location", "BAD-1")
    assert row(connection, "BAD-1").state == "rejected"


# --- pause and resume --------------------------------------------------------------------------------------------------


def test_pause_and_resume(cpo, connection, ndw):
    production = factories.make_connection(cpo, ndw, "production")

    assert run("push", "pause", "NL-EXA", "--reason", "NDW moves", "--environment", "staging") == (
        "NL-EXA → staging: paused; changes go on being noted\n"
    )
    connection.refresh_from_db()
    production.refresh_from_db()
    assert (connection.pause_reason, connection.is_paused, production.is_paused) == ("NDW moves", True, False)
    assert lines(run("push", "pause", "NL-EXA", "--reason", "again")) == [
        "NL-EXA → production: paused; changes go on being noted",
        "NL-EXA → staging: paused already (NDW moves)",
    ]
    assert lines(run("push", "resume", "NL-EXA")) == [
        "NL-EXA → production: resumed; 0 wait",
        "NL-EXA → staging: resumed; 0 wait",
    ]
    assert set(Connection.objects.values_list("is_paused", "pause_reason")) == {(False, "")}


@pytest.mark.parametrize("arguments", [(), ("--reason", " ")])
def test_pause_needs_a_reason(connection, arguments):
    with pytest.raises(CommandError, match="reason"):
        run("push", "pause", "NL-EXA", *arguments)
    assert Connection.objects.get().is_paused is False


# --- history and reconcile ---------------------------------------------------------------------------------------------


def test_history_is_every_request_newest_first(cpo, connection, ndw):
    rename(cpo, "Stadsplein", "BAD-1")
    push.drain()

    printed = lines(run("push", "history", "NL-EXA", "--location", "bad-1"))

    assert printed[0] == "sent environment method outcome HTTP OCPI took answer"
    assert [" ".join(line.split()[2:7]) for line in printed[1:3]] == [
        "staging PUT delivered 201 1000",
        "staging PUT rejected 200 2001",
    ]
    assert "EVSE 'BAD-1' of BAD-1 is not known" in printed[2]
    assert printed[3:] == ["2 requests"]


def test_history_cannot_steer_the_terminal(connection):
    PushAttempt.objects.update(answer=HOSTILE)

    assert "\x1b" not in run("push", "history", "NL-EXA", "--tariff", "ADHOC-1")


def test_reconcile_does_the_nights_work_now(connection):
    Push.objects.filter(tariff__isnull=False).update(accepted_version=0)

    assert run("push", "reconcile", "NL-EXA") == "0 were missing, 1 will be sent again within an hour\n"
    assert tariff_row(connection).state == "dirty"
    assert run("push", "reconcile") == "0 were missing, 0 will be sent again within an hour\n"


# --- What it refuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("waiting", "NL-XXX"), "No such party: NL-XXX. Known: NL-EXA."),
        (("resend", "NL-XXX", "--all"), "Known: NL-EXA."),
        (("resume", "NL-EXA", "--environment", "production"), "no such Connection. Known: staging."),
        (("resend", "NL-EXA", "--location", "NONE"), "no location NONE. The latest: GAPS, BAD-2, BAD-1, LOC-0001."),
        (("history", "NL-EXA", "--tariff", "NONE"), "no tariff NONE. The latest: ADHOC-1."),
        (("resend", "NL-EXA", "--location", "GAPS"), "has location GAPS, but it was never to be sent"),
        (("resend", "NL-EXA"), "one of the arguments"),
        (("resend", "NL-EXA", "--all", "--rejected"), "not allowed with"),
        ((), "SUBCOMMAND"),
    ],
)
def test_push_refuses_and_names_what_is_known(connection, arguments, words):
    before = states()

    with pytest.raises(CommandError) as raised:
        run("push", *arguments)

    assert words in str(raised.value)
    assert states() == before
