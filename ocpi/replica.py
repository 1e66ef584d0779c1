"""Read what NDW pulls from a streaming replica, where there is one (REPLICA_URL) and while it knows all that the primary does.

Each read asks the primary first how far its WAL is on disk, and the replica whether it has replayed as much. It is given a
moment to; otherwise, and after any failure, the primary is read within the same request. So a pull shows whatever was accepted
before it was asked for, from either server: no lag is tolerated, since NDW's next `date_from` may lie behind a change that a
stale page lacked, and pages of one crawl never go back in time. An idle primary looks like no lag, and a replica that is cut off
from it is right until the first write.
Source: PostgreSQL 18, "Hot Standby" and "Recovery Information Functions".
"""

import logging
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections

from ocpi import meters
from tenants import sql

logger = logging.getLogger(__name__)
Found = TypeVar("Found")

ALIAS = "replica"
REST_S = 5.0  # without it after a failure: one request in so long finds out whether it is back
# Commits of the last milliseconds are on their way; an import's WAL may end inside a record until the next flush, 200 ms later.
CATCH_UP_S = 0.25
PAUSE_S = 0.003
ANSWER_S = 1.0  # for the first question, which is answered at once: a frozen server says nothing, and its host still acknowledges

# What an import commits without waiting for the disk counts as accepted once it is there: less than a second later.
_WRITTEN = "SELECT pg_current_wal_flush_lsn()::text"
_HAS_REPLAYED = b"SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() >= $1::pg_lsn"
# One that follows another timeline (a failover that we are not part of) says so at its next restartpoint.
_IDENTITY = "SELECT system_identifier, timeline_id FROM pg_control_system(), pg_control_checkpoint()"


class Router:
    """Keep migrations away from the replica. Nothing is routed: who reads there says so (`read`)."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Refuse it there, have no opinion elsewhere."""
        return False if db == ALIAS else None


class _NotUsable(Exception):
    """Why the replica cannot be read now."""


@dataclass
class _State:
    """What this process thinks of the replica."""

    is_left: bool = False
    rests_until: float = 0.0  # monotonic


state = _State()


def read(ask: Callable[[str], Found]) -> Found:
    """Return what `ask` finds; it is given the alias of the database to read, and asked once more where the replica fails."""
    if ALIAS not in settings.DATABASES:
        return ask(DEFAULT_DB_ALIAS)
    if _may_try():
        try:
            _check()
            found = ask(ALIAS)
        except (Error, _NotUsable) as error:
            _leave(error)
        else:
            _return()
            meters.of(meters.pull_reads, "replica").inc()
            return found
    meters.of(meters.pull_reads, "primary").inc()
    return ask(DEFAULT_DB_ALIAS)


def _may_try() -> bool:
    """Return True unless it rests; after a rest for one request only: the others do not wait for what comes of it."""
    now = time.monotonic()
    if now < state.rests_until:
        return False
    if state.is_left:
        state.rests_until = now + REST_S
    return True


def _leave(error: Exception) -> None:
    connections[ALIAS].close()
    state.rests_until = time.monotonic() + REST_S
    if not state.is_left:
        logger.warning("replica left, pulls read the primary: %s", " ".join(str(error).split()) or type(error).__name__)
    state.is_left = True


def _return() -> None:
    if state.is_left:
        logger.warning("replica used again")
        state.is_left, state.rests_until = False, 0.0


def _check() -> None:
    """Raise _NotUsable, or django.db's exceptions, unless the replica holds everything the primary has on disk now."""
    server = connections[ALIAS]
    if server.connection is None and _identity(ALIAS) != _identity(DEFAULT_DB_ALIAS):
        raise _NotUsable("it is no standby of the primary")
    (written,) = sql.run(_WRITTEN, []).fetchone() or ("",)
    until = time.monotonic() + CATCH_UP_S
    with server.wrap_database_errors:
        while not _has_replayed(server.connection.pgconn, written):
            if time.monotonic() > until:
                raise _NotUsable(f"it lags behind {written}")
            time.sleep(PAUSE_S)


def _identity(using: str) -> Any:
    return sql.run(_IDENTITY, [], using).fetchone()


def _has_replayed(server: psycopg.pq.abc.PGconn, written: str) -> bool:
    """Ask with a limit of time, which the driver itself has for connecting only. The snapshot of what follows is younger."""
    server.send_query_params(_HAS_REPLAYED, [written.encode()])
    ready = select.poll()
    ready.register(server.socket, select.POLLIN)
    if not ready.poll(ANSWER_S * 1000):
        raise _NotUsable("it does not answer")
    result = server.get_result()
    while server.get_result():
        pass
    if result is None or result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        raise _NotUsable(server.get_error_message())
    is_standby, has_replayed = result.get_value(0, 0), result.get_value(0, 1)
    if is_standby != b"t":
        raise _NotUsable("it is no standby any more")
    return has_replayed == b"t"
