"""The minute: how old a change was when NDW accepted it, by day and Connection, and how long the oldest has waited.

A measurement is a delivered attempt with `changed_at`: its age is the end of the request less our acceptance of the oldest
upload it carried. What has no clock (initial load, reconciliation, replay) is not counted. A change belongs to the day of
its upload, in Dutch time; one that was rejected, or has waited for over a minute, counts as not accepted there.
Source: design §4, §7 "The clock", "Connections"; reliability P4, C34.
"""

import datetime as dt
import time
from collections.abc import Iterable
from typing import NamedTuple

from django.conf import settings
from django.db import connection as database
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from ocpi.models import DeliveryDay
from tenants.models import Connection

WITHIN_S = 60
KEPT_DAYS = 90
SETTLED_AFTER = dt.timedelta(minutes=10)  # after midnight: the last uploads of a day are committed, or a minute old

# --- What was accepted, and how soon -----------------------------------------------------------------------------------

# Ages are whole ms, rounded up. The condition is that of the index `pushattempt_clock`, word for word.
# Attempts are gone through once, however many Connections a tenant has.
_FIGURES = f"""
    SELECT c.id, c.tenant_id, coalesce(a.accepted, 0), coalesce(a.requests, 0), coalesce(a.in_time, 0), a.percentiles, a.oldest,
        coalesce(w.waiting, 0), coalesce(w.rejected, 0)
    FROM tenants_connection c
    LEFT JOIN (
        SELECT m.connection_id, sum(m.changes)::bigint accepted, count(*) requests,
            sum(m.changes) FILTER (WHERE m.age_ms <= {WITHIN_S * 1000})::bigint in_time,
            percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY m.age_ms) percentiles, max(m.age_ms) oldest
        FROM (
            SELECT p.connection_id, a.changes,
                greatest(0, ceil(extract(epoch FROM a.started_at - a.changed_at) * 1000) + a.took_ms)::bigint age_ms
            FROM ocpi_pushattempt a JOIN ocpi_push p ON p.id = a.push_id
            WHERE a.tenant_id IN (SELECT tenant_id FROM tenants_connection WHERE id = ANY(%(connections)s))
            AND p.connection_id = ANY(%(connections)s) AND a.outcome = 'delivered' AND a.changed_at IS NOT NULL
            AND a.changed_at >= %(start)s AND a.changed_at < %(end)s
        ) m GROUP BY m.connection_id
    ) a ON a.connection_id = c.id
    LEFT JOIN LATERAL (
        SELECT sum(p.changes) FILTER (WHERE p.state = 'dirty') waiting,
            sum(p.changes) FILTER (WHERE p.state = 'rejected') rejected
        FROM ocpi_push p
        WHERE p.connection_id = c.id AND (p.state = 'dirty' OR p.state = 'rejected' AND p.tenant_id = c.tenant_id)
        AND coalesce(p.changed_at, p.next_changed_at) >= %(start)s AND coalesce(p.changed_at, p.next_changed_at) < %(end)s
        AND (p.state = 'rejected'
            OR coalesce(p.changed_at, p.next_changed_at) < clock_timestamp() - interval '{WITHIN_S} s')
    ) w ON true
    WHERE c.id = ANY(%(connections)s)
"""


class Figures(NamedTuple):
    """What came in during a time over one Connection: the row of its day, and what of its changes was not accepted."""

    row: DeliveryDay
    waiting: int
    rejected: int


def figures(connections: Iterable[Connection], start: dt.datetime, end: dt.datetime) -> dict[int, Figures]:
    """Return the figures of what came in from `start` until before `end`, by Connection (its id). One query.

    Percentiles are those of `percentile_cont` over requests, in ms.
    """
    by_id = {one.pk: one for one in connections}
    with database.cursor() as cursor:
        cursor.execute(_FIGURES, {"connections": list(by_id), "start": start, "end": end})
        return {row[0]: _figures(by_id[row[0]], timezone.localdate(start), *row[2:]) for row in cursor.fetchall()}


def _figures(
    connection: Connection, day: dt.date, accepted: int, requests: int, within: int, percentiles: list[float] | None,
    oldest: int | None, waiting: int, rejected: int,
) -> Figures:  # fmt: skip
    p50, p95, p99 = (round(value) for value in percentiles) if percentiles else (None, None, None)
    row = DeliveryDay(
        tenant_id=connection.tenant_id,
        connection=connection,
        day=day,
        changes=accepted + waiting + rejected,
        accepted=accepted,
        within_60s=within,
        requests=requests,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=oldest,
    )
    return Figures(row, waiting, rejected)


def midnight(day: dt.date) -> dt.datetime:
    """Return when a day begins; it may have 23 or 25 hours."""
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min))


def days(connections: Iterable[Connection], day: dt.date) -> dict[int, DeliveryDay]:
    """Return the figures of one day as DeliveryDays that are not stored, by Connection (its id). One query."""
    found = figures(connections, midnight(day), midnight(day + dt.timedelta(days=1)))
    return {pk: one.row for pk, one in found.items()}


def today(connections: Iterable[Connection]) -> dict[int, DeliveryDay]:
    """Return the same of the day that is not over yet."""
    return days(connections, timezone.localdate())


def of_day(connection: Connection, day: dt.date) -> DeliveryDay:
    """Return the figures of one Connection on one day, worked out anew; only while the attempts are kept."""
    return days([connection], day)[connection.pk]


# --- Finished days -----------------------------------------------------------------------------------------------------

