"""A look at a workbook before openpyxl opens it: what would take more memory than a sheet of ours ever needs is refused.

openpyxl keeps one row at a time and everything else as a whole, so elements are counted for each row and for the rest.

Source: ECMA-376 part 1, 18.3.1; what a stranger's zip file can hold.
"""

import io
import zipfile
from typing import IO
from xml.parsers import expat

from ocpi.rules import Finding, sheets

MAX_UNPACKED = 200 << 20  # bytes of all of a workbook
MAX_OTHER = 32 << 20  # bytes of what is not rows
MAX_PARTS = 1_000
MAX_ELEMENTS = 1_000_000  # outside rows: the texts of as many rows as we read
MAX_IN_ROW = 100_000  # elements; Excel has 16 384 columns
MAX_XML_ROWS = 1_048_576  # of Excel
_PIECE = 1 << 20
_ROW = ["worksheet", "sheetData", "row"]
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main "


def fault(data: bytes) -> Finding | None:
    """Return why a workbook is not opened, None when it may be. Raises what zipfile raises of a broken file."""
    too_large = sheets.TOO_LARGE.at("", most=MAX_UNPACKED >> 20)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        other = sum(part.file_size for part in parts if "/worksheets/" not in part.filename)
        if sum(part.file_size for part in parts) > MAX_UNPACKED or other > MAX_OTHER or len(parts) > MAX_PARTS:
            return too_large
        for part in parts:
            with archive.open(part) as content:
                count = _Count()
                if count.is_too_much(content):
                    return sheets.DAMAGED.at("") if count.has_entities else too_large
    return None


class _Count:
    """The elements of one part, and whether it defines entities; what is not XML is nothing to openpyxl either."""

    def __init__(self) -> None:
        self.has_entities = False
        self.path: list[str] = []
        self.rows = self.in_row = self.outside = 0

    def is_too_much(self, content: IO[bytes]) -> bool:
        """Return whether the part is not to be opened; stops at the first sign."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.StartDoctypeDeclHandler = self._doctype
        try:
            while piece := content.read(_PIECE):
                parser.Parse(piece)
                if self.has_entities or self._is_over():
                    return True
        except expat.ExpatError:
            return False
        return False

    def _is_over(self) -> bool:
        return self.outside > MAX_ELEMENTS or self.in_row > MAX_IN_ROW or self.rows > MAX_XML_ROWS

    def _start(self, name: str, _: object) -> None:
        self.path.append(name.removeprefix(_MAIN))
        if self.path[:3] != _ROW:
            self.outside += 1
        elif len(self.path) > 3:
            self.in_row += 1
        else:
            self.rows += 1
            self.in_row = 0

    def _end(self, _: str) -> None:
        self.path.pop()

    def _doctype(self, *_: object) -> None:
        self.has_entities = True
