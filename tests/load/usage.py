"""What processes use: CPU seconds and memory by name, read from /proc while they run."""

import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
EVERY_S = 5.0


class Usage:
    """Looks at groups of processes: `roots()` names the first process of each; those below it belong to it.

    What a process used that ended between two looks is lost, and counted with its parent's where the parent waited for it.
    """

    def __init__(self, roots: Callable[[], dict[str, int]]) -> None:
        self.roots = roots
        self.most_mb: dict[str, float] = {}
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Usage":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def cpu_s(self) -> Counter[str]:
        """Return the CPU seconds used so far, by name."""
        return Counter({name: sum(map(cpu_s, family(root))) for name, root in self.roots().items()})

    def memory_mb(self) -> dict[str, float]:
        """Return what each uses now: what it shares with others is divided among them (PSS)."""
        return {name: sum(map(_pss_mb, family(root))) for name, root in self.roots().items()}

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            for name, mb in self.memory_mb().items():
                self.most_mb[name] = max(mb, self.most_mb.get(name, 0.0))


def family(root: int) -> list[int]:
    """Return a process and all below it."""
    found = [root]
    for pid in found:  # grows as it goes
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def cpu_s(pid: int) -> float:
    """Return user and system time in seconds, with those of children it has waited for."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICK
    return 0.0


def _pss_mb(pid: int) -> float:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1000
    return 0.0
