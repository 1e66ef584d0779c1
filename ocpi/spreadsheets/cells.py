"""What the text of one cell means in OCPI: yes and no, numbers, kW, coordinates, words of an enum, hours, moments.

People write `22,0`, `ja` and `ma-vr 07:00-22:00`; that is read. What is not understood is handed on as it is where the
rule book will say what it should have been; only where its words would not fit the sheet the cell is refused here.

Source: OCPI 2.2.1 mod_locations, types; protocol §5.1-§5.7.
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pycountry

from ocpi.rules import canonical_time, sheets, shown
from ocpi.rules.findings import Rule

Reader = Callable[[str], Any]

MOST_KILOWATTS = 1_500  # what the rule book believes: 1500 V and 1000 A
_YES_NO = dict.fromkeys(("yes", "y", "ja", "j", "true", "waar", "1"), True)
_YES_NO |= dict.fromkeys(("no", "n", "nee", "false", "onwaar", "0"), False)
_NONE = {"none", "geen", "-"}
_NUMBER = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{1,15}))?", re.ASCII)
_COORDINATE = re.compile(r"(-?[0-9]{1,3})[.,]([0-9]{4,20})", re.ASCII)
_SEPARATOR = re.compile(r"[,;|\n]")
_SQUASHED = re.compile(r"[\W_]")
# A fault (#N/A, #VERW!), or a long number that Excel shows as 1,23E+11.
_SPOILT = re.compile(r"#[A-ZÄÖÜ/0]+[!?]|#N/[AB]|[0-9]([.,][0-9]+)?E\+[0-9]{2,}")
_DAYS = {
    day: number
    for number, days in enumerate(("mo ma", "tu di", "we wo", "th do", "fr vr", "sa za", "su zo"), start=1)
    for day in days.split()
}
_HOURS = re.compile(
    r"([a-z]{2})[a-z]*(?:\s*[-–]\s*([a-z]{2})[a-z]*)?:?\s+([0-9]{1,2})[:.]([0-9]{2})\s*[-–]\s*([0-9]{1,2})[:.]([0-9]{2})",  # noqa: RUF001
    re.ASCII,
)
_LOCAL = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y")


class Unfit(ValueError):
    """The cell breaks a rule of the sheet; with the values for its words."""

    def __init__(self, rule: Rule, **values: object) -> None:
        super().__init__(rule.name)
        self.rule, self.values = rule, values


def identifier(text: str) -> str:
    """Return an id as it stands. Raises Unfit when a spreadsheet program has visibly changed it: ids are for ever."""
    if _SPOILT.fullmatch(text):
        raise Unfit(sheets.SPOILT, value=shown(text))
    return text


def plain(text: str) -> str:
    """Return a text as it stands. Raises Unfit for a fault such as #REF!."""
    if text.startswith("#") and _SPOILT.fullmatch(text):
        raise Unfit(sheets.SPOILT, value=shown(text))
    return text


def yes_no(text: str) -> bool | str:
    """Return True or False, or the text when it is neither."""
    return _YES_NO.get(text.lower(), text)


def country(text: str) -> str:
    """Return the alpha-3 code for an alpha-2 code, any other text in capitals when it may be a code."""
    found = pycountry.countries.get(alpha_2=text.upper()) if len(text) == 2 else None
    return str(found.alpha_3) if found else text.upper() if len(text) == 3 else text


def number(unit: str) -> Reader:
    """Make a reader of whole numbers, with or without their unit; 230,0 is 230."""

    def read(text: str) -> int | float | str:
        value = _decimal(text, unit)
        if value is None:
            return text
        return int(value) if value == value.to_integral_value() else float(value)

    return read


def kilowatts(text: str) -> int:
    """Return the watts of a number of kW, decimal point or comma. Raises Unfit for no number, and for watts."""
    value = _decimal(text, "kW")
    if value is None:
        raise Unfit(sheets.NOT_KILOWATTS, value=shown(text))
    if value > MOST_KILOWATTS:
        raise Unfit(sheets.WATTS, value=f"{value:f}", most=MOST_KILOWATTS)
    return round(value * 1000)


