"""Push: the worker's drain against a bare `requests` loop with as many threads, NDW taking 30 ms for each answer.

CPU is that of this process with all its threads: NDW and PostgreSQL are processes of their own and do not count.
"""

import statistics
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import requests

from ocpi import push
from ocpi.models import Push
from tenants.models import Connection
from tests import factories
from tests.benchmarks import stage
from tests.benchmarks.stage import Row

_AGAINST = "bare requests loop"


def run(count: int = 3_000, latency_ms: int = 30, rounds: int = 4) -> list[Row]:
    """Return the rows of the table: `count` pushes a round, A B A B; medians, the first of several rounds thrown away."""
    tenant = factories.make_tenant("PSH")
    with stage.simulator(latency_ms) as ndw:
        documents = stage.seed_locations(tenant, count)
        connection = factories.make_connection(tenant, ndw)  # after the Tariffs, which would be pushes uncounted
        ids = list(tenant.locations.values_list("pk", flat=True))
        Push.objects.bulk_create(
            [Push(tenant=tenant, connection=connection, location_id=pk, priority=Push.Priority.LOCATION) for pk in ids]
        )
        bare = _Bare(documents, ndw)
        pairs = [(_drain(connection, count), _measured(bare.put_all, count)) for _ in range(rounds)]
    (our_rate, their_rate), (our_us, their_us) = (
        [statistics.median(pair[side][what] for pair in pairs[1:] or pairs) for side in (0, 1)] for what in (0, 1)
    )
    return [
        Row(f"push, {push.THREADS} threads, {latency_ms} ms", our_rate, their_rate, "/s", _AGAINST, ">= 0.90"),
        Row("push, CPU per push (less is better)", our_us, their_us, "us", _AGAINST, "<= 1.60"),
    ]


def _measured(work: Callable[[int], object], count: int) -> tuple[float, float]:
    """Return pushes per second, and microseconds of CPU per push."""
    started, cpu_s = time.perf_counter(), time.process_time()
    work(count)
    return count / (time.perf_counter() - started), (time.process_time() - cpu_s) / count * 1e6


def _drain(connection: Connection, count: int) -> tuple[float, float]:
    Push.objects.filter(connection=connection).update(state="dirty", whole=True)
    found = _measured(lambda _: _drain_all(connection), count)
    assert not Push.objects.filter(connection=connection).exclude(state="delivered").exists()
    return found


def _drain_all(connection: Connection) -> None:
    while Push.objects.filter(connection=connection, state="dirty").exists():
        push.drain()


class _Bare:
    def __init__(self, documents: list[dict], ndw: SimpleNamespace) -> None:
        form = {"grant_type": "client_credentials", "client_id": ndw.client_id, "client_secret": ndw.client_secret}
        token = requests.post(ndw.token_url, data=form, timeout=5).json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.documents, self.push_url, self.local = documents, ndw.push_url, threading.local()

    def put_all(self, count: int) -> None:
        stage.rate(self._put, push.THREADS, count)

    def _put(self, thread: int, job: int) -> None:
        session = getattr(self.local, "session", None)
        if session is None:
            session = self.local.session = requests.Session()
            session.trust_env = False
        document = self.documents[job % len(self.documents)]
        url = f"{self.push_url}/locations/NL/PSH/{document['id']}"
        answer = session.put(url, json=document, headers=self.headers, timeout=10)
        assert answer.json()["status_code"] == 1000, answer.text
