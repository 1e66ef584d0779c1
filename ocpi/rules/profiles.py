"""Profiles: what a national access point demands beyond OCPI, and what the law will ask next, as data with a date.

A profile is in force (its gaps keep a Location from NDW) or advisory (it shows readiness and blocks nothing).

Source: NDW DOT-NL, "AFIR"; protocol §7.9; EU 2025/655; design §7.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ocpi.rules.findings import GAP, Finding, Rule, Text
from ocpi.schemas import CHILDREN, Kind

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Demand:
    """A field that OCPI leaves open and the profile demands, with a value: not null, not 0 and not empty."""

    field: str
    rule: Rule
    accepts_empty: bool = False

    def is_met(self, obj: Object) -> bool:
        """Return whether an object without nulls meets this demand."""
        return bool(obj.get(self.field)) or (self.accepts_empty and self.field in obj)


@dataclass(frozen=True, slots=True)
class Profile:
    """The demands of one access point, by the kind of object that has the field."""

    name: str
    since: dt.date
    title: Text
    demands: dict[Kind, tuple[Demand, ...]]

    def fields(self, kind: Kind) -> frozenset[str]:
        """Return the names of the fields demanded of one kind of object."""
        return frozenset(demand.field for demand in self.demands.get(kind, ()))


def _demand(field: str, english: str, dutch: str, hint: Text, *, accepts_empty: bool = False) -> Demand:
    source = 'NDW DOT-NL, "AFIR"; protocol §7.9'
    return Demand(field, Rule(f"no_{field}", f"N-{field}", GAP, source, Text(english, dutch), hint), accepts_empty)


DOT_NL_2026 = Profile(
    name="dot-nl-2026",
    since=dt.date(2026, 1, 1),
    title=Text("What DOT-NL demands beyond OCPI 2.2.1", "Wat DOT-NL eist boven OCPI 2.2.1"),
    demands={
        "location": (
            _demand(
                "opening_times",
                "opening_times is missing; DOT-NL demands it",
                "opening_times ontbreekt; DOT-NL eist het",
                Text(
                    'At least {{"twentyfourseven": true}}; otherwise false with regular_hours.',
                    'Ten minste {{"twentyfourseven": true}}; anders false met regular_hours.',
                ),
            ),
            _demand(
                "energy_mix",
                "energy_mix is missing; DOT-NL demands it",
                "energy_mix ontbreekt; DOT-NL eist het",
                Text(
                    'At least {{"is_green_energy": true}} or false.', 'Ten minste {{"is_green_energy": true}} of false.'
                ),
            ),
        ),
        "evse": (
            _demand(
                "parking_restrictions",
                "parking_restrictions is missing; DOT-NL demands it",
                "parking_restrictions ontbreekt; DOT-NL eist het",
                Text(
                    'A list such as ["EV_ONLY"]; [] when there are none.',
                    'Een lijst zoals ["EV_ONLY"]; [] als er geen zijn.',
                ),
                accepts_empty=True,
            ),
        ),
        "connector": (
            _demand(
                "max_electric_power",
                "max_electric_power is missing or 0; DOT-NL demands the power in watts",
                "max_electric_power ontbreekt of is 0; DOT-NL eist het vermogen in watt",
                Text("In watts, not kW: 22000 for 22 kW.", "In watt, niet kW: 22000 voor 22 kW."),
            ),
            _demand(
                "tariff_ids",
                "tariff_ids is missing or empty; DOT-NL demands at least one tariff",
                "tariff_ids ontbreekt of is leeg; DOT-NL eist ten minste één tarief",
                Text(
                    "Upload the Tariff and name its id. Free charging is a tariff too: one FLAT price of 0.",
                    "Upload het tarief en noem het id. Gratis laden is ook een tarief: één FLAT-prijs van 0.",
                ),
            ),
        ),
    },
)


def gaps(profile: Profile, kind: Kind, document: Object) -> list[Finding]:
    """Return a gap for every demand that a document in its shape leaves open, at any depth.

    A REMOVED EVSE meets the same demands. Source: protocol §7.9; design §7.
    """
    findings: list[Finding] = []
    if not _is_met(profile, kind, document):
        _collect(profile, kind, document, "", findings)
    return findings


def _is_met(profile: Profile, kind: Kind, obj: Object) -> bool:
    for demand in profile.demands.get(kind, ()):
        if not obj.get(demand.field) and not demand.is_met(obj):
            return False
    if kind not in CHILDREN:
        return True
    name, child, _ = CHILDREN[kind]
    for item in obj.get(name, ()):  # noqa: SIM110  (all() takes twice as long)
        if not _is_met(profile, child, item):
            return False
    return True


def _collect(profile: Profile, kind: Kind, obj: Object, path: str, findings: list[Finding]) -> None:
    for demand in profile.demands.get(kind, ()):
        if not demand.is_met(obj):
            findings.append(demand.rule.at(f"{path}/{demand.field}"))
    if kind in CHILDREN:
        name, child, _ = CHILDREN[kind]
        for index, item in enumerate(obj.get(name, ())):
            _collect(profile, child, item, f"{path}/{name}/{index}", findings)


# --- Advice: what the law asks next ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Advice:
    """Something a coming rule will ask of an object; `is_met` gets it and what else is known of its Location."""

    id: str
    kind: Kind
    text: Text
    is_met: Callable[[Object, "Surroundings"], bool]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands beside a Location: the properties OCPI 2.2.1 lacks, and the ids (lower case) of its ad-hoc tariffs."""

    unknown: Object
    ad_hoc_tariffs: frozenset[str]


