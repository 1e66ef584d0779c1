"""The minute: figures by day and Connection, what waits longest and why, the alarm, the proof of a month."""

import csv
import datetime as dt
import io
import logging
import os
import re
import signal
import threading
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.db import connections
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from ocpi import alarms, backlog, clock, proof, queue, tasks
from ocpi.management.commands import relay
from ocpi.models import Alarm, DeliveryDay, Push, PushAttempt
from ocpi.rulings import Do
from tenants.models import Connection, ServiceAccount, Tenant
from tests import factories
from tests.conftest import CLIENT
from tests.minutes import DAY, a_push, accept, attempt, connect, waiting_for, without_moment, yesterday
from tests.pushing import SECOND, answer, claim_one, record, rename


@pytest.fixture
def production(cpo: Tenant) -> Connection:
    return connect(cpo)


def told(row: DeliveryDay) -> tuple[Any, ...]:
    return row.changes, row.accepted, row.requests, row.within_60s, row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms


NOTHING = (0, 0, 0, 0, None, None, None, None)


# --- Figures -----------------------------------------------------------------------------------------------------------


def test_clock_percentiles_are_those_of_percentile_cont(production):
    accept(a_push(production), yesterday(), 1, 2, 3, 4, 61)

    found = clock.of_day(production, yesterday().date())

    # Position p·(n - 1) of the sorted ages, in between linear: 0.95·4 = 3.8 -> 4 + 0.8·57, 0.99·4 = 3.96 -> 4 + 0.96·57.
    assert told(found) == (5, 5, 5, 4, 3_000, 49_600, 58_720, 61_000)
    assert found.share == 0.8


def test_clock_sixty_seconds_are_within_and_a_millisecond_more_is_not(production):
    accept(a_push(production), yesterday(), 60.0, 60.001)

    assert clock.of_day(production, yesterday().date()).within_60s == 1


def test_clock_counts_every_upload_a_request_carried(production):
    push = a_push(production)
    accept(push, yesterday(), 2, changes=3)
    accept(push, yesterday(), 90, changes=4)

    found = clock.of_day(production, yesterday().date())

    assert (found.changes, found.requests, found.within_60s, found.share) == (7, 2, 3, 3 / 7)


def test_clock_of_clocks_that_disagree_is_never_negative(production):
    accept(a_push(production), yesterday(), -5)

    assert told(clock.of_day(production, yesterday().date())) == (1, 1, 1, 1, 0, 0, 0, 0)


def test_clock_takes_only_acceptances_with_a_clock(production):
    push = a_push(production)
    others = [attempt(push, yesterday(), 5, outcome=do) for do in Do if do is not Do.DELIVERED]
    PushAttempt.objects.bulk_create([*others, attempt(push, None, 5)])

    found = clock.of_day(production, yesterday().date())

    assert (told(found), found.share) == (NOTHING, None)


def test_clock_measures_what_a_worker_wrote_down(cpo, production):
    factories.put_location(cpo)
    rename(cpo, "Stadsplein")
    claimed = claim_one(production)
    result = answer(claimed)
    result.started_at, result.took_ms = claimed.changed_at + dt.timedelta(seconds=3), 250
    queue.record([result])

    assert told(clock.today([production])[production.pk]) == (2, 2, 1, 2, 3_250, 3_250, 3_250, 3_250)


def test_clock_counts_what_is_rejected_or_waits_for_over_a_minute(production):
    accept(a_push(production), yesterday(), 1)
    a_push(production, state="rejected", changed_at=yesterday(), changes=2)
    a_push(production, state="dirty", changed_at=yesterday(), changes=4)
    a_push(production, state="dirty", changed_at=None, next_changed_at=yesterday(), changes=8)
    a_push(production, state="dirty", changed_at=None, changes=16)
    a_push(production, state="dirty", changed_at=timezone.now(), changes=32)

    found, now = clock.of_day(production, yesterday().date()), clock.today([production])[production.pk]

    assert (found.changes, found.accepted, found.within_60s, found.share) == (15, 1, 1, 1 / 15)
    assert told(now) == NOTHING


