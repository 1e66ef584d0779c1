"""What stands between CPOs and NDW, counted: Locations by gaps and warnings, Tariffs by warnings, the advice that is met.

A national page is one query over Locations and one over Tariffs. What two objects make together is never stored and is
counted by SQL of its own. Bodies are read where it is said, and only for one tenant.

Source: protocol §7.9, §6.1 L-25, L-26, L-29; design §7 "Shown".
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import orjson
from django.db.models import Count, Q, QuerySet, Sum

from ocpi import problems
from ocpi.models import Location, Tariff
from ocpi.plans import Line, Lot, Standing, most_first
from ocpi.rules import profiles, uploads
from tenants import sql
from tenants.models import Tenant

AD_HOC = "AD_HOC_PAYMENT"
LOOKED_AT = 5000  # bodies read for one page at most, which takes a quarter of a second


def find_tenant(party: str) -> Tenant | None:
    """Return the tenant of a party written as NL-EXA, case does not matter; None when there is none."""
    country_code, _, party_id = party.upper().partition("-")
    found = Tenant.objects.filter(country_code=country_code, party_id=party_id)
    return found.first() if party_id.isalnum() and country_code.isalnum() else None


def standings(tenant_ids: list[int] | None = None) -> dict[int, Standing]:
    """Return the standing of each tenant that has Locations, of these or of all. One query."""
    by_tenant: dict[int, list[Lot]] = {}
    for lot in _lots(_of(Location.objects.all(), tenant_ids)):
        by_tenant.setdefault(lot.tenant_id, []).append(lot)
    return {tenant_id: Standing(tuple(found)) for tenant_id, found in by_tenant.items()}


def standing(tenant: Tenant) -> Standing:
    """Return the standing of one tenant. One query."""
    return Standing(tuple(_lots(tenant.locations.all())))


def _lots(locations: QuerySet) -> Iterator[Lot]:
    counted = locations.order_by().values_list("tenant_id", "is_shown", "publish", "gaps", "warnings")
    for tenant_id, is_shown, publish, gaps, warnings, count, evses in counted.annotate(Count("pk"), Sum("evse_count")):
        yield Lot(tenant_id, is_shown, publish, frozenset(gaps), frozenset(warnings), count, evses)


def tariffs(tenant_ids: list[int] | None = None) -> dict[int, tuple[int, int]]:
    """Return for each tenant that has Tariffs, of these or of all, how many, and how many with a warning. One query."""
    counted = _of(Tariff.objects.filter(deleted_at=None), tenant_ids).order_by().values_list("tenant_id")
    found = counted.annotate(count=Count("pk"), warned=Count("pk", filter=~Q(warnings=[])))
    return {tenant_id: (count, warned) for tenant_id, count, warned in found}


def _of(rows: QuerySet, tenant_ids: list[int] | None) -> QuerySet:
    return rows if tenant_ids is None else rows.filter(tenant__in=tenant_ids)


def tariff_warnings(tenant: Tenant) -> list[Line]:
    """Return how many Tariffs each warning concerns, and the EVSEs of the Locations that name them. One query."""
    found = sql.run(
        "SELECT rule, count, (SELECT coalesce(sum(evse_count), 0) FROM ocpi_location WHERE tenant_id = %s AND tariff_ids && ids)"
        " FROM (SELECT rule, count(*), array_agg(ocpi_key) ids FROM ocpi_tariff, unnest(warnings) rule"
        "  WHERE tenant_id = %s AND deleted_at IS NULL GROUP BY rule) warned",
        [tenant.pk, tenant.pk],
    )
    return most_first(Line(rule, count, evses) for rule, count, evses in found)


# --- What two objects make together ------------------------------------------------------------------------------------


_CONCERNED = {
    uploads.UNKNOWN_TARIFF.id: (
        "SELECT l.id, l.evse_count FROM ocpi_location l CROSS JOIN unnest(l.tariff_ids) one LEFT JOIN ocpi_tariff t"
        " ON t.tenant_id = l.tenant_id AND t.ocpi_key = one AND t.deleted_at IS NULL"
        " WHERE l.tenant_id = ANY(%s::bigint[]) AND t.id IS NULL GROUP BY l.id"
    ),
    uploads.UID_ELSEWHERE.id: (
        "WITH mine AS MATERIALIZED (SELECT id, evse_keys, evse_count FROM ocpi_location WHERE tenant_id = ANY(%s::bigint[]))"
        " SELECT id, evse_count FROM mine WHERE evse_keys && ARRAY(SELECT key FROM mine, unnest(evse_keys) key"
        " WHERE position('/' in key) > 0 GROUP BY key HAVING count(*) > 1)"
    ),
}
_SHARED_NUMBERS = (
    "SELECT DISTINCT l.id FROM ocpi_location l, unnest(l.evse_keys) key WHERE l.tenant_id = %s AND position('/' in key) = 0"
    " AND EXISTS (SELECT FROM ocpi_location other WHERE other.evse_keys @> ARRAY[key] AND other.id <> l.id)"
)
_KEPT = "SELECT id, evse_count FROM ocpi_location WHERE tenant_id = ANY(%s::bigint[]) AND warnings @> ARRAY[%s]"


def concerned(rule: str, tenants: Iterable[Tenant]) -> dict[int, int]:
    """Return which Locations break a rule of `problems.TOGETHER`, by themselves too, and how many EVSEs each has."""
    tenants = list(tenants)
    ids = [tenant.pk for tenant in tenants]
    found: dict[int, int] = dict(sql.run(_KEPT, [ids, rule]).fetchall())
    if rule in _CONCERNED:
        return found | dict(sql.run(_CONCERNED[rule], [ids]).fetchall())
    for tenant in tenants:
        found |= _read(tenant, rule)
    return found


def together(tenant: Tenant) -> list[Line]:
    """Return how much each rule of `problems.TOGETHER` concerns."""
    found = {rule: concerned(rule, [tenant]) for rule in problems.TOGETHER}
    return most_first(Line(rule, len(evses), sum(evses.values())) for rule, evses in found.items() if evses)


def tariff_types(tenant: Tenant) -> dict[str, str | None]:
    """Return what each live Tariff (its id in lower case) is for."""
    found = tenant.tariffs.filter(deleted_at=None).values_list("ocpi_id", "type")
    return {ocpi_id.lower(): type for ocpi_id, type in found.iterator()}


def _read(tenant: Tenant, rule: str) -> dict[int, int]:
    """Return where the documents themselves break a rule of two objects; of very many candidates the largest are read."""
    maybe = _with_choice(tenant) if rule == uploads.TWO_TARIFFS.id else _with_shared_number(tenant)
    locations = tenant.locations.filter(pk__in=maybe).order_by("-evse_count", "pk")[:LOOKED_AT]
    rows = list(locations.values_list("pk", "evse_count", "tariff_ids", "evse_keys"))
    others = problems.Others(tenant)
    if rule == uploads.TWO_TARIFFS.id:
        others.read_tariffs({tariff_id for _, _, ids, _ in rows for tariff_id in ids})
    else:
        others.read_places({key for *_, keys in rows for key in keys})
    bodies = tenant.locations.filter(pk__in=[row[0] for row in rows]).values_list("pk", "body")
    found = {
        pk
        for pk, body in bodies.iterator(chunk_size=problems.BATCH)
        if any(one.rule == rule for one in others.findings(pk, orjson.loads(bytes(body))))
    }
    return {pk: evses for pk, evses, *_ in rows if pk in found}


def _with_choice(tenant: Tenant) -> list[int]:
    """Return which Locations name more than one Tariff of a type."""
    types = tariff_types(tenant)
    named = tenant.locations.filter(tariff_ids__len__gt=1).values_list("pk", "tariff_ids")
    return [pk for pk, ids in named if max(Counter(types[i] for i in ids if i in types).values(), default=0) > 1]


def _with_shared_number(tenant: Tenant) -> list[int]:
    """Return which Locations have an evse_id that another one has."""
    return [pk for (pk,) in sql.run(_SHARED_NUMBERS, [tenant.pk])]


# --- What the law asks next --------------------------------------------------------------------------------------------


class Fill(NamedTuple):
    """How many of a tenant's objects meet one advice."""

    advice: profiles.Advice
    met: int
    of: int

    @property
    def percent(self) -> int:
        """Return the share, rounded down: 100 is all."""
        return 100 * self.met // self.of if self.of else 0


