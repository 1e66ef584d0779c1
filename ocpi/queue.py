"""Push rows as a queue in PostgreSQL: claim with a lease, then write down what came of it.

A claim commits before anything is sent, counts the attempt and takes what the row had gathered (`whole`, `evse_uid`); the
bodies are read afterwards, so that they are never older than the claimed version. Completion is by that version and by the
lease token: a change that came meanwhile stays dirty, a worker that lost its lease changes nothing.
Source: design §4, §7 "Claims", "Push order and shape", "The clock"; reliability C3 to C5.
"""

import datetime as dt
import random
import time
import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from ocpi.models import Push, PushAttempt, PushQuerySet
from ocpi.rulings import Do, Ruling
from tenants.models import Connection

LEASE_S = 30.0
BACKOFF_CAP_S = 60.0
BREAKER_FAILURES, PROBE_S = 5, 5.0
SAME_REFUSALS = 3
WAIT_FOR_TARIFF_S, DELETE_WAITS_S = 5, 60
BURST_S = 0.05  # of the rate cap may be saved up


@dataclass
class Claimed:
    """One Push row this worker holds, with the body as it is now."""

    id: int
    version: int
    whole: bool
    evse_uid: str | None
    attempts: int
    changes: int
    changed_at: dt.datetime | None
    correlation_id: str
    kind: str
    ocpi_id: str
    body: bytes
    is_deleted: bool
    tariff_ids: list[str]
    lease_token: uuid.UUID
    lease_ends: float  # monotonic
    connection: Connection
    access_token: str
    has_new_token: bool = False  # already fetched for this row: a second 401 is final


@dataclass
class Result:
    """What one request came to."""

    claimed: Claimed
    ruling: Ruling
    method: str
    url: str
    request_id: str
    started_at: dt.datetime
    took_ms: int
    http_status: int | None = None
    ocpi_status: int | None = None
    answer: str = ""
    body_hash: bytes = b""


_DUE = """
    p.state = 'dirty' AND p.due_at <= clock_timestamp() AND (p.lease_until IS NULL OR p.lease_until < clock_timestamp())
"""

# A Location waits for tariffs it names that are on their way and that NDW never had; a tariff DELETE waits for Locations
# whose last accepted body named it. Both only for a while: an odd object must not hold up another for ever.
_MAY_GO = f"""
    (p.location_id IS NULL OR coalesce(p.changed_at, p.due_at) < clock_timestamp() - interval '{WAIT_FOR_TARIFF_S} s'
     OR NOT EXISTS (
        SELECT 1 FROM ocpi_location l
        JOIN ocpi_tariff t ON t.tenant_id = l.tenant_id AND lower(t.ocpi_id) = ANY (l.tariff_ids)
        JOIN ocpi_push tp ON tp.tariff_id = t.id AND tp.connection_id = p.connection_id
        WHERE l.id = p.location_id AND tp.state = 'dirty' AND tp.accepted_at IS NULL))
    AND (p.priority <> 4 OR coalesce(p.changed_at, p.due_at) < clock_timestamp() - interval '{DELETE_WAITS_S} s'
     OR NOT EXISTS (
        SELECT 1 FROM ocpi_tariff t JOIN ocpi_push lp ON lp.accepted_tariff_ids @> ARRAY[lower(t.ocpi_id)::text]
        WHERE t.id = p.tariff_id AND lp.connection_id = p.connection_id))
"""

_CLAIM = f"""
    WITH due AS (
        SELECT p.id, p.whole OR p.lease_token IS NOT NULL OR p.accepted_at IS NULL AS whole, p.evse_uid
        FROM ocpi_push p WHERE p.connection_id = %(connection)s AND {_DUE} AND {_MAY_GO}
        ORDER BY p.priority, p.due_at LIMIT %(limit)s FOR NO KEY UPDATE OF p SKIP LOCKED
    )
    UPDATE ocpi_push p SET
        lease_until = clock_timestamp() + %(lease_s)s * interval '1 s', lease_token = %(token)s, attempts = p.attempts + 1,
        whole = false, evse_uid = NULL, next_changed_at = NULL
    FROM due WHERE p.id = due.id
    RETURNING p.id, p.version, due.whole, due.evse_uid, p.attempts, p.changes, p.changed_at, p.correlation_id
"""

_BODIES = """
    SELECT p.id, 'location', l.ocpi_id, l.body, false, l.tariff_ids
    FROM ocpi_push p JOIN ocpi_location l ON l.id = p.location_id WHERE p.id = ANY (%(ids)s)
    UNION ALL
    SELECT p.id, 'tariff', t.ocpi_id, t.body, t.deleted_at IS NOT NULL, ARRAY[]::text[]
    FROM ocpi_push p JOIN ocpi_tariff t ON t.id = p.tariff_id WHERE p.id = ANY (%(ids)s)
"""


