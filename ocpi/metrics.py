"""`/metrics` for Prometheus: the promises, as the database knows them, and what the processes counted (`ocpi.meters`).

Every web process answers the same where METRICS_DIR is shared. Names of parties are in it, nothing of their objects: it is
answered to this machine and the private network around it, or to who shows METRICS_TOKEN; everybody else gets 404.
Source: reliability C34; design §4, "The clock".
"""

import hmac
import ipaddress
from collections.abc import Iterable, Iterator

import redis
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Min, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ocpi import clock, crawls, doorbell, meters
from ocpi.models import Alarm, Import, Push, Source
from ocpi.tokens import RENEW_AT
from tenants.models import Connection, ServiceAccount, Tenant

_GAUGES = {
    "oldest_waiting_seconds": "Age of the oldest accepted change that NDW lacks; 0: none waits.",
    "waiting": "Objects that NDW lacks as they are now.",
    "rejected": "Objects that NDW refused.",
    "late": "1 while a change over a production Connection has waited for more than 45 s.",
    "paused": "1 while nothing is sent: by an operator, or because of credentials, URL or certificate.",
    "failures": "Requests in a row without a usable answer; from 5 on the circuit is open.",
}


class _Deliveries(Collector):
    """Gauges `gateway_delivery_…` by tenant and environment: 0 where nothing is the matter."""

    def collect(self) -> Iterator[Metric]:
        """Read everything anew, in four queries."""
        connections = list(Connection.objects.filter(is_retired=False).select_related("tenant", "service_account"))
        found = _figures(connections)
        for name, words in _GAUGES.items():
            family = GaugeMetricFamily(f"gateway_delivery_{name}", words, labels=("tenant", "environment"))
            for one in connections:
                family.add_metric((str(one.tenant), one.environment), found[name].get(one.pk, 0))
            yield family


def _figures(connections: Iterable[Connection]) -> dict[str, dict[int, float]]:
    """Return each gauge by Connection (its id)."""
    undelivered = Push.objects.filter(Q(state=Push.State.DIRTY) | Q(state=Push.State.REJECTED)).order_by()
    counts = list(undelivered.values_list("connection", "state").annotate(Count("pk")))
    return {
        "oldest_waiting_seconds": {one.connection.pk: one.seconds for one in clock.waiting(connections)},
        "waiting": {pk: count for pk, state, count in counts if state == Push.State.DIRTY},
        "rejected": {pk: count for pk, state, count in counts if state == Push.State.REJECTED},
        "late": dict.fromkeys(Alarm.objects.exclude(opened_at=None).values_list("connection", flat=True), 1),
        "paused": {one.pk: int(one.is_paused) for one in connections},
        "failures": {one.pk: one.failures for one in connections},
    }


class _Others(Collector):
    """What else the operator promises: complete pulls, access tokens, sources, imports, queues."""

    def collect(self) -> Iterator[Metric]:
        """Read everything anew, in four queries and a look at Redis."""
        yield _crawls()
        yield from _access_tokens()
        yield from _sources()
        yield from _imports()
        yield from _queues()


def _crawls() -> Metric:
    """A tenant that nobody has pulled completely yet has none."""
    family = GaugeMetricFamily(
        "gateway_pull_complete_timestamp_seconds",
        "When the last complete walk through a list ended, Unix time.",
        labels=("tenant", "kind"),
    )
    names = {tenant.pk: str(tenant) for tenant in Tenant.objects.filter(is_active=True)}
    for (tenant, kind), crawl in crawls.latest(Tenant(pk=pk) for pk in names).items():
        if crawl.finished_at:
            family.add_metric((names[tenant], kind), crawl.finished_at.timestamp())
    return family


