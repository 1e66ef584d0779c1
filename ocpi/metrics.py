"""`/metrics` for Prometheus: what waits for NDW, per tenant and environment, as the database knows it.

Every web process answers the same, since nothing is counted in a process. Names of parties are in it, nothing of their
objects; the proxy in front keeps strangers out. Source: reliability C34; design §4, "The clock".
"""

from collections.abc import Iterable, Iterator

from django.db import DatabaseError
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ocpi import clock
from ocpi.models import Alarm, Push
from tenants.models import Connection

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


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in Prometheus' text format; 503 without the database."""
    registry = CollectorRegistry()
    try:
        registry.register(_Deliveries())
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except DatabaseError:
        return HttpResponse("database not available\n", status=503, content_type="text/plain")
