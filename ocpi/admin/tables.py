"""Tables on the admin's pages of Locations, Tariffs and Pushes: what a person wants to see of a document or an answer.

Documents hold what CPOs wrote and answers what NDW wrote: everything here goes through `tenants.html`, which escapes it.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext_lazy, gettext_noop
from django.utils.translation import gettext as _

from ocpi.models import Push, PushAttempt
from ocpi.overview import Fill
from ocpi.rules import LANGUAGES, RULES, Finding, Language, Severity
from ocpi.rules import prices as prices_of
from ocpi.rulings import Do
from tenants import html

Document = dict[str, Any]

PUSH_COLOURS = {
    "delivered": "success",
    "dirty": "info",
    "sending": "info",
    "rejected": "danger",
    "blocked": "warning",
}
OUTCOME_COLOURS: dict[str, str] = {
    Do.DELIVERED: "success",
    Do.RETRY: "warning",
    Do.WHOLE: "info",
    Do.SPLIT: "info",
    Do.THROTTLED: "warning",
    Do.REAUTHENTICATE: "info",
    Do.REJECTED: "danger",
    Do.QUARANTINED: "danger",
    Do.PAUSE: "danger",
}
STATUS_COLOURS = {
    "AVAILABLE": "success",
    "CHARGING": "info",
    "RESERVED": "info",
    "BLOCKED": "warning",
    "INOPERATIVE": "danger",
    "OUTOFORDER": "danger",
}
SEVERITY_COLOURS = {"error": "danger", "gap": "danger", "warning": "warning"}
READY_COLOURS = {
    gettext_noop("met"): "success",
    gettext_noop("in part"): "warning",
    gettext_noop("not met"): "warning",
    gettext_noop("nothing there"): "info",
}
KINDS = {"location": gettext_lazy("Locations"), "tariff": gettext_lazy("Tariffs"), "evse": gettext_lazy("EVSEs")}
# Words of states and kinds, which the API knows in English: `html.badge` says them in the reader's language.
WORDS = [
    *(gettext_noop("delivered"), gettext_noop("dirty"), gettext_noop("sending"), gettext_noop("blocked")),
    *(gettext_noop("rejected"), gettext_noop("withheld"), gettext_noop("quarantined"), gettext_noop("pause")),
    *(gettext_noop("retry"), gettext_noop("whole"), gettext_noop("split"), gettext_noop("throttled")),
    *(gettext_noop("new token"), gettext_noop("error"), gettext_noop("gap"), gettext_noop("warning")),
    *(gettext_noop("queued"), gettext_noop("running"), gettext_noop("held"), gettext_noop("done")),
    *(gettext_noop("failed"), gettext_noop("discarded"), gettext_noop("location"), gettext_noop("tariff")),
    *(gettext_noop("Location"), gettext_noop("Tariff")),
]
FEW = 3  # rules of one id that are told in full


def reader() -> Language:
    """Return the language of whoever looks."""
    return "nl" if (get_language() or "").startswith("nl") else "en"


def findings(found: Iterable[Finding]) -> SafeString | str:
    """Show what is to be mended, worst first, in the reader's language."""
    language = reader()
    rows = [
        (
            html.badge(one.severity, SEVERITY_COLOURS),
            format_html("<code>{}</code>", one.path or "/"),
            html.lines(filter(None, [one.said(language), one.hinted(language)])),
            one.rule,
        )
        for one in found
    ]
    return html.table([_("Severity"), _("Where"), _("What"), _("Rule")], rows, _("None: nothing to mend."))


def rule_words(rule_id: str, severity: Severity) -> list[str]:
    """Return what the rules of an id say in general, with their hints when they are few, in the reader's language."""
    rules = [rule for rule in RULES.values() if (rule.id, rule.severity, rule.is_repair) == (rule_id, severity, False)]
    found = [Finding("", rule) for rule in rules[:FEW]]
    words = [text for one in found for text in (one.said(reader()), one.hinted(reader()) if len(rules) < FEW else "")]
    return list(dict.fromkeys(filter(None, words)))


