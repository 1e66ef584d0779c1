"""Fit a document to its OCPI shape: valid ones in one pass, harmless deviations mended, all others reported at once.

Mended, and reported, are: an unknown property (taken out and kept apart), outer white space, 16.0 for an int, a language
in capitals, and a DateTime without zone. Each is exact: no instant and no value changes. Identifiers and references to
them stay as they are, white space and all.

Source: OCPI 2.2.1 transport_and_format, "Cardinality"; protocol §2.6, §5.1.
"""

import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ocpi.rules import hints
from ocpi.rules.findings import ERROR, WARNING, Finding, Rule, Step, Text, pointer, shortened, shown, visible
from ocpi.schemas import PROPERTY_NAMES, VALIDATORS, Kind
from ocpi.schemas.types import DATE_TIME, DUTCH, INT, LANGUAGE, LANGUAGES, MAX_INT

MAX_FINDINGS = 100  # of one kind; who sends more wrong values than this has one mistake, not many

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


_MORE = Text("And {more} more like this.", "En nog {more} van dit soort.")


def _repair(name: str, id: str, source: str, english: str, dutch: str) -> Rule:
    return Rule(name, id, WARNING, source, Text(english, dutch), _MORE, is_repair=True)


TRIMMED = _repair(
    "outer_space", "S-space", "protocol §2.6: printable text", "white space around {value} was taken off",
    "witruimte om {value} is weggehaald",
)  # fmt: skip
WHOLE = _repair(
    "whole_number", "S-int", WRONG[INT].source, "{name} is {value}; sent on as {meant}",
    "{name} is {value}; wordt doorgegeven als {meant}",
)  # fmt: skip
SMALL_LETTERS = _repair(
    "language_in_capitals", "S-language", WRONG[LANGUAGE].source, "{name} is {value}; sent on as {meant}",
    "{name} is {value}; wordt doorgegeven als {meant}",
)  # fmt: skip
ZONE = _repair(
    "no_zone", "S-date_time", WRONG[DATE_TIME].source, "{name} {value} has no zone; read as UTC, sent on with Z",
    "{name} {value} heeft geen zone; gelezen als UTC, doorgegeven met Z",
)  # fmt: skip
ABSENT = _repair(
    "null_is_absent", "S-null", _JSON, "{name} is null, which is the same as absent; left out",
    "{name} is null, wat hetzelfde is als afwezig; weggelaten",
)  # fmt: skip
DUTCH.update(
    {"true or false": "true of false", "an object": "een object", "a list": "een lijst"}
    | {"at least 1 item": "minstens 1 onderdeel", "at most 1000 items": "hoogstens 1000 onderdelen"}
)

_NOT_TRIMMED = {"id", "uid", "country_code", "party_id", "tariff_ids", "group_id", "visual_number"}
_LOOSE_DATE_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,3}))?Z?")


