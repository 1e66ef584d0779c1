"""Push rows as a queue in PostgreSQL: claim with a lease, then write down what came of it.

A claim counts the attempt, takes what the row had gathered (`whole`, `evse_uid`) and reads the body in one transaction, so
that the body is that of the claimed version; it commits before anything is sent. Completion is by that version and by the
lease token: a change that came meanwhile stays dirty, a worker that lost its lease changes nothing.
Locks are taken in one order everywhere (object, Push by Connection and id, Connection), and no claim waits for any.
Source: design §4, §7 "Claims", "Push order and shape", "The clock"; reliability C3 to C5, C9, C10.
"""

import datetime as dt
import itertools
import logging
import random
import time
import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Case, F, Subquery, When
from django.db.models.functions import Greatest, Now

from ocpi.models import Push, PushQuerySet
from ocpi.rulings import GARBLED, LONGEST_WAIT_S, Do, Ruling
from tenants import sql
from tenants.models import Connection

logger = logging.getLogger(__name__)

LEASE_S = 30.0
BACKOFF_CAP_S = 60.0
BREAKER_FAILURES, PROBE_S = 5, 5.0
RAMP_S = 30.0  # after which it no longer matters when somebody came back
SAME_REFUSALS = 3
CRASHES, PARKED_S, LONGEST_PARKED_S = 3, 60, 900  # an object that ends its worker time and again rests in between
WAIT_FOR_TARIFF_S, DELETE_WAITS_S = 5, 60
DOUBT_S = 50.0  # so long a request may still arrive whose worker is gone or waits no more; with 9 s of waiting a minute
BURST_S = 0.05  # of the rate cap may be saved up


@dataclass
class Claimed:
    """One Push row this worker holds, with the body of its version."""

    id: int
    version: int
    whole: bool
    evse_uid: str | None
    attempts: int
    changes: int
    changed_at: dt.datetime | None
    correlation_id: str
    last_answer: str
    is_news: bool  # NDW cannot have the object: never accepted, never tried
    kind: str
    ocpi_id: str
    body: bytes
    is_shown: bool  # NDW shall have it; a Tariff: it is not deleted
    tariff_ids: list[str]
    lease_token: uuid.UUID
    lease_ends: float  # monotonic
    is_probe: bool  # the one request of an open circuit
    connection: Connection
    access_token: str
    new_tokens: int = 0  # fetched since this row was claimed: a 401 to such a one is final, unless it has worked

    @property
    def claimed_at(self) -> float:
        """Return when the lease began (monotonic)."""
        return self.lease_ends - LEASE_S

    @property
    def is_deletion(self) -> bool:
        """Return True when NDW shall forget the object."""
        return self.kind == "tariff" and not self.is_shown


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
    is_late: bool = False  # its lease ran out meanwhile


_DUE = """
    p.state = 'dirty' AND p.due_at <= clock_timestamp() AND (p.lease_until IS NULL OR p.lease_until < clock_timestamp())
"""

# A Location waits for tariffs it names that are on their way and that NDW never had; a tariff DELETE waits for Locations
# whose last accepted body named it. Both only for a while: an odd object must not hold up another for ever.
_MAY_GO = f"""
    (p.location_id IS NULL OR coalesce(p.changed_at, p.due_at) < clock_timestamp() - interval '{WAIT_FOR_TARIFF_S} s'
     OR NOT EXISTS (
        SELECT 1 FROM ocpi_location l
        JOIN ocpi_tariff t ON t.tenant_id = l.tenant_id AND t.ocpi_key = ANY (l.tariff_ids)
        JOIN ocpi_push tp ON tp.tariff_id = t.id AND tp.connection_id = p.connection_id
        WHERE l.id = p.location_id AND t.deleted_at IS NULL AND tp.state = 'dirty' AND tp.accepted_at IS NULL))
    AND (p.priority <> 4 OR coalesce(p.changed_at, p.due_at) < clock_timestamp() - interval '{DELETE_WAITS_S} s'
     OR NOT EXISTS (
        SELECT 1 FROM ocpi_tariff t JOIN ocpi_push lp ON lp.accepted_tariff_ids @> ARRAY[t.ocpi_key]
        WHERE t.id = p.tariff_id AND lp.connection_id = p.connection_id))
"""


