"""The AFIR scorecard: how completely each tenant fills in what DOT-NL demands and what the law asks next, day by day.

Every body is read once a day, in batches and tenant by tenant: what a Location's gaps say is not in how many EVSEs.
REMOVED EVSEs do not count. Source: protocol §7.9; EU 2025/655.
"""

import datetime as dt
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
from django.db.models import Exists, OuterRef
from django.utils import timezone

from ocpi import overview
from ocpi.models import Location, Scorecard
from ocpi.rules import profiles
from ocpi.rules.findings import Text
from tenants.models import Tenant

KEPT_DAYS = 400
TREND_DAYS = 30
RECENT_DAYS = 7  # whose last row is older counts in no average
LEAST = 4  # tenants of which an average tells nobody another one's figures
BATCH = 500  # bodies in memory at once

DEMANDS = {
    demand.rule.id: (kind, demand) for kind, all_of_it in profiles.DOT_NL_2026.demands.items() for demand in all_of_it
}


class Field(NamedTuple):
    """A line of the scorecard: its name in `Scorecard.fills`, whether DOT-NL demands it, and what it is."""

    name: str
    is_mandatory: bool
    title: Text


FIELDS = (
    *(Field(name, True, Text(demand.field, demand.field)) for name, (_, demand) in DEMANDS.items()),
    *(Field(advice.id, False, advice.text) for advice in profiles.ADVICE),
)


# --- Writing -----------------------------------------------------------------------------------------------------------


def write(longest_s: float = 5.0) -> int:
    """Write today's row of each tenant with Locations that has none yet; return how many.

    May run twice or next to itself; what there is no time for is left to the next run. Forgets rows of long ago.
    """
    ends_at, today, written = time.monotonic() + longest_s, timezone.localdate(), 0
    has_some = Exists(Location.objects.filter(tenant=OuterRef("pk")))
    for tenant in Tenant.objects.filter(has_some).exclude(scorecards__day=today):
        Scorecard.objects.bulk_create([of(tenant)], ignore_conflicts=True)
        written += 1
        if time.monotonic() >= ends_at:
            break
    Scorecard.objects.filter(day__lt=today - dt.timedelta(days=KEPT_DAYS)).delete()
    return written


def of(tenant: Tenant) -> Scorecard:
    """Return today's row of a tenant as it is now, not stored. Reads all its bodies."""
    types = overview.tariff_types(tenant)
    ad_hoc = frozenset(tariff_id for tariff_id, type in types.items() if type in (overview.AD_HOC, None))
    row = Scorecard(tenant=tenant, day=timezone.localdate(), locations=0, shown=0, evses=0, tariffs=len(types))
    filled, asked = Counter[str](), Counter[str]()
    for body, unknown, is_shown in _bodies(tenant):
        document = orjson.loads(bytes(body))
        row.locations, row.shown = row.locations + 1, row.shown + is_shown
        around = profiles.Surroundings(unknown or {}, ad_hoc)
        for name, (good, all_of_it) in (*_demanded(document), *profiles.readiness(document, around).items()):
            filled[name] += good
            asked[name] += all_of_it
    row.evses = asked["A-power"]
    row.fills = {field.name: [filled[field.name], asked[field.name]] for field in FIELDS}
    return row


def _bodies(tenant: Tenant) -> Iterator[tuple[Any, Any, bool]]:
    """Yield body, unknown and whether it is shown of each Location, never many at once and in no transaction."""
    last = 0
    while True:
        rows = Location.objects.filter(tenant=tenant, pk__gt=last).order_by("pk")
        batch = list(rows.values_list("pk", "body", "unknown", "is_shown")[:BATCH])
        yield from (row[1:] for row in batch)
        if len(batch) < BATCH:
            return
        last = batch[-1][0]


def _demanded(location: dict[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield for each demand of DOT-NL how many of a Location's objects meet it, of how many."""
    evses = [evse for evse in location.get("evses", ()) if evse["status"] != "REMOVED"]
    connectors = [connector for evse in evses for connector in evse["connectors"]]
    objects = {"location": [location], "evse": evses, "connector": connectors}
    for name, (kind, demand) in DEMANDS.items():
        yield name, (sum(demand.is_met(one) for one in objects[kind]), len(objects[kind]))


# --- Reading -----------------------------------------------------------------------------------------------------------


def trend(tenant: Tenant) -> list[Scorecard]:
    """Return a tenant's rows of the last days, oldest first; the latest there is where none is that young. One or two queries."""
    since = timezone.localdate() - dt.timedelta(days=TREND_DAYS - 1)
    rows = list(tenant.scorecards.filter(day__gte=since).order_by("day"))
    return rows or list(tenant.scorecards.order_by("-day")[:1])


def averages(least: int = 1) -> tuple[dict[str, float], int]:
    """Return the average of the tenants' shares (0 to 100) by field, and of how many tenants. One query.

    Each tenant counts as one, with its latest row, and in a field only where it has objects to fill it in; fields of fewer
    than `least` tenants are left out.
    """
    since = timezone.localdate() - dt.timedelta(days=RECENT_DAYS - 1)
    rows = Scorecard.objects.filter(day__gte=since).order_by("tenant_id", "-day").distinct("tenant_id")
    shares: dict[str, list[float]] = {}
    count = 0
    for row in rows:
        count += 1
        for name, (filled, asked) in row.fills.items():
            if asked:
                shares.setdefault(name, []).append(100 * filled / asked)
    return {name: sum(found) / len(found) for name, found in shares.items() if len(found) >= least}, count


def share(row: Scorecard, name: str) -> float | None:
    """Return how much of a field is filled in (0 to 100); None where there is nothing to fill in."""
    filled, asked = row.fills.get(name, (0, 0))
    return 100 * filled / asked if asked else None
