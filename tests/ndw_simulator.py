"""NDW's side over real HTTP, on loopback: token endpoint, push API, a pull client, and faults on request.

Run it: `python -m tests.ndw_simulator --port 8001`; the first line on standard output is JSON with push_url, token_url,
client_id and client_secret. Or in a test: `with ndw_simulator.running() as ndw: ...`. Standard library only, nothing of
the project: what NDW accepts is written a second time, in `ndw_rules`.

  GET  /          this text                          GET /_log?since=N   what was pushed, in order, from number N
  GET  /_state    counts; ?full=1 documents and history; ?object=locations/NL/EXA/LOC-1[/EVSE-1] one of them
  GET  /_faults   the faults and how often each hit; POST a list to replace them, [] to clear them and let go what hangs
  POST /_release  let go what hangs and what is delayed            POST /_revoke  end every access token
  POST /_down     {"seconds": 5} refuse connections for so long    POST /_reset   forget everything
  POST /_crawl    pull a supplier as NDW does: {"base_url" | "versions_url" | "locations_url" and/or "tariffs_url",
                  "token" ["raw": true] | "token_url" "client_id" "client_secret", "limit", "since", "gzip",
                  "location_id": get that one only, "apply": true takes what is compliant into what NDW holds}

A fault: {"match": {"kind": "push" | "token" | "any", "method": "PUT", "path": regex}, "action": ..., "times": n or null
for ever, "probability": 0..1} and what the action needs. Match may lack any part (kind: push); paths are as behind the
push URL. The first that matches acts; delays before it add up. "apply" says whether the request takes effect as well:

  false unless told   status status [headers] [body] · redirect location [status] · ocpi status_code [status_message]
                      drop · reset [head] (RST; head: after the headers) · html · empty · garbage [body] · bad_utf8
                      no_status_code · big [bytes] · gzip_bomb [bytes]
  true unless told    delay seconds · hang (until released) · apply_then_drop · truncate (half the body)
                      drip [rate] (bytes per second)
  a token's answer    token [fields] (put in; null takes out) [bytes] (length of the access token)

Source: NDW DOT-NL, "Push", "Authentication"; OCPI 2.2.1 transport_and_format.
"""

import argparse
import base64
import contextlib
import functools
import hashlib
import http.client
import json
import os
import random
import re
import secrets
import signal
import socket
import struct
import sys
import threading
import time
import urllib.parse
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, ClassVar, NamedTuple

from tests import ndw_rules as rules

CLIENT_ID, CLIENT_SECRET = "gateway", "simulator-secret"
PUSH_PATH = "/dotnl/ocpi/2.2.1"
TOKEN_PATH = "/auth/realms/ndw/protocol/openid-connect/token"
MAX_HEAD, MAX_BODY = 64 * 1024, 8 * 1024 * 1024
KEEP = 100_000  # requests remembered in full; the numbers go on, and the history of objects is kept whole
IDLE_S = 300


def _now() -> str:
    """Return the time as OCPI writes it; once a second is often enough to make the text."""
    return _clock(int(time.time()))[0]


@functools.lru_cache(maxsize=2)
def _clock(second: int) -> tuple[str, bytes]:
    ocpi = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
    return ocpi, f"Server: ndw-simulator\r\nDate: {formatdate(second, usegmt=True)}\r\n".encode()


# -- requests and answers -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Record:
    """One request as it came, and what NDW made of it. `status` is None as long as (or because) nothing is answered.

    `path` is what stands behind the push URL. `fault` names the action that changed the answer.
    """

    number: int
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    at: float
    status: int | None = None
    ocpi_code: int | None = None
    applied: bool = False
    message: str = ""
    fault: str | None = None

    @property
    def body(self) -> Any:
        """The body parsed, or its bytes when it is not JSON; None without one."""
        try:
            return rules.parse(self.raw) if self.raw else None
        except ValueError:
            return self.raw

    def as_json(self) -> dict[str, Any]:
        """Return it for /_log, without its secret."""
        body = self.body
        shown = {name: getattr(self, name) for name in self.__slots__ if name != "raw"}
        secret = {"authorization": self.headers.get("authorization", "").split(" ")[0] + " ***"}
        shown["headers"] = self.headers | secret if "authorization" in self.headers else self.headers
        return shown | {"body": body.decode(errors="replace") if isinstance(body, bytes) else body}


@dataclass(slots=True)
class Answer:
    """What goes back. `ending`: "drop" sends nothing, "reset" is RST, "reset head" after the headers; "" is none.

    `rate`: bytes per second; `cut`: bytes of the body that are sent at all; `stream`: length and bytes of a long body.
    """

    status: int
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    code: int | None = None
    applied: bool = False
    message: str = ""
    ending: str = ""
    rate: float | None = None
    cut: int | None = None
    stream: tuple[int, Callable[[], Iterator[bytes]]] | None = None


def envelope(http: int, code: int, words: str = "", **headers: str) -> Answer:
    """Return an OCPI answer without data. Source: OCPI 2.2.1 transport_and_format, "Response format"."""
    message = f'"status_message":{json.dumps(words)},' if words else ""
    body = f'{{"status_code":{code},{message}"timestamp":"{_now()}"}}'.encode()
    return Answer(http, body, headers=headers, code=code, message=words)


def plain(value: Any, status: int = 200, **headers: str) -> Answer:
    """Return JSON that is no OCPI: the token endpoint's and the control URLs'."""
    return Answer(status, json.dumps(value).encode(), headers=headers)


# -- faults ---------------------------------------------------------------------------------------------------------


