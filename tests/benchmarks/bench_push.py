"""Push: the worker's drain against a bare `requests` loop with as many threads, NDW taking 30 ms for each answer."""

import threading
import time
from types import SimpleNamespace

import requests

from ocpi import push
from ocpi.models import Push
from tenants.models import Connection
from tests import factories
from tests.benchmarks import stage
from tests.benchmarks.stage import Row


def run(count: int = 3_000, latency_ms: int = 30, rounds: int = 3) -> list[Row]:
    """Return the row of the table: `count` pushes a round."""
    tenant = factories.make_tenant("PSH")
    with stage.simulator(latency_ms) as ndw:
        connection = factories.make_connection(tenant, ndw)
        documents = stage.seed_locations(tenant, count)
        ids = list(tenant.locations.values_list("pk", flat=True))
        Push.objects.bulk_create(
            [Push(tenant=tenant, connection=connection, location_id=pk, priority=Push.Priority.LOCATION) for pk in ids]
        )
        bare = _Bare(documents, ndw)
        ours, theirs = stage.alternated(lambda: _drain(connection, count), lambda: bare.rate(count), rounds)
    return [Row(f"push, {push.THREADS} threads, {latency_ms} ms", ours, theirs, "/s", "bare requests loop", ">= 0.90")]


def _drain(connection: Connection, count: int) -> float:
    Push.objects.filter(connection=connection).update(state="dirty", whole=True)
    started = time.perf_counter()
    while Push.objects.filter(connection=connection, state="dirty").exists():
        push.drain()
    return count / (time.perf_counter() - started)


class _Bare:
    def __init__(self, documents: list[dict], ndw: SimpleNamespace) -> None:
        form = {"grant_type": "client_credentials", "client_id": ndw.client_id, "client_secret": ndw.client_secret}
        token = requests.post(ndw.token_url, data=form, timeout=5).json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.documents, self.push_url, self.local = documents, ndw.push_url, threading.local()

    def rate(self, count: int) -> float:
        return stage.rate(self._put, push.THREADS, count)

    def _put(self, thread: int, job: int) -> None:
        session = getattr(self.local, "session", None)
        if session is None:
            session = self.local.session = requests.Session()
            session.trust_env = False
        document = self.documents[job % len(self.documents)]
        url = f"{self.push_url}/locations/NL/PSH/{document['id']}"
        answer = session.put(url, json=document, headers=self.headers, timeout=10)
        assert answer.json()["status_code"] == 1000, answer.text
