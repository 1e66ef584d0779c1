"""P6 and P7: Redis away, PostgreSQL away. Source: reliability §2."""

import time
from functools import partial

from tests.chaos.compare import way
from tests.chaos.cpo import Cpo
from tests.chaos.promises import Promise, Verdict, slowest, together
from tests.chaos.stage import Stage


class RedisIsDisposable(Promise):
    """P6: off, frozen, emptied in turn, under a steady load."""

    name, words = "P6", "Redis is disposable"
    parties = 2

    def __init__(
        self, stage: Stage, seed: int = 0, *, times: int = 3, seconds: float = 10, slowest_s: float = 0.3
    ) -> None:
        super().__init__(stage, seed)
        self.times, self.seconds, self.slowest_s = times, seconds, slowest_s
        self.is_over = False

    def seed(self) -> None:
        """Locations to change."""
        together([lambda cpo=cpo: cpo.begin(20) for cpo in self.cpos])

    def play(self) -> None:
        """Change statuses evenly while Redis is away."""
        for cpo in self.cpos:
            cpo.took_s.clear()
        together([*(lambda cpo=cpo: self._load(cpo) for cpo in self.cpos), self._harass])

    def _load(self, cpo: Cpo) -> None:
        number = 0
        while not self.is_over:
            cpo.next_status(f"L{number % 20}")
            number += 1
            time.sleep(0.1)

    def _harass(self) -> None:
        try:
            for number in range(self.times):
                way_out = (self._off, self._frozen, self._emptied)[number % 3]
                way_out()
        finally:
            self.is_over = True

    def _off(self) -> None:
        self.stage.redis_off(self.seconds)

    def _frozen(self) -> None:
        self.stage.wait_for(self.stage.folder.redis_pid, 30, "Redis to be back")
        self.stage.freeze("redis", self.seconds)

    def _emptied(self) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            self.stage.kill("flushall")
            time.sleep(0.2)

    def judge(self, verdict: Verdict) -> None:
        """Uploads do not wait for Redis, NDW does not wait for long."""
        found, p99_s = way(self.stage, self.cpos), slowest(self.cpos)
        verdict.figures += (
            f", {self.times} times {self.seconds:g} s away; upload p99 {p99_s * 1000:.0f} ms; age p50 {found.age(50):.1f}"
            f" max {found.age(100):.1f} s"
        )
        verdict.check(p99_s <= self.slowest_s, f"uploads took {p99_s * 1000:.0f} ms (p99) while Redis was away")
        verdict.check(found.age(100) <= 60, f"a change took {found.age(100):.0f} s to NDW")
        verdict.check(not found.never, f"{found.never} accepted changes never came to NDW")


class HonestRefusal(Promise):
    """P7: PostgreSQL is killed; what is accepted is committed, and everything else is a 503 that says when to come back."""

    name, words = "P7", "PostgreSQL down: honest refusal"
    parties = 2

    def __init__(self, stage: Stage, seed: int = 0, *, kills: int = 4, is_alone: bool = True) -> None:
        super().__init__(stage, seed)
        self.kills, self.is_alone, self.is_over = kills, is_alone, False
        self.back_s: list[float] = []

    def seed(self) -> None:
        """A tariff, which the Locations name."""
        for cpo in self.cpos:
            cpo.begin(0)

    def play(self) -> None:
        """Upload new Locations, each of which must be there in the end."""
        together([*(lambda cpo=cpo: self._load(cpo) for cpo in self.cpos), self._harass])

    def _load(self, cpo: Cpo) -> None:
        number = 0
        while not self.is_over:
            cpo.put_location(f"N{number}")
            number += 1
            time.sleep(0.02)

    def _harass(self) -> None:
        try:
            for number in range(self.kills):
                time.sleep(1)
                self.stage.kill("backend" if number % 4 == 3 else "postmaster")
                time.sleep(0.5)
                self.stage.sql("SELECT 1")
                before = [cpo.count for cpo in self.cpos]
                self.back_s.append(self.stage.wait_for(partial(self._moved_on, before), 60, "uploads to be accepted"))
        finally:
            self.is_over = True

    def _moved_on(self, before: list[int]) -> bool:
        return all(cpo.count > count for cpo, count in zip(self.cpos, before, strict=True))

    def judge(self, verdict: Verdict) -> None:
        """What the CPOs were told, and how soon all was well."""
        answers = {said: sum(cpo.answers[said] for cpo in self.cpos) for said in ("503", "503 late", "no answer")}
        back_s = max(self.back_s, default=0)
        verdict.figures += (
            f", {len(self.back_s)} kills, {answers['503']} times 503, {answers['no answer']} without answer,"
            f" accepting again ≤ {back_s:.1f} s after PostgreSQL"
        )
        verdict.check(not answers["503 late"], f"{answers['503 late']} refusals took more than 8 s")
        if self.is_alone:
            unanswered = [words for cpo in self.cpos for words in cpo.unanswered]
            verdict.check(not unanswered, f"{len(unanswered)} requests had no answer at all: {unanswered[:3]}")
            verdict.check(back_s <= 5, f"it took {back_s:.1f} s until uploads were accepted again")
