"""CPOs' own Senders: found, read to the end or not at all, by the minute and by the night, and never inside our own network."""

import datetime as dt
import ipaddress
import json
import logging
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard
from django.contrib.auth.models import User
from django.db import IntegrityError, connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ocpi import crawl, fetches, imports, intake, sources, tasks
from ocpi.fetches import fetch
from ocpi.models import Import, Location, Source, Tariff
from tenants.models import Tenant, Token
from tests import factories
from tests.benchmarks import stage
from tests.cpo_sender import PACKED, TOKEN, CpoSender, cpo_sender
from tests.documents import location_body
from tests.test_admin import said, staff, text
from tests.test_ndw import _self_signed, peer

LATER = "2099-03-02T10:00:00Z"


@pytest.fixture
def sender() -> Iterator[CpoSender]:
    """The Sender of `cpo`."""
    with cpo_sender() as running:
        yield running


@pytest.fixture
def source(cpo: Tenant, sender: CpoSender) -> Source:
    """`cpo`'s Source at it, due for everything."""
    return make_source(cpo, sender.versions_url)


def make_source(tenant: Tenant, url: str, token: str = TOKEN, **fields: Any) -> Source:
    made = Source(tenant=tenant, url=url, **fields)
    made.set_token(token)
    return made


def fetched(**changes: Any) -> Source:
    """Let the worker fetch from the one Source, as changed; return it as it is then."""
    Source.objects.update(**changes)
    claimed = sources.claim()
    assert claimed is not None
    sources.run(claimed)
    return Source.objects.get()


def ids_of(one: Import) -> list[str]:
    raw = b"".join(zstandard.decompress(bytes(part.data)) for part in one.parts.order_by("number"))
    return [json.loads(line)["id"] for line in raw.splitlines() if line]


def work_off() -> None:
    while imports.work():
        pass


# --- Everything, and what changed --------------------------------------------------------------------------------------


def test_everything_is_read_page_by_page_and_handed_over_tariffs_first(source, sender):
    result = fetch(source, is_full=True)

    assert result.error == ""
    assert [one.kind for one in result.imports] == ["tariff", "location"]
    assert [one.mode for one in result.imports] == ["full", "full"]
    assert [ids_of(one) for one in result.imports] == [["T0", "T1", "T2"], ["L0", "L1", "L2", "L3", "L4"]]
    assert result.imports[0].origin == f"Everything from {sender.url.removeprefix('http://')}"
    assert str(result) == "Everything: 5 Locations, 3 Tariffs."
    assert [one.path for one in sender.asked[:3]] == ["/ocpi/versions", "/ocpi/2.2.1", "/ocpi/2.2.1/tariffs"]
    assert sender.requests("tariffs") == [{"limit": "100"}, {"limit": "2", "offset": "2"}]
    assert [one.get("offset") for one in sender.requests("locations")] == [None, "2", "4"]
    work_off()
    assert (Tariff.objects.count(), Location.objects.filter(is_shown=True).count()) == (3, 5)


def test_everything_sets_removed_what_the_sender_lacks_but_not_what_came_while_it_was_read(source, sender, cpo):
    cpo.brake_percent = 100
    cpo.save()
    fetched()
    work_off()
    sender.lists["locations"] = sender.lists["locations"][:3]

    def upload_meanwhile() -> None:
        Location.objects.filter(ocpi_id="L4").update(received_at=timezone.now())

    fetch(source, is_full=True, keep=upload_meanwhile)
    work_off()

    status = [one.document["evses"][0]["status"] for one in Location.objects.order_by("ocpi_id")]
    assert status == ["AVAILABLE", "AVAILABLE", "AVAILABLE", "REMOVED", "AVAILABLE"]


def test_changes_are_asked_for_since_the_last_good_fetch_and_five_minutes(source, sender):
    first = fetched()
    sender.lists["locations"][3]["last_updated"] = LATER
    sender.asked.clear()

    then = fetched(next_due_at=timezone.now())

    since = f"{first.locations_from - dt.timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"
    assert sender.requests("locations") == [{"date_from": since, "limit": "100"}]
    assert [one.path for one in sender.asked] == ["/ocpi/2.2.1/tariffs", "/ocpi/2.2.1/locations"]
    newest = Import.objects.latest("created_at")
    assert (newest.kind, newest.mode, ids_of(newest)) == ("location", "upsert", ["L3"])
    assert then.last_result == "Changes: 1 Locations."
    assert then.locations_from > first.locations_from