def test_clock_keeps_connections_and_tenants_apart_in_one_query(cpo, rival, production):
    staging, other = connect(cpo, "staging"), connect(rival)
    for number, one in enumerate((production, staging, other), 1):
        accept(a_push(one), yesterday(), *[number] * number)
    wanted = [production, staging, other]

    with CaptureQueriesContext(database) as caught:
        found = clock.days(wanted, yesterday().date())

    assert [(found[one.pk].requests, found[one.pk].max_ms) for one in wanted] == [(1, 1000), (2, 2000), (3, 3000)]
    assert len(caught) == 1


def test_clock_counts_a_change_on_the_day_of_its_upload(production):
    midnight = clock.midnight(timezone.localdate())
    push = a_push(production)
    accept(push, midnight - SECOND, 30)
    accept(push, midnight, 0.2)

    assert clock.of_day(production, yesterday().date()).max_ms == 30_000
    assert clock.today([production])[production.pk].max_ms == 200


@pytest.mark.parametrize(
    ("day", "hours"), [(dt.date(2026, 3, 29), 23), (dt.date(2026, 3, 30), 24), (dt.date(2026, 10, 25), 25)]
)
def test_clock_days_are_dutch_days_also_when_the_clocks_change(production, day, hours):
    begins = clock.midnight(day).astimezone(dt.UTC)
    push = a_push(production)
    for at in (
        begins - SECOND,
        begins,
        begins + dt.timedelta(hours=hours) - SECOND,
        begins + dt.timedelta(hours=hours),
    ):
        accept(push, at, 1)

    assert [clock.of_day(production, day + n * DAY).requests for n in (-1, 0, 1)] == [1, 2, 1]


# --- Finished days -----------------------------------------------------------------------------------------------------


def stored() -> list[tuple[int, int, int, int]]:
    """Return age in days, changes, accepted and within 60 s of each stored day."""
    today = timezone.localdate()
    return [((today - row.day).days, row.changes, row.accepted, row.within_60s) for row in DeliveryDay.objects.all()]


def test_close_days_writes_finished_days_once_with_those_that_were_missed(production):
    push = a_push(production)
    for age, count in ((89, 1), (5, 2), (1, 3), (0, 4)):
        accept(push, yesterday() - (age - 1) * DAY, *[1] * count)

    assert (tasks.close_days(), tasks.close_days()) == (3, 0)

    assert stored() == [(1, 3, 3, 3), (5, 2, 2, 2), (89, 1, 1, 1)]
    row = DeliveryDay.objects.first()
    assert (row.tenant, row.connection, told(row)) == (
        production.tenant, production, (3, 3, 3, 3, 1000, 1000, 1000, 1000)
    )  # fmt: skip


def test_close_days_goes_on_where_it_stopped(production):
    push = a_push(production)
    for age in (3, 2, 1):
        accept(push, yesterday() - (age - 1) * DAY, 1)

    written = [clock.close_days(longest_s=0) for _ in range(clock.KEPT_DAYS)]

    assert (sum(written), max(written)) == (3, 1)
    assert stored() == [(1, 1, 1, 1), (2, 1, 1, 1), (3, 1, 1, 1)]


def test_close_days_writes_a_day_again_when_less_of_it_is_missing(production):
    push = a_push(production, state="dirty", changed_at=yesterday(), changes=2)
    clock.close_days()
    before = stored()

    accept(push, yesterday(), 90, changes=2)
    Push.objects.filter(pk=push.pk).update(state="delivered", changed_at=None, changes=0)

    assert (before, clock.close_days(), stored()) == ([(1, 2, 0, 0)], 1, [(1, 2, 2, 0)])


def test_close_days_forgets_what_was_mended_and_so_counts_on_another_day(production):
    push = a_push(production, state="rejected", changed_at=yesterday(), changes=1)
    clock.close_days()
    before = stored()

    Push.objects.filter(pk=push.pk).update(state="dirty", changed_at=Now())

    assert (before, clock.close_days(), stored()) == ([(1, 1, 0, 0)], 0, [])


def test_close_days_keeps_ninety_days_also_without_their_attempts(production):
    today = timezone.localdate()
    for age in (90, 91):
        DeliveryDay.objects.create(
            tenant=production.tenant, connection=production, day=today - age * DAY, changes=1, accepted=1,
            within_60s=1, requests=1,
        )  # fmt: skip

    clock.close_days()

    assert stored() == [(90, 1, 1, 1)]


