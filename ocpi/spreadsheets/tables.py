"""A file as a table: CSV or XLSX in, rows of the text a person sees out. It knows nothing of columns.

Whatever the bytes are, what comes out is rows or Unreadable: the file is a stranger's.

Source: RFC 4180; ECMA-376 (XLSX).
"""

import codecs
import csv
import datetime as dt
import io
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

from openpyxl import load_workbook

from ocpi.rules import Finding, sheets
from ocpi.spreadsheets import inspection

MAX_ROWS = 100_000  # the largest party of the Netherlands has as many Connectors
MAX_COLUMNS = 100  # those of the template and more than anybody's own
SHEET = "connectors"
DELIMITERS = (";", ",", "\t")
_LAST_ROW = 1_048_576  # of Excel; a row may say that it is any other
_MOST_DELIMITERS = 5000  # of a row of CSV, those in quoted cells counted: it is a list before it is cut to MAX_COLUMNS
_MAX_EXACT = 10**15  # a spreadsheet keeps 15 digits of a number
_FIXED = re.compile(r"(0+)(?:\.(0+))?")
_BLANKS = re.compile(r"[\r\n\t\v\f]+")


class Unreadable(ValueError):
    """The file gives no rows; `findings` say why, in both languages."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__(findings[0].message)
        self.findings = list(findings)


class Line(NamedTuple):
    """One row as it is counted in the spreadsheet; `spoilt` are the indices of cells that were made into dates."""

    number: int
    cells: list[str]
    spoilt: frozenset[int] = frozenset()


def lines(data: bytes) -> Iterator[Line]:
    """Yield the rows that have a value, blanks around them taken off. Raises Unreadable, also in the middle."""
    if data.startswith(b"PK"):
        found = _workbook(data)
    elif data.startswith(b"\xd0\xcf\x11\xe0"):  # the container of .xls, and of a workbook with a password
        raise Unreadable(sheets.LOCKED.at(""))
    else:
        found = _csv(_decoded(data))
    for count, line in enumerate(line for line in found if any(line.cells)):
        if count > MAX_ROWS:
            raise Unreadable(sheets.TOO_MANY_ROWS.at("", most=MAX_ROWS))
        yield line


def _tidy(text: str) -> str:
    return _BLANKS.sub(" ", text.strip())


# --- CSV ---------------------------------------------------------------------------------------------------------------


def _decoded(data: bytes) -> str:
    """Return the text: UTF-8, what Excel calls Unicode (UTF-16) with its mark, or Windows-1252."""
    is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf_16 else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            position = error.start
            continue
        if "\0" in text:
            raise Unreadable(sheets.DAMAGED.at(""))
        return text
    raise Unreadable(sheets.NOT_TEXT.at("", position=position))


def _csv(text: str) -> Iterator[Line]:
    delimiter, text = _delimiter(text.lstrip("\ufeff"))
    number = 0
    source = _Source(text, delimiter)
    try:
        for number, cells in enumerate(csv.reader(source, delimiter=delimiter, strict=True), start=1):
            yield Line(number, [_tidy(cell) for cell in cells[:MAX_COLUMNS]])
            source.begin_row(number + 1)
    except csv.Error:
        raise Unreadable(sheets.QUOTES.at("", row=number + 1)) from None


class _Source:
    """The lines that csv.reader makes rows of, a row of several where a cell has ends of lines. Raises Unreadable."""

    def __init__(self, text: str, delimiter: str) -> None:
        self._lines = enumerate(io.StringIO(text, newline=""), start=1)
        self._delimiter = delimiter
        self.begin_row(1)

    def begin_row(self, row: int) -> None:
        """Count anew."""
        self._row, self._height, self._delimiters = row, 0, 0

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            if number > _LAST_ROW:
                raise Unreadable(sheets.TOO_MANY_ROWS.at("", most=MAX_ROWS))
            self._height += 1
            self._delimiters += line.count(self._delimiter)
            if self._delimiters > _MOST_DELIMITERS:
                raise Unreadable(self._fault())
            yield line

    def _fault(self) -> Finding:
        if self._height > 1:  # the rest of the file, behind a quotation mark that is not closed
            return sheets.QUOTES.at("", row=self._row)
        return sheets.TOO_MANY_COLUMNS.at("", row=self._row, most=_MOST_DELIMITERS)


def _delimiter(text: str) -> tuple[str, str]:
    """Return what stands most often in the header, and the text without Excel's own `sep=;` line, which is no row."""
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and first[4:5] in DELIMITERS:
        return first[4], rest
    lines = islice(io.StringIO(text, newline=""), _LAST_ROW)
    header = next((line for line in lines if line.strip()), "")
    return max(DELIMITERS, key=header.count), text


# --- XLSX --------------------------------------------------------------------------------------------------------------


def _workbook(data: bytes) -> Iterator[Line]:
    """Yield the rows of the sheet named Connectors, or of the first."""
    try:
        if found := inspection.fault(data):
            raise Unreadable(found)
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        pages = book.worksheets
        page = next((page for page in pages if page.title.strip().lower() == SHEET), pages[0])
        before = None
        for number, cells in enumerate(page.iter_rows(min_row=1, max_row=_LAST_ROW, max_col=MAX_COLUMNS), start=1):
            if cells is not before:  # the rows of a gap, a million perhaps, are one and the same tuple
                yield _line(number, cells)
            before = cells
    except Unreadable:
        raise
    except Exception:  # zipfile, zlib, expat and openpyxl have dozens of ways to say that a file is broken
        raise Unreadable(sheets.DAMAGED.at("")) from None


def _line(number: int, cells: tuple[Any, ...]) -> Line:
    values = [cell.value for cell in cells]
    while values and values[-1] is None:
        values.pop()
    texts = [_text(value, cell) for value, cell in zip(values, cells, strict=False)]
    return Line(number, texts, frozenset(index for index, value in enumerate(values) if _is_spoilt(value)))


def _is_spoilt(value: object) -> bool:
    """Return whether an id cannot be had from a value: it became a date, or lost digits."""
    if isinstance(value, int | float):
        return abs(value) >= _MAX_EXACT
    return isinstance(value, dt.date | dt.time | dt.timedelta)


def _text(value: object, cell: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(value, cell.number_format or "")
        case dt.datetime():
            return value.isoformat(sep=" ", timespec="seconds")
    return _tidy(str(value))


def _number(value: int | float, number_format: str) -> str:
    """Return a number as the cell shows it: 12.0 is 12, and 0012 or 52.09070 when the format says so."""
    exact = Decimal(value if isinstance(value, int) else f"{value:.15g}")
    fixed = _FIXED.fullmatch(number_format)
    if not fixed or exact < 0:
        return f"{exact:f}"
    decimals = len(fixed[2] or "")
    shown, width = f"{exact:.{decimals}f}", len(fixed[1]) + (decimals + 1 if decimals else 0)
    # A format that hides decimals is not what was meant: 22.08 kW shown as 22 stays 22.08.
    return shown.zfill(width) if Decimal(shown) == exact else f"{exact:f}"
