"""The admin's Minute pages: how soon NDW had the changes, over every Connection and over one, and the proof to download."""

import datetime as dt
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ocpi import clock, proof
from ocpi.admin import tables
from ocpi.clock import Waiting
from ocpi.models import DeliveryDay
from tenants import html, scope
from tenants.admin import ndw
from tenants.models import Connection

SHOWN_DAYS = 30
FIGURES = [gettext_lazy("Within 60 s"), gettext_lazy("Changes"), "p50", "p95", "p99", gettext_lazy("Slowest")]
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
    before = _("%(count)s days before") % {"count": SHOWN_DAYS}
    headers = [_("Connection"), *map(str, FIGURES), before, _("Waiting longest now")]
    found = html.table(headers, rows, _("No Connection yet."))
    return _page(request, {"title": _("Minute"), "panels": [{"title": _("Today"), "content": found}]})


@may_look
def one_connection(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one Connection by day, what waits longest now, and its proofs."""
    connection = get_object_or_404(_connections(request), pk=pk)
    waits = clock.waiting([connection])
    stored = connection.delivery_days.filter(day__gte=_since()).order_by("-day")
    days = [(_("today"), clock.today([connection])[pk]), *((date_format(row.day, _("D j M")), row) for row in stored)]
    rows = [(name, *_figures(row)) for name, row in days]
    context = {
        "title": _("Minute of %(connection)s") % {"connection": connection},
        "connection": connection,
        "connection_url": html.url("tenants_connection_change", pk),
        "all_url": html.url("ocpi_minute"),
        "badge": html.badge(connection.state, ndw.COLOURS),
        "panels": [
            {"title": _("Waiting longest now"), "content": _wait(waits[0]) if waits else _("Nothing waits.")},
            {
                "title": _("Today and the %(count)s days before") % {"count": SHOWN_DAYS},
                "content": html.table([_("Day"), *map(str, FIGURES)], rows, ""),
            },
            {"title": _("Proof (CSV)"), "content": _proofs(connection)},
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
    return _share(row.within_60s, row.changes), html.number(row.changes), *map(html.seconds, times)


def _share(within: int, changes: int) -> SafeString | str:
    if not changes:
        return html.NOTHING
    return format_html("{} {}", html.percent(within, changes), html.bar(within, changes))


def _wait(one: Waiting | None) -> SafeString | str:
    if one is None:
        return html.NOTHING
    target = html.link(f"{one.kind} {one.ocpi_id}", "ocpi_push_change", one.push_id)
    return html.lines([format_html("{} s: {}", html.number(one.seconds), target), tables.words(one.reason)])


def _proofs(connection: Connection) -> SafeString:
    links = (
        (html.link(date_format(month, "F Y"), "ocpi_minute_proof", connection.pk, f"{month:%Y-%m}"),)
        for month in proof.months()
    )
    return format_html_join(" · ", "{}", links)


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, "admin/minute.html", admin.site.each_context(request) | context)
