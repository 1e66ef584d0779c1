"""When CPOs' own OCPI Senders are fetched from: what changed every minute or so, everything every night.

A worker holds a Source by a lease that runs out when it dies; a Sender that fails is left alone for longer each time. Any of
this may run twice, late or next to itself.
Source: OCPI 2.2.1 transport_and_format, "Pull"; reliability C28.
"""

import datetime as dt
import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from celery import current_app
from django.db import connections, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import OperationalError

from ocpi import fetches
from ocpi.fetches import Result
from ocpi.models import Source

logger = logging.getLogger(__name__)

TASK = "ocpi.tasks.fetch_sources"
THREADS = 8  # one slow Sender holds up no other
TAKES_S = 1800.0
LEASE = dt.timedelta(seconds=180)  # finding the lists and the first page take 105 s at most, each other page 60 s
KEEP_EVERY_S = 20.0
LONGEST_PAUSE = dt.timedelta(minutes=15)
FAR_BACK = dt.timedelta(days=1)  # what looks for changes have read for so long need not be asked for again
STAGGER_S = 600  # not everybody's night begins at the same second


class LostLease(Exception):
    """Somebody else has the Source, or an operator changed it: what was fetched is dropped."""


# --- Who is next -------------------------------------------------------------------------------------------------------


def due() -> QuerySet[Source]:
    """Return the sources to be fetched from now that nobody fetches from, the one that waits longest first."""
    is_due = Q(next_due_at__lte=Now()) | Q(next_full_at__lte=Now())
    is_free = Q(lease_until=None) | Q(lease_until__lte=Now())
    those = Source.objects.filter(is_due, is_free, is_active=True, tenant__is_active=True, tenant__offboarding_at=None)
    return those.order_by("next_due_at", "pk")


def claim() -> Source | None:
    """Take the next one; None when nothing is due."""
    with transaction.atomic():
        source = due().select_related("tenant").select_for_update(skip_locked=True, of=("self",)).first()
        if source is None:
            return None
        now = timezone.now()
        source.last_started_at, source.lease_until, source.lease_token = now, now + LEASE, uuid.uuid4()
        source.save(update_fields=["last_started_at", "lease_until", "lease_token"])
        return source


def work() -> int:
    """Fetch from all that are due, and from what becomes due meanwhile; return how many. One process at a time does it."""
    if Source.objects.filter(lease_until__gt=Now()).exists():
        return 0
    began, count, running = time.monotonic(), 0, set[Future[None]]()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="source") as pool:
        while True:
            while len(running) < THREADS and time.monotonic() - began < TAKES_S and (source := claim()):
                running.add(pool.submit(_in_thread, source))
                count += 1
            if not running:
                return count
            running = wait(running, timeout=1.0, return_when=FIRST_COMPLETED).not_done


def _in_thread(source: Source) -> None:
    try:
        run(source)
    except Exception:  # the database is away: the lease runs out
        logger.exception("What came of fetching %s is not written down", source)
    finally:
        connections.close_all()


def run(source: Source) -> Result | None:
    """Fetch from a claimed Source and write down what came of it; None when it was taken away meanwhile."""
    is_full = source.next_full_at <= timezone.now()
    try:
        result = fetches.fetch(source, is_full=is_full, keep=_keeper(source))
    except LostLease:
        logger.warning("%s was changed, or taken by another worker, while it was fetched; nothing handed over", source)
        return None
    except Exception:
        logger.exception("Fetching %s broke off", source)
        result = Result(is_full, error="Internal error; it has been logged.")
    record(source, result)
    level = logging.WARNING if result.error else logging.INFO
    logger.log(level, "%s: %s", source, result.error or result)
    return result


def _keeper(source: Source) -> Callable[[], None]:
    """Return what renews the lease now and then. It raises LostLease."""
    renewed_at = time.monotonic()

    def keep() -> None:
        nonlocal renewed_at
        if time.monotonic() - renewed_at > KEEP_EVERY_S:
            mine = Source.objects.filter(pk=source.pk, lease_token=source.lease_token)
            if not mine.update(lease_until=timezone.now() + LEASE):
                raise LostLease
            renewed_at = time.monotonic()

    return keep


