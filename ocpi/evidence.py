"""What is known of one tenant's way to NDW: its credentials, objects, crawls, connections, and what NDW accepted of it.

One query each, whatever the size: what NDW accepted is looked for among some objects and the newest requests, not in all.
Source: protocol §7.1.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Count, F, Max, Q, Sum

from ocpi import crawls
from ocpi.models import Crawl
from ocpi.plans import Lot, Standing
from tenants import sql
from tenants.models import Connection, Credential, OAuthClient, Tenant, Token

MOST = 50  # credentials of a tenant that are looked at, newest first
OBJECTS, NEWEST = 10, 1000  # of each kind and connection; requests of the tenant

_PUSHES = """
    (SELECT p.id, '{kind}' AS kind FROM ocpi_push p WHERE p.tenant_id = %(tenant)s AND p.connection_id = c.id
        AND p.{kind}_id IS NOT NULL AND p.accepted_at IS NOT NULL AND p.priority {is_delete} 4 LIMIT %(objects)s)
"""
_ATTEMPTS = """
    (SELECT a.method, a.started_at FROM ocpi_pushattempt a WHERE a.push_id = sample.id AND a.outcome = 'delivered'
        ORDER BY a.started_at {order} LIMIT %(objects)s)
"""
_ACCEPTED = f"""
    WITH c AS (SELECT id, environment FROM tenants_connection WHERE tenant_id = %(tenant)s),
    sample AS (
        SELECT c.environment, one.* FROM c CROSS JOIN LATERAL (
            {_PUSHES.format(kind="location", is_delete="<>")} UNION ALL {_PUSHES.format(kind="tariff", is_delete="<>")}
            UNION ALL {_PUSHES.format(kind="tariff", is_delete="=")}) one
    ),
    newest AS (
        SELECT push_id, method, started_at FROM ocpi_pushattempt
        WHERE tenant_id = %(tenant)s AND outcome = 'delivered' AND changed_at IS NOT NULL
        ORDER BY changed_at DESC LIMIT %(newest)s
    ),
    made AS (
        SELECT sample.environment, sample.kind, one.* FROM sample CROSS JOIN LATERAL (
            {_ATTEMPTS.format(order="")} UNION ALL {_ATTEMPTS.format(order="DESC")}) one
        UNION ALL
        SELECT c.environment, CASE WHEN p.location_id IS NULL THEN 'tariff' ELSE 'location' END, n.method, n.started_at
        FROM newest n JOIN ocpi_push p ON p.id = n.push_id JOIN c ON c.id = p.connection_id
    )
    SELECT environment, kind, method, max(started_at) FROM made GROUP BY 1, 2, 3
"""
_PUSHED = """
    SELECT count(*) FILTER (WHERE state = 'dirty'), count(*) FILTER (WHERE state = 'rejected'),
        min(least(changed_at, next_changed_at)) FILTER (WHERE state = 'dirty')
    FROM ocpi_push WHERE connection_id = ANY(%(connections)s)
        AND (state = 'dirty' OR state = 'rejected' AND tenant_id = %(tenant)s)
"""


@dataclass(frozen=True)
class Tariffs:
    """How a tenant's Tariffs are: how many, how many with a warning, and with which."""

    count: int
    warned: int
    rules: Counter[str]

    @property
    def percent(self) -> int:
        """Return the share without a warning, rounded down: 100 is all."""
        return 100 * (self.count - self.warned) // self.count if self.count else 0


@dataclass(frozen=True)
class Facts:
    """All of it; what stands under an environment counts for that one."""

    tenant: Tenant
    credentials: list[Credential]
    standing: Standing
    tariffs: Tariffs
    connections: dict[str, Connection]
    crawls: dict[tuple[str, str], Crawl]
    accepted: dict[tuple[str, str, str], dt.datetime]
    uploaded_at: dt.datetime | None

    def accepted_at(self, environment: str, kind: str = "", method: str = "") -> dt.datetime | None:
        """Return when NDW last accepted such a request there, as far as was looked."""
        wanted = (environment, kind, method)
        found = (
            at
            for key, at in self.accepted.items()
            if all(want in ("", has) for want, has in zip(wanted, key, strict=True))
        )
        return max(found, default=None)

    def pull_credentials(self) -> Iterable[Credential]:
        """Return what NDW may pull with, or could once."""
        return (one for one in self.credentials if one.purpose == Token.Purpose.PULL)


def read(tenant: Tenant) -> Facts:
    """Return what is known of a tenant. Seven queries, two of which look at each object's row."""
    standing, located_at = _locations(tenant)
    tariffs, priced_at = _tariffs(tenant)
    connections = tenant.connections.filter(is_retired=False).select_related("service_account", "tenant")
    return Facts(
        tenant=tenant,
        credentials=_credentials(tenant),
        standing=standing,
        tariffs=tariffs,
        connections={one.environment: one for one in connections},
        crawls=crawls.by_environment(tenant),
        accepted=_accepted(tenant),
        uploaded_at=max((at for at in (located_at, priced_at) if at), default=None),
    )


def _locations(tenant: Tenant) -> tuple[Standing, dt.datetime | None]:
    """Return the standing without warnings, and when the last Location came in."""
    alike = tenant.locations.order_by().values_list("is_shown", "publish", "gaps")
    rows = list(alike.annotate(Count("pk"), Sum("evse_count"), Max("received_at")))
    lots = (
        Lot(tenant.pk, is_shown, publish, frozenset(gaps), frozenset(), count, evses)
        for is_shown, publish, gaps, count, evses, _at in rows
    )
    return Standing(tuple(lots)), max((row[-1] for row in rows), default=None)


def _tariffs(tenant: Tenant) -> tuple[Tariffs, dt.datetime | None]:
    """Return how the Tariffs are, and when the last one came in."""
    alike = tenant.tariffs.filter(deleted_at=None).order_by().values_list("warnings")
    rows = list(alike.annotate(Count("pk"), Max("received_at")))
    rules: Counter[str] = Counter()
    for warnings, count, _at in rows:
        rules.update(dict.fromkeys(warnings, count))
    warned = sum(count for warnings, count, _at in rows if warnings)
    total = sum(count for _warnings, count, _at in rows)
    return Tariffs(total, warned, rules), max((row[-1] for row in rows), default=None)


class Pushed(NamedTuple):
    """What NDW lacks of a tenant: how much waits, how much it refused, and since when the oldest with a clock waits."""

    waiting: int
    rejected: int
    since: dt.datetime | None


def pushed(facts: Facts) -> Pushed:
    """Return what NDW lacks, over the connections in use. One query."""
    wanted = {"tenant": facts.tenant.pk, "connections": [one.pk for one in facts.connections.values()]}
    return Pushed(*(sql.run(_PUSHED, wanted).fetchone() or (0, 0, None)))


def _credentials(tenant: Tenant) -> list[Credential]:
    """Return the tenant's own and those for all tenants: live ones first, then the newest."""
    covering, newest = Q(tenant=tenant) | Q(tenant=None), (F("revoked_at").desc(nulls_first=True), "-created_at", "-pk")
    found: list[Credential] = [
        *Token.objects.filter(covering).order_by(*newest)[:MOST],
        *OAuthClient.objects.filter(covering).order_by(*newest)[:MOST],
    ]
    return found


def _accepted(tenant: Tenant) -> dict[tuple[str, str, str], dt.datetime]:
    wanted = {"tenant": tenant.pk, "objects": OBJECTS, "newest": NEWEST}
    found = sql.run(_ACCEPTED, wanted).fetchall()
    return {(environment, kind, method): at for environment, kind, method, at in found}
