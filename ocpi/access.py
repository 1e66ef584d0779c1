"""One line in the log, and the meters, for each request: who, what, and what came of it.

Stands around everything else, so that what breaks off inside is written down too. A line: for every request of the API, and
of the rest (admin, documentation) for what was refused or failed. Source: reliability P30, C34.
"""

import logging
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from ocpi import journal, meters

logger = logging.getLogger(__name__)

_AREAS = {"/ocpi/receiver/": "upload", "/ocpi/sender/": "pull", "/oauth/": "token", "/api/": "rest", "/ocpi/": "rest"}
_KINDS = {"connector_id": "connector", "evse_uid": "evse", "location_id": "location", "tariff_id": "tariff"}
_UPLOADS = ("PUT", "PATCH", "DELETE")
_OUTCOMES = {304: "not modified", 401: "denied", 403: "denied"}
_METHODS = ("GET", "HEAD", "OPTIONS", "POST", *_UPLOADS)


class AccessMiddleware:
    """Write down each request when it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        began = time.perf_counter()
        facts = journal.begin()
        path = request.META.get("PATH_INFO", "")
        area = next((name for start, name in _AREAS.items() if path.startswith(start)), "")
        if not area:
            facts["request_id"] = str(uuid.uuid4())
        try:
            response = self.get_response(request)
            if area or response.status_code >= 400:
                _write_down(request, response, area or "page", time.perf_counter() - began)
        finally:
            journal.end()
        return response


def _write_down(request: HttpRequest, response: HttpResponse, area: str, took_s: float) -> None:
    facts, status = journal.noted(), response.status_code
    urls = request.resolver_match.kwargs if request.resolver_match else {}
    kind = next((kind for name, kind in _KINDS.items() if name in urls), facts.get("kind", ""))
    outcome = facts.get("outcome") or _outcome(status, facts.get("code", 1000))
    fields = {
        "event": area,
        "method": request.method if request.method in _METHODS else "other",
        "path": _shown(request.path),  # never the query: somebody may have put a token there
        "kind": kind,
        "id": "/".join(urls[name] for name in reversed(_KINDS) if name in urls),
        "outcome": outcome,
        "status": status,
        "ms": round(took_s * 1000, 1),
        "bytes_in": _number(request.META.get("CONTENT_LENGTH")),
        "bytes_out": _number(response.get("Content-Length")),
    }
    _count(area, fields, facts.get("tenant", ""), took_s)
    logger.log(
        logging.WARNING if status >= 500 else logging.INFO,
        "%s %s %s %s: %s, HTTP %s in %s ms, X-Request-ID %s",
        area, facts.get("tenant") or "-", fields["method"], fields["id"] or fields["path"],
        outcome, status, fields["ms"], facts.get("request_id", "-"),
        extra={"fields": fields},
    )  # fmt: skip


def _count(area: str, fields: journal.Facts, tenant: str, took_s: float) -> None:
    kind = fields["kind"]
    meters.of(meters.requests, area, fields["status"]).inc()
    if area == "upload" and fields["method"] in _UPLOADS:
        meters.of(meters.uploads, tenant, fields["outcome"]).inc()
        meters.of(meters.upload_seconds, kind).observe(took_s)
    elif area == "pull" and kind:
        meters.of(meters.pull_seconds, kind).observe(took_s)


def _outcome(status: int, code: int) -> str:
    """Say what came of it: HTTP alone does not tell, for a refusal of OCPI is a 200."""
    if status >= 500:
        return "failed"
    return _OUTCOMES.get(status) or ("refused" if status >= 400 or code >= 2000 else "ok")


def _shown(path: str) -> str:
    """Return the path as it can stand in one line."""
    return (path if path.isprintable() else ascii(path))[:300]


def _number(header: str | None) -> int:
    return int(header) if header and header.isdecimal() and len(header) < 16 else 0
