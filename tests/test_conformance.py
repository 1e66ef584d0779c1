"""A strict stranger crawls: our own Sender does everything right, and every rule is broken by some other."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command

from ocpi import conformance
from ocpi.conformance import RULES, Level, Report
from ocpi.management.commands.check_sender import examine
from tenants import provision
from tenants.models import Tenant, Token
from tests import factories
from tests.benchmarks import stage
from tests.odd_sender import TOKEN, odd_sender


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[str]:
    """The production web server; its address."""
    with stage.web() as address:
        yield address


def broken(report: Report) -> dict[str, list[str]]:
    return {name: report.examples[name] for name in report.broken if report.broken[name]}


def not_seen(report: Report) -> set[str]:
    return {name for name in RULES if report.state(name) == "not seen"}


def visit(url: str, token: str = TOKEN, **options: Any) -> Report:
    return conformance.check_sender(conformance.Sender(url, token), examine=examine, **options)


def fill(tenant: Tenant, locations: int, tariffs: int) -> None:
    """Upload so many; times differ, so that filters cut."""
    for number in range(tariffs):
        factories.put_tariff(tenant, id=f"T{number}", last_updated=f"2026-03-01T00:00:{number:02}.125Z")
    if locations and not tariffs:
        factories.put_tariff(tenant)
    for number in range(locations):
        factories.put_location(tenant, id=f"L {number}*", last_updated=f"2026-03-03T00:00:{number:02}Z")


# --- Ours --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("locations", "tariffs", "limit"),
    [(0, 0, None), (1, 1, None), (1, 3, 1), (3, 1, 3), (7, 4, 3), (6, 9, 3), (12, 2, None)],
)
def test_our_sender_breaks_no_rule(transactional_db, web, locations, tariffs, limit):
    tenant = factories.make_tenant("EXA")
    factories.put_tariff(tenant, last_updated="2026-02-01T00:00:00Z") if locations else None
    fill(tenant, locations, tariffs)
    token = factories.make_token(tenant, Token.Purpose.PULL)

    report = visit(f"{web}/ocpi/sender/NL/EXA/versions", token, limit=limit)

    assert broken(report) == {}
    assert report.objects == {"locations": locations, "tariffs": tariffs + bool(locations)}
    if min(locations, tariffs + 1) > 1:
        assert not_seen(report) == set()


def test_our_sender_is_the_same_for_an_oauth_client_of_all_tenants(transactional_db, web):
    tenant = factories.make_tenant("EXA")
    factories.put_tariff(tenant)
    fill(tenant, 5, 2)
    client = provision.credentials(None, upload=False, pull=False, oauth=True)
    form = {"grant_type": "client_credentials"} | {
        "client_id": client["oauth_client_id"],
        "client_secret": client["oauth_client_secret"],
    }
    bearer = requests.post(f"{web}/oauth/token", data=form, timeout=5).json()["access_token"]

    sender = conformance.Sender(f"{web}/ocpi/sender/NL/EXA/versions", bearer=bearer)
    report = conformance.check_sender(sender, limit=2)

    assert (broken(report), report.objects) == ({}, {"locations": 5, "tariffs": 3})


# --- Others ------------------------------------------------------------------------------------------------------------


def test_sender_that_does_everything_right_is_sound():
    with odd_sender() as sender:
        report = visit(f"{sender.url}/versions")

    assert broken(report) == {}
    assert not_seen(report) == set()


@pytest.mark.parametrize("fault", sorted(RULES))
def test_each_rule_is_told_when_it_is_broken(fault):
    with odd_sender(fault) as sender:
        report = visit(f"{sender.url}/versions")

    assert report.broken[fault], broken(report)
    if RULES[fault].level is Level.MUST:
        assert not report.is_sound
    elif set(broken(report)) == {fault}:
        assert report.is_sound


@pytest.mark.parametrize(("path", "module"), [("/2.2.1/locations", "locations"), ("/2.2.1/tariffs?limit=2", "tariffs")])
def test_a_single_list_can_be_visited(path, module):
    with odd_sender() as sender:
        report = visit(sender.url + path)

    assert (broken(report), list(report.objects)) == ({}, [module])


# --- The command -------------------------------------------------------------------------------------------------------


def told(fault: str, *arguments: str) -> tuple[str, int]:
    """Return what the command prints about a Sender, and its exit code."""
    out, code = io.StringIO(), 0
    with odd_sender(fault) as sender:
        try:
            call_command(
                "check_sender", f"{sender.url}/versions", "--token", TOKEN, *arguments, stdout=out, stderr=io.StringIO()
            )
        except SystemExit as stop:
            code = int(stop.code or 0)
    return out.getvalue(), code


def test_command_gives_a_verdict_a_person_can_read():
    good, bad, poor = told(""), told("once"), told("slash")

    assert (good[1], bad[1], poor[1]) == (0, 1, 0)
    assert good[0].startswith("Seen: 6 locations, 5 tariffs, 4 pages, in ")
    assert good[0].endswith("\n\nEvery rule that peers rely on is kept.\n")
    assert "\nBROKEN    once: No object comes twice. (2 of 13; OCPI 2.2.1 transport_and_format, Pagination)\n" in bad[0]
    assert "/2.2.1/locations?offset=4&limit=4&next=1: l3\n" in bad[0]
    assert bad[0].endswith("rules are broken that peers rely on: they may lose data, or stop.\n")
    assert poor[0].endswith("Every rule that peers rely on is kept. 1 pieces of advice.\n")


def test_command_gives_a_verdict_a_script_can_read():
    said = json.loads(told("once", "--format", "json", "--limit", "2")[0])

    by_rule = {one["rule"]: one for one in said["rules"]}
    assert (said["sound"], by_rule["once"]["state"], by_rule["json"]["state"]) == (False, "broken", "kept")
    assert by_rule["once"]["broken"] == 4


def test_command_says_that_there_is_no_answer():
    with pytest.raises(CommandError, match=r"No answer: http://127.0.0.1:9/versions: ConnectionError"):
        call_command("check_sender", "http://127.0.0.1:9/versions", "--token", TOKEN)
    with pytest.raises(CommandError, match="Give --token, or --token-url"):
        call_command("check_sender", "http://127.0.0.1:9/versions")
