"""What CPOs should mend: the findings kept beside each object, and those that two objects make together.

The latter (a tariff nobody knows, a uid or evse_id in two places, two tariffs of a type) are never kept: they come and go
with the other object, so they are looked up whenever somebody reads. Other parties are never named to a CPO.

Source: protocol §6.1 L-25, L-26, L-29, §1.1; design §7 "JSON of the REST API".
"""

import base64
import binascii
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import orjson
from django.db.models import Q

from ocpi import documents
from ocpi.models import Location, Tariff
from ocpi.rules import GAP, Finding, restore, shown, uploads
from tenants import sql
from tenants.models import Tenant

BATCH = 500
TOGETHER = frozenset(
    {
        uploads.UNKNOWN_TARIFF.id,
        uploads.TWO_TARIFFS.id,
        uploads.UID_ELSEWHERE.id,
        uploads.EVSE_ID_ELSEWHERE.id,
    }
)
_MODELS: dict[str, type[Location] | type[Tariff]] = {"location": Location, "tariff": Tariff}


class Problem(NamedTuple):
    """A finding about a stored object."""

    kind: str
    pk: int
    ocpi_id: str
    evse_count: int
    finding: Finding


# --- What two objects make together ------------------------------------------------------------------------------------


class Validity(NamedTuple):
    """What a stored Tariff is for, and when; open ends are far away."""

    type: str | None
    start: dt.datetime
    end: dt.datetime


class Place(NamedTuple):
    """A Location that has an EVSE key."""

    pk: int
    tenant_id: int
    ocpi_id: str


class Others:
    """The other objects a tenant's Locations can meet, read once however many Locations are looked at.

    `names_parties` is for operators only: a CPO never learns who else delivers its evse_id.
    """

    def __init__(self, tenant: Tenant, *, names_parties: bool = False) -> None:
        self.tenant = tenant
        self.parties = {one.pk: str(one) for one in Tenant.objects.all()} if names_parties else {}
        self.validities: dict[str, Validity | None] = {}
        self.places: dict[str, list[Place]] = {}

    def read_tariffs(self, tariff_ids: Iterable[str]) -> None:
        """Read what there is of these tariffs (ids in lower case)."""
        named = set(tariff_ids) - self.validities.keys()
        if named:
            self.validities |= dict.fromkeys(named) | _validities(self.tenant, named)

    def read_places(self, keys: Iterable[str]) -> None:
        """Read where else these EVSE keys stand."""
        wanted = set(keys) - self.places.keys()
        if wanted:
            self.places |= {key: [] for key in wanted} | _places(self.tenant, wanted)

    def findings(self, pk: int, location: dict) -> list[Finding]:
        """Return what is odd about a Location together with what was read; `pk` is its row's, 0 without one."""
        uses = list(documents.tariff_uses(location))
        keys = list(_keys(self.tenant, location)) if any(self.places.values()) else []
        of_tariffs = _unknown_tariffs(uses, self.validities) + _two_of_a_type(uses, self.validities)
        return uploads.capped(of_tariffs + self._elsewhere(pk, keys))

    def _elsewhere(self, pk: int, keys: list[tuple[int, dict, str]]) -> list[Finding]:
        findings, told = [], set[tuple[int, int]]()
        for index, evse, key in keys:
            other = next((place for place in self.places.get(key, ()) if place.pk != pk), None)
            if other is None:
                continue
            if "/" not in key and (index, other.pk) in told:
                continue  # the same EVSE in the same other place: its uid says it already
            told.add((index, other.pk))
            name = f"{self.parties.get(other.tenant_id, '')} {other.ocpi_id}".strip()
            is_ours = other.tenant_id == self.tenant.pk or bool(self.parties)
            rule, field = uploads.EVSE_ID_ELSEWHERE if is_ours else uploads.EVSE_ID_ABROAD, "evse_id"
            if "/" in key:
                rule, field = uploads.UID_ELSEWHERE, "uid"
            findings.append(rule.at(f"/evses/{index}/{field}", value=shown(evse[field]), other=shown(name)))
        return findings


