"""PATCH: what a partial object makes of the stored one.

Source: OCPI 2.2.1 mod_locations, "PATCH Method"; NDW DOT-NL, "Push"; protocol §2.8.
"""

import datetime as dt
from typing import Any

from ocpi.rules import shape
from ocpi.rules.findings import ERROR, WARNING, Finding, in_order, shown
from ocpi.rules.profiles import DOT_NL_2026
from ocpi.rules.verdict import Verdict, check
from ocpi.schemas import CHILDREN, IDENTIFIERS, MODELS, Kind

Object = dict[str, Any]


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
        return dict(stored), [Finding("", "S-object", ERROR, f"The body is {shown(patch)}; expected an object")]
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
    return [Finding("/last_updated", "S-required", ERROR, "last_updated is missing; every PATCH needs it")]


def _same(stored: Object, name: str, value: str) -> list[Finding]:
    if value.lower() == _key(stored, name):
        return []
    message = f"{name} is {shown(value)}, but this is {shown(stored.get(name))}; identifiers never change"
    return [Finding(f"/{name}", "L-14", ERROR, message)]


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
        return [Finding(f"/{name}", "S-required", ERROR, f"{name} is null; it is required")]
    if name in DOT_NL_2026.fields(kind):
        return [Finding(f"/{name}", f"N-{name}", ERROR, f"{name} is null; DOT-NL demands it, so it cannot be cleared")]
    if _holds_children(kind, name):
        return [Finding(f"/{name}", "L-01", WARNING, f"{name} is null; they stay, for none is ever deleted")]
    merged.pop(name, None)
    return [Finding(f"/{name}", "S-null", WARNING, f"{name} is null and was cleared", "PUT removes values better.")]


def _put_children(kind: Kind, children: list[Object], items: list[Any]) -> list[Finding]:
    name, child, key = CHILDREN[kind]
    places = {_key(item, key): index for index, item in enumerate(children)}
    named: set[str | None] = set()
    findings: list[Finding] = []
    for index, item in enumerate(items):
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
    return [Finding(path + f.path, f.rule, f.severity, f.message, f.hint) for f in found if f.severity == ERROR]


def _named_twice(item: Any, key: str, named: set[str | None], path: str) -> list[Finding]:
    if _key(item, key) not in named:
        return []
    return [Finding(path, "L-29", ERROR, f"{key} {shown(item[key])} is named twice")]
