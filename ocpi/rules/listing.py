"""The rule book as somebody reads it: sections of lines in one language, from the same rules that judge.

The page at /api/docs/rules/ and `manage.py rules` show it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ocpi.rules import index, patch, profiles, semantics, sheets, uploads
from ocpi.rules.findings import Language, Rule, Text
from ocpi.schemas import MODELS
from ocpi.schemas.types import DUTCH


@dataclass(frozen=True, slots=True)
class Line:
    """One rule; `severity` is error, gap or warning, or advice or principle for what makes no finding.

    `anchor` is the id where it stands for the first time, "" where it stands again.
    """

    id: str
    severity: str
    text: str
    hint: str
    source: str
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Rules about one subject; those of one id stand together."""

    title: str
    lines: list[Line]


SHAPES = Text("JSON, shapes and values", "JSON, vormen en waarden")
LOCATIONS = Text("Locations", "Locations")
TARIFFS = Text("Tariffs", "Tariffs")
STORED = Text("Uploads and what is stored", "Uploads en wat er is opgeslagen")
ADVICE = Text("Advice: what the law asks next", "Advies: wat de wet hierna vraagt")
PRINCIPLES = Text("Principles no single finding can tell", "Uitgangspunten die geen melding alleen kan zeggen")
DEMANDS = profiles.DOT_NL_2026.title
_BY_MODULE = {"ocpi.schemas.locations": LOCATIONS, "ocpi.schemas.tariffs": TARIFFS}
_BY_PREFIX = {"L": LOCATIONS, "T": TARIFFS, "N": DEMANDS}
_MODULES = {check.rule.name: {model.__module__ for model in check.models} for check in semantics.CHECKS}
_STORED = {rule.name for module in (patch, uploads, sheets) for rule in vars(module).values() if isinstance(rule, Rule)}


def _expectations(schema: Any) -> Iterable[tuple[str, str]]:
    """Yield the kind of each value type in a core schema, and its phrase."""
    if isinstance(schema, dict):
        if schema.get("type") == "custom-error":
            yield schema["custom_error_type"], schema["custom_error_message"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for item in schema:
            yield from _expectations(item)


def _expected() -> dict[str, Text]:
    """Return what is expected, by the name of the rule; only where it is the same in every field."""
    phrases: dict[str, set[str]] = {}
    for model in MODELS.values():
        for kind, phrase in _expectations(model.__pydantic_core_schema__):
            phrases.setdefault(f"wrong_{kind}", set()).add(phrase)
    alone = {name: min(several) for name, several in phrases.items() if len(several) == 1}
    return {name: Text(phrase, DUTCH[phrase]) for name, phrase in alone.items()}


_EXPECTED = _expected()


class _Named(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"‹{name}›"  # noqa: RUF001 - brackets that no text of a rule has


def sections(language: Language) -> list[Section]:
    """Return the whole book; ids are sorted as people count: L-2 before L-10."""
    by_id: dict[str, list[Rule]] = {}
    for rule in index.RULES.values():
        by_id.setdefault(rule.id, []).append(rule)
    book: dict[Text, list[Line]] = {title: [] for title in (SHAPES, LOCATIONS, TARIFFS, STORED, DEMANDS)}
    for rule_id, rules in by_id.items():
        book[_subject(rule_id, rules)] += [line_of(rule, language) for rule in rules]
    law = f"EU 2025/655 ({profiles.AFIR_2025_655})"
    book[ADVICE] = [Line(one.id, "advice", one.text.to(language), "", law) for one in profiles.ADVICE]
    book[PRINCIPLES] = [Line(one.id, "principle", one.text.to(language), "", one.source) for one in index.PRINCIPLES]
    return _anchored(Section(title.to(language), _sorted(lines)) for title, lines in book.items())


def _subject(rule_id: str, rules: list[Rule]) -> Text:
    """Return the title under which all rules of one id stand."""
    if all(rule.name in _STORED for rule in rules):
        return STORED
    about = {module for rule in rules for module in _MODULES.get(rule.name, ())}
    by_module = _BY_MODULE.get(next(iter(about)), SHAPES) if len(about) == 1 else SHAPES
    return _BY_PREFIX.get(rule_id.partition("-")[0], by_module)


def _anchored(book: Iterable[Section]) -> list[Section]:
    anchored, seen = [], set[str]()
    for section in book:
        lines = []
        for line in section.lines:
            lines.append(line if line.id in seen else replace(line, anchor=line.id))
            seen.add(line.id)
        anchored.append(Section(section.title, lines))
    return anchored


def line_of(rule: Rule, language: Language) -> Line:
    """Return how one rule reads: what a finding would fill in stands in brackets."""
    expected = _EXPECTED.get(rule.name)
    known = _Named({"expected": expected.to(language)} if expected else {})
    message, hint = (text.to(language).format_map(known) for text in (rule.message, rule.hint))
    return Line(rule.id, rule.severity, message, hint, rule.source)


def _sorted(lines: Iterable[Line]) -> list[Line]:
    """Return the lines by id, each once; those of one id stay in the order of the book."""
    return sorted(dict.fromkeys(lines), key=lambda line: natural(line.id))


def natural(rule_id: str) -> list[tuple[int, str]]:
    """Return a key that sorts ids as people count: L-2 before L-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", rule_id)]
