"""The cast: `cpo` and `rival` (two tenants), their clients, `ndw` (a running simulator), and real servers for all."""

import gc
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.test import Client, TransactionTestCase

from gateway import embedded
from tenants.models import Tenant, Token
from tests import factories, ndw_simulator
from tests import settings as test_settings

CLIENT = Client()  # one for all: a new one loads the middleware anew, which takes longer than most requests


gc.disable()  # until all are collected: what is made till then stays


def pytest_collection_finish() -> None:
    """Leave alone what stays to the end: to look through it again and again takes a tenth of the time of the tests."""
    gc.freeze()
    gc.enable()


# What takes longest, and starts processes that are waited for: were they last, one worker would be alone with them.
FIRST = {
    "test_end_to_end.py", "test_admin_roles.py", "test_benchmarks.py", "test_checks.py", "test_admin.py", "test_fuzz.py",
    "test_bad_inputs.py", "test_conformance.py", "test_embedded.py", "test_metrics.py",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put them first."""
    items.sort(key=lambda item: item.path.name not in FIRST)


@pytest.fixture(scope="session")
def servers() -> Iterator[None]:
    """Run PostgreSQL and Redis, unless the environment names others; a missing service fails, it never skips."""
    with ExitStack() as stack:
        if test_settings.IS_EMBEDDED:
            stack.enter_context(embedded.running(test_settings.DATA, create=True))
            _waits_for_no_disk()
        yield


def _waits_for_no_disk() -> None:
    """Have PostgreSQL leave the writing to the machine: no test pulls the plug, and the database is made anew each time."""
    with psycopg.connect(embedded.urls(test_settings.DATA)[0], autocommit=True) as server:
        server.execute("ALTER SYSTEM RESET ALL")
        for name in ("fsync", "full_page_writes"):
            server.execute(f"ALTER SYSTEM SET {name} = off")
        server.execute("SELECT pg_reload_conf()")


def _empty(self: TransactionTestCase) -> None:
    """Empty the tables that are not empty.

    Django's own way empties all of them, and makes the content types and permissions anew: ten times the work of most tests.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relkind = 'r' AND pg_relation_size(oid) > 0"
            " AND relnamespace = 'public'::regnamespace AND relname <> ALL (%s)",
            [["django_migrations", "django_content_type", "auth_permission"]],
        )
        if tables := cursor.fetchone()[0]:
            cursor.execute(f"TRUNCATE {tables} CASCADE")


TransactionTestCase._fixture_teardown = _empty  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def kept(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """A transaction around the tests of a file, for what all of them begin with; what a test does ends with the test."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: None, django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Have the servers up before the test database is made; a test is one long transaction, which may well be idle."""
    del connections["default"].settings_dict["OPTIONS"]["options"]


@dataclass
class Caller:
    """A client of one interface: paths are relative to its root, bodies are JSON, answers are parsed."""

    root: str
    headers: dict[str, str]

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Make a request, a body of bytes as it is; return the HttpResponse with its body parsed as `envelope`."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        content: dict[str, Any] = {"data": raw, "content_type": "application/json"} if body is not None else {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        response: Any = CLIENT.generic(method, self.root + path, headers=self.headers | given, **content)
        response.envelope = json.loads(response.content) if response.content else None
        return response

    def get(self, path: str = "", **headers: str) -> Any:
        """GET."""
        return self.call("GET", path, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Any:
        """PUT."""
        return self.call("PUT", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        """PATCH."""
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        """DELETE."""
        return self.call("DELETE", path, **headers)


def uploader(tenant: Tenant) -> Caller:
    """Return a tenant's client of the Receiver interface, at `/locations/…` or `/tariffs/…` of its own party."""
    token = factories.make_token(tenant, Token.Purpose.UPLOAD)
    return Caller("/ocpi/receiver/2.2.1", {"Authorization": f"Token {token}"})


def puller(tenant: Tenant) -> Caller:
    """Return NDW's client of a tenant's Sender interface."""
    token = factories.make_token(tenant, Token.Purpose.PULL)
    root = f"/ocpi/sender/{tenant.country_code}/{tenant.party_id}/2.2.1"
    return Caller(root, {"Authorization": f"Token {token}"})


@pytest.fixture
def cpo(db: None) -> Tenant:
    """A tenant, NL-EXA."""
    return factories.make_tenant("EXA")


@pytest.fixture
def rival(db: None) -> Tenant:
    """Another tenant, NL-RIV."""
    return factories.make_tenant("RIV")


@pytest.fixture
def upload(cpo: Tenant) -> Caller:
    """`cpo`'s client of the Receiver interface."""
    return uploader(cpo)


@pytest.fixture
def pull(cpo: Tenant) -> Caller:
    """NDW's client of `cpo`'s Sender interface."""
    return puller(cpo)


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Any]:
    with ndw_simulator.running() as simulator:
        yield simulator


@pytest.fixture
def ndw(_simulator: Any) -> Any:
    """NDW, empty and without faults."""
    _simulator.reset()
    assert settings.NDW_ALLOWED_HOSTS == ["127.0.0.1", "localhost"]
    return _simulator