# A request that got no answer in time, or whose worker is gone, may arrive after the next one and undo it.
_DOUBT = f"clock_timestamp() + interval '{DOUBT_S} s'"


def _claim_sql(order: str) -> str:
    return f"""
    WITH due AS (
        SELECT p.id, p.whole OR p.lease_token IS NOT NULL OR p.accepted_at IS NULL AS whole, p.evse_uid,
            p.accepted_at IS NULL AND p.lease_token IS NULL AND p.doubt_until IS NULL
            AND NOT EXISTS (SELECT 1 FROM ocpi_pushattempt a WHERE a.push_id = p.id) AS is_news,
            (p.lease_token IS NOT NULL)::int AS was_lost
        FROM ocpi_push p WHERE p.connection_id = %(connection)s AND {_DUE} AND {_MAY_GO}
        ORDER BY {order} LIMIT %(limit)s FOR NO KEY UPDATE OF p SKIP LOCKED
    )
    UPDATE ocpi_push p SET
        lease_until = clock_timestamp() + %(lease_s)s * interval '1 s', lease_token = %(token)s, attempts = p.attempts + 1,
        crashes = p.crashes + due.was_lost, whole = false, evse_uid = NULL, next_changed_at = NULL,
        doubt_until = CASE WHEN due.was_lost = 1 THEN {_DOUBT} ELSE p.doubt_until END
    FROM due WHERE p.id = due.id
    RETURNING p.id, p.version, due.whole, due.evse_uid, p.attempts, p.changes, p.changed_at, p.correlation_id,
        p.last_answer, due.is_news, due.was_lost * p.crashes
    """


_CLAIM = _claim_sql("p.priority, p.due_at")
# What an open circuit tries is what failed least: an object that always fails must not keep it open.
_CLAIM_PROBE = _claim_sql("p.attempts, p.priority, p.due_at")

_BODIES = """
    SELECT p.id, 'location', l.ocpi_id, l.body, l.is_shown, l.tariff_ids
    FROM ocpi_push p JOIN ocpi_location l ON l.id = p.location_id WHERE p.id = ANY (%(ids)s)
    UNION ALL
    SELECT p.id, 'tariff', t.ocpi_id, t.body, t.deleted_at IS NULL, ARRAY[]::text[]
    FROM ocpi_push p JOIN ocpi_tariff t ON t.id = p.tariff_id WHERE p.id = ANY (%(ids)s)
"""
_NOTHING_TO_SEND = """
    UPDATE ocpi_push SET state = 'delivered', changed_at = NULL, changes = 0, attempts = 0, last_answer = '',
        lease_until = NULL, lease_token = NULL
    WHERE id = ANY (%s)
"""


