"""What a process counts of its own work: how long uploads, pulls and pushes take, and what came of them.

Each process writes to a file of its own under METRICS_DIR, and whichever process is asked for /metrics adds all files up; without
the folder a process knows only itself. What they hold outlives the processes, or the sums would fall (`ocpi.meter_files`).
Source: reliability C34; the seed's "within one minute".
"""

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ocpi import meter_files

logger = logging.getLogger(__name__)
WAIT_S = 2.0  # for others who add up, which takes milliseconds

_own_file = ""
_own_lock: IO[str] | None = None


def _name_own_file() -> None:
    """Name this process, anew after a fork, where the lock of its parent's name is the parent's alone."""
    global _own_file, _own_lock
    _own_file = uuid.uuid4().hex
    if settings.METRICS_DIR:
        with suppress(OSError):  # of somebody else's folder: a command works there too, as long as it counts nothing
            _own_lock = meter_files.hold(Path(settings.METRICS_DIR), _own_file)


if settings.METRICS_DIR:
    _folder = Path(settings.METRICS_DIR)
    _folder.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError), meter_files.alone(_folder) as _is_alone:
        if _is_alone:
            meter_files.fold(_folder)
_name_own_file()
os.register_at_fork(after_in_child=_name_own_file)
values.ValueClass = values.MultiProcessValue(lambda: _own_file) if settings.METRICS_DIR else values.MutexValue

REGISTRY = CollectorRegistry()
_REQUEST_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)
_AGE_S = (0.5, 1, 2, 5, 10, 20, 30, 45, 60, 120, 300, 900)

requests = Counter(
    "gateway_requests", "Answers of the API, by interface and HTTP status.", ("area", "status"), registry=REGISTRY
)
uploads = Counter(
    "gateway_uploads", "Uploads over OCPI, by tenant and what came of them.", ("tenant", "outcome"), registry=REGISTRY
)
upload_seconds = Histogram(
    "gateway_upload_seconds",
    "How long an upload takes in a web process.",
    ("kind",),
    buckets=_REQUEST_S,
    registry=REGISTRY,
)
pull_seconds = Histogram(
    "gateway_pull_seconds",
    "How long a page, or one object, that is pulled takes in a web process.",
    ("kind",),
    buckets=_REQUEST_S,
    registry=REGISTRY,
)
pull_reads = Counter(
    "gateway_pull_reads",
    "Pages and objects read for pulls, by server: replica or primary. Only where REPLICA_URL is set.",
    ("server",),
    registry=REGISTRY,
)
pushes = Counter(
    "gateway_pushes",
    "Requests to NDW, by environment and what its answer means.",
    ("environment", "outcome"),
    registry=REGISTRY,
)
push_seconds = Histogram(
    "gateway_push_seconds", "How long NDW takes for an answer.", ("environment",), buckets=_REQUEST_S, registry=REGISTRY
)
push_age_seconds = Histogram(
    "gateway_push_age_seconds",
    "Age of the oldest change of a request when NDW accepted it: the minute.",
    ("environment",),
    buckets=_AGE_S,
    registry=REGISTRY,
)


@cache
def of(meter: Any, *labels: str) -> Any:
    """Return the meter of these label values: looked up once, as there are few."""
    return meter.labels(*labels)


class _AllProcesses(Collector):
    """What all processes have counted, or nothing while one of them keeps the others off."""

    def collect(self) -> Iterator[Metric]:
        """Fold the files of those that are gone, and add all up."""
        folder = Path(settings.METRICS_DIR)
        with meter_files.alone(folder, WAIT_S) as is_alone:
            if not is_alone:
                logger.warning("the files in %s are held by somebody who does not let go", folder)
                return
            meter_files.fold(folder)
            found = list(MultiProcessCollector(None, path=str(folder)).collect())
        yield from found


def collector() -> Collector:
    """Return what gathers the meters of all processes, or of this one where there is no folder."""
    return _AllProcesses() if settings.METRICS_DIR else REGISTRY
