"""Where Locations are and how they do, for the map: gathered into cells by the database, however many there are.

A cell is a square on the screen, always the same one at a zoom level, so that nothing jumps while somebody moves the map.
Compliance is read from an index alone. The status of a Location is only in its body: it is told for MOST_BODIES at most.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection

from ocpi.models import Location

CELL_PX = 64  # side of a cell; a mark on the map takes half of it
MOST_CELLS = 2000
MOST_BODIES = 6000  # a sixth of a second
LISTED = 50
ZOOMS = range(23)  # Leaflet's, and one to spare
_NORTHERNMOST = 85.0  # where Mercator's map of the world ends

# What a Location is, by what it is looked at; worst first: SQL says the place in the tuple.
STATES: dict[str, tuple[str, ...]] = {
    "compliance": ("withheld", "unpublished", "shown"),
    "status": ("broken", "unknown", "free", "busy", "idle"),
    "delivery": ("rejected", "waiting", "none", "delivered"),
}

_WITHIN = """
    l.latitude BETWEEN %(south)s AND %(north)s AND l.longitude BETWEEN %(west)s AND %(east)s
    AND (%(tenants)s::bigint[] IS NULL OR l.tenant_id = ANY(%(tenants)s::bigint[]))
"""
# The status of one EVSE or more. Some bodies have times at which another will hold (status_schedule): those are parsed.
_HAS = """CASE WHEN NOT is_scheduled THEN body LIKE %(like_{0})s::bytea
    ELSE jsonb_path_exists(convert_from(body, 'UTF8')::jsonb, '$.evses[*].status ? (@ == "{0}")') END"""
_STATUS = "CASE WHEN {INOPERATIVE} OR {OUTOFORDER} THEN 0 WHEN {UNKNOWN} THEN 1 WHEN {AVAILABLE} THEN 2 WHEN {CHARGING} OR {BLOCKED} OR {RESERVED} THEN 3 ELSE 4 END"  # noqa: E501
_WORDS = ("INOPERATIVE", "OUTOFORDER", "UNKNOWN", "AVAILABLE", "CHARGING", "BLOCKED", "RESERVED")
_SEEN = {
    "compliance": f"""
        SELECT l.id, l.latitude, l.longitude, CASE WHEN l.is_shown THEN 2 WHEN l.publish THEN 0 ELSE 1 END AS state
        FROM ocpi_location l WHERE {_WITHIN}""",
    "status": f"""
        SELECT id, latitude, longitude, {_STATUS.format(**{word: _HAS.format(word) for word in _WORDS})} AS state
        FROM (SELECT l.*, l.body LIKE '%%"status_schedule"%%'::bytea AS is_scheduled FROM ocpi_location l WHERE {_WITHIN}) l""",
    "delivery": f"""
        SELECT l.id, l.latitude, l.longitude,
            coalesce(min(CASE p.state WHEN 'rejected' THEN 0 WHEN 'dirty' THEN 1 WHEN 'delivered' THEN 3 END), 2) AS state
        FROM ocpi_location l LEFT JOIN (ocpi_push p JOIN tenants_connection c ON c.id = p.connection_id AND NOT c.is_retired)
            ON p.location_id = l.id
        WHERE {_WITHIN} GROUP BY l.id""",
    "": f"SELECT l.id, l.latitude, l.longitude, 0 AS state FROM ocpi_location l WHERE {_WITHIN}",
}
# Both what is drawn and which are named (of those only state and id): the Locations are looked at once.
_PICTURE = f"""
    WITH seen AS MATERIALIZED ({{seen}})
    SELECT floor((longitude + 180) / 360 * %(cells)s)::bigint AS x,
        floor((1 - asinh(tan(radians(greatest(-{_NORTHERNMOST}, least({_NORTHERNMOST}, latitude))))) / pi()) / 2 * %(cells)s)
            ::bigint AS y,
        state, count(*), sum(latitude), sum(longitude), min(longitude), min(latitude), max(longitude), max(latitude), min(id)
    FROM seen GROUP BY 1, 2, 3
    UNION ALL
    SELECT NULL, NULL, state, 1, 0, 0, 0, 0, 0, 0, id FROM (SELECT state, id FROM seen ORDER BY state, id LIMIT {LISTED}) worst
