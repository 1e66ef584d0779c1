"""How much comes in: every object that was uploaded, by tenant and hour, accepted or refused (UploadHour).

An upload never pays for it with a write: a web process counts in memory, and a thread of it adds that up in the database every
few seconds. What is killed loses seconds of a statistic. Imports add their batches in their own transactions.
"""

import datetime as dt
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing.util import Finalize
from typing import NamedTuple

from django.db import Error, connection
from django.db.models import Sum
from django.utils import timezone

from ocpi.models import UploadHour
from tenants import sql
from tenants.models import Tenant

logger = logging.getLogger(__name__)

FLUSH_S = 5.0
KEPT = dt.timedelta(days=90)
BATCH = 10_000

# Rows in one order, so that two processes never wait for each other; a tenant that is gone is not counted.
_ADD = """
    INSERT INTO ocpi_uploadhour (tenant_id, hour, accepted, refused)
    SELECT tenant_id, hour, accepted, refused FROM
    unnest(%(tenants)s::bigint[], %(hours)s::timestamptz[], %(accepted)s::int[], %(refused)s::int[])
        AS counted(tenant_id, hour, accepted, refused)
    WHERE EXISTS (SELECT FROM tenants_tenant t WHERE t.id = tenant_id)
    ORDER BY tenant_id, hour
    ON CONFLICT (tenant_id, hour) DO UPDATE
    SET accepted = ocpi_uploadhour.accepted + excluded.accepted, refused = ocpi_uploadhour.refused + excluded.refused
"""


class _Key(NamedTuple):
    tenant_id: int
    hour: dt.datetime
    is_accepted: bool


_lock = threading.Lock()
_counts: Counter[_Key] = Counter()
_flushing_in: set[int] = set()  # processes: a fork inherits no thread


def note(tenant: Tenant, *, is_accepted: bool) -> None:
    """Count one upload; returns at once."""
    key = _Key(tenant.pk, _hour(timezone.now()), is_accepted)
    with _lock:
        _counts[key] += 1


def add(tenant: Tenant, *, accepted: int, refused: int) -> None:
    """Count some uploads in the transaction that stores them."""
    hour = _hour(timezone.now())
    _write(Counter({_Key(tenant.pk, hour, True): accepted, _Key(tenant.pk, hour, False): refused}))


def flush() -> None:
    """Write what `note` has counted; keeps it when the database does not take it."""
    with _lock:
        counted = _counts.copy()
        _counts.clear()
    try:
        _write(counted)
    except Error as error:
        logger.warning("Uploads are counted later: %s", type(error).__name__)
        with _lock:
            _counts.update(counted)


def keep_flushing() -> None:
    """Flush every FLUSH_S from now on, and when this process ends; for web processes.

    A server that forks its workers through multiprocessing ends them without atexit, but not without finalizers.
    """
    if os.getpid() not in _flushing_in:
        _flushing_in.add(os.getpid())
        threading.Thread(target=_flush_regularly, name="tally", daemon=True).start()
        Finalize(None, flush, exitpriority=0)


def _flush_regularly() -> None:
    while True:
        time.sleep(FLUSH_S)
        try:
            flush()
        finally:
            connection.close()  # its own: nothing is open between two flushes, nothing has gone stale


def _write(counted: Counter[_Key]) -> None:
    rows = sorted({(key.tenant_id, key.hour) for key, count in counted.items() if count})
    if rows:
        asked = {
            "tenants": [tenant_id for tenant_id, _ in rows],
            "hours": [hour for _, hour in rows],
            "accepted": [counted[_Key(*row, True)] for row in rows],
            "refused": [counted[_Key(*row, False)] for row in rows],
        }
        sql.run(_ADD, asked)


def _hour(at: dt.datetime) -> dt.datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def prune() -> int:
    """Forget hours of long ago, in batches; return how many."""
    pruned = 0
    while True:
        old = UploadHour.objects.filter(hour__lt=timezone.now() - KEPT).order_by("hour").values("pk")[:BATCH]
        batch, _ = UploadHour.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
        pruned += batch
        if batch < BATCH:
            return pruned


# --- What came in ------------------------------------------------------------------------------------------------------


class Uploads(NamedTuple):
    """How many objects came in during an hour or a day."""

    accepted: int = 0
    refused: int = 0

    def __add__(self, other: "Uploads") -> "Uploads":  # type: ignore[override]  # adds up, and joins nothing
        return Uploads(self.accepted + other.accepted, self.refused + other.refused)


def by_hour(tenants: Iterable[int] | None, since: dt.datetime) -> dict[dt.datetime, Uploads]:
    """Return what came in by hour, of some tenants (their keys) or of all (None); an hour without uploads is not there."""
    rows = UploadHour.objects.filter(hour__gte=since)
    if tenants is not None:
        rows = rows.filter(tenant__in=list(tenants))
    summed = rows.order_by().values_list("hour").annotate(Sum("accepted"), Sum("refused"))
    return {hour: Uploads(accepted, refused) for hour, accepted, refused in summed}
