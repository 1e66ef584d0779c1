"""Locations from a spreadsheet: a template for a CPO without developers, and what comes back turned into OCPI.

`read` gives the rows of a CSV or XLSX file, `locations` makes Locations of them for the rule book to judge, `place` tells
the cell that a finding is about. No Django, nothing is stored.

Source: OCPI 2.2.1 mod_locations; NDW DOT-NL, "AFIR".
"""

from ocpi.spreadsheets.columns import COLUMNS, Column
from ocpi.spreadsheets.conversion import Converted, Place, locations, place
from ocpi.spreadsheets.sheet import CellError, Row, Sheet, read
from ocpi.spreadsheets.tables import Unreadable
from ocpi.spreadsheets.templates import template_csv, template_xlsx

__all__ = [
    "COLUMNS",
    "CellError",
    "Column",
    "Converted",
    "Place",
    "Row",
    "Sheet",
    "Unreadable",
    "locations",
    "place",
    "read",
    "template_csv",
    "template_xlsx",
]
