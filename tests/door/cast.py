"""Make tenants, users and secrets in the gateway whose environment this is, or tell what it has: a process, as manage.py is."""

import json
import sys
from typing import Any

import django


def make(asked: dict[str, Any]) -> dict[str, Any]:
    """Return by party what was issued; every second one's account is not NDW's, and is refused."""
    from django.contrib.auth.models import User

    from ocpi.models import Source
    from tenants import provision

    made = {}
    for number, party in enumerate(asked["parties"]):
        tenant = provision.tenant("NL", party, f"CPO {party}")
        known = (asked["client_id"], asked["client_secret"])
        client = known if number % 2 == 0 else (f"client-{party}", f"canary-{party}-ndw-client-secret")
        urls = {"push_url": asked["push_url"], "token_url": asked["token_url"]}
        provision.connection(tenant, "production", client_id=client[0], client_secret=client[1], **urls)
        made[party] = provision.credentials(tenant, upload=True, pull=True, oauth=True)
        source = Source(tenant=tenant, url=f"{asked['sender_url']}/{party}/versions", every_s=30)
        source.set_token(f"canary-{party}-token-of-a-sender")
    for name in asked["users"]:
        User.objects.create_superuser(name, password=f"canary-{name}-password")
    return made


def look(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the paths of the admin's pages, and NDW's access tokens."""
    from tenants.models import ServiceAccount
    from tests.door import pages

    return {
        "paths": pages.of_the_admin(),
        "ndw": [one.access_token for one in ServiceAccount.objects.all() if one.access_token],
    }


if __name__ == "__main__":
    django.setup()
    print(json.dumps({"make": make, "look": look}[sys.argv[1]](json.load(sys.stdin))))
