"""`make chaos`: play every promise at its daily size (T2), print the table, exit 1 when one is broken.

python -m tests.chaos                         all of them, T2
python -m tests.chaos --promise P1 P6         some of them
python -m tests.chaos --scale 0.1             all of them at a tenth of the size
python -m tests.chaos --updates 20000 --kills 30 --promise P1
python -m tests.chaos --mutants [NAME ...]    a table of mutants, and which promise caught each
"""

import argparse
import sys
import time
from collections.abc import Callable

from tests.chaos import drills, rounds
from tests.chaos.compare import now
from tests.chaos.deploys import GracefulDeploy
from tests.chaos.minute import MinuteHolds
from tests.chaos.mutants import MUTANTS
from tests.chaos.outages import HonestRefusal, RedisIsDisposable
from tests.chaos.promises import AmbiguityHeals, NothingLost, Promise, Verdict
from tests.chaos.pulls import CrawlIsComplete
from tests.chaos.stage import Stage
from tests.chaos.zombies import NoReordering

MUTANT_PATIENCE_S = 60
CONTROL, WITHOUT = "(none)", "no-relay-no-beat"


def main(arguments: list[str] | None = None) -> int:
    """Return 1 when a promise was broken, or a mutant not caught."""
    asked = _arguments(arguments)
    began = time.monotonic()
    with Stage(say=lambda line: print(line, flush=True)) as stage:
        is_well = _mutants(stage, asked) if asked.mutants is not None else _promises(stage, asked)
        kills = ", ".join(f"{count} {name}" for name, count in stage.kills.most_common())
    print(f"{time.monotonic() - began:.0f} s in all; killed or frozen: {kills}")
    return 0 if is_well else 1


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m tests.chaos", description=__doc__, formatter_class=text)
    parser.add_argument("--updates", type=int, default=100_000, help="of P1 (%(default)s)")
    parser.add_argument("--kills", type=int, default=120, help="of P1 (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="of one Redis outage in P6 (%(default)g)")
    parser.add_argument("--scale", type=float, default=1, help="of all other sizes (%(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="what is random (%(default)s)")
    parser.add_argument("--promise", nargs="+", metavar="P", help="only these: P1 P2 ...")
    parser.add_argument("--mutants", nargs="*", metavar="NAME", help="play mutants instead: these, or all")
    return parser.parse_args(arguments)


# --- promises ----------------------------------------------------------------------------------------------------------


def _programme(stage: Stage, asked: argparse.Namespace) -> list[Promise]:
    """Return every promise at the size that was asked for."""
    seed = asked.seed

    def size(full: int, least: int) -> int:
        return max(least, int(full * asked.scale))

    programme: list[Promise] = [
        NothingLost(stage, seed, updates=asked.updates, kills=asked.kills, objects=size(2000, 40), freezes_s=20),
        NoReordering(stage, seed, zombies=size(200, 20)),
        NoReordering(stage, seed, zombies=20, frozen="worker"),
        NoReordering(stage, seed, zombies=size(100, 20), ending="kill"),
        NoReordering(stage, seed, zombies=20, ending="late"),
        AmbiguityHeals(stage, seed, each=size(10_000, 200)),
        MinuteHolds(stage, seed, seconds=size(300, 60)),
        RedisIsDisposable(stage, seed, times=size(20, 3), seconds=asked.seconds),
        RedisIsDisposable(stage, seed, times=1, seconds=size(600, 30)),
        HonestRefusal(stage, seed, kills=size(50, 4)),
        GracefulDeploy(stage, seed, rolls=size(50, 3)),
        CrawlIsComplete(stage, seed, seconds=size(60, 15)),
    ]
    return programme + drills.programme(stage, seed, size)


def _promises(stage: Stage, asked: argparse.Namespace) -> bool:
    verdicts: list[Verdict] = []
    for promise in _programme(stage, asked):
        if asked.promise and promise.name not in asked.promise:
            continue
        if verdicts:
            stage.retire_all()
            stage.restart()
        verdicts += _survived(stage, promise, rounds.PATIENCE_S)
        print(rounds.table(verdicts[-1:]), flush=True)
    print(f"\n{rounds.table(verdicts)}")
    return not any(verdict.wrong for verdict in verdicts)


def _survived(stage: Stage, promise: Promise, patience_s: float) -> list[Verdict]:
    """Play one promise; what cannot even be played to its end is broken."""
    try:
        return rounds.timed(stage, [promise], patience_s)
    except Exception as error:
        return [Verdict(promise.name, promise.words, "not played to its end", [repr(error)])]


# --- mutants -----------------------------------------------------------------------------------------------------------


def _smallest(stage: Stage) -> dict[str, Callable[[], Promise]]:
    """Return the promises at the size that shows a mutant."""
    kinds = ("worker-child", "web-child", "worker", "backend")
    return {
        "P1": lambda: NothingLost(stage, updates=1000, kills=4, freezes_s=0, kinds=kinds),
        "P2": lambda: NoReordering(stage, zombies=20),
        "P2 late": lambda: NoReordering(stage, zombies=20, ending="late"),
        "P2 kill": lambda: NoReordering(stage, zombies=20, ending="kill"),
        "P3": lambda: AmbiguityHeals(stage, each=60),
        "P3 lies": lambda: AmbiguityHeals(stage, each=60, actions=("html", "empty")),
        "P6": lambda: RedisIsDisposable(stage, times=2, seconds=12),
        "P6 long": lambda: RedisIsDisposable(stage, times=1, seconds=75),
        "P7": lambda: HonestRefusal(stage, kills=3),
    } | drills.smallest(stage)


def _mutants(stage: Stage, asked: argparse.Namespace) -> bool:
    """Play each mutant against the promise that must catch it; first those promises with no mutant, which must hold."""
    smallest = _smallest(stage)
    plays = [(name, one.words, one.caught_by) for name, one in MUTANTS.items()]
    plays.append((WITHOUT, "beat and relay do not run", "P6 long"))
    chosen = [play for play in plays if not asked.mutants or play[0] in asked.mutants]
    controls = [(CONTROL, "", promise) for promise in dict.fromkeys(promise for *_, promise in chosen)]
    lines, is_well = [], True
    for name, words, promise in controls + chosen:
        wrong = _show(stage, name, smallest[promise]())
        is_well &= bool(wrong) == (name != CONTROL)
        said = (wrong[0] if wrong else "kept") if name == CONTROL else (wrong[0] if wrong else "NOT CAUGHT")
        lines.append(f"{name:<22} {words:<42} {promise:<8} {said[:110]}")
        print(f"{now()} {lines[-1]}", flush=True)
    print("\n".join(["", f"{'mutant':<22} {'what it does':<42} {'by':<8} how it showed", *lines]))
    return is_well


def _show(stage: Stage, name: str, promise: Promise) -> list[str]:
    """Return what was wrong when a promise was played with a mutant."""
    stage.restart(mutant=name if name in MUTANTS else "", without=("beat", "relay") if name == WITHOUT else ())
    (verdict,) = _survived(stage, promise, MUTANT_PATIENCE_S)
    stage.retire_all()
    return verdict.wrong


if __name__ == "__main__":
    sys.exit(main())
