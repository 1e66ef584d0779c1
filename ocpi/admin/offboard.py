"""The admin's wizard that takes a tenant out: what will happen, two confirmations, how far it is, and the proof.

`ocpi.admin.objects` gives it its addresses. Until the second confirmation nothing has happened and it can be cancelled; from
then on there is no way back. Who is confined to tenants does not learn that it exists.
"""

import datetime as dt
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext
from django.views.decorators.http import require_GET, require_http_methods

from ocpi import acceptances, causes, offboarding, overview
from ocpi.acceptances import Fleet, Progress
from ocpi.models import Import, Offboarding, Push
from tenants import html
from tenants.models import Tenant, Token
from tenants.scope import confined_to

FIRST, CANCELLED, SECOND = (
    gettext_noop("Offboarding: confirmed once."),
    gettext_noop("Offboarding: cancelled before the second confirmation."),
    gettext_noop("Offboarding: confirmed twice; uploads are refused from now on."),
)
SESSION = "offboarding"
VALID = dt.timedelta(minutes=15)  # of the first confirmation: whoever comes back later reads it again
LISTED, PER_PAGE = 50, 100
STUCK = dt.timedelta(minutes=5)  # 25,000 Locations are set in less

may_offboard = permission_required("tenants.change_tenant", raise_exception=True)


def _find(request: HttpRequest, party: str) -> Tenant:
    tenant = overview.find_tenant(party)
    if tenant is None or confined_to(request.user) is not None:
        raise Http404("No such party.")
    return tenant


@may_offboard
@require_http_methods(["GET", "POST"])
def offboard(request: HttpRequest, party: str) -> HttpResponse:
    """Show the step that is next for a tenant, and take it."""
    tenant = _find(request, party)
    if request.method == "POST":
        return _act(request, tenant)
    if tenant.offboarded_at:
        return _over(request, tenant)
    if tenant.offboarding_at:
        return _under_way(request, tenant)
    return _ask(request, tenant)


# --- Two confirmations -------------------------------------------------------------------------------------------------


def _ask(request: HttpRequest, tenant: Tenant) -> HttpResponse:
    """Say what will happen; ask for the first confirmation, or the second when the first is there."""
    fleet = acceptances.fleet(tenant)
    context = {
        "fleet": fleet,
        "events": _events(tenant, fleet),
        "is_confirmed": _confirmed_at(request, tenant) is not None,
    }
    return _page(request, tenant, "admin/offboard.html", context)


def _events(tenant: Tenant, fleet: Fleet) -> list[str]:
    """Return what will happen, in its order, with this tenant's figures."""
    connections = list(tenant.connections.filter(is_retired=False))
    held = Import.objects.filter(tenant=tenant, state=Import.State.HELD).count()
    tokens = tenant.tokens.live().filter(purpose=Token.Purpose.UPLOAD).count()
    set_removed = _("%(evses)s EVSEs in service of %(locations)s Locations are set REMOVED; the tariffs stay.")
    said = [
        _("Every upload of this CPO is refused at once, by whatever way it comes."),
        set_removed % {"evses": number_format(fleet.left), "locations": number_format(fleet.locations)},
    ]
    if connections:
        pushed = _("%(shown)s Locations are pushed to NDW (%(where)s), and the acceptance of each is waited for.")
        where = ", ".join(sorted(str(one.get_environment_display()) for one in connections))
        said.append(pushed % {"shown": number_format(fleet.shown), "where": where})
    else:
        said.append(_("There is no Connection: NDW learns it by its next complete pull, which is waited for."))
    if held:
        words = ngettext("%(n)s held import is discarded.", "%(n)s held imports are discarded.", held)
        said.append(words % {"n": held})
    ended = _("In the end %(tokens)s upload tokens are revoked, and %(n)s Connections retired. NDW can go on pulling.")
    return [*said, ended % {"tokens": tokens, "n": len(connections)}]


