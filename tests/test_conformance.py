"""A strict stranger crawls: our own Sender does everything right, and every rule is broken by some other."""

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from django.core.management import CommandError, call_command

from ocpi import conformance
from ocpi.conformance import RULES, Level, Report, caller, lists
from ocpi.management.commands.check_sender import examine
from tenants import provision
from tenants.models import Tenant, Token
from tests import factories
from tests.benchmarks import stage
from tests.odd_sender import TOKEN, odd_sender, parrot


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[str]:
    """The production web server; its address."""
    with stage.web(workers=1) as address:
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


def grant() -> dict[str, str]:
    """Return the form of a new client for all tenants."""
    made = provision.credentials(None, upload=False, pull=False, oauth=True)
    client = {"client_id": made["oauth_client_id"], "client_secret": made["oauth_client_secret"]}
    return {"grant_type": "client_credentials"} | client


def test_our_token_endpoint_reads_a_form_in_chunks_unless_it_is_too_long(transactional_db, web):
    form, headers = urlencode(grant()).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    longest = form + b"&x=" + b"x" * (8192 - len(form) - 3)

    answers = [
        requests.post(f"{web}/oauth/token", data=iter(chunks), headers=headers, timeout=5)
        for chunks in ([form[:20], form[20:]], [longest], [longest, b"x"])
    ]

    said = [(answer.status_code, answer.json().get("error_description")) for answer in answers]
    assert said == [(200, None), (200, None), (400, "The form is too long.")]


def test_our_sender_is_the_same_for_an_oauth_client_of_all_tenants(transactional_db, web):
    tenant = factories.make_tenant("EXA")
    factories.put_tariff(tenant)
    fill(tenant, 5, 2)
    bearer = requests.post(f"{web}/oauth/token", data=grant(), timeout=5).json()["access_token"]

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


HOSTILE = [
    b"null",
    b"[]",
    b'{"data": 5}',
    b'{"data": [5, null, "x", [], {}]}',
    b'{"data": {"version": [], "endpoints": 5}}',
    b'{"data": {"version": "2.2.1", "endpoints": [{"identifier": [], "role": "SENDER", "url": "http://[x"}]}}',
    b'{"data": [{"version": "2.2.1", "url": "http://[x"}]}',
    b'{"data": [{"id": {}, "evses": [{"uid": [], "connectors": [{"tariff_ids": 5}, {"tariff_ids": [{}, []]}]}]}]}',
    b'{"data": [{"id": "\\ud800", "last_updated": "2026-03-02T09:15:00Z"}]}',
    b'{"data": [{"x": ' + b"[" * 600 + b"]" * 600 + b"}]}",
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"status_code": 1000, "timestamp": 5, "data": [{"country_code": "NL", "party_id": "EXA", "id": "'
    + b"x" * 10_000
    + b'"}]}',
]


@pytest.mark.parametrize("body", HOSTILE)
@pytest.mark.parametrize(
    "headers", [{}, {"X_Limit": "\u00b2", "X_Total_Count": "9" * 5000, "Link": "<http://[x>; rel=next"}]
)
def test_nothing_a_server_says_ends_the_visit(body, headers):
    enveloped = body.replace(b'{"data"', b'{"status_code": 1000, "timestamp": "2026-03-02T09:15:00Z", "data"')
    with parrot(enveloped, **headers) as address:
        report = visit(f"{address}/2.2.1/locations", most_pages=3)

    assert not report.is_sound


@pytest.mark.parametrize(
    "headers", [{"Content_Length": "99999"}, {"Content_Encoding": "gzip"}, {"Transfer_Encoding": "chunked"}]
)
def test_answer_that_is_not_whole_is_no_answer(headers):
    with parrot(b"{}", **headers) as address, pytest.raises(conformance.Unreachable):
        visit(f"{address}/versions")


def test_credential_that_a_server_repeats_is_not_shown():
    with parrot(b'{"status_code": 2000, "status_message": "<heard>", "timestamp": "<heard>"}') as address:
        report = visit(f"{address}/2.2.1/locations")

    shown = json.dumps(report.examples)
    assert "<credential>" in shown
    assert not [secret for secret in report.secrets if secret in shown]


@pytest.mark.parametrize(
    ("base", "url", "is_safe"),
    [
        ("https://h/l", "https://h/l", True),
        ("https://h/l", "http://h/l", False),
        ("http://h/l", "https://h/l", True),
        ("http://h/l", "http://h:80/l", True),
        ("http://h/l", "/l", False),
        ("http://h/l", "http:///l", False),
        ("http://h/l", "ftp://h/l", False),
        ("http://h/l", "http://h:x/l", False),
    ],
)
def test_credential_never_follows_from_https_to_http(base, url, is_safe):
    assert lists.is_safe(base, url) is is_safe


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ('<https://h/a>; rel="next"', "https://h/a"),
        ("<https://h/a>;REL=next", "https://h/a"),
        ('<https://h/a;b?c=d;e>; title="a=b"; rel="last next"', "https://h/a;b?c=d;e"),
        ('<https://h/z>; rel="prev", <https://h/a>; rel="next"; title="on"', "https://h/a"),
        ('<https://h/z>; rel="prev"', None),
        ("https://h/a", ""),
        (None, None),
    ],
)
def test_link_is_read_as_http_has_it(value, url):
    answer = caller.Answer("https://h/l", 200, {"Link": value} if value else {})

    assert lists.next_link(answer) == url


def test_list_that_grows_or_is_not_read_to_its_end_is_no_fault():
    with odd_sender(locations=40) as sender:
        report = visit(f"{sender.url}/versions", most_pages=2)

    assert broken(report) == {}


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
