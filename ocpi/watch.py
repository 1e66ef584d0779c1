"""Watch statuses that are hard to believe: once an hour every EVSE that a tenant publishes is looked at, a few seconds at a time.

What is odd:
- CHARGING for over three days; UNKNOWN for longer than the tenant's heartbeat.
- Silent: an EVSE that should move now and then has not for 30 days (or the heartbeat, if that is longer) while most of the
  tenant's Locations have. One that is just seldom used is no news, so it must be long; where nobody moves it is the tenant
  that is silent, which is one line: no upload, or (of a fleet) no changed status, for longer than the heartbeat.
- Flapping: more than 48 changes within 24 hours, which no parade of drivers makes.
- Uniform: a whole fleet on one status.

REMOVED and PLANNED EVSEs are not looked at; INOPERATIVE and OUTOFORDER ones may stay so as long as it takes.
The times are those of the CPO (`last_updated`). A look may be interrupted and go on, or run twice: a row stays while it is true.
"""

import datetime as dt
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import orjson
from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from ocpi.models import Location, Lookout, Source, UploadHour, Version, Watched
from tenants import sql
from tenants.models import Tenant

Kind = Watched.Kind

EVERY = dt.timedelta(hours=1)
BATCH = 1000  # Locations: a tenth of a second
CHARGING = dt.timedelta(hours=72)
STILL = dt.timedelta(days=30)  # a public EVSE is used within a month, or something is wrong with it
FLAPPING = 48  # changes in a day: one every half hour, day and night
A_DAY = dt.timedelta(hours=24)
FLEET = 20  # EVSEs; of fewer it is chance that all are alike
CALM_FLEET = 100  # EVSEs; of fewer all may well be AVAILABLE at night
NEARLY_ALL = 0.95
OUT_OF_SERVICE = {"REMOVED", "PLANNED"}
SHOULD_MOVE = {"AVAILABLE", "BLOCKED", "RESERVED"}


class Odd(NamedTuple):
    """What a look found: an EVSE, or (without a Location) a tenant's whole fleet."""

    tenant_id: int
    location_id: int | None
    evse_uid: str
    kind: str
    status: str
    since_at: dt.datetime | None
    changes: int = 0


class Terms(NamedTuple):
    """From when on what is odd, as OCPI writes times; "" is never."""

    charging: str
    unknown: str
    silent: str


def work(longest_s: float = 10) -> bool:
    """Begin the looks that are due and go on with those begun, for about so long; return whether there is more to do."""
    until = time.monotonic() + longest_s
    _begin()
    for lookout in Lookout.objects.exclude(after=None).order_by("begun_at", "pk").select_related("tenant"):
        while time.monotonic() < until and _look_on(lookout.tenant):
            pass
    return Lookout.objects.exclude(after=None).exists()


def _begin() -> None:
    """Begin a look for each tenant whose last began an hour ago; flapping is found for all of them at once."""
    active = Tenant.objects.filter(is_active=True)
    Lookout.objects.bulk_create([Lookout(tenant=one) for one in active.filter(lookout=None)], ignore_conflicts=True)
    now = timezone.now()
    is_due = Q(begun_at=None) | Q(begun_at__lte=now - EVERY)
    with transaction.atomic():
        idle = Lookout.objects.filter(is_due, after=None, tenant__in=active)
        due = list(idle.select_for_update(skip_locked=True, of=["self"]).values_list("tenant_id", flat=True))
        if due:
            Watched.objects.filter(tenant__is_active=False).delete()
            Lookout.objects.filter(tenant__in=due).update(begun_at=now, after=0, counts={})
            _settle(Watched.objects.filter(tenant__in=due, kind=Kind.FLAPPING), _flapping(due, now))


def _look_on(tenant: Tenant) -> bool:
    """Look at the next Locations of a tenant; return whether there are more, and nobody else is at it."""
    with tenant.transaction():
        found = Lookout.objects.filter(tenant=tenant).exclude(after=None)
        lookout = found.select_for_update(skip_locked=True).first()
        if lookout is None or lookout.after is None:
            return False
        if not lookout.after:
            lookout.is_moving = _is_moving(tenant)
        seen, last, odd = _read(lookout, _terms(lookout, tenant))
        rows = tenant.watched.filter(kind__in=[Kind.CHARGING, Kind.UNKNOWN, Kind.SILENT], location__gt=lookout.after)
        _settle(rows.filter(location__lte=last) if seen == BATCH else rows, odd)
        lookout.after = last if seen == BATCH else None
        if lookout.after is None:
            lookout.looked_at = timezone.now()
            _settle(tenant.watched.filter(location=None), _of_fleet(lookout, tenant))
        lookout.save(update_fields=["after", "is_moving", "counts", "looked_at"])
    return lookout.after is not None


def _settle(rows: QuerySet[Watched], found: Iterable[Odd]) -> None:
    """Make some rows what was found: what lasts keeps the time when it was first seen."""
    there = {(row.location_id, row.evse_uid, row.kind, row.tenant_id): row for row in rows.order_by()}
    new, changed = [], []
    for odd in found:
        row = there.pop((odd.location_id, odd.evse_uid, odd.kind, odd.tenant_id), None)
        if row is None:
            new.append(Watched(**odd._asdict()))
        elif (row.status, row.since_at, row.changes) != (odd.status, odd.since_at, odd.changes):
            row.status, row.since_at, row.changes = odd.status, odd.since_at, odd.changes
            changed.append(row)
    Watched.objects.filter(pk__in=[row.pk for row in there.values()]).delete()
    Watched.objects.bulk_create(new, ignore_conflicts=True)
    Watched.objects.bulk_update(changed, ["status", "since_at", "changes"], batch_size=500)


