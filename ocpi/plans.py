"""The arithmetic of what stands between CPOs and NDW: who is ready, what holds back most EVSEs, what to mend first.

Locations that are alike in all that counts here are one Lot. Pure functions over Lots; `ocpi.overview` reads them.

Source: protocol §7.9; design §7 "Shown".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Lot(NamedTuple):
    """How many Locations of a tenant are alike, and their EVSEs."""

    tenant_id: int
    is_shown: bool
    publish: bool
    gaps: frozenset[str]
    warnings: frozenset[str]
    locations: int
    evses: int

    @property
    def is_held_back(self) -> bool:
        """Return whether gaps keep these from NDW, not the CPO's own wish."""
        return self.publish and not self.is_shown


class Line(NamedTuple):
    """How much one rule concerns; `alone` is how many EVSEs mending it alone sets free."""

    rule: str
    objects: int
    evses: int
    alone: int = 0


class Step(NamedTuple):
    """Rules to mend together, what that sets free, and what is free by then."""

    rules: tuple[str, ...]
    locations: int
    evses: int
    total: int


@dataclass(frozen=True)
class Standing:
    """Where one CPO, or all together, stands with NDW."""

    lots: tuple[Lot, ...]

    @property
    def locations(self) -> int:
        """Return how many Locations there are."""
        return sum(lot.locations for lot in self.lots)

    @property
    def shown(self) -> int:
        """Return how many Locations NDW sees."""
        return sum(lot.locations for lot in self.lots if lot.is_shown)

    @property
    def withheld(self) -> int:
        """Return how many Locations gaps keep from NDW."""
        return sum(lot.locations for lot in self.lots if lot.is_held_back)

    @property
    def unpublished(self) -> int:
        """Return how many Locations the CPO itself does not publish."""
        return sum(lot.locations for lot in self.lots if not lot.is_shown and not lot.publish)

    @property
    def evses(self) -> int:
        """Return how many EVSEs there are."""
        return sum(lot.evses for lot in self.lots)

    @property
    def held_back(self) -> int:
        """Return how many EVSEs gaps keep from NDW."""
        return sum(lot.evses for lot in self.lots if lot.is_held_back)

    @property
    def warned(self) -> int:
        """Return how many Locations have a warning."""
        return sum(lot.locations for lot in self.lots if lot.warnings)

    @property
    def is_ready(self) -> bool:
        """Return whether NDW sees all that the CPO publishes, and that is something."""
        return self.shown > 0 and self.withheld == 0

    @property
    def shown_percent(self) -> int:
        """Return the share that NDW sees, rounded down: 100 is all."""
        return 100 * self.shown // self.locations if self.locations else 0

    def gaps(self) -> list[Line]:
        """Return what each gap holds back: first what frees most when mended alone, then what holds back most."""
        found: dict[str, Line] = {}
        for lot in self.lots:
            for rule in lot.gaps if lot.is_held_back else ():
                line = found.get(rule, Line(rule, 0, 0))
                alone = lot.evses if len(lot.gaps) == 1 else 0
                found[rule] = Line(rule, line.objects + lot.locations, line.evses + lot.evses, line.alone + alone)
        return sorted(found.values(), key=lambda line: (-line.alone, -line.evses, line.rule))

    def warnings(self) -> list[Line]:
        """Return how much each warning concerns, most EVSEs first."""
        found: dict[str, Line] = {}
        for lot in self.lots:
            for rule in lot.warnings:
                line = found.get(rule, Line(rule, 0, 0))
                found[rule] = Line(rule, line.objects + lot.locations, line.evses + lot.evses)
        return most_first(found.values())

    def plan(self) -> list[Step]:
        """Return what to mend, in the order that sets EVSEs free soonest."""
        held: dict[frozenset[str], tuple[int, int]] = {}
        for lot in self.lots:
            if lot.is_held_back and lot.gaps:
                locations, evses = held.get(lot.gaps, (0, 0))
                held[lot.gaps] = locations + lot.locations, evses + lot.evses
        return plan(held)


def plan(held: Mapping[frozenset[str], tuple[int, int]]) -> list[Step]:
    """Return the steps for Locations held back: gaps -> (Locations, EVSEs).

    The rules that free most EVSEs for each rule mended go first, in the smallest steps that free anything: most often one
    rule, several only where none of them frees anything without the others.
    """
    steps: list[Step] = []
    total = 0
    while held:
        chosen = max(held, key=lambda gaps: _worth(gaps, held))
        while inside := [gaps for gaps in held if gaps < chosen]:
            chosen = max(inside, key=lambda gaps: _worth(gaps, held))
        locations, evses = held[chosen]
        total += evses
        steps.append(Step(tuple(sorted(chosen)), locations, evses, total))
        held = _without(chosen, held)
    return steps


def beginning(steps: list[Step]) -> Step:
    """Return the first steps of a plan as one: so many that they free most EVSEs for each rule mended."""
    rules: list[str] = []
    locations, sums = 0, []
    for step in steps:
        rules += step.rules
        locations += step.locations
        sums.append(Step(tuple(rules), locations, step.total, step.total))
    return max(sums, key=lambda one: one.evses / len(one.rules))


def _worth(gaps: frozenset[str], held: Mapping[frozenset[str], tuple[int, int]]) -> tuple[Any, ...]:
    """Return what to prefer gaps by: EVSEs for each rule, Locations for each rule, few rules, and always the same."""
    freed = [counts for others, counts in held.items() if others <= gaps]
    locations, evses = (sum(numbers) for numbers in zip(*freed, strict=True))
    return evses / len(gaps), locations / len(gaps), -len(gaps), sorted(gaps)


def _without(mended: frozenset[str], held: Mapping[frozenset[str], tuple[int, int]]) -> dict:
    left: dict[frozenset[str], tuple[int, int]] = {}
    for gaps, (locations, evses) in held.items():
        if still := gaps - mended:
            before = left.get(still, (0, 0))
            left[still] = before[0] + locations, before[1] + evses
    return left


def most_first(lines: Iterable[Line]) -> list[Line]:
    """Return lines in the order in which they concern EVSEs, then objects."""
    return sorted(lines, key=lambda line: (-line.evses, -line.objects, line.rule))
