"""Take a tenant out: no more uploads, every EVSE REMOVED, NDW's acceptance of each Location, then the end.

`begin` refuses uploads at once; `work`, in the worker of bulk uploads, does the rest and may run twice, late, next to itself or
be killed: each chunk is one transaction that holds the Offboarding, and what is left is found by looking. Tariffs stay: the
connectors of REMOVED EVSEs go on naming them (T-22), and NDW goes on pulling both.
Source: design §7 "Connections"; protocol L-01 to L-03, T-22.
"""

import datetime as dt
import hashlib
import logging
import time

import zstandard
from django.db import transaction
from django.utils import timezone

from ocpi import acceptances, errors, imports, rows, store
from ocpi.models import Import, Offboarding, Source
from tenants import sql
from tenants.models import Connection, Tenant, Token

logger = logging.getLogger(__name__)

BATCH = 100  # Locations of one transaction
NOTE = "The party is being offboarded; nothing was stored."

_LEFT = f"""
    SELECT o.id, o.ocpi_id FROM ocpi_location o
    WHERE o.tenant_id = %(tenant)s AND o.id > %(after)s AND {acceptances.IN_SERVICE} > 0 ORDER BY o.id LIMIT %(limit)s
"""


def begin(tenant: Tenant, who: str, *, confirmed_at: dt.datetime, confirmed_by: str) -> bool:
    """Refuse uploads of a tenant from now on and have its EVSEs removed; False when it has begun already.

    Uploads under way are waited for, so that none that is accepted comes later than this.
    """
    with transaction.atomic():
        rows.shut_gate(tenant)
        fresh = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
        if fresh.offboarding_at:
            return False
        one = Offboarding.objects.create(
            tenant=tenant, begun_by=who[:150], confirmed_at=confirmed_at, confirmed_by=confirmed_by[:150]
        )
        Tenant.objects.filter(pk=tenant.pk).update(offboarding_at=one.begun_at)
    logger.info("offboarding of %s begun by %s", tenant, who)
    return True


def work(longest_s: float = 10) -> int:
    """Take every tenant that leaves further, for so long at most; return how many have left."""
    until, count = time.monotonic() + longest_s, 0
    for one in Offboarding.objects.filter(tenant__offboarded_at=None).select_related("tenant").order_by("pk"):
        _discard_held(one)
        after: int | None = 0
        while after is not None and time.monotonic() < until:
            after = _remove_some(one, after)
        count += _finish(one)
    return count


def left(tenant: Tenant, limit: int) -> list[str]:
    """Return the ids of Locations with EVSEs in service, at most so many."""
    asked = {"tenant": tenant.pk, "after": 0, "limit": limit}
    return [ocpi_id for _, ocpi_id in sql.run(_LEFT, asked)]


def proof(one: Offboarding) -> bytes:
    """Return the proof as it was written, CSV in UTF-8; empty while it goes on."""
    return zstandard.decompress(bytes(one.proof)) if one.proof else b""


def _hold(one: Offboarding) -> Offboarding | None:
    """Lock it, unless it is over or another worker has it."""
    still = Offboarding.objects.filter(pk=one.pk, tenant__offboarded_at=None).select_related("tenant")
    return still.select_for_update(skip_locked=True, of=("self",)).first()


def _discard_held(one: Offboarding) -> None:
    """Drop full sets that wait for a decision; what is queued or runs fails by itself (`ocpi.imports`)."""
    for held in Import.objects.filter(tenant=one.tenant, state=Import.State.HELD).select_related("tenant"):
        imports.discard(held, one.begun_by, NOTE)


def _remove_some(one: Offboarding, after: int, limit: int = BATCH) -> int | None:
    """Set the EVSEs of some Locations behind `after` REMOVED; return as far as it came, None when no more are to be done."""
    tenant = one.tenant
    with tenant.transaction():
        held = _hold(one)
        if held is None or held.set_at:
            return None
        found = sql.run(_LEFT, {"tenant": tenant.pk, "after": after, "limit": limit}).fetchall()
        rows.lock_many("location", tenant, [ocpi_id for _, ocpi_id in found])  # in the order in which everybody locks
        for _, ocpi_id in found:
            _remove(tenant, ocpi_id)
        if not found and not left(tenant, 1):
            Offboarding.objects.filter(pk=one.pk).update(set_at=timezone.now())
    return found[-1][0] if found else None


def _remove(tenant: Tenant, ocpi_id: str) -> None:
    """Set the EVSEs of a Location REMOVED. What the rule book takes no more stays, is named, and is tried again."""
    try:
        store.remove_evses(tenant, ocpi_id, is_upload=False)
    except errors.OcpiError as refusal:
        logger.error("offboarding of %s: %s stays in service: %s", tenant, ocpi_id, refusal)


def _finish(one: Offboarding) -> bool:
    """End it when NDW has accepted all: write the proof, revoke and retire what is of use no more; pulls go on."""
    with transaction.atomic():
        held = _hold(one)
        if held is None or held.set_at is None:
            return False
        tenant, found = held.tenant, acceptances.progress(held.tenant, held.set_at)
        if not found.is_complete:
            return False
        now = timezone.now()
        text = acceptances.write(held, found, now).encode()
        held.proof, held.digest = zstandard.compress(text), hashlib.sha256(text).hexdigest()
        held.save(update_fields=["proof", "digest"])
        Tenant.objects.filter(pk=tenant.pk).update(offboarded_at=now)
        Token.objects.filter(tenant=tenant, purpose=Token.Purpose.UPLOAD, revoked_at=None).update(revoked_at=now)
        Connection.objects.filter(tenant=tenant).update(is_retired=True)
        Source.objects.filter(tenant=tenant).update(is_active=False)
    logger.info("offboarding of %s is over: %s", tenant, found.counts)
    return True
