"""What can be wrong with a request, and the one place where it becomes an answer.

Bad JSON is HTTP 400, no valid credential 401, another's URL 404; past that HTTP stays 200 and `status_code` tells.
Source: OCPI 2.2.1 status_codes; protocol §2.3.
"""

import logging
from collections.abc import Iterable

import orjson
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.views import set_rollback

from ocpi import envelope
from ocpi.rules import Finding

logger = logging.getLogger(__name__)

SUCCESS, CLIENT_ERROR, INVALID, UNKNOWN_LOCATION, SERVER_ERROR = 1000, 2000, 2001, 2003, 3000
LISTED = 100  # findings in one answer, else a status of a few bytes is answered with megabytes


class OcpiError(Exception):
    """A request that is answered with an error; findings go into `data`."""

    http_status, status_code = 200, INVALID

    def __init__(self, message: str, findings: Iterable[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = list(findings)


class Malformed(OcpiError):
    """The body is not JSON. Source: transport_and_format, "Request format"."""

    http_status = 400


class Refused(OcpiError):
    """The body is JSON but not an object we can accept; says what is wrong in `findings`."""

    @classmethod
    def because(cls, findings: list[Finding]) -> "Refused":
        """Make the error of findings, the first of which is the message."""
        first = findings[0]
        return cls(f"{first.path}: {first.message}" if first.path else first.message, findings)


class Stale(OcpiError):
    """Older than what the CPO itself last sent; not applied. Source: protocol §2.9."""


class UnknownObject(OcpiError):
    """No such object, or another party's: both look the same. Source: transport_and_format, "Errors"."""

    http_status, status_code = 404, CLIENT_ERROR


class WrongPurpose(OcpiError):
    """A valid credential at the other door of its own party."""

    http_status, status_code = 403, CLIENT_ERROR


class TooLarge(OcpiError):
    """The body is longer than the limit."""

    http_status, status_code = 413, CLIENT_ERROR


class UnsupportedMedia(OcpiError):
    """Not `application/json` in UTF-8 without Content-Encoding."""

    http_status, status_code = 415, CLIENT_ERROR


def handle(error: Exception, context: dict) -> HttpResponse:
    """Answer an exception of an OCPI view (DRF's EXCEPTION_HANDLER)."""
    set_rollback()
    request = context["request"]
    if isinstance(error, OcpiError):
        code = _unknown_code(request.path) if isinstance(error, UnknownObject) else error.status_code
        return _envelope(error, code)
    if isinstance(error, exceptions.APIException):
        return _api_exception(error)
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("Database not available: %s", type(error).__name__)
        return unavailable()
    logger.exception("Unhandled error at %s %s", request.method, request.path)
    return envelope.answer(code=SERVER_ERROR, message="Internal error; it has been noted.", http_status=500)


def _unknown_code(path: str) -> int:
    return UNKNOWN_LOCATION if "/2.2.1/locations" in path else CLIENT_ERROR


def as_data(findings: list[Finding]) -> bytes | None:
    """Return the first findings as the `data` of an answer, None when there are none."""
    return orjson.dumps([finding.as_dict() for finding in findings[:LISTED]]) if findings else None


def _envelope(error: OcpiError, code: int) -> HttpResponse:
    data = as_data(error.findings)
    return envelope.answer(code=code, message=str(error), http_status=error.http_status, data=data)


def _api_exception(error: exceptions.APIException) -> HttpResponse:
    response = envelope.answer(code=CLIENT_ERROR, message=str(error.detail), http_status=error.status_code)
    if getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
    return response


def unavailable() -> HttpResponse:
    """Answer that the database does not: nothing was stored, try again."""
    response = envelope.answer(code=SERVER_ERROR, message="Not available now; try again.", http_status=503)
    response["Retry-After"] = "5"
    return response


def plain(http_status: int, path: str) -> HttpResponse:
    """Answer in the API's own form what Django would have answered as a page of HTML."""
    messages = {
        400: "Bad request.",
        403: "Forbidden.",
        404: "Nothing here.",
        405: "Method not allowed.",
        503: "Not available now.",
    }
    message = messages.get(http_status, "Internal error." if http_status >= 500 else "Refused.")
    if path.startswith("/ocpi/"):
        code = SERVER_ERROR if http_status >= 500 else CLIENT_ERROR
        code = _unknown_code(path) if http_status == 404 else code
        return envelope.answer(code=code, message=message, http_status=http_status)
    problem = {"type": "about:blank", "title": message, "status": http_status}
    return JsonResponse(problem, status=http_status, content_type="application/problem+json")
