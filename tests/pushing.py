"""Steer deliveries: change what NDW should have, move time, answer in NDW's place, see what NDW got."""

import datetime as dt
import itertools
import uuid
from typing import Any

from django.db.models.functions import Now

from ocpi import queue, store
from ocpi.models import Push
from ocpi.queue import Claimed, Result
from ocpi.rulings import Do, Ruling
from tenants.models import Connection, Tenant
from tests.documents import evse_body

_seconds = itertools.count()
SECOND = dt.timedelta(seconds=1)


def later() -> str:
    """Return a DateTime newer than all before."""
    moment = dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC) + next(_seconds) * SECOND
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def set_status(tenant: Tenant, status: str, evse_uid: str = "EVSE-1", location_id: str = "LOC-0001") -> str:
    """Upload a status of an EVSE; return its last_updated."""
    moment = later()
    store.patch_evse(tenant, location_id, evse_uid, {"status": status, "last_updated": moment})
    return moment


def rename(tenant: Tenant, name: str, location_id: str = "LOC-0001") -> None:
    """Upload a change of a Location that is no status."""
    store.patch_location(tenant, location_id, {"name": name, "last_updated": later()})


def two_evses() -> list[dict[str, Any]]:
    """Return the bodies of EVSE-1 and EVSE-2."""
    return [evse_body(), evse_body(uid="EVSE-2", evse_id="NL*EXA*E1002*1")]


def row(connection: Connection, ocpi_id: str = "LOC-0001") -> Push:
    """Return the Push of a Location as it is now."""
    return Push.objects.get(connection=connection, location__ocpi_id=ocpi_id)


def tariff_row(connection: Connection, ocpi_id: str = "ADHOC-1") -> Push:
    """Return the Push of a Tariff as it is now."""
    return Push.objects.get(connection=connection, tariff__ocpi_id=ocpi_id)


def age(connection: Connection, seconds: float) -> None:
    """Let time pass: everything that has a moment in the queue of this Connection is so much older."""
    passed = dt.timedelta(seconds=seconds)
    for name in ("due_at", "changed_at", "lease_until", "doubt_until"):
        for push in Push.objects.filter(connection=connection, **{f"{name}__isnull": False}):
            Push.objects.filter(pk=push.pk).update(**{name: getattr(push, name) - passed})
    fresh = Connection.objects.get(pk=connection.pk)
    if fresh.probe_at:
        Connection.objects.filter(pk=connection.pk).update(probe_at=fresh.probe_at - passed)


def make_due(connection: Connection) -> None:
    """End every backoff and every rest of this Connection."""
    Push.objects.filter(connection=connection).update(due_at=Now() - SECOND)
    Connection.objects.filter(pk=connection.pk).update(probe_at=None)


def end_leases(connection: Connection) -> None:
    """Let the leases run out, as when their worker died."""
    Push.objects.filter(connection=connection).update(lease_until=Now() - SECOND)


def claim(connection: Connection, limit: int = 10) -> list[Claimed]:
    """Take what is due, as a worker does, whatever the rate cap says."""
    Connection.objects.filter(pk=connection.pk).update(allowance_at=Now() - 60 * SECOND)
    return queue.claim(Connection.objects.get(pk=connection.pk), limit, "access-token")


def claim_one(connection: Connection) -> Claimed:
    """Take the one row that is due."""
    (claimed,) = claim(connection)
    return claimed


def answer(claimed: Claimed, do: Do = Do.DELIVERED, reason: str = "OCPI 1000", wait_s: float | None = None) -> Result:
    """Return what a worker makes of an answer that means `do`."""
    return Result(
        claimed=claimed,
        ruling=Ruling(do, reason, wait_s),
        method="PUT",
        url="https://push.example/locations/NL/EXA/LOC-0001",
        request_id=str(uuid.uuid4()),
        started_at=dt.datetime.now(dt.UTC),
        took_ms=5,
    )


def record(claimed: Claimed, do: Do = Do.DELIVERED, reason: str = "OCPI 1000", wait_s: float | None = None) -> None:
    """Write such an answer down."""
    queue.record([answer(claimed, do, reason, wait_s)])


def sent(ndw: Any) -> list[tuple[str, str]]:
    """Return method and path of each request to the push API, in order."""
    return [(request.method, request.path) for request in ndw.received]