def look(tenant: Tenant, pk: int, location: dict, *, names_parties: bool = False) -> list[Finding]:
    """Return what is odd about one Location together with others; `pk` is its row's, 0 when it is not stored."""
    others = Others(tenant, names_parties=names_parties)
    others.read_tariffs(_tariffs_of(location))
    others.read_places(key for _, _, key in _keys(tenant, location))
    return others.findings(pk, location)


def look_many(tenant: Tenant, locations: list[tuple[int, dict, dict[str, Any]]]) -> dict[int, list[Finding]]:
    """Return what is odd about many stored Locations: of each (row, document, its columns) by row; few queries for all."""
    others, shared = Others(tenant), _shared([columns for _, _, columns in locations])
    others.read_tariffs(i for _, _, columns in locations for i in columns["tariff_ids"])
    others.read_places(key for _, _, columns in locations for key in columns["evse_keys"] if key in shared)
    odd = [one for one in locations if _is_odd(one[2], others.validities, shared, None)]
    return {pk: others.findings(pk, document) for pk, document, _ in odd}


def of_part(tenant: Tenant, kind: str, document: dict) -> list[Finding]:
    """Return what is odd about the tariffs of an EVSE or Connector that is not stored."""
    evse, at = (document, "") if kind == "evse" else ({"connectors": [document]}, "/connectors/0")
    location = {"evses": [{"status": "", "uid": "", **evse}]}
    others = Others(tenant)
    with tenant.transaction():
        others.read_tariffs(_tariffs_of(location))
    return [one.within(f"/evses/0{at}") for one in others.findings(0, location)]


def ad_hoc_tariffs(tenant: Tenant, location: dict) -> frozenset[str]:
    """Return which tariffs a Location names (lower case) a driver without a contract may use."""
    with tenant.transaction():
        validities = _validities(tenant, _tariffs_of(location))
    return frozenset(i for i, validity in validities.items() if validity.type in ("AD_HOC_PAYMENT", None))


def _tariffs_of(location: dict) -> set[str]:
    return {tariff_id.lower() for _, ids in documents.tariff_uses(location) for tariff_id in ids}


def _validities(tenant: Tenant, named: Iterable[str]) -> dict[str, Validity]:
    """Return the tenant's own live Tariffs among these ids (lower case)."""
    found = sql.run(
        "SELECT wanted, one.type, one.valid_from, one.valid_until FROM unnest(%(ids)s::text[]) wanted CROSS JOIN LATERAL ("
        " SELECT * FROM ocpi_tariff WHERE tenant_id = %(tenant)s AND ocpi_key = wanted OFFSET 0) one"
        " WHERE one.deleted_at IS NULL",
        {"tenant": tenant.pk, "ids": sql.array(sorted(named))},
    )
    return {tariff_id: Validity(type, start or _EVER, end or _NEVER) for tariff_id, type, start, end in found}


_EVER, _NEVER = dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


def _unknown_tariffs(uses: list[tuple[str, list[str]]], validities: Mapping[str, Validity | None]) -> list[Finding]:
    return [
        uploads.UNKNOWN_TARIFF.at(f"{path}/{index}", value=shown(tariff_id))
        for path, ids in uses
        for index, tariff_id in enumerate(ids)
        if validities.get(tariff_id.lower(), "not asked for") is None
    ]


def _two_of_a_type(uses: list[tuple[str, list[str]]], validities: Mapping[str, Validity | None]) -> list[Finding]:
    now = dt.datetime.now(dt.UTC)
    return [finding for path, ids in uses if len(ids) > 1 for finding in _competing(path, ids, validities, now)]


