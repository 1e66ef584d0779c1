"""What promises share, P1 and P3: seed, play while faults rage, judge when all is quiet. Source: reliability §2."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.compare import Outcome, compare, extra_requests, log_of, percentile, retries_in_part, way
from tests.chaos.cpo import Cpo
from tests.chaos.stage import Stage

# What hits, in order until the groups of a short run have had each; servers too.
KILLS = (
    "worker-child", "web-child", "redis", "backend", "worker", "relay", "web", "beat", "flushall", "postmaster",
    "worker-main", "web-main",
)  # fmt: skip
FROZEN = ("worker", "web", "redis", "relay", "beat", "backend")
# 15 of 100 requests; each is the share of what the ones before have left.
NDW_FAULTS: list[dict[str, Any]] = [
    {"action": "reset", "probability": 0.03},
    {"action": "drop", "probability": 0.02},
    {"action": "apply_then_drop", "probability": 0.03},
    {"action": "status", "status": 500, "probability": 0.01},
    {"action": "status", "status": 502, "probability": 0.01},
    {"action": "status", "status": 503, "headers": {"Retry-After": "1"}, "probability": 0.01},
    {"action": "status", "status": 504, "apply": True, "probability": 0.01},
    {"action": "status", "status": 429, "headers": {"Retry-After": "1"}, "probability": 0.001},
    {"action": "ocpi", "status_code": 3000, "probability": 0.01},
    {"action": "html", "probability": 0.005},
    {"action": "empty", "probability": 0.005},
    {"action": "truncate", "probability": 0.01},
    {"action": "delay", "seconds": 2, "probability": 0.01},
]
LAST_WORDS_S = 0.1
SLOW: dict[str, Any] = {
    "action": "delay",
    "seconds": 0.3,
    "probability": 0.25,
}  # so that changes come while a request is under way
TOKEN_FAULTS: list[dict[str, Any]] = [
    {"action": "status", "status": 503, "match": {"kind": "token"}, "probability": 0.3},
    {"action": "token", "fields": {"expires_in": None}, "match": {"kind": "token"}, "probability": 0.3},
]


@dataclass
class Verdict:
    """What became of a promise."""

    name: str
    promise: str
    figures: str = ""
    wrong: list[str] = field(default_factory=list)

    def check(self, is_so: object, words: str) -> None:
        """Write down what is not as promised."""
        if not is_so:
            self.wrong.append(words)


class Promise:
    """One promise in three steps; those of a group play at the same time, each with CPOs of its own.

    `faults` are NDW's while it plays, for these CPOs only.
    """

    name, words = "", ""
    parties = 1
    faults: list[dict[str, Any]] = []

    def __init__(self, stage: Stage, seed: int = 0) -> None:
        self.stage, self.chance = stage, random.Random(f"{self.name}{seed}")
        self.cpos: list[Cpo] = []

    def seed(self) -> None:
        """Upload what is there before the faults."""

    def open(self) -> None:
        """Do what must be done before the others of the group play."""

    def play(self) -> None:
        """Do it."""

    def judge(self, verdict: Verdict) -> None:
        """Add what was wrong, and the figures."""

    def ndw_faults(self) -> list[dict[str, Any]]:
        """Return the faults, narrowed down to our own CPOs."""
        ours = f"/NL/({'|'.join(cpo.party for cpo in self.cpos)})/"
        narrow = [fault for fault in self.faults if "match" not in fault]
        return [fault | {"match": {"path": ours}} for fault in narrow] + [f for f in self.faults if "match" in f]

    def verdict(self, timeout: Outcome) -> Verdict:
        """Compare, then judge."""
        verdict = Verdict(self.name, self.words)
        outcome = compare(self.stage, self.cpos, Outcome(differences=list(timeout.differences)))
        verdict.wrong += outcome.differences
        verdict.figures = f"{sum(cpo.count for cpo in self.cpos)} accepted, {outcome.objects} objects"
        self.judge(verdict)
        return verdict


def together(threads: list[Any]) -> None:
    """Run callables at the same time. Raises the first of what they raise."""
    failed: list[BaseException] = []

    def run(call: Any) -> None:
        try:
            call()
        except BaseException as error:
            failed.append(error)

    running = [threading.Thread(target=run, args=(call,)) for call in threads]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if failed:
        raise failed[0]


class NothingLost(Promise):
    """P1."""

    name, words = "P1", "no accepted update is lost"
    parties = 4
    faults = [SLOW, *NDW_FAULTS, *TOKEN_FAULTS]

    def __init__(
        self,
        stage: Stage,
        seed: int = 0,
        *,
        updates: int = 1000,
        kills: int = 8,
        objects: int = 40,
        pause_s: float = 0.0,
        kinds: tuple[str, ...] = KILLS,
        freezes_s: float = 3.0,
    ) -> None:
        super().__init__(stage, seed)
        self.updates, self.kills, self.objects, self.pause_s = updates, kills, objects, pause_s
        self.kinds, self.freezes_s = kinds, freezes_s
        self.killed = 0

    def seed(self) -> None:
        """Each CPO has its share of Locations."""
        together([lambda cpo=cpo: cpo.begin(self.objects // self.parties) for cpo in self.cpos])

    def play(self) -> None:
        """Change things from all CPOs, and kill at even distances."""
        share = self.updates // self.parties
        chances = [random.Random(self.chance.random()) for _ in self.cpos]
        self.base = sum(cpo.count for cpo in self.cpos)
        loads = [lambda c=c, r=r: self._load(c, r, share) for c, r in zip(self.cpos, chances, strict=True)]
        together([*loads, self._kill])

    def _load(self, cpo: Cpo, chance: random.Random, count: int) -> None:
        for _ in range(count):
            cpo.change_something(chance)
            time.sleep(self.pause_s)
        for ocpi_id in [ocpi_id for kind, ocpi_id in cpo.holds if kind == "locations"]:
            cpo.next_status(ocpi_id, 0)
            time.sleep(LAST_WORDS_S)  # its last change overtakes the request for the one before
            cpo.next_status(ocpi_id, 1)

    def _kill(self) -> None:
        order = list(self.kinds)
        until = time.monotonic() + 60 + self.updates / 10
        while self.killed < self.kills and time.monotonic() < until:
            if self._progress() * (self.kills + 1) <= self.killed + 1 - 0.5:
                time.sleep(0.05)
                continue
            if self.freezes_s and self.killed % 10 == 9:
                self.stage.freeze(self.chance.choice(FROZEN), self.chance.uniform(1, self.freezes_s))
            if self.stage.kill(order[self.killed % len(order)]):
                self.killed += 1
                if self.killed % 5 == 4:
                    self.stage.ndw("/_revoke", {})
                if self.killed % 20 == 19:
                    self.stage.ndw("/_down", {"seconds": 2})
            time.sleep(0.5)

    def _progress(self) -> float:
        return (sum(cpo.count for cpo in self.cpos) - self.base) / self.updates

    def judge(self, verdict: Verdict) -> None:
        """Nothing is lost; and what the faults cost."""
        found, log = way(self.stage, self.cpos), log_of(self.stage, self.cpos)
        accepted = sum(cpo.count for cpo in self.cpos)
        again, spoilt = extra_requests(log)
        verdict.figures += (
            f", {self.killed} kills, {spoilt} NDW faults; age p50 {found.age(50):.1f} p99 {found.age(99):.0f}"
            f" max {found.age(100):.0f} s; {len(log) / max(1, accepted):.2f} requests per change, {again} repeats;"
            f" {found.backward} steps back"
        )
        verdict.check(self.killed >= self.kills, f"only {self.killed} of {self.kills} kills happened")
        verdict.check(not found.never, f"{found.never} accepted changes never came to NDW")
        late = [f"{heal:.0f}" for heal in found.healed_s if heal > 60]
        verdict.check(not late, f"{len(late)} steps back were not healed within 60 s: {late[:5]}")


class AmbiguityHeals(Promise):
    """P3: NDW applied it and the answer was lost, or it did not (or `actions`: answers that are none)."""

    name, words = "P3", "ambiguous outcomes heal"
    parties = 4

    def __init__(
        self, stage: Stage, seed: int = 0, *, each: int = 200, actions: tuple[str, ...] = ("apply_then_drop", "drop")
    ) -> None:
        super().__init__(stage, seed)
        self.each, self.actions = each, actions

    @property
    def faults(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Half of the requests, until each kind has happened often enough."""
        return [{"action": action, "times": self.each, "probability": 0.25} for action in self.actions]

    def seed(self) -> None:
        """Locations to change."""
        together([lambda cpo=cpo: cpo.begin(self.each // 8 + 5) for cpo in self.cpos])

    def play(self) -> None:
        """Change one Location after the other until all faults have happened."""
        until = time.monotonic() + 20 + self.each / 5
        together([lambda cpo=cpo: self._load(cpo, until) for cpo in self.cpos])

    def _load(self, cpo: Cpo, until: float) -> None:
        number = 0
        while time.monotonic() < until and not self._are_over():
            for _ in range(10):
                number += 1
                cpo.next_status(f"L{number % (self.each // 8 + 5)}", number // 7 % 2)
                time.sleep(0.01)

    def _are_over(self) -> bool:
        mine = f"/NL/({'|'.join(cpo.party for cpo in self.cpos)})/"
        faults = [one for one in self.stage.ndw("/_faults") if one["match"].get("path") == mine]
        return all(one["hits"] >= self.each for one in faults)

    def judge(self, verdict: Verdict) -> None:
        """At most one more request per ambiguity, and that one is whole."""
        log = log_of(self.stage, self.cpos)
        again, spoilt = extra_requests(log)
        verdict.figures += f", {spoilt} ambiguous, {again} requests more"
        verdict.check(spoilt >= self.each, f"only {spoilt} of {2 * self.each} ambiguities happened")
        verdict.check(again <= spoilt * 1.02 + 2, f"{again} requests more for {spoilt} ambiguities")
        verdict.wrong += retries_in_part(log)


def slowest(cpos: list[Cpo], percent: int = 99) -> float:
    """Return a percentile of how long uploads took, in seconds."""
    return percentile([took for cpo in cpos for took in cpo.took_s], percent)
