"""The whole gateway through PgBouncer in transaction mode, on far fewer sessions than it has connections.

Source: README, "PgBouncer"; reliability C24, P15.
"""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from gateway import embedded
from ocpi import offboarding
from ocpi.models import Location
from tenants.models import Tenant, Token
from tests import factories
from tests.documents import location_body, tariff_body
from tests.edge.conftest import pgbouncer
from tests.pushing import later
from tests.test_end_to_end import RECEIVER, Cpo, Gateway, all_delivered, held, served, wait_for
from tests.test_imports import lines, locations

POOL = 2  # sessions for the web's 16 threads, and as many for everything else
ROUNDS = 60  # of each of four callers
PAGES = (
    "",
    "tenants/tenant/",
    "ocpi/location/",
    "ocpi/location/problems/",
    "ocpi/push/waiting/",
    "ocpi/push/minute/",
    "ocpi/location/map/",
)


@pytest.fixture(scope="module")
def pooled(db: None, tmp_path_factory: pytest.TempPathFactory, _simulator: Any) -> Iterator[SimpleNamespace]:
    """A gateway of which every process goes through PgBouncer, and two tenants whose Connections lead to NDW."""
    _simulator.reset()
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        bouncer = stack.enter_context(pgbouncer(POOL))
        with socket.create_server(("127.0.0.1", 0)) as free:
            gateway = Gateway(free.getsockname()[1], logs)
        stack.callback(lambda: [child.bury() for child in gateway.children.values() if child.process])
        for name, child in gateway.children.items():
            url = bouncer.urls["gateway_web" if name == "web" else "gateway"]
            child.environment |= {"PGBOUNCER": bouncer.version, "DATABASE_URL": url}
        web = gateway.children["web"].command
        web[web.index("--blocking-threads") + 1] = "8"
        gateway.start("web", "worker", "imports", "beat", "relay")
        tenants = [factories.make_tenant(party) for party in ("EXA", "RIV")]
        for tenant in tenants:
            factories.put_tariff(tenant)
            factories.make_connection(tenant, _simulator)
        yield SimpleNamespace(gateway=gateway, tenants=tenants, ndw=_simulator, bouncer=bouncer, logs=logs)


class Caller(threading.Thread):
    """A CPO that uploads, looks, and is pulled from, and notes whatever is not its own."""

    def __init__(self, tenant: Tenant, port: int, number: int) -> None:
        super().__init__()
        self.cpo, self.party, self.id = Cpo(tenant, port), tenant.party_id, f"L{number}"
        self.pull = {"Authorization": f"Token {factories.make_token(tenant, Token.Purpose.PULL)}"}
        self.count, self.odd = 0, list[Any]()

    def run(self) -> None:
        """Ask ROUNDS times three things."""
        for number in range(ROUNDS):
            name = f"{self.party} {self.id} {number}"
            body = location_body(party_id=self.party, id=self.id, name=name, last_updated=later())
            path = f"{self.cpo.root}/{self.id}"
            answers = [
                self.cpo.put(body)
                if number % 2 == 0
                else self.cpo.send("PATCH", path, {"name": name, "last_updated": later()}),
                self.cpo.send("GET", path, b""),
                self.cpo.send("GET", f"/ocpi/sender/NL/{self.party}/2.2.1/locations", b"", **self.pull),
            ]
            seen = [answers[1][1].get("data", {}), *answers[2][1].get("data", [])]
            mine = all(one.get("party_id") == self.party and one["name"].startswith(self.party) for one in seen)
            self.count += len(answers)
            if [code["status_code"] for _, code in answers] != [1000] * 3 or not mine or seen[0]["name"] != name:
                self.odd.append(answers)


def test_tenants_interleaved_on_the_same_sessions_see_their_own_only(pooled):
    callers = [Caller(tenant, pooled.gateway.port, number) for tenant in pooled.tenants for number in (0, 1)]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert [caller.odd[:1] for caller in callers] == [[]] * 4
    assert [caller.count for caller in callers] == [3 * ROUNDS] * 4
    wait_for(all_delivered)
    assert sorted(one["name"] for one in pooled.ndw.locations.values()) == [
        f"{party} L{number} {ROUNDS - 1}" for party in ("EXA", "RIV") for number in (0, 1)
    ]


def send_set(cpo: Cpo, documents: list[Any]) -> dict[str, Any]:
    """Upload a full set in bulk; return the import when the worker has done with it."""
    _, made = cpo.send("POST", "/api/v1/imports?kind=locations&mode=full", lines(documents))
    wait_for(lambda: cpo.send("GET", f"/api/v1/imports/{made['id']}", b"")[1]["state"] not in ("queued", "running"))
    return cpo.send("GET", f"/api/v1/imports/{made['id']}", b"")[1]


