"""Rows become OCPI Locations: one row is one Connector, rows of one location_id are one Location.

What belongs to a Location or an EVSE may stand on its first row only, or on all; two rows that differ are an error.
An empty cell has a default where there is a usual answer. Where DOT-NL wants one (green energy, parking restrictions,
power, tariffs) there is none: an answer nobody gave is not published.

Source: OCPI 2.2.1 mod_locations; NDW DOT-NL, "AFIR"; protocol §5.2-§5.4.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ocpi.rules import sheets, shown
from ocpi.spreadsheets import cells
from ocpi.spreadsheets.columns import COLUMNS, EXAMPLE_ID, TIME_ZONE, Column, Level
from ocpi.spreadsheets.sheet import CellError, Row, cell_error

Object = dict[str, Any]
_COLUMNS: dict[Level, list[Column]] = {
    level: [column for column in COLUMNS if column.level == level] for level in ("location", "evse", "connector")
}
_WHAT: dict[Level, str] = {"location": "Location", "evse": "EVSE", "connector": "Connector"}
_IDS = ("location_id", "evse_uid")
_DEFAULTS: Object = {"publish": True, "time_zone": TIME_ZONE, "opening_times": {"twentyfourseven": True}}
MAX_ERRORS = 200  # of one Location


class Place(NamedTuple):
    """A cell: the row as the spreadsheet counts, and the name of the column."""

    row: int
    column: str


@dataclass(slots=True)
class Converted:
    """What the rows of one Location came to; `document` is None when `errors` says why it cannot be one.

    `row` is its first row, `location_id` "" when the row has none. `places` tells the cell of a JSON Pointer. `assumed` are
    the indices of EVSEs whose status the sheet does not say: new ones are AVAILABLE, the others stay what they are.
    """

    row: int
    location_id: str
    document: Object | None = None
    errors: list[CellError] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    assumed: list[int] = field(default_factory=list)


def place(converted: Converted, path: str) -> Place | None:
    """Return the cell that a path in the document comes from, or the nearest above it; None if there is none."""
    while path and path not in converted.places:
        path = path.rpartition("/")[0]
    return converted.places.get(path)


def locations(rows: Iterable[Row], country_code: str, party_id: str, now: dt.datetime) -> Iterator[Converted]:
    """Yield the Locations of a party in the order of their first rows; rows of one may stand apart.

    A row without last_updated gets `now` (with a time zone). So the same file delivered again has another last_updated
    everywhere though nothing changed: compare without it, or let the sheet give it.
    """
    party = {"country_code": country_code, "party_id": party_id, "country": cells.country(country_code)}
    for group in _grouped(rows, "location_id"):
        yield _converted(group, party, cells.stamp(now))


def _grouped(rows: Iterable[Row], column: str) -> list[list[Row]]:
    """Return the rows by an id, upper and lower case alike; a row without is a group of its own."""
    groups: dict[str | int, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.values.get(column, "").lower() or row.number, []).append(row)
    return list(groups.values())


def _converted(rows: list[Row], party: Object, now: str) -> Converted:
    converted = Converted(rows[0].number, rows[0].values.get("location_id", ""))
    for error in (error for row in rows for error in row.errors):
        _note(converted, error)
    if converted.location_id.upper() == EXAMPLE_ID:
        _note(converted, cell_error(rows[0].number, "location_id", sheets.EXAMPLE))
    document = party | _DEFAULTS | _object(converted, "location", rows, "")
    groups = _grouped(rows, "evse_uid")
    document["evses"] = [_evse(converted, group, f"/evses/{n}", now) for n, group in enumerate(groups)]
    for evse in document["evses"]:
        for connector in evse["connectors"]:
            connector["last_updated"] = cells.moment(connector["last_updated"], document["time_zone"])
        evse["last_updated"] = _latest(evse["connectors"])
    document["last_updated"] = _latest(document["evses"])
    converted.places["/evses"] = Place(rows[0].number, "evse_uid")
    converted.document = None if converted.errors else document
    converted.errors.sort(key=lambda error: error.row)
    return converted


def _latest(children: list[Object]) -> str:
    return max((str(child["last_updated"]) for child in children), key=lambda time: time.rstrip("Z"))


def _evse(converted: Converted, rows: list[Row], path: str, now: str) -> Object:
    said = _object(converted, "evse", rows, path)
    if "status" not in said:
        converted.assumed.append(int(path.rpartition("/")[2]))
    evse: Object = {"status": "AVAILABLE"} | said
    evse["connectors"] = [
        {"id": "1", "last_updated": now} | _object(converted, "connector", [row], f"{path}/connectors/{n}")
        for n, row in enumerate(rows)
    ]
    converted.places[f"{path}/connectors"] = Place(rows[0].number, "connector_id")
    return evse


def _object(converted: Converted, level: Level, rows: list[Row], path: str) -> Object:
    """Return the fields of one object, and note their places; that of a field without value is on the first row."""
    obj: Object = {}
    places = converted.places
    places[path] = Place(rows[0].number, _COLUMNS[level][0].name)
    for column in _COLUMNS[level]:
        row, value = _given(converted, column, rows)
        where = Place(row, column.name)
        places[path + column.field] = where
        *above, name = column.field.split("/")[1:]
        if above:  # one step at most
            places.setdefault(f"{path}/{above[0]}", where)
        if value is not None:
            (obj.setdefault(above[0], {}) if above else obj)[name] = value
    return obj


def _given(converted: Converted, column: Column, rows: list[Row]) -> tuple[int, Any]:
    """Return the value and its row: the first there is, and every other must be the same; else None and the first row."""
    first: tuple[Row, Any] | None = None
    for row in rows:
        text = row.values.get(column.name)
        if text is None:
            if column.name in _IDS:
                _note(converted, cell_error(row.number, column.name, sheets.NO_ID, column=column.name))
            continue
        try:
            value = column.read(text)
        except cells.Unfit as unfit:
            _note(converted, cell_error(row.number, column.name, unfit.rule, **unfit.values))
            continue
        if first is None:
            first = row, value
        elif value != first[1]:
            _note(converted, _contradiction(column, row, first[0]))
    return (first[0].number, first[1]) if first else (rows[0].number, None)


def _contradiction(column: Column, row: Row, first: Row) -> CellError:
    return cell_error(
        row.number, column.name, sheets.CONTRADICTION, row=first.number, what=_WHAT[column.level],
        value=shown(row.values[column.name]), other=shown(first.values[column.name]),
    )  # fmt: skip


def _note(converted: Converted, error: CellError) -> None:
    if len(converted.errors) < MAX_ERRORS:
        converted.errors.append(error)
