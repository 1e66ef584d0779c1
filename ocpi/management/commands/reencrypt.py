"""`manage.py reencrypt`: seal with the first of FIELD_KEYS what an older key sealed, so that the older one can go."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ocpi.models import Source
from tenants import secrets
from tenants.models import ServiceAccount

# Access tokens of NDW are left to their half hour: one that no key opens is fetched anew.
SEALED = ((ServiceAccount, "client_secret"), (Source, "token"))


class Command(BaseCommand):
    """Renew every ciphertext that is not the first key's."""

    help = (
        "Encrypt NDW's client secrets and the tokens of Senders with the first key of FIELD_KEYS, so that the others can be "
        "removed. Everything may run meanwhile; safe to stop and repeat."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Go through all of them; what somebody changes meanwhile is sealed with the first key anyway."""
        done, lost = 0, list[str]()
        for model, field in SEALED:
            column = f"{field}_sealed"
            for row in model._default_manager.exclude(**{column: ""}):
                sealed = getattr(row, column)
                if secrets.is_newest(sealed):
                    continue
                try:
                    fresh = secrets.encrypt(getattr(row, field), f"{model._meta.model_name}|{field}|{row.pk}")
                except secrets.Undecryptable:
                    lost.append(str(row))
                    continue
                done += model._default_manager.filter(pk=row.pk, **{column: sealed}).update(**{column: fresh})
        self.stdout.write(f"{done} secrets encrypted with the first key.")
        if lost:
            raise CommandError(
                f"No key of FIELD_KEYS opens the secret of: {', '.join(lost)}. Type it in again in the admin."
            )
