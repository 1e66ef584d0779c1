"""Make measurements: Connections whose worker is the test, requests of a given age, changes that wait."""

import datetime as dt
import itertools
import re
from types import SimpleNamespace
from typing import Any

from django.utils import timezone

from ocpi import clock
from ocpi.models import Push, PushAttempt
from ocpi.rulings import Do
from tenants.models import Connection, Tenant
from tests import factories

NOWHERE = SimpleNamespace(
    push_url="http://127.0.0.1:9", token_url="http://127.0.0.1:9/token", client_id="none", client_secret="none"
)
DAY = dt.timedelta(days=1)
_numbers = itertools.count(1)


def connect(tenant: Tenant, environment: str = "production") -> Connection:
    """Return a Connection over which the tests themselves are the worker."""
    return factories.make_connection(tenant, NOWHERE, environment)


def yesterday(hour: int = 12, **more: int) -> dt.datetime:
    """Return a moment of yesterday, Dutch time."""
    return clock.midnight(timezone.localdate() - DAY) + dt.timedelta(hours=hour, **more)


def a_push(connection: Connection, **columns: Any) -> Push:
    """Return the Push of a Location of its own; delivered without a clock, or as the columns say."""
    push = factories.make_push(connection)
    settled = {"state": "delivered", "changed_at": None, "changes": 0} | columns
    Push.objects.filter(pk=push.pk).update(**settled)
    push.refresh_from_db()
    return push


def attempt(push: Push, changed_at: dt.datetime | None, age_s: float, **columns: Any) -> PushAttempt:
    """Return a request, not stored, that ended so long after the change; it took 200 ms."""
    ended_at = (changed_at or yesterday()) + dt.timedelta(seconds=age_s)
    given = {
        "tenant_id": push.tenant_id, "push": push, "started_at": ended_at - dt.timedelta(milliseconds=200),
        "took_ms": 200, "method": "PUT", "url": "http://127.0.0.1:9/locations/NL/EXA/LOC", "http_status": 200,
        "ocpi_status": 1000, "outcome": Do.DELIVERED, "version": 1, "changes": 1, "changed_at": changed_at,
        "request_id": f"r-{next(_numbers)}",
    }  # fmt: skip
    return PushAttempt(**given | columns)


def accept(push: Push, changed_at: dt.datetime, *ages_s: float, **columns: Any) -> None:
    """Store an acceptance of each age."""
    PushAttempt.objects.bulk_create([attempt(push, changed_at, age_s, **columns) for age_s in ages_s])


def waiting_for(connection: Connection, seconds: float, **columns: Any) -> Push:
    """Return a Push that has waited so long."""
    changed_at = timezone.now() - dt.timedelta(seconds=seconds)
    return a_push(connection, **{"state": "dirty", "changed_at": changed_at, "changes": 1} | columns)


def without_moment(text: str) -> str:
    """Return a proof without the moment it was written."""
    return re.sub(r"written at,[^,]+", "written at,NOW", text)
