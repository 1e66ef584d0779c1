"""The Celery app: settings with CELERY_ in front, tasks from ocpi.tasks."""

import os
import sys
from typing import Any

import django
from celery import Celery, signals
from django.core.management import CommandError, call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

app = Celery("gateway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["ocpi"])


@signals.setup_logging.connect
def _leave_logging_alone(**kwargs: Any) -> None:
    """Keep settings.LOGGING: a receiver here is how Celery is told not to set up its own."""


@signals.worker_process_init.connect
def _trace(**kwargs: Any) -> None:
    """Trace each process of the pool: a thread that sends spans does not survive the fork."""
    from gateway import tracing  # wants the settings, which this module must not touch when it is imported

    tracing.start()


@signals.celeryd_init.connect
@signals.beat_init.connect
def _check(**kwargs: Any) -> None:
    """Stop a worker or beat that lacks a variable: Celery would run on with a broker of its own choice."""
    django.setup()
    try:
        call_command("check")
    except CommandError as error:
        sys.exit(str(error))
