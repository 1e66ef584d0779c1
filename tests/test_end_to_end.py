"""Everything for real: web server, Celery worker, beat and relay as processes, uploads over HTTP, NDW on the other side."""

import datetime as dt
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from gateway import embedded, supervisor
from ocpi.models import Push
from tenants.models import Connection, Tenant, Token
from tests import factories
from tests.benchmarks import stage
from tests.documents import Body, location_body, tariff_body
from tests.pushing import SECOND, later

RECEIVER = "/ocpi/receiver/2.2.1"


class Gateway:
    """The gateway's processes on the test's database, none of them started yet."""

    def __init__(self, port: int, logs: Path) -> None:
        self.port = port
        children = supervisor.processes(port, logs, stage.database_environment())
        self.children = {child.name: child for child in children}
        web = self.children["web"].command
        web[web.index("--workers") + 1] = "1"  # the second takes as long to start, and has nothing else to say

    def start(self, *names: str, **environment: str) -> None:
        """Start processes and wait until uploads are accepted."""
        for name in names:
            child = self.children[name]
            child.environment |= environment
            child.start()
        if "web" in names:
            stage.wait_for(lambda: supervisor.is_ready(self.port))

    def stop(self) -> None:
        """Stop whatever runs."""
        for child in reversed(self.children.values()):
            child.stop(grace_s=8)


@pytest.fixture
def gateway(transactional_db: None, tmp_path: Path) -> Iterator[Gateway]:
    redis.Redis.from_url(settings.REDIS_URL).flushdb()  # rings and tasks of other tests
    with socket.create_server(("127.0.0.1", 0)) as free:
        running = Gateway(free.getsockname()[1], tmp_path)
    try:
        yield running
    finally:
        running.stop()


def test_process_that_is_frozen_in_a_transaction_loses_its_locks(gateway, cpo, ndw):
    """Frozen with its Connection locked, a relay would keep everybody else from sending over it."""
    freezing = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    code = (
        "import django; django.setup()\nfrom django.db import transaction\nfrom tenants.models import Connection\n"
        f"with transaction.atomic():\n    list(Connection.objects.select_for_update())\n    {freezing}"
    )
    factories.make_connection(cpo, ndw)
    frozen = subprocess.Popen([sys.executable, "-c", code], cwd=embedded.ROOT, env=stage.database_environment())
    try:
        os.waitpid(frozen.pid, os.WUNTRACED)
        began = time.monotonic()
        with transaction.atomic():
            Connection.objects.select_for_update().get()
        waited_s = time.monotonic() - began
    finally:
        frozen.kill()
        frozen.wait()

    assert 5 < waited_s < 20


