"""The short round of faults: real processes are killed and frozen, NDW fails, and nothing accepted is lost.

The sizes are those of design §7, "Test budget"; `make chaos` runs the full ones.
"""

import importlib.util
import sys
from collections.abc import Iterator

import pytest

from tests.chaos import mutants, promises, rounds
from tests.chaos.outages import HonestRefusal, RedisIsDisposable
from tests.chaos.stage import Stage
from tests.chaos.zombies import NoReordering

PATIENCE_S = 150  # for quiet, on a machine that is busy with other things


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as running:
        yield running


def test_chaos_short_round_keeps_its_promises(stage):
    killed = [kind for kind in promises.KILLS if kind not in ("postmaster", "backend")]  # P7 does that meanwhile
    first = [
        promises.NothingLost(stage, updates=1000, kills=8, freezes_s=0, kinds=tuple(killed)),
        HonestRefusal(stage, kills=4, is_alone=False),
    ]
    second = [
        NoReordering(stage, zombies=20),
        promises.AmbiguityHeals(stage, each=200),
        RedisIsDisposable(stage, times=3, seconds=10, slowest_s=1.5),
    ]

    rounds.play(stage, first)
    rounds.play(stage, second)
    verdicts = rounds.judge(stage, first + second, PATIENCE_S)

    print(rounds.table(verdicts))
    assert {verdict.name: verdict.wrong for verdict in verdicts} == {
        name: [] for name in ("P1", "P7", "P2", "P3", "P6")
    }


@pytest.mark.parametrize("name", sorted(mutants.MUTANTS))
def test_chaos_mutant_still_applies(name):
    mutant = mutants.MUTANTS[name]
    spec = importlib.util.find_spec(mutant.module)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)

    mutant.change(copy)

    assert copy is not sys.modules[mutant.module]


def test_chaos_enough_mutants():
    assert len(mutants.MUTANTS) >= 10