@dataclass
class Fault:
    """One fault as it was asked for; `needs` are the action's own values."""

    action: str
    match: dict[str, str] = field(default_factory=dict)
    times: int | None = None
    probability: float = 1.0
    apply: bool | None = None
    needs: dict[str, Any] = field(default_factory=dict)
    hits: int = 0

    OWN: ClassVar = ("action", "match", "times", "probability", "apply")

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action {self.action!r} is none of {', '.join(ACTIONS)}")
        required, allowed = ACTIONS[self.action].required, ACTIONS[self.action].optional
        if odd := set(self.match) - {"kind", "method", "path"} | set(self.needs) - required - allowed:
            raise ValueError(f"{self.action}: unknown {', '.join(sorted(odd))}")
        if lacking := required - set(self.needs):
            raise ValueError(f"{self.action}: lacks {', '.join(sorted(lacking))}")
        if self.match.get("kind", "push") not in ("push", "token", "any"):
            raise ValueError("match.kind is push, token or any")
        self.path = re.compile(self.match.get("path") or "")
        self.apply = ACTIONS[self.action].apply if self.apply is None else self.apply

    @classmethod
    def from_json(cls, spec: dict[str, Any]) -> "Fault":
        """Return a fault from one entry of /_faults. Raises ValueError when it makes no sense."""
        own = {name: value for name, value in spec.items() if name in cls.OWN}
        needs = {name: value for name, value in spec.items() if name not in (*cls.OWN, "hits")}
        return cls(**own, needs=needs)

    def as_json(self) -> dict[str, Any]:
        """Return it for /_faults."""
        return {name: getattr(self, name) for name in (*self.OWN, "hits")} | self.needs

    def is_for(self, kind: str, method: str, path: str) -> bool:
        """Return whether this fault may hit a request."""
        return (
            (self.times is None or self.hits < self.times)
            and self.match.get("kind", "push") in (kind, "any")
            and self.match.get("method", method).upper() == method
            and self.path.search(path) is not None
        )


class Gate:
    """Where requests wait; opening it lets them go on, or tells them to vanish."""

    def __init__(self) -> None:
        self.event, self.go_on = threading.Event(), True

    def open(self, go_on: bool) -> None:
        """Let go everything that waits."""
        self.go_on = go_on
        self.event.set()