def _competing(
    path: str, ids: list[str], validities: Mapping[str, Validity | None], now: dt.datetime
) -> Iterator[Finding]:
    """Yield a finding for each tariff of a Connector that is valid, now or later, while another of its type is."""
    places = {tariff_id.lower(): index for index, tariff_id in reversed(list(enumerate(ids)))}
    valid = [(one, index) for key, index in places.items() if (one := validities.get(key)) and one.end > now]
    latest: dict[str | None, tuple[Validity, int]] = {}  # of each type: what ends last of those that began before
    for one, index in sorted(valid, key=lambda pair: (pair[0].start, pair[1])):
        other, place = latest.get(one.type, (one, index))
        if place != index and max(one.start, now) < other.end:
            rule = uploads.TWO_TARIFFS if one.type else uploads.TWO_UNTYPED
            first, second = sorted((place, index))
            yield rule.at(f"{path}/{second}", value=shown(ids[second]), other=shown(ids[first]), type=one.type)
        if one.end >= other.end:
            latest[one.type] = one, index
        else:
            latest.setdefault(one.type, (one, index))


def _keys(tenant: Tenant, location: dict) -> Iterator[tuple[int, dict, str]]:
    for index, evse in documents.in_service(location):
        for key in documents.evse_keys(tenant.pk, evse):
            if key:
                yield index, evse, key


def _places(tenant: Tenant, keys: Iterable[str]) -> dict[str, list[Place]]:
    """Return some Locations that have each key, the tenant's own first; of another tenant only what it shows.

    However many there are, few are looked at: others must not be able to make a CPO's upload slow.
    """
    found = sql.run(
        "SELECT key, own.* FROM unnest(%(keys)s::text[]) key CROSS JOIN LATERAL ("
        "  SELECT id, tenant_id, ocpi_id FROM ocpi_with_evse_key(key)"
        "  WHERE tenant_id = %(tenant)s OR is_shown ORDER BY tenant_id <> %(tenant)s, id LIMIT 2) own",
        {"keys": sorted(keys), "tenant": tenant.pk},
    )
    places: dict[str, list[Place]] = {}
    for key, *place in found:
        places.setdefault(key, []).append(Place(*place))
    return places


# --- Problems, page by page --------------------------------------------------------------------------------------------


@dataclass
class Page:
    """Some of a tenant's problems, and where the next ones begin; None when there are no more."""

    results: list[Problem]
    next: str | None


