"""A tenant's page to work at: how it does, NDW's nine steps with their evidence, connections, credentials, scorecard.

`ocpi.admin.parties` gives it its address. What CPOs, NDW and operators wrote is escaped.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from ocpi import evidence, onboarding, overview
from ocpi.admin import health, scorecard
from ocpi.evidence import Facts
from ocpi.onboarding import State, Step
from tenants import html, scope
from tenants.admin import credentials, ndw
from tenants.models import Tenant, Token

LONGEST_NOTE = 200
STATE_COLOURS: dict[str, str] = {
    State.NOTHING: "info",
    State.UNDER_WAY: "warning",
    State.READY: "success",
    State.TICKED: "success",
}

may_look = permission_required("tenants.view_tenant", raise_exception=True)


@may_look
@require_GET
def workplace(request: HttpRequest, party: str) -> HttpResponse:
    """Show all of one tenant."""
    tenant = find(request, party)
    facts = evidence.read(tenant)
    context = {
        "title": str(tenant),
        "tenant": tenant,
        "name": tenant.name if tenant.name != str(tenant) else "",
        "states": _states(tenant),
        "tabs": tabs(request, tenant, "overview"),
        "cards": health.cards(request, facts),
        "steps": [_step(request, step) for step in onboarding.steps(facts)],
        "may_tick": request.user.has_perm("tenants.change_tenant"),
        "may_offboard": request.user.has_perm("tenants.change_tenant") and not scope.is_confined(request.user),
        "longest_note": LONGEST_NOTE,
        "connections": _connections(request, facts),
        "connect_url": _add(request, "connection", tenant=tenant.pk),
        "credentials": _credentials(request, facts),
        "scorecard": scorecard.scorecard(request, tenant),
    }
    return TemplateResponse(request, "admin/workplace.html", admin.site.each_context(request) | context)


def find(request: HttpRequest, party: str) -> Tenant:
    """Return the tenant of a party whom the user may see. Raises Http404."""
    tenant = overview.find_tenant(party)
    if tenant is None or not scope.may_see(request.user, tenant.pk):
        raise Http404("No such party.")
    return tenant


def tabs(request: HttpRequest, tenant: Tenant, active: str) -> list[dict[str, Any]]:
    """Return what a tenant's pages are, those that the user may open."""
    of_tenant = {"tenant__id__exact": tenant.pk}
    found = [
        ("overview", _("Overview"), "tenants.view_tenant", html.url("tenants_tenant_workplace", tenant)),
        ("edit", _("Edit"), "tenants.view_tenant", html.url("tenants_tenant_change", tenant.pk)),
        ("locations", _("Locations"), "ocpi.view_location", html.url("ocpi_location_changelist", **of_tenant)),
        ("tariffs", _("Tariffs"), "ocpi.view_tariff", html.url("ocpi_tariff_changelist", **of_tenant)),
        ("problems", _("Problems"), "ocpi.view_location", html.url("ocpi_problems_cpo", tenant)),
        ("deliveries", _("Deliveries"), "ocpi.view_push", html.url("ocpi_push_changelist", **of_tenant)),
        ("imports", _("Imports"), "ocpi.view_import", html.url("ocpi_import_changelist", **of_tenant)),
        ("tokens", _("Tokens"), "tenants.view_token", html.url("tenants_token_changelist", **of_tenant)),
        ("history", _("History"), "tenants.view_tenant", html.url("tenants_tenant_history", tenant.pk)),
    ]
    return [
        {"title": title, "url": url, "is_active": key == active}
        for key, title, permission, url in found
        if request.user.has_perm(permission)
    ]


def _states(tenant: Tenant) -> list[SafeString]:
    """Return badges of what a tenant may do now."""
    found = [html.badge(_("active"), {_("active"): "success"}) if tenant.is_active else _warned(_("inactive"))]
    if tenant.offboarded_at:
        found.append(_warned(_("offboarded on %(day)s") % {"day": onboarding.day(tenant.offboarded_at)}))
    elif tenant.offboarding_at:
        found.append(_warned(_("offboarding since %(day)s") % {"day": onboarding.day(tenant.offboarding_at)}))
    return found


def _warned(word: str) -> SafeString:
    return html.badge(word, {word: "danger"})


# --- The nine steps ----------------------------------------------------------------------------------------------------


