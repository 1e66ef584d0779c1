"""/metrics: what the database and the processes know, and who may read it; dashboard and alerts ask for what is there."""

import datetime as dt
import http.client
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from django.utils import timezone
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from ocpi import doorbell, meter_files, meters, push
from ocpi.models import Crawl, Import, Source
from tenants.models import ServiceAccount
from tests import factories
from tests.benchmarks import stage
from tests.conftest import CLIENT
from tests.documents import location_body
from tests.minutes import connect

ROOT = Path(__file__).resolve().parent.parent
HOUR = dt.timedelta(hours=1)
Sample = tuple[str, tuple[str, ...]]


def read(text: str) -> dict[Sample, float]:
    """Return {(name, label values in the order of their names): figure}."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(**headers: str) -> dict[Sample, float]:
    answer = CLIENT.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return read(answer.content.decode())


def grown(before: dict[Sample, float], *starts: str) -> dict[Sample, float]:
    """Return how much each sample whose name begins so has grown since, where it has; without the buckets and sums."""
    return {
        key: value - before.get(key, 0)
        for key, value in scrape().items()
        if key[0].startswith(starts)
        and not key[0].endswith(("_bucket", "_sum", "_created"))
        and value != before.get(key)
    }


# --- What the processes count ------------------------------------------------------------------------------------------


def test_metrics_count_uploads_by_what_came_of_them(cpo, rival, upload):
    before = scrape()
    body, path = location_body(), "/locations/NL/EXA/LOC-0001"

    upload.put(path, body)
    upload.put(path, body)
    upload.patch(path, {"name": "Other", "last_updated": "2026-03-02T10:00:00Z"})
    upload.patch(f"{path}/EVSE-1", {"status": "CHARGING", "last_updated": "2026-03-01T10:00:00Z"})
    upload.put(path, {})
    upload.put("/locations/NL/RIV/LOC-0001", body)
    upload.put(path, body, Authorization="Token nonsense")
    upload.get(path)

    assert grown(before, "gateway_uploads", "gateway_upload_seconds", "gateway_requests") == {
        ("gateway_uploads_total", ("created", "NL-EXA")): 1,
        ("gateway_uploads_total", ("unchanged", "NL-EXA")): 1,
        ("gateway_uploads_total", ("changed", "NL-EXA")): 1,
        ("gateway_uploads_total", ("stale", "NL-EXA")): 1,
        ("gateway_uploads_total", ("refused", "NL-EXA")): 1,
        ("gateway_uploads_total", ("refused", "")): 1,  # another's party: nobody's name is taken from a URL
        ("gateway_uploads_total", ("denied", "")): 1,
        ("gateway_upload_seconds_count", ("location",)): 6,
        ("gateway_upload_seconds_count", ("evse",)): 1,
        ("gateway_requests_total", ("upload", "201")): 1,
        ("gateway_requests_total", ("upload", "200")): 5,
        ("gateway_requests_total", ("upload", "404")): 1,
        ("gateway_requests_total", ("upload", "401")): 1,
    }


def test_metrics_count_pulls_and_pages_of_nobody_are_no_pulls(cpo, pull):
    factories.put_location(cpo)
    before = scrape()

    assert pull.get("/locations").status_code == 200
    assert pull.get("/locations/LOC-0001").status_code == 200
    assert pull.get("/tariffs").status_code == 200
    assert pull.get("/sessions").status_code == 404

    assert grown(before, "gateway_pull_seconds", "gateway_requests") == {
        ("gateway_pull_seconds_count", ("location",)): 2,
        ("gateway_pull_seconds_count", ("tariff",)): 1,
        ("gateway_requests_total", ("pull", "200")): 3,
        ("gateway_requests_total", ("pull", "404")): 1,
    }


def test_metrics_count_pushes_and_the_age_of_what_was_accepted(cpo, ndw):
    factories.make_connection(cpo, ndw)
    factories.put_location(cpo)
    ndw.fail_next(503)
    before = scrape()

    push.drain(0)
    assert grown(before, "gateway_push") == {
        ("gateway_pushes_total", ("staging", "retry")): 1,
        ("gateway_push_seconds_count", ("staging",)): 1,
    }

    connection = cpo.connections.get()
    connection.pushes.update(due_at=timezone.now())
    push.drain(0)
    assert grown(before, "gateway_push") == {
        ("gateway_pushes_total", ("staging", "retry")): 1,
        ("gateway_pushes_total", ("staging", "delivered")): 1,
        ("gateway_push_seconds_count", ("staging",)): 2,
        ("gateway_push_age_seconds_count", ("staging",)): 1,
    }


def test_metrics_of_all_processes_are_added_up_and_outlive_them(transactional_db, cpo, tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    token = factories.make_token(cpo)
    headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

    def uploaded(port: int, count: int) -> float:
        for _ in range(count):  # a connection each: whichever process takes it
            caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            path = "/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001"
            caller.request("PUT", path, json.dumps(location_body()), headers)
            assert caller.getresponse().status in (200, 201)
            caller.close()
        caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        caller.request("GET", "/metrics", headers={"Connection": "close"})  # a kept one would hold up the server's end
        return read(caller.getresponse().read().decode())["gateway_upload_seconds_count", ("location",)]

    with stage.served() as server:
        assert uploaded(server.port, 12) == 12
    with stage.served(workers=1) as server:
        assert uploaded(server.port, 1) == 13
    with stage.served() as server:
        assert uploaded(server.port, 1) == 14
        assert (
            len(list((tmp_path / "metrics").glob("histogram_*.db"))) <= 3
        )  # of its two workers, and of all who are gone


FILES = {"a": {"x": 1.0, "y": 2.0}, "b": {"x": 10.0}, "c": {"y": 100.0}}  # of processes, by key
SUMS = {"x": 11.0, "y": 102.0}


def write_files(folder: Path, names: Iterable[str] = "abc") -> None:
    """Leave what processes leave who have counted and are gone."""
    for name in names:
        meter_files.hold(folder, name).close()
        for kind in meter_files.KINDS:
            file = MmapedDict(str(folder / f"{kind}_{name}.db"))
            for key, value in FILES[name[0]].items():
                file.write_value(key, value, 0)
            file.close()


def sums(folder: Path, kind: str) -> dict[str, float]:
    found: Counter[str] = Counter()
    for path in folder.glob(f"{kind}_*.db"):
        found.update({key: value for key, value, *_ in MmapedDict.read_all_values_from_file(path)})
    return dict(found)


def test_files_of_processes_that_are_gone_are_folded_and_those_of_the_living_stay(tmp_path):
    write_files(tmp_path)
    with meter_files.hold(tmp_path, "b"):
        meter_files.fold(tmp_path)

        left = {path.name for path in tmp_path.iterdir()}
        assert left == {f"{kind}_{name}.db" for kind in meter_files.KINDS for name in ("folded", "b")} | {"b.lock"}
        assert [sums(tmp_path, kind) for kind in meter_files.KINDS] == [SUMS, SUMS]
    meter_files.fold(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"counter_folded.db", "histogram_folded.db"}
    assert [sums(tmp_path, kind) for kind in meter_files.KINDS] == [SUMS, SUMS]


@pytest.mark.parametrize("steps", range(16))
def test_fold_that_is_cut_off_anywhere_counts_nothing_twice(tmp_path, monkeypatch, steps):
    write_files(tmp_path)
    left = iter(range(steps))

    def cut(call: Callable) -> Callable:
        def step(*arguments: object, **named: object) -> object:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return call(*arguments, **named)

        return step

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(os, "replace", cut(os.replace))
        patch.setattr(Path, "unlink", cut(Path.unlink))
        meter_files.fold(tmp_path)
    meter_files.fold(tmp_path)

    assert [sums(tmp_path, kind) for kind in meter_files.KINDS] == [SUMS, SUMS]
    assert {path.name for path in tmp_path.glob("*_*.db")} == {"counter_folded.db", "histogram_folded.db"}


def test_folds_and_sums_at_the_same_time_agree(tmp_path):
    wrong: list[object] = []
    for number in range(20):
        write_files(tmp_path, names=[f"{letter}{number}" for letter in "abc"])
    expected = {key: value * 20 for key, value in SUMS.items()}

    def look() -> None:
        for _ in range(5):
            with meter_files.alone(tmp_path, 30) as is_alone:
                meter_files.fold(tmp_path)
                wrong.extend({} if not is_alone else one for one in [sums(tmp_path, "counter")] if one != expected)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_nobody_waits_for_ever_for_who_holds_the_gate(tmp_path):
    with meter_files.alone(tmp_path) as first, meter_files.alone(tmp_path, 0.05) as second:
        assert (first, second) == (True, False)
    with meter_files.alone(tmp_path) as again:
        assert again


# --- What the database knows -------------------------------------------------------------------------------------------


def test_metrics_have_gauges_of_pulls_tokens_sources_and_imports(cpo, rival):
    now = timezone.now()
    account = connect(cpo).service_account
    ServiceAccount.objects.filter(pk=account.pk).update(
        access_token_renew_at=now + dt.timedelta(seconds=840), access_token_expires_at=now + dt.timedelta(seconds=1200)
    )  # a life of 1800 s, renewed at 80 % of it
    for hours, finished in ((30, True), (3, True), (1, False)):
        at = now - hours * HOUR
        Crawl.objects.create(tenant=cpo, kind="location", started_at=at - HOUR, finished_at=at if finished else None)
    Source.objects.create(tenant=rival, url="https://cpo.example/ocpi", failures=7, tariffs_from=now - 2 * HOUR)
    Source.objects.create(
        tenant=cpo, url="https://cpo.example/", tariffs_from=now - 40 * HOUR, last_finished_at=now - 1 * HOUR
    )
    for state, hours in (("held", 5), ("held", 1), ("done", 9)):
        Import.objects.create(tenant=cpo, kind="location", phase="scan", state=state, created_at=now - hours * HOUR)

    found = scrape()

    assert found["gateway_pull_complete_timestamp_seconds", ("location", "NL-EXA")] == (now - 3 * HOUR).timestamp()
    assert [key for key in found if key[0].startswith("gateway_pull_complete")] == [
        ("gateway_pull_complete_timestamp_seconds", ("location", "NL-EXA"))
    ]
    assert found["gateway_source_failures", ("NL-RIV",)] == 7
    stale = [found["gateway_source_stale_seconds", (tenant,)] // 60 for tenant in ("NL-RIV", "NL-EXA")]
    assert stale == [120, 60]
    assert [found["gateway_imports", (state,)] for state in ("queued", "running", "held")] == [0, 0, 2]
    assert [found["gateway_import_oldest_seconds", (state,)] // 60 for state in ("queued", "held")] == [0, 300]
    labels = (account.name, "production")
    assert found["gateway_access_token_left_seconds", labels] // 10 == 119
    assert found["gateway_access_token_age_seconds", labels] // 10 == 60
    assert found["gateway_redis_up", ()] == 1
    assert {labels for name, labels in found if name == "gateway_queue_length"} == {("push",), ("imports",)}


def test_metrics_do_without_redis(db, settings):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    doorbell._redis.cache_clear()
    try:
        found = scrape()
    finally:
        doorbell._redis.cache_clear()

    assert found["gateway_redis_up", ()] == 0
    assert not [key for key in found if key[0] == "gateway_queue_length"]


def test_metrics_cost_the_same_queries_for_many_tenants(cpo, django_assert_max_num_queries):
    for number in range(10):
        connect(factories.make_tenant(f"T{number:02}"))

    with django_assert_max_num_queries(10):
        assert len([key for key in scrape() if key[0] == "gateway_delivery_waiting"]) == 10


# --- Who may read it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("172.18.0.7", {}, 200),
        ("8.8.8.8", {}, 404),
        ("", {}, 404),
        ("127.0.0.1", {"X-Forwarded-For": "8.8.8.8"}, 404),
        ("127.0.0.1", {"Forwarded": "for=8.8.8.8"}, 404),
        ("8.8.8.8", {"Authorization": "Bearer scraper"}, 404),  # no token is set: none opens
    ],
)
def test_metrics_are_for_callers_from_inside(db, address, headers, status):
    assert CLIENT.get("/metrics", REMOTE_ADDR=address, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("address", "shown", "status"),
    [
        ("8.8.8.8", "Bearer scraper", 200),
        ("8.8.8.8", "Bearer scrape", 404),
        ("127.0.0.1", "Bearer é", 404),
        ("127.0.0.1", "", 404),
    ],
)
def test_metrics_with_a_token_are_for_who_shows_it(db, settings, address, shown, status):
    settings.METRICS_TOKEN = "scraper"

    assert CLIENT.get("/metrics", REMOTE_ADDR=address, headers={"Authorization": shown}).status_code == status


# --- Dashboard and alerts ----------------------------------------------------------------------------------------------

RULES = [rule for group in yaml.safe_load((ROOT / "ops/alerts.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "ops/grafana.json").read_text())
_NAME = re.compile(r"\bgateway_\w+")
_SELECTOR = re.compile(r"\b(gateway_\w+)\{([^}]*)\}")


def expressions() -> list[str]:
    """Return every expression of the alerts and of the dashboard, its variables too."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    variables = [one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    return [rule["expr"] for rule in RULES] + panels + variables


