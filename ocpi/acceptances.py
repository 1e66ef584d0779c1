"""What NDW has accepted of a tenant that leaves: counted while it goes on, and as a proof when it is over.

Production decides; where there is no such Connection staging does, and where there is none at all NDW learns it by its next
complete pull. A Location that is not published any more counts with the acceptance of just that. Nothing here reads a body.
Source: design §2, §7 "Connections"; protocol §9, L-01, L-13; RFC 4180.
"""

import csv
import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Q

from ocpi.models import Crawl, Offboarding
from ocpi.proof import safe
from tenants import sql
from tenants.models import Connection, Environment, OAuthClient, Tenant, Token

COLUMNS = ["location_id", "evses", "ndw", "accepted_at", "request_id", "http_status", "ocpi_status", "body_sha256"]
IN_SERVICE = "(SELECT count(*) FROM unnest(o.evse_keys) key WHERE starts_with(key, o.tenant_id::text || '/'))"
_IS_ACCEPTED = "coalesce(p.state = 'delivered' AND p.accepted_at IS NOT NULL AND p.doubt_until IS NULL, false)"
_WITH_PUSH = """
    ocpi_location o LEFT JOIN ocpi_push p
    ON p.tenant_id = o.tenant_id AND p.connection_id = %(connection)s AND p.location_id = o.id
"""
_FLEET = f"""
    SELECT count(*), coalesce(sum(o.evse_count), 0)::bigint, coalesce(sum({IN_SERVICE}), 0)::bigint,
        count(*) FILTER (WHERE o.is_shown)
    FROM ocpi_location o WHERE o.tenant_id = %(tenant)s
"""
_COUNTS = f"""
    SELECT count(*) FILTER (WHERE is_accepted), count(*) FILTER (WHERE NOT is_accepted AND state = 'rejected'),
        count(*) FILTER (WHERE NOT is_accepted AND state IS DISTINCT FROM 'rejected'),
        (SELECT count(*) FROM ocpi_push t WHERE t.connection_id = %(connection)s AND t.tariff_id IS NOT NULL
            AND t.state = 'dirty')
    FROM (SELECT p.state, {_IS_ACCEPTED} AND {IN_SERVICE} = 0 AS is_accepted FROM {_WITH_PUSH}
        WHERE o.tenant_id = %(tenant)s AND (o.is_shown OR p.accepted_at IS NOT NULL OR p.state <> 'delivered')) one
"""
_ROWS = f"""
    SELECT o.ocpi_id, o.evse_count, o.is_shown, p.accepted_at, a.request_id, a.http_status::int, a.ocpi_status,
        encode(p.accepted_hash, 'hex')
    FROM {_WITH_PUSH}
    LEFT JOIN LATERAL (
        SELECT request_id, http_status, ocpi_status FROM ocpi_pushattempt
        WHERE push_id = p.id AND outcome = 'delivered' ORDER BY started_at DESC, id DESC LIMIT 1) a ON true
    WHERE o.tenant_id = %(tenant)s ORDER BY o.id
"""


class Fleet(NamedTuple):
    """What a tenant has, and how many of its EVSEs are not REMOVED."""

    locations: int
    evses: int
    left: int
    shown: int


class Counts(NamedTuple):
    """Locations NDW has or shall have over one Connection, accepted with all EVSEs REMOVED, rejected or waiting for that.

    And Tariffs that are still on their way.
    """

    accepted: int
    rejected: int
    waiting: int
    tariffs: int

    @property
    def is_complete(self) -> bool:
        """Return True when nothing is missing any more."""
        return not (self.rejected or self.waiting or self.tariffs)


@dataclass
class Progress:
    """How far NDW is; `target` is the Connection that decides, None where only pulls can tell NDW."""

    fleet: Fleet
    connections: list[tuple[Connection, Counts]]
    target: Connection | None
    was_pulled: bool
    pulled_at: dt.datetime | None  # the end of the first complete pull of both lists since the last EVSE was set

    @property
    def counts(self) -> Counts:
        """Return the counts that decide."""
        return next((counts for one, counts in self.connections if one == self.target), Counts(0, 0, 0, 0))

    @property
    def is_complete(self) -> bool:
        """Return True when NDW has accepted all it ever had, and no EVSE is in service."""
        if self.fleet.left:
            return False
        if self.target:
            return self.counts.is_complete
        return bool(self.pulled_at) or not self.was_pulled


def fleet(tenant: Tenant) -> Fleet:
    """Count a tenant's Locations and EVSEs."""
    return Fleet._make(sql.run(_FLEET, {"tenant": tenant.pk}).fetchone() or (0, 0, 0, 0))