def _confirmed_at(request: HttpRequest, tenant: Tenant) -> dt.datetime | None:
    """Return when this person confirmed it the first time; None when that is not so, or long ago."""
    given = request.session.get(SESSION) or {}
    if given.get("tenant") != tenant.pk:
        return None
    at = dt.datetime.fromisoformat(given["at"])
    return at if timezone.now() - at < VALID else None


def _act(request: HttpRequest, tenant: Tenant) -> HttpResponse:
    deeds = {"confirm": _confirm, "cancel": _cancel, "begin": _begin, "again": _again}
    deed = deeds.get(request.POST.get("do", ""))
    if deed is None:
        raise Http404("No such deed.")
    return HttpResponseRedirect(deed(request, tenant) or html.url("ocpi_offboard", tenant))


def _confirm(request: HttpRequest, tenant: Tenant) -> str | None:
    """Take the first confirmation: of as many EVSEs as there are."""
    if tenant.offboarding_at:
        messages.warning(request, _("It has begun already."))
    elif request.POST.get("evses") != str(acceptances.fleet(tenant).left):
        messages.error(request, _("Nothing was confirmed: tick that you have read it. The figures may have changed."))
    else:
        request.session[SESSION] = {"tenant": tenant.pk, "at": timezone.now().isoformat()}
        _log(request, tenant, FIRST)
    return None


def _cancel(request: HttpRequest, tenant: Tenant) -> str | None:
    """Forget the first confirmation; what has begun goes on."""
    if tenant.offboarding_at:
        messages.error(request, _("It has begun: there is no way back."))
        return None
    if request.session.pop(SESSION, None):
        _log(request, tenant, CANCELLED)
    messages.success(request, _("Cancelled: nothing has happened."))
    return html.url("tenants_tenant_change", tenant.pk)


def _begin(request: HttpRequest, tenant: Tenant) -> str | None:
    """Take the second confirmation, the party typed out, and begin."""
    confirmed_at, who = _confirmed_at(request, tenant), str(request.user)
    if confirmed_at is None:
        messages.error(request, _("Confirm first what will happen; that counts for a quarter of an hour."))
    elif request.POST.get("party", "").strip().upper() != str(tenant):
        messages.error(request, _("Nothing has happened: type %(party)s to confirm.") % {"party": tenant})
    elif offboarding.begin(tenant, who, confirmed_at=confirmed_at, confirmed_by=who):
        request.session.pop(SESSION, None)
        _log(request, tenant, SECOND)
    else:
        messages.warning(request, _("It has begun already."))
    return None


def _again(request: HttpRequest, tenant: Tenant) -> str | None:
    """Send again what NDW rejected."""
    if not request.user.has_perm("ocpi.change_push"):
        raise PermissionDenied
    found = acceptances.progress(tenant, None)
    count = causes.resend(causes.refused(found.target)) if found.target else 0
    _log(request, tenant, f"Offboarding: pushed again {count} rejected.")
    words = ngettext("%(n)s Location is sent again.", "%(n)s Locations are sent again.", count)
    messages.success(request, words % {"n": count})
    return None


def _log(request: HttpRequest, tenant: Tenant, message: str) -> None:
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, [tenant], CHANGE, message)


# --- Under way ---------------------------------------------------------------------------------------------------------


def _under_way(request: HttpRequest, tenant: Tenant) -> HttpResponse:
    one = Offboarding.objects.get(tenant=tenant)
    found = acceptances.progress(tenant, one.set_at)
    target = found.target
    context = {
        "one": one,
        "found": found,
        "live": _live(one, found),
        "state": _state(one, found),
        "done": _done(found),
        "target": target,
        "target_url": html.url("tenants_connection_change", target.pk) if target else "",
        "others": [(each, counts) for each, counts in found.connections if each != target],
        "rejected": _rejected(found) if found.counts.rejected else "",
        "listed": LISTED,
        "may_push": request.user.has_perm("ocpi.change_push"),
        "stuck": offboarding.left(tenant, LISTED) if one.begun_at < timezone.now() - STUCK and not one.set_at else [],
        "progress_url": html.url("ocpi_offboard_progress", tenant),
    }
    return _page(request, tenant, "admin/offboard_under_way.html", context)