def test_no_changes_make_no_import(source, sender):
    fetched()

    then = fetched(next_due_at=timezone.now())

    assert Import.objects.count() == 2
    assert (then.last_result, then.last_error, then.failures) == ("Changes: nothing.", "", 0)
    assert 50 < (then.next_due_at - timezone.now()).total_seconds() <= 60


@pytest.mark.parametrize(
    ("behind_s", "believed"), [(90, True), (-90, False), (3 * 86_400, False)], ids=["behind", "ahead", "absurd"]
)
def test_of_two_clocks_the_slower_one_counts(source, sender, behind_s, believed):
    theirs = timezone.now().replace(microsecond=0) - dt.timedelta(seconds=behind_s)
    sender.at = f"{theirs:%Y-%m-%dT%H:%M:%SZ}".replace("+00:00", "Z")

    then = fetched()

    assert (then.locations_from == theirs) is believed
    assert then.locations_from <= timezone.now()


def test_a_list_that_moved_while_it_was_read_is_asked_for_again_from_the_same_moment(source, sender):
    before = fetched().locations_from
    for location in sender.lists["locations"]:
        location["last_updated"] = LATER
    sender.faults["locations", len(sender.requests("locations")) + 2] = (
        200, {}, sender.envelope(data=sender.lists["locations"][1:3])
    )  # fmt: skip

    then = fetched(next_due_at=timezone.now())

    assert (then.last_error, then.locations_from, then.counts["locations"]) == ("", before, 4)


@pytest.mark.parametrize("total", [9, 4], ids=["ended early", "fewer meanwhile"])
def test_changes_that_are_not_all_that_was_counted_are_asked_for_again_from_the_same_moment(source, sender, total):
    before = fetched().locations_from
    for location in sender.lists["locations"]:
        location["last_updated"] = LATER
    sender.faults["locations", len(sender.requests("locations")) + 2] = (
        200, {"X-Total-Count": str(total)}, sender.envelope(data=sender.lists["locations"][2:4])
    )  # fmt: skip

    then = fetched(next_due_at=timezone.now())

    assert (then.last_error, then.locations_from, then.counts["locations"]) == ("", before, 4)


def test_changes_that_only_a_held_full_set_has_read_are_fetched_as_changes(source, sender):
    began = timezone.now()
    sender.lists["locations"] = [location_body(id=f"L{n}") for n in range(7)]
    fetched()
    work_off()
    del sender.lists["locations"][2:]
    sender.lists["locations"][1]["last_updated"] = f"{began - dt.timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}"
    fetched(next_full_at=began, locations_from=began - dt.timedelta(hours=1))
    work_off()

    fetched(next_due_at=timezone.now())

    held, newest = Import.objects.filter(kind="location").order_by("created_at")[1:]
    assert (held.mode, held.state) == ("full", "held")
    assert (newest.mode, ids_of(newest)) == ("upsert", ["L1"])


@pytest.mark.parametrize(
    ("changes", "hours", "then_hours"),
    [({}, 1, 1), ({"every_s": 0}, 1, 0), ({}, 72, 24), ({"failures": 1}, 72, 72)],
    ids=["looks go on", "no looks", "looks that stay", "looks that failed"],
)
def test_everything_moves_the_look_for_changes_no_further_than_it_is_sure_of(
    source, sender, changes, hours, then_hours
):
    theirs = timezone.now().replace(microsecond=0) - dt.timedelta(seconds=90)
    sender.at = f"{theirs:%Y-%m-%dT%H:%M:%SZ}"

    then = fetched(locations_from=theirs - dt.timedelta(hours=hours), **changes)

    assert theirs - then.locations_from == dt.timedelta(hours=then_hours)


def test_only_what_is_wanted_is_fetched(source, sender):
    result = fetch(make_changed(source, has_tariffs=False), is_full=True)

    assert [one.kind for one in result.imports] == ["location"]
    assert sender.requests("tariffs") == []


def make_changed(source: Source, **changes: Any) -> Source:
    for name, value in changes.items():
        setattr(source, name, value)
    source.save()
    return source


def test_an_empty_list_is_everything_too(source, sender):
    sender.lists = {"locations": [], "tariffs": []}

    result = fetch(source, is_full=True)

    assert [(one.mode, one.size) for one in result.imports] == [("full", 0), ("full", 0)]


# --- Other parties -----------------------------------------------------------------------------------------------------