def due_connections() -> list[Connection]:
    """Return the Connections that may send now and have something due, in random order: none is always first."""
    found = Connection.objects.filter(is_paused=False, is_retired=False).select_related("tenant", "service_account")
    has_due = (
        "EXISTS (SELECT 1 FROM ocpi_push p WHERE p.connection_id = tenants_connection.id AND " + _DUE + ")"
        " AND (probe_at IS NULL OR probe_at <= clock_timestamp())"
    )
    connections = list(found.extra(where=[has_due]))  # noqa: S610 - our own SQL
    random.shuffle(connections)
    return connections


def oldest_due_s() -> float:
    """Return how long the oldest row that could be sent has been due, in seconds; 0 when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp() - min(p.due_at))::float FROM ocpi_push p"
            f" JOIN tenants_connection c ON c.id = p.connection_id AND NOT c.is_paused AND NOT c.is_retired WHERE {_DUE}"
        )
        return cursor.fetchone()[0] or 0.0


def claim(target: Connection, limit: int, access_token: str) -> list[Claimed]:
    """Take up to `limit` due rows of one Connection, within its rate cap; one when its circuit is half open."""
    token, taken_at = uuid.uuid4(), time.monotonic()
    with transaction.atomic():
        allowed = min(limit, _allowance(target))
        if allowed < 1:
            return []
        with connection.cursor() as cursor:
            parameters = {"connection": target.pk, "limit": allowed, "lease_s": LEASE_S, "token": token}
            cursor.execute(_CLAIM, parameters)
            rows = {row[0]: row for row in cursor.fetchall()}
        if rows:
            Connection.objects.filter(pk=target.pk).update(
                allowance=target.allowance - len(rows), allowance_at=target.allowance_at
            )
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_BODIES, {"ids": list(rows)})
        bodies = cursor.fetchall()
    return [
        Claimed(
            *rows[pk],
            kind,
            ocpi_id,
            bytes(body),
            is_deleted,
            tariff_ids,
            token,
            taken_at + LEASE_S,
            target,
            access_token,
        )
        for pk, kind, ocpi_id, body, is_deleted, tariff_ids in bodies
    ]


def _allowance(target: Connection) -> int:
    """Lock the Connection and return how many requests it may start now; 0 also when another worker holds it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT allowance + extract(epoch FROM clock_timestamp() - allowance_at)::float * %s, clock_timestamp(), failures,"
            " is_paused OR coalesce(probe_at > clock_timestamp(), false) FROM tenants_connection WHERE id = %s"
            " FOR NO KEY UPDATE SKIP LOCKED",
            [settings.NDW_RATE_CAP, target.pk],
        )
        row = cursor.fetchone()
    if row is None or row[3]:
        return 0
    target.allowance, target.allowance_at = min(row[0], max(1.0, settings.NDW_RATE_CAP * BURST_S)), row[1]
    return min(int(target.allowance), 1 if row[2] >= BREAKER_FAILURES else int(target.allowance))


def release(claimed: list[Claimed]) -> None:
    """Give back rows that were not sent; they stay due, as whole objects."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE ocpi_push SET lease_until = NULL, lease_token = NULL, attempts = greatest(attempts - 1, 0), whole = true,"
            " evse_uid = NULL, next_changed_at = NULL WHERE id = %s AND lease_token = %s",
            [(one.id, one.lease_token) for one in claimed],
        )


def send_again(pushes: PushQuerySet) -> int:
    """Make rows due now, as whole objects and without a clock if they had none; return how many. Delivered ones too."""
    return pushes.update(state=Push.State.DIRTY, whole=True, evse_uid=None, due_at=Now(), attempts=0)


_ACCEPTED = """
    UPDATE ocpi_push SET
        state = CASE WHEN version = %(version)s THEN 'delivered' ELSE 'dirty' END,
        changed_at = CASE WHEN version = %(version)s THEN NULL ELSE next_changed_at END,
        changes = greatest(changes - %(changes)s, 0), attempts = 0, last_answer = '',
        accepted_version = %(version)s, accepted_at = %(at)s, accepted_hash = %(body_hash)s,
        accepted_tariff_ids = %(tariff_ids)s,
        lease_until = NULL, lease_token = NULL, next_changed_at = NULL
    WHERE id = %(id)s AND lease_token = %(token)s
"""
_REFUSED = """
    UPDATE ocpi_push SET
        state = CASE WHEN version = %(version)s THEN 'rejected' ELSE 'dirty' END,
        changed_at = CASE WHEN version = %(version)s THEN changed_at ELSE next_changed_at END,
        attempts = 0, last_answer = %(words)s, whole = true, evse_uid = NULL,
        lease_until = NULL, lease_token = NULL, next_changed_at = NULL
    WHERE id = %(id)s AND lease_token = %(token)s
