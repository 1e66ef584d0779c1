"""Every benchmark runs, at a size that only shows that it still does."""

import orjson
import pytest

from ocpi import rules
from tests.benchmarks import bench_import, bench_pull, bench_push, bench_upload, bench_verdict
from tests.load import country


@pytest.mark.parametrize(
    ("run", "sizes", "rows"),
    [
        (
            bench_pull.run,
            {"locations": 20, "rounds": 1, "seconds": 0.05, "clients": (1,)},
            10 if bench_pull.NGINX else 8,
        ),
        (bench_upload.run, {"locations": 2, "count": 4, "clients": 2, "rounds": 1}, 2),
        (bench_push.run, {"count": 3, "latency_ms": 0, "rounds": 1}, 2),
        (bench_import.run, {"count": 3, "rounds": 1}, 3),
        (bench_verdict.run, {"count": 1, "rounds": 1}, 6),
    ],
    ids=["pull", "upload", "push", "import", "verdict"],
)
def test_benchmark_runs(transactional_db, run, sizes, rows):
    table = run(**sizes)

    assert len(table) == rows
    assert all(row.ours > 0 and row.yardstick > 0 for row in table)


def test_made_up_country_is_what_dot_nl_takes(tmp_path):
    parties = country.make(tmp_path, 0.001)

    objects = [
        (kind, orjson.loads(line))
        for party in parties
        for kind, path in (("location", party.locations), ("tariff", party.tariffs))
        for line in path.read_bytes().splitlines()
    ]
    assert len(parties) == 40
    assert len(objects) >= 200
    assert [found for kind, document in objects for found in rules.check(kind, document).findings] == []