def test_objects_of_other_parties_are_left_out_and_told(source, sender):
    sender.lists["tariffs"][1]["party_id"] = "RIV"
    sender.lists["locations"][0]["country_code"] = "BE"
    sender.lists["locations"][1]["party_id"] = "exa"
    del sender.lists["locations"][2]["party_id"]

    result = fetch(source, is_full=True)

    assert [ids_of(one) for one in result.imports] == [["T0", "T2"], ["L1", "L2", "L3", "L4"]]
    assert str(result) == "Everything: 4 Locations, 2 Tariffs. Left out: 2 of other parties (NL-RIV, BE-EXA)."


# --- Where it is, and with which token ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/ocpi/versions", "/ocpi/2.2.1", "/ocpi", "/ocpi/"])
def test_lists_are_found_from_versions_details_or_what_stands_before(cpo, sender, path):
    versions, lists = crawl.Sender(sender.url + path, TOKEN, is_base64=True, longest_s=10).endpoints()

    assert lists == {name: f"{sender.url}/ocpi/2.2.1/{name}" for name in ("locations", "tariffs")}
    assert versions == ([] if path == "/ocpi/2.2.1" else ["2.1.1", "2.2.1"])


@pytest.mark.parametrize(("form", "header"), [("base64", f"Token {PACKED}"), ("raw", f"Token {TOKEN}")])
def test_token_goes_out_in_the_form_that_was_chosen(source, sender, form, header):
    sender.takes = {header}

    result = fetch(make_changed(source, token_form=form), is_full=True)

    assert result.error == ""
    assert {one.authorization for one in sender.asked} == {header}


def test_our_own_sender_is_a_source(transactional_db):
    cpo = factories.make_tenant("EXA")
    factories.put_tariff(cpo)
    for number in range(102):
        factories.put_location(cpo, id=f"L{number}")
    token = factories.make_token(cpo, Token.Purpose.PULL)
    with stage.web(workers=1) as address:
        source = make_source(cpo, f"{address}/ocpi/sender/NL/EXA/versions", token)

        tested, result = fetches.test(source), fetch(source, is_full=True)

    assert [line.is_good for line in tested] == [True, True, True]
    assert (result.error, result.counts) == ("", {"pages": 3, "tariffs": 1, "locations": 102})


# --- What goes wrong ---------------------------------------------------------------------------------------------------

HTML = (200, {"Content-Type": "text/html"}, b"<html>Welcome</html>")
ODD_END = {
    "status_code": 1000,
    "data": {"endpoints": [{"identifier": "tariffs", "role": "SENDER", "url": "https://[::1"}]},
}
CUT_SHORT = (200, {"Content-Length": "99", "Connection": "close"}, b"{")
EMPTY = (200, {"X-Total-Count": "5"}, {"status_code": 1000})
ERROR = {"status_code": 2001, "status_message": f"bad {TOKEN} and {PACKED}\r\nX", "timestamp": LATER}


