"""Bulk: an import with every rule, diff, report and push row, against a pipelined upsert of the same bytes without any of it.

Both write the same tables, batches of 1,000 a transaction, one process; in turn, each time for tenants that have nothing yet.
"""

import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import orjson
import psycopg
from django.db import connection

from gateway import embedded
from gateway import feed as feeds
from ocpi import imports, intake, rules
from ocpi.models import Import
from tenants.models import Tenant
from tests import factories
from tests.benchmarks.stage import Row, database_environment

BATCH = 1000
_UPSERT = """
    WITH written AS (
        INSERT INTO ocpi_location (tenant_id, created_at, received_at, ocpi_id, body, last_updated, is_shown, publish, gaps,
                                   tariff_ids, evse_keys, findings, warnings, edition, latitude, longitude, evse_count,
                                   connector_count)
        VALUES (%(tenant)s, now(), now(), %(id)s, %(body)s, %(last_updated)s, true, true, '{}', '{}', '{}', '[]', '{}', '',
                0, 0, 0, 0)
        ON CONFLICT (tenant_id, ocpi_key) DO UPDATE SET body = excluded.body, last_updated = excluded.last_updated
        RETURNING id, tenant_id
    )
    INSERT INTO ocpi_push (tenant_id, connection_id, location_id, state, priority, whole, version, changes, changed_at,
                           due_at, attempts, correlation_id, last_answer, accepted_tariff_ids)
    SELECT tenant_id, %(connection)s, id, 'dirty', 2, true, 1, 1, now(), now(), 0, '', '', '{}' FROM written
    ON CONFLICT (tenant_id, connection_id, location_id) DO UPDATE SET version = ocpi_push.version + 1
"""


def run(count: int = 5_000, rounds: int = 3, feed: str | None = None) -> list[Row]:
    """Return the rows of the table, for so many made-up Locations or those of the largest party in the NDJSON file `feed`."""
    lines, tariffs = _of_largest(Path(feed)) if feed else _made_up(count)
    size_mb = sum(map(len, lines)) / 1e6
    took: dict[str, list[float]] = {"ours": [], "floor": [], "again": []}
    for _ in range(rounds):
        with _tenant(lines) as tenant:
            took["floor"].append(_floor(tenant, lines))
        with _tenant(lines) as tenant:
            _import(tenant, tariffs, "tariff")
            took["ours"].append(_import(tenant, lines))
            took["again"].append(_import(tenant, lines))
    # The first round warms up.
    per_s = {name: len(lines) / statistics.median(times[1:] or times) for name, times in took.items()}
    few = lines[: len(lines) // 2]
    memory = _memory_mb(lines), _memory_mb(few)
    against = f"pipelined upsert + push row; {len(lines)} Locations, {size_mb:.0f} MB"
    return [
        Row("import, every rule", per_s["ours"], per_s["floor"], "/s", against, ">= 0.55"),
        Row("import again, unchanged", per_s["again"], per_s["ours"], "/s", "the first import", ">= 3"),
        Row("import, memory of the process", *memory, "MB", f"{len(few)} Locations", "<= 1.10"),
    ]


@contextmanager
def _tenant(lines: list[bytes]) -> Iterator[Tenant]:
    """Yield the tenant of the lines; nobody has anything yet, so that no EVSE stands in two places."""
    country_code, party_id = _party(lines[0]).split("-")
    tenant = factories.make_tenant(party_id, country_code=country_code)
    factories.connect_to_nowhere(tenant)
    try:
        yield tenant
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "TRUNCATE ocpi_location, ocpi_tariff, ocpi_push, ocpi_import, ocpi_showncount, ocpi_version,"
                " tenants_tenant CASCADE"
            )


def _memory_mb(lines: list[bytes]) -> float:
    """Return the most memory that `manage.py import` needs for the lines."""
    with _tenant(lines) as tenant, NamedTemporaryFile() as file:
        file.writelines(lines)
        file.flush()
        command = [sys.executable, "manage.py", "import", str(tenant), "locations", file.name]
        process = subprocess.Popen(command, cwd=embedded.ROOT, env=database_environment(), stdout=subprocess.DEVNULL)
        most = 0
        while process.poll() is None:
            with suppress(OSError, StopIteration):
                status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                most = int(next(line for line in status if line.startswith("VmHWM")).split()[1])
            time.sleep(0.02)
        assert process.returncode == 0
        return most / 1000


def _made_up(count: int) -> tuple[list[bytes], list[bytes]]:
    made_up = feeds.made_up("NL-XXX", count)
    return [*map(_line, made_up.locations)], [*map(_line, made_up.tariffs)]


def _line(document: object) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _of_largest(path: Path) -> tuple[list[bytes], list[bytes]]:
    """Return the lines of the party that has most, and those of its Tariffs in the file beside."""
    of_party: dict[str, list[bytes]] = {}
    with path.open("rb") as lines:
        for line in lines:
            of_party.setdefault(_party(line), []).append(line)
    largest = max(of_party, key=lambda party: len(of_party[party]))
    with path.with_name("tariffs.ndjson").open("rb") as lines:
        return of_party[largest], [line for line in lines if _party(line) == largest]


def _party(line: bytes) -> str:
    one = orjson.loads(line)
    return f"{one['country_code']}-{one['party_id']}"


def _import(tenant: Tenant, lines: list[bytes], kind: rules.Kind = "location") -> float:
    """Import the lines; return the seconds of the work, from the stored upload to its end."""
    one = intake.receive(tenant, kind, _pieces(lines), origin="benchmark")
    started = time.perf_counter()
    for now in imports.finish(one):
        one = now
    assert one.state == Import.State.DONE, one.note
    assert not one.counts["refused"], one.rules
    return time.perf_counter() - started


def _pieces(lines: list[bytes]) -> Iterator[bytes]:
    for start in range(0, len(lines), BATCH):
        yield b"".join(lines[start : start + BATCH])


def _floor(tenant: Tenant, lines: list[bytes]) -> float:
    to = tenant.connections.get().pk
    connection.ensure_connection()
    started = time.perf_counter()
    left = iter(lines)
    while batch := list(itertools.islice(left, BATCH)):
        rows = []
        for line in batch:
            one = orjson.loads(line)
            rows.append(
                {
                    "tenant": tenant.pk,
                    "connection": to,
                    "id": one["id"],
                    "body": line,
                    "last_updated": one["last_updated"],
                }
            )
        with connection.connection.transaction(), psycopg.Cursor(connection.connection) as cursor:
            cursor.executemany(_UPSERT, rows)
    return time.perf_counter() - started