class Faults:
    """The faults in order, and the gate that delayed and hanging requests wait at."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.all: list[Fault] = []
        self.gate = Gate()
        self.random = random.Random(0)

    def set(self, specs: list[dict[str, Any]]) -> None:
        """Replace all faults; let go what waits. Raises ValueError when one makes no sense, and changes nothing."""
        new = [Fault.from_json(spec) for spec in specs]
        with self.lock:
            self.all = new
        self.release()

    def clear(self) -> None:
        """Drop all faults; let go what waits."""
        self.set([])

    def add(self, fault: Fault) -> None:
        """Add a fault behind the others."""
        with self.lock:
            self.all = [*self.all, fault]

    def release(self, go_on: bool = True) -> None:
        """Let every waiting request go on, or vanish without taking effect."""
        gate, self.gate = self.gate, Gate()
        gate.open(go_on)

    def pick(self, kind: str, method: str, path: str) -> tuple[float, Fault | None]:
        """Return the seconds to wait and the fault to act, and count what hits."""
        seconds = 0.0
        if not self.all:
            return seconds, None
        with self.lock:
            for fault in self.all:
                if not fault.is_for(kind, method, path) or self.random.random() >= fault.probability:
                    continue
                fault.hits += 1
                if fault.action != "delay":
                    return seconds, fault
                seconds += fault.needs["seconds"]
        return seconds, None


class Action(NamedTuple):
    """What it makes of the answer, whether the request takes effect as well, the values it must and may have."""

    make: Callable[[Answer, dict[str, Any]], Answer]
    apply: bool
    required: set[str] = set()
    optional: set[str] = set()


def _status(real: Answer, needs: dict[str, Any]) -> Answer:
    status, headers, body = needs["status"], needs.get("headers") or {}, needs.get("body")
    if body is None:
        answer = envelope(status, 3000 if status >= 500 else 2000, f"fault {status}", **headers)
        return Answer(status, headers=headers) if status == 204 else answer
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(status, text.encode(), headers=headers)


def _redirect(real: Answer, needs: dict[str, Any]) -> Answer:
    return Answer(needs.get("status", 302), headers={"Location": needs["location"]})


def _long(size: int) -> Iterator[bytes]:
    """Yield `size` bytes that begin as a good answer and are one."""
    head, tail = f'{{"status_code":1000,"timestamp":"{_now()}","data":"'.encode(), b'"}'
    yield head
    left = size - len(head) - len(tail)
    while left > 0:
        yield b"a" * min(left, 65536)
        left -= 65536
    yield tail


def _big(real: Answer, needs: dict[str, Any]) -> Answer:
    size = needs.get("bytes", 100_000_000)
    return Answer(200, code=1000, stream=(size, lambda: _long(size)))


@functools.lru_cache(maxsize=4)
def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(part) for part in _long(size)) + packer.flush()


def _drip(real: Answer, needs: dict[str, Any]) -> Answer:
    real.rate = needs.get("rate", 1)
    return real


def _truncate(real: Answer, needs: dict[str, Any]) -> Answer:
    real.cut = len(real.body) // 2
    return real


def _token(real: Answer, needs: dict[str, Any]) -> Answer:
    """Alter a token answer; a token of another length is still a live one."""
    if real.status == 200:
        fields = json.loads(real.body) | needs.get("fields", {})
        real.body = json.dumps({name: value for name, value in fields.items() if value is not None}).encode()
    return real


ACTIONS = {
    "delay": Action(lambda real, needs: real, True, {"seconds"}),
    "hang": Action(lambda real, needs: real, True),
    "drop": Action(lambda real, needs: Answer(0, ending="drop"), False),
    "apply_then_drop": Action(lambda real, needs: Answer(0, ending="drop"), True),
    "reset": Action(
        lambda real, needs: Answer(200, real.body, ending="reset head" if needs.get("head") else "reset"),
        False,
        optional={"head"},
    ),
    "status": Action(_status, False, {"status"}, {"headers", "body"}),
    "redirect": Action(_redirect, False, {"location"}, {"status"}),
    "ocpi": Action(
        lambda real, needs: envelope(200, needs["status_code"], needs.get("status_message", "fault")),
        False,
        {"status_code"},
        {"status_message"},
    ),
    "html": Action(
        lambda real, needs: Answer(200, b"<!doctype html><title>Maintenance</title>", "text/html; charset=utf-8"), False
    ),
    "empty": Action(lambda real, needs: Answer(200), False),
    "garbage": Action(lambda real, needs: Answer(200, needs.get("body", '{"a":').encode()), False, optional={"body"}),
    "bad_utf8": Action(lambda real, needs: Answer(200, b'{"status_code":1000,"status_message":"\xff\xfe"}'), False),
    "no_status_code": Action(lambda real, needs: plain({"timestamp": _now()}), False),
    "big": Action(_big, False, optional={"bytes"}),
    "gzip_bomb": Action(
        lambda real, needs: Answer(
            200, _bomb(needs.get("bytes", 100_000_000)), headers={"Content-Encoding": "gzip"}, code=1000
        ),
        False,
        optional={"bytes"},
    ),
    "truncate": Action(_truncate, True),
    "drip": Action(_drip, True, optional={"rate"}),
    "token": Action(_token, True, optional={"fields", "bytes"}),
}


# -- pulling --------------------------------------------------------------------------------------------------------


class Pulled(NamedTuple):
    """An object of a supplier, and the SHA-256 of its bytes as they stood in the page."""

    document: rules.Document
    sha256: str


@dataclass
class Crawl:
    """What a crawl brought: objects in the supplier's order, and everything that was wrong on the way."""

    locations: list[Pulled] = field(default_factory=list)
    tariffs: list[Pulled] = field(default_factory=list)
    pages: int = 0
    bytes: int = 0  # as they came over the wire
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return it for /_crawl: counts and problems, no objects."""
        return vars(self) | {"locations": len(self.locations), "tariffs": len(self.tariffs)}


class Page(NamedTuple):
    """One answer of a supplier: HTTP status, headers in lower case, the envelope ({} when it is none), its text."""

    status: int
    headers: dict[str, str]
    envelope: rules.Document
    text: str

    def items(self) -> Iterator[tuple[Any, str]]:
        """Yield each item of `data` with its own text."""
        step = rules.DECODER.raw_decode
        at = _next(self.text, 0)
        while self.text[at] != "}":
            name, at = step(self.text, _next(self.text, at + 1))
            at = _next(self.text, _next(self.text, at) + 1)
            if name == "data":
                break
            at = _next(self.text, step(self.text, at)[1])
        while self.text[at] in "[,":
            at = _next(self.text, at + 1)
            if self.text[at] == "]":
                break
            item, end = step(self.text, at)
            yield item, self.text[at:end]
            at = _next(self.text, end)


_SPACE = re.compile(r"[ \t\r\n]*")


def _next(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


class Supplier:
    """A supplier as NDW calls it: one kept connection, the credentials, and what was wrong with its answers.

    `token` goes as `Token <base64>`, with `raw` as it is; otherwise the OAuth2 client fetches a Bearer token.
    """

    def __init__(
        self,
        token: str | None = None,
        raw: bool = False,
        token_url: str | None = None,
        client_id: str = "",
        client_secret: str = "",
        gzip: bool = False,
        timeout_s: float = 30,
    ) -> None:
        self.token, self.raw, self.gzip, self.timeout_s = token, raw, gzip, timeout_s
        self.token_url, self.client = token_url, {"client_id": client_id, "client_secret": client_secret}
        self.connections: dict[tuple[str, str], http.client.HTTPConnection] = {}
        self.correlation_id = str(uuid.uuid4())
        self.authorization: str | None = None
        self.pages = self.bytes = 0
        self.problems: list[str] = []

    def get(self, url: str) -> Page:
        """GET one URL; a Bearer token that has ended is fetched anew once."""
        page = self._get(url)
        if page.status == 401 and self.token_url:
            self.authorization = None
            page = self._get(url)
        return page

    def _get(self, url: str) -> Page:
        ids = {"X-Request-ID": str(uuid.uuid4()), "X-Correlation-ID": self.correlation_id}
        coding = {"Accept-Encoding": "gzip"} if self.gzip else {}
        status, headers, body = self._call("GET", url, {"Authorization": self._authorize(), **ids, **coding})
        self.bytes += len(body)
        for name, value in ids.items():
            if headers.get(name.lower()) != value:
                self._problem(url, f"{name} is not echoed")
        return self._page(url, status, headers, body)

    def _page(self, url: str, status: int, headers: dict[str, str], body: bytes) -> Page:
        """Return the answer read, with what is wrong with any OCPI answer written down."""
        if status != 200:
            self._problem(url, f"HTTP {status}")
        if not headers.get("content-type", "").startswith("application/json"):
            self._problem(url, "not application/json")
        try:
            plain_body = zlib.decompress(body, wbits=31) if headers.get("content-encoding") == "gzip" else body
            envelope = rules.parse(plain_body)
        except (ValueError, zlib.error) as error:
            self._problem(url, f"not JSON: {error}")
            return Page(status, headers, {}, "")
        if type(envelope) is not dict or type(envelope.get("status_code")) is not int:
            self._problem(url, "no OCPI envelope with a status_code")
            return Page(status, headers, {}, "")
        if why := rules.moment(envelope.get("timestamp")):
            self._problem(url, f"timestamp: {why}")
        if not 1000 <= envelope["status_code"] <= 1999:
            self._problem(url, f"status_code {envelope['status_code']}: {envelope.get('status_message')}")
        return Page(status, headers, envelope, plain_body.decode())

    def _authorize(self) -> str:
        if self.token is not None:
            return "Token " + (self.token if self.raw else base64.b64encode(self.token.encode()).decode())
        if self.authorization is None and self.token_url:
            form = urllib.parse.urlencode({"grant_type": "client_credentials", **self.client}).encode()
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            status, _, body = self._call("POST", self.token_url, kind, form)
            if status != 200:
                self._problem(self.token_url, f"HTTP {status} for a token")
                return ""
            self.authorization = "Bearer " + json.loads(body)["access_token"]
        return self.authorization or ""

    def _call(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        parts = urllib.parse.urlsplit(url)
        at = (parts.scheme, parts.netloc)
        is_kept = at in self.connections
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = self.connections.setdefault(at, kind(parts.netloc, timeout=self.timeout_s))
        try:
            connection.request(method, urllib.parse.urlunsplit(("", "", *parts[2:4], "")), body, headers)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except (ConnectionError, http.client.RemoteDisconnected):
            self.connections.pop(at).close()
            if not is_kept:
                raise
            return self._call(method, url, headers, body)  # the supplier had closed the idle connection

    def _problem(self, url: str, why: str) -> None:
        if len(self.problems) < 100:
            self.problems.append(f"{url}: {why}")

    def endpoints(self, versions_url: str) -> dict[str, str]:
        """Return the URLs of the modules, by way of the versions. Source: OCPI 2.2.1 version_information_endpoint."""
        versions = self.get(versions_url).envelope.get("data") or []
        url = next((version["url"] for version in versions if version["version"] == "2.2.1"), None)
        if url is None:
            self._problem(versions_url, "no version 2.2.1")
            return {}
        details = self.get(url).envelope.get("data") or {}
        found = {end["identifier"]: end["url"] for end in details.get("endpoints") or [] if end["role"] == "SENDER"}
        for module in ("locations", "tariffs"):
            if module not in found:
                self._problem(url, f"no SENDER of {module}")
        return found

    def pull(self, kind: str, url: str, asked: dict[str, str]) -> Iterator[Pulled]:
        """Yield every object of a list, page by page along Link, and check each page and the whole."""
        shape = rules.LOCATION if kind == "locations" else rules.TARIFF
        seen: set[rules.Key] = set()
        urls: set[str] = set()
        following: str | None = url + ("?" + urllib.parse.urlencode(asked) if asked else "")
        total = ""
        while following and following not in urls:
            urls.add(following)
            page = self.get(following)
            self.pages += 1
            if not isinstance(page.envelope.get("data"), list):
                self._problem(following, "no list of data")
                return
            self._check_page(following, page, asked)
            for document, text in page.items():
                for why in rules.check(shape, document):
                    self._problem(following, f"{str(document)[:60]}: {why}")
                if _key(document) in seen:
                    self._problem(following, f"{_key(document)} twice")
                seen.add(_key(document))
                yield Pulled(document, hashlib.sha256(text.encode()).hexdigest())
            total, following = page.headers.get("x-total-count", ""), self._following(following, page, asked)
        if following:
            self._problem(following, "Link goes in a circle")
        elif total.isdigit() and int(total) != len(seen):
            self._problem(url, f"{len(seen)} different objects, X-Total-Count {total}")

    def _check_page(self, url: str, page: Page, asked: dict[str, str]) -> None:
        """Check the headers of a list. Source: OCPI 2.2.1 transport_and_format, "Paginated Response"."""
        for name in ("x-total-count", "x-limit"):
            if not page.headers.get(name, "").isdigit():
                self._problem(url, f"{name}: {page.headers.get(name)!r}")
        for most in (page.headers.get("x-limit", ""), asked.get("limit", "")):
            if most.isdigit() and len(page.envelope["data"]) > int(most):
                self._problem(url, f"{len(page.envelope['data'])} objects, limit {most}")

    def _following(self, url: str, page: Page, asked: dict[str, str]) -> str | None:
        """Return the URL of the next page, checked: absolute, same place, same filters."""
        if "link" not in page.headers:
            return None
        link = re.fullmatch(r'\s*<([^>]+)>\s*;\s*rel="?next"?\s*', page.headers["link"])
        if not link:
            self._problem(url, f"Link: {page.headers['link']}")
            return None
        here, there = urllib.parse.urlsplit(url), urllib.parse.urlsplit(link[1])
        if (here.scheme, here.netloc, here.path) != (there.scheme, there.netloc, there.path):
            self._problem(url, f"Link leads elsewhere: {link[1]}")
            return None
        filters = dict(urllib.parse.parse_qsl(there.query))
        for name in ("date_from", "date_to"):
            if filters.get(name) != asked.get(name):
                self._problem(url, f"Link changes {name}")
        return link[1]


def _key(document: Any) -> rules.Key:
    names = ("country_code", "party_id", "id")
    cc, party, own = (str(document.get(name) if type(document) is dict else "") for name in names)
    return cc.upper(), party.upper(), own.lower()


def crawl(
    base_url: str | None = None,
    *,
    versions_url: str | None = None,
    locations_url: str | None = None,
    tariffs_url: str | None = None,
    limit: int | None = None,
    since: str | None = None,
    until: str | None = None,
    **credentials: Any,
) -> Crawl:
    """Pull a supplier as NDW does, tariffs last, and check whatever it answers. `credentials` are `Supplier`'s.

    Source: NDW DOT-NL, "Pull"; OCPI 2.2.1 mod_locations and mod_tariffs, "GET Method".
    """
    began, supplier, found = time.perf_counter(), Supplier(**credentials), Crawl()
    found.problems = supplier.problems
    asked = {"date_from": since, "date_to": until, "limit": None if limit is None else str(limit)}
    query = {name: value for name, value in asked.items() if value is not None}
    try:
        ends = {"locations": locations_url, "tariffs": tariffs_url}
        if versions_url or base_url:
            ends |= supplier.endpoints(versions_url or f"{base_url}/versions")
        for kind, into in (("locations", found.locations), ("tariffs", found.tariffs)):
            if url := ends[kind]:
                into.extend(supplier.pull(kind, url, query))
    except (OSError, http.client.HTTPException, KeyError, TypeError) as error:
        found.problems.append(f"given up: {error!r}")
    found.pages, found.bytes, found.seconds = supplier.pages, supplier.bytes, time.perf_counter() - began
    return found


def get_location(locations_url: str, location_id: str, **credentials: Any) -> tuple[Page, list[str]]:
    """GET a single Location by id, as NDW does besides the lists; return the answer and what was wrong with it."""
    supplier = Supplier(**credentials)
    page = supplier.get(f"{locations_url}/{urllib.parse.quote(location_id, safe='')}")
    faults = rules.check(rules.LOCATION, page.envelope.get("data")) if page.status == 200 else []
    return page, supplier.problems + faults


# -- NDW ------------------------------------------------------------------------------------------------------------

_JSON = re.compile(r'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE).fullmatch
_FORM = "application/x-www-form-urlencoded"


class Tokens:
    """The access tokens NDW's IAM has given out."""

    def __init__(self, life_s: float) -> None:
        self.life_s = life_s
        self.live: dict[str, float] = {}

    def issue(self, length: int = 0) -> str:
        """Return a new token that looks like a JWT, padded to `length` characters."""
        now = time.monotonic()
        self.live = {token: end for token, end in list(self.live.items()) if end > now}
        claims = {"azp": "ndw-simulator", "jti": secrets.token_hex(8), "exp": int(time.time() + self.life_s)}
        parts = ({"alg": "RS256", "typ": "JWT"}, claims)
        head = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        token = f"{head}.{secrets.token_urlsafe(32)}".ljust(length, "x")
        self.live[token] = now + self.life_s
        return token

    def is_live(self, authorization: str) -> bool:
        """Return whether an Authorization header carries a token that is live."""
        return authorization[:7] == "Bearer " and self.live.get(authorization[7:], 0.0) > time.monotonic()

    def revoke(self) -> None:
        """End all of them."""
        self.live = {}


