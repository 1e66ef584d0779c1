"""Smaller promises: P5, P9 to P12 and P24. Source: reliability §2."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.chaos.compare import log_of, percentile, way
from tests.chaos.cpo import Cpo
from tests.chaos.promises import Promise, Verdict, together
from tests.chaos.stage import Stage

RATE_CAP = 500


class FreshAfterAnOutage(Promise):
    """P5 and P11: NDW is away while everything changes; then each object is sent once, soon, and no faster than allowed."""

    name, words = "P5", "after an outage fresh within 90 s, one request each; P11: within the rate cap"
    parties = 4

    def __init__(self, stage: Stage, seed: int = 0, *, objects: int = 20_000) -> None:
        super().__init__(stage, seed)
        self.objects, self.since, self.back_at = objects, 0, 0.0

    def seed(self) -> None:
        """Their tariffs are there."""
        for cpo in self.cpos:
            cpo.begin(0)

    def open(self) -> None:
        """NDW is down, for as long as it takes."""
        self.since = self.stage.ndw("/_state")["received"]
        self.stage.ndw("/_faults", [{"action": "status", "status": 503}])

    def play(self) -> None:
        """Upload all, each twice; then NDW is back."""
        share = self.objects // self.parties
        together([lambda cpo=cpo: self._upload(cpo, share) for cpo in self.cpos])
        self.stage.ndw("/_faults", [])
        self.back_at = time.time()

    def _upload(self, cpo: Cpo, count: int) -> None:
        for number in range(count):
            cpo.put_location(f"L{number}")
            if number % 10 == 0:
                cpo.next_status(f"L{number}")

    def judge(self, verdict: Verdict) -> None:
        """Count what came after NDW was back."""
        log = log_of(self.stage, self.cpos, self.since)
        after = [record["at"] - self.back_at for record in log if record["at"] > self.back_at and not record["fault"]]
        probes = sum(1 for record in log if record["fault"])
        fastest = max(Counter(int(at) for at in after).values(), default=0)
        first_s, last_s = min(after, default=0), max(after, default=0)
        verdict.figures += (
            f", first after {first_s:.1f} s, all after {last_s:.0f} s, {len(after)} requests, {probes} during the outage,"
            f" at most {fastest} in a second"
        )
        verdict.check(first_s <= 10, f"the first came {first_s:.1f} s after NDW was back")
        verdict.check(last_s <= 90, f"the last came {last_s:.0f} s after NDW was back")
        verdict.check(len(after) <= self.objects * 1.05 + 40, f"{len(after)} requests for {self.objects} objects")
        cap = RATE_CAP * self.parties * 1.05
        verdict.check(fastest <= cap, f"{fastest} requests in one second, {cap:.0f} are allowed")


class PoisonAlone(Promise):
    """P9: some objects are always refused; they are put aside after few tries, and nobody else waits for them."""

    name, words = "P9", "poison is put aside, alone; redirects are never followed"
    parties = 2
    faults = [
        {"action": "ocpi", "status_code": 2001, "match": {"path": "/P[0-9]+(/|$)"}},
    ]

    def __init__(self, stage: Stage, seed: int = 0, *, objects: int = 300) -> None:
        super().__init__(stage, seed)
        self.objects = objects

    def seed(self) -> None:
        """Good Locations."""
        together([lambda cpo=cpo: cpo.begin(20) for cpo in self.cpos])

    def play(self) -> None:
        """Upload poison among the good; then send one object elsewhere."""
        good, odd = self.cpos
        for number in range(self.objects):
            good.put_location(f"P{number}" if number % 100 == 50 else f"L{number}")
        elsewhere = self.stage.ndw_url + "/elsewhere"
        time.sleep(5)
        self.stage.ndw("/_faults", [{"action": "redirect", "location": elsewhere, "status": 307, "times": 1}])
        odd.next_status("L0")
        time.sleep(8)

    def verdict(self, timeout: Any) -> Verdict:
        """The refused ones and the paused Connection are what is promised here, not differences."""
        verdict = Verdict(self.name, self.words)
        self.judge(verdict)
        return verdict

    def judge(self, verdict: Verdict) -> None:
        """Look at the poison, the others, and the redirect."""
        good, odd = self.cpos
        log = log_of(self.stage, [good])
        tries = Counter(record["path"] for record in log if record["path"].rsplit("/", 1)[-1].startswith("P"))
        most = max(tries.values(), default=0)
        held = self.stage.ndw("/_state?full=1")["documents"]["locations"]
        lacking = [i for kind, i in good.holds if i[0] == "L" and f"NL/{good.party}/{i.lower()}" not in held]
        away = [one for one in self.stage.ndw("/_log") if one["path"].startswith("/elsewhere")]
        paused = self.stage.sql(
            "SELECT c.is_paused FROM tenants_connection c JOIN tenants_tenant t ON t.id = c.tenant_id"
            " WHERE t.party_id = %s", odd.party
        )  # fmt: skip
        verdict.figures = (
            f"{good.count} accepted, {len(tries)} poisoned, at most {most} tries each, {len(lacking)} others lack"
        )
        verdict.check(most <= 1, f"a refused object was sent {most} times")
        verdict.check(tries, "no poison was sent")
        verdict.check(not lacking, f"{len(lacking)} good objects are not at NDW")
        verdict.check(not away, f"{len(away)} requests followed a redirect")
        verdict.check(paused == [(True,)], "the Connection that was redirected is not paused")


class NoisyNeighbour(Promise):
    """P10: one tenant floods, another changes one thing a second."""

    name, words = "P10", "a noisy tenant delays nobody else"
    parties = 2

    def __init__(self, stage: Stage, seed: int = 0, *, changes: int = 50_000) -> None:
        super().__init__(stage, seed)
        self.changes, self.is_over = changes, False

    def seed(self) -> None:
        """Locations to change."""
        together([lambda cpo=cpo: cpo.begin(100) for cpo in self.cpos])

    def play(self) -> None:
        """Flood and trickle."""
        together([self._flood, self._trickle])

    def _flood(self) -> None:
        for number in range(self.changes):
            self.cpos[0].next_status(f"L{number % 100}", number // 100 % 2)
        self.is_over = True

    def _trickle(self) -> None:
        number = 0
        while not self.is_over:
            self.cpos[1].next_status(f"L{number % 100}")
            number += 1
            time.sleep(1)

    def judge(self, verdict: Verdict) -> None:
        """The quiet one is served in time."""
        ages = way(self.stage, self.cpos[1:]).ages[-max(1, self.cpos[1].count - 101) :]
        verdict.figures += f", the quiet one: p50 {percentile(ages, 50):.1f} s, p99 {percentile(ages, 99):.1f} s"
        verdict.check(percentile(ages, 99) <= 5, f"the quiet tenant waited {percentile(ages, 99):.1f} s (p99)")


class TokenDiscipline(Promise):
    """P12: one token for all; a revoked one is replaced at once; while IAM is down nobody hammers it."""

    name, words = "P12", "token discipline"
    parties = 2

    def __init__(self, stage: Stage, seed: int = 0, *, revokes: int = 20) -> None:
        super().__init__(stage, seed)
        self.revokes, self.calls, self.while_down = revokes, 0, 0

    def seed(self) -> None:
        """Locations to change."""
        together([lambda cpo=cpo: cpo.begin(20) for cpo in self.cpos])

    def play(self) -> None:
        """Revoke under load, then take the token endpoint away for a while."""
        before = len(self.stage.ndw("/_state")["token_calls"])
        for number in range(self.revokes):
            self.stage.ndw("/_revoke", {})
            self._change(number, 1)
        self.calls = len(self.stage.ndw("/_state")["token_calls"]) - before
        self.stage.ndw("/_faults", [{"action": "status", "status": 503, "match": {"kind": "token"}}])
        self.stage.ndw("/_revoke", {})
        self._change(0, 20)
        self.while_down = len(self.stage.ndw("/_state")["token_calls"]) - before - self.calls

    def _change(self, start: int, seconds: float) -> None:
        until, number = time.monotonic() + seconds, start
        while time.monotonic() < until:
            for cpo in self.cpos:
                cpo.next_status(f"L{number % 20}", number % 2)
            number += 1
            time.sleep(0.05)

    def judge(self, verdict: Verdict) -> None:
        """Few calls, no Connection paused (the comparison says so)."""
        verdict.figures += (
            f", {self.calls} tokens for {self.revokes} revocations, {self.while_down} calls in 20 s without IAM"
        )
        verdict.check(self.calls <= self.revokes * 1.5 + 3, f"{self.calls} tokens for {self.revokes} revocations")
        verdict.check(self.while_down <= 6, f"{self.while_down} calls in 20 s while the token endpoint was down")


class BeatIsOptional(Promise):
    """P24: none, one, two, three of them."""

    name, words = "P24", "beat is optional"
    parties = 1

    def __init__(self, stage: Stage, seed: int = 0, *, changes: int = 200) -> None:
        super().__init__(stage, seed)
        self.changes, self.counts = changes, list[int]()

    def seed(self) -> None:
        """Locations to change."""
        self.cpos[0].begin(20)

    def play(self) -> None:
        """Change things with each number of beats; a doorbell that rings in vain is part of it."""
        command = self.stage.supervisor["beat"].command
        self.stage.remove("beat")
        for beats in range(4):
            if beats:
                self.stage.add("beat" if beats == 1 else f"beat{beats}", "relay", command)
            for number in range(self.changes):
                self.cpos[0].next_status(f"L{number % 20}", number // 20 % 2)
                time.sleep(0.02)
            self.stage.kill("flushall")
            self.counts.append(beats)
        for beats in (2, 3):
            self.stage.remove(f"beat{beats}")

    def judge(self, verdict: Verdict) -> None:
        """As fresh as ever, at no more requests."""
        found, log = way(self.stage, self.cpos), log_of(self.stage, self.cpos)
        requests = len(log) / max(1, self.cpos[0].count)
        verdict.figures += f", {self.counts} beats; age max {found.age(100):.1f} s, {requests:.2f} requests per change"
        verdict.check(found.age(100) <= 60, f"a change took {found.age(100):.0f} s")
        verdict.check(requests <= 1.05, f"{requests:.2f} requests per change")


def programme(stage: Stage, seed: int, size: Callable[[int, int], int]) -> list[Promise]:
    """Return them at the size that was asked for."""
    return [
        FreshAfterAnOutage(stage, seed, objects=size(20_000, 400)),
        PoisonAlone(stage, seed, objects=size(3000, 300)),
        NoisyNeighbour(stage, seed, changes=size(50_000, 1000)),
        TokenDiscipline(stage, seed, revokes=size(60, 5)),
        BeatIsOptional(stage, seed, changes=size(5000, 100)),
    ]


def smallest(stage: Stage) -> dict[str, Callable[[], Promise]]:
    """Return those that a mutant needs."""
    return {"P9": lambda: PoisonAlone(stage, objects=60), "P12": lambda: TokenDiscipline(stage, revokes=2)}