def _step(request: HttpRequest, step: Step) -> dict[str, Any]:
    may_see = request.user.has_perm(step.permission)
    words = {
        State.NOTHING: _("nothing yet"),
        State.UNDER_WAY: _("under way"),
        State.READY: _("ready to tick"),
        State.TICKED: _("ticked"),
    }
    state = step.state if may_see or step.ticked else None
    return {
        "step": step,
        "badge": html.badge(words[state], {words[state]: STATE_COLOURS[state]}) if state else "",
        "evidence": "; ".join(step.evidence.words) if may_see else "",
        "links": [html.link(one.words, one.view, *one.args) for one in step.evidence.links] if may_see else [],
        "ticked_at": onboarding.day(step.ticked.done_at) if step.ticked else "",
    }


@permission_required("tenants.change_tenant", raise_exception=True)
@may_look
@require_POST
def tick(request: HttpRequest, party: str, number: str) -> HttpResponse:
    """Tick a step, or take the tick back."""
    tenant = find(request, party)
    facts = evidence.read(tenant)
    step = next((one for one in onboarding.steps(facts) if one.number == int(number)), None)
    if step is None or request.POST.get("do") not in ("tick", "untick"):
        raise Http404("No such step.")
    if request.POST["do"] == "untick":
        _untick(request, facts, step)
    else:
        _tick(request, facts, step, " ".join(request.POST.get("note", "").replace("\0", "").split())[:LONGEST_NOTE])
    return HttpResponseRedirect(f"{html.url('tenants_tenant_workplace', tenant)}#step-{number}")


def _tick(request: HttpRequest, facts: Facts, step: Step, note: str) -> None:
    try:
        is_new = onboarding.tick(step, facts, request.user, note)
    except onboarding.NoteWanted:
        messages.error(request, _("There is no evidence of this step: say in a note why it is done."))
        return
    if is_new:
        log(request, facts.tenant, f"Ticked step {step.number}: {note}" if note else f"Ticked step {step.number}.")
        messages.success(request, _("Ticked: %(step)s.") % {"step": step.title})


def _untick(request: HttpRequest, facts: Facts, step: Step) -> None:
    if onboarding.untick(step, facts):
        log(request, facts.tenant, f"Took back the tick of step {step.number}.")
        messages.success(request, _("No longer ticked: %(step)s.") % {"step": step.title})


def log(request: HttpRequest, target: Any, message: str, flag: int = CHANGE) -> None:
    """Write what a person did into the history of what it concerns."""
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, [target], flag, message)


def demand(request: HttpRequest, permission: str) -> None:
    """Let in who may do this. Raises PermissionDenied."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


# --- Connections and credentials ---------------------------------------------------------------------------------------


def _connections(request: HttpRequest, facts: Facts) -> SafeString | str:
    if not request.user.has_perm("tenants.view_connection"):
        return ""
    is_confined = scope.is_confined(request.user)
    rows = [
        (
            html.link(one.get_environment_display(), "tenants_connection_change", one.pk),
            html.badge(one.state, ndw.COLOURS),
            one.pause_reason or html.NOTHING,
            html.NOTHING if is_confined else one.service_account.name,  # it serves other tenants too
            one.push_url,
        )
        for _environment, one in sorted(facts.connections.items(), reverse=True)
    ]
    headers = [_("Environment"), _("State"), _("Because"), _("Service account"), _("Push URL")]
    return html.table(headers, rows, _("None yet: nothing is pushed to NDW."))


def _credentials(request: HttpRequest, facts: Facts) -> SafeString | str:
    """Show who may upload and pull, those for all tenants only to who sees all tenants."""
    if not request.user.has_perm("tenants.view_token"):
        return ""
    rows = [
        (
            html.link(one.shown_name, f"tenants_{one._meta.model_name}_change", one.pk),
            one.get_purpose_display() if isinstance(one, Token) else _("OAuth2 client (NDW)"),
            one.get_environment_display() or html.NOTHING,
            _("this tenant") if one.tenant_id else _("all tenants"),
            html.badge(one.state, credentials.COLOURS),
            html.time(one.last_used_at),
            one.note or html.NOTHING,
        )
        for one in facts.credentials
        if one.tenant_id or scope.confined_to(request.user) is None
    ]
    headers = [_("Credential"), _("For"), _("Environment"), _("Covers"), _("State"), _("Last used"), _("Note")]
    return html.table(headers, rows[:10], _("None yet: issue them on the hand-over sheets."))


def _add(request: HttpRequest, model: str, **initial: object) -> str:
    return html.url(f"tenants_{model}_add", **initial) if request.user.has_perm(f"tenants.add_{model}") else ""
