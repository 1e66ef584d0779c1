"""`manage.py relay`: the third trigger of the drain; needs PostgreSQL only, so that Redis and beat are optional."""

import logging
import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, connection

from ocpi import alarms, counts, push, queue

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
LATE_S = 10.0
LONGEST_AWAY_S = 60.0  # without a database: perhaps our network is gone, and who starts us again gives us another


class Command(BaseCommand):
    """Look every two seconds; drain when something has been due for ten, which means that nobody else does."""

    help = "Deliver what Celery does not: drains whenever a change has been due for 10 s. Needs PostgreSQL only."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or SIGINT."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        looked_at = time.monotonic()
        while not stop.wait(LOOK_EVERY_S):
            try:
                alarms.watch()
                counts.fold()
                if queue.doubt() or queue.oldest_due_s() > LATE_S:
                    logger.info("relay: %s requests", push.drain())
            except (OperationalError, InterfaceError) as error:
                logger.warning("relay: database not available (%s); looking again", type(error).__name__)
                connection.close()
                if time.monotonic() - looked_at > LONGEST_AWAY_S:
                    raise CommandError(f"No database for {LONGEST_AWAY_S:.0f} s.") from error
            else:
                looked_at = time.monotonic()