# --- EVSE by EVSE ------------------------------------------------------------------------------------------------------


def _terms(lookout: Lookout, tenant: Tenant) -> Terms:
    now = timezone.now()
    heartbeat = dt.timedelta(hours=tenant.heartbeat_h)
    silent = _text(now - max(heartbeat, STILL)) if lookout.is_moving else ""
    return Terms(_text(now - CHARGING), _text(now - heartbeat), silent)


def _text(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def _is_moving(tenant: Tenant) -> bool:
    """Return True when at least half of the Locations had a change within the time after which an EVSE is silent."""
    since = timezone.now() - max(dt.timedelta(hours=tenant.heartbeat_h), STILL)
    moved = tenant.locations.filter(publish=True).aggregate(
        all=Count("pk"), moved=Count("pk", filter=Q(last_updated__gte=since))
    )
    return 2 * moved["moved"] >= moved["all"] > 0


def _read(lookout: Lookout, terms: Terms) -> tuple[int, int, list[Odd]]:
    """Read the next Locations that are published; return how many, the last, and what is odd. Counts the statuses."""
    counts, odd, seen, last = Counter(lookout.counts), [], 0, lookout.after or 0
    bodies = sql.stream(
        "SELECT id, body FROM ocpi_location WHERE tenant_id = %s AND id > %s AND publish ORDER BY tenant_id, id LIMIT %s",
        [lookout.tenant_id, last, BATCH],
    )
    for pk, body in bodies:
        seen, last = seen + 1, pk
        for evse in orjson.loads(body).get("evses") or []:
            status, updated = evse["status"], evse["last_updated"]
            if status in OUT_OF_SERVICE:
                continue
            counts[status] += 1
            if kind := _kind(status, updated, terms):
                since = dt.datetime.fromisoformat(updated)
                odd.append(Odd(lookout.tenant_id, pk, evse["uid"], kind, status, since))
    lookout.counts = dict(counts)
    return seen, last, odd


def _kind(status: str, updated: str, terms: Terms) -> str:
    """Return what is odd about an EVSE; "" for nothing. Such times sort as they are: all are UTC."""
    if status == "CHARGING":
        return Kind.CHARGING if updated < terms.charging else ""
    if status == "UNKNOWN":
        return Kind.UNKNOWN if updated < terms.unknown else ""
    return Kind.SILENT if status in SHOULD_MOVE and updated < terms.silent else ""


def _flapping(tenants: list[int], now: dt.datetime) -> list[Odd]:
    """Return the EVSEs whose status changed too often within a day. One look at the day's versions, and at those EVSEs."""
    recent = Version.objects.filter(until_at__gt=now - A_DAY, tenant__in=tenants, location__isnull=False)
    by_evse = recent.exclude(evse_uid="").order_by().values_list("location", "evse_uid")
    often = by_evse.annotate(changes=Count("pk")).filter(changes__gt=FLAPPING)
    changes = {(pk, uid.lower()): count for pk, uid, count in often}
    found = []
    locations = Location.objects.filter(pk__in={pk for pk, _ in changes}, publish=True).only("tenant_id", "body")
    for location in locations.iterator(chunk_size=200):
        for evse in location.document.get("evses") or []:
            count = changes.get((location.pk, evse["uid"].lower()), 0)
            if count and evse["status"] not in OUT_OF_SERVICE:
                since = dt.datetime.fromisoformat(evse["last_updated"])
                place = location.tenant_id, location.pk, evse["uid"]
                found.append(Odd(*place, Kind.FLAPPING, evse["status"], since, count))
    return found


# --- A whole fleet -----------------------------------------------------------------------------------------------------


def _of_fleet(lookout: Lookout, tenant: Tenant) -> list[Odd]:
    """Return what is odd about all of a tenant's EVSEs together."""
    total = sum(lookout.counts.values())
    if not total:
        return []
    found = []
    if since := _silent_since(tenant, total):
        found.append(Odd(tenant.pk, None, "", Kind.SILENT, "", since))
    status, most = Counter(lookout.counts).most_common(1)[0]
    is_stuck = total >= FLEET and most > NEARLY_ALL * total
    if status == "AVAILABLE":
        is_stuck = total >= CALM_FLEET and most == total
    if is_stuck:
        found.append(Odd(tenant.pk, None, "", Kind.UNIFORM, status, None))
    return found


def _silent_since(tenant: Tenant, total: int) -> dt.datetime | None:
    """Return since when nothing came from a tenant, or nothing changed in its fleet; None when that is not long ago."""
    latest = tenant.locations.aggregate(heard=Max("received_at"), changed=Max("last_updated", filter=Q(publish=True)))
    hour = UploadHour.objects.filter(tenant=tenant).aggregate(at=Max("hour"))["at"]
    fetched = Source.objects.filter(tenant=tenant, failures=0).aggregate(at=Max("last_finished_at"))["at"]
    ended = hour + dt.timedelta(hours=1) if hour else None
    heard = max(at for at in (latest["heard"], ended, fetched) if at)
    before = timezone.now() - dt.timedelta(hours=tenant.heartbeat_h)
    if heard < before:
        return heard
    changed = latest["changed"]  # None when all of it was taken off while it was looked at
    return changed if changed and total >= FLEET and changed < before else None
