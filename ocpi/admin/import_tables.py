"""What the admin says of an import, in its list and on its page: labels, bars, counts, and what became of its lines.

What CPOs sent is escaped.
"""

from collections.abc import Iterable
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from ocpi.admin import tables
from ocpi.imports import Result
from ocpi.models import Import
from ocpi.rules import RULES, Finding, listing
from ocpi.rules.findings import RANK, in_order, visible
from tenants import html

SAMPLES = 5  # ids beside a rule
LONGEST_ID = 36  # of what can be stored; what was refused may have any
STATE_COLOURS: dict[str, str] = {
    Import.State.QUEUED: "info",
    Import.State.RUNNING: "info",
    Import.State.HELD: "warning",
    Import.State.DONE: "success",
    Import.State.FAILED: "danger",
}
MODE_COLOURS = {gettext_noop("full"): "warning", gettext_noop("dry run"): "info"}
OUTCOME_COLOURS = {
    "created": "success",
    "updated": "info",
    "refused": "danger",
    "stale": "warning",
    "removed": "warning",
}
TILES = {
    gettext_noop("received"): gettext_noop("objects in the file"),
    gettext_noop("created"): gettext_noop("new here"),
    gettext_noop("updated"): gettext_noop("changed"),
    gettext_noop("unchanged"): gettext_noop("as they were"),
    gettext_noop("refused"): gettext_noop("not stored: errors"),
    gettext_noop("stale"): gettext_noop("older than what is stored"),
    gettext_noop("removed"): gettext_noop("EVSEs set REMOVED"),
    gettext_noop("warned"): gettext_noop("accepted, with findings"),
}


def modes(one: Import) -> SafeString | str:
    """Return labels for what is not the usual: a full set, a dry run."""
    words = ["full"] * (one.mode == Import.Mode.FULL) + ["dry run"] * one.is_dry_run
    return format_html_join(" ", "{}", ((html.badge(word, MODE_COLOURS),) for word in words)) or _("upsert")


def short_counts(one: Import) -> str:
    """Return the counts of outcomes that are not 0, in a line; why, of an import that is held or came to nothing."""
    if one.state in (Import.State.HELD, Import.State.FAILED, Import.State.DISCARDED):
        return one.note
    names = ("created", "updated", "unchanged", "refused", "stale", "removed")
    words = " · ".join(f"{html.number(one.counts[name])} {_(name)}" for name in names if one.counts.get(name))
    return _("would be: %(words)s") % {"words": words} if words and is_preview(one) else words or html.NOTHING


def is_preview(one: Import) -> bool:
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
        return _("waits for its turn") if one.state == Import.State.QUEUED else ""
    words = [one.get_phase_display().lower()]
    if one.rate is not None:
        words.append(_("%(count)s a second") % {"count": html.number(one.rate)})
    if one.eta_s is not None:
        words.append(_("%(span)s left") % {"span": span(one.eta_s)})
    return ", ".join(words)


