"""`manage.py backup FILE`: the whole database in one file, with a manifest beside it; the gateway runs on meanwhile."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway import backups


class Command(BaseCommand):
    """Make a backup of one moment."""

    help = (
        "Write the database to FILE (pg_dump, custom format) and what is in it to FILE.json. Keys are not in it: keep "
        "FIELD_KEYS, TOKEN_PEPPER and SIGNING_KEYS somewhere else."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the file."""
        parser.add_argument("file", type=Path, metavar="FILE", help="a new file, or one that is replaced")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and say what is in it. Raises CommandError."""
        path: Path = options["file"].resolve()
        try:
            manifest = backups.make(path)
        except (backups.BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{path}: {manifest['bytes']:,} bytes, of {manifest['made_at']}")
        for table, count in manifest["counts"].items():
            self.stdout.write(f"  {table:<20} {count:>10,}")
        kids = ", ".join(f"{name} {' '.join(kids)}".strip() for name, kids in manifest["keys"].items())
        self.stdout.write(f"It opens only with these, which are not in it: {kids}")
