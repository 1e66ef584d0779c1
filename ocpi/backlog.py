"""Make the Push rows a new Connection still lacks, and clear away old attempts; in batches, so that nothing waits for it.

What a new Connection lacks has the lowest priority and no clock: CPO changes overtake it. Source: design §7 "Connections".
"""

import datetime as dt

from django.db import connection, transaction
from django.db.models.functions import Now

from ocpi import doorbell
from ocpi.models import PushAttempt
from tenants.models import Connection

BATCH = 1000
KEPT_FOR = dt.timedelta(days=90)
# Uploads that began before the Connection was committed do not see it; they have ended after this.
SETTLED_AFTER = dt.timedelta(minutes=2)

_MISSING = {
    "tariff": "deleted_at IS NULL",
    "location": "is_shown",
}


def spread(target: Connection, batch: int = BATCH) -> int:
    """Make the Push rows of one Connection for everything NDW may see, tariffs first; return how many were missing.

    Where the push URL is another than before, the rows there are start over as well.
    """
    if target.spread_for != target.push_url:
        with target.tenant.transaction():
            _start_over(target)
            Connection.objects.filter(pk=target.pk).update(spread_for=target.push_url)
    made = sum(_spread_kind(target, kind, batch) for kind in _MISSING)
    settled = Connection.objects.filter(pk=target.pk, created_at__lt=Now() - SETTLED_AFTER)
    if not made:
        settled.update(needs_spreading=False)
    return made


_START_OVER = """
    UPDATE ocpi_push p SET
        state = CASE WHEN o.{condition} THEN 'dirty' ELSE 'delivered' END,
        priority = 3, whole = true, evse_uid = NULL, version = p.version + 1, changes = 0, attempts = 0,
        changed_at = NULL, next_changed_at = NULL, due_at = clock_timestamp(), last_answer = '',
        doubt_until = NULL, accepted_at = NULL, accepted_version = NULL, accepted_hash = NULL,
        accepted_tariff_ids = ARRAY[]::text[]
    FROM ocpi_{kind} o WHERE o.id = p.{kind}_id AND p.connection_id = %s
"""


def _start_over(target: Connection) -> None:
    """Make every Push row of a Connection as if NDW had never had the object; what is under way then does not count."""
    with connection.cursor() as cursor:
        # In the order in which everybody locks.
        cursor.execute("SELECT 1 FROM ocpi_push WHERE connection_id = %s ORDER BY id FOR NO KEY UPDATE", [target.pk])
        for kind, condition in _MISSING.items():
            cursor.execute(_START_OVER.format(kind=kind, condition=condition), [target.pk])
    transaction.on_commit(doorbell.ring)


def _spread_kind(target: Connection, kind: str, batch: int) -> int:
    total = 0
    while True:
        with target.tenant.transaction(), connection.cursor() as cursor:
            cursor.execute(
                f"WITH missing AS (SELECT o.id, o.tenant_id FROM ocpi_{kind} o WHERE o.tenant_id = %(tenant)s"
                f" AND {_MISSING[kind]} AND NOT EXISTS"
                f" (SELECT 1 FROM ocpi_push p WHERE p.connection_id = %(connection)s AND p.{kind}_id = o.id)"
                f" ORDER BY o.id LIMIT {batch}), made AS (INSERT INTO ocpi_push (tenant_id, connection_id, {kind}_id, state,"
                " priority, whole, version, changes, due_at, attempts, correlation_id, last_answer, accepted_tariff_ids)"
                " SELECT tenant_id, %(connection)s, id, 'dirty', 3, true, 1, 0, clock_timestamp(), 0, '', '', ARRAY[]::text[]"
                " FROM missing ORDER BY id ON CONFLICT DO NOTHING) SELECT count(*) FROM missing",
                {"connection": target.pk, "tenant": target.tenant_id},
            )
            missing = cursor.fetchone()[0]
            if missing:
                transaction.on_commit(doorbell.ring)
        total += missing
        if missing < batch:
            return total


def prune_attempts() -> int:
    """Delete attempts older than KEPT_FOR, in batches; return how many."""
    pruned = 0
    while True:
        old = PushAttempt.objects.filter(started_at__lt=Now() - KEPT_FOR).order_by("started_at").values("pk")[:BATCH]
        batch, _ = PushAttempt.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
        pruned += batch
        if batch < BATCH:
            return pruned
