"""The parts of the admin's first page. Each asks for what it shows only when the reader may see it; `Seen` asks once for all.

A figure is a link to the rows behind it, wherever there is a list of them.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django.db.models import Exists, OuterRef, Q, Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ocpi import causes, clock, crawls, silence, tally
from ocpi.admin import import_tables, tables, waiting
from ocpi.causes import Cause
from ocpi.models import Alarm, Crawl, DeliveryDay, Import
from ocpi.rules import GAP
from tenants import charts, html, scope
from tenants.admin import ndw
from tenants.models import Connection, Environment, Tenant

Panel = dict[str, Any]

CONNECTIONS, CAUSES, LINES = 15, 6, 8
FEW = 5  # Connections that a phone shows
HOURS, DAYS = 24, 30
BY_CONNECTION = ("blocked", "dirty", "sending")


class Seen:
    """What one reader may see, each thing asked for once and only when it is wanted."""

    def __init__(self, request: HttpRequest) -> None:
        self.user: Any = request.user
        self.own = scope.confined_to(self.user)

    def may(self, *permissions: str) -> bool:
        """Return whether the reader has these permissions."""
        return self.user.has_perms(permissions)

    @cached_property
    def tenants(self) -> list[Tenant]:
        """The reader's tenants."""
        return list(scope.tenants_of(self.user))

    @cached_property
    def every_connection(self) -> list[Any]:
        """Their Connections, retired ones too; `has_alarm` says that an alarm is open."""
        alarms = Alarm.objects.filter(connection=OuterRef("pk"), opened_at__isnull=False)
        found = Connection.objects.select_related("tenant", "service_account").annotate(has_alarm=Exists(alarms))
        return list(scope.confine(self.user, found))

    @cached_property
    def connections(self) -> list[Any]:
        """Those in use."""
        return [one for one in self.every_connection if not one.is_retired]

    @cached_property
    def today(self) -> dict[int, DeliveryDay]:
        """The minute today, by Connection."""
        return clock.today(self.connections)

    @cached_property
    def production(self) -> tuple[int, int]:
        """How many changes of today went to production, and how many of them within the minute."""
        rows = [self.today[one.pk] for one in self.connections if one.environment == Environment.PRODUCTION]
        return sum(row.changes for row in rows), sum(row.within_60s for row in rows)

    @cached_property
    def waits(self) -> dict[int, clock.Waiting]:
        """The change that waits longest, by Connection."""
        return {one.connection.pk: one for one in clock.waiting(self.connections)}

    @cached_property
    def causes(self) -> list[Cause]:
        """Why NDW lacks what was pushed or is to be."""
        return causes.of_pushes(self.every_connection)

    def count(self, connection: Connection, *states: str) -> int:
        """Return how many objects are in these states over a Connection."""
        return sum(one.count for one in self.causes if one.connection == connection and one.state in states)


def panel(title: str, content: object, *, url: str = "", note: object = "", kind: str = "") -> Panel:
    """Return a part of the page; `url` is where its title leads."""
    return {"title": title, "content": content, "url": url, "note": note, "kind": kind}


# --- Connections -------------------------------------------------------------------------------------------------------


def connections(seen: Seen) -> Panel:
    """Show how each Connection does, production first, then the worst."""
    order = sorted(seen.connections, key=lambda one: _urgency(seen, one))
    headers = [_("Connection"), _("State"), _("Within 60 s today"), "p99", _("Waiting"), _("Oldest"), _("Rejected")]
    found = html.table(
        headers, [_connection(seen, one) for one in order[:CONNECTIONS]], _("No connection yet: nothing is pushed.")
    )
    url = html.url("tenants_connection_changelist", is_retired__exact=0)
    note: object = ""
    if len(order) > FEW:
        words = _("All %(count)s connections") % {"count": html.number(len(order))}
        note = format_html('<a class="text-link" href="{}">{}</a>', url, words)
    return panel(_("Connections today"), found, url=html.url("ocpi_minute"), note=note, kind="wide")


def _urgency(seen: Seen, one: Connection) -> tuple:
    row, wait = seen.today[one.pk], seen.waits.get(one.pk)
    is_staging = one.environment != Environment.PRODUCTION
    share = 1.0 if row.share is None else row.share
    return is_staging, not one.is_paused, not one.failures, share, -(wait.seconds if wait else 0), str(one)


