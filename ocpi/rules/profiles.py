"""Profiles: what a national access point demands beyond OCPI, as data.

Source: NDW DOT-NL, "AFIR"; protocol §7.9; design §7.
"""

from dataclasses import dataclass
from typing import Any

from ocpi.rules.findings import GAP, Finding
from ocpi.schemas import CHILDREN, Kind

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Demand:
    """A field that OCPI leaves open and the profile demands, with a value: not null, not 0 and not empty."""

    field: str
    message: str
    hint: str
    accepts_empty: bool = False

    def is_met(self, obj: Object) -> bool:
        """Return whether an object without nulls meets this demand."""
        return bool(obj.get(self.field)) or (self.accepts_empty and self.field in obj)


@dataclass(frozen=True, slots=True)
class Profile:
    """The demands of one access point, by the kind of object that has the field."""

    name: str
    demands: dict[Kind, tuple[Demand, ...]]

    def fields(self, kind: Kind) -> frozenset[str]:
        """Return the names of the fields demanded of one kind of object."""
        return frozenset(demand.field for demand in self.demands.get(kind, ()))


DOT_NL_2026 = Profile(
    name="DOT-NL 2026",
    demands={
        "location": (
            Demand("opening_times", "DOT-NL demands opening_times", 'At least {"twentyfourseven": true}.'),
            Demand("energy_mix", "DOT-NL demands energy_mix", 'At least {"is_green_energy": true} or false.'),
        ),
        "evse": (
            Demand(
                "parking_restrictions",
                "DOT-NL demands parking_restrictions",
                'A list such as ["EV_ONLY"]; [] when there are none.',
                accepts_empty=True,
            ),
        ),
        "connector": (
            Demand("max_electric_power", "DOT-NL demands max_electric_power, more than 0", "In watt, not kW."),
            Demand("tariff_ids", "DOT-NL demands at least one of tariff_ids", "Free charging is a tariff too."),
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
            at, rule = f"{path}/{demand.field}", f"N-{demand.field}"
            findings.append(Finding(at, rule, GAP, demand.message, demand.hint))
    if kind in CHILDREN:
        name, child, _ = CHILDREN[kind]
        for index, item in enumerate(obj.get(name, ())):
            _collect(profile, child, item, f"{path}/{name}/{index}", findings)
