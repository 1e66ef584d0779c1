"""Fit a document to its OCPI shape: valid ones in one pass, harmless deviations mended, all others reported at once.

An unknown property is taken out and kept apart; what else is mended is in `ocpi.rules.repairs`. A refused document is told
its errors with the values it has: nothing of it is mended.

Source: OCPI 2.2.1 transport_and_format, "Cardinality"; protocol §2.6, §5.1.
"""

import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ocpi.rules import hints, repairs
from ocpi.rules.findings import ERROR, WARNING, Finding, Rule, Text, name_of, pointer, shortened, shown, visible
from ocpi.schemas import FIRST_ERRORS, MODELS, VALIDATORS, Kind, OcpiObject, model_in
from ocpi.schemas.types import DATE_TIME, DUTCH, INT, LANGUAGE

MAX_FINDINGS = 100  # of one kind; who sends more wrong values than this has one mistake, not many
MAX_DEVIATIONS = 20_000  # in one document; to name them all would take seconds

_TYPES, _JSON = "OCPI 2.2.1 types", 'OCPI 2.2.1 transport_and_format, "Cardinality"; protocol §2.6'
_DID_YOU_MEAN = Text("Did you mean {meant}?", "Bedoelde u {meant}?")


def _wrong(name: str, id: str, source: str, hint: Text = _DID_YOU_MEAN) -> Rule:
    message = Text("{name} is {value}; expected {expected}", "{name} is {value}; verwacht: {expected}")
    return Rule(name, id, ERROR, source, message, hint)


MISSING = Rule(
    "missing",
    "S-required",
    ERROR,
    _JSON,
    Text("{name} is missing; it is required", "{name} ontbreekt; het is verplicht"),
)
NULL = Rule(
    "null", "S-required", ERROR, _JSON, Text("{name} is null; it is required", "{name} is null; het is verplicht")
)
WRONG: dict[str, Rule] = {  # by the type of pydantic's error, built in or the kinds of ocpi.schemas.types
    "bool_type": _wrong("wrong_boolean", "S-boolean", _JSON),
    "dict_type": _wrong("wrong_object", "S-object", _JSON),
    "list_type": _wrong("wrong_list", "S-list", _JSON),
    "literal_error": _wrong("wrong_enum", "S-enum", "OCPI 2.2.1, the enums; protocol §2.6, §5.7"),
    "too_short": _wrong("too_few_items", "S-items", _JSON),
    "too_long": _wrong("too_many_items", "S-items", "our own limit: OCPI names none"),
    "text": _wrong("wrong_text", "S-text", f'{_TYPES}, "string"; protocol §2.6'),
    "ci_string": _wrong("wrong_ci_string", "S-ci_string", f'{_TYPES}, "CiString"'),
    "identifier": _wrong("wrong_identifier", "S-identifier", f'{_TYPES}, "CiString"; protocol §2.10'),
    INT: _wrong("wrong_int", "S-int", f'{_TYPES}, "int"; protocol §2.6'),
    "number": _wrong("wrong_number", "S-number", f'{_TYPES}, "number"; protocol §2.6'),
    "country_code": _wrong("wrong_country_code", "S-country_code", "protocol §1.1: ISO 3166-1 alpha-2"),
    "party_id": _wrong("wrong_party_id", "S-party_id", "protocol §1.1: ISO 15118"),
    DATE_TIME: _wrong("wrong_date_time", "S-date_time", f'{_TYPES}, "DateTime"; protocol §5.1'),
    "local_time": _wrong("wrong_local_time", "S-local_time", "protocol §5.5, R-TIME"),
    "local_date": _wrong("wrong_local_date", "S-local_date", "protocol §5.5, R-DATE"),
    "url": _wrong("wrong_url", "S-url", f'{_TYPES}, "URL"; protocol §5.1'),
    "latitude": _wrong("wrong_latitude", "S-latitude", 'OCPI 2.2.1 mod_locations, "GeoLocation class"'),
    "longitude": _wrong("wrong_longitude", "S-longitude", 'OCPI 2.2.1 mod_locations, "GeoLocation class"'),
    "country": _wrong("wrong_country", "S-country", 'OCPI 2.2.1 mod_locations, "Location Object"'),
    "currency": _wrong("wrong_currency", "S-currency", 'OCPI 2.2.1 mod_tariffs, "Tariff Object"'),
    LANGUAGE: _wrong("wrong_language", "S-language", f'{_TYPES}, "DisplayText class"'),
    "time_zone": _wrong("wrong_time_zone", "L-24", 'OCPI 2.2.1 mod_locations, "Location Object"; protocol §6.1 L-24'),
}
NO_ELEMENTS = _wrong("no_elements", "T-01", 'OCPI 2.2.1 mod_tariffs, "Tariff Object", "TariffElement class"')
KILOWATTS = _wrong(
    "kilowatts", "S-int", WRONG[INT].source, Text("Watts, not kilowatts? {meant}", "Watt, geen kilowatt? {meant}")
)
MORE_ERRORS = Rule(
    "more_errors", "S-more", ERROR, "our own limit",
    Text("{count} more like these are not listed", "Nog {count} van dit soort staan hier niet"),
)  # fmt: skip
UNKNOWN = Rule(
    "unknown_property", "S-unknown", WARNING, "protocol §2.6",
    Text(
        "{name} is no property of OCPI 2.2.1 here; it is kept apart and not sent on",
        "{name} is hier geen veld van OCPI 2.2.1; het wordt apart bewaard en niet doorgegeven",
    ),
    _DID_YOU_MEAN,
)  # fmt: skip
MORE_UNKNOWN = Rule(
    "more_unknown", "S-unknown", WARNING, "our own limit",
    Text("{count} more unknown properties are not listed", "Nog {count} onbekende velden staan hier niet"),
)  # fmt: skip


