"""Pull: our web server against nginx with the same pages as files, a plain DRF list over three tables, and bare psycopg.

All on one machine, in turn, with clients in processes of their own that do nothing but receive. CPU is that of the web
processes; PostgreSQL's is the same work for psycopg, which is the yardstick for it.
"""

import http.client
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import psycopg
from django.db import connection

from gateway import embedded
from ocpi.models import Location
from ocpi.serve import MAX_LIMIT
from tenants.models import Tenant, Token
from tests import factories
from tests.benchmarks import stage
from tests.benchmarks.stage import Row, Server

NAIVE_LOCATIONS, NAIVE_PAGES = 3_000, 3
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
GZIP = {"Accept-Encoding": "gzip"}
Headers = dict[str, str]


@dataclass
class Sample:
    """What clients got in one go."""

    per_s: float
    mb_per_s: float
    p50_ms: float
    p99_ms: float


def run(
    locations: int = 25_000,
    rounds: int = 4,
    seconds: float = 1.5,
    clients: tuple[int, ...] = (1, 2, 8),
    feed: str | None = None,
) -> list[Row]:
    """Return the rows of the table, for one tenant of that size or for the NDJSON file `feed`; medians of the rounds."""
    tenants = _load(Path(feed)) if feed else [_made_up(locations)]
    tenant = max(tenants, key=lambda one: one.locations.count())
    count = tenant.locations.filter(is_shown=True).count()
    limit = min(MAX_LIMIT, max(1, count // 10))
    headers = {"Authorization": f"Token {factories.make_token(None, Token.Purpose.PULL)}"}
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ocpi_location")
    with stage.served() as ours:
        pages = _crawl(ours.port, f"{_list(tenant)}?limit={limit}", headers)
        paths = [path for path, _ in pages]
        rows = list(_against_nginx(ours, pages, headers, rounds, seconds, clients))
        rows += _depths(ours, paths, headers, rounds, f"{_list(tenant)}?limit={limit}&offset={count // 2}")
        rows += _known(ours, paths, headers, rounds)
        rows += _against_psycopg(ours, tenant, paths, limit, headers, rounds)
        rows += _memory(ours, tenants, headers)
        rows += _against_drf(ours, tenant, paths, limit, headers)
    return rows


# --- data --------------------------------------------------------------------------------------------------------------


def _made_up(locations: int) -> Tenant:
    tenant = factories.make_tenant("PUL")
    stage.seed_locations(tenant, locations)
    return tenant


def _load(path: Path) -> list[Tenant]:
    """Store a file of Locations, each under its own party."""
    tenants: dict[tuple[str, str], Tenant] = {}
    with path.open("rb") as lines:
        while batch := [json.loads(line) for line in itertools.islice(lines, 1000)]:
            for one in batch:
                party = one["country_code"], one["party_id"]
                if party not in tenants:
                    tenants[party] = factories.make_tenant(party[1], country_code=party[0])
            owners = [tenants[one["country_code"], one["party_id"]] for one in batch]
            rows = [stage.location_row(owner, one) for owner, one in zip(owners, batch, strict=True)]
            Location.objects.bulk_create(rows)
    return list(tenants.values())


def _list(tenant: Tenant) -> str:
    return f"/ocpi/sender/{tenant.country_code}/{tenant.party_id}/2.2.1/locations"


def _crawl(port: int, path: str, headers: Headers) -> list[tuple[str, bytes]]:
    """Follow Link; return each page's path and body."""
    pages = []
    client = http.client.HTTPConnection("127.0.0.1", port)
    while path:
        client.request("GET", path, headers=headers)
        response = client.getresponse()
        pages.append((path, response.read()))
        assert response.status == 200, pages[-1][1][:200]
        link = urlsplit(response.headers.get("Link", "").partition(">")[0].removeprefix("<"))
        path = f"{link.path}?{link.query}" if link.path else ""
    return pages


# --- clients -----------------------------------------------------------------------------------------------------------


def _fetch(port: int, paths: list[str], headers: Headers, clients: int, seconds: float) -> Sample:
    """Have so many clients fetch for so long, each beginning at another page."""
    running = []
    for number in range(clients):
        start = number * len(paths) // clients
        asked = {"port": port, "paths": paths[start:] + paths[:start], "headers": headers, "seconds": seconds}
        command = [sys.executable, "-m", "tests.benchmarks.fetch", json.dumps(asked)]
        running.append(
            subprocess.Popen(command, cwd=embedded.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    for one in running:
        assert one.stdout
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin
        print(file=one.stdin, flush=True)
    told = [json.loads(one.communicate()[0]) for one in running]
    took = sorted(second for one in told for second in one["seconds"])
    busy_s = sum(sum(one["seconds"]) for one in told) / clients
    return Sample(
        per_s=len(took) / busy_s,
        mb_per_s=sum(one["bytes"] for one in told) / busy_s / 1e6,
        p50_ms=statistics.median(took) * 1000,
        p99_ms=took[int(len(took) * 0.99)] * 1000,
    )


def _alternated(first: Callable[[], Sample], second: Callable[[], Sample], rounds: int) -> tuple[Sample, Sample]:
    """Return the middle samples of both, measured A B A B; with more than one round the first is thrown away."""
    pairs = [(first(), second()) for _ in range(rounds)]
    kept = pairs[1:] or pairs
    middle = len(kept) // 2
    return tuple(sorted((pair[side] for pair in kept), key=lambda one: one.per_s)[middle] for side in (0, 1))  # type: ignore[return-value]


def _words(ours: Sample) -> str:
    return f"{ours.mb_per_s:.0f} MB/s, p50 {ours.p50_ms:.1f} p99 {ours.p99_ms:.1f} ms"


# --- yardsticks --------------------------------------------------------------------------------------------------------


def _against_nginx(
    ours: Server,
    pages: list[tuple[str, bytes]],
    headers: Headers,
    rounds: int,
    seconds: float,
    clients: tuple[int, ...],
) -> Iterator[Row]:
    paths = [path for path, _ in pages]
    if not NGINX:
        print("nginx is not installed (Debian: nginx-light): no rows against it", file=sys.stderr)
        return
    with _nginx([body for _, body in pages]) as (port, files):
        for name, extra, target in (("raw", {}, ">= 0.22"), ("gzip", GZIP, ">= 1.20")):
            for count in clients:
                our, their = _alternated(
                    lambda c=count, e=extra: _fetch(ours.port, paths, headers | e, c, seconds),  # type: ignore[misc]
                    lambda c=count, e=extra: _fetch(port, files, e, c, seconds),  # type: ignore[misc]
                    rounds,
                )
                against = f"nginx {'static' if name == 'raw' else 'gzip 1 on the fly'}; {_words(our)}"
                yield Row(f"pull {name}, {count} clients", our.per_s, their.per_s, "pages/s", against, target)


@contextmanager
def _nginx(bodies: list[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Serve the bodies as files, compressed on the fly for who takes it; yield the port and the paths."""
    port = stage.free_port()
    with TemporaryDirectory() as folder:
        for number, body in enumerate(bodies):
            (Path(folder) / f"{number}.json").write_bytes(body)
        conf = Path(folder) / "nginx.conf"
        conf.write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes auto;"
            f" {'user root;' if os.getuid() == 0 else ''} events {{}} http {{ access_log off; sendfile on; tcp_nopush on;"
            " types { application/json json; } gzip on; gzip_comp_level 1; gzip_types application/json;"
            f" client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;"
            f" uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t; keepalive_requests 100000;"
            f" server {{ listen 127.0.0.1:{port}; root {folder}; }} }}"
        )
        process = subprocess.Popen([str(NGINX), "-c", str(conf)], stderr=subprocess.DEVNULL)
        try:
            stage.wait_for(lambda: _is_open(port))
            yield port, [f"/{number}.json" for number in range(len(bodies))]
        finally:
            process.terminate()
            process.wait()


def _is_open(port: int) -> bool:
    try:
        http.client.HTTPConnection("127.0.0.1", port, timeout=1).request("GET", "/")
    except OSError:
        return False
    return True


def _depths(ours: Server, paths: list[str], headers: Headers, rounds: int, by_offset: str) -> list[Row]:
    """Compare pages at other depths with the first page, one client."""
    at = {"50 %": paths[len(paths) // 2], "99 %": paths[-2 if len(paths) > 1 else -1], "50 %, bare offset": by_offset}
    took: dict[str, list[float]] = {name: [] for name in ("first", *at)}
    for _ in range(rounds):
        for name in took:
            took[name].append(_fetch(ours.port, [at.get(name, paths[0])], headers, 1, 0.5).p50_ms)
    ms = {name: statistics.median(times) for name, times in took.items()}
    targets = {"50 %": "<= 1.10", "99 %": "<= 1.10"}
    return [
        Row(f"pull, page at {name}", ms[name], ms["first"], "ms", "the first page", targets.get(name, ""))
        for name in at
    ]


def _known(ours: Server, paths: list[str], headers: Headers, rounds: int) -> list[Row]:
    """Compare asking again with If-None-Match with the page itself."""
    client = http.client.HTTPConnection("127.0.0.1", ours.port)

    def ask(more: Headers) -> tuple[float, str]:
        began = time.perf_counter()
        client.request("GET", paths[0], headers=headers | more)
        response = client.getresponse()
        response.read()
        return (time.perf_counter() - began) * 1000, response.headers["ETag"]

    tag = ask({})[1]
    took = [(ask({"If-None-Match": tag})[0], ask({})[0]) for _ in range(rounds * 5)]
    known_ms, page_ms = (statistics.median(side) for side in zip(*took, strict=True))
    return [Row("pull, 304 to who has the page", known_ms, page_ms, "ms", "the page", "")]


def _against_psycopg(
    ours: Server, tenant: Tenant, paths: list[str], limit: int, headers: Headers, rounds: int
) -> list[Row]:
    keys = list(tenant.locations.filter(is_shown=True).order_by("pk").values_list("pk", flat=True))[::limit]
    took = [_raw(tenant, key, limit) for _ in range(rounds) for key in keys]
    our = [_fetch(ours.port, paths, headers, 1, 0.5).per_s for _ in range(rounds)]
    return [
        Row(
            "pull raw, 1 client",
            statistics.median(our),
            1 / statistics.median(took),
            "pages/s",
            "psycopg, joined, no web",
            "",
        )
    ]


def _raw(tenant: Tenant, key: int, limit: int) -> float:
    connection.ensure_connection()
    started = time.perf_counter()
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(
            "SELECT body FROM ocpi_location WHERE tenant_id = %s AND is_shown AND id >= %s ORDER BY id LIMIT %s",
            [tenant.pk, key, limit],
            binary=True,
        )
        b",".join([body for (body,) in cursor.fetchall()])
    return time.perf_counter() - started


def _memory(ours: Server, tenants: list[Tenant], headers: Headers) -> list[Row]:
    """Compare the largest web process after one crawl of everything with itself after one more, and one compressed."""
    for more in ({}, GZIP):
        for tenant in tenants:
            _crawl_all(ours.port, tenant, headers | more)
    before_mb = ours.memory_mb()
    pages = sum(_crawl_all(ours.port, tenant, headers | more) for more in ({}, GZIP) for tenant in tenants)
    return [Row(f"web memory after {pages} pages more", ours.memory_mb(), before_mb, "MB", "before them", "<= 1.10")]


def _crawl_all(port: int, tenant: Tenant, headers: Headers) -> int:
    return len(_crawl(port, f"{_list(tenant)}?limit={MAX_LIMIT}", headers))


def _against_drf(ours: Server, tenant: Tenant, paths: list[str], limit: int, headers: Headers) -> list[Row]:
    """Compare the CPU of a page with that of a DRF list over three tables."""
    settings_module = "tests.benchmarks.naive.settings"
    environment = stage.database_environment() | {"DJANGO_SETTINGS_MODULE": settings_module}
    command = [sys.executable, "-m", "tests.benchmarks.naive.load", str(tenant.pk), str(NAIVE_LOCATIONS)]
    subprocess.run(command, cwd=embedded.ROOT, env=environment, check=True)
    try:
        with stage.served(settings_module, "tests.benchmarks.naive.web:application") as naive:
            offsets = [limit * number for number in range(NAIVE_PAGES) if limit * number < tenant.locations.count()]
            theirs = _cpu_ms(
                naive, [f"/locations?limit={limit}&offset={offset}" for offset in offsets], {}, len(offsets)
            )
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE naive_naiveconnector, naive_naiveevse, naive_naivelocation")
    own = _cpu_ms(ours, paths, headers, max(len(paths), 200 if len(paths) > 10 else 1))
    return [
        Row("pull, pages per s of CPU", 1000 / own, 1000 / theirs, "pages/s", "DRF over three tables, CPU", ">= 80"),
        Row("pull, CPU of a page", own, theirs, "ms", "DRF over three tables", ""),
    ]


def _cpu_ms(server: Server, paths: list[str], headers: Headers, count: int) -> float:
    """Return the CPU that the server's processes take for a page."""
    _fetch(server.port, paths, headers, 1, 0)
    before, wanted = server.cpu_s(), list(itertools.islice(itertools.cycle(paths), count))
    _fetch(server.port, wanted, headers, 1, 0)
    return max((server.cpu_s() - before) / count * 1000, 0.01)
