"""The OCPI response body, and the headers of a page.

Documents are bytes that are glued in as they are stored: nothing is parsed or rebuilt on the way out.
Source: OCPI 2.2.1 transport_and_format, "Response format", "Pagination".
"""

import datetime as dt
from collections.abc import Sequence
from contextvars import ContextVar

import orjson
from django.http import HttpResponse
from rest_framework.negotiation import BaseContentNegotiation

from ocpi import journal

# Of the request being answered; the resulting push carries it on. Source: transport_and_format, "Unique message ids".
correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")


class AlwaysJson(BaseContentNegotiation):
    """Answer JSON whatever `Accept` or `?format=` ask for: OCPI knows nothing else."""

    def select_renderer(self, request, renderers, format_suffix=None):
        """Return the first renderer and its media type."""
        return renderers[0], renderers[0].media_type


def timestamp(moment: dt.datetime | None = None) -> str:
    """Return an OCPI DateTime: UTC, `Z`, three fraction digits only when they say something."""
    utc = (moment or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
    text = utc.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{utc.microsecond // 1000:03d}Z" if utc.microsecond >= 1000 else f"{text}Z"


def _tail(code: int, message: str) -> bytes:
    return b'"status_code":%d,"status_message":%b,"timestamp":"%b"}' % (
        code,
        orjson.dumps(message),
        timestamp(dt.datetime.now(dt.UTC).replace(microsecond=0)).encode(),
    )


def answer(
    *, code: int = 1000, message: str = "Success", http_status: int = 200, data: bytes | None = None
) -> HttpResponse:
    """Return an envelope; `data` is JSON already, None leaves it out."""
    journal.note(code=code)
    head = b"{" if data is None else b'{"data":%b,' % data
    return HttpResponse(head + _tail(code, message), status=http_status, content_type="application/json")


def page(documents: Sequence[bytes], *, total: int, limit: int, next_url: str | None) -> HttpResponse:
    """Return a list envelope of stored documents with its page headers; `next_url` None means the last page."""
    tail = b"]," + _tail(1000, "Success")
    if documents:
        # Head and tail ride on the first and last document, so that a page of 2 MB is copied once.
        pieces = list(documents)
        pieces[0] = b'{"data":[' + pieces[0]
        pieces[-1] += tail
        body = b",".join(pieces)
    else:
        body = b'{"data":[' + tail
    response = HttpResponse(body, content_type="application/json")
    response["X-Total-Count"] = str(total)
    response["X-Limit"] = str(limit)
    if next_url:
        response["Link"] = f'<{next_url}>; rel="next"'
    return response
