"""P8: new versions of web and worker while CPOs upload and NDW pulls through nginx.

Source: reliability §2; README, "A new version".
"""

import http.client
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from celery import Celery

from tests.chaos.compare import way
from tests.chaos.cpo import Cpo
from tests.chaos.promises import Promise, Verdict, slowest, together
from tests.chaos.stage import Stage
from tests.edge import proxy

PER_S, CALLERS = 100, 12  # eight CPOs upload, two pull, two ask what people and load balancers ask
LOCATIONS = 50  # of each CPO
EXITS_IN_S = 25
ROLLED = ("web", "worker")
LEFT_LEASES = "SELECT count(*) FROM ocpi_push WHERE lease_token IS NOT NULL AND lease_until < clock_timestamp()"


class GracefulDeploy(Promise):
    """Each time a new web and a new worker start beside the old ones, and those are asked to end."""

    name, words = "P8", "a new version fails no request"
    parties = 8
    faults = [{"action": "delay", "seconds": 0.03}]

    def __init__(self, stage: Stage, seed: int = 0, *, rolls: int = 50) -> None:
        super().__init__(stage, seed)
        self.rolls, self.is_over, self.played_s = rolls, False, 0.0
        self.exits_s: dict[str, list[float]] = {name: [] for name in ROLLED}
        self.others: Counter[str] = Counter()  # answers to pulls and pages
        self.left_leases = 0
        self.celery = Celery(broker=stage.environment["REDIS_URL"].replace("unix://", "redis+socket://"))

    def seed(self) -> None:
        """Locations to change."""
        together([lambda cpo=cpo: cpo.begin(LOCATIONS) for cpo in self.cpos])

    def play(self) -> None:
        """Roll under load, with kept connections."""
        before = [cpo.count for cpo in self.cpos]
        with self._door() as port:
            for cpo in self.cpos:
                cpo.move(port)
                cpo.took_s.clear()
                cpo.answers.clear()
            chances = [random.Random(self.chance.random()) for _ in self.cpos]
            loads = [lambda c=c, r=r: self._upload(c, r) for c, r in zip(self.cpos, chances, strict=True)]
            began = time.monotonic()
            gets = 2 * [lambda: self._pull(port), lambda: self._visit(port)]
            together([*loads, *gets, self._look, self._roll_all])
            self.played_s = time.monotonic() - began
        self.uploads = sum(cpo.count for cpo in self.cpos) - sum(before)

    @contextmanager
    def _door(self) -> Iterator[int]:
        if not proxy.NGINX:
            self.words += " (without nginx, which is not installed)"
            yield self.stage.port
            return
        with proxy.nginx(self.stage.port) as address:
            yield int(address.partition(":")[2])

    # the load

    def _paced(self, ask: Callable[[int], object]) -> None:
        """Call at our share of the rate until all is over; who was held up catches up."""
        began, pause_s, number = time.monotonic(), CALLERS / PER_S, 0
        while not self.is_over:
            ask(number)
            number += 1
            time.sleep(max(0.0, began + number * pause_s - time.monotonic()))

    def _upload(self, cpo: Cpo, chance: random.Random) -> None:
        self._paced(lambda number: cpo.change_something(chance))

    def _pull(self, port: int) -> None:
        cpo = self.cpos[0]
        below = [
            f"/ocpi/sender/NL/{cpo.party}/2.2.1/{rest}" for rest in ("locations?limit=20", "locations/L1", "tariffs")
        ]
        self._ask(port, [("GET", path, None) for path in below], {"Authorization": f"Token {cpo.pull_token}"})

    def _visit(self, port: int) -> None:
        cpo = self.cpos[0]
        pages = [("GET", path, None) for path in ("/readyz", "/admin/login/", "/healthz")]
        validate = ("POST", "/api/v1/validate?kind=location", json.dumps(cpo.holds["locations", "L1"]))
        self._ask(port, [*pages, validate], cpo.headers)

    def _ask(self, port: int, asks: list[tuple[str, str, str | None]], headers: dict[str, str]) -> None:
        """Ask in turn over one kept connection."""
        caller = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

        def ask(number: int) -> None:
            method, path, body = asks[number % len(asks)]
            try:
                caller.request(method, path, body, headers)
                answer = caller.getresponse()
                answer.read()
                self.others[f"{method} {path}: HTTP {answer.status}" if answer.status != 200 else "200"] += 1
            except (OSError, http.client.HTTPException) as error:
                self.others[f"{method} {path}: {error!r}"] += 1
                caller.close()

        self._paced(ask)
        caller.close()

    # the deploys

    def _roll_all(self) -> None:
        try:
            commands = {name: list(self.stage.supervisor[name].command) for name in ROLLED}
            for number in range(self.rolls):
                self._roll(commands, number)
        finally:
            self.is_over = True

    def _roll(self, commands: dict[str, list[str]], number: int) -> None:
        """Start the new ones, wait until they work, ask the old ones to end."""
        fresh = {name: f"{name}-{number}" for name in ROLLED}
        for name, new in fresh.items():
            self.stage.add(new, name, commands[name])
        self.stage.wait_for(lambda: self._do_work(fresh), 120, "a new version to start")
        together([lambda name=name, new=new: self._end(name, new) for name, new in fresh.items()])

    def _do_work(self, fresh: dict[str, str]) -> bool:
        """Look into granian's log, and ask the Celery worker itself."""
        log = self.stage.supervisor[fresh["web"]].log
        if not log.exists() or log.read_text(errors="replace").count("Started worker") < 2:
            return False
        return bool(self.celery.control.ping([f"{fresh['worker']}@{socket.gethostname()}"], timeout=1, limit=1))

    def _end(self, name: str, new: str) -> None:
        self.exits_s[name].append(self.stage.replace(name, new, EXITS_IN_S + 5))

    def _look(self) -> None:
        while not self.is_over:
            self.left_leases = max(self.left_leases, self.stage.sql(LEFT_LEASES)[0][0])
            time.sleep(1)

    def judge(self, verdict: Verdict) -> None:
        """Nobody noticed."""
        found, others = way(self.stage, self.cpos), self.others.total()
        uploads = sum((cpo.answers for cpo in self.cpos), Counter[str]())
        slow = {name: max(took, default=0) for name, took in self.exits_s.items()}
        rate = (uploads.total() + others) / max(1.0, self.played_s)
        verdict.figures += (
            f", {len(self.exits_s['web'])} rolls, {uploads.total()} uploads and {others} others at {rate:.0f}/s"
            f" in {self.played_s:.0f} s; upload p99 {slowest(self.cpos) * 1000:.0f} ms; exits web ≤ {slow['web']:.1f} s,"
            f" worker ≤ {slow['worker']:.1f} s; age p99 {found.age(99):.1f} max {found.age(100):.1f} s"
        )
        failed = {said: count for said, count in (uploads + self.others).items() if said not in ("accepted", "200")}
        unanswered = [words for cpo in self.cpos for words in cpo.unanswered]
        verdict.check(not failed, f"{sum(failed.values())} requests failed: {failed} {unanswered[:5]}")
        verdict.check(rate >= PER_S * 0.9, f"only {rate:.0f} requests a second")
        verdict.check(max(slow.values()) <= EXITS_IN_S, f"a process took {max(slow.values()):.1f} s to end")
        verdict.check(not self.left_leases, f"{self.left_leases} leases were older than 30 s at once")
        verdict.check(not found.backward, f"{found.backward} steps back at NDW")
        verdict.check(not found.never, f"{found.never} accepted changes never came to NDW")
