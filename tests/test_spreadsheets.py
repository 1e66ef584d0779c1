"""Spreadsheets: the template comes back as Locations without a gap; what is wrong is named by row and column."""

import csv
import datetime as dt
import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from ocpi import spreadsheets
from ocpi.rules import check
from ocpi.spreadsheets import COLUMNS, Converted, Unreadable, cells, columns, inspection, sheet, tables

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
NAMES = [column.name for column in COLUMNS]
FULL = columns.EXAMPLE[0] | {"location_id": "LOC-1", "evse_uid": "EVSE-1"}


def row(**values: str) -> dict[str, str]:
    """Return a row that is valid; keywords replace cells."""
    return FULL | values


def csv_of(*rows: dict[str, str], names: list[str] = NAMES, delimiter: str = ";") -> bytes:
    """Return CSV in UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, names, delimiter=delimiter, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def xlsx_of(*rows: dict[str, Any], formats: dict[str, str] | None = None, title: str = "Sheet") -> bytes:
    """Return a workbook; values keep their types."""
    book = Workbook()
    page = book.worksheets[0]
    page.title = title
    page.append(NAMES)
    for number, values in enumerate(rows, start=2):
        for index, name in enumerate(NAMES, start=1):
            cell = page.cell(number, index, values.get(name))
            cell.number_format = (formats or {}).get(name, cell.number_format)
    return saved(book)


def saved(book: Workbook) -> bytes:
    """Return the bytes of a workbook."""
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def converted(data: bytes) -> list[Converted]:
    """Return the Locations in a file."""
    return list(spreadsheets.locations(spreadsheets.read(data).rows, "NL", "EXA", NOW))


def document(data: bytes) -> dict[str, Any]:
    """Return the only Location in a file."""
    (one,) = converted(data)
    assert one.errors == []
    assert one.document
    return one.document


def faults(data: bytes) -> list[tuple[int, str, str]]:
    """Return (row, column, rule) of every wrong cell."""
    return [(error.row, error.column, error.finding.broken.name) for one in converted(data) for error in one.errors]


def refused(data: bytes) -> list[str]:
    """Return the rules that a file breaks which gives no rows."""
    with pytest.raises(Unreadable) as caught:
        spreadsheets.read(data)
    return [finding.broken.name for finding in caught.value.findings]


# --- The template ------------------------------------------------------------------------------------------------------


def own_id(template: bytes) -> bytes:
    """Return a template in which somebody wrote an id of their own."""
    if not template.startswith(b"PK"):
        return template.replace(b"EXAMPLE-1", b"LOC-0001")
    book = load_workbook(io.BytesIO(template))
    for number in (2, 3, 4):
        book["Connectors"].cell(number, 1, "LOC-0001")
    return saved(book)


@pytest.mark.parametrize("template", [spreadsheets.template_csv, spreadsheets.template_xlsx])
def test_template_comes_back_as_a_location_without_a_finding(template):
    (one,) = converted(own_id(template()))

    verdict = check("location", one.document, now=NOW)

    assert (one.row, one.location_id, one.errors, verdict.findings) == (2, "LOC-0001", [], [])
    assert [len(evse["connectors"]) for evse in verdict.document["evses"]] == [1, 2]
    assert verdict.document["coordinates"] == {"latitude": "52.090736", "longitude": "5.121424"}
    assert verdict.document["evses"][1]["connectors"][1]["max_electric_power"] == 62_500
    assert verdict.document["last_updated"] == "2026-03-02T12:00:00Z"


@pytest.mark.parametrize("template", [spreadsheets.template_csv, spreadsheets.template_xlsx])
def test_template_example_that_was_left_in_is_refused(template):
    assert faults(template()) == [(2, "location_id", "sheet_example")]


def test_template_workbook_helps_with_every_column():
    book = load_workbook(io.BytesIO(spreadsheets.template_xlsx()))
    page = book["Connectors"]

    assert [cell.value for cell in page[1]] == NAMES
    assert [line[0].value for line in book["Help"].iter_rows(min_row=5)] == NAMES
    assert (page.freeze_panes, book["Lists"].sheet_state) == ("B2", "hidden")
    assert {cell.number_format for line in page["A2:AC4"] for cell in line} == {"@"}
    lists = [rule for rule in page.data_validations.dataValidation if rule.type == "list"]
    assert len(lists) == sum(bool(column.choices) for column in COLUMNS) == 10
    assert max(len(rule.prompt) for rule in page.data_validations.dataValidation) <= 255


def test_columns_have_headers_of_their_own():
    headers = [sheet._squash(header) for column in COLUMNS for header in (column.name, *column.aliases)]

    assert len(headers) == len(set(headers))
    assert [column.name for column in COLUMNS if not (column.meaning.en and column.meaning.nl)] == []


# --- Reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("encode", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_csv_is_read_whatever_excel_saved_it_as(delimiter, encode):
    text = csv_of(row(name='Café "Zuid"; hoek'), delimiter=delimiter).decode()

    assert document(text.encode(encode))["name"] == 'Café "Zuid"; hoek'


def test_csv_rows_are_counted_as_the_spreadsheet_does():
    data = b"sep=;\r\n" + csv_of(row(address="two\nlines"), {}, row(address="", evse_uid="EVSE-2", max_power_kw="veel"))

    assert faults(data) == [(4, "max_power_kw", "sheet_not_kilowatts")]


def test_headers_are_matched_in_any_spelling_and_in_dutch():
    header = "Locatie_ID;Adres;Woonplaats;Breedtegraad;LENGTEGRAAD;evse uid;Stekkertype;Uitvoering;Stroomsoort;Spanning"
    header += ";Ampère;Max power (kW);capabilites;Mijn notities;;\r\n"
    cells = "L1;Dam 1;Amsterdam;52,37312;4,89320;E1;iec 62196 t2;socket;ac-3-phase;230 V;32,0;7,4 kW;;let op;;\r\n"

    read = spreadsheets.read((header.replace("Ampère", "Ampere") + cells).encode())

    connector = document((header.replace("Ampère", "Ampere") + cells).encode())["evses"][0]["connectors"][0]
    assert [finding.message for finding in read.warnings] == [
        'Column "capabilites" is not known; it was left out',
        'Column "Mijn notities" is not known; it was left out',
    ]
    assert [finding.hint for finding in read.warnings] == ["Did you mean capabilities?", ""]
    assert connector | {"last_updated": ""} == {
        "id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE", "max_voltage": 230,
        "max_amperage": 32, "max_electric_power": 7400, "last_updated": "",
    }  # fmt: skip


def test_header_without_obligatory_columns_or_with_one_twice_is_refused():
    names = [name for name in NAMES if name not in ("city", "max_voltage", "tariff_ids")]

    assert refused(csv_of(row(), names=names)) == ["sheet_missing_column", "sheet_missing_column"]
    assert refused(csv_of(row(), names=[*NAMES, "breedtegraad"])) == ["sheet_double_column"]
    assert refused(csv_of()) == ["sheet_no_rows"]


def test_cell_that_slipped_beyond_the_header_is_named_by_its_letters():
    data = csv_of(row(), delimiter=",").replace(b"Marktplein 1", b"Marktplein 1, hoek").replace(b'"', b"")

    assert (2, "AD", "sheet_nameless_cell") in faults(data)


def test_xlsx_gives_what_a_person_sees():
    values = row() | {
        "location_id": 12.0, "evse_uid": 12, "name": "0012", "latitude": 52.0907, "longitude": 5.1, "publish": True,
        "postal_code": 1234.0, "max_voltage": 230.0, "max_power_kw": 22.08, "tariff_ids": 7,
        "last_updated": dt.datetime(2026, 3, 2, 10, 15),  # noqa: DTZ001 - a cell has no zone
    }  # fmt: skip

    location = document(xlsx_of(values, formats={"evse_uid": "0000", "longitude": "0.000000", "max_power_kw": "0"}))

    evse = location["evses"][0]
    assert [location[name] for name in ("id", "name", "publish", "postal_code")] == ["12", "0012", True, "1234"]
    assert location["coordinates"] == {"latitude": "52.09070", "longitude": "5.100000"}
    assert (evse["uid"], evse["connectors"][0]["max_electric_power"]) == ("0012", 22_080)
    assert (evse["connectors"][0]["max_voltage"], evse["connectors"][0]["tariff_ids"]) == (230, ["7"])
    assert location["last_updated"] == "2026-03-02T09:15:00Z"


def test_xlsx_ids_that_excel_spoilt_are_refused():
    values = row() | {"evse_uid": dt.datetime(2026, 1, 2), "evse_id": "#REF!", "connector_id": 1234567890123456}  # noqa: DTZ001

    assert faults(xlsx_of(values)) == [(2, name, "sheet_spoilt") for name in ("evse_uid", "connector_id", "evse_id")]
    assert faults(csv_of(row(evse_uid="1,23E+11"))) == [(2, "evse_uid", "sheet_spoilt")]


def test_xlsx_blank_rows_and_other_sheets_do_not_matter():
    book = load_workbook(
        io.BytesIO(xlsx_of(row(), {}, {}, row(evse_uid="EVSE-2", connector_id="#N/A"), title="connectors"))
    )
    book.create_sheet("First", 0).append(["nothing"])

    assert faults(saved(book)) == [(5, "connector_id", "sheet_spoilt")]


# --- Rows become Locations ---------------------------------------------------------------------------------------------


def test_values_of_a_location_and_an_evse_may_stand_once():
    only = {name: FULL[name] for name in NAMES if name in FULL and columns.BY_NAME[name].level == "connector"}
    rows = [
        row(),
        row(location_id="LOC-2", evse_uid="OTHER"),
        only | {"location_id": "LOC-1", "evse_uid": "EVSE-1", "connector_id": "2"},
        only | {"location_id": "LOC-1", "evse_uid": "EVSE-2", "parking_restrictions": "none"},
    ]

    one, other = converted(csv_of(*rows))

    assert (one.row, one.errors, other.row, other.location_id) == (2, [], 3, "LOC-2")
    assert one.document
    assert [[c["id"] for c in evse["connectors"]] for evse in one.document["evses"]] == [["1", "2"], ["1"]]
    assert [evse["parking_restrictions"] for evse in one.document["evses"]] == [["EV_ONLY"], []]


def test_empty_cells_have_their_default_and_no_answer_is_invented():
    empty = dict.fromkeys(("country", "time_zone", "opening_hours", "publish", "status", "connector_id"), "")
    empty |= dict.fromkeys(("green_energy", "parking_restrictions", "max_power_kw", "tariff_ids"), "")

    (one,) = converted(csv_of(row(**empty)))
    verdict = check("location", one.document, now=NOW)

    assert verdict.outcome == "gaps"
    assert [verdict.document[name] for name in ("country", "time_zone", "publish")] == ["NLD", "Europe/Amsterdam", True]
    assert verdict.document["opening_times"] == {"twentyfourseven": True}
    assert (verdict.document["evses"][0]["status"], verdict.document["evses"][0]["connectors"][0]["id"]) == (
        "AVAILABLE",
        "1",
    )
    assert [spreadsheets.place(one, gap.path) for gap in verdict.gaps] == [
        (2, "green_energy"), (2, "parking_restrictions"), (2, "max_power_kw"), (2, "tariff_ids"),
    ]  # fmt: skip


def test_a_time_in_a_zone_that_is_none_is_told_at_the_zone():
    (one,) = converted(csv_of(row(time_zone="Amsterdam", last_updated="2026-03-02 10:15")))
    verdict = check("location", one.document, now=NOW)

    assert "L-24" in {finding.rule for finding in verdict.errors}


def test_rows_that_contradict_each_other_are_named_both():
    rows = [row(), row(city="Zeist", latitude="52.090736", connector_id="2"), row(evse_uid="EVSE-2", status="PLANNED")]

    (one,) = converted(csv_of(*rows, row(status="BLOCKED", connector_id="3")))

    assert one.document is None
    assert [(error.row, error.column, error.finding.path) for error in one.errors] == [
        (3, "city", "/3/city"),
        (5, "status", "/5/status"),
    ]
    assert one.errors[0].finding.message == '"Zeist" contradicts "Utrecht" in row 2, of the same Location'


def test_row_without_ids_is_refused_alone():
    assert faults(csv_of(row(location_id=""), row(), row(evse_uid=""))) == [
        (2, "location_id", "sheet_no_id"),
        (4, "evse_uid", "sheet_no_id"),
    ]


def test_finding_of_the_rule_book_is_placed_at_its_cell():
    rows = [row(), row(evse_uid="EVSE-2", status="KAPOT"), row(evse_uid="EVSE-2", status="", standard="MENNEKES")]
    rows += [
        row(location_id="LOC-2", address="", latitude="52,09", opening_hours="ma-vr 07:00-24:00", green_energy="?")
    ]

    one, other = converted(csv_of(*rows))
    errors = [check("location", each.document, now=NOW).errors for each in (one, other)]

    assert [(error.path, spreadsheets.place(one, error.path)) for error in errors[0]] == [
        ("/evses/1/status", (3, "status")),
        ("/evses/1/connectors/1/standard", (4, "standard")),
    ]
    assert errors[0][1].hint == "Did you mean IEC_62196_T2?"
    placed = {error.path: spreadsheets.place(other, error.path) for error in errors[1]}
    assert placed["/address"] == (5, "address")
    assert placed["/coordinates/latitude"] == (5, "latitude")
    assert placed["/opening_times/regular_hours/0/period_end"] == (5, "opening_hours")
    assert placed["/energy_mix/is_green_energy"] == (5, "green_energy")
    assert spreadsheets.place(other, "/no/such/path") == (5, "location_id")


def test_connector_id_twice_in_an_evse_is_placed_at_the_second():
    (one,) = converted(csv_of(row(), row()))

    (error,) = check("location", one.document, now=NOW).errors

    assert (error.broken.name, spreadsheets.place(one, error.path)) == ("same_connector_id_twice", (3, "connector_id"))


def test_last_updated_of_a_row_counts_for_its_evse_and_location():
    location = document(
        csv_of(row(last_updated="2026-01-05T08:00:00Z"), row(evse_uid="2", last_updated="05-07-2026 10:00"))
    )

    assert [evse["last_updated"] for evse in location["evses"]] == ["2026-01-05T08:00:00Z", "2026-07-05T08:00:00Z"]
    assert location["last_updated"] == "2026-07-05T08:00:00Z"


# --- Cells -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (cells.yes_no, "Ja", True),
        (cells.yes_no, "ONWAAR", False),
        (cells.yes_no, "misschien", "misschien"),
        (cells.number("V"), "230,0 v", 230),
        (cells.number("V"), "230,5", 230.5),
        (cells.number("V"), "hoog", "hoog"),
        (cells.kilowatts, "22", 22_000),
        (cells.kilowatts, "7,36", 7_360),
        (cells.coordinate, "52,0907", "52.09070"),
        (cells.coordinate, "52.090", "52.090"),
        (cells.coordinate, "-5,123456789", "-5.123457"),
        (cells.country, "nl", "NLD"),
        (cells.country, "Nederland", "Nederland"),
        (cells.identifiers, "A-1, B 2;C", ["A-1", "B 2", "C"]),
        (cells.hours, "24/7", {"twentyfourseven": True}),
    ],
)
def test_cell_is_read_as_people_write_it(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    "text", ["ma-di 9:00-17:30, zo 10.00 - 12.00", "Monday - Tuesday 09:00-17:30; sunday 10:00-12:00"]
)
def test_opening_hours_are_read_in_both_languages(text):
    assert cells.hours(text)["regular_hours"] == [
        {"weekday": 1, "period_begin": "09:00", "period_end": "17:30"},
        {"weekday": 2, "period_begin": "09:00", "period_end": "17:30"},
        {"weekday": 7, "period_begin": "10:00", "period_end": "12:00"},
    ]


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("max_power_kw", "22000", "sheet_watts"),
        ("max_power_kw", "22 kWh", "sheet_not_kilowatts"),
        ("opening_hours", "altijd", "sheet_not_hours"),
        ("opening_hours", ",", "sheet_not_hours"),
        ("address", "#VERW!", "sheet_spoilt"),
    ],
)
def test_cell_that_cannot_be_read_is_refused(name, text, rule):
    assert faults(csv_of(row(**{name: text}))) == [(2, name, rule)]


# --- Files that are none -----------------------------------------------------------------------------------------------


def zipped(**parts: bytes) -> bytes:
    """Return a zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def with_rows(change: Callable[[str], str], encoding: str = "utf-8") -> bytes:
    """Return a workbook whose rows are changed as XML."""
    source = zipfile.ZipFile(io.BytesIO(xlsx_of(row())))
    parts = {name: source.read(name) for name in source.namelist()}
    rows = parts["xl/worksheets/sheet1.xml"].decode()
    parts["xl/worksheets/sheet1.xml"] = change(rows).encode(encoding)
    return zipped(**parts)