def due_connections() -> list[Connection]:
    """Return the Connections that may send now and have something due, in random order: none is always first.

    One whose access token has ended and cannot be fetched just now (IAM is down, or somebody is at it) may not.
    """
    found = Connection.objects.filter(is_paused=False, is_retired=False).select_related("tenant", "service_account")
    has_due = (
        "EXISTS (SELECT 1 FROM ocpi_push p WHERE p.connection_id = tenants_connection.id AND " + _DUE + ")"
        " AND (probe_at IS NULL OR probe_at <= clock_timestamp())"
        " AND (coalesce(access_token_expires_at > clock_timestamp(), false)"
        " OR coalesce(fetching_until < clock_timestamp(), true))"
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
        is_probe = target.failures >= BREAKER_FAILURES
        parameters: dict[str, Any] = {"connection": target.pk, "limit": allowed, "lease_s": LEASE_S, "token": token}
        taken = sql.run(_CLAIM_PROBE if is_probe else _CLAIM, parameters).fetchall()
        _park([row[0] for row in taken if row[-1] >= CRASHES], target)
        rows = {row[0]: row[:-1] for row in taken if row[-1] < CRASHES}
        if not rows:
            return []
        _spend(target, len(rows), is_probe)
        claimed = [
            Claimed(*(*rows[pk], *body, token, taken_at + LEASE_S, is_probe, target, access_token))
            for pk, *body in sql.run(_BODIES, {"ids": list(rows)})
        ]
        needless = [one.id for one in claimed if one.is_news and not one.is_shown]
        if needless:
            sql.run(_NOTHING_TO_SEND, [needless])
    return [one for one in claimed if one.id not in needless]


_PARK = """
    UPDATE ocpi_push SET lease_until = NULL, lease_token = NULL, whole = true,
        due_at = clock_timestamp() + least(%s, %s * 2.0 ^ (crashes - %s)) * interval '1 s',
        last_answer = 'Its worker ended before an answer ' || crashes || ' times in a row; it rests in between'
    WHERE id = ANY (%s)
"""


def _park(ids: list[int], target: Connection) -> None:
    """Let objects rest that may be what ends the workers; a new version or an operator sends them at once (C22)."""
    if ids:
        logger.error("push %s: %s objects ended their worker %s times or more; they rest", target, len(ids), CRASHES)
        with connection.cursor() as cursor:
            cursor.execute(_PARK, [LONGEST_PARKED_S, PARKED_S, CRASHES, ids])


_ALLOWANCE = """
    SELECT allowance, extract(epoch FROM clock_timestamp() - allowance_at)::float, clock_timestamp(), failures,
        extract(epoch FROM clock_timestamp() - probe_at)::float
    FROM tenants_connection WHERE id = %s AND NOT is_paused AND NOT is_retired
    AND (probe_at IS NULL OR probe_at <= clock_timestamp()) FOR NO KEY UPDATE SKIP LOCKED
"""
_SPEND = f"""
    UPDATE tenants_connection SET allowance = %s, allowance_at = %s,
        probe_at = CASE WHEN %s THEN statement_timestamp() + interval '{PROBE_S} s'
            WHEN probe_at > statement_timestamp() - interval '{RAMP_S} s' THEN probe_at END
    WHERE id = %s
"""


def _allowance(target: Connection) -> int:
    """Lock the Connection and return how many requests it may start now; 0 also when another worker holds it."""
    row = sql.run(_ALLOWANCE, [target.pk]).fetchone()
    if row is None:
        return 0
    allowance, passed_s, target.allowance_at, target.failures, served_s = row
    if passed_s < 0:  # the clock went back: nobody knows, and nobody shall wait until it is that late again
        passed_s = 1.0
    per_s = settings.NDW_RATE_CAP
    if served_s is not None and target.failures < BREAKER_FAILURES:  # who is just back gets 1, 2, 4… a second
        per_s = min(per_s, 2.0 ** min(served_s, RAMP_S))
    target.allowance = min(allowance + passed_s * per_s, max(1.0, per_s * BURST_S))
    return min(int(target.allowance), 1) if target.failures >= BREAKER_FAILURES else int(target.allowance)


def _spend(target: Connection, count: int, is_probe: bool) -> None:
    """Take requests off the allowance; with one under way as a probe, the next may go PROBE_S later."""
    sql.run(_SPEND, [target.allowance - count, target.allowance_at, is_probe, target.pk])


def release(claimed: list[Claimed]) -> None:
    """Give back rows that were not sent; they stay due, as whole objects."""
    if not claimed:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE ocpi_push SET lease_until = NULL, lease_token = NULL, attempts = greatest(attempts - 1, 0), whole = true,"
            " evse_uid = NULL, next_changed_at = NULL WHERE id = %s AND lease_token = %s",
            # In the order in which everybody locks: it is one transaction.
            [(one.id, one.lease_token) for one in sorted(claimed, key=lambda one: (one.connection.pk, one.id))],
        )