# What is still missing of a day by its row, and by the queue. The second figure falls when something is accepted late.
_MOVED = """
    WITH missing AS (
        SELECT p.connection_id, sum(p.changes) AS n,
            (coalesce(p.changed_at, p.next_changed_at) AT TIME ZONE %(zone)s)::date AS day
        FROM ocpi_push p WHERE (p.state = 'dirty' OR p.state = 'rejected')
        AND coalesce(p.changed_at, p.next_changed_at) IS NOT NULL GROUP BY 1, 3
    )
    SELECT DISTINCT d.day FROM ocpi_deliveryday d LEFT JOIN missing USING (connection_id, day)
    WHERE d.day >= %(first)s AND d.changes - d.accepted <> coalesce(missing.n, 0) ORDER BY d.day
"""
_WRITTEN = ["changes", "accepted", "within_60s", "requests", "p50_ms", "p95_ms", "p99_ms", "max_ms"]


def close_days(longest_s: float = 20.0) -> int:
    """Write the DeliveryDays of finished days, missed ones too, and again where something was accepted since; return how many.

    May run twice or next to itself; what there is no time for is left to the next run. Forgets those older than KEPT_DAYS.
    """
    ends_at, written = time.monotonic() + longest_s, 0
    connections = list(Connection.objects.select_related("tenant"))
    for day in _days_to_write():
        rows = [row for _, row in sorted(days(connections, day).items()) if row.changes]
        DeliveryDay.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["tenant", "connection", "day"], update_fields=_WRITTEN
        )
        DeliveryDay.objects.filter(day=day).exclude(connection__in=[row.connection_id for row in rows]).delete()
        written += len(rows)
        if rows and time.monotonic() >= ends_at:
            break
    DeliveryDay.objects.filter(day__lt=timezone.localdate() - dt.timedelta(days=KEPT_DAYS)).delete()
    return written


def _days_to_write() -> list[dt.date]:
    """Return which days, oldest first: those after the last one written, those of which less is missing now.

    None of which attempts may be pruned already.
    """
    last = timezone.localdate(timezone.now() - SETTLED_AFTER) - dt.timedelta(days=1)
    first = timezone.localdate() - dt.timedelta(days=KEPT_DAYS - 1)
    newest = DeliveryDay.objects.aggregate(Max("day"))["day__max"]
    begins = max(first, newest + dt.timedelta(days=1)) if newest else first
    missed = {begins + dt.timedelta(days=n) for n in range((last - begins).days + 1)}
    with database.cursor() as cursor:
        cursor.execute(_MOVED, {"zone": settings.TIME_ZONE, "first": first})
        return sorted(missed | {day for (day,) in cursor.fetchall()})


# --- What waits now ----------------------------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """The change over one Connection that has waited longest, and why."""

    connection: Connection
    push_id: int
    kind: str
    ocpi_id: str
    seconds: float
    reason: str


_OLDEST = """
    WITH oldest AS (
        SELECT DISTINCT ON (p.connection_id) p.connection_id, p.id, p.location_id, p.tariff_id, p.attempts, p.last_answer,
            p.lease_until, least(p.changed_at, p.next_changed_at) AS since
        FROM ocpi_push p
        WHERE p.state = 'dirty' AND p.connection_id = ANY(%(connections)s)
        AND (p.changed_at IS NOT NULL OR p.next_changed_at IS NOT NULL)
        ORDER BY p.connection_id, since, p.id
    )
    SELECT o.connection_id, o.id, CASE WHEN o.location_id IS NULL THEN 'tariff' ELSE 'location' END,
        coalesce(l.ocpi_id, t.ocpi_id), greatest(0, extract(epoch FROM clock_timestamp() - o.since))::float,
        o.last_answer, coalesce(o.lease_until > clock_timestamp(), false)
    FROM oldest o LEFT JOIN ocpi_location l ON l.id = o.location_id LEFT JOIN ocpi_tariff t ON t.id = o.tariff_id
    ORDER BY o.since, o.id
"""


def waiting(connections: Iterable[Connection]) -> list[Waiting]:
    """Return the oldest change of each Connection that has one waiting, the oldest of all first. One query.

    Wants tenant and service account of the Connections selected with them.
    """
    by_id = {one.pk: one for one in connections if not one.is_retired}
    with database.cursor() as cursor:
        cursor.execute(_OLDEST, {"connections": list(by_id)})
        return [
            Waiting(by_id[pk], push_id, kind, ocpi_id, seconds, _reason(by_id[pk], answer, is_leased=is_leased))
            for pk, push_id, kind, ocpi_id, seconds, answer, is_leased in cursor.fetchall()
        ]


def oldest_waiting(connection: Connection | None = None) -> Waiting | None:
    """Return the change that has waited longest over one Connection, or over all; None when none with a clock waits."""
    everywhere = Connection.objects.filter(is_retired=False).select_related("tenant", "service_account")
    found = waiting([connection] if connection else everywhere)
    return found[0] if found else None


def _reason(connection: Connection, answer: str, *, is_leased: bool) -> str:
    """Say in one line why a change waits: first what holds up its whole Connection, then itself."""
    now = timezone.now()
    account = connection.service_account
    has_token = account.access_token_expires_at is not None and account.access_token_expires_at > now
    if connection.is_paused:
        reason = _("paused: %(reason)s") % {"reason": connection.pause_reason}
    elif connection.probe_at and connection.probe_at > now:
        words = _("circuit open after %(count)s failures; %(answer)s") if answer else _("circuit open")
        reason = words % {"count": connection.failures, "answer": answer}
    elif not has_token and account.fetching_until and account.fetching_until > now:
        reason = _("no access token from %(url)s") % {"url": account.token_url}
    else:
        reason = answer or (_("being sent") if is_leased else _("not yet tried"))
    return " ".join(reason.split())[:300]
