"""Where a tenant's objects stand with NDW, as the CPO is told: by object and environment, page by page, and one's history.

`withheld` is computed from the Location and `blocked` from the Connection: nothing is written here. Retired Connections do
not count. Pages are by key and cost the same at any depth.

Source: protocol §9, "Delivery states"; design §2 "URLs".
"""

import base64
import binascii
import datetime as dt
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from tenants import sql
from tenants.models import Tenant

STATES = ("withheld", "dirty", "sending", "delivered", "rejected", "blocked")
KINDS = ("location", "tariff")
HISTORY = 50  # of an object's requests so many are told
ANSWER = 500  # characters of an answer

_IS_WITHHELD = {"location": "(NOT o.is_shown AND o.publish)", "tariff": "false"}
_IS_VISIBLE = {"location": "o.is_shown", "tariff": "o.deleted_at IS NULL"}
_IS_SENDING = "coalesce(p.lease_until > now(), false)"
_STORED = f"""
    CASE WHEN p.state <> 'dirty' THEN p.state WHEN {_IS_SENDING} THEN 'sending' WHEN c.is_paused THEN 'blocked'
    ELSE 'dirty' END
"""
# Each so that an index on Push finds the few there are; a CASE could not.
_IN_STATE = {
    "dirty": f"p.state = 'dirty' AND NOT {_IS_SENDING} AND NOT c.is_paused",
    "sending": f"p.state = 'dirty' AND {_IS_SENDING}",
    "blocked": f"p.state = 'dirty' AND NOT {_IS_SENDING} AND c.is_paused",
    "delivered": "p.state = 'delivered'",
    "rejected": "p.state = 'rejected'",
}


class Delivery(NamedTuple):
    """One object over one Connection; what NDW answered is the last answer."""

    object_id: int
    connection_id: int
    push_id: int | None
    kind: str
    id: str
    environment: str | None
    state: str
    changed_at: dt.datetime | None
    accepted_at: dt.datetime | None
    attempts: int
    due_at: dt.datetime | None
    http_status: int | None
    ocpi_status: int | None
    answer: str


class Attempt(NamedTuple):
    """One request for an object and its answer."""

    started_at: dt.datetime
    took_ms: int
    method: str
    outcome: str
    http_status: int | None
    ocpi_status: int | None
    answer: str
    changed_at: dt.datetime | None


class Stored(NamedTuple):
    """An object that is stored, and where it stands with NDW's environment that matters most."""

    object_id: int
    id: str
    last_updated: dt.datetime
    state: str | None
    gaps: list[str]


@dataclass
class Page:
    """Some rows, and where the next ones begin; None when there are no more."""

    results: list[Any]
    next: str | None


# --- Deliveries --------------------------------------------------------------------------------------------------------