def send_again(pushes: PushQuerySet) -> int:
    """Make rows due now, as whole objects; return how many. Delivered ones too, and what is under way is sent once more.

    A replay has no clock; what was waiting anyway keeps its own.
    """
    with transaction.atomic():
        locked = pushes.select_for_update(no_key=True).order_by("connection", "pk").values_list("pk", flat=True)
        return Push.objects.filter(pk__in=list(locked)).update(
            state=Push.State.DIRTY,
            whole=True,
            evse_uid=None,
            version=F("version") + 1,
            changed_at=Case(When(state=Push.State.DIRTY, then=F("changed_at"))),
            due_at=Now(),
            attempts=0,
        )


# Accepted while an earlier request may still arrive: `doubt_until` stays, and then the present state is sent once more.
# Compared with when the row was claimed, which is by the database's clock too.
_IN_DOUBT = f"doubt_until > lease_until - interval '{LEASE_S} s'"
_ACCEPTED = f"""
    UPDATE ocpi_push SET
        state = CASE WHEN version = %(version)s THEN 'delivered' ELSE 'dirty' END,
        due_at = CASE WHEN version = %(version)s THEN due_at ELSE coalesce(next_changed_at, clock_timestamp()) END,
        whole = whole OR coalesce({_IN_DOUBT}, false), doubt_until = CASE WHEN {_IN_DOUBT} THEN doubt_until END,
        changed_at = CASE WHEN version = %(version)s THEN NULL ELSE next_changed_at END,
        changes = greatest(changes - %(changes)s, 0), attempts = 0, last_answer = '',
        accepted_version = %(version)s, accepted_at = %(at)s, accepted_hash = %(body_hash)s,
        accepted_tariff_ids = %(tariff_ids)s,
        crashes = 0, lease_until = NULL, lease_token = NULL, next_changed_at = NULL
    WHERE id = %(id)s AND lease_token = %(token)s
"""
_REFUSED = """
    UPDATE ocpi_push SET
        state = CASE WHEN version = %(version)s THEN 'rejected' ELSE 'dirty' END,
        changed_at = CASE WHEN version = %(version)s THEN changed_at ELSE next_changed_at END,
        attempts = 0, last_answer = %(words)s, whole = true, evse_uid = NULL,
        crashes = 0, lease_until = NULL, lease_token = NULL, next_changed_at = NULL
    WHERE id = %(id)s AND lease_token = %(token)s
"""
_AGAIN = f"""
    UPDATE ocpi_push SET
        due_at = clock_timestamp() + %(wait_s)s * interval '1 s',
        attempts = CASE WHEN %(is_another)s THEN 1 ELSE greatest(attempts - %(uncounted)s, 0) END,
        last_answer = %(words)s, whole = true, evse_uid = NULL,
        doubt_until = CASE WHEN %(may_arrive)s THEN {_DOUBT} ELSE doubt_until END,
        crashes = 0, lease_until = NULL, lease_token = NULL, next_changed_at = NULL
    WHERE id = %(id)s AND lease_token = %(token)s
"""


_ATTEMPT = """
    INSERT INTO ocpi_pushattempt (tenant_id, push_id, started_at, took_ms, method, url, http_status, ocpi_status, answer,
        outcome, version, changes, changed_at, request_id, correlation_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

# A request that ended after its lease may have overtaken the next worker's: NDW gets the present state once more.
_HEAL = f"""
    UPDATE ocpi_push SET state = 'dirty', whole = true, evse_uid = NULL, version = version + 1, due_at = clock_timestamp(),
        doubt_until = CASE WHEN %(may_arrive)s THEN {_DOUBT} ELSE doubt_until END
    WHERE id = %(id)s
"""


_DOUBTFUL = """
    UPDATE ocpi_push SET
        state = 'dirty', priority = greatest(priority, 3), whole = true, evse_uid = NULL, version = version + 1, attempts = 0,
        due_at = clock_timestamp(), doubt_until = NULL
    WHERE id = ANY (ARRAY(
        SELECT id FROM ocpi_push WHERE doubt_until <= clock_timestamp() AND state = 'delivered' AND lease_token IS NULL
        ORDER BY connection_id, id FOR NO KEY UPDATE SKIP LOCKED))