def test_attempts_of_ninety_days_are_enough_for_every_day_that_is_written(production):
    push = a_push(production)
    accept(push, yesterday() - 88 * DAY, 1)
    accept(push, yesterday() - 90 * DAY, 1)

    backlog.prune_attempts()

    assert clock.close_days() == 1
    assert backlog.KEPT_FOR.days == clock.KEPT_DAYS


# --- What waits now ----------------------------------------------------------------------------------------------------


def found_waiting(connection: Connection | None = None) -> tuple[str, str, int] | None:
    """Return id, reason and whole tens of seconds."""
    found = clock.oldest_waiting(connection and Connection.objects.get(pk=connection.pk))
    return (found.ocpi_id, found.reason, int(found.seconds // 10) * 10) if found else None


def test_oldest_waiting_is_the_oldest_change_with_a_clock(cpo, production):
    waiting_for(production, 10)
    oldest = waiting_for(production, 20)
    waiting_for(production, 5, changed_at=None)
    waiting_for(production, 90, state="rejected")

    assert found_waiting(production) == (oldest.location.ocpi_id, "not yet tried", 20)
    assert found_waiting(connect(cpo, "staging")) is None


def test_oldest_waiting_of_all_is_that_of_the_slowest_connection_still_in_use(cpo, rival, production):
    waiting_for(production, 10)
    other = waiting_for(connect(rival), 30)
    retired = connect(cpo, "staging")
    waiting_for(retired, 60)
    Connection.objects.filter(pk=retired.pk).update(is_retired=True)

    assert found_waiting() == (other.location.ocpi_id, "not yet tried", 30)


def test_oldest_waiting_names_a_tariff_and_what_came_while_it_was_under_way(cpo, production):
    factories.put_tariff(cpo)
    since = timezone.now() - dt.timedelta(seconds=7)
    Push.objects.update(changed_at=None, next_changed_at=since)

    found = clock.oldest_waiting(production)

    assert (found.kind, found.ocpi_id, found.seconds // 7) == ("tariff", "ADHOC-1", 1)


MINUTE = dt.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("push", "connection", "account", "reason"),
    [
        pytest.param({}, {}, {}, "not yet tried", id="new"),
        pytest.param({"lease_until": Now() + MINUTE}, {}, {}, "being sent", id="sending"),
        pytest.param({"last_answer": "HTTP 503\n busy"}, {}, {}, "HTTP 503 busy", id="answer"),
        pytest.param({}, {"probe_at": Now() + MINUTE, "failures": 5}, {}, "circuit open", id="circuit"),
        pytest.param(
            {"last_answer": "timed out"}, {"probe_at": Now() + MINUTE, "failures": 5}, {},
            "circuit open after 5 failures; timed out", id="circuit with answer",
        ),
        pytest.param({"last_answer": "x"}, {"probe_at": Now() - MINUTE, "failures": 5}, {}, "x", id="circuit half open"),
        pytest.param(
            {"last_answer": "x"}, {"is_paused": True, "pause_reason": "wrong secret", "probe_at": Now() + MINUTE}, {},
            "paused: wrong secret", id="paused",
        ),
        pytest.param(
            {}, {}, {"fetching_until": Now() + MINUTE}, "no access token from http://127.0.0.1:9/token", id="no token"
        ),
        pytest.param(
            {}, {}, {"fetching_until": Now() + MINUTE, "access_token_expires_at": Now() + MINUTE}, "not yet tried",
            id="a token being renewed",
        ),
    ],
)  # fmt: skip
def test_oldest_waiting_says_why(production, push, connection, account, reason):
    waiting_for(production, 10, **push)
    Connection.objects.update(**{"failures": 0} | connection)
    ServiceAccount.objects.update(**{"fetching_until": None} | account)

    assert found_waiting(production)[1] == reason


def scraped() -> dict[tuple[str, str, str], float]:
    """Return what Prometheus would read: {(gauge, tenant, environment): figure}."""
    answer = CLIENT.get("/metrics")
    assert answer.status_code == 200
    return {
        (
            sample.name.removeprefix("gateway_delivery_"),
            sample.labels["tenant"],
            sample.labels["environment"],
        ): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
        if sample.name.startswith("gateway_delivery_")
    }


def test_metrics_have_gauges_for_every_connection_in_use(cpo, rival, production):
    staging, other = connect(cpo, "staging"), connect(rival)
    waiting_for(production, 50)
    waiting_for(production, 5, changed_at=None)
    waiting_for(production, 5, state="rejected")
    Push.objects.filter(connection=staging).update(state="delivered")
    Connection.objects.filter(pk=other.pk).update(is_paused=True, failures=7)
    alarms.watch()

    figures = scraped()

    assert figures.pop(("oldest_waiting_seconds", "NL-EXA", "production")) // 10 == 5
    assert {key: value for key, value in figures.items() if value} == {
        ("waiting", "NL-EXA", "production"): 2,
        ("rejected", "NL-EXA", "production"): 1,
        ("late", "NL-EXA", "production"): 1,
        ("paused", "NL-RIV", "production"): 1,
        ("failures", "NL-RIV", "production"): 7,
    }
    assert len(figures) == 6 * 3 - 1


# --- The alarm ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="ocpi.alarms")
    return caplog


@pytest.fixture
def mailed(settings: Any) -> None:
    settings.ALERT_EMAILS = ["operations@gateway.example"]


def lines(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return level and text of what was logged, ages as N."""
    return [(one.levelname, re.sub(r"for \d+ s", "for N s", one.getMessage())) for one in log.records]


def pass_time(**passed: int) -> None:
    """Make what the Alarms remember so much older."""
    for alarm in Alarm.objects.all():
        for name in ("logged_at", "mailed_at"):
            at = getattr(alarm, name)
            setattr(alarm, name, at and at - dt.timedelta(**passed))
        alarm.save()


def test_alarm_is_raised_once_a_minute_while_it_lasts(production, log):
    push = waiting_for(production, 46)

    for seconds in (0, 30, 31):
        pass_time(seconds=seconds)
        assert tasks.watch() == 1

    text = f"NL-EXA → production: NDW has lacked location {push.location.ocpi_id} for N s: not yet tried"
    assert lines(log) == [("ERROR", text), ("ERROR", text)]


def test_alarm_is_not_raised_before_its_time_nor_over_staging_or_a_retired_connection(cpo, rival, production, log):
    waiting_for(production, 40)
    waiting_for(connect(cpo, "staging"), 500)
    retired = connect(rival)
    waiting_for(retired, 500)
    Connection.objects.filter(pk=retired.pk).update(is_retired=True)
    Push.objects.filter(connection=production).update(changed_at=Now() - dt.timedelta(seconds=40))

    assert tasks.watch() == 0

    assert (lines(log), Alarm.objects.count()) == ([], 0)


def test_alarm_names_the_pause(production, log):
    push = waiting_for(production, 60)
    production.pause("NDW refuses this Connection: HTTP 403")

    tasks.watch()

    reason = "paused: NDW refuses this Connection: HTTP 403"
    assert lines(log) == [
        ("ERROR", f"NL-EXA → production: NDW has lacked location {push.location.ocpi_id} for N s: {reason}")
    ]


def test_alarm_ends_with_one_line_and_may_come_again(cpo, production, log):
    waiting_for(production, 60)
    tasks.watch()
    opened_at = Alarm.objects.get().opened_at

    record(claim_one(production))
    log.clear()
    assert (tasks.watch(), tasks.watch()) == (0, 0)

    since = f"{opened_at:%Y-%m-%d %H:%M:%S %Z}"
    assert lines(log) == [("INFO", f"NL-EXA → production: recovered; late since {since}")]
    assert Alarm.objects.get().opened_at is None
    waiting_for(production, 60)
    pass_time(minutes=2)
    tasks.watch()
    assert [level for level, _ in lines(log)] == ["INFO", "ERROR"]


def test_alarm_of_each_connection_is_its_own(rival, production, log):
    waiting_for(production, 60)
    waiting_for(connect(rival), 70)

    assert tasks.watch() == 2

    assert [text.partition(":")[0] for _, text in lines(log)] == ["NL-RIV → production", "NL-EXA → production"]


def test_alarm_is_mailed_at_the_start_and_every_half_hour(production, mailed):
    push = waiting_for(production, 60)

    for minutes in (0, 1, 28, 2):
        pass_time(minutes=minutes)
        tasks.watch()

    assert len(mail.outbox) == 2
    sent = mail.outbox[0]
    assert (sent.subject, sent.to) == ("NDW lacks changes of NL-EXA", ["operations@gateway.example"])
    assert sent.body.startswith(f"NL-EXA → production: NDW has lacked location {push.location.ocpi_id} for 6")


def test_alarm_is_not_mailed_without_addresses(production):
    waiting_for(production, 60)

    tasks.watch()

    assert (mail.outbox, Alarm.objects.get().mailed_at) == ([], None)


def test_alarm_that_cannot_be_mailed_is_logged_and_mailed_a_minute_later(production, mailed, log, settings):
    waiting_for(production, 60)
    works = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", 9
    )  # fmt: skip
    tasks.watch()
    tasks.watch()
    assert [level for level, _ in lines(log)] == ["ERROR", "WARNING"]

    settings.EMAIL_BACKEND = works
    pass_time(minutes=1)
    tasks.watch()

    assert len(mail.outbox) == 1


@pytest.fixture
def late(transactional_db: None) -> Connection:
    tenant = factories.make_tenant("EXA")
    found = connect(tenant)
    waiting_for(found, 60)
    return found


def test_alarm_is_raised_once_however_many_look(late, mailed, log):
    barrier = threading.Barrier(4)

    def look() -> None:
        barrier.wait()
        alarms.watch()
        connections.close_all()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [level for level, _ in lines(log)] == ["ERROR"]
    assert (len(mail.outbox), Alarm.objects.count()) == (1, 1)


def test_relay_raises_the_alarm_where_beat_does_not_run(late, log):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    threading.Timer(relay.LOOK_EVERY_S + 0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()

    try:
        call_command("relay")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert [level for level, _ in lines(log)] == ["ERROR"]


# --- The proof ---------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("proof", *arguments, stdout=out, stderr=out, no_color=True)
    return out.getvalue()


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def summary(text: str) -> dict[str, str]:
    return {row[0]: row[1] for row in cells(text)[: cells(text).index(proof.COLUMNS)]}


def slowest(text: str) -> list[list[str]]:
    return cells(text)[cells(text).index(proof.COLUMNS) + 1 :]


def test_proof_is_this_text(production):
    month = proof.last_month()
    at = clock.midnight(month) + dt.timedelta(days=9, hours=12, milliseconds=250)
    first, second = a_push(production), a_push(production)
    attempts = [
        attempt(first, at, 5, outcome=Do.RETRY, http_status=503, ocpi_status=None),
        attempt(first, at, 20, outcome=Do.RETRY, http_status=503, ocpi_status=None),
        attempt(first, at, 30, outcome=Do.RETRY, http_status=None, ocpi_status=None, answer="timed  out,\nagain"),
        attempt(first, at, 75, changes=3),
        attempt(second, at, 1.5),
        attempt(second, clock.midnight(month) - SECOND, 100),
    ]
    PushAttempt.objects.bulk_create(attempts)
    ends = clock.midnight(timezone.localdate().replace(day=1))
    zone = f"{timezone.localtime(at):%z}"
    zone = f"{zone[:3]}:{zone[3:]}"

    text = run("nl-exa")

    assert without_moment(text).split("\r\n") == [
        "tenant,NL-EXA,,,,",
        "name,CPO EXA,,,,",
        "environment,production,,,,",
        f"month,{month:%Y-%m},,,,",
        f"from,{clock.midnight(month).isoformat()},,,,",
        f"until before,{ends.isoformat()},,,,",
        "written at,NOW,,,,",
        "changes,4,,,,",
        "accepted,4,,,,",
        "waiting,0,,,,",
        "rejected,0,,,,",
        "within 60 s,1,,,,",
        "share within 60 s,0.250000,,,,",
        "p50 s,38.250,,,,",
        "p95 s,71.325,,,,",
        "p99 s,74.265,,,,",
        "slowest s,75.000,,,,",
        ",,,,,",
        "object,changed_at,accepted_at,seconds,requests,reasons",
        f"location {first.location.ocpi_id},{month:%Y-%m}-10T12:00:00.250{zone},{month:%Y-%m}-10T12:01:15.250{zone},75.000,4,"
        '"retry: HTTP 503 (2 times); retry: timed out, again"',
        f"location {second.location.ocpi_id},{month:%Y-%m}-10T12:00:00.250{zone},{month:%Y-%m}-10T12:00:01.750{zone},1.500,1,",
        "",
    ]


def test_proof_counts_what_waits_or_was_rejected_as_not_accepted(production):
    at = clock.midnight(proof.last_month()) + 5 * DAY
    accept(a_push(production), at, 1, 2, 3)
    rejected = a_push(production, state="rejected", changed_at=at + SECOND, changes=2)
    waiting = a_push(production, state="dirty", changed_at=at, changes=5)
    PushAttempt.objects.bulk_create([attempt(rejected, at + SECOND, 1, outcome=Do.REJECTED, ocpi_status=2001)])

    text = run("NL-EXA", f"--month={at:%Y-%m}")

    found = summary(text)
    names = ("changes", "accepted", "waiting", "rejected", "within 60 s", "share within 60 s")
    assert [found[name] for name in names] == ["10", "3", "5", "2", "3", "0.300000"]
    assert [(row[0], row[2], row[4], row[5]) for row in slowest(text)[:3]] == [
        (f"location {waiting.location.ocpi_id}", "not yet", "0", ""),
        (f"location {rejected.location.ocpi_id}", "rejected", "1", "rejected: HTTP 200, OCPI 2001"),
        (slowest(text)[2][0], slowest(text)[2][2], "3", ""),
    ]


def test_proof_names_the_slowest_ten(production):
    at = clock.midnight(proof.last_month())
    accept(a_push(production), at, *range(1, 13))

    assert [row[3] for row in slowest(run("NL-EXA"))] == [f"{age}.000" for age in range(12, 2, -1)]


def test_proof_is_of_one_connection(cpo, rival, production):
    at = clock.midnight(proof.last_month())
    for one, age in ((production, 1), (connect(cpo, "staging"), 2), (connect(rival), 3)):
        accept(a_push(one), at, age)

    assert summary(run("NL-EXA"))["slowest s"] == "1.000"
    assert summary(run("NL-EXA", "--environment=staging"))["slowest s"] == "2.000"


def test_proof_of_nothing_is_whole_too(production):
    text = run("NL-EXA")

    assert [summary(text)[name] for name in ("changes", "share within 60 s", "p50 s", "slowest s")] == ["0", "", "", ""]
    assert slowest(text) == []
    assert {len(row) for row in cells(text)} == {6}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x","y")'])
def test_proof_has_no_formulas(production, name):
    Tenant.objects.update(name=name)

    assert summary(run("NL-EXA"))["name"] == f"'{name}"


def test_proof_is_written_to_a_file_as_it_is(production, tmp_path):
    path = tmp_path / "proof.csv"
    said = run("NL-EXA", "--output", str(path))

    assert said.strip() == f"Written to {path}"
    assert without_moment(path.read_bytes().decode()) == without_moment(run("NL-EXA"))
    with pytest.raises(CommandError, match=r"cannot be written: Is a directory\."):
        run("NL-EXA", "--output", str(tmp_path))


def test_proof_refuses_what_it_does_not_know(production):
    months = ", ".join(f"{one:%Y-%m}" for one in proof.months())
    for arguments, words in (
        (("NL-XXX",), "No such party: NL-XXX. Known: NL-EXA."),
        (("NL-EXA", "--environment=staging"), "NL-EXA has no staging Connection."),
        (("NL-EXA", "--month=2026"), f"No proof of 2026. There is one of: {months}."),
        (("NL-EXA", "--month=2020-01"), f"No proof of 2020-01. There is one of: {months}."),
        (("NL-EXA", "--month=2999-01"), f"No proof of 2999-01. There is one of: {months}."),
    ):
        with pytest.raises(CommandError) as refused:
            run(*arguments)
        assert str(refused.value) == words


def test_proof_months_are_those_whose_attempts_are_all_kept():
    oldest = proof.months()[-1]

    assert timezone.localdate() - oldest <= 89 * DAY
    assert timezone.localdate() - (oldest - DAY).replace(day=1) > 89 * DAY
    assert [proof.month_of(f"{one:%Y-%m}") for one in proof.months()] == proof.months()
    assert proof.last_month() in proof.months()
