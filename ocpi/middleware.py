"""What every API request has in common: message ids, JSON whatever happens, no redirects, no caching, English."""

import re
import uuid
from collections.abc import Callable
from typing import Any

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.core.signals import request_started
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

from ocpi import compression, errors, journal
from ocpi.envelope import correlation_id

API_PATHS = ("/ocpi/", "/api/", "/oauth/")
PAGES = ("/api/docs", "/api/schema")  # of the paths above those that a browser shows
ADMIN_PATH = "/admin/"
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,100}")
_ASCII = re.compile(r"[\x20-\x7e]*")


def keep_raw_path(environ: dict[str, Any], **_: Any) -> None:
    """Keep the path as it came in, a character a byte: all there is before Django decodes it is this signal.

    Django puts back as %8A what is no UTF-8, and `A%8AB` is also an id that somebody may have, sent as `A%258AB`.
    """
    environ["ocpi.raw_path"] = environ.get("PATH_INFO", "")


request_started.connect(keep_raw_path)


class OcpiMiddleware:
    """Give API requests their ids and keep their answers JSON. Source: transport_and_format, "Unique message ids"."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        path = request.META.get("PATH_INFO", "")
        if not path.startswith(API_PATHS):
            return self.get_response(request)
        for name in ("X-Request-ID", "X-Correlation-ID"):
            key = "HTTP_" + name.upper().replace("-", "_")
            if not _PRINTABLE.fullmatch(request.META.get(key, "")):
                request.META[key] = str(uuid.uuid4())
        correlation_id.set(request.META["HTTP_X_CORRELATION_ID"])
        journal.note(request_id=request.META["HTTP_X_REQUEST_ID"], correlation_id=request.META["HTTP_X_CORRELATION_ID"])
        if request.encoding:
            request.encoding = "utf-8"  # else Django reads the query in whatever charset Content-Type names
        response = self.get_response(request) if _can_name_something(request) else errors.plain(404, path)
        if response.status_code >= 400 and "json" not in response.get("Content-Type", ""):
            response = errors.plain(response.status_code, path)
        response["X-Request-ID"] = request.META["HTTP_X_REQUEST_ID"]
        response["X-Correlation-ID"] = request.META["HTTP_X_CORRELATION_ID"]
        response.setdefault("Cache-Control", "no-store")
        response.setdefault(HEADER, "default-src 'none'; frame-ancestors 'none'")
        compression.compress(request, response)
        if response.status_code == 304:
            # No length but that of the body it stands for. Source: RFC 9110, "Content-Length".
            del response["Content-Length"]
        return response


class PagePolicy(CSPMiddleware):
    """Send the policy of the settings with pages only: putting it together takes as long as a verdict."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        is_page = not request.path.startswith(API_PATHS) or request.path.startswith(PAGES)
        return super().__call__(request) if is_page else self.get_response(request)  # type: ignore[return-value]


def _can_name_something(request: HttpRequest) -> bool:
    """Return False for a path no id of ours can be in: they are printable ASCII."""
    return bool(_ASCII.fullmatch(request.META["ocpi.raw_path"]))


class LanguageMiddleware(LocaleMiddleware):
    """Speak the reader's language on the admin's pages only: what machines read is English and varies with no language."""

    def process_request(self, request: HttpRequest) -> None:
        """Choose the language of a page."""
        if request.path_info.startswith(ADMIN_PATH):
            super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Name it, and forget it: the thread's next request may be a machine's."""
        if request.path_info.startswith(ADMIN_PATH):
            response = super().process_response(request, response)
            translation.activate(settings.LANGUAGE_CODE)
        return response