@pytest.mark.parametrize(
    ("where", "fault", "words"),
    [
        ("/ocpi/versions", (401, {}, b""), "HTTP 401, the Sender does not know this token, or wants it in the other form."),
        ("/ocpi/versions", (403, {}, b""), "HTTP 403, the Sender knows the token but refuses it."),
        ("/ocpi/versions", (302, {"Location": "http://127.0.0.1:1/"}, b""), "HTTP 302, a redirect to http://127.0.0.1:1/; none"),
        ("/ocpi/versions", HTML, r"HTTP 200, but not JSON \(text/html, 20 bytes\)"),
        ("/ocpi/versions", (200, {}, {"data": []}), "not an OCPI envelope with a status_code"),
        ("/ocpi/versions", (200, {}, {"status_code": 1000, "data": [{"version": "2.3.0", "url": "x"}]}), "no 2.2.1 among 2.3.0."),
        ("/ocpi/versions", (200, {}, {"status_code": 1000, "data": [{"version": []}, 7]}), "Versions: no 2.2.1 among none."),
        ("/ocpi/2.2.1", (404, {}, b""), "Version details at .*/2.2.1: HTTP 404, there is nothing at this address."),
        ("/ocpi/2.2.1", (200, {}, {"status_code": 1000, "data": {"endpoints": []}}), "no list of tariffs as SENDER"),
        ("/ocpi/2.2.1", (200, {}, ODD_END), "Version details: leads to what is not a URL"),
        ("/ocpi/2.2.1", (200, {}, {"status_code": 1000, "data": 7}), "neither versions nor version details"),
        (("tariffs", 1), (200, {}, ERROR), "Tariffs, page 1 at .*: HTTP 200, but OCPI 2001 bad … and … X."),
        (("locations", 2), (500, {}, b"oops"), r"Locations, page 2 at .*offset=2.*: HTTP 500\."),
        (("locations", 2), (200, {}, {"status_code": 3000}), "Locations, page 2 at .*: HTTP 200, but OCPI 3000."),
        (("locations", 2), (200, {}, {"status_code": 900, "data": []}), "HTTP 200, but OCPI 900."),
        (("locations", 2), (200, {}, {"status_code": 1000, "data": {}}), "Locations, page 2: data is no list."),
        (("locations", 2), (200, {}, b'{"status_code": 1000, "data": [{"id": "L2"}'), "Locations, page 2 at .* but not JSON"),
        (("locations", 2), (200, {}, b'{"status_code": 1000, "data": [{"id": NaN}]}'), "Locations, page 2 at .* but not JSON"),
        (("locations", 2), (200, {}, b"[" * 2000), "Locations, page 2 at .* but not JSON"),
        (("locations", 2), (200, {}, {"status_code": 2001, "status_message": "a\ud83db"}), "OCPI 2001 a b.$"),
        (("locations", 2), CUT_SHORT, "Locations, page 2: no usable answer: .*98 more expected"),
        (("locations", 2), (200, {"Content-Encoding": "gzip"}, b"no gzip"), "Locations, page 2: no usable answer"),
        (("locations", 2), EMPTY, "Locations: 2 different objects came where X-Total-Count says 5"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_in_a_sentence_and_nothing_is_handed_over(source, sender, where, fault, words):
    sender.faults[where] = fault

    result = fetch(source, is_full=True)

    assert re.search(words, result.error), result.error
    assert TOKEN not in result.error
    assert PACKED not in result.error
    assert (result.imports, Import.objects.count()) == ([], 0)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("http://127.0.0.1:1{path}?{query}", "Link leads to another scheme, host or port than .*: http://127.0.0.1:1/"),
        ("https://cpo.example{path}?{query}", "Link leads to another scheme, host or port"),
        ("//evil.example{path}?{query}", "Link leads to another scheme, host or port"),
        ("http://[::1{path}", "leads to what is not a URL"),
        ("{url}{path}?limit=100", "Link leads in a circle"),
    ],
)
def test_link_may_lead_to_no_other_host_and_in_no_circle(source, sender, link, words):
    sender.link = link

    result = fetch(source, is_full=True)

    assert re.search(words, result.error), result.error
    assert Import.objects.count() == 0


def test_link_that_leads_elsewhere_than_on_is_the_end(source, sender):
    headers = {"Link": f'<{sender.url}/nextcharge>; rel="first"', "X-Total-Count": "3"}
    sender.faults["tariffs", 1] = (200, headers, sender.envelope(data=sender.lists["tariffs"]))

    assert fetch(source, is_full=True).counts["tariffs"] == 3


def test_link_that_cannot_be_read_is_not_the_end(source, sender):
    headers = {"Link": f'{sender.url}/ocpi/2.2.1/tariffs?offset=2; rel="next"'}
    sender.faults["tariffs", 1] = (200, headers, sender.envelope(data=sender.lists["tariffs"][:2]))

    assert "Tariffs, page 1: Link cannot be read: http" in fetch(source, is_full=True).error


@pytest.mark.parametrize("odd", ["null", '"x"', "[1]", '{"data": 1, "id": "A"}'])
def test_an_odd_object_at_the_beginning_is_refused_alone(source, sender, odd):
    sender.lists["tariffs"][0] = json.loads(odd)

    fetched(has_locations=False)
    work_off()

    assert [tariff.ocpi_id for tariff in Tariff.objects.order_by("ocpi_id")] == ["T1", "T2"]


def test_a_relative_link_is_followed(source, sender):
    sender.link = "?{query}"

    assert fetch(source, is_full=True).counts["locations"] == 5


@pytest.mark.parametrize(
    "link",
    [
        "<{to}>; rel=next",
        '<{to}>; Rel="NEXT"',
        '<{url}/>; rel="prev", <{to}>; title=x; rel="last next"',
        "<{to}>;rel='next'",
    ],
)
def test_link_is_read_as_it_may_be_written(source, sender, link):
    to = f"{sender.url}/ocpi/2.2.1/tariffs?a=1;b&offset=2"
    headers = {"X-Total-Count": "3", "Link": link.format(to=to, url=sender.url)}
    sender.faults["tariffs", 1] = (200, headers, sender.envelope(data=sender.lists["tariffs"][:2]))

    assert fetch(source, is_full=True).counts["tariffs"] == 3


def test_a_custom_success_is_success(source, sender):
    sender.faults["tariffs", 1] = (200, {}, sender.envelope(1900, sender.lists["tariffs"]))

    result = fetch(source, is_full=True)

    assert (result.error, result.counts["tariffs"]) == ("", 3)


def test_an_envelope_may_begin_with_what_is_the_senders_own(source, sender):
    sender.faults["tariffs", 1] = (200, {}, {"trace": {"id": 7}} | sender.envelope(data=sender.lists["tariffs"][:1]))

    result = fetch(source, is_full=True)

    assert (result.error, ids_of(result.imports[0])) == ("", ["T0"])


@pytest.mark.parametrize("odd", [r'"\ud83d"', "1e400", "9" * 5000], ids=["half a character", "infinite", "long"])
def test_an_object_that_no_reader_takes_is_refused_alone(source, sender, odd):
    tariffs = json.dumps(sender.envelope(data=sender.lists["tariffs"]))
    sender.faults["tariffs", 1] = (200, {}, tariffs.replace('"T1"', f'"T1", "odd": {odd}').encode())

    fetched(has_locations=False)
    work_off()

    one = Import.objects.get()
    assert (one.state, one.counts["created"], one.counts["refused"]) == ("done", 2, 1)
    assert [tariff.ocpi_id for tariff in Tariff.objects.order_by("ocpi_id")] == ["T0", "T2"]


@pytest.mark.parametrize("total", [4, 6])
def test_a_list_that_is_not_as_long_as_it_says_is_not_everything(source, sender, total):
    sender.total = total

    assert f"3 different objects came where X-Total-Count says {total}" in fetch(source, is_full=True).error


def test_an_object_that_comes_twice_means_that_another_was_missed(source, sender):
    sender.lists["locations"][4] = sender.lists["locations"][0]

    assert "Locations: 4 different objects came where X-Total-Count says 5" in fetch(source, is_full=True).error


def test_too_much_is_too_much(source, sender, settings):
    settings.IMPORT_MAX_BYTES = 2000

    assert "more than 2,000 bytes in all" in fetch(source, is_full=True).error
    assert Import.objects.count() == 0


def test_a_page_without_end_is_cut_off(source, sender, monkeypatch):
    monkeypatch.setattr(crawl, "LARGEST_PAGE", 100_000)
    sender.faults["tariffs", 1] = (200, {}, b" " * 200_000)

    assert "more than 0 MiB in one answer" in fetch(source, is_full=True).error


def test_a_certificate_nobody_vouches_for_is_told(cpo, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    with peer(b"", tls=context) as server:
        source = make_source(cpo, server.url.replace("http:", "https:"))

        result = fetch(source, is_full=True)

    assert result.error == "Versions: TLS fails: self-signed certificate."
    assert server.heard == b""


def test_what_nobody_foresaw_is_a_failure_too(source, sender, monkeypatch):
    monkeypatch.setattr(intake, "documents", None)

    then = fetched()

    assert (then.last_error, then.failures) == ("Internal error; it has been logged.", 1)


def test_failure_waits_longer_each_time_and_everything_a_quarter_of_an_hour(source, sender, caplog):
    sender.faults["/ocpi/versions"] = (500, {}, b"")
    pauses = []
    for failures in range(6):
        then = fetched(next_full_at=timezone.now(), failures=failures)
        pauses.append(round((then.next_due_at - then.last_finished_at).total_seconds()))

    assert pauses == [60, 120, 240, 480, 900, 900]
    assert (then.failures, then.next_full_at - then.last_finished_at) == (6, dt.timedelta(minutes=15))
    assert "HTTP 500" in then.last_error
    assert (then.last_result, then.lease_until, then.lease_token) == ("", None, None)
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_sender_that_asks_for_rest_gets_it(source, sender):
    sender.faults["/ocpi/versions"] = (429, {"Retry-After": "300"}, b"")

    then = fetched()

    assert (then.next_due_at - then.last_finished_at).total_seconds() == 300
    assert "HTTP 429, asked too often." in then.last_error


def test_success_forgets_failures(source, sender):
    then = fetched(failures=4, last_error="x")

    assert (then.failures, then.last_error, then.last_result) == (0, "", "Everything: 5 Locations, 3 Tariffs.")
    assert then.counts == {"pages": 5, "tariffs": 3, "locations": 5}
    assert then.took == then.last_finished_at - then.last_started_at


# --- When --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "night"),
    [
        ("2026-06-01T00:00:00+00:00", "2026-06-01T00:30:00+00:00"),
        ("2026-06-01T01:00:00+00:00", "2026-06-02T00:30:00+00:00"),
        ("2026-12-01T23:30:00+00:00", "2026-12-02T01:30:00+00:00"),
        ("2026-03-28T12:00:00+00:00", "2026-03-29T01:30:00+00:00"),
        ("2026-10-24T12:00:00+00:00", "2026-10-25T00:30:00+00:00"),
    ],
)
def test_night_is_by_the_clock_on_the_wall(now, night):
    found = sources.next_night(Source(full_at=dt.time(2, 30)), dt.datetime.fromisoformat(now))

    assert found == dt.datetime.fromisoformat(night)


def test_due_are_active_ones_whose_time_has_come_and_nobody_holds(source):
    now, past, future = (
        timezone.now(),
        timezone.now() - dt.timedelta(minutes=1),
        timezone.now() + dt.timedelta(minutes=1),
    )
    cases = [
        ({"next_full_at": past}, True),
        ({"next_full_at": future}, False),
        ({"next_full_at": future, "next_due_at": past}, True),
        ({"next_full_at": past, "is_active": False}, False),
        ({"next_full_at": past, "lease_until": future}, False),
        ({"next_full_at": past, "lease_until": past}, True),
    ]
    clean = {"next_due_at": None, "is_active": True, "lease_until": None, "next_full_at": now}

    found = [Source.objects.update(**clean | changes) and sources.due().exists() for changes, _ in cases]

    assert found == [is_due for _, is_due in cases]
    Tenant.objects.update(is_active=False)
    assert not sources.due().exists()


def test_claimed_is_claimed_once_and_free_again_when_the_lease_has_run_out(source):
    first, second = sources.claim(), sources.claim()
    Source.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    third = sources.claim()

    assert (first, second, third) == (source, None, source)
    assert third.lease_token != first.lease_token
    assert not sources.record(first, fetches.Result(is_full=True))
    assert Source.objects.get().last_finished_at is None
    assert sources.record(third, fetches.Result(is_full=True))


def test_a_fetch_whose_lease_is_lost_hands_over_nothing(source, sender, monkeypatch):
    monkeypatch.setattr(sources, "KEEP_EVERY_S", -1)
    claimed = sources.claim()
    Source.objects.update(lease_token=None)

    assert sources.run(claimed) is None
    assert Import.objects.count() == 0
    assert sender.requests("tariffs") == [{"limit": "100"}]


def test_nightly_only_is_not_due_in_between(source):
    then = fetched(every_s=0)

    assert then.next_due_at is None
    assert then.next_full_at > timezone.now()


def test_task_fetches_from_all_that_are_due_in_threads(transactional_db):
    with cpo_sender() as one, cpo_sender() as other:
        make_source(factories.make_tenant("EXA"), one.versions_url)
        make_source(factories.make_tenant("RIV"), other.versions_url)
        other.faults["/ocpi/versions"] = (500, {}, b"")

        assert tasks.fetch_sources() == 2

    assert [(str(one.tenant), one.failures, one.lease_until) for one in Source.objects.all()] == [
        ("NL-EXA", 0, None), ("NL-RIV", 1, None),
    ]  # fmt: skip
    assert tasks.fetch_sources() == 0
    connections.close_all()


def test_one_process_at_a_time_fetches(source):
    other = make_source(factories.make_tenant("RIV"), "http://127.0.0.1:9/versions")
    Source.objects.filter(pk=source.pk).update(lease_until=timezone.now() + dt.timedelta(minutes=1))

    assert sources.work() == 0
    other.refresh_from_db()
    assert other.last_started_at is None


def test_one_source_a_tenant(source, cpo):
    with pytest.raises(IntegrityError, match="source_one_per_tenant"):
        make_source(cpo, "https://other.example/versions")


# --- Where it may go ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1",
     "64:ff9b::7f00:1", "fe80::1", "fd00::1"],
)  # fmt: skip
def test_a_name_that_leads_inside_at_connect_is_not_connected_to(source, monkeypatch, address):
    connected = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **named: [(0, 0, 0, "", (address, 443))])
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))
    source = make_changed(source, url="https://cpo.example/versions")

    result = fetch(source, is_full=True)

    where = ipaddress.ip_address(address)
    assert result.error == f"Versions: cpo.example is at {where}, which is not a public address."
    assert connected == []