"""


def doubt() -> int:
    """Make due once more, without a clock, what NDW accepted while an earlier request could still undo it; return how many."""
    return sql.run(_DOUBTFUL, []).rowcount


def record(results: list[Result]) -> None:
    """Write down what requests came to, with their attempts, in one transaction.

    Once more after a deadlock or on a new connection: the answers are here, and only here.
    """
    if not results:
        return
    try:
        _record(results)
    except (OperationalError, InterfaceError):
        connection.close_if_unusable_or_obsolete()
        _record(results)


def _record(results: list[Result]) -> None:
    done = [result for result in results if result.ruling.do is not Do.REAUTHENTICATE]
    done.sort(key=lambda one: (one.claimed.connection.pk, one.claimed.id))
    with transaction.atomic():
        for (statement, is_late), same in itertools.groupby(done, lambda one: (_statement(one), one.is_late)):
            if is_late:
                _complete_late(statement, list(same))
            else:
                sql.run_many(statement, [_completion(result) for result in same])
        sql.run_many(_ATTEMPT, [_attempt(result) for result in results])
        targets = {result.claimed.connection.pk: result.claimed.connection for result in results}
        for pk in sorted(targets):
            _note(targets[pk], [result for result in results if result.claimed.connection.pk == pk])


def _complete_late(statement: str, results: list[Result]) -> None:
    for result in results:
        if not sql.run(statement, _completion(result)).rowcount:
            sql.run(_HEAL, _completion(result))


def _statement(result: Result) -> str:
    if result.ruling.do is Do.DELIVERED:
        return _ACCEPTED
    return _REFUSED if result.ruling.do in (Do.REJECTED, Do.QUARANTINED) else _AGAIN


def _completion(result: Result) -> dict[str, Any]:
    claimed, ruling = result.claimed, result.ruling
    return {
        "id": claimed.id,
        "token": claimed.lease_token,
        "version": claimed.version,
        "changes": claimed.changes,
        "may_arrive": ruling.may_arrive,
        "at": result.started_at + dt.timedelta(milliseconds=result.took_ms),
        "body_hash": result.body_hash,
        "tariff_ids": claimed.tariff_ids,
        "words": f"{_reason(result)} {result.answer}".strip()[:500],
        "uncounted": 1 if ruling.do in (Do.THROTTLED, Do.PAUSE) else 0,
        "is_another": _is_another(result),
        "wait_s": _wait_s(claimed, ruling),
    }


def _reason(result: Result) -> str:
    """Return why, and that of a refusal also while it is tried again: it counts once against the Connection."""
    reason, before = result.ruling.reason, result.claimed.last_answer
    return GARBLED if reason and GARBLED.startswith(reason) and before.startswith(GARBLED) else reason


def _is_another(result: Result) -> bool:
    """Return True for the first of the answers that are counted, whatever came before: an outage is not five bad answers."""
    is_answered = result.ruling.do is Do.RETRY and result.http_status in (200, 201)
    return is_answered and not result.claimed.last_answer.startswith(result.ruling.reason)


def _wait_s(claimed: Claimed, ruling: Ruling) -> float:
    if ruling.do is not Do.RETRY:  # now, or as soon as its Connection may
        return 0.0
    if ruling.wait_s is not None or ruling.is_lasting:
        return ruling.wait_s or LONGEST_WAIT_S
    ceiling = min(BACKOFF_CAP_S, 2.0 ** min(claimed.attempts - 1, 10))
    return random.uniform(0, ceiling)  # noqa: S311 - full jitter, not a secret


def _attempt(result: Result) -> tuple[Any, ...]:
    claimed = result.claimed
    return (
        claimed.connection.tenant_id,
        claimed.id,
        result.started_at,
        result.took_ms,
        result.method,
        result.url[:500],
        result.http_status,
        result.ocpi_status,
        (result.answer or result.ruling.reason)[:2048],
        result.ruling.do.value,
        claimed.version,
        claimed.changes,
        claimed.changed_at,
        result.request_id,
        claimed.correlation_id,
    )


# An answer to what was sent before the circuit opened does not close it: NDW may have asked for a rest since.
_ALL_WELL = f"""
    UPDATE tenants_connection SET failures = 0, same_refusals = 0, refusal_kind = '',
        probe_at = CASE WHEN failures >= {BREAKER_FAILURES} THEN clock_timestamp() ELSE probe_at END
    WHERE id = %(id)s AND (failures > 0 OR same_refusals > 0)
        AND (%(is_probe)s OR probe_at IS NULL OR probe_at <= clock_timestamp())
