"""What can be wrong with a request, and the one place where it becomes an answer.

OCPI: bad JSON is HTTP 400, no valid credential 401, another's URL 404; past that HTTP stays 200 and `status_code` tells.
Elsewhere the HTTP status tells, and the body is a problem of RFC 9457.
Source: OCPI 2.2.1 status_codes; protocol §2.3; RFC 9457.
"""

import logging
import math
from collections.abc import Iterable
from http import HTTPStatus

import orjson
from django.core.exceptions import SuspiciousOperation
from django.http import HttpResponse
from rest_framework import exceptions
from rest_framework.views import set_rollback

from ocpi import envelope, journal
from ocpi.rules import Finding
from tenants import sql

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


class Stale(Refused):
    """Older than what the CPO itself last sent; not applied. Source: protocol §2.9."""


class UnknownObject(OcpiError):
    """No such object, or another party's: both look the same. Source: transport_and_format, "Errors"."""

    http_status, status_code = 404, CLIENT_ERROR


class WrongPurpose(OcpiError):
    """A valid credential at the other door of its own party."""

    http_status, status_code = 403, CLIENT_ERROR


class Offboarded(OcpiError):
    """An upload of a tenant that leaves: whatever it holds, none is taken any more."""

    http_status, status_code = 403, CLIENT_ERROR

    def __init__(self) -> None:
        super().__init__("This party is being offboarded: uploads are no longer accepted.")


class TooLarge(OcpiError):
    """The body is longer than the limit."""

    http_status, status_code = 413, CLIENT_ERROR


class UnsupportedMedia(OcpiError):
    """Not `application/json` in UTF-8 without Content-Encoding."""

    http_status, status_code = 415, CLIENT_ERROR


class TooMany(OcpiError):
    """A tenant asks more often than it may. Source: protocol §2.3."""

    http_status, status_code = 429, CLIENT_ERROR

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"Too many requests; try again in {wait_s} s.")
        self.wait_s = wait_s


class BadParameter(OcpiError):
    """A parameter in the query of the REST side is not what it may be; the message begins with its name."""

    http_status = 400


def handle(error: Exception, context: dict) -> HttpResponse:
    """Answer an exception of an API view (DRF's EXCEPTION_HANDLER)."""
    set_rollback()
    request = context["request"]
    if isinstance(error, Stale):
        journal.note(outcome="stale")
    if isinstance(error, OcpiError):
        code = _unknown_code(request.path) if isinstance(error, UnknownObject) else error.status_code
        return _waiting(_answer(request.path, error.http_status, code, str(error), error.findings), error)
    if isinstance(error, exceptions.APIException):
        return _api_exception(error, request.path)
    if isinstance(error, SuspiciousOperation):  # what Django refuses to take apart, such as too many parameters
        return plain(400, request.path)
    if sql.is_away(error):
        logger.error("Database not available: %s", type(error.__cause__ or error).__name__)
        return _unavailable(request.path)
    logger.exception("Unhandled error at %s %s", request.method, request.path)
    return _answer(request.path, 500, SERVER_ERROR, "Internal error; it has been noted.")


def _unknown_code(path: str) -> int:
    return UNKNOWN_LOCATION if "/2.2.1/locations" in path else CLIENT_ERROR


def as_data(findings: list[Finding]) -> bytes | None:
    """Return the first findings as the `data` of an answer, None when there are none."""
    return orjson.dumps([finding.as_dict() for finding in findings[:LISTED]]) if findings else None


def _answer(path: str, http_status: int, code: int, message: str, findings: Iterable[Finding] = ()) -> HttpResponse:
    """Answer in the form of the path: the envelope, or a problem, whose HTTP status alone must tell."""
    listed = list(findings)[:LISTED]
    if path.startswith("/ocpi/"):
        return envelope.answer(code=code, message=message, http_status=http_status, data=as_data(listed))
    status = http_status if http_status >= 400 else 422
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": message}
    if listed:
        problem["findings"] = [finding.as_dict() for finding in listed]
    return HttpResponse(orjson.dumps(problem), status=status, content_type="application/problem+json")


def _api_exception(error: exceptions.APIException, path: str) -> HttpResponse:
    response = _answer(path, error.status_code, CLIENT_ERROR, str(error.detail))
    if getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
    return _waiting(response, error)


def _waiting(response: HttpResponse, error: Exception) -> HttpResponse:
    """Say when to come back, where that is known."""
    wait_s = getattr(error, "wait_s", None) or getattr(error, "wait", None)
    if wait_s:
        response["Retry-After"] = str(math.ceil(wait_s))
    return response


def _unavailable(path: str) -> HttpResponse:
    """Answer that the database does not: nothing was stored, try again."""
    response = _answer(path, 503, SERVER_ERROR, "Not available now; try again.")
    response["Retry-After"] = str(sql.AWAY_S)
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
    code = SERVER_ERROR if http_status >= 500 else CLIENT_ERROR
    return _answer(path, http_status, _unknown_code(path) if http_status == 404 else code, message)