def test_full_sets_and_their_brake_pulls_and_pushes(pooled):
    exa = pooled.tenants[0]
    Location.objects.filter(tenant=exa).delete()
    pooled.ndw.reset()
    cpo, all_of_it = Cpo(exa, pooled.gateway.port), locations(60)

    whole, fewer, half = (send_set(cpo, some) for some in (all_of_it, all_of_it[:-2], all_of_it[:30]))

    counts = [(one["state"], one["counts"]["created"], one["counts"]["removed"]) for one in (whole, fewer, half)]
    assert counts == [("done", 60, 0), ("done", 0, 2), ("held", 0, 0)]
    wait_for(all_delivered)
    assert len(held(pooled.ndw)) == 60
    assert held(pooled.ndw) == served(pooled.ndw, pooled.gateway, exa)


def test_a_tariff_and_a_tenant_leave(pooled):
    rival = pooled.tenants[1]
    cpo = Cpo(rival, pooled.gateway.port)
    tariff = f"{RECEIVER}/tariffs/NL/RIV/OLD"
    made = cpo.send("PUT", tariff, tariff_body(party_id="RIV", id="OLD"))
    deleted = cpo.send("DELETE", tariff, b"")

    offboarding.begin(rival, "ann", confirmed_at=timezone.now(), confirmed_by="ann")
    wait_for(lambda: Tenant.objects.get(pk=rival.pk).offboarded_at)

    assert [(status, answer["status_code"]) for status, answer in (made, deleted)] == [(201, 1000), (200, 1000)]
    left = [one for one in pooled.ndw.locations.values() if one["party_id"] == "RIV"]
    assert {evse["status"] for one in left for evse in one["evses"]} == {"REMOVED"}


def test_console_shows_its_pages(pooled):
    client = Client()
    client.force_login(User.objects.create_superuser("ann"))
    cookie = f"session={client.cookies['session'].value}"
    caller = Cpo(pooled.tenants[0], pooled.gateway.port).connection

    statuses = []
    for page in (*PAGES, f"tenants/tenant/{pooled.tenants[0].pk}/change/"):
        caller.request("GET", f"/admin/{page}", headers={"Cookie": cookie})
        answer = caller.getresponse()
        answer.read()
        statuses.append(answer.status)

    assert statuses == [200] * len(statuses)


LEFT_BEHIND = """
    SELECT current_user, current_setting('role'), coalesce(current_setting('gateway.tenant', true), ''),
        (SELECT count(*) FROM pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER%'),
        (SELECT count(*) FROM pg_cursors WHERE is_holdable),
        (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relnamespace = pg_my_temp_schema()),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
        current_setting('idle_in_transaction_session_timeout'), current_setting('statement_timeout'),
        current_setting('lock_timeout'), pg_backend_pid()
"""


@pytest.mark.parametrize(
    ("database", "limits"), [("gateway_web", ("10s", "30s", "5s")), ("gateway", ("10s", "0", "0"))]
)
def test_no_session_keeps_anything_but_its_limits(pooled, database, limits):
    with ExitStack() as stack:
        url = pooled.bouncer.urls[database]
        every = [stack.enter_context(psycopg.connect(url, prepare_threshold=None)) for _ in range(POOL)]
        *found, pids = zip(*[one.execute(LEFT_BEHIND).fetchone() or () for one in every], strict=True)

    assert len(set(pids)) == POOL
    assert list(zip(*found, strict=True)) == [("gateway", "none", "", 0, 0, 0, 0, *limits)] * POOL


def test_backup_through_it_is_refused(pooled, tmp_path):
    environment = pooled.gateway.children["worker"].environment
    command = [sys.executable, "manage.py", "backup", str(tmp_path / "some.dump")]

    done = subprocess.run(command, env=environment, cwd=embedded.ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.partition(":")[0]) == (1, "CommandError")
    assert "DATABASE_URL leads to PgBouncer" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_log_tells_of_an_error(pooled):
    logs = {path.name: path.read_text() for path in Path(pooled.logs).glob("*.log")}
    logs["pgbouncer"] = pooled.bouncer.log.read_text()
    told = [
        f"{name}: {line}"
        for name, text in logs.items()
        for line in text.splitlines()
        if " ERROR" in line or "Traceback" in line
    ]

    assert set(logs) >= {"web.log", "worker.log", "imports.log", "beat.log", "relay.log"}
    assert told == []
