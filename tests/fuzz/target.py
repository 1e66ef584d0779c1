"""The gateway that is fuzzed: sends requests, looks at what they left behind, counts."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from django.db import connection

from tenants.models import Tenant, Token
from tests import factories
from tests.benchmarks import stage
from tests.benchmarks.stage import Server
from tests.wire import Answer, Closed, Wire

API = ("/ocpi/", "/api/", "/oauth/")
TABLES = (
    "ocpi_location",
    "ocpi_tariff",
    "ocpi_push",
    "ocpi_import",
    "tenants_tenant",
    "tenants_token",
    "tenants_oauthclient",
)
_ROW = "(to_jsonb(t) - '{last_used_at}'::text[])::text"  # when a token was used last moves at each request
_STATE = " UNION ALL ".join(f"SELECT count(*), sum(hashtextextended({_ROW}, 0)) FROM {table} t" for table in TABLES)
WARM_UP = 300  # requests after which memory is looked at first
GROWTH_MB = 50  # most that a process may grow. Source: reliability P16
KEPT = 20  # violations that are told


@dataclass
class Target:
    """A running gateway and what became of the requests to it."""

    server: Server
    cpo: Tenant
    tokens: dict[str, str]
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory_mb: float = 0
    stored_by_refused: int = 0
    _wire: Wire | None = None
    _state: Any = None

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self._state = self.state()

    @property
    def address(self) -> str:
        """Return where it is."""
        return f"http://127.0.0.1:{self.server.port}"

    def token_for(self, path: str) -> str:
        """Return the token that opens a path."""
        return self.tokens["pull" if path.startswith("/ocpi/sender") else "upload"]

    def state(self) -> list[Any]:
        """Return a sum of everything that is stored."""
        with connection.cursor() as cursor:
            cursor.execute(_STATE)
            return cursor.fetchall()

    def send(self, raw: bytes, method: str, path: str) -> Answer | None:
        """Send bytes over the kept connection; None when the server hung up, as it may on what is no HTTP."""
        self._wire = self._wire or Wire(self.address, timeout_s=30)
        try:
            self._wire.send(raw)
            answer = self._wire.answer(method)
        except Closed:
            self._wire.close()
            self._wire = None
            self.sent += 1
            self.statuses[0] += 1
            return None
        except TimeoutError:
            self.blame("no answer within 30 s", raw)
            self._wire.close()
            self._wire = None
            return None
        if answer.is_last or answer.status == 400:
            self._wire.close()
            self._wire = None
        self.judge(answer, method, path, raw)
        return answer

    def judge(self, answer: Answer, method: str, path: str, raw: object) -> None:
        """Count an answer and say what is wrong with it."""
        self.sent += 1
        self.statuses[answer.status] += 1
        if answer.status >= 500:
            self.blame(f"HTTP {answer.status}", raw)
        elif path.startswith(API) and answer.status >= 400 and answer.body and method != "HEAD" and not answer.is_json:
            self.blame(f"HTTP {answer.status}, not JSON: {answer.body[:80]!r}", raw)
        elif answer.is_json:
            self.codes[str(json.loads(answer.body).get("status_code", "REST"))] += 1
        self._check_state(self._may_store(answer, method), raw)
        if self.sent == WARM_UP:
            self.memory_mb = self.server.memory_mb()

    def _may_store(self, answer: Answer, method: str) -> bool:
        if method not in ("PUT", "PATCH", "DELETE", "POST") or answer.status >= 300:
            return False
        return not answer.is_json or json.loads(answer.body).get("status_code", 1000) == 1000

    def _check_state(self, may_store: bool, raw: object) -> None:
        state = self.state()
        if state != self._state and not may_store:
            self.stored_by_refused += 1
            self.blame("refused, and something is stored", raw)
        self._state = state

    def blame(self, what: str, raw: object) -> None:
        """Note a violation."""
        if len(self.wrong) < KEPT:
            self.wrong.append(f"{what}: {str(raw)[:600]}")

    def growth_mb(self) -> float:
        """Return by how much the largest process has grown since it was warm."""
        return self.server.memory_mb() - (self.memory_mb or self.server.memory_mb())


@contextmanager
def running() -> Iterator[Target]:
    """Start the production web server on the current database, with a tenant; everything of it is gone afterwards."""
    with stage.served(workers=1) as server:
        cpo = factories.make_tenant("EXA")
        factories.make_tenant("RIV")
        factories.connect_to_nowhere(cpo)
        for number in (1, 2):
            factories.put_tariff(cpo, id=f"ADHOC-{number}")
            factories.put_location(cpo, id=f"LOC-000{number}")
        tokens = {
            "upload": factories.make_token(cpo),
            "pull": factories.make_token(cpo, Token.Purpose.PULL),
        }
        try:
            yield Target(server, cpo, tokens)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE tenants_tenant, tenants_serviceaccount, ocpi_version CASCADE")
