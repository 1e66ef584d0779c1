"""Real PostgreSQL and Redis for a machine that has none: one data folder, shared by all who need its servers.

Whoever needs them first starts them and the last one to leave stops them. Every user holds a shared lock on
`users.lock`, which the kernel drops when a user is killed; starting and stopping happen under `start.lock`. Neither is
inherited by the servers. Knows nothing of Django, so that manage.py and plain tests can use it.
Source: design §2, §5, "Secrets at start".
"""

import base64
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from gateway import servers
from gateway.servers import EmbeddedError, Folder

ROOT = Path(__file__).resolve().parent.parent


class NotMade(EmbeddedError):
    """The data folder was never made."""


def data_folder() -> Path:
    """Return GATEWAY_DATA, relative to the current directory; without it `var/` beside manage.py."""
    return Path(os.environ.get("GATEWAY_DATA") or ROOT / "var").resolve()


def is_made(data: Path) -> bool:
    """Return True when the folder holds a complete cluster."""
    return Folder(data).postgres.exists()


def urls(data: Path) -> tuple[str, str]:
    """Return DATABASE_URL and REDIS_URL of the servers under `data`, running or not."""
    folder = Folder(data)
    database = f"postgresql:///gateway?host={quote(str(folder.sockets), safe='')}&port=5432&user=gateway"
    return database, f"unix://{quote(str(folder.redis_socket))}"


@contextmanager
def running(data: Path, create: bool = False) -> Iterator[None]:
    """Hold the servers of `data` up while inside.

    Raises NotMade for a folder without a cluster unless `create`, EmbeddedError when a server does not start.
    """
    folder = Folder(data)
    if not create and not is_made(data):
        raise NotMade(
            f"There is nothing in {folder.data} yet. Run `make run` first, set GATEWAY_DATA to where it ran, "
            "or set DATABASE_URL and REDIS_URL to use servers of your own."
        )
    servers.make_private(folder.data)
    users = _open_lock(folder.data / "users.lock")
    try:
        with _start_lock(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            servers.start(folder)
        yield
    finally:
        with _start_lock(folder):
            _leave(folder, users)
        os.close(users)


def ensure_alive(data: Path) -> list[str]:
    """Start again what is dead and return its names. Call it inside `running`. Raises EmbeddedError."""
    folder = Folder(data)
    sockets = {"PostgreSQL": folder.postgres_socket, "Redis": folder.redis_socket}
    dead = [name for name, path in sockets.items() if not servers.listens(path)]
    if dead:
        with _start_lock(folder):
            servers.start(folder)
    return dead


def make_secrets(data: Path) -> Path:
    """Write `secrets.env` once, for our eyes only; return its path."""
    folder = Folder(data)
    servers.make_private(folder.data)
    path = folder.data / "secrets.env"
    with _start_lock(folder):
        if not path.exists():
            write_private(path, "".join(f"{name}={value}\n" for name, value in _new_secrets().items()))
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    os.replace(temporary, path)


def _new_secrets() -> dict[str, str]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    signing_key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FIELD_KEYS": _key(secrets.token_bytes(32)),
        "TOKEN_PEPPER": secrets.token_hex(32),
        "SIGNING_KEYS": _key(signing_key),
    }


def _key(raw: bytes) -> str:
    """Return `<kid>:<base64>`."""
    return f"{secrets.token_hex(4)}:{base64.b64encode(raw).decode()}"


@contextmanager
def _start_lock(folder: Folder) -> Iterator[None]:
    lock = _open_lock(folder.data / "start.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # close-on-exec, as all of Python's
    except PermissionError as error:
        raise EmbeddedError(f"{path} belongs to another user: run as that user or set GATEWAY_DATA.") from error


def _leave(folder: Folder, users: int) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # somebody else still needs them
    servers.stop(folder)
