"""`manage.py import NL-EXA locations FILE`: a bulk upload from a file, here and now."""  # noqa: N999 - the command's name

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from ocpi import errors, imports, intake
from ocpi.api_imports import KINDS, SHEET
from ocpi.models import Import
from tenants.models import Tenant

BAR = 30


class Command(BaseCommand):
    """Upload a file for a tenant, with a progress bar and a summary."""

    help = (
        "Upload a file of Locations or Tariffs for a tenant: NDJSON, a JSON array or an OCPI envelope, also gzipped. Each "
        "object gets what a PUT of its own would get. Exit code 1 if any object was refused or the set is held."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the party, the kind and the file."""
        parser.add_argument("party", help="the tenant's party, for example NL-EXA")
        parser.add_argument(
            "kind",
            choices=[*KINDS],
            metavar="kind",
            help=f"locations, tariffs or {SHEET}",
        )
        parser.add_argument("file", help="the file; - is standard input")
        parser.add_argument(
            "--mode",
            choices=Import.Mode.values,
            default="upsert",
            help="full: this is everything there is, what it lacks is set REMOVED or deleted (an operator is asked if much)",
        )
        parser.add_argument("--dry-run", action="store_true", help="the same report; nothing is stored")

    def handle(self, *args: Any, **options: Any) -> None:
        """Receive the file, work on it, tell what became of it. Raises CommandError."""
        tenant = self._tenant(options["party"])
        try:
            one = intake.receive(
                tenant, KINDS[options["kind"]], _pieces(options["file"]), is_sheet=options["kind"] == SHEET,
                mode=options["mode"], is_dry_run=options["dry_run"], origin=f"manage.py import {options['file']}",
            )  # fmt: skip
        except (errors.OcpiError, OSError) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        try:
            for now in imports.finish(one):
                self._show(now)
        except Error as error:
            raise CommandError(f"{error}\nimport {one.pk} goes on when a worker finds it.") from error
        self._tell(one)
        if one.state != Import.State.DONE or one.counts["refused"] or one.counts["stale"]:
            sys.exit(1)

    def _tenant(self, party: str) -> Tenant:
        country_code, _, party_id = party.partition("-")
        tenant = Tenant.objects.filter(country_code=country_code.upper(), party_id=party_id.upper()).first()
        if tenant is None:
            known = ", ".join(map(str, Tenant.objects.all()[:10])) or "none yet; `manage.py provision` makes one"
            raise CommandError(f"{party}: no such tenant. There are: {known}.")
        return tenant

    def _show(self, one: Import) -> None:
        """Draw the bar over the one before."""
        if not sys.stderr.isatty():
            return
        done = round(one.progress * BAR)
        left = f", {one.eta_s:.0f} s left" if one.eta_s else ""
        phase = one.get_phase_display()
        bar = f"{'█' * done}{'·' * (BAR - done)} {one.progress:4.0%} {phase}, {one.line} lines, {one.rate or 0:.0f}/s{left}"
        self.stderr.write(f"\r{bar:<100}", ending="")

    def _tell(self, one: Import) -> None:
        """Say what became of it."""
        if sys.stderr.isatty():
            self.stderr.write("\r" + " " * 100 + "\r", ending="")
        found = one.counts if one.state != Import.State.HELD else (one.preview or {})["counts"]
        counts = dict.fromkeys(imports.COUNTS, 0) | found  # none when the first batch failed
        would = "would be " if one.is_dry_run or one.state == Import.State.HELD else ""
        self.stdout.write(f"{one.state}: {counts['received']} received, " + would + ", ".join(
            f"{counts[name]} {name}" for name in imports.COUNTS[1:] if counts[name]
        ))  # fmt: skip
        if one.note:
            self.stdout.write(one.note)
        for name, counted in sorted(one.rules.items(), key=lambda each: -each[1]["count"]):
            sample = ", ".join(counted["sample"][:3])
            self.stdout.write(f"  {counted['count']:>7} x {counted['rule']} {name} ({counted['severity']}): {sample}")
        if one.state == Import.State.HELD:
            self.stdout.write("Held: an operator accepts or discards it in the admin, under Imports.")
        self.stdout.write(f"import {one.pk}: {one.rate or 0:.0f} objects/s")


def _pieces(name: str) -> Iterator[bytes]:
    if name == "-":
        while piece := sys.stdin.buffer.read(262_144):
            yield piece
        return
    with Path(name).open("rb") as file:
        while piece := file.read(262_144):
            yield piece
