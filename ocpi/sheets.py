"""A spreadsheet of connectors as the lines of an import: each a Location with the cells it came from.

So one import is like any other: judged, written, counted and reported; only that findings name a row and a column.
Source: `ocpi.spreadsheets`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from django.utils import timezone

from ocpi import errors, rules, spreadsheets
from ocpi.rules import Finding
from tenants.models import Tenant

LARGEST = 33_554_432  # bytes; a hundred thousand rows are less


def whole(pieces: Iterable[bytes]) -> bytes:
    """Return a file that is small enough to be read whole. Raises TooLarge."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > LARGEST:
            raise errors.TooLarge(f"A spreadsheet may have at most {LARGEST} bytes.")
    return bytes(data)


def lines(data: bytes, tenant: Tenant) -> Iterator[bytes]:
    """Yield a line for each Location of a CSV or XLSX file. Raises Malformed, with what is wrong with the file."""
    try:
        sheet = spreadsheets.read(data)
    except spreadsheets.Unreadable as error:
        raise errors.Malformed(str(error), error.findings) from error
    warnings = [finding.stored() for finding in sheet.warnings]
    for one in spreadsheets.locations(sheet.rows, tenant.country_code, tenant.party_id, timezone.now()):
        line = {
            "row": one.row,
            "id": one.location_id or None,
            "document": one.document,
            "assumed": one.assumed,
            "errors": [error.finding.stored() for error in one.errors],
            "warnings": warnings,
            "places": {path: [place.row, place.column] for path, place in one.places.items()},
        }
        warnings = []  # about the whole file: told once
        yield orjson.dumps(line) + b"\n"


class SheetLine:
    """What a line of a spreadsheet's import says."""

    def __init__(self, raw: bytes) -> None:
        said: dict[str, Any] = orjson.loads(raw)
        self.row: int = said["row"]
        self.id: str | None = said["id"]
        self.document = said["document"]
        self.assumed: list[int] = said.get("assumed", [])  # EVSEs whose status is only assumed
        self.errors = rules.restore(said["errors"])
        self.warnings = rules.restore(said["warnings"])
        self._converted = spreadsheets.Converted(
            self.row,
            self.id or "",
            places={path: spreadsheets.Place(*place) for path, place in said["places"].items()},
        )

    def placed(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return the findings at the cells they are about: `/<row>/<column>`, `/<row>` where no cell is."""
        return [Finding(self._path(finding.path), finding.broken, finding.values) for finding in findings]

    def _path(self, path: str) -> str:
        place = spreadsheets.place(self._converted, path)
        return rules.pointer(place.row, place.column) if place else rules.pointer(self.row)
