"""Pull: a page in the middle against the first page, and against psycopg fetching and joining the same page."""

import http.client
import time
from statistics import median
from urllib.parse import urlsplit

import psycopg
from django.db import connection

from ocpi.serve import MAX_LIMIT
from tenants.models import Tenant, Token
from tests import factories
from tests.benchmarks import stage
from tests.benchmarks.stage import Row


def run(locations: int = 10_000, rounds: int = 30) -> list[Row]:
    """Return the rows of the table for one tenant of that size."""
    tenant = factories.make_tenant("PUL")
    stage.seed_locations(tenant, locations)
    token = factories.make_token(tenant, Token.Purpose.PULL)
    limit = min(MAX_LIMIT, max(1, locations // 10))
    path = f"/ocpi/sender/NL/PUL/2.2.1/locations?limit={limit}"
    with stage.web() as address:
        client = http.client.HTTPConnection(address.removeprefix("http://"))
        by_link = _links(client, path, token)
        by_offset = f"{path}&offset={locations // 2}"
        paths = {"first": path, "middle": by_link[len(by_link) // 2], "offset": by_offset}
        took: dict[str, list[float]] = {name: [] for name in [*paths, "psycopg"]}
        for _ in range(rounds):
            for name, one in paths.items():
                took[name].append(_get(client, one, token))
            took["psycopg"].append(_raw(tenant, locations // 2, limit))
    ms = {name: median(times) * 1000 for name, times in took.items()}
    return [
        Row(f"pull, page of {limit}, middle by Link", ms["middle"], ms["first"], "ms", "the first page", "<= 1.1"),
        Row(f"pull, page of {limit}, middle by offset", ms["offset"], ms["first"], "ms", "the first page", ""),
        Row(
            f"pull, page of {limit}", 1000 / ms["first"], 1000 / ms["psycopg"], "pages/s", "psycopg, joined, no web", ""
        ),
    ]


def _request(client: http.client.HTTPConnection, path: str, token: str) -> tuple[str, bytes]:
    client.request("GET", path, headers={"Authorization": f"Token {token}"})
    response = client.getresponse()
    body = response.read()
    assert response.status == 200, body[:200]
    return response.headers.get("Link", ""), body


def _get(client: http.client.HTTPConnection, path: str, token: str) -> float:
    started = time.perf_counter()
    _request(client, path, token)
    return time.perf_counter() - started


def _links(client: http.client.HTTPConnection, path: str, token: str) -> list[str]:
    """Crawl by Link; return the path of every page."""
    paths = [path]
    while link := _request(client, paths[-1], token)[0]:
        parts = urlsplit(link[1 : link.index(">")])
        paths.append(f"{parts.path}?{parts.query}")
    return paths


def _raw(tenant: Tenant, skip: int, limit: int) -> float:
    connection.ensure_connection()
    started = time.perf_counter()
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(
            "SELECT body FROM ocpi_location WHERE tenant_id = %s AND id >"
            " (SELECT min(id) FROM ocpi_location WHERE tenant_id = %s) + %s ORDER BY id LIMIT %s",
            [tenant.pk, tenant.pk, skip, limit],
            binary=True,
        )
        b",".join([body for (body,) in cursor.fetchall()])
    return time.perf_counter() - started