class Ndw:
    """NDW, running in background threads: what it received and holds, and the handles to steer it.

    `received`: the requests to the push API in order, a `Record` each; `token_calls`: those for a token. `locations`
    and `tariffs`: (country_code, party_id, id in lower case) -> document. `pulled`: the same, from `crawl`.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        token_life_s: float = 1800,
        latency_ms: float = 0,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.host, self.port, self.client_id, self.client_secret = host, port, client_id, client_secret
        self.latency_s, self.log = latency_ms / 1000, log
        self.book, self.faults, self.tokens = rules.Book(), Faults(), Tokens(token_life_s)
        self.server: _Server | None = None
        self.lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self.total = 0
        self.received: list[Record] = []
        self.token_calls: list[Record] = []
        self.answered: dict[str, int] = {}
        self.pulled: dict[str, dict[rules.Key, Pulled]] = {"locations": {}, "tariffs": {}}

    # what it holds

    @property
    def locations(self) -> dict[rules.Key, rules.Document]:
        """Locations as NDW holds them."""
        return self.book.locations

    @property
    def tariffs(self) -> dict[rules.Key, rules.Document]:
        """Tariffs as NDW holds them."""
        return self.book.tariffs

    @property
    def stale(self) -> list[dict[str, Any]]:
        """Each older version that was accepted over a newer one."""
        return self.book.stale

    @property
    def history(self) -> dict[rules.Path, list[tuple[float, str, str | None]]]:
        """The steps of each object, see `Book`."""
        return self.book.history

    # where it is

    @property
    def url(self) -> str:
        """Where the control URLs are."""
        return f"http://{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.port}"

    @property
    def push_url(self) -> str:
        """What stands before /locations and /tariffs."""
        return self.url + PUSH_PATH

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return self.url + TOKEN_PATH

    def start(self) -> None:
        """Listen; after `stop` on the same port, with all that was held."""
        self.server = _Server((self.host, self.port), _Handler)
        self.server.ndw, self.port = self, self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True, name="ndw").start()

    def stop(self) -> None:
        """Refuse connections and close the open ones; what waits vanishes without taking effect."""
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.close_connections()
        self.faults.release(go_on=False)

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections inside the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    # handles

    def reset(self) -> None:
        """Forget all: objects, requests, faults, tokens. What waits vanishes without taking effect."""
        self.faults.release(go_on=False)
        self.faults.clear()
        self.tokens.revoke()
        self.book.clear()
        self._forget()

    def revoke(self) -> None:
        """End every access token that is out."""
        self.tokens.revoke()

    def token(self) -> str:
        """Return a live access token without the token endpoint."""
        return self.tokens.issue()

    def fail_next(self, action: str | int, times: int | None = 1, **values: Any) -> Fault:
        """Add a fault for the next requests. A number is an HTTP status, or from 1000 an OCPI status_code.

        `kind`, `method`, `path` go into the match, `probability` and `apply` as in JSON, the rest is the action's own.
        """
        if isinstance(action, int):
            values["status" if action < 1000 else "status_code"] = action
            action = "status" if action < 1000 else "ocpi"
        match = {name: values.pop(name) for name in ("kind", "method", "path") if name in values}
        fault = Fault.from_json({"action": action, "times": times, "match": match, **values})
        self.faults.add(fault)
        return fault

    def wait_until(self, holds: Callable[[], Any], timeout_s: float = 10) -> None:
        """Return as soon as `holds()` is true. Raises TimeoutError."""
        end = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(f"not so within {timeout_s} s; {len(self.received)} requests received")
            time.sleep(0.005)

    def crawl(self, base_url: str | None = None, *, apply: bool = False, **how: Any) -> Crawl:
        """Pull a supplier like `crawl`, and keep what it gave; `apply`: take what is compliant into what NDW holds."""
        found = crawl(base_url, **how)
        for kind, objects in (("locations", found.locations), ("tariffs", found.tariffs)):
            self.pulled[kind] |= {_key(pulled.document): pulled for pulled in objects}
            shape = rules.LOCATION if kind == "locations" else rules.TARIFF
            for pulled in objects if apply else ():
                if not rules.check(shape, pulled.document):
                    self.book.take(kind, pulled.document)
        return found

    # answering

    def answer(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> Answer:
        """Return the answer to one HTTP request."""
        if path == "/" or path.startswith("/_"):
            return self._control(method, path, raw)
        kind = "token" if path.split("?")[0] == TOKEN_PATH else "push"
        record = self._record(kind, method, path, headers, raw)
        answer = self._answer(kind, record)
        sent = not answer.ending
        record.status, record.ocpi_code = (answer.status, answer.code) if sent else (None, None)
        record.message = answer.message
        outcome = f"{record.status or 'dropped'}/{record.ocpi_code or '-'}"
        if kind == "push":
            with self.lock:
                self.answered[outcome] = self.answered.get(outcome, 0) + 1
        if self.log:
            self.log(f"{method} {record.path} {outcome} {record.fault or record.message}")
        return answer

    def _record(self, kind: str, method: str, path: str, headers: dict[str, str], raw: bytes) -> Record:
        behind = path.removeprefix(PUSH_PATH) if path.startswith(PUSH_PATH + "/") else path
        with self.lock:
            if kind == "token":
                number, into = len(self.token_calls), self.token_calls
            else:
                number, into, self.total = self.total, self.received, self.total + 1
            record = Record(number, method, behind, headers, raw, time.time())
            into.append(record)
            if len(into) > KEEP:
                del into[: KEEP // 10]
        return record

    def _answer(self, kind: str, record: Record) -> Answer:
        gate = self.faults.gate  # before the fault shows: whoever sees it may release it
        seconds, fault = self.faults.pick(kind, record.method, record.path)
        if self.latency_s:
            time.sleep(self.latency_s)
        if fault:
            record.fault = fault.action
        if fault and fault.action == "hang":
            gate.event.wait()
        elif seconds:
            gate.event.wait(seconds)
        if not gate.go_on or self.server is None:
            return Answer(0, ending="drop")
        if fault and not fault.apply:
            real = envelope(200, 1000)
        elif kind == "token":
            real = self._token_answer(record, fault.needs.get("bytes", 0) if fault else 0)
        else:
            real = self._push_answer(record)
            record.applied = real.applied
        return ACTIONS[fault.action].make(real, fault.needs) if fault else real

    def _push_answer(self, record: Record) -> Answer:
        """Answer as NDW's push API. Source: NDW DOT-NL, "Push": 404, 401, 400, 200 with 2xxx, 200 or 201 with 1xxx."""
        at = rules.target(record.path) if "?" not in record.path else None
        if at is None:
            return envelope(404, 2000, "no such resource")
        if record.method not in at.methods:
            return envelope(405, 2000, "method not allowed", Allow=", ".join(at.methods))
        if not self.tokens.is_live(record.headers.get("authorization", "")):
            return envelope(401, 2000, "no live access token", **{"WWW-Authenticate": 'Bearer realm="ndw"'})
        document = None
        if record.method != "DELETE":
            if not _JSON(record.headers.get("content-type", "")):
                return envelope(415, 2000, "Content-Type must be application/json")
            try:
                document = rules.parse(record.raw)
            except ValueError as error:
                return envelope(400, 2001, f"not JSON: {error}")
        http_status, code, why = self.book.judge(record.method, at, document)
        answer = Answer(http_status) if code is None else envelope(http_status, code, why)
        answer.applied = code in (None, 1000)
        return answer

    def _token_answer(self, record: Record, length: int) -> Answer:
        """Answer as Keycloak's token endpoint. Source: NDW DOT-NL, "Authentication"; RFC 6749 section 5."""
        if record.method != "POST":
            return plain({"error": "invalid_request"}, 405, Allow="POST")
        if record.headers.get("content-type", "").split(";")[0].strip().lower() != _FORM:
            return _oauth_error(400, "invalid_request", "Missing form parameter: grant_type")
        form = urllib.parse.parse_qs(record.raw.decode("latin-1"))
        grant = form.get("grant_type", [])
        if len(grant) != 1:
            return _oauth_error(400, "invalid_request", "Missing form parameter: grant_type")
        if grant != ["client_credentials"]:
            return _oauth_error(400, "unsupported_grant_type", "Unsupported grant_type")
        if _client(record, form) != (self.client_id, self.client_secret):
            return _oauth_error(401, "invalid_client", "Invalid client or Invalid client credentials")
        record.applied = True
        body = {
            "access_token": self.tokens.issue(length),
            "expires_in": int(self.tokens.life_s),
            "refresh_expires_in": 3600,
            "refresh_token": "",
            "token_type": "Bearer",
            "not-before-policy": 0,
            "session_state": str(uuid.uuid4()),
            "scope": "profile email",
        }
        return plain(body, 200, **{"Cache-Control": "no-store"})

    # control URLs

    def _control(self, method: str, path: str, raw: bytes) -> Answer:
        where, _, query = path.partition("?")
        call = self._calls().get(f"{method} {where}")
        if call is None:
            return plain({"error": "no such control URL; GET / lists them"}, 404)
        try:
            return call(json.loads(raw) if raw else {}, dict(urllib.parse.parse_qsl(query, keep_blank_values=True)))
        except (ValueError, TypeError, KeyError, AttributeError, re.error, OSError) as error:
            return plain({"error": str(error) or repr(error)}, 400)

    def _calls(self) -> dict[str, Callable[[Any, dict[str, str]], Answer]]:
        return {
            "GET /": lambda asked, query: Answer(200, (__doc__ or "").encode(), "text/plain; charset=utf-8"),
            "GET /_log": self._log,
            "GET /_state": self._state,
            "GET /_faults": lambda asked, query: plain([fault.as_json() for fault in self.faults.all]),
            "POST /_faults": lambda asked, query: self._done(lambda: self.faults.set(asked or [])),
            "POST /_release": lambda asked, query: self._done(self.faults.release),
            "POST /_revoke": lambda asked, query: self._done(self.revoke),
            "POST /_reset": lambda asked, query: self._done(self.reset),
            "POST /_down": lambda asked, query: self._done(lambda: self._nap(float(asked["seconds"]))),
            "POST /_crawl": lambda asked, query: self._crawl(**asked),
        }

    def _done(self, call: Callable[[], None]) -> Answer:
        call()
        return plain({"done": True, "faults": len(self.faults.all)})

    def _nap(self, seconds: float) -> None:
        """Go down a moment after this answer is out, and come back."""

        def nap() -> None:
            time.sleep(0.05)
            with self.down():
                time.sleep(seconds)

        threading.Thread(target=nap, daemon=True).start()

    def _log(self, asked: Any, query: dict[str, str]) -> Answer:
        since = int(query.get("since", 0))
        return plain([record.as_json() for record in list(self.received) if record.number >= since])

    def _state(self, asked: Any, query: dict[str, str]) -> Answer:
        if "object" in query:
            return self._one(query["object"])
        held = list(self.locations.values())
        state: dict[str, Any] = {
            "locations": len(held),
            "evses": sum(len(location.get("evses") or ()) for location in held),
            "tariffs": len(self.tariffs),
            "received": self.total,
            "answered": dict(self.answered),
            "token_calls": [call.at for call in self.token_calls],
            "stale": [{**step, "path": _text(step["path"])} for step in self.stale],
            "pulled": {kind: len(objects) for kind, objects in self.pulled.items()},
        }
        if query.get("full"):
            shelves = {"locations": self.locations, "tariffs": self.tariffs}
            state["documents"] = {kind: _by_text(shelf) for kind, shelf in shelves.items()}
            state["pulled"] = {
                kind: {key: pulled._asdict() for key, pulled in _by_text(shelf).items()}
                for kind, shelf in self.pulled.items()
            }
            state["history"] = _by_text(self.history)
        return plain(state)

    def _one(self, path: str) -> Answer:
        at = rules.target(path)
        document = self.book.find(at) if at else None
        if at is None or document is None:
            return plain({"error": f"NDW holds no {path}"}, 404)
        return plain({"document": document, "history": self.history.get(at.path, [])})

    def _crawl(self, location_id: str | None = None, **how: Any) -> Answer:
        if location_id is None:
            return plain(self.crawl(**how).summary())
        page, problems = get_location(how.pop("locations_url"), location_id, **how)
        return plain({"status": page.status, "answer": page.envelope, "problems": problems})


