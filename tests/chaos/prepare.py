"""Make the tables and the tenants of a round; a process of its own, so that the harness needs no Django."""

import json
import sys
from typing import Any

import django

from tests import ndw_simulator


def main(asked: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the tokens of each party; without parties the database is made instead."""
    django.setup()
    from django.core.management import call_command

    from tenants import provision
    from tenants.models import Connection

    if not asked["parties"]:
        call_command("migrate", verbosity=0)
    made: dict[str, dict[str, str]] = {}
    for party in asked["parties"]:
        tenant = provision.tenant("NL", party, "")
        provision.connection(
            tenant,
            "production",
            push_url=asked["push_url"],
            token_url=asked["token_url"],
            client_id=ndw_simulator.CLIENT_ID,
            client_secret=ndw_simulator.CLIENT_SECRET,
        )
        issued = provision.credentials(tenant, upload=True, pull=True, oauth=False)
        made[party] = {"upload": issued["upload_token"], "pull": issued["pull_token"]}
    # No spreading: it would mend what a write did not note.
    Connection.objects.update(needs_spreading=False)
    return made


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
