"""Run the statements that every upload and every pull runs: prepared, in binary, over the raw driver.

Django's cursor binds on the client: each execution is planned anew and bodies travel as hex, which is a third of what an
upload costs. Same connection, same transaction, same exceptions as Django's.
"""

from collections.abc import Iterable
from typing import Any

import psycopg
from django.db import connection


def run(sql: str, parameters: Any) -> psycopg.Cursor:
    """Execute and return the cursor. Raises django.db's exceptions."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return psycopg.Cursor(connection.connection).execute(sql, parameters, binary=True)


def run_many(sql: str, rows: Iterable[Any], *, returning: bool = False) -> list[tuple | None]:
    """Execute once per row, in this order and in one pipeline: no round trip each. Raises django.db's exceptions.

    With `returning` the first row that each execution gave.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = psycopg.Cursor(connection.connection)
        cursor.executemany(sql, rows, returning=returning)
        return [result.fetchone() for result in cursor.results()] if returning else []