def _oauth_error(status: int, error: str, words: str) -> Answer:
    return plain({"error": error, "error_description": words}, status)


def _client(record: Record, form: dict[str, list[str]]) -> tuple[str, str]:
    """Return the client id and secret, from the form or HTTP Basic."""
    scheme, _, value = record.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            name, _, secret = base64.b64decode(value).decode().partition(":")
            return urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)
    return "".join(form.get("client_id", [])), "".join(form.get("client_secret", []))


def _text(path: tuple[str, ...]) -> str:
    return "/".join(urllib.parse.quote(part, safe="*") for part in path)


def _by_text(shelf: dict[Any, Any]) -> dict[str, Any]:
    return {_text(path): value for path, value in list(shelf.items())}


# -- HTTP -----------------------------------------------------------------------------------------------------------


class _BadRequestError(Exception):
    """The bytes are no request; its argument is the HTTP status to say so."""


class _Server(ThreadingTCPServer):
    """One thread a connection. Not http.server: its parser costs more than all the rest of a request here."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024
    ndw: Ndw

    def __init__(self, *args: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*args)

    def close_connections(self) -> None:
        """End the connections that are open; their threads end with them."""
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(StreamRequestHandler):
    """HTTP/1.1 with keep-alive on one connection; requests need a Content-Length."""

    disable_nagle_algorithm = True
    timeout = IDLE_S
    server: _Server

    def handle(self) -> None:
        """Serve one connection to its end."""
        self.server.open.add(self.connection)
        with contextlib.suppress(OSError):  # the client has gone
            while self._serve_one():
                pass
        self.server.open.discard(self.connection)

    def _serve_one(self) -> bool:
        line = self.rfile.readline(MAX_HEAD)
        if not line:
            return False
        try:
            parts = line.decode("latin-1").split()
            if len(parts) != 3 or parts[2] != "HTTP/1.1":
                raise _BadRequestError(400)
            headers = self._headers()
            raw = self._body(parts[0], headers)
        except _BadRequestError as bad:
            status = bad.args[0]
            return self._send(envelope(status, 2000, HTTPStatus(status).phrase), {"connection": "close"})
        return self._send(self.server.ndw.answer(parts[0], parts[1], headers, raw), headers)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        size = 0
        while (line := self.rfile.readline(MAX_HEAD)) not in (b"\r\n", b"\n"):
            size += len(line)
            if size > MAX_HEAD:
                raise _BadRequestError(431)
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip() or not line.endswith(b"\n"):
                raise _BadRequestError(400)
            name = sys.intern(name.lower())
            if name in headers:
                raise _BadRequestError(400)  # no client of NDW has a reason to send a header twice
            headers[name] = value.strip()
        return headers

    def _body(self, method: str, headers: dict[str, str]) -> bytes:
        length = headers.get("content-length", "" if method in ("PUT", "PATCH", "POST") else "0")
        if "transfer-encoding" in headers or not length:
            raise _BadRequestError(411)
        if not re.fullmatch("[0-9]{1,18}", length):
            raise _BadRequestError(400)
        if int(length) > MAX_BODY:
            raise _BadRequestError(413)
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        raw = self.rfile.read(int(length))
        if len(raw) < int(length):
            raise ConnectionError("the client went away inside its body")
        return raw

    def _send(self, answer: Answer, request: dict[str, str]) -> bool:
        """Send an answer as its faults want it; return whether the connection stays."""
        if answer.ending == "drop":
            return False
        stays = request.get("connection", "").lower() != "close" and answer.cut is None
        head = self._head(answer, request, stays)
        if answer.ending:
            if answer.ending == "reset head":
                self.wfile.write(head)
            return self._reset()
        if answer.stream:
            self.wfile.write(head)
            for part in answer.stream[1]():
                self.wfile.write(part)
        elif answer.rate:
            self.wfile.write(head)
            self._drip(answer.body, answer.rate)
        else:
            self.wfile.write(head + answer.body[: answer.cut])
        return stays

    def _head(self, answer: Answer, request: dict[str, str], stays: bool) -> bytes:
        lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
        if answer.status != 204:
            length = answer.stream[0] if answer.stream else len(answer.body)
            lines.append(f"Content-Type: {answer.kind}\r\nContent-Length: {length}")
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        for name in ("X-Request-ID", "X-Correlation-ID"):
            if value := request.get(name.lower()):
                lines.append(f"{name}: {value}")
        if not stays:
            lines.append("Connection: close")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n" + _clock(int(time.time()))[1] + b"\r\n"

    def _drip(self, body: bytes, rate: float) -> None:
        gate = self.server.ndw.faults.gate
        step = max(1, int(rate / 20))
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if gate.event.wait(step / rate) and not gate.go_on:
                raise ConnectionError("reset while dripping")

    def _reset(self) -> bool:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
        return False


@functools.cache
def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"


# -- starting -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(**options: Any) -> Iterator[Ndw]:
    """Run NDW in this process, on a free port unless told; `options` are `Ndw`'s."""
    ndw = Ndw(**options)
    ndw.start()
    try:
        yield ndw
    finally:
        ndw.stop()


