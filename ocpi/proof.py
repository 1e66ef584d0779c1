"""A tenant's proof of the minute for one month, as CSV: what came in, how much NDW accepted in time, the slowest ten and why.

A change belongs to the month of its upload, in Dutch time. Written for a spreadsheet: every line has the same columns, and
no cell that a CPO or NDW filled can be a formula. Source: issue 4; RFC 4180; design §7 "The clock", "Connections".
"""

import csv
import datetime as dt
import io
from collections import Counter
from typing import Any, NamedTuple

from django.db import connection as database
from django.db.models import Q
from django.utils import timezone

from ocpi import clock
from ocpi.models import PushAttempt
from ocpi.rulings import Do
from tenants.models import Connection

SLOWEST = 10
COLUMNS = ["object", "changed_at", "accepted_at", "seconds", "requests", "reasons"]

_SLOWEST = f"""
    SELECT found.id, kind, coalesce(l.ocpi_id, t.ocpi_id), since, ended_at, age_ms, state FROM (
        (SELECT p.id, p.location_id, p.tariff_id, a.changed_at since,
            a.started_at + a.took_ms * interval '1 ms' ended_at, 'accepted' state,
            greatest(0, ceil(extract(epoch FROM a.started_at - a.changed_at) * 1000) + a.took_ms)::bigint age_ms
        FROM ocpi_pushattempt a JOIN ocpi_push p ON p.id = a.push_id AND p.connection_id = %(connection)s
        WHERE a.tenant_id = %(tenant)s AND a.outcome = 'delivered' AND a.changed_at IS NOT NULL
        AND a.changed_at >= %(start)s AND a.changed_at < %(end)s
        ORDER BY age_ms DESC, p.id LIMIT {SLOWEST})
        UNION ALL
        (SELECT id, location_id, tariff_id, since, NULL, state,
            (extract(epoch FROM clock_timestamp() - since) * 1000)::bigint age_ms
        FROM (SELECT *, coalesce(changed_at, next_changed_at) since FROM ocpi_push
            WHERE connection_id = %(connection)s AND (state = 'dirty' OR state = 'rejected' AND tenant_id = %(tenant)s)) p
        WHERE since >= %(start)s AND since < %(end)s
        AND (state = 'rejected' OR since < clock_timestamp() - interval '{clock.WITHIN_S} s')
        ORDER BY since, id LIMIT {SLOWEST})
    ) found
    LEFT JOIN ocpi_location l ON l.id = location_id LEFT JOIN ocpi_tariff t ON t.id = tariff_id
    CROSS JOIN LATERAL (SELECT CASE WHEN location_id IS NULL THEN 'tariff' ELSE 'location' END) k(kind)
    ORDER BY age_ms DESC, found.id LIMIT {SLOWEST}
"""


class Slow(NamedTuple):
    """One of the changes that took longest; `ended_at` is None while NDW has not accepted it, `state` says why."""

    push_id: int
    kind: str
    ocpi_id: str
    since: dt.datetime
    ended_at: dt.datetime | None
    age_ms: int
    state: str


def last_month() -> dt.date:
    """Return the first day of the month before this one."""
    return (timezone.localdate().replace(day=1) - dt.timedelta(days=1)).replace(day=1)


def month_of(text: str) -> dt.date | None:
    """Return the first day of a month written as 2026-11; None where it is none, is to come, or is no longer kept whole."""
    try:
        month = dt.datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 - a day, no moment
    except ValueError:
        return None
    return month if _oldest_month() <= month <= timezone.localdate() else None


def months() -> list[dt.date]:
    """Return the months there is a proof of, newest first."""
    found = [timezone.localdate().replace(day=1)]
    while (month := (found[-1] - dt.timedelta(days=1)).replace(day=1)) >= _oldest_month():
        found.append(month)
    return found


def _oldest_month() -> dt.date:
    """Return the oldest month of which every attempt is still there."""
    oldest = timezone.localdate() - dt.timedelta(days=clock.KEPT_DAYS - 1)
    return oldest if oldest.day == 1 else (oldest.replace(day=1) + dt.timedelta(days=32)).replace(day=1)


