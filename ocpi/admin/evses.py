"""What a Location's page shows of its document: its fields and its EVSEs, each with what is to be mended beside it.

What CPOs wrote is escaped.
"""

import datetime as dt
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ocpi import documents
from ocpi.admin import tables
from ocpi.rules import GAP, Finding
from ocpi.rules.findings import in_order, shortened
from tenants import html

Document = dict[str, Any]

LONGEST_VALUE = 300
FEW = 20  # EVSEs with findings that are named on top
_HEAD = {"country_code", "party_id", "id", "evses"}  # told elsewhere on the page
_BELOW = re.compile(r"/evses/(\d+)(?:/connectors/(\d+))?(?:/|$)")


class Price(NamedTuple):
    """A Tariff that connectors name: where its page is and what a driver pays."""

    url: str
    line: str


@dataclass
class Beside:
    """Findings by what they concern; `top` are those of the whole, or of what the page does not show."""

    top: list[Finding] = field(default_factory=list)
    fields: dict[str, list[Finding]] = field(default_factory=dict)
    evses: dict[tuple[int, int | None], list[Finding]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: list[Finding], location: Document) -> "Beside":
        """Sort what was found, worst first."""
        beside = cls()
        for one in in_order(found):
            beside._put(one, location)
        return beside

    def _put(self, one: Finding, location: Document) -> None:
        evses = location.get("evses") or []
        below, name = _BELOW.match(one.path), one.path.partition("/")[2].partition("/")[0]
        if below and int(below[1]) < len(evses):
            self.evses.setdefault((int(below[1]), int(below[2]) if below[2] else None), []).append(one)
        elif name and name not in _HEAD and (name in location or one.severity == GAP):
            self.fields.setdefault(name, []).append(one)
        else:
            self.top.append(one)


def findings(beside: Beside, location: Document) -> SafeString | str:
    """Show what concerns the whole, and where the rest stands."""
    count = sum(map(len, beside.fields.values())) + sum(map(len, beside.evses.values()))
    if not count:
        return tables.findings(beside.top)
    words = ngettext(
        "%(count)s stands beside what it concerns:", "%(count)s stand beside what they concern:", count
    ) % {"count": count}
    links = [*_anchors(beside, location)]
    more = [_("… and %(count)s other EVSEs") % {"count": len(links) - FEW}] if len(links) > FEW else []
    pointer = format_html("<p>{} {}</p>", words, format_html_join(", ", "{}", ((one,) for one in links[:FEW] + more)))
    return format_html("{}{}", pointer, tables.findings(beside.top) if beside.top else "")


def _anchors(beside: Beside, location: Document) -> Iterator[SafeString]:
    for name in beside.fields:
        yield format_html('<a class="text-link" href="#field-{}">{}</a>', name, name)
    for index in sorted({evse for evse, place in beside.evses}):
        yield format_html('<a class="text-link" href="#evse-{}">{}</a>', index, location["evses"][index]["uid"])


def fields(beside: Beside, location: Document) -> SafeString | str:
    """Show the fields of the Location itself, also those that are missed."""
    names = [name for name in location if name not in _HEAD]
    names += [name for name in beside.fields if name not in location]
    rows = [
        (
            format_html('<span id="field-{}">{}</span>', name, name),
            _readable(location[name]) if name in location else format_html("<em>{}</em>", _("missing")),
            _notes(beside.fields.get(name, ()), f"/{name}"),
        )
        for name in names
    ]
    return html.table([_("Field"), _("Value"), _("To mend")], rows, _("None."))


def _readable(value: Any) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dict):
        return shortened(", ".join(f"{name}: {_readable(one)}" for name, one in value.items()), LONGEST_VALUE)
    if isinstance(value, list):
        return shortened("; ".join(map(_readable, value)), LONGEST_VALUE)
    return shortened(str(value), LONGEST_VALUE)


def _notes(found: Iterable[Finding], at: str) -> SafeString | str:
    """Show findings beside what stands `at` a place: where below it, and what."""
    language = tables.reader()
    return format_html_join(
        "",
        '<div class="beside">{} <span>{} {} <small>{} {}</small></span></div>',
        (
            (
                html.badge(one.severity, tables.SEVERITY_COLOURS),
                _below(one, at, one.said(language)),
                one.said(language),
                one.hinted(language),
                one.rule,
            )
            for one in found
        ),
    )


