"""A backup: one file of pg_dump and, beside it, a manifest that says what is in it and which keys belong to it.

The file holds digests and ciphertexts; what opens them (FIELD_KEYS, TOKEN_PEPPER, SIGNING_KEYS) is never in it. The manifest has
a fingerprint of each key, so that a restore can tell whether the keys around it are those. Programs are those on the PATH, or of
the embedded PostgreSQL, as new as the server.
Source: reliability §4 "PostgreSQL", P29.
"""

import contextlib
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from gateway import servers

COUNTED = (
    "tenants_tenant",
    "tenants_token",
    "tenants_connection",
    "ocpi_location",
    "ocpi_tariff",
    "ocpi_push",
    "auth_user",
)
NOT_KEPT = ("django_session",)  # who has the file would be logged in with it
_LIBPQ = {
    "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
    "service": "PGSERVICE", "passfile": "PGPASSFILE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "connect_timeout": "PGCONNECT_TIMEOUT",
}  # fmt: skip

# Nothing of the old database is left, and nothing is lost should the file fail half-way: all of it is one transaction.
_BEGIN = """
    \\set ON_ERROR_STOP on
    BEGIN;
    SET LOCAL lock_timeout = '10s';
    SET LOCAL client_min_messages = 'warning';
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway_tenant') THEN
            CREATE ROLE gateway_tenant NOLOGIN NOBYPASSRLS;
        END IF;
    END $$;
    DO $$ BEGIN EXECUTE format('GRANT gateway_tenant TO %I', current_user); EXCEPTION WHEN OTHERS THEN NULL; END $$;
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public AUTHORIZATION pg_database_owner;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


class BackupError(Exception):
    """It cannot be made or used; the message says why."""


# --- Making ------------------------------------------------------------------------------------------------------------


def make(path: Path) -> dict[str, Any]:
    """Write `path` and its manifest, whole or not at all, readable by us only; return the manifest. Raises BackupError."""
    refuse_pooler()
    half = path.with_name(path.name + ".part")
    with _snapshot() as name:
        manifest = _manifest()
        with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            left_out = [f"--exclude-table-data=*.{table}" for table in NOT_KEPT]
            command = [program("pg_dump"), "--format=custom", f"--snapshot={name}", *left_out]
            done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, env=environment(), check=False)
            os.fsync(file.fileno())
    if done.returncode:
        half.unlink()
        raise BackupError(f"pg_dump: {done.stderr.decode(errors='replace').strip()}")
    manifest |= {"bytes": half.stat().st_size, "sha256": _sha256(half)}
    half_manifest = half.with_name(half.name + ".json")
    _write_private(half_manifest, json.dumps(manifest, indent=2) + "\n")
    half.replace(path)
    half_manifest.replace(manifest_path(path))
    return manifest


@contextlib.contextmanager
def _snapshot() -> Iterator[str]:
    """Hold one moment of the database, so that what is counted is what is dumped."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        yield cursor.fetchone()[0]


# Of FIELD_KEYS only those with which something is sealed: after `reencrypt` a backup does without the older ones.
_SEALED_WITH = """
    SELECT split_part(client_secret_sealed, '.', 2) FROM tenants_serviceaccount WHERE client_secret_sealed <> ''
    UNION SELECT split_part(token_sealed, '.', 2) FROM ocpi_source WHERE token_sealed <> ''
"""


def _manifest() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp(), current_setting('server_version')")
        at, version = cursor.fetchone()
        cursor.execute(_SEALED_WITH)
        used = {kid for (kid,) in cursor.fetchall()}
    keys = fingerprints()
    keys["FIELD_KEYS"] = {kid: mark for kid, mark in keys["FIELD_KEYS"].items() if kid in used}
    applied = sorted(MigrationRecorder(connection).applied_migrations())
    return {
        "made_at": at.isoformat(timespec="seconds"),
        "postgresql": version,
        "migrations": dict(applied),  # the last of each app
        "counts": counts(),
        "keys": keys,
    }


