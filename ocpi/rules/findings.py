"""What the rules say: one finding for each thing noticed about an object.

Source: protocol §2.2 (the shape), §7.9 (error, gap).
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "gap", "warning"]

ERROR: Severity = "error"  # not OCPI: refused
GAP: Severity = "gap"  # OCPI, but not what DOT-NL demands: stored and withheld
WARNING: Severity = "warning"  # accepted, and worth a look
_RANK: dict[Severity, int] = {ERROR: 0, GAP: 1, WARNING: 2}

Step = str | int  # a key or an index


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed: where (JSON Pointer, "" is the whole object), by which rule, how bad, what to do about it."""

    path: str
    rule: str
    severity: Severity
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the finding as it stands in answers and result lines."""
        return {
            "path": self.path,
            "rule": self.rule,
            "severity": self.severity,
            "message": self.message,
            "hint": self.hint,
        }


def pointer(*steps: Step) -> str:
    """Return the JSON Pointer (RFC 6901) of these keys and indices."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def shortened(text: str, length: int = 100) -> str:
    """Return text of at most `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def visible(text: str) -> str:
    """Return text of at most 100 characters in which none is invisible or turns the rest around."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shortened(text))


def shown(value: object) -> str:
    """Return a value found in a document as a message shows it."""
    match value:
        case None | bool():
            return "null" if value is None else str(value).lower()
        case str():
            return f'"{visible(value)}"' + (f" ({len(value)} characters)" if len(value) > 100 else "")
        case dict():
            return "an object"
        case list():
            return f"a list of {len(value)}"
    return shortened(str(value))


def in_order(findings: list[Finding]) -> list[Finding]:
    """Return errors first, then gaps, then warnings; otherwise as they were found."""
    return sorted(findings, key=lambda finding: _RANK[finding.severity])
