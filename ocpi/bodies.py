"""The body of a request, read by ourselves and parsed strictly: for uploads over OCPI and for the plain REST side."""

import re
from collections.abc import Iterator
from typing import Any

from django.utils.http import parse_header_parameters
from rest_framework.request import Request

from ocpi import errors, reader
from ocpi.rules.uploads import NOT_JSON

LARGEST_BODY = 1_048_576
_DIGITS = re.compile(r"[0-9]{1,100}")


def read_body(request: Request, *, needs_type: bool = True) -> Any:
    """Return the parsed body of an upload; without `needs_type` a body of no type at all counts as JSON.

    Reads the stream itself: Django takes a chunked body for an empty one.
    Raises UnsupportedMedia, TooLarge, Malformed.
    """
    media_type, parameters = parse_header_parameters(request.META.get("CONTENT_TYPE", ""))
    is_json = media_type.lower() == "application/json" or not (media_type or needs_type)
    if not is_json or parameters.get("charset", "utf-8").lower() not in ("", "utf-8", "utf8"):
        raise errors.UnsupportedMedia("Send Content-Type: application/json, in UTF-8.")
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise errors.UnsupportedMedia("Send the body without Content-Encoding.")
    try:
        return reader.read(_raw(request))
    except reader.NotJson as error:
        finding = NOT_JSON.at("", why=error)
        raise errors.Malformed(finding.message, [finding]) from error


def _raw(request: Request) -> bytes:
    return b"".join(pieces(request, LARGEST_BODY))


def pieces(request: Request, largest: int) -> Iterator[bytes]:
    """Yield the body of a request as it comes in, of a known length or chunked. Raises TooLarge, Malformed."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    is_chunked = "HTTP_TRANSFER_ENCODING" in request.META
    if not is_chunked and not _DIGITS.fullmatch(length):
        raise errors.Malformed("Content-Length is not a number.")
    too_large = errors.TooLarge(f"The body may have at most {largest} bytes.")
    stream = request.META["wsgi.input"]
    left = largest + 1 if is_chunked else int(length)
    if left > largest and not is_chunked:
        raise too_large
    while left > 0 and (piece := stream.read(min(left, 65536))):
        left -= len(piece)
        if is_chunked and not left:
            raise too_large
        yield piece
    if not is_chunked and left:
        raise errors.Malformed("The body ended before its Content-Length.")