"""


def _note(target: Connection, results: list[Result]) -> None:
    """Let the Connection learn from its requests: pause, wait, open or close the circuit."""
    paused = [result for result in results if result.ruling.do is Do.PAUSE]
    faults = [result for result in results if result.ruling.do in (Do.RETRY, Do.THROTTLED, Do.QUARANTINED)]
    served = [result for result in results if result.ruling.do in (Do.DELIVERED, Do.REJECTED, Do.WHOLE)]
    is_served = bool(served)
    if paused:
        target.pause(f"NDW refuses this Connection: {paused[0].ruling.reason}")
    elif faults:
        _note_faults(target, faults, is_served=is_served)
    elif is_served:
        sql.run(_ALL_WELL, {"id": target.pk, "is_probe": any(result.claimed.is_probe for result in served)})


def _note_faults(target: Connection, faults: list[Result], *, is_served: bool) -> None:
    row = Connection.objects.select_for_update(no_key=True).get(pk=target.pk)
    retried, throttled, quarantined = (
        [fault for fault in faults if fault.ruling.do is do] for do in (Do.RETRY, Do.THROTTLED, Do.QUARANTINED)
    )
    row.failures = 0 if is_served or quarantined else row.failures + len(retried)
    if is_served:
        row.same_refusals, row.refusal_kind = 0, ""
    for fault in [] if is_served else quarantined:
        _count(row, fault.ruling.reason, is_another=not fault.claimed.last_answer.startswith(fault.ruling.reason))
    if quarantined and row.same_refusals >= SAME_REFUSALS:
        target.pause(f"NDW gave {row.same_refusals} objects in a row the same answer: {row.refusal_kind}")
    if throttled:
        row.failures = max(row.failures, BREAKER_FAILURES)
        _count(row, throttled[0].ruling.reason, is_another=any(fault.claimed.is_probe for fault in throttled))
    row.save(update_fields=["same_refusals", "refusal_kind", "failures"])
    if row.failures >= BREAKER_FAILURES:
        doubled_s = PROBE_S * 2 ** min(row.same_refusals - 1, 10) if throttled else PROBE_S
        asked_s = [fault.ruling.wait_s for fault in faults if fault.ruling.wait_s]
        _open_circuit(target, min(max(asked_s, default=doubled_s), LONGEST_WAIT_S))


def _count(row: Connection, kind: str, *, is_another: bool) -> None:
    """Count the same answer to different objects in a row (429: to one probe after another)."""
    if row.refusal_kind != kind[:40]:
        row.same_refusals, row.refusal_kind = 0, kind[:40]
    row.same_refusals = max(1, row.same_refusals + is_another)


def _open_circuit(target: Connection, rest_s: float) -> None:
    """Send nothing for a while; then everything that waits is due, so that NDW is fresh as soon as it is back."""
    row = Connection.objects.filter(pk=target.pk)
    row.update(probe_at=Greatest("probe_at", Now() + dt.timedelta(seconds=rest_s)))
    probe_at = Subquery(row.values("probe_at"))
    later = Push.objects.filter(connection=target, state=Push.State.DIRTY, lease_token=None, due_at__gt=probe_at)
    free = later.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)  # a changed one is due
    Push.objects.filter(pk__in=list(free)).update(due_at=probe_at)
