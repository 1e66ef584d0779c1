"""The template a CPO fills in: one row for each Connector, an example to replace, and what each column means.

Source: `ocpi.spreadsheets.columns`; the workbook as in ECMA-376.
"""

import csv
import io

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from ocpi.rules.findings import Text
from ocpi.spreadsheets.columns import COLUMNS, EXAMPLE, Column, Demand

_LAST_ROW = 10_000  # as far as drop-downs go
_DEMANDS: dict[Demand, Text] = {
    "ocpi": Text("yes", "ja"),
    "dot-nl": Text("yes, for DOT-NL", "ja, voor DOT-NL"),
    "optional": Text("no", "nee"),
}
_HELP = (
    "Column / Kolom", "Meaning", "Betekenis", "Obligatory", "Verplicht", "Empty means / Leeg is", "Example / Voorbeeld",
    "Choices / Keuzes", "OCPI",
)  # fmt: skip
_INTRO = (
    "One row for each Connector (socket or plug). What belongs to a Location or an EVSE may stand on its first row only.",
    "Eén rij per Connector (stopcontact of stekker). Wat bij een Location of EVSE hoort mag alleen op de eerste rij staan.",
)
_COLOURS: dict[Demand, str] = {"ocpi": "F4B183", "dot-nl": "FFE699", "optional": "DDEBF7"}
_OBJECTS = {"location": "Location", "evse": "EVSE", "connector": "Connector"}


def template_csv() -> bytes:
    """Return the template as CSV that a Dutch Excel opens with a double click: UTF-8 with its mark, `;`, decimal commas."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, [column.name for column in COLUMNS], delimiter=";", restval="")
    writer.writeheader()
    writer.writerows(EXAMPLE)
    return out.getvalue().encode("utf-8-sig")


def template_xlsx() -> bytes:
    """Return the template as a workbook: Connectors to fill in, Help to read, and the lists of its drop-downs."""
    book = Workbook()
    connectors, manual, lists = book.worksheets[0], book.create_sheet("Help"), book.create_sheet("Lists")
    connectors.title = "Connectors"
    for index, column in enumerate(COLUMNS, start=1):
        _add_column(connectors, index, column)
        _add_choices(connectors, lists, index, column)
    connectors.freeze_panes = "B2"
    _add_help(manual)
    lists.sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _add_column(page: Worksheet, index: int, column: Column) -> None:
    """Add a header and the example.

    All cells are text: no id loses its zeros, and no 7.4 or 52.090736 becomes the date or the millions that a Dutch Excel
    would make of it.
    """
    header = page.cell(1, index, column.name)
    header.font, header.fill = Font(bold=True), PatternFill("solid", fgColor=_COLOURS[column.demand])
    dimension = page.column_dimensions[get_column_letter(index)]
    dimension.width = max(len(column.name), len(column.example)) + 3
    dimension.number_format = "@"
    for row, values in enumerate(EXAMPLE, start=2):
        page.cell(row, index, values.get(column.name)).number_format = "@"


def _add_choices(page: Worksheet, lists: Worksheet, index: int, column: Column) -> None:
    """Add what Excel shows at a cell: the column's meaning and, where there are choices, a drop-down.

    Other values are let in where several may stand in one cell; else a list refuses what it does not have.
    """
    letter = get_column_letter(index)
    for row, choice in enumerate(column.choices, start=1):
        lists[f"{letter}{row}"] = choice
    source = f"Lists!${letter}$1:${letter}${len(column.choices)}" if column.choices else None
    is_closed = bool(column.choices) and not column.several and column.name != "time_zone"
    rule = DataValidation(
        type="list" if source else None, formula1=source, allow_blank=True, showErrorMessage=is_closed,
        showInputMessage=True, promptTitle=column.name, prompt=f"{column.meaning.en}\n{column.meaning.nl}",
    )  # fmt: skip
    rule.add(f"{letter}2:{letter}{_LAST_ROW}")
    page.add_data_validation(rule)


def _add_help(page: Worksheet) -> None:
    for line in _INTRO:
        page.append([line])
    page.append([])
    page.append(_HELP)
    for column in COLUMNS:
        page.append(_help(column))
    for cell in page[len(_INTRO) + 2]:
        cell.font = Font(bold=True)
    for letter, width in zip("ABCDEFGHI", (22, 60, 60, 17, 17, 22, 36, 60, 34), strict=True):
        page.column_dimensions[letter].width = width
    for row in page.iter_rows(min_row=len(_INTRO) + 2):
        for cell in row:
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    page.freeze_panes = f"B{len(_INTRO) + 3}"


def _help(column: Column) -> tuple[str, ...]:
    demand, field = _DEMANDS[column.demand], column.field.replace("/", ".")
    choices = ", ".join(column.choices)
    return (
        column.name, *column.meaning, *demand, column.default, column.example, choices, _OBJECTS[column.level] + field,
    )  # fmt: skip
