"""The SQL under `store`: lock objects' rows, write each, keep the version it replaces and mark its Push rows in one statement.

Only `ocpi.store` calls this. Whoever locks objects of a tenant also holds that tenant's gate till the transaction ends, as
one of many; `shut_gate` waits for all of them. A write, which follows, sees by then whether the tenant has left.
Source: design §3, §4; performance, points 1, 7 and 9.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

from django.db import connection, transaction

from ocpi import doorbell, errors, history
from ocpi.envelope import correlation_id
from ocpi.models import Location, Push, Tariff, ids_of
from tenants import sql
from tenants.models import Tenant


class Row(NamedTuple):
    """A locked row of either table; what only the other has is None or False."""

    id: int
    body: bytes
    cpo_times: dict | None
    unknown: dict | None
    is_shown: bool
    gaps: list[str]
    deleted: bool
    received_at: dt.datetime


class Written(NamedTuple):
    """What became of a write, and which references of a Location need a closer look (`ocpi.problems`)."""

    id: int
    unknown_tariffs: list[str]
    shared_keys: list[str]


@dataclass
class Change:
    """What an upload means for NDW."""

    priority: int = Push.Priority.LOCATION
    evse_uid: str | None = None  # the one EVSE whose status is all that changed
    has_clock: bool = True  # an upload's does; nobody waits for what an upgrade has shown

    def __post_init__(self) -> None:
        if self.evse_uid:
            self.priority = Push.Priority.STATUS


_ROW = {
    "location": "id, body, cpo_times, unknown, is_shown, gaps, false, received_at",
    "tariff": "id, body, cpo_times, unknown, deleted_at IS NULL, NULL, deleted_at IS NOT NULL, received_at",
}
_GATE = 0x0FF  # of the two numbers of an advisory lock the first; the second is the tenant
# Asked before any row is looked for, and so also where there is none.
_ENTER = f"(SELECT pg_advisory_xact_lock_shared({_GATE}, %(tenant)s::int)::text) IS NOT NULL"
_LOCK = {
    kind: f"SELECT {row} FROM ocpi_{kind} WHERE {_ENTER} AND tenant_id = %(tenant)s AND ocpi_key = lower(%(id)s)"
    " FOR NO KEY UPDATE"
    for kind, row in _ROW.items()
}

_LOCK_MANY = {
    kind: f"SELECT ocpi_key, {row} FROM ocpi_{kind} WHERE {_ENTER} AND id = ANY (ARRAY({ids_of(kind)}))"
    " ORDER BY id FOR NO KEY UPDATE"
    for kind, row in _ROW.items()
}
_LOCK_PUSHES = {
    kind: f"""
    SELECT 1 FROM ocpi_push WHERE id = ANY (ARRAY(
        SELECT one.id FROM unnest(%s::bigint[]) wanted
        CROSS JOIN LATERAL (SELECT id FROM ocpi_push WHERE {kind}_id = wanted OFFSET 0) one))
    ORDER BY connection_id, id FOR NO KEY UPDATE
    """
    for kind in _ROW
}


def lock(kind: str, tenant: Tenant, ocpi_id: str) -> Row | None:
    """Lock the row of a tenant's object, whatever the case of its id, until the transaction ends; None if there is none."""
    found = sql.run(_LOCK[kind], {"tenant": tenant.pk, "id": ocpi_id}).fetchone()
    return Row(*found) if found else None


def naming(tenant: Tenant, tariff_id: str) -> list[str]:
    """Return the ids of the first six of a tenant's Locations that name a Tariff."""
    return [ocpi_id for (ocpi_id,) in sql.run("SELECT ocpi_naming_tariff(%s, lower(%s))", [tenant.pk, tariff_id])]


def lock_many(kind: str, tenant: Tenant, ocpi_ids: Sequence[str]) -> dict[str, Row]:
    """Lock the rows there are, in the order in which they were made, then their Push rows; return them by id in lower case."""
    asked = {"tenant": tenant.pk, "ids": sql.array(ocpi_id.lower() for ocpi_id in ocpi_ids)}
    found = sql.run(_LOCK_MANY[kind], asked).fetchall()
    sql.run(_LOCK_PUSHES[kind], [[row[1] for row in found]])
    return {key: Row(*row) for key, *row in found}


