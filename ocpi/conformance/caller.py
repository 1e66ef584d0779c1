"""One HTTP request of a strict stranger, and what must hold of any answer."""

import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3

from ocpi.conformance.book import Report

LARGEST, PIECE = 64 * 2**20, 2**16  # bytes of an answer
DEEPEST = 60  # levels of nesting
BUSY_TIMES, LONGEST_WAIT_S = 3, 30.0  # how often, and how long at most, a busy server is waited for
MOMENT = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]{1,3})?Z?"
)


class Unreachable(Exception):
    """There is no talking to the server at all."""


@dataclass
class Answer:
    """What came back; `envelope` is empty where it is none."""

    url: str
    status: int
    headers: Mapping[str, str]
    envelope: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Any:
        """Return what the envelope carries."""
        return self.envelope.get("data")

    @property
    def code(self) -> int:
        """Return the OCPI status code; 0 where there is none."""
        code = self.envelope.get("status_code")
        return code if type(code) is int else 0

    @property
    def is_success(self) -> bool:
        """Return True for HTTP 200 and 1xxx."""
        return self.status == 200 and 1000 <= self.code <= 1999


def strict(raw: bytes) -> Any:
    """Parse JSON as a strict peer does. Raises ValueError."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raise ValueError("it begins with a byte order mark")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice in one object")
        return found

    def never(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=once, parse_constant=never)
    except RecursionError as error:
        raise ValueError("it is nested without end") from error
    _check_depth_and_texts(found)
    return found


def _check_depth_and_texts(value: Any) -> None:
    """Refuse what no OCPI object needs and many a reader stumbles over. Raises ValueError."""
    waiting: list[tuple[int, Any]] = [(0, value)]
    while waiting:
        depth, one = waiting.pop()
        if depth > DEEPEST:
            raise ValueError("it is nested without end")
        if isinstance(one, dict):
            waiting += ((depth + 1, item) for pair in one.items() for item in pair)
        elif isinstance(one, list):
            waiting += ((depth + 1, item) for item in one)
        elif isinstance(one, str) and not one.isascii():
            one.encode()  # half of a surrogate pair: UnicodeEncodeError is a ValueError


class Caller:
    """GET with a credential, message ids of our own, and no help from redirects or the environment.

    The first request has to be answered; that a later one is not is one broken rule more.
    """

    def __init__(self, report: Report, authorization: str, timeout_s: float = 30) -> None:
        self.report, self.authorization, self.timeout_s = report, authorization, timeout_s
        self.session = requests.Session()
        self.session.trust_env = False
        self.is_first = True

    def get(self, url: str, authorization: str | None = None) -> Answer:
        """Ask, and check what holds of any answer; an `authorization` of "" sends none. Raises Unreachable (the first time)."""
        ids = {"X-Request-ID": str(uuid.uuid4()), "X-Correlation-ID": str(uuid.uuid4())}
        headers = {**ids, "Accept": "application/json"}
        credential = self.authorization if authorization is None else authorization
        if credential:
            headers["Authorization"] = credential
        try:
            answer, raw = self._patiently(url, headers)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            if self.is_first:
                raise Unreachable(self.report.clean(f"{url}: {why}")) from None
            self.report.check("answers", False, url, why)
            return Answer(url, 0, {})
        self.is_first = False
        self.report.check("answers", True)
        self._look_at(answer, raw, ids)
        return answer

    def _patiently(self, url: str, headers: dict[str, str]) -> tuple[Answer, bytes]:
        """Ask again where a busy server says when."""
        for _ in range(BUSY_TIMES):
            answer, raw = self._ask(url, headers)
            wait = answer.headers.get("Retry-After", "")
            if answer.status not in (429, 503) or not wait.isascii() or not wait.isdigit():
                break
            time.sleep(min(float(wait[:4]), LONGEST_WAIT_S))
        return answer, raw

    def _ask(self, url: str, headers: dict[str, str]) -> tuple[Answer, bytes]:
        ends_at, raw = time.monotonic() + 2 * self.timeout_s, b""
        asked = self.session.get(url, headers=headers, timeout=self.timeout_s, allow_redirects=False, stream=True)
        with asked as response:
            pieces = []
            while piece := response.raw.read(PIECE, decode_content=True):
                pieces.append(piece)
                if len(pieces) * PIECE > LARGEST:
                    raise ValueError(f"an answer of more than {LARGEST // 2**20} MiB")
                if time.monotonic() > ends_at:
                    raise TimeoutError(f"not whole after {2 * self.timeout_s:g} s")
            raw = b"".join(pieces)
            return Answer(url, response.status_code, response.headers), raw

    def _look_at(self, answer: Answer, raw: bytes, ids: dict[str, str]) -> None:
        check, url = self.report.check, answer.url
        check("no-redirect", not 300 <= answer.status < 400, url, f"HTTP {answer.status}")
        kind = answer.headers.get("Content-Type", "")
        check("content-type", kind.partition(";")[0].strip().lower() == "application/json", url, kind or "none")
        for name, value in ids.items():
            check("ids-echoed", answer.headers.get(name) == value, url, f"{name}: {answer.headers.get(name)}")
        try:
            envelope = strict(raw)
        except ValueError as error:
            check("json", False, url, f"HTTP {answer.status}, {error}")
            return
        check("json", True)
        answer.envelope = envelope if isinstance(envelope, dict) else {}
        check("envelope", 1000 <= answer.code <= 9999, url, f"HTTP {answer.status}, status_code {answer.code}")
        moment = answer.envelope.get("timestamp")
        check("timestamp", isinstance(moment, str) and MOMENT.fullmatch(moment), url, str(moment)[:60])
