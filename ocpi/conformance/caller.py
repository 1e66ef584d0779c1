"""One HTTP request of a strict stranger, and what must hold of any answer."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from ocpi.conformance.book import Report

LARGEST = 256 * 1024 * 1024
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
        return json.loads(raw.decode("utf-8"), object_pairs_hook=once, parse_constant=never)
    except RecursionError as error:
        raise ValueError("it is nested without end") from error


class Caller:
    """GET with a credential, message ids of our own, and no help from redirects or the environment."""

    def __init__(self, report: Report, authorization: str, timeout_s: float = 30) -> None:
        self.report, self.authorization, self.timeout_s = report, authorization, timeout_s
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, url: str, authorization: str | None = None) -> Answer:
        """Ask, and check what holds of any answer; an `authorization` of "" sends none. Raises Unreachable."""
        ids = {"X-Request-ID": str(uuid.uuid4()), "X-Correlation-ID": str(uuid.uuid4())}
        headers = {**ids, "Accept": "application/json"}
        credential = self.authorization if authorization is None else authorization
        if credential:
            headers["Authorization"] = credential
        try:
            with self.session.get(
                url, headers=headers, timeout=self.timeout_s, allow_redirects=False, stream=True
            ) as response:
                raw = response.raw.read(LARGEST, decode_content=True)
                answer = Answer(url, response.status_code, response.headers)
        except (requests.RequestException, OSError) as error:
            raise Unreachable(f"{url}: {type(error).__name__}: {error}") from error
        self._look_at(answer, raw, ids)
        return answer

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
        check("envelope", 1000 <= answer.code <= 9999, url, f"HTTP {answer.status}, {str(envelope)[:80]}")
        moment = answer.envelope.get("timestamp")
        check("timestamp", isinstance(moment, str) and MOMENT.fullmatch(moment), url, moment)