def shut_gate(tenant: Tenant) -> None:
    """Wait until nobody has objects of a tenant locked, and let nobody lock some before this transaction ends."""
    sql.run("SELECT pg_advisory_xact_lock(%s, %s::int)", [_GATE, tenant.pk])


_HAS_LEFT = "(SELECT offboarding_at IS NOT NULL FROM tenants_tenant WHERE id = %(tenant_id)s)"


def _push_rows(kind: str) -> str:
    """Return the SQL that marks written objects as changed for every Connection of their tenant.

    Expects a CTE `written(id, tenant_id)` and the parameters evse_uid, priority, correlation_id, has_clock. A row in
    flight (it has a lease token) starts the next count at `next_changed_at`; a rejected one starts anew. What waits keeps its
    place, however often it changes: it would never be late, and under load never be sent. Those of a
    retired Connection go on gathering, in case it comes back. The order is that of every lock on Push rows (ocpi.queue).
    """
    return f"""
    INSERT INTO ocpi_push AS push (tenant_id, connection_id, {kind}_id, state, priority, whole, version, changes, changed_at,
                                   due_at, attempts, correlation_id, last_answer, accepted_tariff_ids)
    SELECT written.tenant_id, c.id, written.id, 'dirty', %(priority)s, true, 1, 1,
           CASE WHEN %(has_clock)s THEN clock_timestamp() END, clock_timestamp(), 0, %(correlation_id)s, '', ARRAY[]::text[]
    FROM written JOIN tenants_connection c ON c.tenant_id = written.tenant_id
    ORDER BY c.id, written.id
    ON CONFLICT (tenant_id, connection_id, {kind}_id) DO UPDATE SET
        state = 'dirty',
        priority = CASE WHEN push.state = 'dirty' AND excluded.priority < 4 THEN least(push.priority, excluded.priority)
                        ELSE excluded.priority END,
        whole = push.whole OR %(evse_uid)s::text IS NULL OR coalesce(push.evse_uid <> %(evse_uid)s, false),
        evse_uid = CASE WHEN NOT push.whole AND (push.evse_uid IS NULL OR push.evse_uid = %(evse_uid)s)
                        THEN %(evse_uid)s::text END,
        version = push.version + 1,
        changes = push.changes + 1,
        changed_at = CASE WHEN push.state = 'dirty' THEN coalesce(push.changed_at, excluded.changed_at)
                          ELSE excluded.changed_at END,
        next_changed_at = CASE WHEN push.lease_token IS NOT NULL
                               THEN coalesce(push.next_changed_at, excluded.changed_at) END,
        due_at = CASE WHEN push.state = 'dirty' THEN least(push.due_at, excluded.due_at) ELSE excluded.due_at END,
        attempts = 0,
        correlation_id = excluded.correlation_id
    """


# Beside the row just written: tariff ids its party lacks, and EVSE keys that another Location has too.
_LOOK = """,
    ARRAY(SELECT named FROM unnest(%(tariff_ids)s::text[]) named WHERE NOT EXISTS (
        SELECT FROM ocpi_tariff t
        WHERE t.tenant_id = %(tenant_id)s AND t.ocpi_key = named AND t.deleted_at IS NULL)),
    ARRAY(SELECT key FROM unnest(%(evse_keys)s::text[]) key WHERE EXISTS (
        SELECT FROM ocpi_with_evse_key(key) l WHERE l.id <> written.id))
"""


# What was served until now, beside the row just written.
_KEPT = ("since_at", "until_at", "was_shown", "is_whole", "evse_uid", "body")
_KEPT_TYPES = ("timestamptz", "timestamptz", "bool", "bool", "text", "bytea")


def _kept_row(kind: str) -> str:
    values = ", ".join(f"%(kept_{name})s" for name in _KEPT)
    return f"INSERT INTO ocpi_version (tenant_id, {kind}_id, {', '.join(_KEPT)}) SELECT tenant_id, id, {values} FROM written"


