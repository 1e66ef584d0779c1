"""Read JSON strictly: what two readers could understand differently is refused, never guessed.

orjson parses. What it lets pass (double keys, NUL, numbers that a float does not carry, deep nesting) is looked for in
the raw bytes, whose strings are cut out once; the tree is not walked. Only what looks suspicious is read again, slowly
and exactly.

A number that a float would change comes out as Inexact, which no field takes, so the shape refuses it (2001). Absurd
numbers, of more digits or with a larger exponent than anything real, are not read at all (400).

Source: OCPI 2.2.1 transport_and_format, "Request format"; protocol §2.6; RFC 8259.
"""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from ocpi.schemas import PROPERTY_NAMES

MAX_DEPTH = 12  # a Location needs 6
MAX_CONTAINERS = 20_000  # arrays and objects
MAX_VALUES = 50_000  # with the limit above this keeps any later work on a body of 1 MiB short
MAX_DIGITS, MAX_INT_DIGITS, MAX_EXPONENT = 20, 18, 15

_ROUND = bytes.maketrans(b"[]{}", b"()()")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NUMERALS = bytes.maketrans(b"0123456789.E", b"00000000000e")
_LONG_NUMBER = b"0" * 16
_ESCAPED_CONTROL = re.compile(rb"\\(?:[bfnrt]|u00(?:[0189]|7[fF]))")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class NotJson(ValueError):
    """The bytes are not JSON that we read; the message says why."""


@dataclass(frozen=True, slots=True)
class Inexact:
    """A number that a float would change. Not a Decimal: pydantic's strict float takes whatever can become a float."""

    literal: str

    def __str__(self) -> str:
        return self.literal


def read(raw: bytes) -> Any:
    """Return the JSON document in `raw`: dict, list, str, int, float, bool and None; Inexact where a float would lie.

    16.0 stays a float and -0 becomes 0. Takes under 250 ms for any megabyte. Raises NotJson.

    Source: protocol §2.6.
    """
    pieces = _unescaped(raw).split(b'"')
    structure = b"".join(pieces[::2])
    brackets = structure.translate(_ROUND, _NO_BRACKETS)
    if len(brackets) > 2 * MAX_CONTAINERS or structure.count(b",") >= MAX_VALUES:
        raise NotJson(f"more than {MAX_CONTAINERS} arrays and objects, or {MAX_VALUES} values")
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NotJson(str(error)) from None
    _refuse_deep(brackets)
    if _has_odd_number(structure) or _has_odd_text(raw) or _lacks_quotes(document, raw, len(pieces) - 1):
        return _read_exactly(raw)
    return document


def _unescaped(raw: bytes) -> bytes:
    # Without \\ and \" every quote that is left begins or ends a string.
    return raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw


def _lacks_quotes(document: Any, raw: bytes, quotes: int) -> bool:
    # A key that came twice was dropped with its value, so there are fewer quotes now than in the raw bytes.
    dumped = orjson.dumps(document)
    return dumped != raw and _unescaped(dumped).count(b'"') != quotes


def _refuse_deep(brackets: bytes) -> None:
    depth = 0
    while brackets:
        depth += 1
        if depth > MAX_DEPTH:
            raise NotJson(f"nested deeper than {MAX_DEPTH}")
        brackets = brackets.replace(b"()", b"")  # the innermost ones


def _has_odd_number(structure: bytes) -> bool:
    numerals = structure.translate(_NUMERALS)
    return _LONG_NUMBER in numerals or b"0e" in numerals or b"-" in numerals


def _has_odd_text(raw: bytes) -> bool:
    # Control characters: C0 can only be escaped; DEL and C1 (whose first byte in UTF-8 is C2) can also be as they are.
    return b"\xc2" in raw or b"\x7f" in raw or (b"\\" in raw and _ESCAPED_CONTROL.search(raw) is not None)


def _read_exactly(raw: bytes) -> Any:
    document = json.loads(raw, object_pairs_hook=_object, parse_int=_int, parse_float=_float)
    if b"\\u0000" in raw and _has_stray_nul(document):
        raise NotJson("\\u0000 in the value of an unknown property")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise NotJson(f"key {_twice(pairs)[:100]!r} is given twice")
    if any(map(_CONTROL.search, members)):
        raise NotJson("control character in a key")
    return members


def _twice(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _int(literal: str) -> int:
    if len(literal.lstrip("-")) > MAX_INT_DIGITS:
        raise NotJson(f"whole number of more than {MAX_INT_DIGITS} digits")
    return int(literal)


def _float(literal: str) -> float | Inexact:
    mantissa, _, exponent = literal.lower().partition("e")
    if len(mantissa.lstrip("-").replace(".", "")) > MAX_DIGITS:
        raise NotJson(f"number of more than {MAX_DIGITS} digits")
    if len(exponent) > 4 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise NotJson(f"exponent beyond {MAX_EXPONENT}")
    number = float(literal) + 0.0  # -0.0 + 0.0 is 0.0
    return number if Decimal(literal) == Decimal(repr(number)) else Inexact(literal)


def _has_stray_nul(value: Any, is_known: bool = True) -> bool:
    # In a known field the shape finds it, says where, and answers 2001.
    if isinstance(value, dict):
        return any(_has_stray_nul(inner, is_known and name in PROPERTY_NAMES) for name, inner in value.items())
    if isinstance(value, list):
        return any(_has_stray_nul(item, is_known) for item in value)
    return isinstance(value, str) and not is_known and "\0" in value
