"""`manage.py proof NL-EXA --month 2026-11`: how soon NDW had a CPO's changes in a month, as CSV for whoever asks."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ocpi import overview, proof
from tenants.models import Connection, Environment, Tenant


class Command(BaseCommand):
    """Read everything, change nothing."""

    help = (
        "Write as CSV how many of a CPO's changes NDW accepted in a month, how many within 60 s of their upload, and which "
        "ten took longest and why. The figures are kept for 90 days."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the options."""
        parser.add_argument("party", metavar="PARTY", help="for example NL-EXA")
        parser.add_argument("--month", metavar="YYYY-MM", help="of the uploads, in Dutch time (last month)")
        parser.add_argument("--environment", choices=Environment.values, default=Environment.PRODUCTION.value)
        parser.add_argument("--output", metavar="FILE", type=Path, help="where to write it (standard output)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the proof. Raises CommandError for what we do not know."""
        month = proof.month_of(options["month"] or f"{proof.last_month():%Y-%m}")
        if month is None:
            known = ", ".join(f"{one:%Y-%m}" for one in proof.months())
            raise CommandError(f"No proof of {options['month'] or 'last month'}. There is one of: {known}.")
        text = proof.write(_connection(options["party"], options["environment"]), month)
        if options["output"]:
            self.save(options["output"], text)
        else:
            self.stdout.write(text, ending="")

    def save(self, path: Path, text: str) -> None:
        """Write the file as it is: its lines end in CRLF. Raises CommandError."""
        try:
            path.write_bytes(text.encode())
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stderr.write(f"Written to {path}")


def _connection(party: str, environment: str) -> Connection:
    tenant = overview.find_tenant(party)
    if tenant is None:
        known = ", ".join(str(one) for one in Tenant.objects.all()) or "none yet"
        raise CommandError(f"No such party: {party}. Known: {known}.")
    found = Connection.objects.filter(tenant=tenant, environment=environment).select_related("tenant").first()
    if found is None:
        raise CommandError(f"{tenant} has no {environment} Connection.")
    return found
