"""`manage.py recheck`: judge what is stored by the rule book as it is now. Beat does the same, a little each minute."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from ocpi import recheck


class Command(BaseCommand):
    """Judge again what was judged by another edition of the rule book."""

    help = (
        "Judge stored Locations and Tariffs by the rule book as it is now, after an upgrade. Findings and gaps are renewed;"
        " what NDW has is neither hidden nor changed, and what lost its last gap is pushed. Safe to stop and repeat."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Go through all of it, with a count."""
        total, done = recheck.waiting(), 0
        for _ in recheck.one_by_one():
            done += 1
            if sys.stderr.isatty() and done % 100 == 0:
                self.stderr.write(f"\r{done} of {total}", ending="")
        self.stdout.write(f"{done} objects judged again." if done else "Everything was judged by this edition already.")
