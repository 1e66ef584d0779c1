"""Upload: PUT of a Location and PATCH of an EVSE over HTTP, against the bare statements over psycopg."""

import datetime as dt
import http.client
import itertools
import json
import threading
from typing import Any

import orjson
import psycopg

from ocpi.envelope import timestamp
from tests import factories
from tests.benchmarks import stage
from tests.benchmarks.stage import Row

UPSERT = """
WITH written AS (
    INSERT INTO bench_location (id, body) VALUES (%s, %s)
    ON CONFLICT (id) DO UPDATE SET body = excluded.body RETURNING id
)
INSERT INTO bench_push (id, version, changed_at) SELECT id, 1, now() FROM written
ON CONFLICT (id) DO UPDATE SET version = bench_push.version + 1, changed_at = now()
"""


def run(locations: int = 500, count: int = 2_000, clients: int = 8, rounds: int = 3) -> list[Row]:
    """Return the rows of the table: `count` requests a round from `clients` threads."""
    tenant = factories.make_tenant("UPL")
    factories.connect_to_nowhere(tenant)
    documents = stage.seed_locations(tenant, locations)
    token = factories.make_token(tenant)
    with stage.web() as address:
        # So many that each is always changed by the same client: its changes then arrive in their order.
        bench = _Bench(documents[: locations // clients * clients], token, address.removeprefix("http://"))
        put = stage.alternated(
            lambda: stage.rate(bench.put, clients, count), lambda: stage.rate(bench.upsert, clients, count), rounds
        )
        patch = stage.alternated(
            lambda: stage.rate(bench.patch, clients, count),
            lambda: stage.rate(bench.locked_patch, clients, count),
            rounds,
        )
    return [
        Row(f"PUT Location, {clients} clients", *put, "/s", "raw upsert + push row", ">= 0.18"),
        Row(f"PATCH EVSE, {clients} clients", *patch, "/s", "raw locked patch + push row", ">= 0.35"),
    ]


class _Bench:
    def __init__(self, documents: list[dict], token: str, host: str) -> None:
        self.documents, self.host = documents, host
        self.headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
        self.local = threading.local()
        self.numbers = itertools.count(1)
        self.started = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        with self._psycopg().cursor() as cursor:
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS bench_push (id text PRIMARY KEY, version int, changed_at timestamptz)"
            )
            cursor.execute("CREATE TABLE IF NOT EXISTS bench_location (id text PRIMARY KEY, body bytea)")

    def _next(self, document: dict) -> dict:
        """Return the document changed: another name or status, a later time."""
        number = next(self.numbers)
        now = timestamp(self.started + dt.timedelta(milliseconds=number))
        return {**document, "name": f"Change {number}", "last_updated": now}

    def _call(self, method: str, path: str, body: dict[str, Any]) -> None:
        client = getattr(self.local, "client", None)
        if client is None:
            client = self.local.client = http.client.HTTPConnection(self.host)
        client.request(method, f"/ocpi/receiver/2.2.1/locations/NL/UPL/{path}", json.dumps(body), self.headers)
        answer = json.loads(client.getresponse().read())
        assert answer["status_code"] == 1000, answer

    def put(self, thread: int, job: int) -> None:
        document = self._next(self.documents[job % len(self.documents)])
        self._call("PUT", document["id"], document)

    def patch(self, thread: int, job: int) -> None:
        document = self.documents[job % len(self.documents)]
        status = ("AVAILABLE", "CHARGING")[job // len(self.documents) % 2]
        body = {"status": status, "last_updated": self._next({})["last_updated"]}
        self._call("PATCH", f"{document['id']}/{document['evses'][0]['uid']}", body)

    def _psycopg(self) -> psycopg.Connection:
        client = getattr(self.local, "psycopg", None)
        if client is None:
            url = stage.database_environment()["DATABASE_URL"]
            client = self.local.psycopg = psycopg.connect(url, autocommit=True)
        return client

    def upsert(self, thread: int, job: int) -> None:
        document = self._next(self.documents[job % len(self.documents)])
        self._psycopg().execute(UPSERT, [document["id"], orjson.dumps(document)])

    def locked_patch(self, thread: int, job: int) -> None:
        client = self._psycopg()
        document = self.documents[job % len(self.documents)]
        with client.transaction():
            row = client.execute(
                "SELECT body FROM bench_location WHERE id = %s FOR UPDATE", [document["id"]]
            ).fetchone()
            assert row is not None
            stored = orjson.loads(row[0])
            stored["evses"][0]["status"] = "CHARGING"
            client.execute(UPSERT, [document["id"], orjson.dumps(stored)])