def readiness(fills: Iterable[Fill]) -> SafeString | str:
    """Show how many objects meet each advice."""
    rows = [
        (
            one.advice.text.to(reader()),
            html.badge(_met(one), READY_COLOURS),
            _("%(part)s of %(of)s %(things)s")
            % {"part": html.number(one.met), "of": html.number(one.of), "things": KINDS[one.advice.kind]},
            html.bar(one.met, one.of),
        )
        for one in fills
    ]
    return html.table([_("What"), _("Advice"), _("Met by"), ""], rows, _("None."))


def _met(one: Fill) -> str:
    if not one.of:
        return "nothing there"
    return "met" if one.met == one.of else "in part" if one.met else "not met"


def price_words(tariff: Document) -> SafeString | str:
    """Show what a driver pays, in both languages."""
    return html.lines(f"{language}: {prices_of.price_line(tariff, language)}" for language in LANGUAGES)


def prices(tariff: Document) -> SafeString | str:
    """Show the elements of a Tariff in their order: the first that fits is what is paid."""
    rows = [
        (
            number,
            html.lines(_price(component, tariff["currency"]) for component in element["price_components"]),
            html.lines(_restrictions(element.get("restrictions") or {})),
        )
        for number, element in enumerate(tariff["elements"], 1)
    ]
    return html.table([_("Element"), _("Price, without VAT"), _("Applies when")], rows, _("None."))


def _price(component: Document, currency: str) -> str:
    units = {
        "ENERGY": _("per kWh"),
        "TIME": _("per hour"),
        "PARKING_TIME": _("per hour parked"),
        "FLAT": _("per session"),
    }
    price = f"{html.number(component['price'], 4)} {currency} {units.get(component['type'], '')}".rstrip()
    vat = _("VAT %(vat)s %%") % {"vat": html.number(component["vat"], 4)} if "vat" in component else ""
    return ", ".join(filter(None, [price, vat, _("step %(size)s") % {"size": component["step_size"]}]))


def _restrictions(restrictions: Document) -> Iterator[str]:
    if not restrictions:
        yield _("always")
    for name, value in restrictions.items():
        yield f"{name.replace('_', ' ')}: {', '.join(map(str, value)) if isinstance(value, list) else value}"


def deliveries(pushes: Iterable[Push]) -> SafeString | str:
    """Show where an object stands with NDW, over each Connection."""
    rows = [
        (
            html.link(one.connection, "ocpi_push_change", one.pk),
            html.badge(one.shown_state, PUSH_COLOURS),  # type: ignore[attr-defined]
            html.time(one.changed_at),
            html.time(one.accepted_at),
            words(one.last_answer),
        )
        for one in pushes
    ]
    empty = _("None: NDW has not been sent this object, for it is not shown or its tenant has no Connection.")
    return html.table([_("Over"), _("State"), _("Waiting since"), _("Last accepted"), _("Answer")], rows, empty)


def attempts(made: Iterable[PushAttempt]) -> SafeString | str:
    """Show requests to NDW."""
    rows = [
        (
            html.link(html.time(one.started_at), "ocpi_pushattempt_change", one.pk),
            one.method,
            outcome(one),
            one.http_status or html.NOTHING,
            one.ocpi_status or html.NOTHING,
            f"{one.took_ms} ms",
            words(one.answer),
        )
        for one in made
    ]
    headers = [_("Sent"), _("Method"), _("Outcome"), "HTTP", "OCPI", _("Took"), _("Answer")]
    return html.table(headers, rows, _("None yet."))


def outcome(attempt: PushAttempt) -> SafeString:
    """Show what the answer meant; the column holds its beginning."""
    full = next((do.value for do in Do if do.startswith(attempt.outcome)), attempt.outcome)
    return html.badge(full, OUTCOME_COLOURS)


def words(answer: str) -> str:
    """Return what NDW said, without the envelope around it: `OCPI 2001: evse_id is not known`."""
    reason, brace, rest = answer.partition("{")
    envelope = _parsed(brace + rest)
    if isinstance(envelope, dict) and "status_code" in envelope:
        message = envelope.get("status_message")
        answer = ": ".join(filter(None, [reason.strip(), message if isinstance(message, str) else ""]))
    return answer if len(answer) <= 200 else f"{answer[:199]}…"


def answer(text: str) -> SafeString | str:
    """Show an answer in full; JSON indented."""
    parsed = _parsed(text)
    return html.document(text if parsed is None else parsed) if text else html.NOTHING


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