def _squash(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


_PROPERTIES = {_squash(name): name for name in PROPERTY_NAMES}

Fit = tuple[dict[str, Any] | None, list[Finding], dict[str, Any]]


class Repairs:
    """What was mended in one document: how often, and the first place of each kind."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[Rule, str, dict[str, str]]] = {}
        self._count: dict[str, int] = {}

    def note(self, rule: Rule, steps: tuple[Step, ...], **values: object) -> None:
        """Note a repair; values are shown as JSON."""
        self._count[rule.name] = self._count.get(rule.name, 0) + 1
        if rule.name not in self._first:
            shown_values = {name: shown(value) for name, value in values.items()}
            self._first[rule.name] = rule, pointer(*steps), {"name": _name(steps)} | shown_values

    def findings(self) -> list[Finding]:
        """Return one finding for each kind of repair."""
        return [
            rule.at(path, **values, **({"more": self._count[name] - 1} if self._count[name] > 1 else {}))
            for name, (rule, path, values) in self._first.items()
        ]


def fit(kind: Kind, document: object) -> Fit:
    """Return `document` as a new dict in the schema's field order, or None; findings; unknown properties by pointer.

    `document` stays as it is; its nulls and the blanks around its texts are kept, for `tidy` to take out.
    """
    try:
        return VALIDATORS[kind].validate_python(document), [], {}
    except ValidationError as error:
        return _mended(kind, _copy(document), error)


def tidy(document: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Return a fitted document without nulls and without white space around its texts, and what was mended."""
    repairs = Repairs()
    return _tidied(document, (), repairs), repairs.findings()


def _tidied(value: Any, steps: tuple[Step, ...], repairs: Repairs) -> Any:
    if isinstance(value, dict):
        for name, inner in value.items():
            if inner is None:
                repairs.note(ABSENT, (*steps, name))
        return {name: _tidied(inner, (*steps, name), repairs) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_tidied(item, (*steps, index), repairs) for index, item in enumerate(value)]
    if isinstance(value, str) and value != value.strip(" ") != "" and _may_trim(steps):
        repairs.note(TRIMMED, steps, value=value)
        return value.strip(" ")
    return value


def _may_trim(steps: tuple[Step, ...]) -> bool:
    return _NOT_TRIMMED.isdisjoint(steps[-2:])


def _mended(kind: Kind, document: Any, error: ValidationError) -> Fit:
    repairs, unknown = Repairs(), dict[str, Any]()
    while True:
        errors = error.errors(include_url=False)
        mended = [details for details in errors if _mend(document, details, repairs, unknown)]
        if not mended:  # soon, for what was mended never fails in the same way again
            return None, _errors(errors) + repairs.findings() + unknown_findings(unknown), unknown
        try:
            fitted = VALIDATORS[kind].validate_python(document)
            return fitted, repairs.findings() + unknown_findings(unknown), unknown
        except ValidationError as remaining:
            error = remaining


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _mend(document: Any, details: ErrorDetails, repairs: Repairs, unknown: dict[str, Any]) -> bool:
    steps, given = details["loc"], details["input"]
    if details["type"] == "extra_forbidden":
        unknown[pointer(*steps)] = _storable(_parent(document, steps).pop(steps[-1]))
        return True
    meant, rule = _meant(details["type"], steps, given)
    if meant is None:
        return False
    _parent(document, steps)[steps[-1]] = meant
    if rule:
        repairs.note(rule, steps, value=given, meant=meant)
    return True


def _meant(kind: str, steps: tuple[Step, ...], value: object) -> tuple[Any, Rule | None]:
    """Return what a refused value says beyond doubt and which repair that is; (None, None) when nothing is."""
    match value:
        case float() if kind == INT and value.is_integer() and abs(value) <= MAX_INT:
            return int(value), WHOLE
        case str() if value != value.strip() != "" and _may_trim(steps):
            return value.strip(), TRIMMED
        case str() if kind == DATE_TIME and canonical_time(value) not in (None, value):
            return canonical_time(value), None if value.endswith("Z") else ZONE
        case str() if kind == LANGUAGE and value.lower() in LANGUAGES:
            return value.lower(), SMALL_LETTERS
    return None, None


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


def unknown_findings(unknown: dict[str, Any]) -> list[Finding]:
    """Return a warning for each property that was taken out and kept apart, by its pointer."""
    hidden = len(unknown) - MAX_FINDINGS
    findings = [_unknown(path) for path in list(unknown)[:MAX_FINDINGS]]
    return findings + ([MORE_UNKNOWN.at("", count=hidden)] if hidden > 0 else [])


def _unknown(path: str) -> Finding:
    name = path.rpartition("/")[2]
    meant = _PROPERTIES.get(_squash(name), name)
    return UNKNOWN.at(shortened(path, 250), name=visible(name), **({"meant": meant} if meant != name else {}))


def _errors(errors: list[ErrorDetails]) -> list[Finding]:
    hidden = len(errors) - MAX_FINDINGS
    findings = [_error(details) for details in errors[:MAX_FINDINGS]]
    return findings + ([MORE_ERRORS.at("", count=hidden)] if hidden > 0 else [])


def _error(details: ErrorDetails) -> Finding:
    steps, value = details["loc"], details["input"]
    path, name = pointer(*steps), _name(steps)
    if details["type"] == "missing":
        return MISSING.at(path, name=name)
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


def _name(steps: tuple[Step, ...]) -> str:
    match steps:
        case ():
            return "/"
        case (*_, str(name), int(index)):
            return f"{name}[{index}]"
        case _:
            return str(steps[-1])