"""


@dataclass(frozen=True)
class Area:
    """A part of the earth, degrees; its edges belong to it."""

    west: float
    south: float
    east: float
    north: float

    def cells(self, zoom: int) -> int:
        """Return how many cells it has at most at a zoom level."""
        across = _column(self.east, zoom) - _column(self.west, zoom) + 1
        return across * (_line(self.south, zoom) - _line(self.north, zoom) + 1)

    def around(self, other: "Area") -> "Area":
        """Return the least area that holds both."""
        west, south = min(self.west, other.west), min(self.south, other.south)
        return Area(west, south, max(self.east, other.east), max(self.north, other.north))


def _column(longitude: float, zoom: int) -> int:
    return math.floor((longitude + 180) / 360 * _in_a_row(zoom))


def _line(latitude: float, zoom: int) -> int:
    radians = math.radians(max(-_NORTHERNMOST, min(_NORTHERNMOST, latitude)))
    return math.floor((1 - math.asinh(math.tan(radians)) / math.pi) / 2 * _in_a_row(zoom))


def _in_a_row(zoom: int) -> int:
    """Return how many cells go round the earth: the whole of it is a square of 256 pixels at zoom level 0."""
    return 256 * 2**zoom // CELL_PX


@dataclass
class Cell:
    """Locations near each other: how many in which state, where they are on average and at most; `pk` when it is one."""

    area: Area
    pk: int
    count: int = 0
    latitudes: float = 0.0
    longitudes: float = 0.0
    states: dict[str, int] = field(default_factory=dict)

    @property
    def at(self) -> tuple[float, float]:
        """Return latitude and longitude, where it is drawn."""
        return self.latitudes / self.count, self.longitudes / self.count


class Listed(NamedTuple):
    """A Location by name; `state` is empty where it is not told."""

    location: Location
    state: str


@dataclass
class Picture:
    """What is to be seen of an area; `is_told` is False where there are too many Locations to read their status."""

    cells: list[Cell]
    listed: list[Listed]
    is_told: bool


def look(area: Area, zoom: int, by: str, tenants: Iterable[int] | None) -> Picture:
    """Return an area's Locations in cells, and the worst of them by name; `tenants` None: of all. Three queries at most."""
    while area.cells(zoom) > MOST_CELLS:
        zoom -= 1
    given: dict[str, Any] = {
        "west": area.west, "south": area.south, "east": area.east, "north": area.north,
        "tenants": None if tenants is None else list(tenants), "cells": _in_a_row(zoom),
    }  # fmt: skip
    is_told = by != "status" or _count(given) <= MOST_BODIES
    if is_told and by == "status":
        given |= {f"like_{word}": f'%"status":"{word}"%'.encode() for word in _WORDS}
    states = STATES[by] if is_told else ("",)
    cells: dict[tuple[int, int], Cell] = {}
    worst = []
    for x, y, state, *figures in _ask(_PICTURE.format(seen=_SEEN[by if is_told else ""]), given):
        if x is None:
            worst.append((state, figures[-1]))
        else:
            _put(cells, (x, y), states[state], figures)
    return Picture(list(cells.values()), list(_named(sorted(worst), states)), is_told)


def _ask(question: str, given: dict[str, Any]) -> list[tuple]:
    """Run it planned for these very edges: a plan made for any would be the wrong one for the country or for a street."""
    with connection.cursor() as cursor:
        cursor.execute(question, given)
        return cursor.fetchall()


def _count(given: dict[str, Any]) -> int:
    return _ask(f"SELECT count(*) FROM ocpi_location l WHERE {_WITHIN}", given)[0][0]


def _put(cells: dict[tuple[int, int], Cell], key: tuple[int, int], state: str, figures: list[Any]) -> None:
    """Add what is in one state to its cell."""
    count, latitudes, longitudes, *edges, pk = figures
    cell = cells.setdefault(key, Cell(Area(*edges), pk))
    cell.area = cell.area.around(Area(*edges))
    cell.count += count
    cell.latitudes += latitudes
    cell.longitudes += longitudes
    cell.states[state] = count


def _named(worst: list[tuple[int, int]], states: tuple[str, ...]) -> Iterator[Listed]:
    rows = Location.objects.select_related("tenant").only("ocpi_id", "body", "tenant__country_code", "tenant__party_id")
    known = rows.in_bulk([pk for _, pk in worst])
    return (Listed(known[pk], states[state]) for state, pk in worst if pk in known)
