"""A whole gateway in a data folder of its own: its servers, its processes and NDW, each of which may be killed or frozen.

Knows nothing of Django: it looks at the gateway from outside, over HTTP and with SQL.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import redis

from gateway import embedded
from gateway.servers import Folder
from gateway.supervisor import SHORTEST_PAUSE_S, Child, Supervisor, is_ready, processes
from tests import ndw_simulator
from tests.chaos.cpo import Cpo

OURS = ("web", "worker", "beat", "relay")
MUTATING = Path(__file__).parent / "mutating"


class Stage:
    """Everything runs inside `with Stage() as stage`; what dies is started again, as `make run` does."""

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self.say, self.kills = say, Counter[str]()
        self.port = _two_free_ports()
        self.ndw_url = f"http://127.0.0.1:{self.port + 1}"
        self._stack, self._stop, self._cast = ExitStack(), threading.Event(), 0
        self._lock = threading.RLock()  # held while the supervisor looks, and while somebody changes what it sees

    def __enter__(self) -> "Stage":
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        self.data = Path(self._stack.enter_context(TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)))
        self.folder = Folder(self.data)
        self._stack.enter_context(embedded.running(self.data, create=True))
        self.dsn, redis_url = embedded.urls(self.data)
        self.redis = redis.Redis.from_url(redis_url, socket_timeout=5)
        self.environment = {
            **os.environ,
            "DATABASE_URL": self.dsn,
            "REDIS_URL": redis_url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "NDW_RATE_CAP": "500",
        }
        self.prepare([])
        children = processes(self.port, self.folder.logs, self.environment)
        self.supervisor = Supervisor(children, self.data, say=lambda line: None)
        self.supervisor["simulator"].command.append("--quiet")
        self._watcher = threading.Thread(target=self._watch, name="watcher")
        self._watcher.start()
        self.wait_ready()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if hasattr(self, "_watcher"):
            self._watcher.join()
        self._stack.close()

    def _watch(self) -> None:
        """Start the children and look after them; they live no longer than this thread."""
        self.supervisor.start()
        while not self._stop.wait(0.1):
            with self._lock:
                self.supervisor.check()
        for child in self.supervisor.children:
            if child.process is not None:
                child.bury()

    def wait_ready(self, timeout_s: float = 90) -> None:
        """Wait until uploads are accepted and NDW answers. Raises TimeoutError."""
        self.wait_for(lambda: is_ready(self.port) and self._ndw_answers(), timeout_s, "the gateway to be ready")

    def _ndw_answers(self) -> bool:
        with suppress(OSError):
            return bool(self.ndw("/_state"))
        return False

    def wait_for(self, holds: Callable[[], object], timeout_s: float, what: str) -> float:
        """Wait until it holds, return how long it took. Raises TimeoutError."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > timeout_s:
                raise TimeoutError(f"waited {timeout_s:g} s for {what}")
            time.sleep(0.1)
        return time.monotonic() - began

    # the cast

    def prepare(self, parties: list[str]) -> dict[str, Any]:
        """Migrate, and make tenants with tokens and a Connection to NDW; return their tokens by party."""
        asked = {
            "parties": parties,
            "push_url": self.ndw_url + ndw_simulator.PUSH_PATH,
            "token_url": self.ndw_url + ndw_simulator.TOKEN_PATH,
        }
        command = [sys.executable, "-m", "tests.chaos.prepare", json.dumps(asked)]
        done = subprocess.run(
            command, env=self.environment, cwd=embedded.ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    def cast(self, count: int) -> list[Cpo]:
        """Return new CPOs, each with a party of its own."""
        parties = [f"C{number:02d}" for number in range(self._cast, self._cast + count)]
        self._cast += count
        return [Cpo(party, tokens, self.port) for party, tokens in self.prepare(parties).items()]

    def retire_all(self) -> None:
        """Take everybody off the stage: their Connections send no more."""
        self.sql("UPDATE tenants_connection SET is_retired = true")

    # looking

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement of our own; wait for a PostgreSQL that is on its way back."""
        until = time.monotonic() + 60
        while True:
            try:
                with psycopg.connect(self.dsn, autocommit=True, connect_timeout=5) as connection:
                    cursor = connection.execute(query, parameters)
                    return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def ndw(self, path: str, body: object = None) -> Any:
        """Ask NDW at a control URL, POST with a body."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.ndw_url + path, data, timeout=60) as answer:
            return json.load(answer)

    # steering

    def children_of(self, name: str) -> list[int]:
        """Return the process ids of a process's own children."""
        process = self.supervisor[name].process
        with suppress(OSError):
            if process is not None:
                text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
                return [int(pid) for pid in text.split()]
        return []

    def kill(self, name: str) -> bool:
        """SIGKILL a process with its group, its `-main`, one `-child`, `redis`, `postmaster`, a `backend`; or `flushall`."""
        with self._lock:
            hit = self._kill(name)
        self.kills[name] += hit
        return hit

    def _kill(self, name: str) -> bool:
        if name == "flushall":
            with suppress(redis.RedisError):
                return bool(self.redis.flushall())
            return False
        base, _, part = name.partition("-")
        if part != "child" and base in OURS:
            process = self.supervisor[base].process
            return process is not None and _signal(process.pid, signal.SIGKILL, is_group=not part)
        return any(_signal(pid, signal.SIGKILL) for pid in self._pids(name)[:1])

    def _pids(self, name: str) -> list[int]:
        if name == "backend":
            with suppress(psycopg.Error):
                found = self.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'gateway' ORDER BY pid")
                return [pid for (pid,) in found]
        if name in ("redis", "postmaster"):
            pid = self.folder.redis_pid() if name == "redis" else self.folder.postgres_pid()
            return [pid] if pid else []
        return self.children_of(name.partition("-")[0])

    def signal_group(self, name: str, number: int) -> None:
        """Send a signal to a process and all its children."""
        process = self.supervisor[name].process
        if process is not None:
            _signal(process.pid, number, is_group=True)

    def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP a process with its group (a server: itself) for so long."""
        pids = self._pids(name)[:1] if name not in OURS else []
        process = self.supervisor[name].process if name in OURS else None
        targets = [(pid, False) for pid in pids] + ([(process.pid, True)] if process else [])
        for number, pause_s in ((signal.SIGSTOP, seconds), (signal.SIGCONT, 0.0)):
            for pid, is_group in targets:
                _signal(pid, number, is_group=is_group)
            time.sleep(pause_s)
        self.kills[f"{name} frozen"] += 1

    def redis_off(self, seconds: float) -> None:
        """Kill Redis and leave it dead for so long."""
        with self._lock:
            self.supervisor.data = None  # nobody looks after the servers meanwhile
        self.kill("redis")
        time.sleep(seconds)
        with self._lock:
            self.supervisor.data = self.data

    def add(self, name: str, like: str, command: list[str] | None = None) -> None:
        """Run another process of a kind, or with the environment of that kind."""
        other = self.supervisor[like]
        command = [part.replace("push@%h", f"{name}@%h") for part in command or other.command]
        log = self.folder.logs / f"{name}.log"
        with self._lock:
            self.supervisor.children.append(Child(name, command, log=log, environment=other.environment))

    def remove(self, name: str) -> None:
        """End a process for good."""
        with self._lock:
            child = self.supervisor[name]
            self.supervisor.children.remove(child)
            if child.process is not None:
                child.bury()

    def replace(self, name: str, new: str, timeout_s: float) -> float:
        """Let a process that runs already take another's name, ask that one to end; return how long it took to."""
        with self._lock:
            old = self.supervisor[name]
            self.supervisor.children.remove(old)
            self.supervisor[new].name = name
        began = time.monotonic()
        old.stop(timeout_s)
        return time.monotonic() - began

    def restart(self, mutant: str = "", without: tuple[str, ...] = ()) -> None:
        """Start our processes anew, changed by a mutant or without some of them."""
        with self._lock:
            self._restart(mutant, without)
        self.wait_ready()

    def _restart(self, mutant: str, without: tuple[str, ...]) -> None:
        for child in self.supervisor.children:
            if child.name != "simulator" and child.process is not None:
                child.bury()
        fresh = processes(self.port, self.folder.logs, self.environment)
        for child in fresh:
            if mutant:
                child.environment |= {"CHAOS_MUTANT": mutant, "PYTHONPATH": f"{MUTATING}:{embedded.ROOT}"}
        simulator = self.supervisor["simulator"]
        ours = [child for child in fresh if child.name not in ("simulator", *without)]
        self.supervisor.children[:] = [simulator, *ours]
        self.redis.flushall()

    def calm(self) -> None:
        """Forget how often things died: the next death is a first one again."""
        for child in self.supervisor.children:
            child.pause_s = SHORTEST_PAUSE_S


def _signal(pid: int, number: int, *, is_group: bool = False) -> bool:
    with suppress(ProcessLookupError):
        (os.killpg if is_group else os.kill)(pid, number)
        return True
    return False


def _two_free_ports() -> int:
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port
