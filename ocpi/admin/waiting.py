"""The admin's Waiting page: what NDW does not have and why, by tenant and Connection, with the hands on the wheel.

`ocpi.admin.deliveries` gives it its addresses. What CPOs, NDW and operators wrote is escaped.
"""

from itertools import groupby
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_http_methods

from ocpi import causes
from ocpi.admin import tables
from ocpi.causes import Cause
from ocpi.rules import GAP
from tenants import audit, html, scope
from tenants.admin import ndw
from tenants.models import Connection

LONGEST_REASON = 400
STATE_COLOURS = tables.PUSH_COLOURS | {"withheld": "danger"}

may_look = permission_required("ocpi.view_push", raise_exception=True)


@may_look
@require_http_methods(["GET", "POST"])
def waiting(request: HttpRequest) -> HttpResponse:
    """Show the causes, and act on one: push again what NDW rejected, pause or resume a Connection."""
    if request.method == "POST":
        return _act(request)
    found = _causes(request)
    held = {cause.connection.pk for cause in found if cause.connection}
    quiet = _connections(request).exclude(pk__in=held)
    context = {
        "title": _("Waiting"),
        "parties": [_party(list(group)) for _, group in groupby(found, key=lambda cause: cause.tenant.pk)],
        "quiet": [_connection(one) for one in quiet.order_by("tenant", "environment")],
        "may_push": request.user.has_perm("ocpi.change_push"),
        "may_pause": request.user.has_perm("tenants.change_connection"),
        "longest_reason": LONGEST_REASON,
    }
    return _page(request, "admin/waiting.html", context)


def _causes(request: HttpRequest) -> list[Cause]:
    if not scope.is_confined(request.user):
        return causes.causes()
    return [cause for tenant in scope.tenants_of(request.user) for cause in causes.causes(tenant)]


def _connections(request: HttpRequest) -> QuerySet[Connection]:
    found = Connection.objects.filter(is_retired=False).select_related("tenant")
    return scope.confine(request.user, found)


def _party(found: list[Cause]) -> dict[str, Any]:
    """Return what one tenant's part of the page says; `found` is in the order of `causes`."""
    tenant = found[0].tenant
    connections = {cause.connection.pk: cause.connection for cause in found if cause.connection}
    return {
        "tenant": tenant,
        "name": tenant.name if tenant.name != str(tenant) else "",
        "problems_url": html.url("ocpi_problems_cpo", tenant),
        "withheld": [_row(cause) for cause in found if not cause.connection],
        "connections": [
            _connection(one) | {"rows": [_row(cause) for cause in found if cause.connection == one]}
            for one in connections.values()
        ],
    }


def _connection(one: Connection) -> dict[str, Any]:
    return {
        "connection": one,
        "badge": html.badge(one.state, ndw.COLOURS),
        "url": html.url("tenants_connection_change", one.pk),
        "resend_url": html.url("ocpi_resend", one.pk),
    }


def _row(cause: Cause) -> dict[str, Any]:
    return {
        "cause": cause,
        "badge": html.badge(cause.state, STATE_COLOURS),
        "url": objects_url(cause),
        "since": html.time(cause.since),
        "is_rejected": cause.state == "rejected",
    }


def objects_url(cause: Cause) -> str:
    """Return where the rows behind a cause are listed."""
    if cause.connection is None:
        query = {"tenant__id__exact": cause.tenant.pk, "rule": cause.key, "severity": GAP, "visible": "withheld"}
        return html.url("ocpi_location_changelist", **query)
    query = {"connection__id__exact": cause.connection.pk, "state": cause.state}
    return html.url("ocpi_push_changelist", **query | ({"cause": cause.key} if cause.key else {}))


# --- Acting ------------------------------------------------------------------------------------------------------------


def _act(request: HttpRequest) -> HttpResponse:
    deeds = {"push": _push_rejected, "pause": _pause, "resume": _resume}
    deed, pk = deeds.get(request.POST.get("do", "")), request.POST.get("connection", "")
    if deed is None or not (pk.isascii() and pk.isdecimal() and len(pk) < 19):
        raise Http404("No such deed.")
    deed(request, get_object_or_404(_connections(request), pk=pk))
    return HttpResponseRedirect(html.url("ocpi_waiting"))


def _push_rejected(request: HttpRequest, target: Connection) -> None:
    """Push again all that NDW rejected for one cause."""
    _demand(request, "ocpi.change_push")
    words = request.POST.get("cause", "").replace("\0", "")
    count = causes.resend(causes.refused(target, words))
    audit.note(request, target, gettext_noop("Pushed again %(count)s rejected: %(cause)s"), count=count, cause=words)
    messages.success(request, _("%(count)s will be sent now.") % {"count": count})


def _pause(request: HttpRequest, target: Connection) -> None:
    """Send nothing until it is resumed, and say why."""
    _demand(request, "tenants.change_connection")
    reason = request.POST.get("reason", "").replace("\0", "").strip()[:LONGEST_REASON]
    if not reason:
        messages.error(request, _("Say why: whoever finds the Connection paused will read it."))
    elif target.is_paused:
        words = _("%(connection)s is paused already: %(reason)s")
        messages.warning(request, words % {"connection": target, "reason": target.pause_reason})
    else:
        target.pause(f"{request.user}: {reason}")
        audit.note(request, target, gettext_noop("Paused: %(reason)s"), reason=reason)
        messages.success(request, _("Paused %(connection)s; changes go on being noted.") % {"connection": target})


def _resume(request: HttpRequest, target: Connection) -> None:
    """Send again what waits."""
    _demand(request, "tenants.change_connection")
    reason = request.POST.get("reason", "").replace("\0", "").strip()[:LONGEST_REASON]
    target.resume()
    if reason:
        audit.note(request, target, gettext_noop("Resumed: %(reason)s"), reason=reason)
    else:
        audit.note(request, target, gettext_noop("Resumed."))
    messages.success(request, _("Resumed %(connection)s.") % {"connection": target})


@may_look
@require_http_methods(["GET", "POST"])
def resend(request: HttpRequest, pk: int) -> HttpResponse:
    """Say how much everything is, and send it again when that is confirmed."""
    _demand(request, "ocpi.change_push")
    target = get_object_or_404(_connections(request), pk=pk)
    rows = causes.visible(target)
    if request.method == "POST":
        count = causes.resend(rows, is_backlog=True)
        audit.note(request, target, gettext_noop("Resent everything: %(count)s objects."), count=count)
        words = _("%(count)s will be sent again, behind what changes meanwhile.")
        messages.success(request, words % {"count": count})
        return HttpResponseRedirect(html.url("ocpi_waiting"))
    context = {
        "title": _("Resend everything of %(connection)s") % {"connection": target},
        "connection": target,
        "locations": rows.exclude(location=None).count(),
        "tariffs": rows.exclude(tariff=None).count(),
        "waiting_url": html.url("ocpi_waiting"),
    }
    return _page(request, "admin/resend.html", context)


def _demand(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, admin.site.each_context(request) | context)
