"""`make demo`: CPOs upload, NDW pulls every page, a status changes and NDW gets it; on a throw-away data folder."""

import os
import socket
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import connections

from gateway import embedded, example, feed
from gateway.demo import Demo
from gateway.supervisor import Supervisor, processes


class Command(BaseCommand):
    """Do the whole job once and print a table; exit 0 only if all of it held."""

    help = "The whole job in one go on a throw-away data folder; prints a table and exits 0 only if all of it held."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the one option."""
        parser.add_argument(
            "--feed", type=Path, help="folder with CC-PARTY.locations.ndjson and CC-PARTY.tariffs.ndjson"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start everything, run the demo, stop everything."""
        try:
            feeds = feed.read(options["feed"]) if options["feed"] else feed.built_in()
        except (OSError, ValueError) as error:
            raise CommandError(f"The feed cannot be read: {error}") from error
        data, port = embedded.data_folder(), _two_free_ports()
        (data / "logs").mkdir(parents=True, exist_ok=True)
        self.say("Starting PostgreSQL and Redis, migrating")
        with embedded.running(data, create=True):
            call_command("migrate", verbosity=0)
            connections.close_all()
            limits = {"NDW_RATE_CAP": "500", "TENANT_RATE": "100000"}
            environment = {**os.environ, "NDW_ALLOWED_HOSTS": "127.0.0.1", **limits}
            with Supervisor(processes(port, data / "logs", environment), data, self.say) as supervisor:
                self.say(f"Starting web, worker, beat, relay and the NDW simulator on ports {port} and {port + 1}")
                if not supervisor.wait_until_ready(port, threading.Event()):
                    raise CommandError("The gateway did not get ready.")
                ndw = example.simulator_says(supervisor["simulator"])
                held = Demo(feeds, f"http://127.0.0.1:{port}", ndw, self.say).run()
                connections.close_all()
                self.say("Stopping")
        if not held:
            raise CommandError("Not everything held; see the table.")

    def say(self, line: str) -> None:
        """Print a line at once, also into a pipe."""
        self.stdout.write(line)
        self.stdout.flush()


def _two_free_ports() -> int:
    """Return a port that is free, and so is the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