DUTCH.update(
    {"true or false": "true of false", "an object": "een object", "a list": "een lijst"}
    | {"at least 1 item": "minstens 1 onderdeel", "at most 1000 items": "hoogstens 1000 onderdelen"}
)

Fit = tuple[dict[str, Any] | None, list[Finding], dict[str, Any]]


def fit(kind: Kind, document: object) -> Fit:
    """Return `document` as a new dict in the schema's field order, or None; findings; unknown properties by pointer.

    `document` stays as it is; its nulls and the blanks around its texts are kept, for `repairs.tidy` to take out.
    """
    try:
        return VALIDATORS[kind].validate_python(document), [], {}
    except ValidationError as error:
        if error.error_count() > MAX_DEVIATIONS:
            return None, _first_errors(kind, document, error.error_count()), {}
        return _mended(kind, document, error)


def _first_errors(kind: Kind, document: object, count: int) -> list[Finding]:
    """Return the first error of each list, without looking at the others."""
    try:
        FIRST_ERRORS[kind].validate_python(document)
    except ValidationError as error:
        errors = [details for details in error.errors(include_url=False) if details["type"] != "extra_forbidden"]
        findings = [_error(details, document) for details in errors[:MAX_FINDINGS]]
        return [*findings, MORE_ERRORS.at("", count=count - len(findings))]
    return []


def _mended(kind: Kind, given: Any, error: ValidationError) -> Fit:
    document, done, unknown = _copy(given), repairs.Repairs(), dict[str, Any]()
    while True:
        errors = error.errors(include_url=False)
        if not [details for details in errors if _mend(document, details, done, unknown)]:
            # Soon, for what was mended never fails in the same way again.
            return None, _errors(errors, given) + unknown_findings(unknown, kind), unknown
        try:
            fitted = VALIDATORS[kind].validate_python(document)
            return fitted, done.findings() + unknown_findings(unknown, kind), unknown
        except ValidationError as remaining:
            error = remaining


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _mend(document: Any, details: ErrorDetails, done: repairs.Repairs, unknown: dict[str, Any]) -> bool:
    steps, given = details["loc"], details["input"]
    if details["type"] == "extra_forbidden":
        value = _parent(document, steps).pop(steps[-1])
        if value is None:
            done.note(repairs.ABSENT, steps)
        else:
            unknown[pointer(*steps)] = _storable(value)
        return True
    if not steps:
        return False  # what is no object at all; a text among them would be trimmed into its own place
    meant, rule = repairs.meant(details["type"], steps, given)
    if meant is None:
        return False
    _parent(document, steps)[steps[-1]] = meant
    if rule:
        done.note(rule, steps, value=given, meant=meant)
    return True


