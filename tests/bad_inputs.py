"""What the lists of bad inputs are made of: a numbered request, and the answer it must get.

The numbers are those of reliability §5. Where its answer differs from protocol.md or design.md, those two win.
"""

import json
from typing import Any, NamedTuple

Said = tuple[int, int | None]  # HTTP status and OCPI status code; None: a body without one, or none at all

DONE: Said = (200, 1000)
CREATED: Said = (201, 1000)
REFUSED: Said = (200, 2001)
NOT_JSON: Said = (400, 2001)
BAD_REQUEST: Said = (400, 2000)
SHUT: Said = (401, 2000)
WRONG_DOOR: Said = (403, 2000)
UNKNOWN: Said = (404, 2003)
NOTHING: Said = (404, 2000)
METHOD: Said = (405, 2000)
LARGE: Said = (413, 2000)
TYPE: Said = (415, 2000)

RECEIVER = "/ocpi/receiver/2.2.1"
SENDER = "/ocpi/sender/NL/EXA/2.2.1"
LOCATION = f"{RECEIVER}/locations/NL/EXA/LOC-0001"
TARIFF = f"{RECEIVER}/tariffs/NL/EXA/ADHOC-1"
LATER = "2026-03-03T09:15:00Z"


class Case(NamedTuple):
    """One request and what it must be answered.

    Headers replace the usual ones (Authorization, Content-Type, message ids) of the same name. `finds` is a rule and where
    it is found. `{upload}`, `{pull}`, `{rival}` in a header or target stand for tokens, `{now+4}` in a body for the time in
    four minutes.
    """

    number: int
    what: str
    method: str
    target: str
    said: Said
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    finds: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """Return what the test is called."""
        return f"#{self.number} {self.what}"


class Elsewhere(NamedTuple):
    """A number that does not reach us as one request: the test that has it, by file and name."""

    number: int
    what: str
    file: str
    test: str


def raw(body: Any) -> bytes | None:
    """Return a body as bytes; bytes as they are."""
    return body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


def put(number: int, what: str, body: Any, said: Said, *, at: str = LOCATION, find: str = "", **headers: str) -> Case:
    """Return a PUT, of the Location unless `at` says otherwise; `find` is "S-rule /path"."""
    return send(number, what, "PUT", at, said, body, find=find, **headers)


def patch(number: int, what: str, body: Any, said: Said, *, at: str = LOCATION, find: str = "") -> Case:
    """Return a PATCH."""
    return send(number, what, "PATCH", at, said, body, find=find)


def get(number: int, what: str, target: str, said: Said, *, token: str = "upload", **headers: str) -> Case:
    """Return a GET, with the upload token or another."""
    return send(number, what, "GET", target, said, **{"Authorization": f"Token {{{token}}}"} | headers)


def send(
    number: int, what: str, method: str, target: str, said: Said, body: Any = None, *, find: str = "", **headers: str
) -> Case:
    """Return any request; `_` in the name of a header stands for `-`."""
    rule, _, path = find.partition(" ")
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Case(number, what, method, target, said, raw(body), given, (rule, path) if rule else None)


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return a body without these fields."""
    return {name: value for name, value in body.items() if name not in names}