def with_entities(rows: str) -> str:
    """Return rows that define an entity."""
    return f'<!DOCTYPE a [<!ENTITY b "c">]>{rows}'


def with_row(content: str) -> Callable[[str], str]:
    """Make the change that adds a last row."""
    return lambda rows: rows.replace("</sheetData>", f'<row r="1048576">{content}</row></sheetData>')


def test_xlsx_last_row_of_all_is_read_and_endless_rows_are_not():
    assert faults(with_rows(with_row('<c r="A1048576"><v>7</v></c>')))[-1] == (1048576, "evse_uid", "sheet_no_id")
    assert refused(with_rows(with_row('<c r="A1"><v>1</v></c>' * 60_000))) == ["sheet_too_large"]
    assert refused(with_rows(with_row("<row>" + "<c/>" * 200_000 + "</row>"))) == ["sheet_too_large"]
    assert refused(with_rows(lambda rows: rows.replace("</sheetData>", "<c/>" * 1_100_000))) == ["sheet_too_large"]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"PK\x03\x04 not a zip", "sheet_damaged"),
        (zipped(**{"readme.txt": b"hello"}), "sheet_damaged"),
        (xlsx_of(row())[:-300], "sheet_damaged"),
        (with_rows(with_entities), "sheet_damaged"),
        (with_rows(with_entities, "utf-16"), "sheet_damaged"),
        (zipped(**{"xl/worksheets/sheet1.xml": bytes(inspection.MAX_UNPACKED + 1)}), "sheet_too_large"),
        (zipped(**{"xl/sharedStrings.xml": bytes(inspection.MAX_OTHER + 1)}), "sheet_too_large"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "sheet_locked"),
        (b"%PDF-1.7\0\0", "sheet_damaged"),
        (b"location_id;name\nL1;\x81\n", "sheet_not_text"),
        (csv_of(row()) + b'"open', "sheet_quotes"),
    ],
)
def test_file_that_is_no_spreadsheet_says_what_it_is(data, rule):
    assert refused(data) == [rule]


