"""The entry point of the web processes."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

from gateway import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
os.environ.setdefault("GATEWAY_ROLE", "web")

django.setup()
tracing.start()  # before the middleware is loaded: it puts one of its own in front
_django = get_wsgi_application()
call_command("check")  # a WSGI server runs no checks by itself: a missing variable must stop it too

from ocpi import tally  # noqa: E402  # Django has to be set up

tally.keep_flushing()


# Bytes of a body nobody wanted that are still taken, so that its sender reads our answer.
LONGEST_REST = 4 * 1024 * 1024
# Django lets any number be a port. The caller's name for us becomes part of the URLs we give him.
_HOST = re.compile(r"(?:[^:\[]*|\[[^\]]*\])(?::([0-9]{1,5}))?")
# What a request may have of the names of our own environment, all of which granian adds to it: secrets must not be in META.
_OF_REQUESTS = re.compile(
    r"HTTP_(?!PROXY$)\w+|REQUEST_METHOD|SCRIPT_NAME|PATH_INFO|QUERY_STRING|CONTENT_(TYPE|LENGTH)"
    r"|SERVER_(NAME|PORT|PROTOCOL)|REMOTE_ADDR"
)
_OWN_NAMES = [name for name in os.environ if not _OF_REQUESTS.fullmatch(name)]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request, without our own environment.

    A Content-Type that Django would stumble over before any of our code runs counts as none, a Host with an impossible port
    as nobody's.
    """
    for name in _OWN_NAMES:
        environ.pop(name, None)
    try:
        charset = parse_header_parameters(environ.get("CONTENT_TYPE", ""))[1].get("charset", "utf-8")
        is_usable = charset.lower() in ("utf-8", "utf8", "")
    except (ValueError, LookupError):
        is_usable = False
    if not is_usable:
        environ["CONTENT_TYPE"] = "application/octet-stream"
    host = _HOST.fullmatch(environ.get("HTTP_HOST", ""))
    if not host or int(host[1] or 0) > 65535:
        environ["HTTP_HOST"] = ""

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        # Who announces too much, or asks first, waits for the answer before he sends; our own proxy has it all, and sends it.
        waits = not settings.HAS_PROXY and (status.startswith("413") or "HTTP_EXPECT" in environ)
        if waits or not _read_rest(environ):
            headers.append(("Connection", "close"))
        return start_response(status, headers, *error)

    return _django(environ, start)


def _read_rest(environ: dict[str, Any]) -> bool:
    """Take what is left of a body that was answered unread (404, 405): the server would cut the kept connection without a word.

    Return False when that is too much. From our own proxy nothing is: cut off, it would say 503 whatever we answered.
    """
    longest = sys.maxsize if settings.HAS_PROXY else LONGEST_REST
    length, stream = environ.get("CONTENT_LENGTH") or "0", environ["wsgi.input"]
    if "HTTP_TRANSFER_ENCODING" not in environ:
        if length == "0":
            return True
        if not length.isdecimal() or int(length) > longest:
            return False
    left = longest
    while left > 0 and (piece := stream.read(65536)):
        left -= len(piece)
    return left > 0
