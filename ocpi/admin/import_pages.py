"""The admin's page of one import: how far it is, what it came to, and the decision on a held one.

`ocpi.admin.imports` gives it its addresses; what it says is in `import_tables`.
"""

import uuid
from itertools import islice

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_POST

from ocpi import api_imports, imports
from ocpi.admin import import_tables, tables
from ocpi.models import Import
from tenants import audit, html, scope

LISTED = 100  # lines on the page; the rest is downloaded
LONGEST_REASON = 300
FORMS = {"ndjson": api_imports.results_ndjson, "csv": api_imports.results_csv}

may_look = permission_required("ocpi.view_import", raise_exception=True)
may_decide = permission_required(["ocpi.view_import", "ocpi.change_import"], raise_exception=True)


# --- The page ----------------------------------------------------------------------------------------------------------


def _find(request: HttpRequest, pk: uuid.UUID) -> Import:
    found = Import.objects.select_related("tenant").exclude(state=Import.State.RECEIVING)
    return get_object_or_404(scope.confine(request.user, found), pk=pk)


@may_look
def one_import(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show one import; nothing on it can be changed."""
    if request.method == "POST":
        raise PermissionDenied
    one = _find(request, pk)
    told = list(islice(imports.results(one), LISTED + 1))
    objects = import_tables.Objects(one, told)
    context = {
        "title": _("Import of %(kind)s") % {"kind": one.get_kind_display()},
        "one": one,
        "badge": html.badge(one.state, import_tables.STATE_COLOURS),
        "modes": import_tables.modes(one),
        "is_open": one.state in Import.OPEN,
        "is_held": one.state == Import.State.HELD,
        "is_preview": import_tables.is_preview(one),
        "note": "" if import_tables.was_held(one) else one.note,
        "live": import_tables.live(one),
        "tiles": import_tables.tiles(one),
        "facts": import_tables.facts(one),
        "would_be": import_tables.would_be(one, objects),
        "gone": (one.preview or {}).get("removed", 0),
        "things": _("Tariffs") if one.kind == Import.Kind.TARIFF else _("EVSEs"),
        "rules": import_tables.by_rule(one, objects),
        "lines": import_tables.by_line(told[:LISTED], objects),
        "is_cut": len(told) > LISTED,
        "listed": LISTED,
        "longest_reason": LONGEST_REASON,
        "may_decide": request.user.has_perm("ocpi.change_import"),
        "urls": {name: html.url(f"ocpi_import_{name}", one.pk) for name in ("progress", "decide", "history")}
        | {form: html.url("ocpi_import_results", one.pk, form) for form in FORMS}
        | {"all": html.url("ocpi_import_changelist"), "tenant": html.url("tenants_tenant_change", one.tenant_id)},
    }
    return TemplateResponse(request, "admin/import.html", admin.site.each_context(request) | context)


@may_look
@require_GET
def progress(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Say how far an import is, in the words of its page."""
    one = _find(request, pk)
    return JsonResponse({"state": one.state, "progress": one.progress, "words": import_tables.live(one)})


@may_look
@require_GET
def results(request: HttpRequest, pk: uuid.UUID, form: str) -> StreamingHttpResponse:
    """Stream what became of every line."""
    if form not in FORMS:
        raise Http404("No such form.")
    return FORMS[form](_find(request, pk), tables.reader())


@may_look
@require_GET
def template(request: HttpRequest, form: str) -> HttpResponse:
    """Give the spreadsheet that CPOs fill in."""
    if form not in api_imports.TEMPLATES:
        raise Http404("No such form.")
    return api_imports.template(form)


# --- The decision ------------------------------------------------------------------------------------------------------


@may_decide
@require_POST
def decide(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Accept or discard a held import."""
    deed = {"accept": _accept, "discard": _discard}.get(request.POST.get("do", ""))
    if deed is None:
        raise Http404("No such deed.")
    one = _find(request, pk)
    if not deed(request, one):
        one.refresh_from_db()
        said = {"state": _(one.state), "who": one.decided_by}
        words = _("It is %(state)s already: %(who)s was quicker.") if one.decided_by else _("It is %(state)s already.")
        messages.warning(request, words % said)
    return HttpResponseRedirect(html.url("ocpi_import_change", pk))


def _accept(request: HttpRequest, one: Import) -> bool:
    """Let it go on; False when somebody was quicker."""
    gone = (one.preview or {}).get("removed", 0)
    if one.state == Import.State.HELD and gone and request.POST.get("gone") != str(gone):
        messages.error(request, _("Nothing was accepted: tick that you have checked what would be removed."))
        return True
    if not imports.accept(one, str(request.user)):
        return False
    audit.note(request, one, gettext_noop("Accepted."))
    messages.success(request, _("Accepted: it is stored now."))
    return True


def _discard(request: HttpRequest, one: Import) -> bool:
    """Drop it; False when somebody was quicker."""
    reason = request.POST.get("reason", "").replace("\0", "").strip()[:LONGEST_REASON]
    note = "Discarded; nothing was stored." + (f" {reason}" if reason else "")
    if not imports.discard(one, str(request.user), note):
        return False
    if reason:
        audit.note(request, one, gettext_noop("Discarded: %(reason)s"), reason=reason)
    else:
        audit.note(request, one, gettext_noop("Discarded."))
    messages.success(request, _("Discarded: nothing was stored."))
    return True