def test_a_resolver_that_answers_otherwise_the_next_time_changes_nothing(source, monkeypatch):
    answers, connected = iter(["93.184.216.34", "127.0.0.1"]), []

    def connect(self: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *given, **named: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host if host[0] in "19" else next(answers), 443))
        ]
    )  # fmt: skip
    monkeypatch.setattr(socket.socket, "connect", connect)
    source = make_changed(source, url="https://cpo.example/versions")

    errors = [fetch(source, is_full=True).error for _ in range(2)]

    assert errors == [
        "Versions: no usable answer: Connection refused.",
        "Versions: cpo.example is at 127.0.0.1, which is not a public address.",
    ]
    assert connected == [("93.184.216.34", 443)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["/ocpi/versions", ("tariffs", 1)])
def test_no_redirect_is_followed(source, sender, status, where):
    with cpo_sender() as inside:
        sender.faults[where] = (status, {"Location": f"{inside.url}/ocpi/versions"}, b"")

        result = fetch(source, is_full=True)

    assert f"HTTP {status}, a redirect to" in result.error
    assert inside.asked == []


def test_a_sender_leads_to_no_exception(cpo, sender, settings):
    with cpo_sender("127.0.0.2") as inside:
        settings.SOURCE_ALLOWED_HOSTS = ["127.0.0.1", "127.0.0.2"]
        ends = [{"identifier": "tariffs", "role": "SENDER", "url": f"{inside.url}/ocpi/2.2.1/tariffs"}]
        sender.faults["/ocpi/2.2.1"] = (200, {}, sender.envelope(data={"endpoints": ends}))

        result = fetch(make_source(cpo, sender.versions_url, has_locations=False), is_full=True)

    assert re.fullmatch(r"Tariffs, page 1: http://127\.0\.0\.2:\d+: not https\.", result.error)
    assert inside.asked == []


