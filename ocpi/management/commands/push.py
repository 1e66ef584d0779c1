"""`manage.py push …`: hands on the wheel of deliveries to NDW: what waits and why, resend, pause, resume, history."""

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ocpi import causes, overview, reconcile
from ocpi.models import Push, PushAttempt
from tenants.models import Connection, Environment, Tenant

WIDEST = 100  # characters of an answer in a line
_HELP = {
    "waiting": "what NDW does not have, grouped by cause, with counts and since when",
    "resend": "send objects again as they are now, whatever NDW said before",
    "pause": "send nothing until it is resumed; changes go on being noted",
    "resume": "send again what waits",
    "history": "every request for one object and NDW's answers, newest first",
    "reconcile": "what happens each night, now: resend what NDW is not known to have accepted",
}


class Command(BaseCommand):
    """One sub-command for each thing an operator does."""

    help = "See and steer deliveries to NDW. PARTY is for example NL-EXA; `push SUBCOMMAND --help` tells more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the sub-commands and their options."""
        commands = parser.add_subparsers(dest="do", required=True, metavar="SUBCOMMAND")
        made = {name: commands.add_parser(name, help=words, description=words) for name, words in _HELP.items()}
        for name in ("waiting", "reconcile"):
            made[name].add_argument("party", nargs="?", metavar="PARTY", help="all parties when none is named")
        for name in ("resend", "pause", "resume", "history"):
            made[name].add_argument("party", metavar="PARTY", help="for example NL-EXA")
            made[name].add_argument(
                "--environment", choices=Environment.values, help="only this one (all the party has)"
            )
        made["pause"].add_argument("--reason", required=True, help="who finds it paused will read this")
        for name in ("resend", "history"):
            group = made[name].add_mutually_exclusive_group(required=True)
            group.add_argument("--location", metavar="ID", help="one Location; case does not matter")
            group.add_argument("--tariff", metavar="ID", help="one Tariff; case does not matter")
            if name == "resend":
                group.add_argument("--rejected", action="store_true", help="all that NDW rejected")
                group.add_argument("--all", action="store_true", help="everything NDW shall have, behind new changes")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the sub-command says. Raises CommandError for a party, Connection or object we do not know."""
        tenant = _tenant(options["party"]) if options["party"] else None
        if options["do"] in ("waiting", "reconcile"):
            getattr(self, options["do"])(tenant)
        else:
            getattr(self, options["do"])(_connections(tenant, options["environment"]), options)

    # --- Looking -------------------------------------------------------------------------------------------------------

    def waiting(self, tenant: Tenant | None) -> None:
        """Print a line for each cause."""
        rows = [
            (str(one.connection or one.tenant), one.state, f"{one.count:,}", _moment(one.since), one.words)
            for one in causes.causes(tenant)
        ]
        if not rows:
            self.stdout.write("Nothing waits: NDW has accepted everything it shall have.")
            return
        self.table(("connection", "state", "objects", "since", "because"), rows)

    def history(self, targets: list[Connection], options: dict[str, Any]) -> None:
        """Print a line for each request."""
        rows = _of_object(targets, options)
        attempts = PushAttempt.objects.filter(push__in=[one.pk for one in rows]).select_related("push__connection")
        lines = [
            (
                _moment(one.started_at),
                one.push.connection.environment,
                one.method,
                one.outcome,
                str(one.http_status or "-"),
                str(one.ocpi_status or "-"),
                f"{one.took_ms} ms",
                " ".join(one.answer.split())[:WIDEST],
            )
            for one in attempts
        ]
        self.table(("sent", "environment", "method", "outcome", "HTTP", "OCPI", "took", "answer"), lines)
        self.stdout.write(f"{len(lines)} requests")

    def table(self, headers: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
        """Print columns as wide as they need; what others wrote cannot steer the terminal."""
        lines = [headers, *(tuple(_printable(cell) for cell in row) for row in rows)]
        widths = [max(len(line[index]) for line in lines) for index in range(len(headers))]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

    # --- Steering ------------------------------------------------------------------------------------------------------

    def resend(self, targets: list[Connection], options: dict[str, Any]) -> None:
        """Make rows due and ring the doorbell."""
        if options["location"] or options["tariff"]:
            self.resend_one(targets, options)
            return
        for target in targets:
            rows = causes.refused(target) if options["rejected"] else causes.visible(target)
            count = causes.resend(rows, is_backlog=options["all"])
            self.stdout.write(f"{target}: {count} will be sent again{_unless_paused(target)}")

    def resend_one(self, targets: list[Connection], options: dict[str, Any]) -> None:
        """Send one object again, over each Connection that has a row of it."""
        for row in _of_object(targets, options):
            count = causes.resend(Push.objects.filter(causes.NOT_WITHHELD, pk=row.pk))
            told = "will be sent again" if count else "is withheld: mend its gaps, then it is sent by itself"
            self.stdout.write(f"{row.connection}: {row} {told}{_unless_paused(row.connection) if count else ''}")

    def pause(self, targets: list[Connection], options: dict[str, Any]) -> None:
        """Pause, with a reason."""
        if not options["reason"].strip():
            raise CommandError("--reason: say why; whoever finds the Connection paused will read it.")
        for target in targets:
            if target.is_paused:
                self.stdout.write(f"{target}: paused already ({_printable(target.pause_reason)})")
                continue
            target.pause(options["reason"].strip())
            self.stdout.write(f"{target}: paused; changes go on being noted")

    def resume(self, targets: list[Connection], options: dict[str, Any]) -> None:
        """Resume, and say how much waits."""
        for target in targets:
            target.resume()
            waits = target.pushes.filter(state=Push.State.DIRTY).count()
            self.stdout.write(f"{target}: resumed; {waits} wait")

    def reconcile(self, tenant: Tenant | None) -> None:
        """Do the night's work now."""
        found = reconcile.reconcile(tenant)
        self.stdout.write(f"{found.missing} were missing, {found.again} will be sent again within an hour")


