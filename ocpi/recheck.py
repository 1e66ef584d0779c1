"""Judge again what was judged by another edition of the rule book: after an upgrade, in small steps.

Source: design §7: a changed profile re-marks gaps but neither hides what is shown nor blocks its status.
"""

import time
from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from ocpi import store
from ocpi.models import Location, Tariff
from ocpi.rules import EDITION, Kind
from tenants.models import Tenant

BATCH = 500


def waiting() -> int:
    """Return how many stored objects were judged by another edition."""
    return sum(rows.count() for _, rows in _outdated())


def outdated(longest_s: float | None = None) -> int:
    """Judge what is outdated, for about so long; return how many objects were judged."""
    return sum(1 for _ in one_by_one(longest_s))


def one_by_one(longest_s: float | None = None) -> Iterator[str]:
    """Judge what is outdated and yield the id of each object when it is done."""
    ends_at = time.monotonic() + longest_s if longest_s is not None else float("inf")
    for kind, rows in _outdated():
        last = 0
        while batch := list(rows.filter(pk__gt=last).values_list("pk", "tenant", "ocpi_id")[:BATCH]):
            tenants = Tenant.objects.in_bulk({tenant for _, tenant, _ in batch})
            for _, tenant, ocpi_id in batch:
                if time.monotonic() > ends_at:
                    return
                store.recheck(kind, tenants[tenant], ocpi_id)
                yield ocpi_id
            last = batch[-1][0]


def _outdated() -> Iterator[tuple[Kind, Any]]:
    others = Q(edition__lt=EDITION) | Q(edition__gt=EDITION)  # an index finds these, unlike "not equal"
    yield "tariff", Tariff.objects.filter(others, deleted_at=None).order_by("pk")
    yield "location", Location.objects.filter(others).order_by("pk")
