"""The files of `ocpi.meters` in METRICS_DIR: those of processes that are gone are folded into one of each kind.

A process holds a lock on `<name>.lock` for as long as it lives, and takes it before it has another file: whatever can be locked
belongs to nobody any more. Ids of processes would not do, as those of containers are alike. Who folds or adds up is `alone`.
`folded.json` makes a fold happen: what comes before it is done again, what comes after it is ended by whoever is next.
Nothing is counted twice, then, wherever a process dies.
"""

import fcntl
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prometheus_client.mmap_dict import MmapedDict

KINDS = ("counter", "histogram")  # of files; there are no gauges
FOLDED, LIST, GATE = "folded", "folded.json", "gate"


def hold(folder: Path, name: str) -> IO[str]:
    """Say that the process of this name lives, until the file that is returned is closed everywhere."""
    file = open(folder / f"{name}.locking", "w")  # noqa: SIM115 - it is to outlive us
    fcntl.flock(file, fcntl.LOCK_EX)
    os.replace(file.name, folder / f"{name}.lock")  # which nobody has seen unlocked
    return file


@contextmanager
def alone(folder: Path, wait_s: float = 0) -> Iterator[bool]:
    """Keep everybody else off; yield False when somebody who was there did not leave in time."""
    until = time.monotonic() + wait_s
    with open(folder / f"{GATE}.lock", "w") as file:
        while not (is_ours := _can_lock(file)) and time.monotonic() < until:
            time.sleep(0.01)
        try:
            yield is_ours
        finally:
            if is_ours:
                fcntl.flock(file, fcntl.LOCK_UN)  # closing alone would not do where another thread forks


def fold(folder: Path) -> None:
    """Fold the files of processes that are gone; call it when `alone`."""
    _end(folder)
    gone = sorted(path.stem for path in folder.glob("*.lock") if path.stem != GATE and _is_gone(path))
    if not gone:
        return
    for kind in KINDS:
        _add_up((folder / f"{kind}_{name}.db" for name in [FOLDED, *gone]), folder / f"{kind}.new")
    (folder / "list.new").write_text(json.dumps(gone))
    os.replace(folder / "list.new", folder / LIST)
    _end(folder)


def _end(folder: Path) -> None:
    """Do what the list says, where there is one; what has been done of it is not done again."""
    if not (folder / LIST).exists():
        return
    for kind in KINDS:
        if (folder / f"{kind}.new").exists():
            os.replace(folder / f"{kind}.new", folder / f"{kind}_{FOLDED}.db")
    for name in json.loads((folder / LIST).read_text()):
        for file in (*(f"{kind}_{name}.db" for kind in KINDS), f"{name}.lock"):
            (folder / file).unlink(missing_ok=True)
    (folder / LIST).unlink()


def _add_up(paths: Iterable[Path], into: Path) -> None:
    sums: dict[str, float] = defaultdict(float)
    for path in paths:
        if path.exists() and path.stat().st_size:
            for key, value, *_ in MmapedDict.read_all_values_from_file(path):
                sums[key] += value
    into.unlink(missing_ok=True)
    file = MmapedDict(str(into))
    for key, value in sums.items():
        file.write_value(key, value, 0.0)
    file.close()


def _is_gone(path: Path) -> bool:
    with open(path) as file:
        return _can_lock(file)


def _can_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