def _connection(seen: Seen, one: Connection) -> tuple:
    row, wait = seen.today[one.pk], seen.waits.get(one.pk)
    minute = html.url("ocpi_minute_connection", one.pk)
    return (
        html.link(one, "tenants_connection_change", one.pk),
        html.badge(one.state, ndw.COLOURS),
        _share(row.within_60s, row.changes, minute),
        _link(minute, html.seconds(row.p99_ms)) if row.p99_ms is not None else html.NOTHING,
        _pushes(seen.count(one, *BY_CONNECTION), one, "waiting"),
        html.link(import_tables.span(wait.seconds), "ocpi_push_change", wait.push_id) if wait else html.NOTHING,
        _pushes(seen.count(one, "rejected"), one, "rejected"),
    )


def _share(within: int, changes: int, url: str) -> SafeString | str:
    if not changes:
        return html.NOTHING
    return format_html("{} {}", _link(url, html.percent(within, changes)), html.bar(within, changes))


def _pushes(count: int, one: Connection, state: str) -> SafeString | str:
    query = {"connection__id__exact": one.pk, "state": state}
    return html.link(html.number(count), "ocpi_push_changelist", **query) if count else html.NOTHING


def _link(url: str, words: object) -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', url, words)


# --- Causes ------------------------------------------------------------------------------------------------------------


def rejected(seen: Seen) -> Panel:
    """Show what NDW refused by cause, over whatever Connection, most first."""
    counts = Counter[str]()
    for one in seen.causes:
        if one.state == "rejected":
            counts[one.key] += one.count
    rows = [
        (words, html.link(html.number(count), "ocpi_push_changelist", state="rejected", cause=words))
        for words, count in counts.most_common(CAUSES)
    ]
    found = html.table([_("NDW's answer"), _("Objects")], rows, _("NDW has refused nothing."))
    url = html.url("ocpi_push_changelist", state="rejected")
    return panel(_("Rejected, by cause"), found, url=url, note=_more(counts, url), kind="third")


def waits(seen: Seen) -> Panel:
    """Show what waits by cause, most first; what waits over several Connections for one cause is told apart elsewhere."""
    alike: dict[tuple[str, str], list[Cause]] = {}
    for one in seen.causes:
        if one.state in BY_CONNECTION and one.connection and not one.connection.is_retired:
            alike.setdefault((one.state, one.words), []).append(one)
    found = sorted(alike.values(), key=lambda some: (-sum(one.count for one in some), some[0].words))
    rows = [_waiting(some) for some in found[:CAUSES]]
    shown = html.table([_("State"), _("Because"), _("Objects")], rows, _("Nothing waits."))
    url = html.url("ocpi_waiting")
    return panel(_("Waiting, by cause"), shown, url=url, note=_more(found, url), kind="third")


def _waiting(some: list[Cause]) -> tuple:
    first, count = some[0], sum(one.count for one in some)
    over = _("%(count)s connections") % {"count": html.number(len(some))} if len(some) > 1 else first.connection
    url = html.url("ocpi_waiting") if len(some) > 1 else waiting.objects_url(first)
    words = format_html("{} <small>{}</small>", first.words, over)
    return html.badge(first.state, tables.PUSH_COLOURS), words, _link(url, html.number(count))


def withheld(seen: Seen) -> Panel:
    """Show which gaps keep Locations from NDW, most first."""
    counts = causes.by_gap(seen.own)
    query = {"severity": GAP, "visible": "withheld"}
    rows = [
        (causes.lacks(rule), html.link(html.number(count), "ocpi_location_changelist", rule=rule, **query))
        for rule, count in counts.most_common(CAUSES)
    ]
    found = html.table([_("Gap"), _("Locations")], rows, _("Nothing is withheld: every published Location is shown."))
    url = html.url("ocpi_problems")
    return panel(_("Withheld, by gap"), found, url=url, note=_more(counts, url), kind="third")


def _more(found: Iterable[object], url: str) -> SafeString | str:
    more = len(list(found)) - CAUSES
    words = ngettext("and %(count)s more cause", "and %(count)s more causes", max(more, 0)) % {
        "count": html.number(more)
    }
    return _link(url, words) if more > 0 else ""


