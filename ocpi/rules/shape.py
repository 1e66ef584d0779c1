"""Fit a document to its OCPI shape: valid ones in one pass, harmless deviations mended, all others reported at once.

Mended are an unknown property (taken out and kept apart), 16.0 for an int, a language in capitals, and a DateTime
without Z or with another number of fraction digits. Each is exact: no instant and no value changes.

Source: OCPI 2.2.1 transport_and_format, "Cardinality"; protocol §2.6, §5.1.
"""

import difflib
import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ocpi.rules.findings import ERROR, WARNING, Finding, Severity, Step, pointer, shortened, shown, visible
from ocpi.schemas import PROPERTY_NAMES, VALIDATORS, Kind
from ocpi.schemas.types import DATE_TIME, INT, LANGUAGE, LANGUAGES, MAX_INT

MAX_FINDINGS = 100  # of one kind; who sends more wrong values than this has one mistake, not many

_LOOSE_DATE_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,3}))?Z?")
_OWN_RULES = {"time_zone": "L-24", "elements": "T-01", "price_components": "T-01"}  # where the protocol has a number
_BUILT_IN = {  # pydantic's own error types: our rule, and what is expected
    "bool_type": ("S-boolean", "true or false"),
    "dict_type": ("S-object", "an object"),
    "list_type": ("S-list", "a list"),
    "literal_error": ("S-enum", "{expected}"),
    "too_short": ("S-items", "at least {min_length} item"),
    "too_long": ("S-items", "at most {max_length} items"),
}


def _squash(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


_PROPERTIES = {_squash(name): name for name in PROPERTY_NAMES}

Fit = tuple[dict[str, Any] | None, list[Finding], dict[str, Any]]


def fit(kind: Kind, document: object) -> Fit:
    """Return `document` as a new dict in the schema's field order, or None; findings; unknown properties by pointer.

    `document` stays as it is; its nulls are kept.
    """
    try:
        return VALIDATORS[kind].validate_python(document), [], {}
    except ValidationError as error:
        return _mended(kind, _copy(document), error)


def _mended(kind: Kind, document: Any, error: ValidationError) -> Fit:
    notes: list[Finding] = []
    unknown: dict[str, Any] = {}
    while True:
        errors = error.errors(include_url=False)
        mended = [details for details in errors if _mend(document, details, notes, unknown)]
        if not mended:  # soon, for what was mended never fails in the same way again
            return None, _errors(errors) + notes + _warnings(unknown), unknown
        try:
            return VALIDATORS[kind].validate_python(document), notes + _warnings(unknown), unknown
        except ValidationError as remaining:
            error = remaining


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _mend(document: Any, details: ErrorDetails, notes: list[Finding], unknown: dict[str, Any]) -> bool:
    steps, given = details["loc"], details["input"]
    if details["type"] == "extra_forbidden":
        unknown[pointer(*steps)] = _storable(_parent(document, steps).pop(steps[-1]))
        return True
    meant = _meant(details["type"], given)
    if meant is None:
        return False
    _parent(document, steps)[steps[-1]] = meant
    if details["type"] == LANGUAGE:
        message = f"{_name(steps)} is {shown(given)}; sent on as {shown(meant)}"
        notes.append(Finding(pointer(*steps), "S-language", WARNING, message))
    return True


def _meant(kind: str, value: object) -> Any:
    """Return what a refused value says beyond doubt, None when nothing."""
    match value:
        case float() if kind == INT and value.is_integer() and abs(value) <= MAX_INT:
            return int(value)
        case str() if kind == DATE_TIME and canonical_time(value) != value:
            return canonical_time(value)
        case str() if kind == LANGUAGE and value.lower() in LANGUAGES:
            return value.lower()
    return None


def _parent(document: Any, steps: tuple[str | int, ...]) -> Any:
    for step in steps[:-1]:
        document = document[step]
    return document


def canonical_time(date_time: str) -> str | None:
    """Return a DateTime in the one form we store, None when it has no OCPI form; the calendar is not looked at."""
    match = _LOOSE_DATE_TIME.fullmatch(date_time)
    if match is None:
        return None
    fraction = (match[2] or "").ljust(3, "0")
    return f"{match[1]}Z" if fraction == "000" else f"{match[1]}.{fraction}Z"


def _storable(value: Any) -> Any:
    # What no schema has looked at still has to pass a JSON writer (no Inexact) and PostgreSQL (no NUL).
    if isinstance(value, dict):
        return {key: _storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _warnings(unknown: dict[str, Any]) -> list[Finding]:
    return [_unknown(path) for path in list(unknown)[:MAX_FINDINGS]] + _more(len(unknown), "S-unknown", WARNING)


def _unknown(path: str) -> Finding:
    name = path.rpartition("/")[2]
    meant = _PROPERTIES.get(_squash(name), name)
    message = f"{visible(name)} is no property of OCPI 2.2.1 here; it is kept apart and not sent on"
    hint = f"Did you mean {meant}?" if meant != name else ""
    return Finding(shortened(path, 250), "S-unknown", WARNING, message, hint)


def _errors(errors: list[ErrorDetails]) -> list[Finding]:
    return [_error(details) for details in errors[:MAX_FINDINGS]] + _more(len(errors), "S-more", ERROR)


def _more(count: int, rule: str, severity: Severity) -> list[Finding]:
    hidden = count - MAX_FINDINGS
    return [Finding("", rule, severity, f"{hidden} more like these are not listed")] if hidden > 0 else []


def _error(details: ErrorDetails) -> Finding:
    steps, value = details["loc"], details["input"]
    path, name = pointer(*steps), _name(steps)
    if details["type"] == "missing":
        return Finding(path, "S-required", ERROR, f"{name} is missing; it is required")
    rule, expected = _expectation(details)
    is_null_field = value is None and bool(steps) and isinstance(steps[-1], str)
    message = f"{name} is {shown(value)}; expected {expected}"
    return Finding(path, "S-required" if is_null_field else rule, ERROR, message, _hint(details))


def _expectation(details: ErrorDetails) -> tuple[str, str]:
    own = _OWN_RULES.get(str(details["loc"][-1])) if details["loc"] else None
    if details["type"] not in _BUILT_IN:
        return own or f"S-{details['type']}", details["msg"]
    rule, expected = _BUILT_IN[details["type"]]
    return own or rule, expected.format(**details.get("ctx", {}))


def _name(steps: tuple[Step, ...]) -> str:
    match steps:
        case ():
            return "The body"
        case (*_, str(name), int(index)):
            return f"{name}[{index}]"
        case _:
            return str(steps[-1])


def _hint(details: ErrorDetails) -> str:
    value = details["input"]
    if details["type"] != "literal_error" or not isinstance(value, str):
        return ""
    allowed = {_squash(word): word for word in re.findall(r"'([^']+)'", details["ctx"]["expected"])}
    close = difflib.get_close_matches(_squash(value[:50]), allowed, 1)
    return f"Did you mean {allowed[close[0]]}?" if close else ""
