"""The wiring: settings, URLs, the Celery app, the embedded servers."""

from gateway.celery import app as celery_app

__all__ = ["celery_app"]
