"""The admin's page of one import: how far it is, what it came to, rule by rule and line by line, and the decision on a held one.

`ocpi.admin.imports` gives it its addresses. What CPOs sent is escaped.
"""

import uuid
from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from ocpi import api_imports, imports
from ocpi.admin import tables
from ocpi.imports import Result
from ocpi.models import Import
from ocpi.rules import RULES, Finding, listing
from ocpi.rules.findings import RANK, in_order
from tenants import html

LISTED = 100  # lines on the page; the rest is downloaded
SAMPLES = 5  # ids beside a rule
LONGEST_REASON = 300
STATE_COLOURS: dict[str, str] = {
    Import.State.QUEUED: "info",
    Import.State.RUNNING: "info",
    Import.State.HELD: "warning",
    Import.State.DONE: "success",
    Import.State.FAILED: "danger",
}
MODE_COLOURS = {"full": "warning", "dry run": "info"}
OUTCOME_COLOURS = {
    "created": "success",
    "updated": "info",
    "refused": "danger",
    "stale": "warning",
    "removed": "warning",
}
TILES = {
    "received": "objects in the file",
    "created": "new here",
    "updated": "changed",
    "unchanged": "as they were",
    "refused": "not stored: errors",
    "stale": "older than what is stored",
    "removed": "EVSEs set REMOVED",
    "warned": "accepted, with findings",
}
FORMS = {"ndjson": api_imports.results_ndjson, "csv": api_imports.results_csv}

may_look = permission_required("ocpi.view_import", raise_exception=True)
may_decide = permission_required(["ocpi.view_import", "ocpi.change_import"], raise_exception=True)


# --- Words, for the list too -------------------------------------------------------------------------------------------


def modes(one: Import) -> SafeString | str:
    """Return labels for what is not the usual: a full set, a dry run."""
    words = ["full"] * (one.mode == Import.Mode.FULL) + ["dry run"] * one.is_dry_run
    return format_html_join(" ", "{}", ((html.badge(word, MODE_COLOURS),) for word in words)) or "upsert"


def short_counts(one: Import) -> str:
    """Return the counts of outcomes that are not 0, in a line; why, of an import that is held or came to nothing."""
    if one.state in (Import.State.HELD, Import.State.FAILED, Import.State.DISCARDED):
        return one.note
    names = ("created", "updated", "unchanged", "refused", "stale", "removed")
    words = " · ".join(f"{one.counts[name]:,} {name}" for name in names if one.counts.get(name))
    return f"would be: {words}" if words and _is_preview(one) else words or html.NOTHING


def _is_preview(one: Import) -> bool:
    """Return whether its counts tell what would be, for nothing has been stored."""
    return one.phase == Import.Phase.SCAN


def meter(one: Import) -> SafeString:
    """Return a bar with the words beside it."""
    bar = '<progress class="meter" max="1" value="{}"></progress><div class="meter-words">{}</div>'
    return format_html(bar, one.progress, ", ".join(filter(None, [_percent(one), _pace(one)])))


def _percent(one: Import) -> str:
    return f"{int(100 * one.progress)} %"  # rounded down: 100 is all


def _pace(one: Import) -> str:
    """Return what is done now, how fast, and how long it will take."""
    if one.state != Import.State.RUNNING:
        return "waits for its turn" if one.state == Import.State.QUEUED else ""
    words = [one.get_phase_display().lower()]
    if one.rate is not None:
        words.append(f"{one.rate:,.0f} a second")
    if one.eta_s is not None:
        words.append(f"{span(one.eta_s)} left")
    return ", ".join(words)


