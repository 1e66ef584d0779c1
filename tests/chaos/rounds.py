"""Play promises in groups on one stage: seed, let all play under their faults, wait for quiet, judge."""

import time

from tests.chaos.compare import Outcome, now, settle
from tests.chaos.promises import Promise, Verdict, together
from tests.chaos.stage import Stage

PATIENCE_S = 180


def play(stage: Stage, promises: list[Promise]) -> None:
    """Seed and play these at the same time; NDW has no faults any more afterwards."""
    cast = stage.cast(sum(promise.parties for promise in promises))
    cpos = iter(cast)
    for promise in promises:
        promise.cpos = [next(cpos) for _ in range(promise.parties)]
    stage.calm()
    together([promise.seed for promise in promises])
    settle(stage, cast, 60)
    stage.ndw("/_faults", [fault for promise in promises for fault in promise.ndw_faults()])
    stage.say(f"{now()} playing {', '.join(promise.name for promise in promises)}")
    try:
        for promise in promises:
            promise.open()
        together([promise.play for promise in promises])
    finally:
        stage.ndw("/_faults", [])


def judge(stage: Stage, promises: list[Promise], timeout_s: float = PATIENCE_S) -> list[Verdict]:
    """Wait for quiet, compare and judge."""
    stage.wait_ready()
    outcome = settle(stage, [cpo for promise in promises for cpo in promise.cpos], timeout_s)
    stage.say(f"{now()} quiet after {outcome.settled_s:.1f} s, {outcome.replayed} sent again by the operator")
    return [promise.verdict(Outcome(differences=outcome.differences)) for promise in promises]


def table(verdicts: list[Verdict]) -> str:
    """Return the table of promises."""
    lines = []
    for verdict in verdicts:
        lines.append(f"{'kept' if not verdict.wrong else 'BROKEN':<7} {verdict.name:<4} {verdict.promise}")
        lines.append(f"{'':<12} {verdict.figures}")
        lines += [f"{'':<12} ! {wrong}" for wrong in verdict.wrong[:8]]
        if len(verdict.wrong) > 8:
            lines.append(f"{'':<12} ! and {len(verdict.wrong) - 8} more")
    return "\n".join(lines)


def timed(stage: Stage, promises: list[Promise], timeout_s: float = PATIENCE_S) -> list[Verdict]:
    """Play one group and judge it at once."""
    began = time.monotonic()
    play(stage, promises)
    verdicts = judge(stage, promises, timeout_s)
    stage.say(f"{now()} {', '.join(promise.name for promise in promises)} took {time.monotonic() - began:.0f} s")
    return verdicts
