"""Celery tasks: they find nothing out by themselves and may run twice, late or next to each other.

They are acknowledged when they are taken: beat asks again within seconds, and a worker that loses Redis would end the tasks
it has not acknowledged in the middle (and, while Redis is away, itself: kombu 5.7).
"""

from celery import shared_task
from django.db.models import F, Q

from ocpi import (
    alarms,
    backlog,
    clock,
    counts,
    crawls,
    digests,
    doorbell,
    history,
    imports,
    offboarding,
    push,
    recheck,
    reconcile,
    scorecards,
    sources,
    tally,
)
from ocpi import watch as lookouts
from tenants.models import Connection


@shared_task(acks_late=False)
def drain() -> int:
    """Send what is due; started by the doorbell and by beat."""
    return push.drain()


@shared_task(acks_late=False)
def spread() -> int:
    """Make the Push rows that new Connections lack, and those with a new push URL: who answers there has nothing yet."""
    is_new = Q(needs_spreading=True) | ~Q(push_url=F("spread_for"))
    waiting = Connection.objects.filter(is_new, is_retired=False).select_related("tenant")
    return sum(backlog.spread(connection) for connection in waiting)


@shared_task(acks_late=False)
def prune_attempts() -> int:
    """Delete attempts that are no longer needed as proof."""
    return backlog.prune_attempts()


@shared_task(acks_late=False)
def prune_versions() -> int:
    """Delete what was served long ago."""
    return history.prune()


@shared_task(acks_late=False)
def run_imports() -> None:
    """Work on bulk uploads for at most ten seconds; started by the doorbell and by beat."""
    doorbell.answer(doorbell.IMPORTS)
    if imports.work():
        imports.ring()


@shared_task(acks_late=False)
def prune_imports() -> int:
    """Delete bulk uploads of long ago."""
    return imports.prune()


@shared_task(acks_late=False)
def prune_uploads() -> int:
    """Forget how much was uploaded in hours of long ago."""
    return tally.prune()


@shared_task(acks_late=False, time_limit=3900)
def fetch_sources() -> int:
    """Fetch from the CPOs' own Senders that are due; takes new ones for half an hour, and a fetch takes as long at most."""
    return sources.work()


@shared_task(acks_late=False)
def offboard() -> None:
    """Take tenants that leave a step further, for at most ten seconds; started by beat."""
    offboarding.work()


@shared_task(acks_late=False)
def fold_counts() -> int:
    """Keep the counts of what NDW sees short."""
    return counts.fold()


@shared_task(acks_late=False)
def recheck_stored() -> int:
    """Judge some of what was judged by another edition of the rule book."""
    return recheck.outdated(longest_s=5)


@shared_task(acks_late=False, soft_time_limit=900, time_limit=930)
def reconcile_deliveries() -> int:
    """Have sent again what NDW is not known to have accepted; count anew what it sees."""
    counts.recount()
    return sum(reconcile.reconcile())


@shared_task(acks_late=False)
def watch() -> int:
    """Raise the alarm where NDW lacks a change for too long."""
    return alarms.watch()


@shared_task(acks_late=False)
def close_days() -> int:
    """Write down how soon NDW had the changes of the days that are over."""
    return clock.close_days()


@shared_task(acks_late=False)
def watch_statuses() -> bool:
    """Look for statuses that are hard to believe, for at most ten seconds; what is left goes on with beat's next call."""
    return lookouts.work()


@shared_task(acks_late=False)
def mail_digests() -> int:
    """Mail tenants what the status watch found, once a day."""
    return digests.send()


@shared_task(acks_late=False)
def prune_crawls() -> int:
    """Forget NDW's crawls of long ago."""
    return crawls.prune()


@shared_task(acks_late=False)
def write_scorecards() -> int:
    """Write down how completely the tenants fill in their fields today."""
    return scorecards.write()
