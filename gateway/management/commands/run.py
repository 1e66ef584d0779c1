"""`make run`: the whole gateway on this machine, supervised, with its own PostgreSQL and Redis and a simulated NDW."""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import connections

from gateway import embedded, example, servers
from gateway.supervisor import Child, Supervisor, processes

ADMIN = "admin"


class Command(BaseCommand):
    """Start everything, say where it is, keep it running until SIGINT or SIGTERM. PORT is the port, 8000 by default."""

    help = "Run the whole gateway here: PostgreSQL, Redis, web, worker, beat, relay and an NDW simulator."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do all of it. Raises CommandError before anything is started when the port is taken."""
        port, data = _port(), embedded.data_folder()
        _refuse_taken(port, port + 1)
        servers.make_private(data / "logs")
        lock = _lock(data)
        embedded.write_private(
            data / "address", f"http://127.0.0.1:{port}\n"
        )  # settings.PUBLIC_URL of every command here
        is_embedded = os.environ.get("DATABASE_URL") == embedded.urls(data)[0]
        children = processes(port, data / "logs", _environment(port, data))
        supervisor = Supervisor(children, data if is_embedded else None, self.say)
        stop = _stop_on_signals(supervisor.hurry)
        with self.servers(data, is_embedded):
            password = self.prepare(data)
            if not stop.is_set():
                self.supervise(supervisor, stop, port, data, password)
        self.say("Stopped.")
        os.close(lock)

    def say(self, line: str) -> None:
        """Print a line at once, also into a pipe."""
        self.stdout.write(line)
        self.stdout.flush()

    def servers(self, data: Path, is_embedded: bool) -> AbstractContextManager[None]:
        """Start PostgreSQL and Redis, unless DATABASE_URL and REDIS_URL name others."""
        self.say(f"Data and secrets: {_short(data)}")
        if not is_embedded:
            self.say("PostgreSQL and Redis: as DATABASE_URL and REDIS_URL say")
            return nullcontext()
        self.say("PostgreSQL and Redis: our own, starting")
        return embedded.running(data, create=True)

    def prepare(self, data: Path) -> str:
        """Bring the database, the static files and the administrator up to date; return how to log in."""
        self.say("Database: migrating")
        call_command("migrate", verbosity=0, interactive=False)
        self.say("Static files: collecting")
        call_command("collectstatic", verbosity=0, interactive=False)
        login = _make_admin(data)
        connections.close_all()  # the servers may be restarted under us
        return login

    def supervise(self, supervisor: Supervisor, stop: threading.Event, port: int, data: Path, login: str) -> None:
        """Run all processes until `stop`."""
        self.say("Processes: " + ", ".join(child.name for child in supervisor.children))
        with supervisor:
            if supervisor.wait_until_ready(port, stop, timeout_s=180):
                self.greet(supervisor["simulator"], port, data, login)
            elif not stop.is_set():
                self.say(f"Not ready after three minutes; see {_short(data)}/logs. Still trying.")
            supervisor.watch(stop)
            self.say("\nStopping. Once more to kill what does not end.")

    def greet(self, simulator: Child, port: int, data: Path, login: str) -> None:
        """Say where everything is, and what to try first."""
        base_url, ndw = f"http://127.0.0.1:{port}", example.simulator_says(simulator)
        self.say(f"\nThe gateway runs. Ctrl-C stops it.\n  Admin   {base_url}/admin/   {login}")
        self.say(f"  API     {base_url}/api/docs/   every rule: {base_url}/api/docs/rules/")
        self.say(f"  Logs    {_short(data)}/logs/: postgres.log, redis.log, web.log, worker.log ...")
        self.say(f"  NDW     simulated; push_url {ndw['push_url']}   token_url {ndw['token_url']}")
        self.say(f"          client_id {ndw['client_id']}   client_secret {ndw['client_secret']}")
        try:
            tenant = example.provide(data, base_url, simulator.environment, ndw)
        except subprocess.CalledProcessError as error:
            self.say(f"  No example tenant: {error.stderr.strip()}")
            return
        tariff, location = example.write_bodies(data / "examples")
        self.say(
            f"\nTry it as the example tenant {tenant['tenant']}: upload twice, pull as NDW does, see what was pushed"
        )
        for line in example.curls(base_url, tenant, (_short(tariff), _short(location))):
            self.say(f"  {line}")


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65535:
        raise CommandError(f"PORT must be a number from 1 to 65534, not {text!r}.")
    return int(text)


def _refuse_taken(*ports: int) -> None:
    until = time.monotonic() + 3  # processes of a gateway that was just killed are on their way out
    for port in ports:
        while not _is_free(port):
            if time.monotonic() > until:
                raise CommandError(f"Port {port} is taken, perhaps by another gateway. Choose: PORT=8100 make run")
            time.sleep(0.2)


def _lock(data: Path) -> int:
    """Be the only one who runs this folder's gateway: a second would take the first one's meters and address."""
    lock = os.open(data / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(
            f"The gateway of {_short(data)} runs already. Another one: GATEWAY_DATA=… PORT=8100 make run"
        ) from None
    return lock


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _environment(port: int, data: Path) -> dict[str, str]:
    """Return the children's: ours, and this machine as a host to push to and fetch from, as fast as the simulator takes it.

    They count what they do in one folder, which begins empty.
    """
    shutil.rmtree(data / "metrics", ignore_errors=True)
    hosts = {
        name: ",".join(dict.fromkeys([*getattr(settings, name), "127.0.0.1", "localhost"]))
        for name in ("NDW_ALLOWED_HOSTS", "SOURCE_ALLOWED_HOSTS")
    }
    own = {
        "NDW_RATE_CAP": "500",
        "TENANT_RATE": "100000",
        "FAILED_AUTH_RATE": "100000",
        "PROMETHEUS_MULTIPROC_DIR": str(data / "metrics"),
    }
    return {**own, **os.environ, **hosts}


def _stop_on_signals(hurry: threading.Event) -> threading.Event:
    """Return an event that the first signal sets; the second sets `hurry`."""
    stop = threading.Event()

    def on_signal(*_: object) -> None:
        (hurry if stop.is_set() else stop).set()

    signal.signal(signal.SIGINT, on_signal)  # also where a script's `&` has switched it off
    signal.signal(signal.SIGTERM, on_signal)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, on_signal)
    return stop


def _make_admin(data: Path) -> str:
    """Make the superuser once, with a password of its own; return how to log in."""
    path, users = data / "admin-password", get_user_model().objects
    if not path.exists():
        embedded.write_private(path, secrets.token_urlsafe(12) + "\n")
    password = path.read_text().strip()
    admin = users.filter(username=ADMIN).first() or users.create_superuser(ADMIN, password=password)
    return f"user {ADMIN}, password {password if admin.check_password(password) else 'as you changed it'}"


def _short(path: Path) -> Path:
    """Return the path as seen from here, when it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
