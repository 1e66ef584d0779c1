"""`manage.py provision`: a tenant with its credentials and its Connection, for scripts; the admin does the same by hand."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from tenants import provision


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
        parser.add_argument("--all-tenants", action="store_true", help="pull credentials cover all tenants, later ones too")
        group = parser.add_argument_group("connection to NDW (all five together)")
        group.add_argument("--connection", choices=provision.ENVIRONMENTS, help="deliver changes to this environment")
        group.add_argument("--push-url", help="what stands before /locations/{cc}/{party}/… and /tariffs/…")
        group.add_argument("--token-url", help="where NDW's IAM server issues access tokens")
        group.add_argument("--client-id", help="our client at NDW's IAM server")
        group.add_argument("--client-secret", help="its secret; stored encrypted")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, or say in one line what is wrong."""
        try:
            tenant = provision.tenant(options["country_code"], options["party_id"], options["name"])
            if options["connection"]:
                self._connect(tenant, options)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        issued = provision.credentials(tenant, upload=options["upload_token"], pull=False, oauth=False)
        covers = None if options["all_tenants"] else tenant
        pull = provision.credentials(covers, upload=False, pull=options["pull_token"], oauth=options["oauth_client"])
        issued |= {name: value for name, value in pull.items() if value}
        self.stdout.write(json.dumps({"tenant": str(tenant)} | issued | provision.urls(tenant)))

    def _connect(self, tenant: Any, options: dict[str, Any]) -> None:
        names = ("push_url", "token_url", "client_id", "client_secret")
        missing = ["--" + name.replace("_", "-") for name in names if not options[name]]
        if missing:
            raise CommandError(f"--connection also needs {', '.join(missing)}")
        provision.connection(tenant, options["connection"], **{name: options[name] for name in names})
