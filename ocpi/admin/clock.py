"""The admin's Minute pages: how soon NDW had the changes, over every Connection and over one, and the proof to download."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ocpi import clock, proof
from ocpi.admin import tables
from ocpi.clock import Waiting
from ocpi.models import DeliveryDay
from tenants import html, scope
from tenants.admin import ndw
from tenants.models import Connection, Environment

SHOWN_DAYS = 30
FIGURES = ["Within 60 s", "Changes", "p50", "p95", "p99", "Slowest"]
_Row = tuple[SafeString | str, ...]

may_look = permission_required("ocpi.view_push", raise_exception=True)


@may_look
def every_connection(request: HttpRequest) -> HttpResponse:
    """Show today and the last 30 days over each Connection, production first. Four queries."""
    connections = list(_connections(request).filter(is_retired=False).order_by("environment", "tenant"))
    today = clock.today(connections)
    waits = {one.connection.pk: one for one in clock.waiting(connections)}
    month = _last_days()
    rows = [
        (
            html.link(one, "ocpi_minute_connection", one.pk),
            *_figures(today[one.pk]),
            _share(*month.get(one.pk, (0, 0))),
            _wait(waits.get(one.pk)),
        )
        for one in connections
    ]
    headers = ["Connection", *FIGURES, f"{SHOWN_DAYS} days before", "Waiting longest now"]
    found = html.table(headers, rows, "No Connection yet.")
    return _page(request, {"title": "Minute", "panels": [{"title": "Today", "content": found}]})


@may_look
def one_connection(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one Connection by day, what waits longest now, and its proofs."""
    connection = get_object_or_404(_connections(request), pk=pk)
    waits = clock.waiting([connection])
    stored = connection.delivery_days.filter(day__gte=_since()).order_by("-day")
    days = [("today", clock.today([connection])[pk]), *((f"{row.day:%a %d %b}", row) for row in stored)]
    rows = [(name, *_figures(row)) for name, row in days]
    context = {
        "title": f"Minute of {connection}",
        "connection": connection,
        "connection_url": html.url("tenants_connection_change", pk),
        "all_url": html.url("ocpi_minute"),
        "badge": html.badge(connection.state, ndw.COLOURS),
        "panels": [
            {"title": "Waiting longest now", "content": _wait(waits[0]) if waits else "Nothing waits."},
            {"title": f"Today and the {SHOWN_DAYS} days before", "content": html.table(["Day", *FIGURES], rows, "")},
            {"title": "Proof (CSV)", "content": _proofs(connection)},
        ],
    }
    return _page(request, context)


@may_look
def download(request: HttpRequest, pk: int, month: str) -> HttpResponse:
    """Send the proof of a month, as `manage.py proof` writes it."""
    connection, first = get_object_or_404(_connections(request), pk=pk), proof.month_of(month)
    if first is None:
        raise Http404("There is no proof of this month.")
    name = proof.file_name(connection, first)
    return HttpResponse(
        proof.write(connection, first),
        content_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def line(connections: Iterable[Connection]) -> SafeString:
    """Return in one line, for the first page, how those of production do today. One query."""
    rows = clock.today(one for one in connections if one.environment == Environment.PRODUCTION).values()
    changes, within = sum(row.changes for row in rows), sum(row.within_60s for row in rows)
    slowest = max((row.p99_ms for row in rows if row.p99_ms is not None), default=None)
    words = f"{changes:,} changes, {_percent(within, changes)} within 60 s"
    if slowest is not None:
        words += f"; the slowest Connection has a p99 of {_seconds(slowest)}"
    return format_html("{}. {}", words if changes else "No changes yet", html.link("All Connections", "ocpi_minute"))


def _connections(request: HttpRequest) -> QuerySet[Connection]:
    return scope.confine(request.user, Connection.objects.select_related("tenant", "service_account"))


def _since() -> dt.date:
    return timezone.localdate() - dt.timedelta(days=SHOWN_DAYS)


def _last_days() -> dict[int, tuple[int, int]]:
    """Return how many changes each Connection had in the days before today, and how many of them within 60 s."""
    recent = DeliveryDay.objects.filter(day__gte=_since()).order_by().values_list("connection")
    return {pk: (within, changes) for pk, within, changes in recent.annotate(Sum("within_60s"), Sum("changes"))}


def _figures(row: DeliveryDay) -> _Row:
    times = (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)
    return _share(row.within_60s, row.changes), f"{row.changes:,}", *map(_seconds, times)


def _share(within: int, changes: int) -> SafeString | str:
    if not changes:
        return html.NOTHING
    bar = '{} <span class="bar" title="{}"><b style="width: {}%"></b></span>'
    return format_html(bar, _percent(within, changes), f"{within:,} of {changes:,}", 100 * within // changes)


def _percent(within: int, changes: int) -> str:
    """Return a share, rounded down: 100 is all."""
    return f"{1000 * within // changes / 10:g} %" if changes else html.NOTHING


def _seconds(ms: int | None) -> str:
    return html.NOTHING if ms is None else f"{ms / 1000:.1f} s"


def _wait(one: Waiting | None) -> SafeString | str:
    if one is None:
        return html.NOTHING
    target = html.link(f"{one.kind} {one.ocpi_id}", "ocpi_push_change", one.push_id)
    return html.lines([format_html("{} s: {}", f"{one.seconds:,.0f}", target), tables.words(one.reason)])


def _proofs(connection: Connection) -> SafeString:
    links = (
        (html.link(f"{month:%B %Y}", "ocpi_minute_proof", connection.pk, f"{month:%Y-%m}"),) for month in proof.months()
    )
    return format_html_join(" · ", "{}", links)


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, "admin/minute.html", admin.site.each_context(request) | context)
