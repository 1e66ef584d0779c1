"""P15: two tenants at once on shared connections, threads and processes; the role of the database without a tenant.

(Every route, method and credential against a rival: tests/test_isolation_matrix.py, which `make fuzz` runs at 10,000.)
"""

import json
import statistics
import time
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from django.db import connection, transaction

from ocpi.models import Import
from tenants.models import Tenant, Token
from tests import factories
from tests.benchmarks import stage
from tests.chaos.promises import Verdict
from tests.documents import evse_body, location_body
from tests.door import Size
from tests.test_row_level_security import OWNED
from tests.wire import Answer, Wire, request

CLIENTS = 8
CANARIES = {"EXA": "canary-exa-3f9c", "RIV": "canary-riv-77d0"}
RECEIVER, SENDER = "/ocpi/receiver/2.2.1", "/ocpi/sender/NL"
OTHER = {"EXA": "RIV", "RIV": "EXA"}


class Ask(NamedTuple):
    """A request; `has` is None where nothing of anybody may be in the answer, else whether one's own canary must be."""

    method: str
    target: str
    token: str
    has: bool | None
    body: bytes | None = None


class Party:
    """A tenant with its tokens, its objects, and what it asks in turn."""

    def __init__(self, party: str) -> None:
        self.party, self.canary = party, CANARIES[party]
        self.tenant: Tenant = factories.make_tenant(party)
        factories.connect_to_nowhere(self.tenant)
        self.upload = factories.make_token(self.tenant)
        self.pull = factories.make_token(self.tenant, Token.Purpose.PULL)
        factories.put_tariff(self.tenant, tariff_alt_text=[{"language": "en", "text": self.canary}])
        for number in range(5):
            factories.put_location(self.tenant, **self._location(f"LOC-000{number}"))
        self.job = Import.objects.create(tenant=self.tenant, kind="location", phase="apply", state="done", note="x")
        self.asks: list[Ask] = []

    def _location(self, ocpi_id: str, **more: Any) -> dict[str, Any]:
        evses = [evse_body(physical_reference=self.canary, evse_id=f"NL*{self.party}*E{ocpi_id[-1]}", uid="EVSE-1")]
        return {"id": ocpi_id, "name": self.canary, "evses": evses} | more

    def prepare(self, other: "Party") -> None:
        """Note what is asked: one's own, and the other's, and what nobody has."""
        own, its = f"NL/{self.party}", f"NL/{other.party}"
        later = {"last_updated": "2026-03-02T10:00:00Z"}
        whole = json.dumps(location_body(party_id=self.party, **self._location("LOC-0001", **later))).encode()
        status = json.dumps({"status": "CHARGING", **later}).encode()
        self.asks = [
            Ask("GET", f"{SENDER}/{self.party}/2.2.1/locations", self.pull, True),
            Ask("GET", f"{RECEIVER}/locations/{own}/LOC-0001", self.upload, True),
            Ask("PUT", f"{RECEIVER}/locations/{own}/LOC-0001", self.upload, None, whole),
            Ask("GET", f"{RECEIVER}/locations/{its}/LOC-0001", self.upload, None),
            Ask("GET", f"{SENDER}/{self.party}/2.2.1/tariffs", self.pull, True),
            Ask("GET", f"{SENDER}/{other.party}/2.2.1/locations", self.pull, None),
            Ask("PATCH", f"{RECEIVER}/locations/{own}/LOC-0002/EVSE-1", self.upload, None, status),
            Ask("GET", f"{SENDER}/{self.party}/2.2.1/locations?limit=2&offset=2", self.pull, True),
            Ask("GET", "/api/v1/problems", self.upload, None),
            Ask("GET", f"/api/v1/imports/{other.job.pk}", self.upload, None),
            Ask("GET", "/api/v1/locations", self.upload, None),
            Ask("POST", "/api/v1/validate?kind=location", self.upload, None, whole),
            Ask("GET", f"/api/v1/imports/{self.job.pk}", self.upload, None),
            Ask("PUT", f"{RECEIVER}/locations/{its}/LOC-0001", self.upload, None, whole),
            Ask("GET", "/api/v1/deliveries?kind=location&id=LOC-0001", self.upload, None),
        ]


