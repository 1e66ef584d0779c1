"""The Celery app: settings with CELERY_ in front, tasks from ocpi.tasks."""

import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

app = Celery("gateway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["ocpi"])


@signals.setup_logging.connect
def _leave_logging_alone(**kwargs: Any) -> None:
    """Keep settings.LOGGING: a receiver here is how Celery is told not to set up its own."""
