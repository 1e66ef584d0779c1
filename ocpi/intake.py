"""Receive a bulk upload: bytes in any cut, as NDJSON, a JSON array or an OCPI envelope, become an import's lines.

Nothing is held in memory whole: an array is cut into its elements as it comes in, and lines are stored in compressed parts of
one megabyte. What breaks an array, an envelope or a gzip stream is refused at once, with the place, and nothing is kept; a
line that is no JSON is a matter of its own, for the worker.
Source: design §2 "URLs", §7 "JSON of the REST API"; OCPI 2.2.1 transport_and_format, "Response format".
"""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import zstandard
from django.conf import settings
from django.db import DatabaseError, IntegrityError
from django.utils import timezone
from isal import isal_zlib
from isal.igzip_lib import IsalError

from ocpi import errors, rules, sheets
from ocpi.models import Import, ImportPart
from tenants.models import Tenant

LARGEST_DOCUMENT = 1_048_576  # bytes, as much as one PUT may carry
MOST_DOCUMENTS = 1_000_000  # lines of one import, blank ones too: a megabyte of gzip may be 358 million
GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_GATHERED = 65_536  # bytes that are read at least at a time
_PIECE = 262_144  # bytes taken out of a gzip stream at a time: a bomb is cut off early
_ENVELOPE = {"data", "status_code", "status_message", "timestamp"}
_FIRST_KEY = re.compile(r'\{[ \t\r\n]*"([^"]*)"')
_SPACE = re.compile(r"[ \t\r\n]*")


class KeyTaken(errors.OcpiError):
    """The Idempotency-Key came with another body or other parameters before."""

    http_status = 422


def receive(
    tenant: Tenant,
    kind: rules.Kind,
    pieces: Iterable[bytes],
    *,
    mode: str = Import.Mode.UPSERT,
    is_dry_run: bool = False,
    origin: str = "",
    key: str | None = None,
    as_of: dt.datetime | None = None,
    is_sheet: bool = False,
    is_ndjson: bool = False,
) -> Import:
    """Store the lines of a bulk upload and queue it; with a key that was used before, return that import.

    `pieces` may be any cut of NDJSON, an array or an envelope, also of gzip, or (`is_sheet`) of a CSV or XLSX file of
    connectors, or (`is_ndjson`) lines whatever they begin with; when they raise, nothing is kept. A full set speaks of the
    moment it came in, or `as_of`: what changed after that is not removed.
    Raises Malformed, TooLarge, KeyTaken, Offboarded.
    """
    with tenant.transaction():
        if Tenant.objects.filter(pk=tenant.pk, offboarding_at__isnull=False).exists():
            raise errors.Offboarded
        one = Import.objects.create(
            tenant=tenant, kind=kind, mode=mode, is_dry_run=is_dry_run, is_sheet=is_sheet, origin=origin[:200],
            created_at=as_of or timezone.now(),
            phase=Import.Phase.SCAN if is_dry_run or mode == Import.Mode.FULL else Import.Phase.APPLY,
        )  # fmt: skip
    try:
        if is_sheet:
            data = sheets.whole(_plain(pieces))
            one.size, _ = _store(one, sheets.lines(data, tenant))
            one.digest = hashlib.blake2b(data, digest_size=16).digest()  # its lines say when they were made
        else:
            found = _gathered(_within_limit(_plain(pieces)))
            one.size, one.digest = _store(one, found if is_ndjson else _lines(found))
        return _queued(one, key)
    except BaseException:
        with suppress(DatabaseError), one.tenant.transaction():  # what stays is pruned
            one.delete()
        raise


def _queued(one: Import, key: str | None) -> Import:
    one.key, one.state = key, Import.State.QUEUED
    try:
        with one.tenant.transaction():
            one.save()
    except IntegrityError:
        with one.tenant.transaction():
            before = Import.objects.filter(tenant=one.tenant, key=key).first()
        if before is None:  # pruned this very moment
            return _queued(one, key)
        asked = ("kind", "mode", "is_dry_run", "is_sheet")
        is_same = bytes(before.digest or b"") == one.digest and all(
            getattr(before, n) == getattr(one, n) for n in asked
        )
        if not is_same:
            raise KeyTaken("This Idempotency-Key came with another body or other parameters before.") from None
        with one.tenant.transaction():
            one.delete()
        return before
    return one


