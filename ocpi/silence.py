"""CPOs that went silent: no sign of life for longer than the tenant's heartbeat.

A sign of life is an upload by whatever way, accepted or not (its hour is what is known of it: the end of that counts), an import,
or a good fetch from the CPO's own Sender. Where none of them is known, the upload token's last use has to do.
"""

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from django.utils import timezone

from tenants import sql
from tenants.models import Tenant

# Each look takes the newest entry of an index.
_LAST = """
    SELECT t.id, coalesce(greatest(uploaded.at, imported.at, fetched.at), used.at)
    FROM unnest(%(tenants)s::bigint[]) t(id)
    LEFT JOIN LATERAL (
        SELECT least(hour + interval '1 hour', clock_timestamp()) AS at FROM ocpi_uploadhour
        WHERE tenant_id = t.id ORDER BY hour DESC LIMIT 1
    ) uploaded ON true
    LEFT JOIN LATERAL (
        SELECT created_at AS at FROM ocpi_import WHERE tenant_id = t.id AND NOT is_dry_run ORDER BY created_at DESC LIMIT 1
    ) imported ON true
    LEFT JOIN LATERAL (
        SELECT CASE WHEN failures = 0 THEN last_finished_at ELSE greatest(locations_from, tariffs_from) END AS at
        FROM ocpi_source WHERE tenant_id = t.id
    ) fetched ON true
    LEFT JOIN LATERAL (
        SELECT max(last_used_at) AS at FROM tenants_token WHERE tenant_id = t.id AND purpose = 'upload'
    ) used ON true
"""


class Silent(NamedTuple):
    """A CPO and since when nothing came from it; None: nothing ever did."""

    tenant: Tenant
    since: dt.datetime | None


def silent(tenants: Iterable[Tenant]) -> list[Silent]:
    """Return those of some tenants that are silent, the longest first; not who is new, inactive or leaving. One query."""
    now = timezone.now()
    expected = {tenant.pk: tenant for tenant in tenants if tenant.is_active and not tenant.offboarding_at}
    found = []
    for pk, since in sql.run(_LAST, {"tenants": list(expected)}).fetchall():
        tenant = expected[pk]
        if (since or tenant.created_at) < now - dt.timedelta(hours=tenant.heartbeat_h):
            found.append(Silent(tenant, since))
    return sorted(found, key=lambda one: (one.since is not None, one.since or one.tenant.created_at, one.tenant.pk))