# --- What came of it ---------------------------------------------------------------------------------------------------


def record(source: Source, result: Result) -> bool:
    """Write down what came of a fetch and when the next is; False when the lease was lost."""
    now = timezone.now()
    state: dict[str, Any] = {
        "last_finished_at": now,
        "lease_until": None,
        "lease_token": None,
        "counts": result.counts | ({"foreign": result.foreign.total()} if result.foreign else {}),
        "last_error": result.error[:1000],
    }
    state |= _after_failure(source, result, now) if result.error else _after_success(source, result, now)
    return bool(Source.objects.filter(pk=source.pk, lease_token=source.lease_token).update(**state))


def _after_success(source: Source, result: Result, now: dt.datetime) -> dict[str, Any]:
    state: dict[str, Any] = {
        f"{module}_from": _asked_from_then_on(source, module, moment) if result.is_full else moment
        for module, moment in result.seen_until.items()
    }
    state |= {"next_full_at": next_night(source, now)} if result.is_full else {}
    next_due_at = now + dt.timedelta(seconds=source.every_s) if source.every_s else None
    return state | {
        "failures": 0,
        "last_result": str(result)[:500],
        "next_due_at": next_due_at,
        "endpoints": result.endpoints,
    }


def _asked_from_then_on(source: Source, module: str, moment: dt.datetime) -> dt.datetime:
    """Return from when on changes are asked for after everything was read: what is held or fails is no reason to skip any.

    So it stays where the last look for changes left it, but where there was none or are none; and where each of them looked
    good and yet none moved it on, it does not fall behind for ever.
    """
    before = getattr(source, f"{module}_from")
    if before is None or not source.every_s:
        return moment
    return before if source.failures else max(before, moment - FAR_BACK)


def _after_failure(source: Source, result: Result, now: dt.datetime) -> dict[str, Any]:
    """Wait longer with each failure; everything is not tried again before a quarter of an hour, changes are meanwhile."""
    pause = dt.timedelta(seconds=max(source.every_s, Source.SHORTEST_S) * 2 ** min(source.failures, 10))
    asked_for = dt.timedelta(seconds=result.rest_s)
    state: dict[str, Any] = {"failures": source.failures + 1, "endpoints": {}}
    if source.every_s or not result.is_full:
        state["next_due_at"] = now + max(min(pause, LONGEST_PAUSE), asked_for)
    if result.is_full:
        state["next_full_at"] = now + LONGEST_PAUSE
    return state


def next_night(source: Source, now: dt.datetime) -> dt.datetime:
    """Return when everything is fetched next, in local time whatever the clocks do that night."""
    today = timezone.localtime(now)
    for days in range(3):
        local = dt.datetime.combine(today.date() + dt.timedelta(days=days), source.full_at, today.tzinfo)
        night = local.astimezone(dt.UTC) + dt.timedelta(seconds=(source.pk or 0) * 97 % STAGGER_S)
        if night > now:
            return night
    raise AssertionError("no night within three days")


# --- What an operator does ---------------------------------------------------------------------------------------------


def ask_for(sources: QuerySet[Source], *, is_full: bool) -> int:
    """Have fetched soon; return from how many."""
    count = sources.filter(is_active=True).update(**{"next_full_at" if is_full else "next_due_at": timezone.now()})
    ring()
    return count


def start_over(source: Source) -> None:
    """Forget what was learnt from the Sender and fetch everything: it, its token or what is wanted of it changed."""
    Source.objects.filter(pk=source.pk).update(
        endpoints={}, locations_from=None, tariffs_from=None, failures=0, lease_until=None, lease_token=None,
        next_full_at=timezone.now(), last_error="",
    )  # fmt: skip


def ring() -> None:
    """Wake a worker; what it misses, beat finds."""
    with suppress(OperationalError, OSError):
        current_app.send_task(TASK, queue="imports", expires=30)