@may_offboard
@require_GET
def progress(request: HttpRequest, party: str) -> HttpResponse:
    """Say how far it is, in the words of its page."""
    tenant = _find(request, party)
    if tenant.offboarded_at or not tenant.offboarding_at:
        return JsonResponse({"state": "over", "progress": 1.0, "words": {}})
    one = Offboarding.objects.get(tenant=tenant)
    found = acceptances.progress(tenant, one.set_at)
    return JsonResponse({"state": _state(one, found), "progress": _done(found), "words": _live(one, found)})


def _state(one: Offboarding, found: Progress) -> str:
    """Return what the page is made for: when it changes, the page is read anew."""
    return f"{'pushing' if one.set_at else 'removing'} {found.counts.rejected}"


def _done(found: Progress) -> float:
    """Return how much is done, 0 to 1: the first half to set the EVSEs, the second to hear from NDW."""
    fleet, counts = found.fleet, found.counts
    are_set = 1 - fleet.left / fleet.evses if fleet.evses else 1.0
    all_of_it = counts.accepted + counts.rejected + counts.waiting
    accepted = counts.accepted / all_of_it if all_of_it else float(bool(found.pulled_at))
    return round(are_set / 2 + (accepted / 2 if not fleet.left else 0), 4)


def _live(one: Offboarding, found: Progress) -> dict[str, str]:
    """Return the words that change."""
    counts = found.counts
    return {
        "percent": f"{100 * _done(found):.0f} %",
        "pace": _("NDW is waited for") if one.set_at else _("EVSEs are set REMOVED"),
        "set": number_format(found.fleet.evses - found.fleet.left),
        "accepted": number_format(counts.accepted),
        "waiting": number_format(counts.waiting),
        "rejected": number_format(counts.rejected),
    }


def _rejected(found: Progress) -> Any:
    rows = Push.objects.filter(connection=found.target, state=Push.State.REJECTED, location__isnull=False)
    lines = [
        (html.link(push.location.ocpi_id, "ocpi_push_change", push.pk), push.last_answer)  # type: ignore[union-attr]
        for push in rows.select_related("location").defer("location__body").order_by("pk")[:LISTED]
    ]
    return html.table([_("Location"), _("NDW's answer")], lines, "")


# --- Over --------------------------------------------------------------------------------------------------------------


def _over(request: HttpRequest, tenant: Tenant) -> HttpResponse:
    one = Offboarding.objects.get(tenant=tenant)
    summary, rows = acceptances.read(offboarding.proof(one).decode())
    pages = Paginator(rows, PER_PAGE)
    page = pages.get_page(request.GET.get("page"))
    headers = [
        _("Location"), _("EVSEs"), _("NDW has it as"), _("Accepted at (UTC)"), _("Request id"), "HTTP", "OCPI", "SHA-256",
    ]  # fmt: skip
    context = {
        "one": one,
        "facts": summary,
        "rows": html.table(headers, page.object_list, _("This CPO had no Location.")),
        "page": page,
        "csv_url": html.url("ocpi_offboard_proof", tenant),
    }
    return _page(request, tenant, "admin/offboard_proof.html", context)


@may_offboard
@require_GET
def proof(request: HttpRequest, party: str) -> HttpResponse:
    """Give the proof as it was written."""
    tenant = _find(request, party)
    one = Offboarding.objects.filter(tenant=tenant).exclude(proof=None).first()
    if one is None:
        raise Http404("There is no proof yet.")
    response = HttpResponse(offboarding.proof(one), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="offboarded-{tenant}.csv"'
    return response


def _page(request: HttpRequest, tenant: Tenant, template: str, context: dict[str, Any]) -> HttpResponse:
    shared = {
        "title": _("Offboard %(party)s") % {"party": tenant},
        "tenant": tenant,
        "name": tenant.name if tenant.name != str(tenant) else "",
        "tenant_url": html.url("tenants_tenant_change", tenant.pk),
        "all_url": html.url("tenants_tenant_changelist"),
    }
    return TemplateResponse(request, template, admin.site.each_context(request) | shared | context)
