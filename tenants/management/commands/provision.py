"""`manage.py provision`: a tenant with its credentials and its Connection, for scripts; the admin does the same by hand."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from tenants import provision

_OF_CONNECTION = ("push_url", "token_url", "client_id", "client_secret")


class Command(BaseCommand):
    """Create or find a tenant, issue what is asked, print one JSON object as the last line."""

    help = (
        "Create or find the tenant of a party, issue new credentials for what is asked, connect it to NDW. The last line of "
        "standard output is one JSON object; credentials are shown this once. A third live credential revokes the oldest."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the options of the contract."""
        parser.add_argument("--country-code", required=True, help="country of the party, two letters, for example NL")
        parser.add_argument("--party-id", required=True, help="the CPO's own party id, for example EXA")
        parser.add_argument("--name", default="", help="name of the CPO, used when the tenant is new")
        parser.add_argument("--upload-token", action="store_true", help="issue a token the CPO uploads with")
        parser.add_argument("--pull-token", action="store_true", help="issue a token NDW pulls with")
        parser.add_argument("--oauth-client", action="store_true", help="issue an OAuth2 client NDW pulls with")
        parser.add_argument(
            "--all-tenants", action="store_true", help="pull credentials cover all tenants, later ones too"
        )
        group = parser.add_argument_group("connection to NDW (all five together)")
        group.add_argument(
            "--connection",
            choices=provision.ENVIRONMENTS,
            help="deliver changes to this environment; the pull credentials are for it",
        )
        group.add_argument("--push-url", help="what stands before /locations/{cc}/{party}/… and /tariffs/…")
        group.add_argument("--token-url", help="where NDW's IAM server issues access tokens")
        group.add_argument("--client-id", help="our client at NDW's IAM server")
        group.add_argument(
            "--client-secret",
            help="its secret, stored encrypted; - reads it from standard input, where ps does not show it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do all of it, or nothing and say in one line what is wrong."""
        self._refuse_half_a_connection(options)
        if options["client_secret"] == "-":  # noqa: S105 - no password
            options["client_secret"] = sys.stdin.readline().strip()
        try:
            with transaction.atomic():
                answer = self._provide(options)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(json.dumps(answer))

    def _refuse_half_a_connection(self, options: dict[str, Any]) -> None:
        given = [name for name in ("connection", *_OF_CONNECTION) if options[name]]
        missing = [_flag(name) for name in ("connection", *_OF_CONNECTION) if not options[name]]
        if given and missing:
            raise CommandError(f"{_flag(given[0])} also needs {', '.join(missing)}")

    def _provide(self, options: dict[str, Any]) -> dict[str, Any]:
        tenant = provision.tenant(options["country_code"], options["party_id"], options["name"])
        if options["connection"]:
            provision.connection(tenant, options["connection"], **{name: options[name] for name in _OF_CONNECTION})
        issued = provision.credentials(tenant, upload=options["upload_token"], pull=False, oauth=False)
        covers = None if options["all_tenants"] else tenant
        pull = provision.credentials(
            covers,
            upload=False,
            pull=options["pull_token"],
            oauth=options["oauth_client"],
            environment=options["connection"] or "",
        )
        issued |= {name: value for name, value in pull.items() if value}
        return {"tenant": str(tenant)} | issued | provision.urls(tenant)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