def progress(tenant: Tenant, set_at: dt.datetime | None) -> Progress:
    """Return how far NDW is with a tenant whose last EVSE was set REMOVED then (None: not yet)."""
    connections = list(tenant.connections.filter(is_retired=False).order_by("environment"))
    for each in connections:
        each.tenant = tenant
    counted = [(each, counts(each)) for each in connections]
    target = min(connections, key=lambda one: one.environment != Environment.PRODUCTION, default=None)
    is_by_pull = target is None
    return Progress(
        fleet(tenant),
        counted,
        target,
        was_pulled=is_by_pull and _was_pulled(tenant),
        pulled_at=_pulled_at(tenant, set_at) if is_by_pull and set_at else None,
    )


def counts(target: Connection) -> Counts:
    """Count what NDW has accepted over one Connection."""
    asked = {"connection": target.pk, "tenant": target.tenant_id}
    return Counts._make(sql.run(_COUNTS, asked).fetchone() or (0, 0, 0, 0))


def _was_pulled(tenant: Tenant) -> bool:
    """Return True unless nobody can ever have pulled this tenant: a credential for all counts when it was used at all."""
    covers = Q(tenant=tenant) | Q(tenant=None)
    used = (Token.objects.filter(purpose=Token.Purpose.PULL), OAuthClient.objects.all())
    return any(some.filter(covers, last_used_at__isnull=False).exists() for some in used) or tenant.crawls.exists()


def _pulled_at(tenant: Tenant, since: dt.datetime) -> dt.datetime | None:
    ends = [
        Crawl.objects.filter(tenant=tenant, kind=kind, started_at__gte=since, finished_at__isnull=False)
        .order_by("pk")
        .values_list("finished_at", flat=True)
        .first()
        for kind in Crawl.Kind
    ]
    found = [end for end in ends if end]
    return max(found) if len(found) == len(ends) else None


# --- The proof ---------------------------------------------------------------------------------------------------------


def write(one: Offboarding, found: Progress, over_at: dt.datetime) -> str:
    """Return the proof as CSV: who confirmed it and when, what NDW accepted in all, and of each Location."""
    out = io.StringIO()
    writer = csv.writer(out)  # RFC 4180: commas, CRLF, quotes where needed
    padding = [""] * (len(COLUMNS) - 2)
    writer.writerows([name, safe(value), *padding] for name, value in summary(one, found, over_at))
    writer.writerow([""] * len(COLUMNS))
    writer.writerow(COLUMNS)
    writer.writerows([safe(cell) for cell in row] for row in _rows(one.tenant, found))
    return out.getvalue()


def summary(one: Offboarding, found: Progress, over_at: dt.datetime) -> list[tuple[str, Any]]:
    """Return the lines of the proof that are about the whole."""
    target = found.target
    return [
        ("tenant", one.tenant),
        ("name", one.tenant.name),
        ("confirmed first", f"{_moment(one.confirmed_at)} {one.confirmed_by}"),
        ("confirmed second", f"{_moment(one.begun_at)} {one.begun_by}"),
        ("all EVSEs REMOVED", _moment(one.set_at)),
        ("offboarded", _moment(over_at)),
        ("how NDW learnt it", f"push, {target.environment}" if target else _by_pull(found)),
        ("push URL", target.push_url if target else ""),
        ("Locations", found.fleet.locations),
        ("EVSEs", found.fleet.evses),
        ("Locations accepted", found.counts.accepted if target else found.fleet.shown if found.pulled_at else 0),
    ]


def _by_pull(found: Progress) -> str:
    return f"complete pull, ended {_moment(found.pulled_at)}" if found.pulled_at else "never connected"


def _rows(tenant: Tenant, found: Progress) -> Iterator[list[Any]]:
    """Yield a row for each Location, also for those that NDW never had."""
    asked = {"connection": found.target.pk if found.target else None, "tenant": tenant.pk}
    for ocpi_id, evses, is_shown, accepted_at, *attempt in sql.run(_ROWS, asked):
        at = accepted_at or (found.pulled_at if is_shown else None)
        words = "never had it" if at is None else "REMOVED" if is_shown else "not published"
        yield [ocpi_id, evses, words, _moment(at), *attempt]


def _moment(at: dt.datetime | None) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else ""


def read(text: str) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Return the summary of a proof and its rows, a Location each, as they were written."""
    lines = list(csv.reader(io.StringIO(text, newline="")))
    end = lines.index([""] * len(COLUMNS))
    return [(line[0], line[1]) for line in lines[:end]], lines[end + 2 :]