def _parent(document: Any, steps: tuple[str | int, ...]) -> Any:
    for step in steps[:-1]:
        document = document[step]
    return document


def _storable(value: Any) -> Any:
    # What no schema has looked at still has to pass a JSON writer (no Inexact) and PostgreSQL (no NUL).
    if isinstance(value, dict):
        return {key: _storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def unknown_findings(unknown: dict[str, Any], kind: Kind) -> list[Finding]:
    """Return a warning for each property that was taken out of an object of `kind` and kept apart, by its pointer."""
    hidden = len(unknown) - MAX_FINDINGS
    findings = [_unknown(path, kind) for path in sorted(unknown)[:MAX_FINDINGS]]
    return findings + ([MORE_UNKNOWN.at("", count=hidden)] if hidden > 0 else [])


def _unknown(path: str, kind: Kind) -> Finding:
    parent, _, last = path.rpartition("/")
    name = last.replace("~1", "/").replace("~0", "~")
    place = "/".join(step for step in parent.split("/") if not step.isdigit())
    meant = _PROPERTIES[kind].get(place, {}).get(_squash(name), name)
    words = {"name": visible(name) or '""'} | ({"meant": meant} if meant != name else {})
    return UNKNOWN.at(shortened(path, 250), **words)


def _squash(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _properties(model: type[OcpiObject], place: str = "") -> dict[str, dict[str, str]]:
    """Return the properties at each place below an object, by their names without capitals and underscores."""
    found = {place: {_squash(name): name for name in model.model_fields}}
    for name, field in model.model_fields.items():
        if child := model_in(field.annotation):
            found |= _properties(child, f"{place}/{name}")
    return found


_PROPERTIES = {kind: _properties(model) for kind, model in MODELS.items()}


def _errors(errors: list[ErrorDetails], given: Any) -> list[Finding]:
    hidden = len(errors) - MAX_FINDINGS
    findings = [_error(details, given) for details in errors[:MAX_FINDINGS]]
    return findings + ([MORE_ERRORS.at("", count=hidden)] if hidden > 0 else [])


def _error(details: ErrorDetails, given: Any) -> Finding:
    """Return the finding for an error, with the value that stands in the document as it was given."""
    steps = details["loc"]
    path, name = pointer(*steps), name_of(steps)
    if details["type"] == "missing":
        return MISSING.at(path, name=name)
    value = _parent(given, steps)[steps[-1]] if steps else given
    if value is None and bool(steps) and isinstance(steps[-1], str):
        return NULL.at(path, name=name)
    allowed = re.findall(r"'([^']+)'", details["ctx"]["expected"]) if details["type"] == "literal_error" else []
    expected = shortened(" | ".join(allowed), 300) or _expected(details)
    meant = hints.likely(details["type"], name, value, allowed)
    rule = _broken(details["type"], name, value)
    return rule.at(path, name=name, value=shown(value), expected=expected, **({"meant": meant} if meant else {}))


def _broken(kind: str, name: str, value: object) -> Rule:
    if kind == "too_short" and name in ("elements", "price_components"):
        return NO_ELEMENTS
    is_kilowatts = name == "max_electric_power" and isinstance(value, float) and 0 < value < 1000
    return KILOWATTS if kind == INT and is_kilowatts else WRONG[kind]


def _expected(details: ErrorDetails) -> str:
    match details["type"]:
        case "bool_type":
            return "true or false"
        case "dict_type":
            return "an object"
        case "list_type":
            return "a list"
        case "too_short":
            return f"at least {details['ctx']['min_length']} item"
        case "too_long":
            return f"at most {details['ctx']['max_length']} items"
    return details["msg"]
