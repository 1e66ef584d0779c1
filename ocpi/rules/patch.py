"""PATCH: what a partial object makes of the stored one.

Source: OCPI 2.2.1 mod_locations, "PATCH Method"; NDW DOT-NL, "Push"; protocol §2.8.
"""

import datetime as dt
from typing import Any

from ocpi.rules import shape
from ocpi.rules.findings import ERROR, WARNING, Finding, Rule, Text, in_order, shown
from ocpi.rules.profiles import DOT_NL_2026
from ocpi.rules.verdict import Verdict, check
from ocpi.schemas import CHILDREN, IDENTIFIERS, MODELS, Kind

Object = dict[str, Any]

_PATCH = 'OCPI 2.2.1 mod_locations, "PATCH Method"; protocol §2.8'
NO_OBJECT = Rule(
    "patch_is_no_object", "S-object", ERROR, _PATCH,
    Text("The body is {value}; expected an object", "De inhoud is {value}; verwacht: een object"),
)  # fmt: skip
UNDATED = Rule(
    "patch_undated", "S-required", ERROR, _PATCH,
    Text("last_updated is missing; every PATCH needs it", "last_updated ontbreekt; elke PATCH heeft het nodig"),
)  # fmt: skip
RENAMED = Rule(
    "identifier_changed", "L-14", ERROR, 'OCPI 2.2.1 mod_locations; NDW DOT-NL, "Push"; protocol §6.1 L-14',
    Text(
        "{name} is {value}, but this is {stored}; identifiers never change",
        "{name} is {value}, maar dit is {stored}; kenmerken veranderen nooit",
    ),
    Text("Leave it out, or use the URL of the other object.", "Laat het weg, of gebruik de URL van het andere object."),
)  # fmt: skip
DEMANDED = {
    demand.field: Rule(
        f"cleared_{demand.field}", demand.rule.id, ERROR, "protocol §2.8, §7.9",
        Text(
            "{name} is null; DOT-NL demands it, so it cannot be cleared",
            "{name} is null; DOT-NL eist het, dus het kan niet leeg",
        ),
        Text("Leave it out to keep its value.", "Laat het weg om de waarde te houden."),
    )
    for demands in DOT_NL_2026.demands.values()
    for demand in demands
}  # fmt: skip
CHILDREN_STAY = Rule(
    "children_stay", "L-01", WARNING, "protocol §2.8, §6.1 L-01",
    Text("{name} is null; they stay, for none is ever deleted", "{name} is null; ze blijven, want er wordt nooit een gewist"),
    is_repair=True,
)  # fmt: skip
CLEARED = Rule(
    "field_cleared", "S-null", WARNING, _PATCH,
    Text("{name} is null and was cleared", "{name} is null en is leeggemaakt"),
    Text("OCPI advises a PUT to remove a value.", "OCPI raadt een PUT aan om een waarde weg te halen."),
    is_repair=True,
)  # fmt: skip
NAMED_TWICE = Rule(
    "named_twice", "L-29", ERROR, "protocol §2.8, §6.1 L-29",
    Text("{name} {value} is named twice", "{name} {value} komt tweemaal voor"),
)  # fmt: skip


def check_patch(kind: Kind, stored: Object, patch: object, *, now: dt.datetime | None = None) -> Verdict:
    """Judge what the patch makes of the stored object: merge, then check. Errors of either refuse it."""
    merged, findings = merge(kind, stored, patch)
    verdict = check(kind, merged, now=now)
    findings = in_order(findings + verdict.findings)
    if findings and findings[0].severity == ERROR:
        return Verdict(kind, findings=findings, unknown=verdict.unknown)
    return Verdict(kind, verdict.document, verdict.body, findings, verdict.unknown)