def file_name(connection: Connection, month: dt.date) -> str:
    """Return what to call the file."""
    return f"proof-{connection.tenant}-{connection.environment}-{month:%Y-%m}.csv"


def write(connection: Connection, month: dt.date) -> str:
    """Return the proof of one Connection for the month that begins on that day."""
    start, end = clock.midnight(month), clock.midnight((month + dt.timedelta(days=32)).replace(day=1))
    summary = _summary(connection, start, end)
    with database.cursor() as cursor:
        parameters: dict[str, Any] = {
            "connection": connection.pk,
            "tenant": connection.tenant_id,
            "start": start,
            "end": end,
        }
        cursor.execute(_SLOWEST, parameters)
        slowest = [Slow(*row) for row in cursor.fetchall()]
    out = io.StringIO()
    writer = csv.writer(out)  # RFC 4180: commas, CRLF, quotes where needed
    padding = [""] * (len(COLUMNS) - 2)
    writer.writerows([safe(name), safe(value), *padding] for name, value in summary)
    writer.writerow([""] * len(COLUMNS))
    writer.writerow(COLUMNS)
    writer.writerows([safe(cell) for cell in row] for row in _rows(slowest))
    return out.getvalue()


def safe(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula. Source: OWASP, "CSV Injection"."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def _summary(connection: Connection, start: dt.datetime, end: dt.datetime) -> list[tuple[str, Any]]:
    found = clock.figures([connection], start, end)[connection.pk]
    row = found.row
    return [
        ("tenant", connection.tenant),
        ("name", connection.tenant.name),
        ("environment", connection.environment),
        ("month", f"{start:%Y-%m}"),
        ("from", start.isoformat()),
        ("until before", end.isoformat()),
        ("written at", _moment(timezone.now())),
        ("changes", row.changes),
        ("accepted", row.accepted),
        ("waiting", found.waiting),
        ("rejected", found.rejected),
        (f"within {clock.WITHIN_S} s", row.within_60s),
        (f"share within {clock.WITHIN_S} s", "" if row.share is None else f"{row.share:.6f}"),
        ("p50 s", _seconds(row.p50_ms)),
        ("p95 s", _seconds(row.p95_ms)),
        ("p99 s", _seconds(row.p99_ms)),
        ("slowest s", _seconds(row.max_ms)),
    ]


def _rows(slowest: list[Slow]) -> list[list[str]]:
    made = _attempts(slowest)
    return [
        [
            f"{one.kind} {one.ocpi_id}",
            _moment(one.since),
            _moment(one.ended_at) if one.ended_at else {"dirty": "not yet"}.get(one.state, one.state),
            _seconds(one.age_ms),
            str(len(made[one])),
            _reasons(made[one]),
        ]
        for one in slowest
    ]


def _attempts(slowest: list[Slow]) -> dict[Slow, list[PushAttempt]]:
    """Return the requests that each of them took, oldest first. One query."""
    wanted = Q(pk=None)
    for one in slowest:
        wanted |= Q(push=one.push_id, changed_at=one.since)
    found = list(PushAttempt.objects.filter(wanted).order_by("started_at", "pk"))
    return {
        one: [
            attempt
            for attempt in found
            if (attempt.push_id, attempt.changed_at) == (one.push_id, one.since)
            and (one.ended_at is None or attempt.started_at <= one.ended_at)
        ]
        for one in slowest
    }


def _reasons(attempts: list[PushAttempt]) -> str:
    """Say what came of the requests that were no acceptance, in order, the same ones counted."""
    said = Counter(_reason(one) for one in attempts if one.outcome != Do.DELIVERED)
    return "; ".join(f"{text} ({count} times)" if count > 1 else text for text, count in said.items())


def _reason(attempt: PushAttempt) -> str:
    codes = [f"{name} {code}" for name, code in (("HTTP", attempt.http_status), ("OCPI", attempt.ocpi_status)) if code]
    return f"{attempt.outcome}: {', '.join(codes) or ' '.join(attempt.answer.split())[:100]}"


def _moment(at: dt.datetime) -> str:
    return timezone.localtime(at).isoformat(timespec="milliseconds")


def _seconds(ms: int | None) -> str:
    return "" if ms is None else f"{ms / 1000:.3f}"