def ask(wire: Wire, one: Ask) -> Answer:
    """Make one request on a connection that is kept."""
    headers = [("Authorization", f"Token {one.token}"), ("Content-Type", "application/json")]
    wire.send(request(one.method, one.target, headers, one.body))
    return wire.answer(one.method)


def play(size: Size) -> Verdict:
    """Play both."""
    each = size(50_000, 150)
    verdict = Verdict("P15", "no byte of another tenant")
    parties = [Party("EXA"), Party("RIV")]
    for own, other in zip(parties, reversed(parties), strict=True):
        own.prepare(other)
    with stage.served() as server:
        per_s, statuses, wrong = _interleave(server.port, parties, each)
        foreign_ms, unknown_ms = _timing(server.port, parties[0], size(2000, 50))
        log = server.child.log.read_text()
    rows, alternations = _without_a_tenant(parties, size(2000, 20))
    verdict.wrong += wrong
    verdict.check(sum(statuses.values()) == 2 * each, "not every request was answered")
    verdict.check(set(statuses) == {200, 404}, f"answers by status: {dict(statuses)}")
    verdict.check(not any(canary in log for canary in CANARIES.values()), "a canary is in the log")
    verdict.check(rows == 0, f"without a tenant the role sees {rows} rows")
    verdict.figures = (
        f"2 x {each} interleaved on {CLIENTS} connections, {per_s:.0f}/s: {len(wrong)} foreign bytes; role without a tenant: "
        f"{rows} rows of {len(OWNED)} tables, {alternations} times behind a tenant's transaction; "
        f"foreign {foreign_ms:.1f} ms, unknown {unknown_ms:.1f} ms (p50)"
    )
    return verdict


def _interleave(port: int, parties: list[Party], each: int) -> tuple[float, Counter[int], list[str]]:
    """Have both ask in turn on every connection; return the rate, the answers by status, and what was wrong."""
    wires = [Wire(f"127.0.0.1:{port}", timeout_s=60) for _ in range(CLIENTS)]
    statuses: Counter[int] = Counter()
    wrong: list[str] = []

    def work(thread: int, job: int) -> None:
        turn = job // CLIENTS
        own = parties[turn % 2]
        one = own.asks[(turn // 2 + thread) % len(own.asks)]
        answer = ask(wires[thread], one)
        statuses[answer.status] += 1
        seen = answer.body + str(answer.headers).encode()
        is_others = OTHER[own.party] in one.target.split("/") or (
            "/imports/" in one.target and str(own.job.pk) not in one.target
        )
        if CANARIES[OTHER[own.party]].encode() in seen:
            wrong.append(f"{own.party} {one.method} {one.target}: a canary of the other's")
        if one.has and own.canary.encode() not in seen:
            wrong.append(f"{own.party} {one.method} {one.target}: HTTP {answer.status}, not one's own")
        if (answer.status == 404) != is_others:
            wrong.append(f"{own.party} {one.method} {one.target}: HTTP {answer.status}")

    per_s = stage.rate(work, CLIENTS, 2 * each)
    for wire in wires:
        wire.close()
    return per_s, statuses, wrong


def _timing(port: int, own: Party, count: int) -> tuple[float, float]:
    """Return the medians of a Location that another has and of one that nobody has, asked in turn (ms)."""
    took: dict[str, list[float]] = defaultdict(list)
    with Wire(f"127.0.0.1:{port}") as wire:
        for _ in range(count):
            for party in (OTHER[own.party], "NIL"):
                began = time.perf_counter()
                ask(wire, Ask("GET", f"{RECEIVER}/locations/NL/{party}/LOC-0001", own.upload, None))
                took[party].append((time.perf_counter() - began) * 1000)
    return statistics.median(took[OTHER[own.party]]), statistics.median(took["NIL"])


def _without_a_tenant(parties: list[Party], times: int) -> tuple[int, int]:
    """Count what the role sees in raw SQL on a connection that has just served a tenant."""
    seen = 0
    for number in range(times):
        with parties[number % 2].tenant.transaction():
            assert Tenant.objects.count() == 1
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE gateway_tenant")
            for table in [model._meta.db_table for model in OWNED] if number < 20 else ["ocpi_location"]:
                cursor.execute(f"SELECT count(*) FROM {table}")
                seen += cursor.fetchone()[0]
            cursor.execute("RESET ROLE")
    return seen, times