def _tenant(party: str) -> Tenant:
    tenant = overview.find_tenant(party)
    if tenant is None:
        known = ", ".join(str(one) for one in Tenant.objects.all()) or "none yet"
        raise CommandError(f"No such party: {party}. Known: {known}.")
    return tenant


def _connections(tenant: Tenant | None, environment: str | None) -> list[Connection]:
    """Return the Connections that are meant. Raises CommandError when there is none."""
    there = Connection.objects.filter(tenant=tenant, is_retired=False).select_related("tenant")
    found = [one for one in there if environment in (None, one.environment)]
    if not found:
        known = ", ".join(one.environment for one in there) or "none yet"
        raise CommandError(f"{tenant} has no such Connection. Known: {known}.")
    return found


def _of_object(targets: list[Connection], options: dict[str, Any]) -> list[Push]:
    """Return the rows of the object that is meant. Raises CommandError when there is none."""
    kind = "location" if options["location"] else "tariff"
    wanted, tenant = options[kind], targets[0].tenant
    rows = Push.objects.filter(connection__in=targets, **{f"{kind}__ocpi_id__iexact": wanted})
    found = list(rows.select_related("connection__tenant", kind).defer(f"{kind}__body").order_by("connection"))
    if found:
        return found
    stored = tenant.locations if kind == "location" else tenant.tariffs
    if stored.filter(ocpi_id__iexact=wanted).exists():
        raise CommandError(
            f"{tenant} has {kind} {wanted}, but it was never to be sent: it is withheld or not published."
        )
    known = ", ".join(stored.order_by("-pk").values_list("ocpi_id", flat=True)[:5]) or "none yet"
    raise CommandError(f"{tenant} has no {kind} {wanted}. The latest: {known}.")


def _unless_paused(target: Connection) -> str:
    return f" once it is resumed (paused: {_printable(target.pause_reason)})" if target.is_paused else ""


def _moment(at: Any) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}" if at else "-"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)