_PAYMENT = frozenset(
    {"CHIP_CARD_SUPPORT", "CONTACTLESS_CARD_SUPPORT", "CREDIT_CARD_PAYABLE", "DEBIT_CARD_PAYABLE", "PED_TERMINAL"}
)
AFIR_2025_655 = "afir-2025-655"
AFIR_SINCE = dt.date(2026, 4, 14)
ADVICE = (
    Advice(
        "A-operator",
        "location",
        Text("the operator's name", "de naam van de exploitant"),
        lambda location, _: bool(location.get("operator", {}).get("name", "").strip("#NA ")),
    ),
    Advice(
        "A-help_phone",
        "location",
        Text(
            "a help desk's phone number (help_phone, kept apart until OCPI carries it)",
            "een telefoonnummer van de helpdesk (help_phone, apart bewaard tot OCPI het kent)",
        ),
        lambda _, around: bool(around.unknown.get("/help_phone") or around.unknown.get("/operator/help_phone")),
    ),
    Advice(
        "A-payment",
        "evse",
        Text(
            "a way to pay without a contract (capabilities)", "een manier om zonder contract te betalen (capabilities)"
        ),
        lambda evse, _: not _PAYMENT.isdisjoint(evse.get("capabilities", ())),
    ),
    Advice(
        "A-reference",
        "evse",
        Text("physical_reference or directions to find it", "physical_reference of directions om het te vinden"),
        lambda evse, _: bool(evse.get("physical_reference") or evse.get("directions")),
    ),
    Advice(
        "A-power",
        "evse",
        Text("the power of every connector", "het vermogen van elke connector"),
        lambda evse, _: all(connector.get("max_electric_power") for connector in evse["connectors"]),
    ),
    Advice(
        "A-ad_hoc",
        "evse",
        Text("an ad-hoc tariff we know", "een bekend tarief voor laden zonder contract"),
        lambda evse, around: any(
            tariff_id.lower() in around.ad_hoc_tariffs
            for connector in evse["connectors"]
            for tariff_id in connector.get("tariff_ids", ())
        ),
    ),
)


def readiness(location: Object, around: Surroundings) -> dict[str, tuple[int, int]]:
    """Return for each advice how many of a Location's objects meet it, of how many; REMOVED EVSEs do not count."""
    evses = [evse for evse in location.get("evses", ()) if evse["status"] != "REMOVED"]
    objects: dict[Kind, list[Object]] = {"location": [location], "evse": evses}
    return {
        advice.id: (sum(advice.is_met(obj, around) for obj in objects[advice.kind]), len(objects[advice.kind]))
        for advice in ADVICE
    }
