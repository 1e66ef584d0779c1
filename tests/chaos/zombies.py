"""P2: processes are frozen with requests under way, which arrive when others have sent newer. Source: reliability §2."""

import signal
import time
from contextlib import suppress
from typing import Any

from tests.chaos.compare import log_of, way
from tests.chaos.promises import Promise, Verdict
from tests.chaos.stage import Stage

LEASE_S, DOUBT_S, HEALED_IN_S = 30, 50, 60
ENDINGS = {"thaw": "", "late": ", woken long after", "kill": ", killed as they are"}
FROZEN_WITHIN_S = 8  # a request ends by itself after 9


class NoReordering(Promise):
    """P2: `frozen` is who becomes the zombie, relays (as many as it takes) or the worker.

    Their requests arrive when others have sent newer, and then they wake (`ending`: much later, or never).
    """

    name, words = "P2", "no reordering per object"

    def __init__(
        self, stage: Stage, seed: int = 0, *, zombies: int = 20, frozen: str = "relay", ending: str = "thaw"
    ) -> None:
        super().__init__(stage, seed)
        self.ending = ending
        self.zombies, self.stuck, self.steps_back, self.since = zombies, set[str](), 0, 0
        self.objects = max(40, zombies * 2)
        is_relay = frozen == "relay"
        self.frozen = [f"zombie{number}" for number in range(max(2, zombies // 10))] if is_relay else ["worker"]
        self.bystanders = ["worker", "relay"] if is_relay else []
        self.words = f"{self.words} ({'relays' if is_relay else 'a Celery worker'} frozen{ENDINGS[ending]})"

    @property
    def faults(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The first requests hang until they are let go."""
        return [{"action": "hang", "times": self.zombies}]

    def seed(self) -> None:
        """More Locations than requests can hang."""
        self.cpos[0].begin(self.objects)
        for name in self.frozen:
            if name.startswith("zombie"):
                self.stage.add(name, "relay")

    def open(self) -> None:
        """Freeze them when their requests are under way; nobody else sends until then."""
        stage, cpo = self.stage, self.cpos[0]
        self.since = stage.ndw("/_state")["received"]
        self._signal(self.bystanders, signal.SIGSTOP)
        for number in range(self.objects):
            cpo.set_status(f"L{number}", "CHARGING")
        if self.bystanders:
            self._make_late()
        began = time.monotonic()
        while len(self._hanging()) < self.zombies and time.monotonic() - began < FROZEN_WITHIN_S:
            time.sleep(0.1)
        self._signal(self.frozen, signal.SIGSTOP)
        self.stuck = self._hanging()
        self._signal(self.bystanders, signal.SIGCONT)
        if not self.bystanders:
            stage.add("worker2", "worker")

    def _make_late(self) -> None:
        """A relay sends what has been due for ten seconds."""
        self.stage.sql(
            "UPDATE ocpi_push p SET due_at = due_at - interval '11 s' FROM tenants_tenant t"
            " WHERE t.id = p.tenant_id AND t.party_id = %s AND p.state = 'dirty'",
            self.cpos[0].party,
        )

    def play(self) -> None:
        """Let others overtake, let the requests arrive, wake the frozen."""
        stage, cpo = self.stage, self.cpos[0]
        for ocpi_id in sorted(self.stuck):
            cpo.set_status(ocpi_id, "BLOCKED")
        stage.wait_for(self._is_overtaken, LEASE_S + 60, "others to take over from a frozen process")
        if self.ending == "late":
            time.sleep(DOUBT_S + 5)  # nothing is sent again by then, but for what the frozen will know
        if self.ending == "kill":
            self._signal(self.frozen, signal.SIGKILL)
        stage.ndw("/_release", {})
        time.sleep(0.5)
        self.steps_back = len({tuple(step["path"].split("/")[:4]) for step in self._stale()})
        self._signal(self.frozen, signal.SIGCONT)
        with suppress(TimeoutError):  # the comparison will say so
            stage.wait_for(self._is_overtaken, HEALED_IN_S, "steps back to be healed")
        for name in ["worker2"] if not self.bystanders else self.frozen:
            stage.remove(name)

    def _signal(self, names: list[str], number: int) -> None:
        for name in names:
            self.stage.signal_group(name, number)

    def _hanging(self) -> set[str]:
        log = log_of(self.stage, self.cpos, self.since)
        return {one["path"].split("/")[4] for one in log if one["fault"] == "hang" and one["status"] is None}

    def _is_overtaken(self) -> bool:
        held = self.stage.ndw("/_state?full=1")["documents"]["locations"]
        mine = [held[f"NL/{self.cpos[0].party}/{ocpi_id.lower()}"] for ocpi_id in self.stuck]
        return all(document["evses"][0]["status"] == "BLOCKED" for document in mine)

    def _stale(self) -> list[dict[str, Any]]:
        return [step for step in self.stage.ndw("/_state")["stale"] if f"/{self.cpos[0].party}/" in step["path"]]

    def judge(self, verdict: Verdict) -> None:
        """Every step back was healed."""
        found, arrived = way(self.stage, self.cpos), len(self.stuck)
        healed_s = max(found.healed_s, default=0.0)
        verdict.figures += f", {arrived} zombies, {self.steps_back} arrived late, healed in ≤ {healed_s:.1f} s"
        verdict.check(arrived >= self.zombies * 0.75, f"only {arrived} of {self.zombies} were in flight")
        verdict.check(healed_s <= 60, f"a step back stood for {healed_s:.0f} s")
