"""P18: a thousand clients that dawdle before nginx, and one beside them that does not; for ten minutes.

They come from many addresses of the loopback network, 40 connections each: an address may have 50.
"""

import contextlib
import json
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tenants.models import Tenant, Token
from tests import factories
from tests.bad_inputs import LATER, LOCATION, SENDER
from tests.benchmarks import stage
from tests.chaos.compare import percentile
from tests.chaos.promises import Verdict
from tests.documents import location_body
from tests.door import Size
from tests.edge.proxy import nginx
from tests.edge.test_slow import ask
from tests.wire import Closed, Wire, request

PER_ADDRESS = 40
PAUSE_S = 1.0  # between two bytes of somebody who dawdles
PACE_S = 0.05  # between two requests of the one who does not
LONGEST_S = 0.3


class Crowd(threading.Thread):
    """Clients of one kind: each says its beginning, then a byte a second; who is cut off comes again."""

    def __init__(self, address: str, number: int, count: int, beginning: bytes, *, is_reader: bool = False) -> None:
        super().__init__(name=f"crowd {number}")
        self.address, self.number, self.beginning, self.is_reader = address, number, beginning, is_reader
        self.wires: list[Wire | None] = [None] * count
        self.stop, self.cut, self.refused = threading.Event(), 0, 0

    def run(self) -> None:
        """Dawdle until `stop`."""
        while not self.stop.is_set():
            began = time.monotonic()
            for place, wire in enumerate(self.wires):
                self.wires[place] = self._go_on(wire) if wire else self._come(place)
            self.stop.wait(max(0.0, PAUSE_S - (time.monotonic() - began)))
        for wire in filter(None, self.wires):
            wire.close()

    def _come(self, place: int) -> Wire | None:
        try:
            wire = Wire(self.address, 5, source=f"127.0.{self.number}.{place // PER_ADDRESS + 1}")
            if self.is_reader:
                wire.socket.setsockopt(1, 8, 4096)  # SO_RCVBUF
            wire.send(self.beginning)
        except OSError:
            self.refused += 1
            return None
        wire.socket.setblocking(False)
        return wire

    def _go_on(self, wire: Wire) -> Wire | None:
        """Say or take one more byte; None when the other side has hung up."""
        with contextlib.suppress(BlockingIOError):
            try:
                if not self.is_reader:
                    wire.socket.send(b" " if self.beginning.endswith(b"{") else b"x")
                if wire.socket.recv(1) == b"" or not self.is_reader:
                    raise ConnectionResetError
            except ConnectionError:
                wire.close()
                self.cut += 1
                return None
        return wire

    def present(self) -> int:
        """Return how many are connected."""
        return sum(wire is not None for wire in self.wires)


class Usual(threading.Thread):
    """The client beside them: an upload and a pull in turn, each on a connection of its own."""

    def __init__(self, address: str, token: str, pull_token: str) -> None:
        super().__init__(name="usual")
        self.address, self.tokens = address, (token, pull_token)
        self.stop, self.took_s, self.failed = threading.Event(), list[float](), Counter[str]()

    def run(self) -> None:
        """Ask until `stop`."""
        body = json.dumps(location_body(last_updated=LATER)).encode()
        while not self.stop.wait(PACE_S):
            for method, target, token, sent in (
                ("PUT", LOCATION, self.tokens[0], body),
                ("GET", f"{SENDER}/locations?limit=5", self.tokens[1], None),
            ):
                began = time.monotonic()
                try:
                    status = str(ask(self.address, method, target, token, sent).status)
                except (OSError, Closed) as error:
                    status = repr(error)[:60]
                self.took_s.append(time.monotonic() - began)
                if status != "200":
                    self.failed[status] += 1


def play(size: Size) -> Verdict:
    """Play it."""
    verdict, seconds = Verdict("P18", "slow clients hold nobody up"), size.seconds
    counts = (size(500, 50), size(500, 50), size(200, 20))
    with _gateway() as edge:
        alone = _usual(edge, 5.0)
        crowds = _crowds(edge, counts)
        for crowd in crowds:
            crowd.start()
        time.sleep(5)  # until all have come
        usual = _usual(edge, seconds, crowds)
        present = int(statistics.median(usual.present))
        for crowd in crowds:
            crowd.stop.set()
            crowd.join()
    p50, p99 = (percentile(usual.took_s, share) * 1000 for share in (50, 99))
    verdict.check(not usual.failed, f"requests failed: {dict(usual.failed)}")
    verdict.check(p99 <= LONGEST_S * 1000, f"p99 is {p99:.0f} ms")
    verdict.check(present >= sum(counts) * 0.75, f"of {sum(counts)} slow clients {present} were connected")
    crowd_figures = f"{present} connected (median), {[crowd.cut for crowd in crowds]} cut and come again"
    verdict.figures = (
        f"{' + '.join(map(str, counts))} slow (headers + bodies + readers) for {seconds} s, {crowd_figures}; "
        f"{len(usual.took_s)} usual requests: {usual.failed.total()} failed, p50 {p50:.0f} ms, p99 {p99:.0f} ms, "
        f"max {max(usual.took_s) * 1000:.0f} ms (alone: p99 {percentile(alone.took_s, 99) * 1000:.0f} ms)"
    )
    return verdict


@contextlib.contextmanager
def _gateway() -> Iterator[Any]:
    """Run the gateway behind nginx, as docker-compose.yml has it."""
    os.environ["HAS_PROXY"] = "true"
    cpo: Tenant = factories.make_tenant("EXA")
    factories.put_tariff(cpo)
    factories.put_location(cpo)
    stage.seed_locations(cpo, 500)
    tokens = factories.make_token(cpo), factories.make_token(cpo, Token.Purpose.PULL)
    try:
        with stage.served() as web, nginx(web.port) as address:
            yield address, *tokens
    finally:
        del os.environ["HAS_PROXY"]


def _crowds(edge: Any, counts: tuple[int, int, int]) -> list[Crowd]:
    address, token, pull_token = edge
    upload = [("Authorization", f"Token {token}"), ("Content-Type", "application/json"), ("Content-Length", "100000")]
    return [
        Crowd(address, 1, counts[0], f"GET {LOCATION} HTTP/1.1\r\nHost: localhost\r\nX-A: ".encode()),
        Crowd(address, 2, counts[1], request("PUT", LOCATION, upload) + b"{"),
        Crowd(address, 3, counts[2], request("GET", f"{SENDER}/locations?limit=500", [("Authorization", f"Token {pull_token}")]),
              is_reader=True),
    ]  # fmt: skip


def _usual(edge: Any, seconds: float, crowds: list[Crowd] | None = None) -> Any:
    """Let the usual client ask for so long; it has noted then what it took, and how many of the crowd were there."""
    usual: Any = Usual(*edge)
    usual.present = []
    usual.start()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(1)
        usual.present.append(sum(crowd.present() for crowd in crowds or []))
    usual.stop.set()
    usual.join()
    return usual
