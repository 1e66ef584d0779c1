"""`python -m tests.fuzz`: so many generated requests, a table, exit 1 when anything is wrong."""

import argparse
import contextlib
import os
import random
import sys
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
FULL = 100_000


def main(arguments: list[str] | None = None) -> int:
    """Run on a database of its own."""
    asked = _asked(arguments)
    with TemporaryDirectory(prefix="gateway-fuzz-") as data:
        os.environ["GATEWAY_DATA"] = data
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        from gateway import embedded
        from tests import settings

        with embedded.running(settings.DATA, create=True):
            call_command("migrate", verbosity=0)
            try:
                return _run(asked)
            finally:
                connections.close_all()


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__, formatter_class=text)
    parser.add_argument("--requests", type=int, default=FULL, help="how many (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="of all that is made up; to play it again"
    )
    return parser.parse_args(arguments)


def _run(asked: argparse.Namespace) -> int:
    from tests.fuzz import target

    print(f"{asked.requests} requests, seed {asked.seed}", flush=True)
    with target.running() as gateway:
        started = time.monotonic()
        play(gateway, asked.requests, asked.seed)
        print(table(gateway, time.monotonic() - started, asked.seed))
        return 1 if is_wrong(gateway) else 0


def play(gateway: Any, count: int, seed: int) -> None:
    """Send at least `count` requests in rounds, so that each family has its share however long its requests take to make."""
    from tests.fuzz import made_up, openapi

    operations = openapi.operations(gateway)
    turn = seed * 1000
    while gateway.sent < count:
        size = max(1, min(40, count // 400))
        for operation in operations[turn % 4 :: 4]:
            _examples(openapi.cases(operation, turn % 2 == 0), size, turn, lambda made: openapi.send(gateway, *made))
        _examples(made_up.documents, size * 3, turn, lambda made: made_up.send_documents(gateway, *made))
        _examples(made_up.strangers, size * 25, turn, lambda made: made_up.send_stranger(gateway, *made))
        turn += 1
        if count >= FULL // 10:
            print(f"  {gateway.sent} sent, {len(gateway.wrong)} wrong", flush=True)


def _examples(strategy: Any, count: int, turn: int, use: Callable[[Any], None]) -> None:
    """Use so many examples of a strategy; the same ones for the same turn."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
    from hypothesis.errors import Unsatisfiable

    @seed(turn)
    @settings(
        max_examples=count, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )  # fmt: skip
    @given(strategy)
    def run(made: Any) -> None:
        use(made)

    with contextlib.suppress(Unsatisfiable):  # an operation that has nothing to do wrong
        run()


def is_wrong(gateway: Any) -> bool:
    """Return True when the promise is broken."""
    from tests.fuzz.target import GROWTH_MB

    return bool(gateway.wrong) or gateway.growth_mb() > GROWTH_MB


def table(gateway: Any, seconds: float, seed: int) -> str:
    """Return the figures."""
    server_errors = sum(count for status, count in gateway.statuses.items() if status >= 500)
    by_status = ", ".join(f"{status or 'hung up'} {count}" for status, count in sorted(gateway.statuses.items()))
    by_code = ", ".join(f"{code} {count}" for code, count in sorted(gateway.codes.items()))
    lines = [
        f"requests              {gateway.sent} in {seconds:.0f} s",
        f"answers by HTTP       {by_status}",
        f"answers by OCPI       {by_code}",
        f"answers >= 500        {server_errors}",
        f"stored though refused {gateway.stored_by_refused}",
        f"memory                {gateway.memory_mb:.0f} MB, {gateway.growth_mb():+.1f} MB",
        f"again                 python -m tests.fuzz --requests {gateway.sent} --seed {seed}",
        *(f"WRONG                 {one}" for one in gateway.wrong),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
