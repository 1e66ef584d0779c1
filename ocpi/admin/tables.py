"""Tables on the admin's pages of Locations, Tariffs and Pushes: what a person wants to see of a document or an answer.

Documents hold what CPOs wrote and answers what NDW wrote: everything here goes through `tenants.html`, which escapes it.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from ocpi.models import Push, PushAttempt
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


def findings(found: list[Document]) -> SafeString | str:
    """Show what the last verdict found, worst first."""
    rows = [
        (
            html.badge(one["severity"], SEVERITY_COLOURS),
            format_html("<code>{}</code>", one["path"] or "/"),
            html.lines(filter(None, [one["message"], one["hint"]])),
            one["rule"],
        )
        for one in found
    ]
    return html.table(["Severity", "Where", "What", "Rule"], rows, "None: nothing to mend.")


def evses(location: Document) -> SafeString | str:
    """Show the EVSEs of a Location, a line for each connector."""
    rows = [
        (
            html.lines([evse["uid"], evse.get("evse_id", "")]),
            html.badge(evse["status"], STATUS_COLOURS),
            html.lines(_plug(connector) for connector in evse["connectors"]),
            html.lines(_power(connector) for connector in evse["connectors"]),
            html.lines(", ".join(connector.get("tariff_ids", [])) or html.NOTHING for connector in evse["connectors"]),
        )
        for evse in location.get("evses") or []
    ]
    return html.table(["EVSE", "Status", "Connectors", "Power", "Tariffs"], rows, "None.")


def _plug(connector: Document) -> str:
    return f"{connector['id']}: {connector['standard']}, {connector['format'].lower()}"


def _power(connector: Document) -> str:
    limits = f"{connector['power_type']}, {connector['max_voltage']} V, {connector['max_amperage']} A"
    power = connector.get("max_electric_power")
    return f"{power / 1000:g} kW ({limits})" if power else f"{html.NOTHING} ({limits})"


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
    return html.table(["Element", "Price, without VAT", "Applies when"], rows, "None.")


def _price(component: Document, currency: str) -> str:
    units = {"ENERGY": " per kWh", "TIME": " per hour", "PARKING_TIME": " per hour parked", "FLAT": " per session"}
    vat = f", VAT {component['vat']:g} %" if "vat" in component else ""
    return f"{component['price']:g} {currency}{units.get(component['type'], '')}{vat}, step {component['step_size']}"


def _restrictions(restrictions: Document) -> Iterator[str]:
    if not restrictions:
        yield "always"
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
    empty = "None: NDW has not been sent this object, for it is not shown or its tenant has no Connection."
    return html.table(["Over", "State", "Waiting since", "Last accepted", "Answer"], rows, empty)


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
    return html.table(["Sent", "Method", "Outcome", "HTTP", "OCPI", "Took", "Answer"], rows, "None yet.")


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
