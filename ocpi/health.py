"""`/healthz`: this process answers. `/readyz`: its database does too, and is migrated; not Redis, not NDW."""

from functools import cache

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse


class _NotMigrated(Exception):
    """Migrations of this code are still to be applied."""


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process lives."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when uploads can be stored, else 503 with the reason."""
    try:
        _check_migrations()
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "database not available"}, status=503)
    except _NotMigrated as error:
        return JsonResponse({"status": str(error)}, status=503)
    return JsonResponse({"status": "ok"})


@cache
def _check_migrations() -> None:
    """Raise _NotMigrated until it passes once: no migration is taken back under running code."""
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        raise _NotMigrated(f"{len(waiting)} migrations to apply")