def documents(pieces: Iterable[bytes], *, is_envelope: bool = False) -> Iterator[bytes]:
    """Yield each document of NDJSON, an array or an envelope as a line of its own, without its end. Raises Malformed."""
    rest = b""
    for piece in _lines(_gathered(_plain(pieces)), is_envelope=is_envelope):
        *whole, rest = (rest + piece).split(b"\n")
        yield from filter(bytes.strip, whole)
    if rest.strip():
        yield rest


# --- Parts -------------------------------------------------------------------------------------------------------------


def _store(one: Import, lines: Iterable[bytes]) -> tuple[int, bytes]:
    """Store the lines in parts of one size; return how many bytes they have, and their digest. Raises TooLarge."""
    digest, buffer, number, size = hashlib.blake2b(digest_size=16), bytearray(), 0, 0
    left = MOST_DOCUMENTS
    for piece in lines:
        left -= piece.count(b"\n")
        if left < 0:
            raise errors.TooLarge(f"An import may have at most {MOST_DOCUMENTS} lines or elements; make it several.")
        digest.update(piece)
        buffer += piece
        size += len(piece)
        while len(buffer) >= ImportPart.SIZE:
            _store_part(one, number, bytes(buffer[: ImportPart.SIZE]))
            del buffer[: ImportPart.SIZE]
            number += 1
    if buffer:
        _store_part(one, number, bytes(buffer))
    return size, digest.digest()


def _store_part(one: Import, number: int, data: bytes) -> None:
    with one.tenant.transaction():
        ImportPart.objects.create(tenant=one.tenant, part_of=one, number=number, data=zstandard.compress(data, 1))


# --- Bytes -------------------------------------------------------------------------------------------------------------