def span(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


# --- The page ----------------------------------------------------------------------------------------------------------


def _find(pk: uuid.UUID) -> Import:
    return get_object_or_404(Import.objects.select_related("tenant").exclude(state=Import.State.RECEIVING), pk=pk)


@may_look
def one_import(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show one import; nothing on it can be changed."""
    if request.method != "GET":
        raise PermissionDenied
    one = _find(pk)
    told = list(islice(imports.results(one), LISTED + 1))
    objects = _Objects(one, told)
    context = {
        "title": f"Import of {one.get_kind_display()}",
        "one": one,
        "badge": html.badge(one.state, STATE_COLOURS),
        "modes": modes(one),
        "is_open": one.state in Import.OPEN,
        "is_held": one.state == Import.State.HELD,
        "is_preview": _is_preview(one),
        "note": "" if _was_held(one) else one.note,
        "live": _live(one),
        "tiles": [{"name": name, "words": words} | {"number": _count(one, name)} for name, words in _tiles(one)],
        "facts": _facts(one),
        "would_be": _would_be(one, objects),
        "gone": (one.preview or {}).get("removed", 0),
        "things": "Tariffs" if one.kind == Import.Kind.TARIFF else "EVSEs",
        "rules": _rules(one, objects),
        "lines": _lines(told[:LISTED], objects),
        "is_cut": len(told) > LISTED,
        "listed": LISTED,
        "longest_reason": LONGEST_REASON,
        "may_decide": request.user.has_perm("ocpi.change_import"),
        "urls": {name: html.url(f"ocpi_import_{name}", one.pk) for name in ("progress", "decide", "history")}
        | {form: html.url("ocpi_import_results", one.pk, form) for form in FORMS}
        | {"all": html.url("ocpi_import_changelist"), "tenant": html.url("tenants_tenant_change", one.tenant_id)},
    }
    return TemplateResponse(request, "admin/import.html", admin.site.each_context(request) | context)


def _tiles(one: Import) -> Iterable[tuple[str, str]]:
    is_tariff = one.kind == Import.Kind.TARIFF
    return (TILES | {"removed": "Tariffs deleted"} if is_tariff else TILES).items()


def _count(one: Import, name: str) -> str:
    """Return a count; of what was only scanned, with all that the set lacks."""
    scanned = (one.preview or {}).get("counts") if _is_preview(one) else None
    return f"{(scanned or one.counts).get(name, 0):,}"


def _live(one: Import) -> dict[str, str]:
    """Return the words that change while it runs."""
    return {"percent": _percent(one), "pace": _pace(one)} | {name: _count(one, name) for name in TILES}


@may_look
@require_GET
def progress(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Say how far an import is, in the words of its page."""
    one = _find(pk)
    return JsonResponse({"state": one.state, "progress": one.progress, "words": _live(one)})


@may_look
@require_GET
def results(request: HttpRequest, pk: uuid.UUID, form: str) -> StreamingHttpResponse:
    """Stream what became of every line."""
    if form not in FORMS:
        raise Http404("No such form.")
    return FORMS[form](_find(pk), tables.reader())


def _was_held(one: Import) -> bool:
    """Return whether its note says why it was held, and somebody has accepted it since."""
    return bool(one.decided_by) and one.state not in (Import.State.FAILED, Import.State.DISCARDED)


def _facts(one: Import) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("Sent by", one.origin or html.NOTHING),
        ("Received", html.time(one.created_at)),
        ("Size", f"{one.size / 1_000_000:,.1f} MB" if one.size >= 100_000 else f"{one.size / 1000:,.1f} kB"),
    ]
    if one.finished_at:
        took = span((one.finished_at - one.created_at).total_seconds())
        facts.append(("Ended", format_html("{}, after {}", html.time(one.finished_at), took)))
    if one.rate is not None and one.state == Import.State.DONE:
        facts.append(("Rate", f"{one.rate:,.0f} objects a second"))
    if one.decided_by:
        facts.append(("Discarded by" if one.state == Import.State.DISCARDED else "Accepted by", one.decided_by))
    if _was_held(one):
        facts.append(("Was held", one.note))
    if one.key:
        facts.append(("Idempotency-Key", one.key))
    return [*facts, ("Id", one.pk)]


# --- Tables ------------------------------------------------------------------------------------------------------------


class _Objects:
    """The stored objects that a page names, found at once; links to their pages."""

    def __init__(self, one: Import, told: Iterable[Result]) -> None:
        self.kind = one.kind
        named = {result.id for result in told if result.id}
        named.update(*(counted["sample"] for counted in one.rules.values()))
        named.update(*(one.preview or {}).get("samples", {}).values())
        stored: Any = one.tenant.tariffs if one.kind == Import.Kind.TARIFF else one.tenant.locations
        found = stored.annotate(lower=Lower("ocpi_id")).filter(lower__in={name.lower() for name in named})
        self.pks: dict[str, int] = dict(found.values_list("lower", "pk"))

    def link(self, ocpi_id: str | None) -> SafeString | str:
        """Return an id, as a link where there is something to see."""
        if ocpi_id is None:
            return html.NOTHING
        pk = self.pks.get(ocpi_id.lower())
        return html.link(ocpi_id, f"ocpi_{self.kind}_change", pk) if pk else ocpi_id

    def links(self, ocpi_ids: Iterable[str]) -> SafeString | str:
        """Return ids in a line."""
        return format_html_join(", ", "{}", ((self.link(ocpi_id),) for ocpi_id in ocpi_ids)) or html.NOTHING


def _would_be(one: Import, objects: _Objects) -> SafeString | str:
    """Show what was found to become of the lines of a set that has not been stored, with examples."""
    samples, preview = (one.preview or {}).get("samples", {}), one.preview or {}
    counts = preview.get("counts", {})
    rows = [
        (html.badge(name, OUTCOME_COLOURS), _how_many(one, name, counts[name]), objects.links(samples.get(name, [])))
        for name in ("removed", "created", "updated", "unchanged", "refused", "stale")
        if counts.get(name)
    ]
    return html.table(["Would be", "How many", "For example"], rows, "Nothing is in the file.") if counts else ""


def _how_many(one: Import, name: str, count: int) -> SafeString | str:
    """Say what is counted: EVSEs are removed, in Locations that the file lacks or that lack them."""
    if name != "removed" or one.kind == Import.Kind.TARIFF:
        return f"{count:,}"
    missing = (one.preview or {}).get("missing", 0)
    return html.lines([f"{count:,} EVSEs", *[f"{missing:,} Locations are not in the file"] * bool(missing)])


def _rules(one: Import, objects: _Objects) -> SafeString | str:
    """Show the findings by rule, the worst and most frequent first."""
    found = sorted(one.rules.items(), key=lambda item: (RANK.get(item[1]["severity"], 0), -item[1]["count"]))
    rows = [
        (
            html.badge(counted["severity"], tables.SEVERITY_COLOURS),
            _rule_link(counted["rule"]),
            _rule_words(name),
            f"{counted['count']:,}",
            objects.links(counted["sample"][:SAMPLES]),
        )
        for name, counted in found
    ]
    return html.table(["Severity", "Rule", "What", "Findings", "For example"], rows, "None: nothing to mend.")


def _rule_link(rule_id: str) -> SafeString:
    """Lead to the rule book."""
    language = "?lang=nl" if tables.reader() == "nl" else ""
    return format_html('<a class="text-link" href="{}{}#{}">{}</a>', reverse("rules"), language, rule_id, rule_id)


def _rule_words(name: str) -> SafeString | str:
    rule = RULES.get(name)
    if rule is None:
        return html.NOTHING
    language = tables.reader()
    words = [listing.line_of(rule, language).text, Finding("", rule).hinted(language)]  # no hint that lacks its values
    return html.lines(filter(None, words))


def _lines(told: Iterable[Result], objects: _Objects) -> SafeString | str:
    """Show what became of lines; line 0 is what a full set lacks."""
    rows = [
        (
            result.line or html.NOTHING,
            objects.link(result.id),
            html.badge(result.outcome, OUTCOME_COLOURS),
            _first_finding(in_order(result.findings)),
        )
        for result in told
    ]
    return html.table(["Line", "Id", "Outcome", "First finding"], rows, "")


def _first_finding(found: list[Finding]) -> SafeString | str:
    if not found:
        return html.NOTHING
    more = f"and {len(found) - 1} more" if len(found) > 1 else ""
    said = found[0].said(tables.reader())
    return format_html("{} <code>{}</code> {} <small>{}</small>", found[0].rule, found[0].path or "/", said, more)


# --- The decision ------------------------------------------------------------------------------------------------------


@may_decide
@require_POST
def decide(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Accept or discard a held import."""
    deed = {"accept": _accept, "discard": _discard}.get(request.POST.get("do", ""))
    if deed is None:
        raise Http404("No such deed.")
    one = _find(pk)
    if not deed(request, one):
        one.refresh_from_db()
        words = f"It is {one.state} already" + (f": {one.decided_by} was quicker." if one.decided_by else ".")
        messages.warning(request, words)
    return HttpResponseRedirect(html.url("ocpi_import_change", pk))


def _accept(request: HttpRequest, one: Import) -> bool:
    """Let it go on; False when somebody was quicker."""
    gone = (one.preview or {}).get("removed", 0)
    if one.state == Import.State.HELD and gone and request.POST.get("gone") != str(gone):
        messages.error(request, "Nothing was accepted: tick that you have checked what would be removed.")
        return True
    if not imports.accept(one, str(request.user)):
        return False
    _log(request, one, "Accepted.")
    messages.success(request, "Accepted: it is stored now.")
    return True


def _discard(request: HttpRequest, one: Import) -> bool:
    """Drop it; False when somebody was quicker."""
    reason = request.POST.get("reason", "").replace("\0", "").strip()[:LONGEST_REASON]
    note = "Discarded; nothing was stored." + (f" {reason}" if reason else "")
    if not imports.discard(one, str(request.user), note):
        return False
    _log(request, one, f"Discarded: {reason}" if reason else "Discarded.")
    messages.success(request, "Discarded: nothing was stored.")
    return True


def _log(request: HttpRequest, one: Import, message: str) -> None:
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, [one], CHANGE, message)
