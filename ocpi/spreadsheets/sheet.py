"""The header of a table matched with our columns, so that every row has values by name.

Source: our own template (`ocpi.spreadsheets.columns`).
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ocpi.rules import Finding, pointer, sheets, shown
from ocpi.rules.findings import Rule
from ocpi.spreadsheets.columns import COLUMNS
from ocpi.spreadsheets.tables import Line, Unreadable, lines

MAX_ERRORS = 5  # of one row: more say the same
_SQUASHED = re.compile(r"[\W_]")


def _squash(header: str) -> str:
    return _SQUASHED.sub("", header).lower()


_HEADERS = {_squash(header): column.name for column in COLUMNS for header in (column.name, *column.aliases)}


class CellError(NamedTuple):
    """Something wrong with one cell; `column` is a name of ours, or the letters of a column without one.

    The path of `finding` is a JSON Pointer into the sheet: `/7/max_power_kw`.
    """

    row: int
    column: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is counted in the spreadsheet (the header is usually 1); empty cells have no value."""

    number: int
    values: dict[str, str]
    errors: tuple[CellError, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a file, and warnings about columns that were left out."""

    rows: list[Row]
    warnings: list[Finding]


def cell_error(row: int, column: str, rule: Rule, /, **values: object) -> CellError:
    """Return the error that a cell breaks a rule of the sheet."""
    return CellError(row, column, rule.at(pointer(row, column), **values))


def read(data: bytes) -> Sheet:
    """Return the rows of a CSV or XLSX file.

    Raises Unreadable when the file cannot be read, when a column that OCPI demands is missing or one is there twice, and
    when there are no rows.
    """
    table = lines(data)
    header = next(table, Line(1, []))
    names, findings = _columns(header.cells)
    if any(finding.severity == "error" for finding in findings):
        raise Unreadable(*sorted(findings, key=lambda finding: finding.severity != "error"))
    rows = list(_rows(table, names))
    if not rows:
        raise Unreadable(sheets.NO_ROWS.at(""))
    return Sheet(rows, findings)


def _columns(header: list[str]) -> tuple[list[str | None], list[Finding]]:
    """Return the name of each column, "" when it has no header and None when it is not ours, and what is wrong."""
    names: list[str | None] = []
    findings, seen = [], dict[str, str]()
    for cell in header:
        name = _HEADERS.get(_squash(cell)) if cell else ""
        names.append(name)
        if name is None:
            findings.append(_unknown(cell))
        elif name and name in seen:
            findings.append(sheets.DOUBLE_COLUMN.at("", column=name, value=shown(seen[name]), other=shown(cell)))
        elif name:
            seen[name] = cell
    missing = [column.name for column in COLUMNS if column.demand == "ocpi" and column.name not in seen]
    return names, findings + [sheets.MISSING_COLUMN.at("", column=name) for name in missing]


def _unknown(header: str) -> Finding:
    near = difflib.get_close_matches(_squash(header[:50]), _HEADERS, 1)
    return sheets.UNKNOWN_COLUMN.at("", value=shown(header), **({"meant": _HEADERS[near[0]]} if near else {}))


def _rows(table: Iterator[Line], names: list[str | None]) -> Iterator[Row]:
    shared = dict[str, str]()  # thousands of rows have the same city
    for line in table:
        values, errors = dict[str, str](), list[CellError]()
        for index, cell in enumerate(line.cells):
            name = names[index] if index < len(names) else ""
            if not cell or name is None:
                continue
            if name:
                values[name] = shared.setdefault(cell, cell)
            rule = _fault(name, index in line.spoilt)
            if rule and len(errors) < MAX_ERRORS:
                errors.append(cell_error(line.number, name or _letters(index), rule, value=shown(cell)))
        yield Row(line.number, values, tuple(errors))


def _fault(name: str, is_spoilt: bool) -> Rule | None:
    if not name:
        return sheets.NAMELESS_CELL
    return sheets.SPOILT if is_spoilt and name != "last_updated" else None


def _letters(index: int) -> str:
    """Return what a spreadsheet calls a column: A to Z, AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
