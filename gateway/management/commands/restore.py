"""`manage.py restore FILE`: put a backup in the place of the database, and bring NDW back to what it says."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from gateway import backups
from ocpi import counts, reconcile, sources
from ocpi.management.commands.reencrypt import SEALED
from ocpi.models import Source
from tenants import secrets
from tenants.models import Connection, OAuthClient, Token

NEEDED = {  # without which a restored gateway cannot work; of the others only sessions and half an hour of pulls hang
    "TOKEN_PEPPER": "no token and no OAuth2 client that was issued would open a door",
    "FIELD_KEYS": "NDW's client secrets and the tokens of Senders could not be read",
}


class Command(BaseCommand):
    """Restore, migrate, count anew, and have everything sent to NDW once more."""

    help = (
        "Put the backup FILE in the place of the database (stop web, workers, beat and relay first), migrate it, and mark "
        "everything to be sent to NDW once more: NDW may have got other versions since."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the file and what may be overruled."""
        parser.add_argument("file", type=Path, metavar="FILE", help="as `backup` wrote it, with FILE.json beside it")
        parser.add_argument(
            "--force", action="store_true", help="also when the database holds tenants: they are replaced"
        )
        parser.add_argument(
            "--other-keys", action="store_true", help="also when keys that the backup needs are not here"
        )
        parser.add_argument(
            "--hold", action="store_true", help="pause every Connection: NDW gets nothing until you resume"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and say what a person has to look at. Raises CommandError; then nothing has been changed."""
        path: Path = options["file"].resolve()
        try:
            backups.refuse_pooler()
            manifest = backups.read_manifest(path)
            self.check_keys(manifest, anyway=options["other_keys"])
            _check_code(manifest)
            revoked = _check_database(anyway=options["force"])
            self.stdout.write(f"Restoring {path}, of {manifest['made_at']} …")
            backups.load(path)
        except backups.BackupError as error:
            raise CommandError(str(error)) from error
        self.settle(manifest, revoked, hold=options["hold"])

    def check_keys(self, manifest: dict[str, Any], *, anyway: bool) -> None:
        """Say which keys of the backup are not here. Raises BackupError where it cannot do without."""
        missing = backups.missing_keys(manifest)
        for name, kids in missing.items():
            which = f" {', '.join(filter(None, kids))}".rstrip()
            self.stderr.write(
                f"{name}{which} is not the one of the backup: {NEEDED.get(name, 'sessions and access tokens end')}."
            )
        if missing.keys() & NEEDED.keys() and not anyway:
            raise backups.BackupError(
                "Put the keys of that time back (--other-keys does without). Nothing was changed."
            )

    def settle(self, manifest: dict[str, Any], revoked: set[str], *, hold: bool) -> None:
        """Bring the restored database up to date, and NDW with it."""
        if (found := backups.counts()) != manifest["counts"]:
            self.stderr.write(f"Counts differ: the backup had {manifest['counts']}, there are {found}.")
        if hold:
            _pause_all(f"restored the backup of {manifest['made_at']}")
        call_command("migrate", verbosity=0, interactive=False)
        counts.recount()
        again = reconcile.start_over()
        fetched = sources.ask_for(Source.objects.filter(is_active=True), is_full=True)
        self.stdout.write("Restored: " + ", ".join(f"{count:,} {table}" for table, count in found.items() if count))
        self.stdout.write(f"{again:,} objects are sent to NDW once more, behind what CPOs change now.")
        self.report(manifest, revoked, fetched)

    def report(self, manifest: dict[str, Any], revoked: set[str], fetched: int) -> None:
        """Say what only people can do."""
        since = f"since {manifest['made_at']}"
        self.stdout.write(
            f"What CPOs uploaded {since} is not in it: ask them for a full set. {fetched} Sources are fetched whole now."
        )
        for one in _open_again(revoked):
            self.stdout.write(f"Was revoked {since} and is open again: {one}. Revoke it in the admin.")
        for one in _unreadable():
            self.stdout.write(f"The secret of {one} cannot be read: enter it again.")
        for connected in Connection.objects.filter(is_retired=False).select_related("tenant"):
            self.stdout.write(f"{connected}: {connected.state}")


def _check_code(manifest: dict[str, Any]) -> None:
    """Refuse what newer code has written. Raises BackupError."""
    known = MigrationLoader(None).disk_migrations
    unknown = [f"{app}.{name}" for app, name in manifest["migrations"].items() if (app, name) not in known]
    if unknown:
        raise backups.BackupError(f"The backup was made by newer code ({', '.join(unknown)}): run that version.")


def _check_database(*, anyway: bool) -> set[str]:
    """Refuse a database in use, or one with tenants; return the digests of what is revoked in it. Raises BackupError."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        others = cursor.fetchone()[0]
        cursor.execute("SELECT to_regclass('public.tenants_token') IS NOT NULL")
        (has_tables,) = cursor.fetchone()
    if others:
        raise backups.BackupError(f"{others} other sessions use the database: stop web, workers, beat and relay first.")
    if not has_tables:
        return set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenants_tenant")
        tenants = cursor.fetchone()[0]
    if tenants and not anyway:
        raise backups.BackupError(f"The database holds {tenants} tenants: make a backup of it, then use --force.")
    return _revoked_digests()


def _revoked_digests() -> set[str]:
    """Return them by plain SQL: the models of this code may know columns that the database does not have yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT digest FROM tenants_token WHERE revoked_at IS NOT NULL"
            " UNION SELECT digest FROM tenants_oauthclient WHERE revoked_at IS NOT NULL"
        )
        return {digest for (digest,) in cursor.fetchall()}


def _pause_all(reason: str) -> None:
    """Pause every Connection; by plain SQL too, for the database is not migrated yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tenants_connection SET is_paused = true, paused_at = clock_timestamp(), pause_reason = %s"
            " WHERE NOT is_paused AND NOT is_retired",
            [reason],
        )


def _open_again(revoked: set[str]) -> list[str]:
    return [
        str(one)
        for model in (Token, OAuthClient)
        for one in model.objects.live().filter(digest__in=revoked).select_related("tenant")
    ]


def _unreadable() -> list[str]:
    found = []
    for model, field in SEALED:
        for one in model._default_manager.exclude(**{f"{field}_sealed": ""}):
            try:
                getattr(one, field)
            except secrets.Undecryptable:
                found.append(str(one))
    return found