def page(
    tenant: Tenant,
    *,
    state: str | None = None,
    kind: str | None = None,
    ocpi_id: str | None = None,
    environment: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return a tenant's deliveries in the order in which its objects came, Locations first. At most two queries.

    Raises ValueError when `after` is not one of ours.
    """
    start, *place = _read(after) if after is not None else ("location", 0, 0)
    found: list[Delivery] = []
    for one in KINDS[KINDS.index(str(start)) :]:
        if kind in (None, one) and len(found) <= limit:
            asked = {"ocpi_id": ocpi_id, "environment": environment, "limit": limit + 1 - len(found)}
            object_id, connection_id = place if one == start else (0, 0)
            asked |= {"tenant": tenant.pk, "object": object_id, "connection": connection_id}
            found += map(Delivery._make, sql.run(_page_sql(one, state, asked), asked))
    return Page(found[:limit], _cursor(found[limit - 1]) if len(found) > limit else None)


def _page_sql(kind: str, state: str | None, asked: dict[str, Any]) -> str:
    """Return the SQL of one page; the last answers are looked up for its rows only."""
    withheld = _IS_WITHHELD[kind]
    wanted = {None: f"({withheld} OR p.id IS NOT NULL)", "withheld": withheld}
    where = wanted.get(state) or f"{_IN_STATE[str(state)]} AND NOT {withheld}"
    where += " AND c.environment = %(environment)s" if asked["environment"] else ""
    where += " AND o.ocpi_key = lower(%(ocpi_id)s)" if asked["ocpi_id"] is not None else ""
    return f"""
    SELECT page.object_id, page.connection_id, page.push_id, '{kind}', page.ocpi_id, page.environment, page.state,
        page.changed_at, page.accepted_at, page.attempts, CASE WHEN page.state = 'dirty' THEN page.due_at END,
        last.http_status::int, last.ocpi_status, coalesce(left(last.answer, {ANSWER}), '')
    FROM (
        SELECT o.id AS object_id, coalesce(c.id, 0) AS connection_id, p.id AS push_id, o.ocpi_id, c.environment,
            CASE WHEN {withheld} THEN 'withheld' ELSE {_STORED} END AS state,
            p.changed_at, p.accepted_at, coalesce(p.attempts, 0) AS attempts, p.due_at
        FROM ocpi_{kind} o
        LEFT JOIN tenants_connection c ON c.tenant_id = o.tenant_id AND NOT c.is_retired
        LEFT JOIN ocpi_push p ON p.tenant_id = o.tenant_id AND p.connection_id = c.id AND p.{kind}_id = o.id
        WHERE o.tenant_id = %(tenant)s AND o.id >= %(object)s AND {where}
            AND (o.id > %(object)s OR coalesce(c.id, 0) > %(connection)s)
        ORDER BY o.id, coalesce(c.id, 0) LIMIT %(limit)s
    ) page
    LEFT JOIN LATERAL (
        SELECT a.http_status, a.ocpi_status, a.answer FROM ocpi_pushattempt a WHERE a.push_id = page.push_id
        ORDER BY a.started_at DESC, a.id DESC LIMIT 1
    ) last ON true
    ORDER BY page.object_id, page.connection_id
    """


_HISTORY = f"""
    SELECT one, h.* FROM unnest(%s::bigint[]) one CROSS JOIN LATERAL (
        SELECT a.started_at, a.took_ms, a.method, a.outcome, a.http_status::int, a.ocpi_status, left(a.answer, {ANSWER}),
            a.changed_at
        FROM ocpi_pushattempt a WHERE a.push_id = one ORDER BY a.started_at DESC, a.id DESC LIMIT {HISTORY}) h
"""


def history(found: list[Delivery]) -> dict[int | None, list[Attempt]]:
    """Return the last requests of each of these, by Push row, newest first. One query."""
    requests: dict[int | None, list[Attempt]] = {}
    for push_id, *attempt in sql.run(_HISTORY, [[one.push_id for one in found if one.push_id]]):
        requests.setdefault(push_id, []).append(Attempt._make(attempt))
    return requests


# --- Objects -----------------------------------------------------------------------------------------------------------


def objects(tenant: Tenant, kind: str, *, after: str | None = None, limit: int = 100) -> Page:
    """Return what a tenant has stored of one kind, in the order in which it came. One query.

    The state is that of production, else of staging; None where NDW shall not have the object or there is no Connection.
    Raises ValueError when `after` is not one of ours.
    """
    start, object_id, _ = _read(after) if after is not None else (kind, 0, 0)
    if start != kind:
        raise ValueError("of another list")
    asked = {"tenant": tenant.pk, "object": object_id, "limit": limit + 1}
    found = [Stored._make(row) for row in sql.run(_objects_sql(kind), asked)]
    return Page(found[:limit], _encoded(kind, found[limit - 1].object_id, 0) if len(found) > limit else None)


def _objects_sql(kind: str) -> str:
    gaps = "o.gaps" if kind == "location" else "ARRAY[]::text[]"
    where = "" if kind == "location" else "AND o.deleted_at IS NULL"
    return f"""
    SELECT o.id, o.ocpi_id, o.last_updated,
        CASE WHEN {_IS_WITHHELD[kind]} THEN 'withheld' WHEN c.id IS NULL OR NOT {_IS_VISIBLE[kind]} THEN NULL
            WHEN p.id IS NULL THEN 'dirty' ELSE {_STORED} END,
        {gaps}
    FROM ocpi_{kind} o
    LEFT JOIN (
        SELECT id, is_paused FROM tenants_connection WHERE tenant_id = %(tenant)s AND NOT is_retired
        ORDER BY environment = 'production' DESC LIMIT 1
    ) c ON true
    LEFT JOIN ocpi_push p ON p.tenant_id = o.tenant_id AND p.connection_id = c.id AND p.{kind}_id = o.id
    WHERE o.tenant_id = %(tenant)s AND o.id > %(object)s {where}
    ORDER BY o.id LIMIT %(limit)s
    """


# --- Cursors -----------------------------------------------------------------------------------------------------------


def _cursor(last: Delivery) -> str:
    return _encoded(last.kind, last.object_id, last.connection_id)


def _encoded(kind: str, object_id: int, connection_id: int) -> str:
    return base64.urlsafe_b64encode(f"{kind[0]}{object_id}.{connection_id}".encode()).decode().rstrip("=")


def _read(after: str) -> tuple[str, int, int]:
    try:
        text = base64.urlsafe_b64decode(after.encode() + b"=" * (-len(after) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise ValueError("not a value of ours") from error
    match = re.fullmatch(r"([lt])([0-9]{1,18})\.([0-9]{1,18})", text)
    if match is None:
        raise ValueError("not a value of ours")
    return {"l": "location", "t": "tariff"}[match[1]], int(match[2]), int(match[3])
