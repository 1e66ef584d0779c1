"""Run the statements that every upload and every pull runs: prepared, in binary, over the raw driver.

Django's cursor binds on the client: each execution is planned anew and bodies travel as hex, which is a third of what an
upload costs. Same connection, same transaction, same exceptions as Django's.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction

AWAY_S = 5  # after which a caller is told to ask again
CHUNK = 50  # rows handed over at once by `stream`: few enough that they stay in the processor's cache


def run(sql: str, parameters: Any, using: str = DEFAULT_DB_ALIAS) -> psycopg.Cursor:
    """Execute and return the cursor. Raises django.db's exceptions."""
    server = connections[using]
    server.ensure_connection()
    with server.wrap_database_errors:
        cursor = psycopg.Cursor(server.connection).execute(sql, parameters, binary=True)
    server.health_check_done = True  # type: ignore[attr-defined]  # this says as much as Django's SELECT 1 would
    return cursor


_CONFINE = "SELECT set_config('role', %s, true), set_config('gateway.tenant', %s, true)"


@contextlib.contextmanager
def confined(tenant_id: int, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Run what follows in this transaction as a role that row-level security lets see one tenant's rows only.

    The second lock under the WHERE clauses; begins with the transaction, in the same round trip, and ends with it, so that no
    other request finds it on a kept or pooled connection. Inside another transaction (a test's) it ends here.
    """
    server = connections[using]
    outer, is_inner = getattr(server, "confined_to", None), len(server.savepoint_ids) > 0
    if outer == tenant_id:
        yield
        return
    server.ensure_connection()
    with server.wrap_database_errors, server.connection.pipeline():
        psycopg.Cursor(server.connection).execute(_CONFINE, ["gateway_tenant", str(tenant_id)])
    server.confined_to = tenant_id  # type: ignore[attr-defined]
    try:
        yield
    finally:
        server.confined_to = outer  # type: ignore[attr-defined]
    if is_inner and not server.needs_rollback:  # what is rolled back takes the setting along
        run(_CONFINE, ["none", ""] if outer is None else ["gateway_tenant", str(outer)], using)


def ask(sql: str, parameters: Any) -> psycopg.Cursor:
    """Run the question a request begins with; on a new connection where the kept one has died meanwhile."""
    try:
        return run(sql, parameters)
    except OperationalError:
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        return run(sql, parameters)


def is_away(error: BaseException) -> bool:
    """Return True for an error that says nothing of what was asked: the database cannot be had now, and may be asked again.

    Two of them are InternalErrors to Django: we were frozen in a transaction, or the server only reads (a standby).
    """
    was_internal = isinstance(error.__cause__, IdleInTransactionSessionTimeout | ReadOnlySqlTransaction)
    return was_internal or isinstance(error, OperationalError | InterfaceError)


def stream(sql: str, parameters: Any, using: str = DEFAULT_DB_ALIAS) -> Iterator[tuple]:
    """Execute and yield rows while they arrive: a result of megabytes is never in memory twice. Raises django.db's exceptions."""
    server = connections[using]
    server.ensure_connection()
    with server.wrap_database_errors:
        yield from psycopg.Cursor(server.connection).stream(sql, parameters, binary=True, size=CHUNK)


def run_many(sql: str, rows: Iterable[Any], *, returning: bool = False) -> list[tuple | None]:
    """Execute once per row, in this order and in one pipeline: no round trip each. Raises django.db's exceptions.

    With `returning` the first row that each execution gave.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        cursor.executemany(sql, rows, returning=returning)
        return [result.fetchone() for result in cursor.results()] if returning else []


def copy_in(sql: str, types: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Copy rows into a table, in binary. Raises django.db's exceptions."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection).copy(sql) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def array(items: Iterable[str | bytes]) -> str:
    """Return PostgreSQL's text of an array: the driver's own way takes longer than a verdict."""
    texts = (f"\\x{item.hex()}" if isinstance(item, bytes) else item for item in items)
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in escaped) + "}"