def counts() -> dict[str, int]:
    """Return how many rows the tables have that a person would ask for."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in COUNTED))
        return dict(zip(COUNTED, cursor.fetchone(), strict=True))


def _write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- Keys --------------------------------------------------------------------------------------------------------------


def fingerprints() -> dict[str, dict[str, str]]:
    """Return a fingerprint of each key by its setting and kid; none of them helps to find its key."""
    rings = {name: [one.split(":", 1) for one in getattr(settings, name)] for name in ("FIELD_KEYS", "SIGNING_KEYS")}
    alone = {name: [["", getattr(settings, name)]] for name in ("TOKEN_PEPPER", "SECRET_KEY")}
    return {name: {kid: _fingerprint(key) for kid, key in keys} for name, keys in (rings | alone).items()}


def _fingerprint(key: str) -> str:
    return hmac.new(key.encode(), b"fingerprint of a gateway's key", hashlib.sha256).hexdigest()[:16]


def missing_keys(manifest: dict[str, Any]) -> dict[str, list[str]]:
    """Return which keys of the backup are not here, by setting; what is here besides does not matter."""
    here = fingerprints()
    missing = {
        name: [kid for kid, mark in theirs.items() if here.get(name, {}).get(kid) != mark]
        for name, theirs in manifest["keys"].items()
    }
    return {name: kids for name, kids in missing.items() if kids}


# --- Restoring ---------------------------------------------------------------------------------------------------------


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a backup that is whole. Raises BackupError."""
    try:
        manifest = json.loads(manifest_path(path).read_text())
        is_whole = _sha256(path) == manifest["sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise BackupError(f"No backup with a manifest ({path} and {manifest_path(path)}): {error}") from error
    if not is_whole:
        raise BackupError(f"{path} is not what was written: its SHA-256 is not that of the manifest.")
    return manifest


def manifest_path(path: Path) -> Path:
    """Return where the manifest of a backup lies."""
    return path.with_name(path.name + ".json")


def load(path: Path) -> None:
    """Put the backup in the place of everything in the database, in one transaction. Raises BackupError, then nothing changed."""
    reader = [program("pg_restore"), "--no-owner", "--file=-", str(path)]
    writer = [program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
    connection.close()  # what it has prepared is of tables that will be gone
    with tempfile.TemporaryFile() as said:
        psql = subprocess.Popen(writer, stdin=subprocess.PIPE, stderr=said, env=environment())
        assert psql.stdin  # noqa: S101 - PIPE
        source = subprocess.Popen(reader, stdout=subprocess.PIPE, stderr=said)
        with contextlib.suppress(BrokenPipeError):
            psql.stdin.write(_BEGIN.encode())
            shutil.copyfileobj(source.stdout, psql.stdin)  # type: ignore[arg-type]
        source.stdout.close()  # type: ignore[union-attr]
        is_whole = source.wait() == 0
        with contextlib.suppress(BrokenPipeError):
            psql.stdin.write(b"\nCOMMIT;\n" if is_whole else b"\nROLLBACK;\n")
            psql.stdin.close()
        if psql.wait() or not is_whole:
            said.seek(0)
            raise BackupError("Nothing was changed: " + said.read().decode(errors="replace").strip()[-2000:])


def refuse_pooler() -> None:
    """Let pg_dump and psql nowhere but to PostgreSQL: what they set stays in the session. Raises BackupError.

    PgBouncer would hand their empty search_path to an upload. It is seen by the process id, which it makes up.
    """
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    if pid != connection.connection.info.backend_pid:
        raise BackupError(
            "DATABASE_URL leads to PgBouncer: give this command that of PostgreSQL itself, without PGBOUNCER."
        )


# --- Programs ----------------------------------------------------------------------------------------------------------


def program(name: str) -> str:
    """Return the path of a program of PostgreSQL that is as new as the server. Raises BackupError."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        wanted = int(cursor.fetchone()[0]) // 10_000
    looks: list[Callable[[], str | None]] = [lambda: shutil.which(name), lambda: servers.embedded_program(name)]
    found = [path for path in (look() for look in looks) if path]
    for path in found:
        if _major(path) >= wanted:
            return path
    raise BackupError(
        f"No {name} of PostgreSQL {wanted} or newer: install its client programs (Debian: postgresql-client)."
    )


def _major(path: str) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return int("".join(filter(str.isdigit, said.split()[2].partition(".")[0])) or 0) if len(said.split()) > 2 else 0


def environment() -> dict[str, str]:
    """Return the environment in which those programs find our database: a password is in no command line."""
    parameters = connection.get_connection_params()
    theirs = {_LIBPQ[name]: str(value) for name, value in parameters.items() if name in _LIBPQ and value}
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "PGAPPNAME": "gateway-backup"} | theirs