def _decimal(text: str, unit: str) -> Decimal | None:
    bare = text[: -len(unit)].rstrip() if text.lower().endswith(unit.lower()) else text
    match = _NUMBER.fullmatch(bare)
    return Decimal(f"{match[1]}.{match[2]}" if match[2] else match[1]) if match else None


def coordinate(text: str) -> str:
    """Return degrees with a point and 5 to 7 decimals where that changes no place; else the text.

    A fifth decimal 0 is lost in any spreadsheet, so four decimals get it back; fewer say no place. More than seven are
    rounded to six, 0.1 m. Source: OCPI 2.2.1 mod_locations, "GeoLocation class"; protocol §5.6.
    """
    match = _COORDINATE.fullmatch(text)
    if match is None:
        return text
    whole, decimals = match[1], match[2]
    if len(decimals) > 7:
        return f"{Decimal(f'{whole}.{decimals}'):.6f}"
    return f"{whole}.{decimals:0<5}"


def word(choices: Sequence[str]) -> Reader:
    """Make a reader of one word of an enum, in any case and with blanks or hyphens; else the text."""
    known = {_squash(choice): choice for choice in choices}
    return lambda text: known.get(_squash(text), text)


def words(choices: Sequence[str]) -> Reader:
    """Make a reader of words of an enum, apart by `,` `;` or `|`; NONE is the empty list."""
    one = word(choices)
    return lambda text: [] if text.lower() in _NONE else [one(part) for part in _parts(text)]


def identifiers(text: str) -> list[str]:
    """Return ids, apart by `,` `;` or `|`. Raises Unfit as `identifier` does."""
    return [identifier(part) for part in _parts(identifier(text))]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in _SEPARATOR.split(text) if part.strip()]


def _squash(text: str) -> str:
    return _SQUASHED.sub("", text).lower()


def hours(text: str) -> dict[str, Any]:
    """Return Hours for `24/7`, or for days and times in English or Dutch: `mo-fr 07:00-22:00, za 9:00-17:00`.

    Raises Unfit. Source: OCPI 2.2.1 mod_locations, "Hours class".
    """
    if text.replace(" ", "") in ("24/7", "24x7", "7x24"):
        return {"twentyfourseven": True}
    regular = [hour for part in _parts(text) or [text] for hour in _regular(part, text)]
    return {"twentyfourseven": False, "regular_hours": sorted(regular, key=lambda hour: hour["weekday"])}


def _regular(part: str, text: str) -> list[dict[str, Any]]:
    match = _HOURS.fullmatch(part.lower())
    first, last = (_DAYS.get(match[1]), _DAYS.get(match[2] or match[1])) if match else (None, None)
    if not (match and first and last):
        raise Unfit(sheets.NOT_HOURS, value=shown(text))
    days = range(first, last + 1) if first <= last else [*range(first, 8), *range(1, last + 1)]
    begin, end = f"{match[3]:0>2}:{match[4]}", f"{match[5]:0>2}:{match[6]}"
    return [{"weekday": day, "period_begin": begin, "period_end": end} for day in days]


def moment(text: str, zone: str) -> str:
    """Return a DateTime in UTC: a date (and time) that is not in OCPI's form is local to `zone`. Any other text stays.

    Source: OCPI 2.2.1 types, "DateTime"; protocol §5.1.
    """
    if canonical_time(text):
        return text
    for form in _LOCAL:
        # ValueError: another form, or no zone; KeyError: an unknown zone; OSError: one that is a folder
        with suppress(ValueError, KeyError, OverflowError, OSError):
            return stamp(dt.datetime.strptime(text, form).replace(tzinfo=ZoneInfo(zone)))
    return text


def stamp(time: dt.datetime) -> str:
    """Return a time as a DateTime of OCPI, to the millisecond."""
    utc = time.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return canonical_time(f"{utc}Z") or utc
