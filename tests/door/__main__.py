"""`python -m tests.door`: play the promises of the door at their full size, print the table, exit 1 when one is broken.

python -m tests.door                         all of them; an hour on two cores
python -m tests.door --promise P20 P23       some of them
python -m tests.door --scale 0.01            all of them at a hundredth of the size

P18 needs nginx (Debian: nginx-light) and 4,000 open files; --seconds 60 is less than its ten minutes.
"""

import argparse
import importlib
import logging
import os
import sys
import time
import traceback
from tempfile import TemporaryDirectory

from tests.chaos.promises import Verdict
from tests.chaos.rounds import table
from tests.door import Size

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
PROMISES = {"P15": "isolation", "P18": "slow", "P20": "forged", "P21": "leaks", "P22": "lockout", "P23": "outgoing"}


def main(arguments: list[str] | None = None) -> int:
    """Play on a database of its own."""
    asked = _asked(arguments)
    with TemporaryDirectory(prefix="gateway-door-") as data:
        os.environ["GATEWAY_DATA"] = data
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections
        from django.test.utils import setup_test_environment

        from gateway import embedded
        from tests import settings

        setup_test_environment()
        logging.disable()  # what this process does itself is expected to go wrong
        with embedded.running(settings.DATA, create=True):
            call_command("migrate", verbosity=0)
            try:
                return _play(asked)
            finally:
                connections.close_all()


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m tests.door", description=__doc__, formatter_class=text)
    parser.add_argument("--scale", type=float, default=1, help="of all sizes (%(default)g)")
    parser.add_argument("--seconds", type=int, default=600, help="of P18 (%(default)s)")
    parser.add_argument("--promise", nargs="+", metavar="P", choices=PROMISES, help=f"only these: {' '.join(PROMISES)}")
    return parser.parse_args(arguments)


def _play(asked: argparse.Namespace) -> int:
    from django.core.management import call_command

    verdicts: list[Verdict] = []
    for name in asked.promise or PROMISES:
        call_command("flush", interactive=False, verbosity=0)
        began = time.monotonic()
        verdicts.append(_verdict(name, Size(asked.scale, asked.seconds)))
        print(f"{table(verdicts[-1:])}\n{'':<12} {time.monotonic() - began:.0f} s", flush=True)
    print(f"\n{table(verdicts)}")
    return 1 if any(verdict.wrong for verdict in verdicts) else 0


def _verdict(name: str, size: Size) -> Verdict:
    """Play one; what cannot even be played to its end is broken."""
    try:
        return importlib.import_module(f"tests.door.{PROMISES[name]}").play(size)
    except Exception as error:
        traceback.print_exc()
        return Verdict(name, PROMISES[name], "not played to its end", [repr(error)])


if __name__ == "__main__":
    sys.exit(main())
