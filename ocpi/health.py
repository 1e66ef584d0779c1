"""`/healthz`: this process answers. `/readyz`: its database does too, and is migrated; not Redis, not NDW."""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process lives."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when uploads can be stored, else 503 with the reason."""
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return JsonResponse({"status": "database not available"}, status=503)
    if waiting:
        return JsonResponse({"status": f"{len(waiting)} migrations to apply"}, status=503)
    return JsonResponse({"status": "ok"})