def span(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 10:
        return html.seconds(1000 * seconds)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest} if minutes else f"{rest} s"
    return _("%(hours)s h %(minutes)s min") % {"hours": html.number(minutes // 60), "minutes": minutes % 60}


def tiles(one: Import) -> list[dict[str, str]]:
    """Return every count with what it means."""
    words = TILES | ({"removed": gettext_noop("Tariffs deleted")} if one.kind == Import.Kind.TARIFF else {})
    return [{"name": name, "title": _(name), "words": _(words[name]), "number": _count(one, name)} for name in TILES]


def _count(one: Import, name: str) -> str:
    """Return a count; of what was only scanned, with all that the set lacks."""
    scanned = (one.preview or {}).get("counts") if is_preview(one) else None
    return html.number((scanned or one.counts).get(name, 0))


def live(one: Import) -> dict[str, str]:
    """Return the words that change while it runs."""
    return {"percent": _percent(one), "pace": _pace(one)} | {name: _count(one, name) for name in TILES}


def _size(size: int) -> str:
    """Return how many bytes that is, as people say it."""
    if size >= 100_000:
        return f"{html.number(size / 1_000_000, 1)} MB"
    return f"{html.number(size / 1000, 1)} kB"


def was_held(one: Import) -> bool:
    """Return whether its note says why it was held, and somebody has accepted it since."""
    return bool(one.decided_by) and one.state not in (Import.State.FAILED, Import.State.DISCARDED)


def facts(one: Import) -> list[tuple[str, object]]:
    """Return what else there is to say, each with its name."""
    said: list[tuple[str, object]] = [
        (_("Sent by"), one.origin or html.NOTHING),
        (_("Received"), html.time(one.created_at)),
        (_("Size"), _size(one.size)),
    ]
    if one.finished_at:
        took = span((one.finished_at - one.created_at).total_seconds())
        said.append((_("Ended"), format_html(_("{at}, after {took}"), at=html.time(one.finished_at), took=took)))
    if one.rate is not None and one.state == Import.State.DONE:
        said.append((_("Rate"), _("%(count)s objects a second") % {"count": html.number(one.rate)}))
    if one.decided_by:
        said.append((_("Discarded by") if one.state == Import.State.DISCARDED else _("Accepted by"), one.decided_by))
    if was_held(one):
        said.append((_("Was held"), one.note))
    if one.key:
        said.append(("Idempotency-Key", one.key))
    return [*said, ("Id", one.pk)]


# --- Tables ------------------------------------------------------------------------------------------------------------


class Objects:
    """The stored objects that a page names, found at once; links to their pages."""

    def __init__(self, one: Import, told: Iterable[Result]) -> None:
        self.kind = one.kind
        named = {result.id for result in told if result.id}
        named.update(*(counted["sample"] for counted in one.rules.values()))
        named.update(*(one.preview or {}).get("samples", {}).values())
        stored: Any = one.tenant.tariffs if one.kind == Import.Kind.TARIFF else one.tenant.locations
        ids = {name.lower() for name in named if len(name) <= LONGEST_ID}
        found = stored.filter(ocpi_key__in=ids)
        self.pks: dict[str, int] = dict(found.values_list("ocpi_key", "pk"))

    def link(self, ocpi_id: str | None) -> SafeString | str:
        """Return an id, as a link where there is something to see."""
        if ocpi_id is None:
            return html.NOTHING
        pk = self.pks.get(ocpi_id.lower())
        return html.link(ocpi_id, f"ocpi_{self.kind}_change", pk) if pk else visible(ocpi_id)

    def links(self, ocpi_ids: Iterable[str]) -> SafeString | str:
        """Return ids in a line."""
        return format_html_join(", ", "{}", ((self.link(ocpi_id),) for ocpi_id in ocpi_ids)) or html.NOTHING


def would_be(one: Import, objects: Objects) -> SafeString | str:
    """Show what was found to become of the lines of a set that has not been stored, with examples."""
    samples, preview = (one.preview or {}).get("samples", {}), one.preview or {}
    counts = preview.get("counts", {})
    rows = [
        (html.badge(name, OUTCOME_COLOURS), _how_many(one, name, counts[name]), objects.links(samples.get(name, [])))
        for name in ("removed", "created", "updated", "unchanged", "refused", "stale")
        if counts.get(name)
    ]
    headers = [_("Would be"), _("How many"), _("For example")]
    return html.table(headers, rows, _("Nothing is in the file.")) if counts else ""


def _how_many(one: Import, name: str, count: int) -> SafeString | str:
    """Say what is counted: EVSEs are removed, in Locations that the file lacks or that lack them."""
    if name != "removed" or one.kind == Import.Kind.TARIFF:
        return html.number(count)
    missing = (one.preview or {}).get("missing", 0)
    words = ngettext("%(count)s Location is not in the file", "%(count)s Locations are not in the file", missing) % {
        "count": html.number(missing)
    }
    return html.lines([_("%(count)s EVSEs") % {"count": html.number(count)}, *[words] * bool(missing)])


def by_rule(one: Import, objects: Objects) -> SafeString | str:
    """Show the findings by rule, the worst and most frequent first."""
    found = sorted(one.rules.items(), key=lambda item: (RANK.get(item[1]["severity"], 0), -item[1]["count"]))
    rows = [
        (
            html.badge(counted["severity"], tables.SEVERITY_COLOURS),
            _rule_link(counted["rule"]),
            _rule_words(name),
            html.number(counted["count"]),
            objects.links(counted["sample"][:SAMPLES]),
        )
        for name, counted in found
    ]
    headers = [_("Severity"), _("Rule"), _("What"), _("Findings"), _("For example")]
    return html.table(headers, rows, _("None: nothing to mend."))


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


def by_line(told: Iterable[Result], objects: Objects) -> SafeString | str:
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
    return html.table([_("Line"), "Id", _("Outcome"), _("First finding")], rows, "")


def _first_finding(found: list[Finding]) -> SafeString | str:
    if not found:
        return html.NOTHING
    more = _("and %(count)s more") % {"count": html.number(len(found) - 1)} if len(found) > 1 else ""
    said = found[0].said(tables.reader())
    return format_html("{} <code>{}</code> {} <small>{}</small>", found[0].rule, found[0].path or "/", said, more)
