"""P4: the minute holds at a steady rate while something is killed every half minute. Source: reliability §2."""

import random
import time

from tests.chaos.compare import way
from tests.chaos.cpo import Cpo
from tests.chaos.promises import Promise, Verdict, together
from tests.chaos.stage import Stage

PER_S, KILL_EVERY_S = 200, 30
KILLED = ("worker", "redis", "web-child", "beat", "worker-child", "web")
LOCATIONS = 500  # of each CPO: as a rule a status changes before the one before has long been sent


class MinuteHolds(Promise):
    """So many changes a second, day in, day out."""

    name, words = "P4", "a change is at NDW within a minute"
    parties = 8

    def __init__(self, stage: Stage, seed: int = 0, *, seconds: float = 300, per_s: int = PER_S) -> None:
        super().__init__(stage, seed)
        self.seconds, self.per_s, self.played_s, self.killed = seconds, per_s, 0.0, 0
        self.is_over = False

    def seed(self) -> None:
        """Locations to change."""
        together([lambda cpo=cpo: cpo.begin(LOCATIONS) for cpo in self.cpos])

    def play(self) -> None:
        """Upload at the rate; who was held up by a kill catches up."""
        self.before = [cpo.count for cpo in self.cpos]
        for cpo in self.cpos:
            cpo.accepted.clear()
        began = time.monotonic()
        chances = [random.Random(self.chance.random()) for _ in self.cpos]
        loads = [lambda c=c, r=r: self._load(c, r) for c, r in zip(self.cpos, chances, strict=True)]
        together([lambda: self._all(loads), self._kill])
        self.played_s = time.monotonic() - began

    def _all(self, loads: list) -> None:
        together(loads)
        self.is_over = True

    def _load(self, cpo: Cpo, chance: random.Random) -> None:
        began, pause_s = time.monotonic(), self.parties / self.per_s
        for number in range(int(self.seconds / pause_s)):
            time.sleep(max(0.0, began + number * pause_s - time.monotonic()))
            if chance.random() < 0.9:
                cpo.next_status(f"L{chance.randrange(LOCATIONS)}", chance.randrange(2))
            else:
                cpo.put_location(f"L{chance.randrange(LOCATIONS)}", name=f"Name {number}")

    def _kill(self) -> None:
        until = time.monotonic() + KILL_EVERY_S / 2
        while not self.is_over:
            if time.monotonic() >= until:
                self.killed += self.stage.kill(KILLED[self.killed % len(KILLED)])
                until += KILL_EVERY_S
            time.sleep(0.1)

    def judge(self, verdict: Verdict) -> None:
        """The ages of all changes, as the law counts them."""
        found, count = way(self.stage, self.cpos), sum(cpo.count for cpo in self.cpos) - sum(self.before)
        rate = count / max(1.0, self.played_s)
        verdict.figures += (
            f", {count} changes at {rate:.0f}/s, {self.killed} kills; age p50 {found.age(50):.2f} p99 {found.age(99):.1f}"
            f" max {found.age(100):.1f} s"
        )
        verdict.check(rate >= self.per_s * 0.9, f"only {rate:.0f} changes a second")
        verdict.check(found.age(50) <= 1, f"half of the changes took {found.age(50):.1f} s")
        verdict.check(found.age(99) <= 5, f"one in a hundred took {found.age(99):.1f} s")
        verdict.check(found.age(100) <= 60, f"a change took {found.age(100):.0f} s")
        verdict.check(not found.never, f"{found.never} accepted changes never came to NDW")