def page(
    tenant: Tenant,
    *,
    severity: str | None = None,
    rule: str | None = None,
    kind: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Page:
    """Return a tenant's problems in the order in which its objects came, Locations first.

    Raises ValueError when `after` is not one of ours.
    """
    start, pk, skip = _read(after) if after else ("location", 0, 0)
    kinds = [one for one in _MODELS if kind in (None, one) and (one == start or start == "location")]
    results: list[Problem] = []
    for one in kinds:
        first, count = (pk, skip) if one == start else (0, 0)
        for problem in of_tenant(tenant, one, severity=severity, rule=rule, first=first):
            if problem.pk == first and count:
                count -= 1  # these were on the page before
                continue
            if len(results) == limit:
                same = sum(p.pk == results[-1].pk and p.kind == results[-1].kind for p in results)
                earlier = skip if (results[-1].kind, results[-1].pk) == (start, pk) else 0
                return Page(results, _cursor(results[-1], same + earlier))
            results.append(problem)
    return Page(results, None)


def _cursor(last: Problem, shown_of_it: int) -> str:
    text = f"{last.kind[0]}{last.pk}.{shown_of_it}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(after: str) -> tuple[str, int, int]:
    try:
        text = base64.urlsafe_b64decode(after.encode() + b"=" * (-len(after) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise ValueError("not a value of ours") from error
    match = re.fullmatch(r"([lt])([0-9]{1,18})\.([0-9]{1,9})", text)
    if match is None:
        raise ValueError("not a value of ours")
    return {"l": "location", "t": "tariff"}[match[1]], int(match[2]), int(match[3])


def of_tenant(
    tenant: Tenant,
    kind: str,
    *,
    severity: str | None = None,
    rule: str | None = None,
    first: int = 0,
    shared: set[str] | None = None,
) -> Iterator[Problem]:
    """Yield a tenant's problems of one kind of object, from the row `first` on; its rows are read in batches.

    `shared` is what `all_shared` returned, for who goes through many tenants.
    """
    is_alone = kind == "tariff" or severity == GAP or (rule is not None and rule not in TOGETHER)
    rows = _rows(tenant, kind)
    if is_alone:
        rows = rows.exclude(findings=[])
    if is_alone and rule:
        has_rule = Q(warnings__contains=[rule])
        rows = rows.filter(has_rule | Q(gaps__contains=[rule]) if kind == "location" else has_rule)
    others, is_given = Others(tenant), shared is not None
    for number in count():
        with tenant.transaction():
            batch = list(rows.filter(pk__gte=first)[:BATCH])
            together: dict[int, list[Finding]] = {}
            if batch and not is_alone:
                if not is_given and number < 2:  # often one batch is all; for the rest the whole country is looked at
                    shared = all_shared() if number else _shared(batch)
                together = _together(others, batch, shared or set(), rule)
        for row in batch:
            for finding in restore(row["findings"]) + together.get(row["pk"], []):
                if severity in (None, finding.severity) and rule in (None, finding.rule):
                    yield Problem(kind, row["pk"], row["ocpi_id"], row.get("evse_count", 0), finding)
        if len(batch) < BATCH:
            return
        first = batch[-1]["pk"] + 1


def _rows(tenant: Tenant, kind: str) -> Any:
    if kind == "tariff":
        return tenant.tariffs.filter(deleted_at=None).order_by("pk").values("pk", "ocpi_id", "findings")
    columns = "pk", "ocpi_id", "findings", "tariff_ids", "evse_keys", "evse_count"
    return tenant.locations.order_by("pk").values(*columns)


def _together(
    others: Others, batch: list[dict[str, Any]], shared: set[str], rule: str | None
) -> dict[int, list[Finding]]:
    """Return the findings of the Locations in a batch that stand in each other's way; the others are not even read."""
    if rule in (None, uploads.UNKNOWN_TARIFF.id, uploads.TWO_TARIFFS.id):
        others.read_tariffs(i for row in batch for i in row["tariff_ids"])
    others.read_places(key for row in batch for key in row["evse_keys"] if key in shared)
    odd = [row["pk"] for row in batch if _is_odd(row, others.validities, shared, rule)]
    bodies = others.tenant.locations.filter(pk__in=odd).values_list("pk", "body").iterator(chunk_size=50)
    return {pk: others.findings(pk, orjson.loads(bytes(body))) for pk, body in bodies} if odd else {}


def _is_odd(row: dict[str, Any], validities: Mapping[str, Validity | None], shared: set[str], rule: str | None) -> bool:
    known = [validities[i] for i in row["tariff_ids"] if i in validities]
    if rule == uploads.UNKNOWN_TARIFF.id:
        return None in known
    if None in known or not shared.isdisjoint(row["evse_keys"]):
        return True
    return len({one.type for one in known if one}) < len(known)


def _shared(batch: list[dict[str, Any]]) -> set[str]:
    """Return which EVSE keys of a batch stand in two Locations or more."""
    found = sql.run(
        "SELECT key FROM unnest(%s::text[]) key WHERE 1 < ( SELECT count(*) FROM ocpi_with_evse_key(key))",
        [sql.array(sorted({key for row in batch for key in row["evse_keys"]}))],
    )
    return {key for (key,) in found}


def all_shared() -> set[str]:
    """Return all EVSE keys that stand in two Locations or more: half a second for the whole country."""
    found = sql.run("SELECT ocpi_shared_evse_keys()", [])
    return {key for (key,) in found}