def _plain(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Undo gzip, which its first two bytes tell."""
    source = (piece for piece in pieces if piece)
    first = next(source, b"")
    if len(first) < len(GZIP):
        first += next(source, b"")
    rest = _chained(first, source)
    return _unzipped(rest) if first.startswith(GZIP) else rest


def _chained(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _unzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress, one gzip member behind another. Raises Malformed."""
    member = None
    try:
        for data in pieces:
            while data or member:
                member = member or isal_zlib.decompressobj(wbits=31)
                out = member.decompress(data, _PIECE)
                if out:
                    yield out
                if member.eof:
                    data, member = member.unused_data, None
                elif out or member.unconsumed_tail:
                    data = member.unconsumed_tail
                else:
                    break
    except IsalError as error:  # type: ignore[misc]
        raise errors.Malformed(f"The body is not good gzip: {error}") from error
    if member is not None:
        raise errors.Malformed("The gzip stream ended early.")


def _within_limit(pieces: Iterable[bytes]) -> Iterator[bytes]:
    left = settings.IMPORT_MAX_BYTES
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise errors.TooLarge(f"An import may have at most {settings.IMPORT_MAX_BYTES} bytes, decompressed.")
        yield piece


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces: what is read byte by byte would be looked at anew for each."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _GATHERED:
            yield b"".join(held)
            held, size = [], 0
    if size:
        yield b"".join(held)


# --- Formats -----------------------------------------------------------------------------------------------------------


def _lines(pieces: Iterator[bytes], *, is_envelope: bool = False) -> Iterator[bytes]:
    """Yield the bytes of NDJSON; an array or an envelope, told by its first key or the caller, becomes that. Raises Malformed."""
    text = _Text(pieces)
    match text.next_character():
        case "":
            raise errors.Malformed("The body is empty.")
        case "[":
            yield from _array(text)
            text.finish()
        case "{" if is_envelope or text.first_key() in _ENVELOPE:
            yield from _envelope(text)
            text.finish()
        case "{":
            yield from text.rest()
        case _:
            raise errors.Malformed("The body begins like none of NDJSON, a JSON array and an OCPI envelope, in UTF-8.")


def _array(text: "_Text") -> Iterator[bytes]:
    """Yield the elements of the array that begins here, each as a line."""
    text.expect("[")
    count = 0
    if text.next_character() == "]":
        text.expect("]")
        return
    while True:
        count += 1
        yield (
            text.element(f"element {count}").replace("\n", "\r").encode("latin-1") + b"\n"
        )  # in a string neither may be
        if text.next_character() != ",":
            text.expect("]", f"behind element {count}")
            return
        text.expect(",")


def _envelope(text: "_Text") -> Iterator[bytes]:
    """Yield the documents in `data`. Raises Malformed, also for an answer that says it is an error."""
    text.expect("{")
    has_data = False
    while True:
        key = text.value("a key of the envelope")
        text.expect(":", "in the envelope")
        if key == "data" and has_data:
            raise errors.Malformed("The envelope has data twice.")
        if key == "data" and text.next_character() == "[":
            yield from _array(text)
            has_data = True
        elif key == "data":
            yield text.element("data").replace("\n", "\r").encode("latin-1") + b"\n"
            has_data = True
        else:
            value = text.value(f"the envelope's {key}")
            if key == "status_code" and not str(value).startswith("1"):
                raise errors.Malformed(f"The envelope is an answer with status_code {rules.shown(value)}, not data.")
        if text.next_character() != ",":
            text.expect("}", "at the end of the envelope")
            break
        text.expect(",")
        text.next_character()
    if not has_data:
        raise errors.Malformed("The envelope has no data.")


class _Text:
    """JSON as it comes in, of which only what is being read is in memory.

    Bytes are read as Latin-1: each is one character, and the structure of JSON is ASCII. Numbers stay text, and what is in
    strings is not judged: that is done when the line is worked on.
    """

    _decode = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._text, self._at, self._read, self._lines = "", 0, 0, 0
        if self._more() and len(self._text) < len(_BOM):
            self._more()
        if self._text.startswith(_BOM.decode("latin-1")):
            self._at = len(_BOM)

    def _more(self) -> bool:
        """Read on; what has been passed is forgotten."""
        piece = next(self._pieces, b"")
        if not piece:
            return False
        self._read += self._at
        self._text, self._at = self._text[self._at :] + piece.decode("latin-1"), 0
        return True

    def _more_by_half(self) -> bool:
        """Read on until what is unread has doubled: what ends far away is not tried again at each piece."""
        wanted = 2 * (len(self._text) - self._at)
        has_more = self._more()
        while has_more and len(self._text) < wanted and self._more():
            pass
        return has_more

    def rest(self) -> Iterator[bytes]:
        """Yield all that is left, unread, behind as many ends of lines as were passed."""
        while self._lines:
            some = min(self._lines, _GATHERED)
            yield b"\n" * some
            self._lines -= some
        yield self._text[self._at :].encode("latin-1")
        yield from self._pieces

    def next_character(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            passed = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            self._lines += self._text.count("\n", self._at, passed)
            self._at = passed
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def expect(self, character: str, where: str = "") -> None:
        """Pass this character. Raises Malformed."""
        found = self.next_character()
        if found != character:
            what = f"{rules.shown(found)} stands" if found else "The body ends"
            raise errors.Malformed(
                f"{what} where {character} is expected{where and f' {where}'}, byte {self._place()}."
            )
        self._at += 1

    def finish(self) -> None:
        """Let nothing follow. Raises Malformed."""
        if self.next_character():
            raise errors.Malformed(f"Something follows the end of the JSON, byte {self._place()}.")

    def first_key(self) -> str:
        """Return the first key of the object that begins here, "" where there is none near; nothing is passed."""
        while True:
            match = _FIRST_KEY.match(self._text, self._at)
            if match:
                return match[1]
            if len(self._text) - self._at > 1000 or not self._more():
                return ""

    def value(self, what: str) -> Any:
        """Pass a JSON value and return it. Raises Malformed."""
        return self._passed(what)[0]

    def element(self, what: str) -> str:
        """Pass a JSON value and return its text. Raises Malformed."""
        return self._passed(what)[1]

    def _passed(self, what: str) -> tuple[Any, str]:
        self.next_character()
        while True:
            why, at = "the body ends", self._at
            try:
                value, end = self._decode(self._text, self._at)
                if end < len(self._text) or not self._more():  # a number may go on
                    text, self._at = self._text[self._at : end], end
                    return value, text
                continue
            except RecursionError:
                why = "it is nested too deep"
            except ValueError as error:
                why, at = getattr(error, "msg", "not JSON"), getattr(error, "pos", at)
                if len(self._text) - self._at > LARGEST_DOCUMENT:
                    why = f"more than {LARGEST_DOCUMENT} bytes, or not JSON ({why})"
                elif self._more_by_half():
                    continue
            raise errors.Malformed(f"{what}: {why}, byte {self._read + at}.")

    def _place(self) -> int:
        return self._read + self._at