@dataclass
class Write:
    """One object to insert (`row` None) or update, and what that means for NDW.

    `look` says whether the references of a Location are looked up on the way; `status_of` names the one EVSE whose status is
    all that changes. An upload is refused of a tenant that has left.
    """

    kind: str
    tenant: Tenant
    row: Row | None
    columns: dict[str, Any]
    change: Change | None
    look: bool = False
    status_of: str | None = None
    is_upload: bool = True

    @property
    def row_id(self) -> int | None:
        """Return the key of the row to update."""
        return self.row.id if self.row else None

    @property
    def replaces(self) -> bool:
        """Return whether what is served, or that it is, becomes another: then what it was is kept."""
        return self.row is not None and (self._is_shown() != self.row.is_shown or self._body() != self.row.body)

    def _is_shown(self) -> bool:
        assert self.row is not None  # noqa: S101
        if "deleted_at" in self.columns:
            return self.columns["deleted_at"] is None
        return self.columns.get("is_shown", self.row.is_shown)

    def _body(self) -> bytes:
        assert self.row is not None  # noqa: S101
        return self.columns.get("body", self.row.body)

    def kept(self) -> tuple[Any, ...]:
        """Return the values of the version that is replaced, those of _KEPT."""
        assert self.row is not None  # noqa: S101
        until_at = self.columns.get("received_at") or dt.datetime.now(
            dt.UTC
        )  # a new edition of the rules comes unasked
        body, is_whole = history.pack(self.row.body, self._body())
        return self.row.received_at, until_at, self.row.is_shown, is_whole, self.status_of or "", body

    def statement(self, *, looks: bool = False, keeps: bool = False) -> str:
        """Return the SQL, the same for all writes alike."""
        written = (_insert if self.row is None else _update)(self.kind, tuple(self.columns))
        kept = f", kept AS ({_kept_row(self.kind)})" if keeps else ""
        pushed = f", pushed AS ({_push_rows(self.kind)})" if self.change else ""
        looked = _LOOK if looks else ", NULL, NULL"
        return f"WITH written AS ({written}){kept}{pushed} SELECT id{looked}, {_HAS_LEFT} FROM written"

    def parameters(self, *, keeps: bool = False) -> dict[str, Any]:
        """Return the values of the SQL."""
        columns = {name: sql.array(value) if isinstance(value, list) else value for name, value in self.columns.items()}
        own = {"tenant_id": self.tenant.pk, "row_id": self.row_id, "created_at": self.columns.get("received_at")}
        if keeps:
            own |= {f"kept_{name}": value for name, value in zip(_KEPT, self.kept(), strict=True)}
        if self.change:
            own |= {
                "evse_uid": self.change.evse_uid,
                "priority": int(self.change.priority),
                "correlation_id": correlation_id.get(),
                "has_clock": self.change.has_clock,
            }
        return columns | own


def write(one: Write) -> Written | None:
    """Insert or update one object and mark its Push rows; None when another upload inserted it first. Raises Offboarded."""
    keeps = one.replaces
    found = sql.run(one.statement(looks=one.look, keeps=keeps), one.parameters(keeps=keeps)).fetchone()
    if found and found[-1] and one.is_upload:
        raise errors.Offboarded
    if found and one.change:
        transaction.on_commit(doorbell.ring)
    return _written(found)


def write_many(writes: Sequence[Write]) -> list[Written | None]:
    """Do the same for many, inserts in this order, those alike together. Looks nothing up. Raises Offboarded."""
    for tenant_id in {one.tenant.pk for one in writes if one.is_upload}:
        if sql.run(f"SELECT {_HAS_LEFT}", {"tenant_id": tenant_id}).fetchone() == (True,):
            raise errors.Offboarded
    found: dict[int, Written | None] = {}
    of_kind: dict[tuple, list[Write]] = {}
    for one in writes:
        of_kind.setdefault((one.statement(), one.change and astuple(one.change)), []).append(one)
    for (statement, _), alike in of_kind.items():
        if len(alike) >= WORTH_A_MERGE:
            ids = _merge(alike)
            written = [_written(ids.get(one.columns["ocpi_id"].lower())) for one in alike]
        else:
            written = [*map(_written, sql.run_many(statement, [one.parameters() for one in alike], returning=True))]
        found |= zip(map(id, alike), written, strict=True)
    _keep_many([one for one in writes if one.replaces])
    if any(one.change for one in writes):
        transaction.on_commit(doorbell.ring)
    return [found[id(one)] for one in writes]


# --- Many at once ------------------------------------------------------------------------------------------------------

WORTH_A_MERGE = 20  # writes alike; fewer go through the pipeline, one statement each