# --- Charts ------------------------------------------------------------------------------------------------------------


def uploads(seen: Seen) -> list[Panel]:
    """Show what came in, by hour and by day."""
    today, now = timezone.localdate(), timezone.now()
    first_day = today - dt.timedelta(days=DAYS - 1)
    found = tally.by_hour(seen.own, clock.midnight(first_day))
    first = now.replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=HOURS - 1)
    hours = [first + dt.timedelta(hours=number) for number in range(HOURS)]
    by_day: dict[dt.date, tally.Uploads] = {}
    for hour, came in found.items():
        day = timezone.localdate(hour)
        by_day[day] = by_day.get(day, tally.Uploads()) + came
    days = [first_day + dt.timedelta(days=number) for number in range(DAYS)]
    return [
        _bars(
            _("Uploads per hour"),
            [(date_format(timezone.localtime(hour), "H:i"), hour, hour + dt.timedelta(hours=1)) for hour in hours],
            [found.get(hour, tally.Uploads()) for hour in hours],
            _("Hour"),
        ),
        _bars(
            _("Uploads per day"),
            [(_day(day), clock.midnight(day), clock.midnight(day + dt.timedelta(days=1))) for day in days],
            [by_day.get(day, tally.Uploads()) for day in days],
            _("Day"),
        ),
    ]


def _bars(title: str, spans: list[tuple[str, dt.datetime, dt.datetime]], came: list[tally.Uploads], of: str) -> Panel:
    labels = [label for label, *_times in spans]
    chart = charts.bars([one.accepted + one.refused for one in came], labels, title)
    rows = [
        (label, _uploaded(start, end, one.accepted), html.number(one.refused))
        for (label, start, end), one in zip(spans, came, strict=True)
    ]
    total = sum(came, tally.Uploads())
    words = _("%(accepted)s accepted, %(refused)s refused") % {
        "accepted": html.number(total.accepted), "refused": html.number(total.refused),
    }  # fmt: skip
    url = _hours(spans[0][1], spans[-1][2])
    content = charts.told(chart, [of, _("Accepted"), _("Refused")], rows[::-1], [labels[0], labels[-1]])
    return panel(title, content, url=url, note=_link(url, words), kind="graph")


def _uploaded(start: dt.datetime, end: dt.datetime, count: int) -> SafeString | str:
    return _link(_hours(start, end), html.number(count)) if count else html.number(count)


def _hours(start: dt.datetime, end: dt.datetime) -> str:
    times = [f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}" for at in (start, end)]
    return html.url("ocpi_uploadhour_changelist", hour__gte=times[0], hour__lt=times[1])


def _day(day: dt.date) -> str:
    return date_format(day, _("j M"))


def minute(seen: Seen) -> Panel:
    """Show which share of production's changes NDW had within the minute, by day."""
    today = timezone.localdate()
    first = today - dt.timedelta(days=DAYS)
    rows = DeliveryDay.objects.filter(day__gte=first, day__lt=today, connection__environment=Environment.PRODUCTION)
    summed = scope.confine(seen.user, rows).order_by().values_list("day").annotate(Sum("within_60s"), Sum("changes"))
    figures = {day: (within, changes) for day, within, changes in summed}
    changes, within = seen.production
    figures[today] = (within, changes)
    days = [first + dt.timedelta(days=number) for number in range(DAYS + 1)]
    shares = [_percent(*figures.get(day, (0, 0))) for day in days]
    labels = [_day(day) for day in days]
    title = _("Within 60 s per day, in %")
    lowest = min((share for share in shares if share is not None), default=None)
    told = [
        (_day(day), html.percent(*figures[day]), html.number(figures[day][1]))
        for day in reversed(days)
        if day in figures
    ]
    content = charts.told(
        charts.line(shares, labels, title, top=100),
        [_("Day"), _("Within 60 s"), _("Changes")],
        told,
        [labels[0], labels[-1]],
    )
    note = (
        _("production; the lowest day: %(share)s %%") % {"share": html.number(lowest, 1)} if lowest is not None else ""
    )
    url = html.url("ocpi_minute")
    return panel(
        title, content, url=url, note=_link(url, note) if note else _("No change in production yet."), kind="graph"
    )


