"""The entry point of the web processes."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

_django = get_wsgi_application()
call_command("check")  # a WSGI server runs no checks by itself: a missing variable must stop it too


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request. A Content-Type that Django would stumble over before any of our code runs counts as none."""
    try:
        charset = parse_header_parameters(environ.get("CONTENT_TYPE", ""))[1].get("charset", "utf-8")
        is_usable = charset.lower() in ("utf-8", "utf8", "")
    except (ValueError, LookupError):
        is_usable = False
    if not is_usable:
        environ["CONTENT_TYPE"] = "application/octet-stream"
    return _django(environ, start_response)