def test_a_host_that_is_listed_no_more_is_not_called(source, sender, settings):
    settings.SOURCE_ALLOWED_HOSTS = []

    result = fetch(source, is_full=True)

    assert re.fullmatch(r"Versions: http://127\.0\.0\.1:\d+: not https\.", result.error)
    assert sender.asked == []


# --- Test now, and the admin -------------------------------------------------------------------------------------------


def test_test_says_what_works(source, sender):
    lines = fetches.test(source)

    assert [tuple(line) for line in lines] == [
        (True, "Versions: 2.1.1, 2.2.1. Version details of 2.2.1: locations, tariffs as SENDER."),
        (True, "Tariffs: 3 there, the first is T0 of NL-EXA."),
        (True, "Locations: 5 there, the first is L0 of NL-EXA."),
    ]
    assert sender.requests("locations") == [{"limit": "1"}]
    assert Import.objects.count() == 0


def test_test_shows_no_half_character(source, sender):
    sender.lists["tariffs"][0] |= {"party_id": "R\ud83d", "id": "T\ud83d"}

    words = fetches.test(source)[1].words

    assert words == "Tariffs: the first, T, is of NL-R and not of NL-EXA; only the tenant's own are taken."


def test_test_says_what_does_not(source, sender):
    sender.lists["tariffs"][0]["party_id"] = "RIV"
    sender.faults["locations", 1] = (403, {}, b"")

    lines = fetches.test(source)

    assert [line.is_good for line in lines] == [True, False, False]
    assert lines[1].words == "Tariffs: the first, T0, is of NL-RIV and not of NL-EXA; only the tenant's own are taken."
    assert "HTTP 403" in lines[2].words