def _access_tokens() -> Iterator[Metric]:
    now, labels = timezone.now(), ("account", "environment")
    left = GaugeMetricFamily(
        "gateway_access_token_left_seconds", "Until the access token for NDW ends; 0: there is none.", labels=labels
    )
    age = GaugeMetricFamily(
        "gateway_access_token_age_seconds",
        "Since the access token for NDW was fetched; 0: there is none.",
        labels=labels,
    )
    for one in ServiceAccount.objects.filter(connections__is_retired=False).distinct():
        left_s = age_s = 0.0
        if one.access_token_expires_at and one.access_token_renew_at:
            left_s = max((one.access_token_expires_at - now).total_seconds(), 0)
            life = (one.access_token_expires_at - one.access_token_renew_at) / (1 - RENEW_AT)
            age_s = (now - one.access_token_expires_at + life).total_seconds() if left_s else 0
        left.add_metric((one.name, one.environment), left_s)
        age.add_metric((one.name, one.environment), age_s)
    yield from (left, age)


def _sources() -> Iterator[Metric]:
    now, labels = timezone.now(), ("tenant",)
    failures = GaugeMetricFamily(
        "gateway_source_failures", "Fetches from the CPO's own Sender that failed in a row.", labels=labels
    )
    stale = GaugeMetricFamily("gateway_source_stale_seconds", "Since the last good fetch of it.", labels=labels)
    for one in Source.objects.filter(is_active=True, tenant__is_active=True).select_related("tenant"):
        ended_at = None if one.failures else one.last_finished_at  # a list that moves is asked for from the same moment
        good = max(filter(None, (one.locations_from, one.tariffs_from, ended_at)), default=one.created_at)
        failures.add_metric((str(one.tenant),), one.failures)
        stale.add_metric((str(one.tenant),), max((now - good).total_seconds(), 0))
    yield from (failures, stale)


def _imports() -> Iterator[Metric]:
    now, states = timezone.now(), (Import.State.QUEUED, Import.State.RUNNING, Import.State.HELD)
    count = GaugeMetricFamily("gateway_imports", "Bulk uploads that have not ended.", labels=("state",))
    oldest = GaugeMetricFamily(
        "gateway_import_oldest_seconds", "Age of the oldest of them; 0: none.", labels=("state",)
    )
    rows = (
        Import.objects.filter(state__in=states).order_by().values_list("state").annotate(Count("pk"), Min("created_at"))
    )
    found = {state: (number, (now - at).total_seconds()) for state, number, at in rows}
    for state in states:
        number, age_s = found.get(state, (0, 0.0))
        count.add_metric((state.value,), number)
        oldest.add_metric((state.value,), age_s)
    yield from (count, oldest)


def _queues() -> Iterator[Metric]:
    """Redis is a doorbell: where it is away, that is said and nothing else suffers."""
    lengths = GaugeMetricFamily("gateway_queue_length", "Celery tasks that nobody has taken yet.", labels=("queue",))
    answers = 1
    try:
        for bell in (doorbell.PUSH, doorbell.IMPORTS):
            lengths.add_metric((bell.queue,), doorbell.queue_length(bell))
    except redis.RedisError:
        answers = 0
    yield lengths
    yield GaugeMetricFamily("gateway_redis_up", "1 while Redis answers.", value=answers)


def _may_read(request: HttpRequest) -> bool:
    """Return True for who shows METRICS_TOKEN; without one in the settings, for a caller from inside who names no other."""
    if settings.METRICS_TOKEN:
        shown = request.META.get("HTTP_AUTHORIZATION", "").encode()
        return hmac.compare_digest(shown, f"Bearer {settings.METRICS_TOKEN}".encode())
    is_forwarded = {"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP"} & request.META.keys()
    try:
        return not is_forwarded and ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_private
    except ValueError:
        return False


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in Prometheus' text format; 404 to strangers, 503 without the database."""
    if not _may_read(request):
        return HttpResponse("Nothing here.\n", status=404, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    try:
        for collector in (_Deliveries(), _Others(), meters.collector()):
            registry.register(collector)
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except DatabaseError:
        return HttpResponse("database not available\n", status=503, content_type="text/plain")
