"""What NDW does not have, grouped by why: gaps, NDW's refusals, pauses, faults; and the way to send it again.

Answers that differ only in ids, numbers and quoted words are one cause. Everything is counted by the database: three
queries, whatever the number of objects.

Source: protocol §9; design §4, §7 "Connections".
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Case, Count, Func, Min, Q, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Left, Now
from django.utils.translation import get_language, gettext_noop
from django.utils.translation import gettext as _

from ocpi import doorbell, queue
from ocpi.models import Push, PushQuerySet
from ocpi.rules import GAP, RULES, Finding
from tenants import sql
from tenants.models import Connection, Tenant

BATCH = 1000
LONGEST = 200  # characters of a cause
UNTRIED = gettext_noop("not yet tried")
BEING_SENT = gettext_noop("being sent")
ORDER = ("rejected", "blocked", "dirty", "sending", "withheld")


@dataclass(frozen=True)
class Cause:
    """Why NDW does not have some objects; `connection` is None for what is withheld from every one."""

    state: str
    tenant: Tenant
    connection: Connection | None
    words: str
    count: int
    since: dt.datetime | None  # the oldest of them waits since then
    key: str = ""  # the rule, or what `alike` says of the answer; "" when the state says it all

    def __str__(self) -> str:
        return f"{self.count:,} objects: {self.words}"


def _with(expression: Combinable | str, function: str, *patterns: str) -> Func:
    return Func(expression, *(Value(one) for one in patterns), function=function, output_field=TextField())


def alike() -> Case:
    """Return the expression that says the same of answers that mean the same: `OCPI 2001: evse … unknown`."""
    code = _with("last_answer", "substring", "^(?:OCPI|HTTP) [0-9]+")
    said = _with("last_answer", "substring", r'"status_message"\s*:\s*"((?:[^"\\]|\\.)*)')
    rest = _with("last_answer", "regexp_replace", "^(?:OCPI|HTTP) [0-9]+ *", "")
    plain = _with(Coalesce(said, rest), "regexp_replace", r'\\"', '"', "g")
    general = _with(plain, "regexp_replace", r"""(?<![[:alnum:]])'[^']*'|"[^"]*"|\S*[0-9]\S*""", "…", "g")
    words = Func(general, Value(""), function="nullif")
    told = Func(Value(": "), code, words, function="concat_ws", output_field=TextField())
    return Case(When(last_answer="", then=Value(UNTRIED)), default=Left(told, LONGEST), output_field=TextField())


def causes(tenant: Tenant | None = None) -> list[Cause]:
    """Return why NDW lacks what it lacks, of one tenant or of all; by tenant and Connection, most objects first."""
    connections = Connection.objects.filter(is_retired=False).select_related("tenant")
    if tenant:
        connections = connections.filter(tenant=tenant)
    found = of_pushes(connections) + _withheld(tenant)
    return sorted(found, key=_order)


def _order(cause: Cause) -> tuple:
    environment = cause.connection.environment if cause.connection else ""
    return str(cause.tenant), environment, ORDER.index(cause.state), -cause.count, cause.words


def of_pushes(connections: Iterable[Connection]) -> list[Cause]:
    """Return why NDW lacks what goes over some Connections, in no order. One query."""
    by_id = {one.pk: one for one in connections}
    is_lacked = Q(state=Push.State.DIRTY) | Q(state=Push.State.REJECTED)  # as the partial indexes have it
    rows = Push.objects.filter(is_lacked, connection__in=list(by_id))
    is_sending = When(state=Push.State.DIRTY, lease_until__gt=Now(), then=Value(BEING_SENT))
    alikes = rows.annotate(alike=Case(is_sending, default=alike(), output_field=TextField())).order_by()
    since = Min(Coalesce("changed_at", "due_at"))
    counted = alikes.values_list("connection", "state", "alike").annotate(count=Count("pk"), since=since)
    found: dict[tuple[int, str, str], Cause] = {}
    for pk, state, words, count, waits_since in counted:
        cause = _cause(by_id[pk], "sending" if words == BEING_SENT else state, words, count, waits_since)
        same = found.get((pk, cause.state, cause.words))
        found[pk, cause.state, cause.words] = _sum(same, cause) if same else cause
    return list(found.values())