@pytest.fixture
def boss(db: None) -> Client:
    """A superuser's browser."""
    browser = Client()
    browser.force_login(User.objects.create_superuser("boss", password="x"))
    return browser


def page(name: str, *args: object) -> str:
    return reverse(f"admin:ocpi_source_{name}", args=args)


def form(tenant: Tenant, url: str, **changes: Any) -> dict[str, Any]:
    given = {"tenant": tenant.pk, "url": url, "token": TOKEN, "token_form": "base64", "is_active": "on"}
    return given | {"has_tariffs": "on", "has_locations": "on", "every_s": "60", "full_at": "02:30"} | changes


def test_admin_source_is_made_and_its_token_never_comes_out(boss, cpo, sender):
    response = boss.post(page("add"), form(cpo, sender.versions_url))

    source = Source.objects.get()
    assert response.status_code == 302
    assert source.token == TOKEN
    for address in (page("changelist"), page("change", source.pk), page("history", source.pk)):
        shown = boss.get(address).content.decode()
        assert TOKEN not in shown
        assert source.token_sealed not in shown


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"url": "http://127.0.0.2:8000/"}, "url", "not https."),
        ({"url": "https://127.0.0.2/"}, "url", "not a public host name or address."),
        ({"url": "https://169.254.169.254/latest/"}, "url", "not a public host name or address."),
        ({"url": "https://cpo.example:22/"}, "url", "not port 443"),
        ({"url": "https://us:pw@cpo.example/"}, "url", "no user name, password or #"),
        ({"token": ""}, "token", "A new source needs its token."),
        ({"token": "two words"}, "token", "Printable ASCII without spaces."),
        ({"token": "a\nb: c"}, "token", "Printable ASCII without spaces."),
        ({"every_s": "10"}, "every_s", "0, or 30 to 86400 seconds."),
        ({"has_tariffs": "", "has_locations": ""}, "__all__", "Choose Locations, Tariffs or both."),
    ],
)
def test_admin_source_must_be_one_we_may_call(boss, cpo, changes, field, words):
    response = boss.post(page("add"), form(cpo, "http://127.0.0.1:9/versions") | changes)

    assert words in str(response.context["adminform"].form.errors[field])
    assert Source.objects.count() == 0