def _below(one: Finding, at: str, words: str) -> SafeString | str:
    rest = one.path.removeprefix(at).removeprefix("/")
    return format_html("<code>{}</code>", rest) if rest and not words.startswith(rest) else ""


# --- EVSEs -------------------------------------------------------------------------------------------------------------


def cards(
    beside: Beside, location: Document, prices: Mapping[str, Price], since: Mapping[str, dt.datetime]
) -> SafeString | str:
    """Show the EVSEs, those that are REMOVED folded away; `prices` by Tariff id in lower case, `since` when a status came."""
    found = [*enumerate(location.get("evses") or ())]
    made = {index: _evse(index, evse, beside, prices, since) for index, evse in found}
    kept = [(made[index],) for index, _ in documents.in_service(location)]
    gone = [(made[index],) for index, evse in found if evse["status"] == documents.REMOVED]
    if not found:
        return _("None.")
    shown = format_html('<div class="evses">{}</div>', format_html_join("", "{}", kept)) if kept else ""
    if not gone:
        return shown
    words = ngettext("%(count)s EVSE is REMOVED", "%(count)s EVSEs are REMOVED", len(gone)) % {"count": len(gone)}
    folded = '{}<details class="folded"><summary>{}</summary><div class="evses">{}</div></details>'
    return format_html(folded, shown, words, format_html_join("", "{}", gone))


def _evse(
    index: int, evse: Document, beside: Beside, prices: Mapping[str, Price], since: Mapping[str, dt.datetime]
) -> SafeString:
    return format_html(
        '<section class="evse" id="evse-{}"><h3>{} <small>{}</small></h3><p>{} <small>{}</small></p>{}{}{}</section>',
        index,
        evse["uid"],
        evse.get("evse_id", ""),
        _status(evse["status"]),
        _since(evse, since),
        _notes(beside.evses.get((index, None), ()), f"/evses/{index}"),
        _connectors(index, evse, beside, prices),
        _rest(evse),
    )


@functools.cache  # there are nine, and each is made by a template
def _status(word: str) -> SafeString:
    return html.badge(word, tables.STATUS_COLOURS)


def _since(evse: Document, since: Mapping[str, dt.datetime]) -> SafeString:
    """Show since when the status holds; where no upload tells, when the CPO last touched the EVSE."""
    if at := since.get(evse["uid"]):
        return format_html("{} {}", _("since"), html.time(at))
    return format_html("{} {}", _("updated"), html.time(dt.datetime.fromisoformat(evse["last_updated"])))


def _connectors(index: int, evse: Document, beside: Beside, prices: Mapping[str, Price]) -> SafeString | str:
    rows = [
        (
            f"{connector['id']}: {connector['standard']}, {connector['format'].lower()}",
            _power(connector),
            format_html(
                "{}{}",
                _tariffs(connector, prices),
                _notes(beside.evses.get((index, place), ()), f"/evses/{index}/connectors/{place}"),
            ),
        )
        for place, connector in enumerate(evse["connectors"])
    ]
    return html.table([_("Connector"), _("Power"), _("Price")], rows, _("None."))


def _tariffs(connector: Document, prices: Mapping[str, Price]) -> SafeString | str:
    return html.lines(_tariff(one, prices.get(one.lower())) for one in connector.get("tariff_ids", []))


def _tariff(tariff_id: str, price: Price | None) -> SafeString:
    if price is None:
        return format_html("{} <small>{}</small>", tariff_id, _("not uploaded"))
    return format_html('<a class="text-link" href="{}">{}</a> <small>{}</small>', price.url, tariff_id, price.line)


def _power(connector: Document) -> str:
    limits = f"{connector['power_type']}, {connector['max_voltage']} V, {connector['max_amperage']} A"
    power = connector.get("max_electric_power")
    return f"{html.number(power / 1000, 3)} kW ({limits})" if power else f"{html.NOTHING} ({limits})"


_TOLD = {"uid", "evse_id", "status", "connectors", "last_updated"}


def _rest(evse: Document) -> SafeString | str:
    """Show the other fields of an EVSE, small."""
    others = ((name.replace("_", " "), _readable(value)) for name, value in evse.items() if name not in _TOLD)
    lines = format_html_join(" · ", "{}: {}", others)
    return format_html('<p class="note">{}</p>', lines) if lines else ""