def _merge(alike: list[Write]) -> dict[str, tuple]:
    """Copy the values of writes alike into a temporary table and merge that; return (row id, …) by id in lower case."""
    first = alike[0]
    table, names = f"written_{first.kind}", tuple(first.columns)
    types = [_COPIED_AS[first.kind][name] for name in names]
    columns = ", ".join(f"{name} {type}" for name, type in zip(names, types, strict=True))
    sql.run(f"CREATE TEMP TABLE {table} (number int4, row_id int8, {columns}) ON COMMIT DROP", [])
    rows = (
        [number, one.row_id, *(sql.array(value) if type(value) is list else value for value in one.columns.values())]
        for number, one in enumerate(alike)
    )
    sql.copy_in(f"COPY {table} FROM STDIN (FORMAT BINARY)", ["int4", "int8", *types], rows)
    merged = (_merged_insert if first.row is None else _merged_update)(first.kind, table, names)
    pushed = f", pushed AS ({_push_rows(first.kind)})" if first.change else ""
    statement = f"WITH written AS ({merged}){pushed} SELECT id, NULL, NULL, ocpi_key FROM written"
    found = sql.run(statement, first.parameters()).fetchall()
    sql.run(f"DROP TABLE {table}", [])
    return {row[3]: row for row in found}


def _keep_many(writes: list[Write]) -> None:
    """Copy the versions that locked rows had, of one kind, into their table: by way of another, as row-level security wants."""
    if not writes:
        return
    columns, types = f"tenant_id, {writes[0].kind}_id, {', '.join(_KEPT)}", ["int8", "int8", *_KEPT_TYPES]
    named = ", ".join(f"{name} {type}" for name, type in zip(columns.split(", "), types, strict=True))
    sql.run(f"CREATE TEMP TABLE kept ({named}) ON COMMIT DROP", [])
    rows = ([one.tenant.pk, one.row_id, *one.kept()] for one in writes)
    sql.copy_in(f"COPY kept ({columns}) FROM STDIN (FORMAT BINARY)", types, rows)
    sql.run(f"INSERT INTO ocpi_version ({columns}) SELECT {columns} FROM kept", [])
    sql.run("DROP TABLE kept", [])


def _cast(kind: str, name: str) -> str:
    return f"t.{name}::{_TYPES[kind][name]}"


def _merged_insert(kind: str, table: str, names: tuple[str, ...]) -> str:
    values = ", ".join(_cast(kind, name) for name in names)
    return (
        f"INSERT INTO ocpi_{kind} (tenant_id, created_at, {', '.join(names)})"
        f" SELECT %(tenant_id)s, {_cast(kind, 'received_at')}, {values} FROM {table} t ORDER BY t.number"
        " ON CONFLICT (tenant_id, ocpi_key) DO NOTHING RETURNING id, tenant_id, ocpi_key"
    )


def _merged_update(kind: str, table: str, names: tuple[str, ...]) -> str:
    assignments = ", ".join(f"{name} = {_cast(kind, name)}" for name in names)
    return (
        f"UPDATE ocpi_{kind} o SET {assignments} FROM {table} t WHERE o.id = t.row_id AND o.tenant_id = %(tenant_id)s"
        " RETURNING o.id, o.tenant_id, o.ocpi_key"
    )


# Of each column its type, and as what it is copied: what a write has as text PostgreSQL reads later.
_TYPES = {
    model._meta.model_name: {field.column: field.db_type(connection) or "" for field in model._meta.concrete_fields}
    for model in (Location, Tariff)
}


_NATIVE = {
    "boolean": "bool",
    "bytea": "bytea",
    "double precision": "float8",
    "integer": "int4",
}
_COPIED_AS = {kind: {name: _NATIVE.get(of, "text") for name, of in types.items()} for kind, types in _TYPES.items()}
_COPIED_AS = {kind: types | {"received_at": "timestamptz"} for kind, types in _COPIED_AS.items()}


def _written(row: tuple | None) -> Written | None:
    return Written(row[0], row[1] or [], row[2] or []) if row else None


def _insert(kind: str, names: tuple[str, ...]) -> str:
    names = ("tenant_id", "created_at", *names)
    values = ", ".join(f"%({name})s" for name in names)
    return (
        f"INSERT INTO ocpi_{kind} ({', '.join(names)}) VALUES ({values})"
        " ON CONFLICT (tenant_id, ocpi_key) DO NOTHING RETURNING id, tenant_id"
    )


def _update(kind: str, names: tuple[str, ...]) -> str:
    assignments = ", ".join(f"{name} = %({name})s" for name in names)
    return f"UPDATE ocpi_{kind} SET {assignments} WHERE id = %(row_id)s RETURNING id, tenant_id"