def merge(kind: Kind, stored: Object, patch: object) -> tuple[Object, list[Finding]]:
    """Return the stored object with the patch applied, and what is wrong with the patch itself, at paths in the patch.

    Fields are replaced whole; `evses` of a Location and `connectors` of an EVSE are put one by one, and those not named
    stay. The result is yet to be checked: that finds wrong values and unknown properties. `stored` and `patch` stay as
    they are.

    Source: protocol §2.8.
    """
    if not isinstance(patch, dict):
        return dict(stored), [NO_OBJECT.at("", value=shown(patch))]
    merged, findings = dict(stored), _undated(patch)
    for name, value in patch.items():
        if value is None:
            findings += _clear(kind, merged, name)
        elif name in IDENTIFIERS[kind] and isinstance(value, str):
            findings += _same(stored, name, value)
        elif _holds_children(kind, name) and isinstance(value, list):
            merged[name] = list(stored.get(name, ()))
            findings += _put_children(kind, merged[name], value)
        else:
            merged[name] = value
    return merged, findings


def keep_spelling(kind: Kind, stored: Object, incoming: Object) -> Object:
    """Return `incoming` with the identifiers of the whole tree spelt as first stored, where they differ only by case.

    Source: protocol §2.10.
    """
    result = dict(incoming)
    for name in IDENTIFIERS[kind]:
        if _key(incoming, name) == _key(stored, name) is not None:
            result[name] = stored[name]
    if kind in CHILDREN:
        name, child, key = CHILDREN[kind]
        known = {_key(item, key): item for item in stored.get(name, ())}
        items = incoming.get(name)
        if isinstance(items, list):
            result[name] = [_spelt(child, known.get(_key(item, key)), item) for item in items]
    return result


def _spelt(kind: Kind, stored: Object | None, incoming: Any) -> Any:
    return incoming if stored is None else keep_spelling(kind, stored, incoming)


def _key(item: Any, name: str) -> str | None:
    value = item.get(name) if isinstance(item, dict) else None
    return value.lower() if isinstance(value, str) else None


def _undated(patch: Object) -> list[Finding]:
    if patch.get("last_updated") is not None:
        return []
    return [UNDATED.at("/last_updated")]


def _same(stored: Object, name: str, value: str) -> list[Finding]:
    if value.lower() == _key(stored, name):
        return []
    return [RENAMED.at(f"/{name}", name=name, value=shown(value), stored=shown(stored.get(name)))]


def _holds_children(kind: Kind, name: str) -> bool:
    return kind in CHILDREN and CHILDREN[kind][0] == name


def _clear(kind: Kind, merged: Object, name: str) -> list[Finding]:
    field = MODELS[kind].model_fields.get(name)
    if name == "last_updated":
        return []  # said already
    if field is None:
        merged[name] = None  # an unknown property: the check keeps it apart
        return []
    if field.is_required():
        return [shape.NULL.at(f"/{name}", name=name)]
    if name in DOT_NL_2026.fields(kind):
        return [DEMANDED[name].at(f"/{name}", name=name)]
    if _holds_children(kind, name):
        return [CHILDREN_STAY.at(f"/{name}", name=name)]
    merged.pop(name, None)
    return [CLEARED.at(f"/{name}", name=name)]


def _put_children(kind: Kind, children: list[Object], items: list[Any]) -> list[Finding]:
    name, child, key = CHILDREN[kind]
    places = {_key(item, key): index for index, item in enumerate(children)}
    named: set[str | None] = set()
    findings: list[Finding] = []
    for index, item in enumerate(items):
        if len(findings) >= shape.MAX_FINDINGS:
            return [*findings, shape.MORE_ERRORS.at(f"/{name}", count=len(items) - index)]
        wrong = _incomplete(child, item, f"/{name}/{index}") or _named_twice(item, key, named, f"/{name}/{index}/{key}")
        findings += wrong
        named.add(_key(item, key))
        if wrong:
            continue
        place = places.get(_key(item, key))
        if place is None:
            children.append(item)
        else:
            children[place] = keep_spelling(child, children[place], item)
    return findings


def _incomplete(kind: Kind, item: object, path: str) -> list[Finding]:
    found = shape.fit(kind, item)[1]
    return [finding.below(path) for finding in found if finding.severity == ERROR]


def _named_twice(item: Any, key: str, named: set[str | None], path: str) -> list[Finding]:
    if _key(item, key) not in named:
        return []
    return [NAMED_TWICE.at(path, name=key, value=shown(item[key]))]
