"""What the rules say: one finding for each thing noticed about an object, in English or Dutch.

A finding holds the rule and the values it was about; its words are made when somebody reads them. So a stored finding
can be read in either language, and follows the rule's wording.

Source: protocol §2.2 (the shape), §7.9 (error, gap).
"""

from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Literal, NamedTuple

from ocpi.schemas.types import DUTCH

Severity = Literal["error", "gap", "warning"]
Language = Literal["en", "nl"]

ERROR: Severity = "error"  # not OCPI: refused
GAP: Severity = "gap"  # OCPI, but not what DOT-NL demands: stored and withheld
WARNING: Severity = "warning"  # accepted, and worth a look
RANK: dict[Severity, int] = {ERROR: 0, GAP: 1, WARNING: 2}
LANGUAGES: tuple[Language, ...] = ("en", "nl")

Step = str | int  # a key or an index


class Text(NamedTuple):
    """Words in each language."""

    en: str = ""
    nl: str = ""

    def to(self, language: Language) -> str:
        """Return the words in one language."""
        return self.nl if language == "nl" else self.en


NO_TEXT = Text()


@dataclass(frozen=True, slots=True)
class Rule:
    """One demand: its id (the protocol's own where it has one), how bad a breach is, who demands it, and the words.

    `message` and `hint` are templates: `{value}` and the like are filled with what was found. A hint that asks for a
    value the finding does not have is left out. `name` is unique and stays for ever: findings are stored under it. An
    `is_repair` rule tells what was mended on the way in; the stored object no longer has it.
    """

    name: str
    id: str
    severity: Severity
    source: str
    message: Text
    hint: Text = NO_TEXT
    is_repair: bool = False
    fields: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        templates = self.message + self.hint
        names = {name for template in templates for _, name, _, _ in Formatter().parse(template) if name}
        object.__setattr__(self, "fields", frozenset(names))

    def at(self, path: str, **values: object) -> "Finding":
        """Return the finding that this rule is broken at `path` (JSON Pointer, "" is the whole object)."""
        return Finding(path, self, {name: str(value) for name, value in values.items() if name in self.fields})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed: where (JSON Pointer), by which rule, about which values."""

    path: str
    broken: Rule
    values: dict[str, str] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """The rule's id."""
        return self.broken.id

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.broken.severity

    @property
    def message(self) -> str:
        """What is wrong, in English."""
        return self.said("en")

    @property
    def hint(self) -> str:
        """What to do about it, in English; "" when there is nothing to add."""
        return self.hinted("en")

    def said(self, language: Language) -> str:
        """Return what is wrong, in one language."""
        return self.broken.message.to(language).format_map(_Values(self.values, language))

    def hinted(self, language: Language) -> str:
        """Return what to do about it, in one language; "" when there is nothing to add."""
        try:
            return self.broken.hint.to(language).format_map(_Values(self.values, language, is_complete=True)).strip()
        except KeyError:
            return ""

    def as_dict(self, language: Language = "en") -> dict[str, str]:
        """Return the finding as it stands in answers and result lines."""
        return {
            "path": self.path,
            "rule": self.rule,
            "severity": self.severity,
            "message": self.said(language),
            "hint": self.hinted(language),
        }

    def stored(self) -> dict[str, Any]:
        """Return the finding as it is kept beside an object; `ocpi.rules.index.restore` reads it."""
        return {"path": self.path, "name": self.broken.name} | ({"values": self.values} if self.values else {})

    def below(self, path: str) -> "Finding":
        """Return the same finding in an object of which this one stands at `path`."""
        return Finding(path + self.path, self.broken, self.values)

    def within(self, path: str) -> "Finding":
        """Return the same finding in the part of the object that stands at `path`."""
        return Finding(self.path.removeprefix(path), self.broken, self.values)


class _Values(dict[str, str]):
    """Values for a template: what a type expects in its language, "…" for what is not there."""

    def __init__(self, values: dict[str, str], language: Language, is_complete: bool = False) -> None:
        super().__init__(values)
        if language == "nl" and "expected" in values:
            self["expected"] = DUTCH.get(values["expected"], values["expected"])
        self.is_complete = is_complete

    def __missing__(self, name: str) -> str:
        if self.is_complete:
            raise KeyError(name)
        return "…"


def pointer(*steps: Step) -> str:
    """Return the JSON Pointer (RFC 6901) of these keys and indices."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def name_of(steps: tuple[Step, ...]) -> str:
    """Return what a message calls the value at the end of these steps: its property, `evses[0]`, or "/" for the whole."""
    match steps:
        case ():
            return "/"
        case (*_, str(name), int(index)):
            return f"{name}[{index}]"
        case _:
            return str(steps[-1])


def shortened(text: str, length: int = 100) -> str:
    """Return text of at most `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def visible(text: str) -> str:
    """Return text of at most 100 characters in which none is invisible or turns the rest around."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shortened(text))


def shown(value: object) -> str:
    """Return a value found in a document as a message shows it, in any language: JSON, shortened."""
    match value:
        case None | bool():
            return "null" if value is None else str(value).lower()
        case str():
            return f'"{visible(value)}"' + (f" ({len(value)})" if len(value) > 100 else "")
        case dict():
            return "{…}" if value else "{}"
        case list():
            return f"[… {len(value)}]" if value else "[]"
    return shortened(str(value))


def in_order(findings: list[Finding]) -> list[Finding]:
    """Return errors first, then gaps, then warnings; otherwise as they were found."""
    return sorted(findings, key=lambda finding: RANK[finding.severity])
