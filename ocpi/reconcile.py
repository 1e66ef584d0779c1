"""Once a night: send again what NDW is not known to have accepted as it is now, however that came about.

An upload and its Push row are written together, so that there should be nothing to find; a restored backup, a mended row or
a mistake of ours leaves something. What NDW rejected is not sent again: its CPO changes it or an operator sends it.

Source: design §7 "The clock", "Connections"; protocol §9, "What to send".
"""

import datetime as dt
from typing import Any, NamedTuple

from django.db import connection

from ocpi import backlog
from tenants.models import Connection, Tenant

BATCH = 1000
SPREAD = dt.timedelta(hours=1)  # NDW's own night is busy enough


class Found(NamedTuple):
    """How many objects lacked a Push row, and how many are sent again."""

    missing: int
    again: int


# NDW's copy differs when another version was accepted last, or another body. The hash is that of the whole document, also
# where only an EVSE was sent; one that an upload has changed since without a new version differs in `last_updated` alone,
# which is no change (ocpi.store). Of what is hidden NDW has to know that it is; what gaps withhold now is not sent.
_DOUBTFUL = """
    SELECT p.id, p.version FROM ocpi_push p JOIN ocpi_{kind} o ON o.id = p.{kind}_id
    WHERE p.tenant_id = %(tenant)s AND p.connection_id = %(connection)s
        AND p.state = 'delivered' AND p.lease_token IS NULL
        AND CASE WHEN {visible} THEN
                coalesce(p.accepted_version, 0) < p.version OR p.accepted_hash IS NULL OR p.accepted_at IS NULL
                OR o.received_at <= p.accepted_at AND p.accepted_hash <> sha256(o.body)
            ELSE p.accepted_version < p.version AND NOT {withheld} END
    ORDER BY p.{kind}_id
"""
_KINDS = {
    "tariff": {"visible": "o.deleted_at IS NULL", "withheld": "false"},
    "location": {"visible": "o.is_shown", "withheld": "o.publish"},
}

# Only rows that are still as they were looked at, and that nobody holds; locked in the order of `ocpi.queue`.
_AGAIN = """
    WITH doubtful AS (
        SELECT p.id, found.wait_s FROM ocpi_push p
        JOIN unnest(%(ids)s::bigint[], %(versions)s::bigint[], %(waits_s)s::float[]) found(id, version, wait_s)
            ON found.id = p.id AND found.version = p.version
        WHERE p.state = 'delivered' AND p.lease_token IS NULL
        ORDER BY p.connection_id, p.id FOR NO KEY UPDATE OF p SKIP LOCKED
    )
    UPDATE ocpi_push p SET
        state = 'dirty', priority = greatest(p.priority, 3), whole = true, evse_uid = NULL, version = p.version + 1,
        changed_at = NULL, next_changed_at = NULL, attempts = 0,
        due_at = clock_timestamp() + doubtful.wait_s * interval '1 s'
    FROM doubtful WHERE p.id = doubtful.id
"""


# NDW may hold anything that came after the backup: everything it shall have is sent once more, and what it shall not have any
# more is taken back once more. What NDW rejected and what gaps withhold stays as it was.
_START_OVER = """
    UPDATE ocpi_push p SET
        state = 'dirty', priority = CASE WHEN {visible} THEN 3 ELSE {gone} END, whole = true, evse_uid = NULL,
        version = p.version + 1, changes = 0, changed_at = NULL, next_changed_at = NULL, attempts = 0, crashes = 0,
        due_at = clock_timestamp() + {wait_s} * interval '1 s', last_answer = '',
        lease_until = NULL, lease_token = NULL, doubt_until = NULL
    FROM ocpi_{kind} o WHERE o.id = p.{kind}_id AND p.state <> 'rejected'
        AND ({visible} OR NOT {withheld} AND p.accepted_at IS NOT NULL)
"""


def start_over() -> int:
    """Have everything sent again after a restore, tariffs first and without a clock; return how many. Nothing else may run."""
    Connection.objects.update(needs_spreading=True, failures=0, probe_at=None)
    again = 0
    with connection.cursor() as cursor:
        for kind, words in _KINDS.items():
            is_tariff = kind == "tariff"
            cursor.execute(
                _START_OVER.format(kind=kind, gone=4 if is_tariff else 3, wait_s=0 if is_tariff else 1, **words)
            )
            again += cursor.rowcount
    return again


def reconcile(tenant: Tenant | None = None, batch: int = BATCH) -> Found:
    """Have sent again what one tenant's Connections, or all, are not known to have delivered. Safe to repeat."""
    connections = Connection.objects.filter(is_retired=False).select_related("tenant")
    if tenant:
        connections = connections.filter(tenant=tenant)
    missing = again = 0
    for target in connections.order_by("pk"):
        missing += backlog.spread(target)
        again += _send_again(target, batch)
    return Found(missing, again)


def _send_again(target: Connection, size: int) -> int:
    doubtful = [row for kind in _KINDS for row in _doubtful(target, kind)]
    step_s = SPREAD.total_seconds() / max(len(doubtful), 1)
    again = 0
    for start in range(0, len(doubtful), size):
        ids, versions = (list(column) for column in zip(*doubtful[start : start + size], strict=True))
        waits_s = [step_s * index for index in range(start, start + len(ids))]
        parameters: dict[str, Any] = {"ids": ids, "versions": versions, "waits_s": waits_s}
        with target.tenant.transaction(), connection.cursor() as cursor:
            cursor.execute(_AGAIN, parameters)
            again += cursor.rowcount
    return again


def _doubtful(target: Connection, kind: str) -> list[tuple[int, int]]:
    with target.tenant.transaction(), connection.cursor() as cursor:
        cursor.execute(
            _DOUBTFUL.format(kind=kind, **_KINDS[kind]), {"tenant": target.tenant_id, "connection": target.pk}
        )
        return cursor.fetchall()
