"""How a rule of the book is written down.

A rule is one entry, a decorated function:

    @rule(EVSE, id="N-parking_restrictions", severity=WARNING, source="…", message="…", trigger='"parking…":\\[')
    def no_parking_restrictions(evse: Object) -> Hits: ...

The function gets one object of the models it is made for, as a dict that has its shape and no nulls, and returns the
JSON Pointers below that object where the rule is broken, or None. The message may name the object's fields, and `value`
for what stands at the pointer.

Most rules can only hit where the canonical JSON has a certain text: that is their `trigger`, a regex (Rust's) that
begins with a quote, matches wherever the rule could hit, and seldom elsewhere. One scan then spares nearly all objects
nearly all rules. A rule without trigger runs on every upload, so it looks first at what lets most objects pass.

Ids are those of protocol §6; what the protocol demands without a number is S-….
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ocpi.rules.findings import Finding, Severity, shown
from ocpi.schemas import OcpiObject

Object = dict[str, Any]
Hits = list[str] | None
Check = Callable[[Object], Hits]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: where it looks, what it says when `check` hits, how bad that is, and who says so."""

    models: tuple[type[OcpiObject], ...]
    id: str
    severity: Severity
    source: str
    message: str
    hint: str
    trigger: str
    check: Check

    def finding(self, obj: Object, path: str, pointer: str) -> Finding:
        """Return the finding for a hit at `pointer` below `obj`, which stands at `path`."""
        values = {name: shown(value) for name, value in obj.items()} | {"value": shown(_at(obj, pointer))}
        return Finding(path + pointer, self.id, self.severity, self.message.format_map(values), self.hint)


def rule(
    *models: type[OcpiObject],
    id: str,
    severity: Severity,
    source: str,
    message: str,
    hint: str = "",
    trigger: str = "",
) -> Callable[[Check], Rule]:
    """Make a rule of a check, for every object of `models`."""
    return lambda check: Rule(models, id, severity, source, message, hint, trigger, check)


def _at(obj: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        obj = obj[int(step)] if isinstance(obj, list) else obj.get(step)
    return obj