class Cpo:
    """A CPO's client with a kept connection."""

    def __init__(self, tenant: Tenant, port: int) -> None:
        self.root = f"{RECEIVER}/locations/NL/{tenant.party_id}"
        self.headers = {"Authorization": f"Token {factories.make_token(tenant)}", "Content-Type": "application/json"}
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def send(self, method: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """Return HTTP status and envelope."""
        raw = body if isinstance(body, bytes) or not isinstance(body, dict) else json.dumps(body).encode()
        chunked = not isinstance(raw, bytes)
        self.connection.request(method, path, raw, self.headers | headers, encode_chunked=chunked)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def begin(self, path: str, headers: dict[str, str], start: bytes = b"") -> tuple[int, Any]:
        """Begin a PUT that is never ended; return what the server says to that."""
        self.connection.close()
        self.connection.putrequest("PUT", path)
        for name, value in (self.headers | headers).items():
            self.connection.putheader(name, value)
        self.connection.endheaders(start)
        answer = self.connection.getresponse()
        said = answer.status, json.loads(answer.read())
        self.connection.close()
        return said

    def put(self, location: Body) -> tuple[int, Any]:
        """Upload a Location."""
        return self.send("PUT", f"{self.root}/{location['id']}", location)

    def set_status(self, location_id: str, status: str) -> tuple[int, Any]:
        """Upload the status of EVSE-1."""
        body = {"status": status, "last_updated": later()}
        return self.send("PATCH", f"{self.root}/{location_id}/EVSE-1", body)


def in_chunks(document: Body) -> Iterator[bytes]:
    """Yield a document in pieces, as a client sends it that does not know the length."""
    raw = json.dumps(document).encode()
    for start in range(0, len(raw), 100):
        yield raw[start : start + 100]


def served(ndw: Any, gateway: Gateway, tenant: Tenant) -> dict[str, Body]:
    """Return what NDW pulls from us, by id; pulling it must show nothing wrong."""
    token = factories.make_token(tenant, Token.Purpose.PULL)
    crawl = ndw.crawl(f"http://127.0.0.1:{gateway.port}/ocpi/sender/NL/{tenant.party_id}", token=token)
    assert crawl.problems == []
    return {pulled.document["id"]: pulled.document for pulled in crawl.locations}


def held(ndw: Any) -> dict[str, Body]:
    return {document["id"]: document for document in ndw.locations.values()}


def wait_for(holds: Callable[[], object], timeout_s: float = 20) -> float:
    """Wait until it holds; return how long it took."""
    started = time.monotonic()
    stage.wait_for(holds, timeout_s)
    return time.monotonic() - started


def all_delivered() -> bool:
    return not Push.objects.exclude(state=Push.State.DELIVERED).exists()


def test_end_to_end_upload_reaches_ndw_and_a_worker_stops_gracefully(gateway, cpo, ndw):
    factories.make_connection(cpo, ndw)
    gateway.start("web", "worker", "beat", "relay")
    client = Cpo(cpo, gateway.port)

    tariff = client.send("PUT", f"{RECEIVER}/tariffs/NL/EXA/ADHOC-1", tariff_body())
    plain = client.put(location_body(id="PLAIN"))
    chunked = client.send("PUT", f"{client.root}/CHUNKED", in_chunks(location_body(id="CHUNKED")))
    wait_for(lambda: len(ndw.locations) == 2)
    status = client.set_status("CHUNKED", "CHARGING")
    took_s = wait_for(lambda: ndw.received[-1].method == "PATCH")

    assert [(answer[0], answer[1]["status_code"]) for answer in (tariff, plain, chunked, status)] == [
        (201, 1000),
        (201, 1000),
        (201, 1000),
        (200, 1000),
    ]
    assert took_s < 3
    assert (ndw.received[0].path, len(ndw.tariffs)) == ("/tariffs/NL/EXA/ADHOC-1", 1)
    assert held(ndw) == served(ndw, gateway, cpo)

    declared = client.begin(f"{client.root}/LARGE", {"Content-Length": "1048577"})
    streamed = client.begin(f"{client.root}/LARGE", {"Transfer-Encoding": "chunked"}, b"100001\r\n" + b" " * 0x100001)
    assert [(answer[0], answer[1]["status_code"]) for answer in (declared, streamed)] == [(413, 2000)] * 2

    ndw.fail_next("delay", times=None, seconds=0.4)
    for number in range(40):
        client.put(location_body(id=f"LOC-{number}"))
    wait_for(lambda: len(ndw.received) > 10)
    gateway.children["worker"].process.terminate()
    gateway.children["worker"].process.wait(15)

    assert Push.objects.filter(lease_token__isnull=False).count() == 0
    assert Push.objects.filter(state="delivered").count() == len(ndw.locations) + 1


def test_end_to_end_worker_killed_in_the_middle_loses_nothing(gateway, cpo, ndw):
    factories.make_connection(cpo, ndw)
    ids = [f"LOC-{number:02}" for number in range(100)]  # more than the worker can hold at a time
    for ocpi_id in ids:
        factories.put_location(cpo, id=ocpi_id)
    gateway.start("web", "worker", "beat")
    wait_for(lambda: len(ndw.locations) == 100)
    ndw.fail_next("delay", times=None, seconds=0.05)
    client, worker, seen = Cpo(cpo, gateway.port), gateway.children["worker"], len(ndw.received)

    for number in range(200):
        client.set_status(ids[number % 100], ("CHARGING", "BLOCKED")[number // 100])
        if number in (60, 130):
            wait_for(partial(lambda seen: len(ndw.received) > seen, seen))
            worker.bury()  # kill -9 of the whole process group
            seen = len(ndw.received)
            worker.start()
    worker.bury()

    assert Push.objects.filter(lease_token__isnull=False).count() > 0
    Push.objects.update(lease_until=Now() - SECOND)
    worker.start()
    wait_for(all_delivered)

    assert held(ndw) == served(ndw, gateway, cpo)
    assert {location["evses"][0]["status"] for location in held(ndw).values()} == {"BLOCKED"}
    assert (len(ndw.locations), ndw.stale) == (100, [])


def test_end_to_end_relay_delivers_without_redis_and_workers(gateway, cpo, ndw):
    factories.make_connection(cpo, ndw)
    gateway.start("web", "relay", REDIS_URL="redis://127.0.0.1:9/0")
    client = Cpo(cpo, gateway.port)

    started = time.monotonic()
    answers = [client.put(location_body(id=f"LOC-{number}")) for number in range(20)]
    uploaded_in_s = time.monotonic() - started
    Push.objects.update(due_at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=11))
    wait_for(all_delivered)

    assert {answer[0] for answer in answers} == {201}
    assert uploaded_in_s < 3
    assert held(ndw) == served(ndw, gateway, cpo)
    assert len(ndw.received) == 20


def test_end_to_end_redis_that_hangs_up_interrupts_no_delivery(gateway, cpo, ndw):
    factories.make_connection(cpo, ndw)
    for number in range(30):
        factories.put_location(cpo, id=f"LOC-{number}")
    ndw.fail_next("delay", times=None, seconds=1)
    gateway.start("worker", "beat")
    wait_for(lambda: len(ndw.received) > 5)

    redis.Redis.from_url(settings.REDIS_URL).client_kill_filter(_type="normal")
    wait_for(all_delivered, 8)

    assert gateway.children["worker"].is_alive()
    assert len(ndw.received) == 30