def fills(tenant: Tenant, types: Mapping[str, str | None], limit: int = LOOKED_AT) -> tuple[list[Fill], int]:
    """Return how far a tenant is with afir-2025-655, and at how many of its Locations, newest first, that was looked."""
    ad_hoc = frozenset(tariff_id for tariff_id, type in types.items() if type in (AD_HOC, None))
    met, of, looked_at = Counter[str](), Counter[str](), 0
    newest = tenant.locations.order_by("-pk").values_list("body", "unknown")[:limit]
    for body, unknown in newest.iterator(chunk_size=problems.BATCH):
        looked_at += 1
        around = profiles.Surroundings(unknown or {}, ad_hoc)
        for advice_id, (good, all_of_it) in profiles.readiness(orjson.loads(bytes(body)), around).items():
            met[advice_id] += good
            of[advice_id] += all_of_it
    return [Fill(advice, met[advice.id], of[advice.id]) for advice in profiles.ADVICE], looked_at


def fills_of(location: Location) -> list[Fill]:
    """Return how far one Location is with afir-2025-655."""
    document = location.document
    around = profiles.Surroundings(location.unknown or {}, problems.ad_hoc_tariffs(location.tenant, document))
    found = profiles.readiness(document, around)
    return [Fill(advice, *found[advice.id]) for advice in profiles.ADVICE]
