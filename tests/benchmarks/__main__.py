"""`make bench`: run every benchmark on servers and a database of its own and print one table.

FEED=folder: what is pulled and imported are its `locations.ndjson` and `tariffs.ndjson`, of whatever parties.
"""

import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    with TemporaryDirectory(prefix="gateway-bench-") as data:
        os.environ["GATEWAY_DATA"] = data
        os.environ["NDW_RATE_CAP"] = "100000"
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        from gateway import embedded
        from tests import settings
        from tests.benchmarks import bench_import, bench_pull, bench_push, bench_upload, bench_verdict, stage

        feed = os.environ.get("FEED")
        benches: dict[str, Callable[[], list[stage.Row]]] = {
            "pull": partial(bench_pull.run, feed=f"{feed}/locations.ndjson" if feed else None),
            "import": partial(bench_import.run, feed=f"{feed}/locations.ndjson" if feed else None),
            "upload": bench_upload.run,
            "push": bench_push.run,
            "verdict": bench_verdict.run,
        }
        with embedded.running(settings.DATA, create=True):
            call_command("migrate", verbosity=0)
            print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
            print(f"{'':<34} {'ours':>9} {'yardstick':>9} {'':<8} {'ratio':>7}   {'target':<7} against")
            for name in sys.argv[1:] or benches:
                for row in benches[name]():
                    print(row, flush=True)
            connections.close_all()


if __name__ == "__main__":
    main()
