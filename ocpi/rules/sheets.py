"""The rules of a spreadsheet as such: a file, a header or a cell that cannot become part of a Location.

`ocpi.spreadsheets` finds the breaches; what a cell means once it is read, the rest of the book judges.

Source: our own template; design §7: whatever is refused is named by its place.
"""

from ocpi.rules.findings import ERROR, WARNING, Rule, Severity, Text

_TEMPLATE = "our own template, one row for each Connector"
_SAVE_AGAIN = Text(
    "Save it again, as an Excel workbook (.xlsx) or as CSV UTF-8.",
    "Sla het opnieuw op, als Excel-werkmap (.xlsx) of als CSV UTF-8.",
)


def _rule(name: str, english: str, dutch: str, hint: Text | None = None, severity: Severity = ERROR) -> Rule:
    return Rule(f"sheet_{name}", "S-sheet", severity, _TEMPLATE, Text(english, dutch), hint or Text())


# --- The file ----------------------------------------------------------------------------------------------------------

DAMAGED = _rule(
    "damaged", "The file is neither CSV nor a whole .xlsx workbook", "Het bestand is geen CSV en geen gave .xlsx-werkmap",
    _SAVE_AGAIN,
)  # fmt: skip
LOCKED = _rule(
    "locked",
    "The file is an .xls workbook of an old Excel, or has a password",
    "Het bestand is een .xls-werkmap van een oude Excel, of heeft een wachtwoord",
    Text(
        "Save it as an Excel workbook (.xlsx) without a password.",
        "Sla het op als Excel-werkmap (.xlsx) zonder wachtwoord.",
    ),
)
NOT_TEXT = _rule(
    "not_text",
    "The file is neither UTF-8 nor Windows-1252, from byte {position} on",
    "Het bestand is geen UTF-8 en geen Windows-1252, vanaf byte {position}",
    _SAVE_AGAIN,
)
QUOTES = _rule(
    "quotes",
    "Row {row}: a quotation mark is not closed, or is closed before the end of the cell",
    "Rij {row}: een aanhalingsteken is niet gesloten, of gesloten voor het einde van de cel",
    Text('A quotation mark within a quoted cell is written twice: "".', 'Een aanhalingsteken erbinnen schrijft u dubbel: "".'),
)  # fmt: skip
TOO_LARGE = _rule(
    "too_large",
    "The workbook is larger than can be read; unpacked at most {most} MB",
    "De werkmap is groter dan te lezen is; uitgepakt hoogstens {most} MB",
    Text("Leave out pictures and other sheets, or make it two files.", "Laat plaatjes en andere bladen weg, of splits het."),
)  # fmt: skip
TOO_MANY_ROWS = _rule(
    "too_many_rows", "There are more than {most} rows", "Er zijn meer dan {most} rijen",
    Text(
        "Make it two files; keep the rows of a Location together.",
        "Maak er twee bestanden van; houd de rijen van een Location bij elkaar.",
    ),
)  # fmt: skip
TOO_MANY_COLUMNS = _rule(
    "too_many_columns", "Row {row} has more than {most} cells", "Rij {row} heeft meer dan {most} cellen",
    Text(
        "The columns of the template are enough; delete the others.",
        "De kolommen van de template volstaan; wis de andere.",
    ),
)  # fmt: skip
NO_ROWS = _rule("no_rows", "There are no rows below the header", "Er staan geen rijen onder de kop")

# --- The header --------------------------------------------------------------------------------------------------------

MISSING_COLUMN = _rule(
    "missing_column", "Column {column} is missing", "Kolom {column} ontbreekt",
    Text("The first row names the columns, as in the template.", "De eerste rij noemt de kolommen, zoals in de template."),
)  # fmt: skip
DOUBLE_COLUMN = _rule(
    "double_column",
    "Column {column} is there twice: {value} and {other}",
    "Kolom {column} staat er twee keer: {value} en {other}",
    Text("Keep one.", "Houd er een."),
)
UNKNOWN_COLUMN = _rule(
    "unknown_column",
    "Column {value} is not known; it was left out",
    "Kolom {value} is niet bekend; hij is overgeslagen",
    Text("Did you mean {meant}?", "Bedoelt u {meant}?"),
    WARNING,
)

# --- A cell ------------------------------------------------------------------------------------------------------------

NAMELESS_CELL = _rule(
    "nameless_cell",
    "{value} stands in a column without a name",
    "{value} staat in een kolom zonder naam",
    Text(
        "Name the column, or put the cell that holds a separator between quotation marks.",
        "Geef de kolom een naam, of zet de cel met een scheidingsteken tussen aanhalingstekens.",
    ),
)
NO_ID = _rule(
    "no_id", "{column} is empty; every row needs it", "{column} is leeg; elke rij heeft het nodig",
    Text("Repeat it on every row; merged cells do not count.", "Herhaal het op elke rij; samengevoegde cellen tellen niet."),
)  # fmt: skip
EXAMPLE = _rule(
    "example",
    "This row is the template's example",
    "Deze rij is het voorbeeld uit de template",
    Text("Delete the example, or give it your own ids.", "Wis het voorbeeld, of geef het uw eigen ids."),
)
SPOILT = _rule(
    "spoilt",
    "{value} is what the spreadsheet program made of it: a date, a shortened number or a fault",
    "{value} is wat het rekenprogramma ervan maakte: een datum, een ingekort getal of een fout",
    Text("Format the cell as text and type it again.", "Maak er een tekstcel van en typ het opnieuw."),
)
CONTRADICTION = _rule(
    "contradiction",
    "{value} contradicts {other} in row {row}, of the same {what}",
    "{value} spreekt {other} in rij {row} tegen, van dezelfde {what}",
    Text(
        "What belongs to one {what} is the same in all its rows, or given once.",
        "Wat bij één {what} hoort is in al zijn rijen gelijk, of staat er één keer.",
    ),
)
NOT_KILOWATTS = _rule(
    "not_kilowatts", "{value} is not a number of kW", "{value} is geen aantal kW",
    Text("For example 22 or 7,4.", "Bijvoorbeeld 22 of 7,4."),
)  # fmt: skip
WATTS = _rule(
    "watts",
    "{value} kW is more than any Connector delivers; expected at most {most}",
    "{value} kW is meer dan een Connector kan leveren; verwacht wordt hoogstens {most}",
    Text("In kW, not W: 22 for 22000 W.", "In kW, niet W: 22 voor 22000 W."),
)
NOT_HOURS = _rule(
    "not_hours", "{value} is not understood as opening hours", "{value} is niet te lezen als openingstijden",
    Text(
        "24/7, or days and times such as mo-fr 07:00-22:00, sa 09:00-17:00.",
        "24/7, of dagen en tijden zoals ma-vr 07:00-22:00, za 09:00-17:00.",
    ),
)  # fmt: skip