def test_admin_source_changed_starts_over_and_keeps_its_token(boss, cpo, sender, source):
    fetched()
    held = timezone.now() + dt.timedelta(minutes=1)
    Source.objects.update(lease_until=held, lease_token="00000000-0000-0000-0000-000000000001")

    boss.post(page("change", source.pk), form(cpo, f"{sender.url}/ocpi", token=""))

    source.refresh_from_db()
    assert (source.url, source.token) == (f"{sender.url}/ocpi", TOKEN)
    assert (source.endpoints, source.locations_from, source.lease_token) == ({}, None, None)
    assert source.next_full_at <= timezone.now()


def test_admin_source_changed_in_pace_only_goes_on(boss, cpo, sender, source):
    before = fetched()

    boss.post(page("change", source.pk), form(cpo, source.url, token="", every_s="0", full_at="04:00"))

    source.refresh_from_db()
    assert (source.next_due_at, source.locations_from) == (None, before.locations_from)
    assert timezone.localtime(source.next_full_at).hour == 4


def test_admin_test_now_shows_what_works(boss, sender, source):
    response = boss.post(page("test_this", source.pk), {"_form_submitted": "True"}, follow=True)

    assert said(response)[1:] == [
        "Tariffs: 3 there, the first is T0 of NL-EXA.",
        "Locations: 5 there, the first is L0 of NL-EXA.",
    ]


@pytest.mark.parametrize(("button", "full"), [("fetch_changes_of_this", False), ("fetch_everything_of_this", True)])
def test_admin_fetch_now_makes_it_due(boss, sender, source, button, full):
    fetched()
    assert not sources.due().exists()

    response = boss.post(page(button, source.pk), {"_form_submitted": "True"}, follow=True)

    assert said(response) == ["1 will be fetched within seconds."]
    assert sources.due().get() == source
    assert (Source.objects.get().next_full_at <= timezone.now()) is full


def test_admin_fetch_now_says_which_are_off(boss, source):
    Source.objects.update(is_active=False)

    response = boss.post(page("changelist"), {"action": "fetch_changes", "_selected_action": [source.pk]}, follow=True)

    assert said(response) == ["0 will be fetched within seconds.", "1 are switched off: not fetched."]


def test_admin_buttons_are_for_who_may_change(source, sender):
    clerk = staff("ocpi.view_source")

    answers = [
        clerk.post(page(name, source.pk), {"_form_submitted": "True"}).status_code
        for name in ("test_this", "fetch_changes_of_this", "fetch_everything_of_this")
    ]

    assert answers == [403, 403, 403]
    assert sender.asked == []
    assert TOKEN not in clerk.get(page("change", source.pk)).content.decode()


def test_admin_shows_how_the_last_fetch_went(boss, sender, source):
    fetched()
    sender.faults["tariffs", len(sender.requests("tariffs")) + 1] = (500, {}, b"<script>")
    fetched(next_due_at=timezone.now())

    shown = text(boss.get(page("changelist")))

    assert "failing" in shown
    assert "Everything: 5 Locations, 3 Tariffs." in shown
    assert "HTTP 500. (1 in a row)" in shown