@pytest.fixture
def offered(cpo, upload, pull, ndw) -> dict[str, set[str]]:
    """Return every name that /metrics gives, with its labels, when everything has happened once."""
    factories.make_connection(cpo, ndw)
    upload.put("/locations/NL/EXA/LOC-0001", location_body())
    pull.get("/locations")
    push.drain(0)
    meters.of(meters.pull_reads, "primary")  # there is no replica here
    Crawl.objects.create(tenant=cpo, kind="location", finished_at=timezone.now())
    Source.objects.create(tenant=cpo, url="https://cpo.example/ocpi")
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(CLIENT.get("/metrics").content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_alerts_and_dashboard_name_only_what_metrics_gives(offered):
    named = {name for expression in expressions() for name in _NAME.findall(expression)}

    assert len(named) >= 20
    assert named - set(offered) == set()


def test_alerts_and_dashboard_select_by_labels_that_exist(offered):
    wrong = [
        (name, label)
        for expression in expressions()
        for name, inner in _SELECTOR.findall(expression)
        for label in re.findall(r"(\w+)\s*[=!]", inner)
        if label not in offered[name]
    ]
    grouped = {
        label
        for one in expressions()
        for inner in re.findall(r"\b(?:by|on) \(([^)]*)\)", one)
        for label in inner.split(", ")
    }

    assert wrong == []
    assert grouped - set().union(*offered.values()) == set()


def test_alerts_use_every_gauge_of_the_promises(offered):
    used = " ".join(expressions())
    families = {
        re.sub(r"_(bucket|sum|count|created|total)$", "", name) for name in offered if name.startswith("gateway_")
    }

    assert {name for name in families if name not in used} == set()


def test_alerts_say_what_to_do():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) >= 15
    for rule in RULES:
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]
        assert rule["annotations"]["action"].endswith("."), rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]


def test_meters_have_few_series(db):
    labels = {metric._name: set(metric._labelnames) for metric in meters.REGISTRY._collector_to_names}  # type: ignore[attr-defined]

    assert [name for name, names in labels.items() if "tenant" in names] == ["gateway_uploads"]
    assert {label for names in labels.values() for label in names} == {
        "area",
        "status",
        "tenant",
        "outcome",
        "kind",
        "environment",
        "server",
    }