def _to_stderr(line: str) -> None:
    """Write a line past Python's buffers, whose locks a thread that ends with the process might hold."""
    os.write(2, f"{line}\n".encode())


def main(arguments: list[str] | None = None) -> int:
    """Run NDW until SIGTERM or SIGINT."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m tests.ndw_simulator", description=__doc__, formatter_class=text)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8001, help="0 takes a free one (%(default)s)")
    parser.add_argument("--client-id", default=CLIENT_ID, help="the gateway's OAuth2 client (%(default)s)")
    parser.add_argument("--client-secret", default=CLIENT_SECRET, help="and its secret (%(default)s)")
    parser.add_argument("--token-life", type=float, default=1800, help="seconds an access token lives (%(default)s)")
    parser.add_argument("--latency-ms", type=float, default=0, help="think so long before each answer (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no line per request on standard error")
    asked = parser.parse_args(arguments)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before the threads, which inherit it
    log = None if asked.quiet else _to_stderr
    ndw = Ndw(asked.host, asked.port, asked.client_id, asked.client_secret, asked.token_life, asked.latency_ms, log)
    ndw.start()
    names = ("push_url", "token_url", "client_id", "client_secret")
    print(json.dumps({name: getattr(ndw, name) for name in names}), flush=True)
    signal.sigwait(signals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
