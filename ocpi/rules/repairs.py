"""Repairs that are safe: what a value says beyond doubt, written as OCPI wants it. Each is reported, none is silent.

Mended are nulls, blanks around texts, 16.0 for an int, a language in capitals and a DateTime without zone. Each is exact:
no instant and no value changes. Identifiers and references to them stay as they are, blanks and all; other white space
(a line break) is taken off plain texts only.

Source: OCPI 2.2.1 transport_and_format, "Cardinality"; protocol §2.6, §5.1.
"""

import re
from typing import Any

from ocpi.rules.findings import WARNING, Finding, Rule, Step, Text, name_of, pointer, shown
from ocpi.schemas.types import DATE_TIME, INT, LANGUAGE, LANGUAGES, MAX_INT

_CARDINALITY = 'OCPI 2.2.1 transport_and_format, "Cardinality"; protocol §2.6'
_MORE = Text("And {more} more like this.", "En nog {more} van dit soort.")


def _repair(name: str, id: str, source: str, english: str, dutch: str) -> Rule:
    return Rule(name, id, WARNING, source, Text(english, dutch), _MORE, is_repair=True)


TRIMMED = _repair(
    "outer_space", "S-space", "protocol §2.6: printable text", "white space around {value} was taken off",
    "witruimte om {value} is weggehaald",
)  # fmt: skip
WHOLE = _repair(
    "whole_number", "S-int", 'OCPI 2.2.1 types, "int"; protocol §2.6', "{name} is {value}; sent on as {meant}",
    "{name} is {value}; wordt doorgegeven als {meant}",
)  # fmt: skip
SMALL_LETTERS = _repair(
    "language_in_capitals", "S-language", 'OCPI 2.2.1 types, "DisplayText class"', "{name} is {value}; sent on as {meant}",
    "{name} is {value}; wordt doorgegeven als {meant}",
)  # fmt: skip
ZONE = _repair(
    "no_zone", "S-date_time", 'OCPI 2.2.1 types, "DateTime"; protocol §5.1',
    "{name} {value} has no zone; read as UTC, sent on with Z",
    "{name} {value} heeft geen zone; gelezen als UTC, doorgegeven met Z",
)  # fmt: skip
ABSENT = _repair(
    "null_is_absent", "S-null", _CARDINALITY, "{name} is null, which is the same as absent; left out",
    "{name} is null, wat hetzelfde is als afwezig; weggelaten",
)  # fmt: skip
_NOT_TRIMMED = {"id", "uid", "country_code", "party_id", "tariff_ids", "group_id", "visual_number"}
_LOOSE_DATE_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,3}))?Z?")


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
            self._first[rule.name] = rule, pointer(*steps), {"name": name_of(steps)} | shown_values

    def findings(self) -> list[Finding]:
        """Return one finding for each kind of repair."""
        return [
            rule.at(path, **values, **({"more": self._count[name] - 1} if self._count[name] > 1 else {}))
            for name, (rule, path, values) in self._first.items()
        ]


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


def meant(kind: str, steps: tuple[Step, ...], value: object) -> tuple[Any, Rule | None]:
    """Return what a refused value says beyond doubt and which repair that is; (None, None) when nothing is."""
    if isinstance(value, float):
        is_whole = kind == INT and value.is_integer() and abs(value) <= MAX_INT
        return (int(value), WHOLE) if is_whole else (None, None)
    if not isinstance(value, str):
        return None, None
    trimmed = value.strip() if kind == "text" else value.strip(" ")
    if value != trimmed != "" and _may_trim(steps):
        return trimmed, TRIMMED
    if kind == DATE_TIME and canonical_time(value) not in (None, value):
        return canonical_time(value), None if value.endswith("Z") else ZONE
    if kind == LANGUAGE and value.lower() in LANGUAGES:
        return value.lower(), SMALL_LETTERS
    return None, None


def canonical_time(date_time: str) -> str | None:
    """Return a DateTime in the one form we store, None when it has no OCPI form; the calendar is not looked at."""
    match = _LOOSE_DATE_TIME.fullmatch(date_time)
    if match is None:
        return None
    fraction = (match[2] or "").ljust(3, "0")
    return f"{match[1]}Z" if fraction == "000" else f"{match[1]}.{fraction}Z"
