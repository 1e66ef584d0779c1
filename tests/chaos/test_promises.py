"""What the push side promises, small: outages, poison, noisy tenants, herds and tokens, with several workers at once.

Bounds are the promises' own, never this machine's speed. Full sizes are for `make chaos`.
Source: reliability §2, P5, P9 to P12.
"""

import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connections

from gateway import embedded
from ocpi import push
from ocpi.models import Location, Push, PushAttempt
from tenants.models import Connection, Tenant
from tests import factories
from tests.benchmarks import stage
from tests.pushing import rename, sent, set_status

BACKLOG_S = 90.0  # P5: until nothing waits
FIRST_S = 5.0  # P5: until the first delivery
WORKER = """
import time, django
django.setup()
from ocpi import push
print("ready", flush=True)
while True:
    push.drain(1)
    time.sleep(0.05)
"""

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def workers(count: int) -> Iterator[None]:
    """Drain in so many threads, again and again, as the doorbell and the sweep have it done."""
    is_over, errors = threading.Event(), []

    def work() -> None:
        try:
            while not is_over.wait(0.05):
                push.drain(1)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert errors == []


@contextmanager
def processes(count: int) -> Iterator[None]:
    """Drain in so many processes: each has a token of its own in memory."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER], cwd=embedded.ROOT, env=stage.database_environment(), stdout=subprocess.PIPE
        )
        for _ in range(count)
    ]
    try:
        assert [child.stdout.readline() for child in children if child.stdout] == [b"ready\n"] * count
        yield
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.communicate()


@pytest.fixture
def connection(cpo, ndw) -> Connection:
    return factories.make_connection(cpo, ndw)


@pytest.fixture
def served(cpo, connection, ndw) -> Connection:
    """A Connection that has delivered before: its token outlives an outage, which takes IAM along."""
    factories.put_location(cpo, id="LOC-0")
    push.drain()
    ndw.received.clear()
    return connection


def put_many(tenant: Tenant, count: int) -> None:
    for number in range(count):
        factories.put_location(tenant, id=f"LOC-{number}")


def is_all_delivered() -> bool:
    return not Push.objects.exclude(state=Push.State.DELIVERED).exists()


def wait_until(holds: Callable[[], bool], within_s: float) -> None:
    """Return as soon as it holds. Raises TimeoutError."""
    ends_at = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > ends_at:
            raise TimeoutError(f"not so within {within_s} s")
        time.sleep(0.05)


def gaps_s(moments: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(moments)]


# --- P5, P11: outages --------------------------------------------------------------------------------------------------


def test_promises_backlog_of_an_outage_is_sent_soon_and_once_an_object(cpo, served, ndw):
    with workers(2):
        with ndw.down():
            put_many(cpo, 500)
            for status, number in itertools.product(("CHARGING", "OUTOFORDER"), range(500)):
                set_status(cpo, status, location_id=f"LOC-{number}")
            wait_until(lambda: 1 < probe_at() - time.time() < 4, BACKLOG_S)  # a second is left for a busy machine
        back_at = time.time()
        wait_until(is_all_delivered, BACKLOG_S)

    assert ndw.received[0].at - back_at <= FIRST_S
    assert 500 <= len(ndw.received) <= 500 * 1.05
    assert [document for _, document in sorted(ndw.locations.items())] == [
        location.document for location in Location.objects.order_by("ocpi_id")
    ]


def test_promises_outage_is_probed_every_five_seconds_and_the_cap_holds_after_it(cpo, served, ndw, settings):
    settings.NDW_RATE_CAP = cap = 20  # 5 % is one request, which 50 ms on the way do not make
    with workers(4):
        with ndw.down():
            put_many(cpo, 80)
            wait_until(lambda: Connection.objects.get().failures >= 5, BACKLOG_S)
            time.sleep(1)  # for what was under way then
            opened_at = probe_at() - 5
            time.sleep(6)
        wait_until(is_all_delivered, BACKLOG_S)

    failed = PushAttempt.objects.filter(outcome="retry").order_by("started_at")
    tries = [attempt.started_at.timestamp() for attempt in failed]
    probes = [at for at in tries if at > opened_at]
    made = [request.at for request in ndw.received]
    assert probes
    assert min(gaps_s([opened_at, *probes])) >= 5
    assert len(made) <= 80 * 1.05
    assert max(sum(at <= other < at + 1 for other in made) for at in made) <= cap * 1.05


def probe_at() -> float:
    """Return when the Connection may try again."""
    moment = Connection.objects.get().probe_at
    assert moment
    return moment.timestamp()


# --- P9, P10: poison and noise -----------------------------------------------------------------------------------------


def test_promises_refused_and_hanging_objects_hold_up_no_other(cpo, connection, ndw):
    refused, hanging = ["LOC-50", "LOC-150", "LOC-250"], ["LOC-60", "LOC-160", "LOC-260"]
    ndw.fail_next(2001, path=f"({'|'.join(refused)})$", times=None)
    ndw.fail_next("hang", path=f"({'|'.join(hanging)})$", times=3)
    put_many(cpo, 300)

    with workers(2):
        ndw.wait_until(lambda: sum(request.applied for request in list(ndw.received)) == 294)
        unanswered = [request.path.split("/")[-1] for request in list(ndw.received) if request.status is None]
        ndw.faults.release(go_on=False)
        wait_until(lambda: Push.objects.filter(state=Push.State.DELIVERED).count() == 297, BACKLOG_S)

    counts = Counter(path.split("/")[-1] for _, path in sent(ndw))
    assert sorted(unanswered) == sorted(hanging)
    assert [counts[ocpi_id] for ocpi_id in refused + hanging] == [1, 1, 1, 2, 2, 2]
    assert len(ndw.received) == 303
    assert {push.location.ocpi_id for push in Push.objects.filter(state=Push.State.REJECTED)} == set(refused)


def test_promises_noisy_tenant_does_not_make_another_late(cpo, rival, connection, ndw):
    other = factories.make_connection(rival, ndw)
    ndw.fail_next("delay", path="/EXA/", times=None, seconds=0.1)
    put_many(cpo, 2000)
    factories.put_location(rival)

    with workers(2):
        for number in range(5):
            rename(rival, f"Plein {number}")
            time.sleep(1)
        wait_until(lambda: not Push.objects.filter(connection=other, state=Push.State.DIRTY).exists(), FIRST_S)
        waiting = Push.objects.filter(connection=connection, state=Push.State.DIRTY).count()

    attempts = PushAttempt.objects.filter(tenant=rival, outcome="delivered")
    ages_s = [(one.started_at - one.changed_at).total_seconds() + one.took_ms / 1000 for one in attempts]
    assert waiting > 0
    assert sum(attempt.changes for attempt in attempts) == 6
    assert max(ages_s) <= 5


# --- P12: tokens -------------------------------------------------------------------------------------------------------


def test_promises_token_is_fetched_once_a_life_by_four_processes_and_once_when_revoked(cpo, connection, ndw):
    def change_until(holds: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + BACKLOG_S
        for number in itertools.count():
            set_status(cpo, ("CHARGING", "AVAILABLE")[number // 40 % 2], location_id=f"LOC-{number % 40}")
            if number % 40 == 39 and holds():
                return
            assert time.monotonic() < ends_at

    put_many(cpo, 40)
    ndw.fail_next("token", kind="token", times=2, fields={"expires_in": 3})
    with processes(4):
        change_until(lambda: len(ndw.token_calls) == 3)
        wait_until(is_all_delivered, BACKLOG_S)
        refused = [request for request in ndw.received if request.status == 401]
        time.sleep(0.8 * 3)  # nobody has one of the short ones any more
        ndw.revoke()
        change_until(lambda: len(ndw.token_calls) == 4)
        wait_until(is_all_delivered, BACKLOG_S)

    assert refused == []
    assert len(ndw.token_calls) == 4
    assert min(gaps_s([call.at for call in ndw.token_calls[:3]])) >= 0.8 * 3
    assert Connection.objects.get().is_paused is False


def test_promises_iam_that_is_down_is_asked_every_five_seconds_and_no_object_blamed(cpo, connection, ndw):
    ndw.fail_next(503, kind="token", times=2)
    put_many(cpo, 20)

    with workers(4):
        ndw.wait_until(lambda: len(ndw.token_calls) == 2, BACKLOG_S)
        attempts = set(Push.objects.values_list("attempts", flat=True))
        wait_until(is_all_delivered, BACKLOG_S)

    assert attempts == {0}
    assert min(gaps_s([call.at for call in ndw.token_calls])) >= 5
    assert (len(ndw.token_calls), len(ndw.received), PushAttempt.objects.count()) == (3, 20, 20)
    assert Connection.objects.get().failures == 0
