"""Keep the gateway's processes running: start, restart on death, stop in reverse order.

`make run`, the demo and the fault tests use it. Knows nothing of Django.  Source: design §2 `make run`, reliability §4.
"""

import contextlib
import ctypes
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gateway import embedded, servers

GRACE_S = 20  # a worker ends its task in 15
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
CALM_S = 30  # after so long alive, the next death is a first one again
PR_SET_PDEATHSIG = 1
# glibc would give big blocks back to the kernel after each page that is served, and ask for them again.
WEB_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "67108864", "MALLOC_TRIM_THRESHOLD_": "268435456"}


class Child:
    """One process in a group of its own, with its log; on Linux it gets SIGTERM when we die, however we die.

    (The kernel means the thread that started it: start children in one that lives as long as they shall.)
    """

    def __init__(self, name: str, command: Iterable[str], *, log: Path, environment: Mapping[str, str]) -> None:
        self.name, self.command, self.log = name, list(command), log
        self.environment = {**environment, "PYTHONUNBUFFERED": "1"}
        self.process: subprocess.Popen[bytes] | None = None
        self.pause_s, self.started_at, self.due_at = SHORTEST_PAUSE_S, 0.0, 0.0

    @property
    def pid(self) -> int:
        """Return its process id, which is its group's too. Raises RuntimeError when it was not started."""
        return self._started().pid

    def start(self) -> None:
        """Start it; what it prints is added to its log."""
        with open(servers.trim_log(self.log), "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=embedded.ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent() if sys.platform == "linux" else None,
            )
        self.started_at = time.monotonic()

    def is_alive(self) -> bool:
        """Return True while it runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self, grace_s: float = GRACE_S, hurry: threading.Event | None = None) -> None:
        """Ask it to end, kill its whole group when it has not by then, or as soon as `hurry` is set.

        Only the leader is asked: celery's and granian's own children would drop their work at a SIGTERM.
        """
        if self.process is None:
            return
        self.process.terminate()
        until = time.monotonic() + grace_s
        while self.is_alive() and time.monotonic() < until and not (hurry and hurry.is_set()):
            time.sleep(0.05)
        self.bury()

    def bury(self) -> int:
        """Kill what is left of its group, which could hold the port or a task; return the exit code."""
        process, self.process = self._started(), None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self.process

    def last_lines(self, count: int = 5) -> list[str]:
        """Return the end of its log."""
        with contextlib.suppress(FileNotFoundError), open(self.log, "rb") as log:
            log.seek(max(0, self.log.stat().st_size - 10_000))
            return log.read().decode(errors="replace").splitlines()[-count:]
        return []

    def take_pause(self) -> float:
        """Return the seconds to wait before starting it again: doubled with each early death."""
        now = time.monotonic()
        if now - self.started_at > CALM_S:
            self.pause_s = SHORTEST_PAUSE_S
        pause, self.pause_s = self.pause_s, min(self.pause_s * 2, LONGEST_PAUSE_S)
        self.due_at = now + pause
        return pause


class Supervisor:
    """Runs children, and with `data` looks after its embedded servers; call it inside `embedded.running`.

    `with supervisor:` starts all children and stops them in the end; `watch` restarts what dies meanwhile.
    """

    def __init__(self, children: Iterable[Child], data: Path | None = None, say: Callable[[str], None] = print) -> None:
        self.children, self.data, self.say = list(children), data, say
        self.hurry = threading.Event()  # set it to kill instead of waiting
        self._servers_due_at = 0.0

    def __enter__(self) -> "Supervisor":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def __getitem__(self, name: str) -> Child:
        return next(child for child in self.children if child.name == name)

    def start(self) -> None:
        """Start all children in order."""
        for child in self.children:
            child.start()

    def stop(self) -> None:
        """Stop all children, the last one first."""
        for child in reversed(self.children):
            child.stop(hurry=self.hurry)

    def watch(self, stop: threading.Event) -> None:
        """Restart what dies until `stop` is set."""
        while not stop.wait(0.5):
            self.check()

    def check(self) -> None:
        """Look once: say which child died, and start again those whose pause is over; servers first."""
        self._check_servers()
        for child in self.children:
            if child.process is not None and not child.is_alive():
                self._mourn(child)
            elif child.process is None and time.monotonic() >= child.due_at:
                child.start()

    def wait_until_ready(self, port: int, stop: threading.Event, timeout_s: float = 60) -> bool:
        """Return True once /readyz answers 200; children are looked after meanwhile."""
        until = time.monotonic() + timeout_s
        while not is_ready(port):
            if stop.wait(0.2) or time.monotonic() > until:
                return False
            self.check()
        return True

    def _mourn(self, child: Child) -> None:
        code = child.bury()
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        lines = [f"{child.name} died ({how}); starting it again in {child.take_pause():g} s. {child.log} ends with:"]
        self.say("\n    ".join(lines + child.last_lines()))

    def _check_servers(self) -> None:
        if self.data is None or time.monotonic() < self._servers_due_at:
            return
        try:
            for name in embedded.ensure_alive(self.data):
                self.say(f"{name} was dead; started it again.")
        except embedded.EmbeddedError as error:
            self.say(str(error))
            self._servers_due_at = time.monotonic() + LONGEST_PAUSE_S


def processes(port: int, logs: Path, environment: Mapping[str, str]) -> list[Child]:
    """Return every process of a gateway on `port`, the NDW simulator on the next one first."""
    web = f"granian --interface wsgi --host 127.0.0.1 --port {port} --workers 2 --blocking-threads 2"
    worker = "celery -A gateway worker --pool=prefork --without-gossip --without-mingle -O fair"
    modules = {
        "simulator": f"tests.ndw_simulator --port {port + 1}",
        "web": f"{web} --respawn-failed-workers --workers-kill-timeout 15 gateway.wsgi:application",
        "worker": f"{worker} -Q push --concurrency 2 -n push@%h",
        "imports": f"{worker} -Q imports --concurrency 2 -n imports@%h",
        "beat": "celery -A gateway beat",
    }
    commands = {name: [sys.executable, "-m", *module.split()] for name, module in modules.items()}
    commands["relay"] = [sys.executable, str(embedded.ROOT / "manage.py"), "relay"]
    return [
        Child(name, command, log=logs / f"{name}.log", environment={**environment, **_extra(name)})
        for name, command in commands.items()
    ]


def _extra(name: str) -> dict[str, str]:
    roles = {"worker": "worker", "relay": "worker"}  # of settings; a web process knows its own
    return WEB_ENVIRONMENT if name == "web" else {"GATEWAY_ROLE": roles.get(name, "")}


def is_ready(port: int) -> bool:
    """Return True when /readyz on that port of this machine answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _die_with_parent() -> Callable[[], None]:
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask_kernel
