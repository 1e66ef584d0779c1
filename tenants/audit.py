"""Who did what in the admin: lines of Django's log, on the object they concern. Never a secret among the words.

What the forms save, Django logs by itself; `manage.py` commands have no user and are in the process's log only.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model
from django.http import HttpRequest


def note(request: HttpRequest, one: Model, words: str, **values: object) -> None:
    """Log what a user did to an object: English, whoever did it, `words` marked with `gettext_noop`."""
    note_all(request, [one], words, **values)


def note_all(request: HttpRequest, objects: Iterable[Model], words: str, **values: object) -> None:
    """Log the same of each of several objects."""
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, list(objects), CHANGE, words % values if values else words)