"""
_AGAIN = """
    UPDATE ocpi_push SET
        due_at = clock_timestamp() + %(wait_s)s * interval '1 s', attempts = greatest(attempts - %(uncounted)s, 0),
        last_answer = %(words)s, whole = true, evse_uid = NULL,
        lease_until = NULL, lease_token = NULL, next_changed_at = NULL
    WHERE id = %(id)s AND lease_token = %(token)s
"""


def record(results: list[Result]) -> None:
    """Write down what requests came to, with their attempts, in one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        for result in sorted(results, key=lambda one: one.claimed.id):
            if result.ruling.do is not Do.REAUTHENTICATE:
                cursor.execute(*_completion(result))
        PushAttempt.objects.bulk_create([_attempt(result) for result in results])
        targets = {result.claimed.connection.pk: result.claimed.connection for result in results}
        for pk in sorted(targets):
            _note(targets[pk], [result.ruling for result in results if result.claimed.connection.pk == pk])


def _completion(result: Result) -> tuple[str, dict[str, Any]]:
    claimed, ruling = result.claimed, result.ruling
    parameters = {
        "id": claimed.id,
        "token": claimed.lease_token,
        "version": claimed.version,
        "changes": claimed.changes,
        "at": result.started_at + dt.timedelta(milliseconds=result.took_ms),
        "body_hash": result.body_hash,
        "tariff_ids": claimed.tariff_ids,
        "words": f"{ruling.reason} {result.answer}".strip()[:500],
        "uncounted": 1 if ruling.do in (Do.THROTTLED, Do.PAUSE) else 0,
        "wait_s": _wait_s(claimed, ruling),
    }
    if ruling.do is Do.DELIVERED:
        return _ACCEPTED, parameters
    return (_REFUSED if ruling.do in (Do.REJECTED, Do.QUARANTINED) else _AGAIN), parameters


def _wait_s(claimed: Claimed, ruling: Ruling) -> float:
    if ruling.do in (Do.WHOLE, Do.PAUSE):
        return 0.0
    if ruling.wait_s is not None:
        return ruling.wait_s
    ceiling = min(BACKOFF_CAP_S, 2.0 ** min(claimed.attempts - 1, 10))
    return random.uniform(0, ceiling)  # noqa: S311 - full jitter, not a secret


def _attempt(result: Result) -> PushAttempt:
    claimed = result.claimed
    return PushAttempt(
        tenant_id=claimed.connection.tenant_id,
        push_id=claimed.id,
        started_at=result.started_at,
        took_ms=result.took_ms,
        method=result.method,
        url=result.url[:500],
        http_status=result.http_status,
        ocpi_status=result.ocpi_status,
        answer=(result.answer or result.ruling.reason)[:2048],
        outcome=result.ruling.do[:12],
        version=claimed.version,
        changes=claimed.changes,
        changed_at=claimed.changed_at,
        request_id=result.request_id,
        correlation_id=claimed.correlation_id,
    )


def _note(target: Connection, rulings: list[Ruling]) -> None:
    """Let the Connection learn from its requests: pause, wait, open or close the circuit."""
    done = [ruling for ruling in rulings if ruling.do is not Do.REAUTHENTICATE]
    paused = next((ruling for ruling in done if ruling.do is Do.PAUSE), None)
    failed = [ruling for ruling in done if ruling.do in (Do.RETRY, Do.THROTTLED)]
    quarantined = [ruling for ruling in done if ruling.do is Do.QUARANTINED]
    if paused:
        target.pause(f"NDW refuses this Connection: {paused.reason}")
    elif failed or quarantined:
        _note_faults(target, failed, quarantined, answered=len(failed) < len(done))
    elif done:
        remembers = Connection.objects.filter(Q(failures__gt=0) | Q(same_refusals__gt=0), pk=target.pk)
        remembers.update(failures=0, probe_at=None, same_refusals=0, refusal_kind="")


def _note_faults(target: Connection, failed: list[Ruling], quarantined: list[Ruling], *, answered: bool) -> None:
    row = Connection.objects.select_for_update(no_key=True).get(pk=target.pk)
    for ruling in quarantined:
        row.same_refusals = row.same_refusals + 1 if row.refusal_kind == ruling.reason[:40] else 1
        row.refusal_kind = ruling.reason[:40]
    row.failures = 0 if answered else row.failures + sum(ruling.do is Do.RETRY for ruling in failed)
    row.save(update_fields=["same_refusals", "refusal_kind", "failures"])
    throttled = [ruling.wait_s or PROBE_S for ruling in failed if ruling.do is Do.THROTTLED]
    if throttled or row.failures >= BREAKER_FAILURES:
        rest = dt.timedelta(seconds=max(throttled, default=PROBE_S))
        Connection.objects.filter(pk=target.pk).update(probe_at=Now() + rest)
    if row.same_refusals >= SAME_REFUSALS:
        target.pause(f"NDW gave {row.same_refusals} objects in a row the same answer: {row.refusal_kind}")
