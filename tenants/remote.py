"""Whose address a request came from."""

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def address(request: HttpRequest | Request) -> str:
    """Return the caller's IP address: the peer's, or what the proxy in front noted, which overwrites what callers claim."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.HAS_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "")