def _cause(target: Connection, state: str, words: str, count: int, since: dt.datetime | None) -> Cause:
    if state != Push.State.DIRTY:
        return Cause(state, target.tenant, target, words, count, since, words if state == "rejected" else "")
    if target.is_paused:
        return Cause("blocked", target.tenant, target, target.pause_reason or _("paused"), count, since)
    if target.failures >= queue.BREAKER_FAILURES:
        told = _("NDW does not answer: %(count)s requests in a row; one tries every few seconds")
        return Cause("dirty", target.tenant, target, told % {"count": target.failures}, count, since)
    told = _(UNTRIED) if words == UNTRIED else _("last answer: %(words)s") % {"words": words}
    return Cause("dirty", target.tenant, target, told, count, since, words)


def _sum(one: Cause, other: Cause) -> Cause:
    since = min(filter(None, (one.since, other.since)), default=None)
    return Cause(one.state, one.tenant, one.connection, one.words, one.count + other.count, since, one.key)


def _withheld(tenant: Tenant | None) -> list[Cause]:
    found = sql.run(
        "SELECT tenant_id, gap, count(*), min(received_at) FROM ocpi_location, unnest(gaps) gap"
        " WHERE NOT is_shown AND publish AND (%(tenant)s::bigint IS NULL OR tenant_id = %(tenant)s) GROUP BY tenant_id, gap",
        {"tenant": tenant.pk if tenant else None},
    ).fetchall()
    tenants = Tenant.objects.in_bulk({row[0] for row in found}) if tenant is None else {tenant.pk: tenant}
    return [Cause("withheld", tenants[pk], None, lacks(rule), count, since, rule) for pk, rule, count, since in found]


def by_gap(tenants: Iterable[int] | None) -> Counter[str]:
    """Return how many Locations each gap withholds, of some tenants (their keys) or of all (None). One query."""
    found = sql.run(
        "SELECT gap, count(*) FROM ocpi_location, unnest(gaps) gap"
        f" WHERE NOT is_shown AND publish AND {'%(own)s::bigint[] IS NULL' if tenants is None else 'tenant_id = ANY(%(own)s)'}"
        " GROUP BY gap ORDER BY gap",
        {"own": None if tenants is None else list(tenants)},
    )
    return Counter(dict(found.fetchall()))


def lacks(rule_id: str) -> str:
    """Return what a gap is, in a few words: `energy_mix missing`."""
    rule = next((one for one in RULES.values() if (one.id, one.severity) == (rule_id, GAP)), None)
    return (
        Finding("", rule)
        .said("nl" if get_language() == "nl" else "en")
        .partition(";")[0]
        .replace(" is missing", " missing")
        if rule
        else rule_id
    )


# --- Again -------------------------------------------------------------------------------------------------------------

NOT_WITHHELD = ~Q(location__is_shown=False, location__publish=True)
VISIBLE = Q(location__is_shown=True) | Q(tariff__isnull=False, tariff__deleted_at=None)


def refused(target: Connection, words: str | None = None) -> PushQuerySet:
    """Return what NDW rejected over a Connection, all of it or that of one cause; not what is withheld by now."""
    rows = target.pushes.filter(NOT_WITHHELD, state=Push.State.REJECTED)
    return rows if words is None else rows.annotate(alike=alike()).filter(alike=words)


def visible(target: Connection) -> PushQuerySet:
    """Return the rows of everything NDW shall have over a Connection."""
    return target.pushes.filter(VISIBLE)


def resend(pushes: PushQuerySet, *, is_backlog: bool = False) -> int:
    """Make rows due as whole objects, in batches, and ring; return how many.

    `is_backlog`: behind everything else, for it is much and NDW may well have it; what waits already keeps its place.
    """
    ids = list(pushes.order_by("pk").values_list("pk", flat=True))
    count = 0
    for start in range(0, len(ids), BATCH):
        rows = Push.objects.filter(pk__in=ids[start : start + BATCH])
        with transaction.atomic():
            if is_backlog:
                _put_behind(rows)
            count += queue.send_again(rows)
    doorbell.ring()
    return count


def _put_behind(rows: PushQuerySet) -> None:
    """Lock rows, in the order of `ocpi.queue`, and let everything else go before those that wait for nothing now."""
    locked = rows.select_for_update(no_key=True).order_by("connection", "pk").values_list("pk", flat=True)
    idle = Push.objects.filter(pk__in=list(locked)).exclude(state=Push.State.DIRTY)
    idle.exclude(priority=Push.Priority.TARIFF_DELETE).update(priority=Push.Priority.BACKLOG)