def test_file_that_is_empty_lacks_every_obligatory_column():
    assert set(refused(b"")) == {"sheet_missing_column"}
    assert len(refused(b"\xef\xbb\xbf\r\n;;\r\n")) == 11


def test_file_of_too_many_rows_is_refused():
    assert refused(csv_of() + b"x\n" * (tables.MAX_ROWS + 1)) == ["sheet_too_many_rows"]
    assert refused(b"\n" * 1_048_577 + csv_of(row())) == ["sheet_too_many_rows"]


@pytest.mark.parametrize(
    ("data", "rule", "message"),
    [
        (b";" * 5000, "sheet_missing_column", "Column location_id is missing"),
        (b";" * 5001, "sheet_too_many_columns", "Row 1 has more than 5000 cells"),
        (csv_of(row()) + b";" * 5001, "sheet_too_many_columns", "Row 3 has more than 5000 cells"),
        (csv_of(row()) + b'"\n";' * 5001, "sheet_quotes", "Row 3: a quotation mark is not closed"),
        (csv_of() + b'"no end' + csv_of(*[row()] * 200), "sheet_quotes", "Row 2: a quotation mark is not closed"),
    ],
    ids=["most", "header", "row", "row of many lines", "quotation mark"],
)
def test_row_of_csv_is_bounded_before_it_is_a_list(data, rule, message):
    with pytest.raises(Unreadable, match=message) as caught:
        spreadsheets.read(data)

    assert caught.value.findings[0].broken.name == rule