def _percent(within: int, changes: int) -> float | None:
    return 1000 * within // changes / 10 if changes else None


# --- CPOs and NDW ------------------------------------------------------------------------------------------------------


def silent(seen: Seen) -> Panel:
    """Show which CPOs went silent, the longest first."""
    found = silence.silent(seen.tenants)
    rows = [
        (html.link(one.tenant, "tenants_tenant_change", one.tenant.pk), _since(one.since), _contact(one.tenant))
        for one in found[:LINES]
    ]
    empty = _("None: every CPO uploaded within its heartbeat.") if seen.tenants else _("No CPO yet.")
    content = html.table([_("CPO"), _("Last sign of life"), _("Contact")], rows, empty)
    return panel(_("CPOs that went silent"), content, url=html.url("tenants_tenant_changelist"), note=_cut(len(found)))


def _since(at: dt.datetime | None) -> SafeString | str:
    return html.time(at) if at else _("never")


def _contact(tenant: Tenant) -> SafeString | str:
    mail = (
        format_html('<a class="text-link" href="mailto:{0}">{0}</a>', tenant.contact_email)
        if tenant.contact_email
        else ""
    )
    return html.lines(filter(None, [tenant.contact_name, mail]))


def _cut(count: int) -> str:
    return (
        _("the first %(shown)s of %(count)s") % {"shown": LINES, "count": html.number(count)} if count > LINES else ""
    )


def pulls(seen: Seen) -> Panel:
    """Show when NDW last pulled each tenant's whole lists: never first, then the oldest."""
    active = [tenant for tenant in seen.tenants if tenant.is_active]
    latest = crawls.latest(active)
    order = sorted(active, key=lambda tenant: [_finished(latest, tenant, kind) for kind in Crawl.Kind])
    rows = [
        (html.link(tenant, "tenants_tenant_change", tenant.pk), *(_crawl(latest, tenant, kind) for kind in Crawl.Kind))
        for tenant in order[:LINES]
    ]
    content = html.table([_("CPO"), _("Locations"), _("Tariffs")], rows, _("No CPO yet."))
    return panel(_("NDW's last complete pull"), content, note=_cut(len(order)))


def _finished(latest: dict[tuple[int, str], Crawl], tenant: Tenant, kind: str) -> float:
    crawl = latest.get((tenant.pk, kind))
    return crawl.finished_at.timestamp() if crawl and crawl.finished_at else 0.0


def _crawl(latest: dict[tuple[int, str], Crawl], tenant: Tenant, kind: str) -> SafeString | str:
    crawl = latest.get((tenant.pk, kind))
    if not crawl:
        return _("never")
    count = html.number(crawl.objects_count)
    query = {"tenant__id__exact": tenant.pk, "visible": "shown"} if kind == Crawl.Kind.LOCATION else {
        "tenant__id__exact": tenant.pk, "state": "in force",
    }  # fmt: skip
    return format_html(
        "{} <small>{}</small>", html.time(crawl.finished_at), html.link(count, f"ocpi_{kind}_changelist", **query)
    )


# --- Imports -----------------------------------------------------------------------------------------------------------


def imports(seen: Seen) -> Panel | None:
    """Show the imports that run, or wait for a decision; None when there are none."""
    is_open = Q(state__in=Import.OPEN) | Q(state=Import.State.HELD)
    rows = scope.confine(seen.user, Import.objects.filter(is_open)).select_related("tenant")
    found = list(rows.defer("digest", "preview", "rules").order_by("-state", "created_at")[: LINES + 1])
    lines = [
        (
            html.link(f"{one.tenant} {one.get_kind_display()}", "ocpi_import_change", one.pk),
            html.badge(one.state, import_tables.STATE_COLOURS),
            one.note if one.state == Import.State.HELD else import_tables.meter(one),
            html.time(one.created_at),
        )
        for one in sorted(found, key=lambda one: one.state != Import.State.HELD)[:LINES]
    ]
    if not lines:
        return None
    content = html.table([_("Import"), _("State"), _("Progress"), _("Received")], lines, "")
    url = html.url("ocpi_import_changelist")
    note = _link(url, _("All imports")) if len(found) > LINES else ""
    return panel(_("Imports under way"), content, url=url, note=note, kind="wide")
