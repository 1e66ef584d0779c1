"""How a rule of the book that looks at one object is written down.

A check is one entry, a decorated function, whose name is the rule's:

    @rule(EVSE, id="L-15", severity=WARNING, source="…", message=("English", "Nederlands"), trigger='"parking…":\\[')
    def empty_parking_restrictions(evse: Object) -> Hits: ...

The function gets one object of the models it is made for, as a dict that has its shape and no nulls, and returns the
JSON Pointers below that object where the rule is broken, or None; as a dict, each with more values for the message.
Message and hint may name the object's fields, and `value` for what stands at the pointer.

Most rules can only hit where the canonical JSON has a certain text: that is their `trigger`, a regex (Rust's) that
begins with a quote, matches wherever the rule could hit, and seldom elsewhere. One scan then spares nearly all objects
nearly all rules. A rule without trigger runs on every upload, so it looks first at what lets most objects pass.

Ids are those of protocol §6; what the protocol demands without a number is S-….
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ocpi.rules.findings import Finding, Rule, Severity, Text, shown
from ocpi.schemas import OcpiObject

Object = dict[str, Any]
Hits = list[str] | dict[str, Object] | None
Look = Callable[[Object], Hits]


@dataclass(frozen=True, slots=True)
class Check:
    """A rule and how its breaches are found: where to look, when to look at all, and the look itself."""

    rule: Rule
    models: tuple[type[OcpiObject], ...]
    trigger: str
    look: Look

    def findings(self, obj: Object, path: str, hits: list[str] | dict[str, Object]) -> list[Finding]:
        """Return the findings for hits below `obj`, which stands at `path`."""
        return [self._finding(obj, path, hit, hits[hit] if isinstance(hits, dict) else {}) for hit in hits]

    def _finding(self, obj: Object, path: str, pointer: str, more: Object) -> Finding:
        values = {name: obj[name] for name in self.rule.fields if name in obj} | more
        if "value" in self.rule.fields:
            values.setdefault("value", _at(obj, pointer))
        return self.rule.at(path + pointer, **{name: _said(value) for name, value in values.items()})


class Words(str):
    """A value that is said as it is; any other is shown as JSON."""


def _said(value: object) -> str:
    return value if isinstance(value, Words) else shown(value)


def rule(
    *models: type[OcpiObject],
    id: str,
    severity: Severity,
    source: str,
    message: tuple[str, str],
    hint: tuple[str, str] = ("", ""),
    trigger: str = "",
) -> Callable[[Look], Check]:
    """Make a rule of a function, for every object of `models`; texts are English and Dutch."""

    def made(look: Look) -> Check:
        name = look.__name__
        return Check(Rule(name, id, severity, source, Text(*message), Text(*hint)), models, trigger, look)

    return made


def _at(obj: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        obj = obj[int(step)] if isinstance(obj, list) else obj.get(step)
    return obj
