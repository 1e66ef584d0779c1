"""What benchmarks share: seeded data, a running web server, clients in threads, medians."""

import json
import os
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import orjson
from django.conf import settings
from django.db import connections

from gateway import feed
from gateway.supervisor import Child, Supervisor, is_ready, processes
from ocpi import rules, store
from ocpi.models import Location
from tenants.models import Tenant
from tests.load import usage


@dataclass
class Row:
    """One line of the table: ours and the yardstick in the same unit, and what their ratio should be."""

    path: str
    ours: float
    yardstick: float
    unit: str
    against: str
    target: str

    def __str__(self) -> str:
        """Return the line."""
        ratio = self.ours / self.yardstick if self.yardstick else float("nan")
        figures = f"{self.ours:>9.1f} {self.yardstick:>9.1f} {self.unit:<8} {ratio:>7.2f}"
        return f"{self.path:<34} {figures}   {self.target:<7} {self.against}"


def seed_locations(tenant: Tenant, count: int) -> list[dict]:
    """Store `count` made-up Locations of a tenant in one go, and the Tariffs they name; return their documents."""
    made_up = feed.made_up(f"{tenant.country_code}-{tenant.party_id}", count)
    for tariff in made_up.tariffs:
        store.put_tariff(tenant, tariff)
    rows = [location_row(tenant, document) for document in made_up.locations]
    Location.objects.bulk_create(rows, batch_size=1000)
    return [orjson.loads(row.body) for row in rows]


def location_row(tenant: Tenant, document: dict) -> Location:
    """Return the row of a Location that DOT-NL takes as it is."""
    verdict = rules.check("location", document)
    where = {name: float(value) for name, value in document["coordinates"].items()}
    evses = document.get("evses") or []
    return Location(
        tenant=tenant, ocpi_id=document["id"], body=verdict.body, last_updated=verdict.document["last_updated"],
        publish=True, is_shown=True, evse_count=len(evses), connector_count=len(evses), **where,
    )  # fmt: skip


def free_port() -> int:
    """Return a port of this machine that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def web(workers: int = 2) -> Iterator[str]:
    """Run the production web server on the current database; yield its address."""
    with served(workers=workers) as server:
        yield f"http://127.0.0.1:{server.port}"


@dataclass
class Server:
    """A web server with its processes."""

    port: int
    child: Child

    def pids(self) -> list[int]:
        """Return its process and all below it."""
        return usage.family(self.child.process.pid) if self.child.process else []

    def cpu_s(self) -> float:
        """Return the CPU time used so far."""
        return sum(map(usage.cpu_s, self.pids()))

    def memory_mb(self) -> float:
        """Return the memory of the largest of its processes."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids()]
        return max(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def served(settings_module: str = "tests.settings", application: str = "", workers: int = 2) -> Iterator[Server]:
    """Run the production web server, with another application where one is named, in so many processes."""
    port = free_port()
    with TemporaryDirectory() as logs:
        environment = database_environment() | {"DJANGO_SETTINGS_MODULE": settings_module}
        child = next(one for one in processes(port, Path(logs), environment) if one.name == "web")
        child.command[child.command.index("--workers") + 1] = str(workers)
        if application:
            child.command[-1] = application
        with Supervisor([child], say=lambda line: print(line, file=sys.stderr)):
            wait_for(lambda: is_ready(port))
            yield Server(port, child)


@contextmanager
def simulator(latency_ms: int) -> Iterator[SimpleNamespace]:
    """Run NDW as a process of its own that takes `latency_ms` for each answer; yield what it says of itself."""
    with TemporaryDirectory() as logs:
        command = [
            sys.executable,
            "-m",
            "tests.ndw_simulator",
            "--port",
            "0",
            "--latency-ms",
            str(latency_ms),
            "--quiet",
        ]
        child = Child("simulator", command, log=Path(logs) / "simulator.log", environment=dict(os.environ))
        with Supervisor([child]):
            wait_for(lambda: child.last_lines(1))
            yield SimpleNamespace(**json.loads(child.last_lines(1)[0]))


def database_environment() -> dict[str, str]:
    """Return an environment in which a process uses the database that is in use here (of a test or a benchmark)."""
    current = settings.DATABASES["default"]
    host = current["OPTIONS"].get("host") or current.get("HOST")
    url = f"postgresql:///{connections['default'].settings_dict['NAME']}?host={host}&port=5432&user=gateway"
    if current.get("HOST"):
        login = f"{current['USER']}:{current['PASSWORD']}@{current['HOST']}:{current['PORT'] or 5432}"
        url = f"postgresql://{login}/{connections['default'].settings_dict['NAME']}"
    return {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}


def wait_for(condition: Callable[[], object], timeout_s: float = 30) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("the server did not get ready")
        time.sleep(0.02)


def rate(work: Callable[[int, int], None], threads: int, count: int) -> float:
    """Return jobs per second: `work(thread, job)` is called `count` times in all, shared among the threads."""

    def run(thread: int) -> None:
        for job in range(thread, count, threads):
            work(thread, job)
        connections.close_all()

    workers = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return count / (time.perf_counter() - started)


def alternated(first: Callable[[], float], second: Callable[[], float], rounds: int) -> tuple[float, float]:
    """Return the medians of both, measured A B A B; with more than one round the first is thrown away."""
    pairs = [(first(), second()) for _ in range(rounds)]
    kept = pairs[1:] or pairs
    return statistics.median(a for a, _ in kept), statistics.median(b for _, b in kept)