def test_rows_of_csv_have_as_many_cells_as_those_of_a_workbook():
    assert [len(line.cells) for line in tables.lines(b"a;" * 150 + b"\n" + b"1;" * 200)] == [100, 100]


_PIECES = st.sampled_from([*NAMES, "L1", "ja", "1E+22", '"', ";", ",", "\t", "\r\n", "\n", "\ufeff", "\0", "24/7", "٣"])
_TEXTS = st.lists(_PIECES | st.text(max_size=5), max_size=60).map("".join)
_ANY = st.binary(max_size=200) | st.binary(max_size=50).map(lambda tail: b"PK\x03\x04" + tail)
_TEXT_FILES = _TEXTS.map(lambda text: text.encode("utf-8", "replace"))
_GOOD = csv_of(row(), row(evse_uid="EVSE-2"))
_BROKEN = st.tuples(st.integers(0, len(_GOOD)), st.binary(max_size=4)).map(
    lambda at: _GOOD[: at[0]] + at[1] + _GOOD[at[0] + 2 :]
)


def survives(data: bytes) -> None:
    """Read, convert and judge whatever it is."""
    try:
        rows = spreadsheets.read(data).rows
    except Unreadable:
        return
    for one in spreadsheets.locations(rows, "NL", "EXA", NOW):
        assert bool(one.errors) != bool(one.document)
        for finding in check("location", one.document, now=NOW).findings if one.document else ():
            assert spreadsheets.place(one, finding.path)


@settings(max_examples=300, deadline=None)
@given(_ANY | _TEXT_FILES | _BROKEN)
def test_any_bytes_give_rows_or_say_why_not(data):
    survives(data)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.text(min_size=1, max_size=30), min_size=1, max_size=6))
def test_any_cells_give_a_document_or_an_error(values):
    survives(csv_of(row(**values)))


_BOOK = xlsx_of(row())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(_BOOK) - 1), st.binary(min_size=1, max_size=8))
def test_any_damage_to_a_workbook_is_survived(at, bytes_there):
    survives(_BOOK[:at] + bytes_there + _BOOK[at + len(bytes_there) :])
