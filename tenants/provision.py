"""Create or find a tenant and give it credentials and a Connection: what `manage.py provision` and the demo share."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from tenants.models import Connection, Environment, OAuthClient, ServiceAccount, Tenant, Token


def tenant(country_code: str, party_id: str, name: str) -> Tenant:
    """Return the tenant of that party, made if need be. Raises ValidationError."""
    found = Tenant.objects.filter(country_code=country_code.upper(), party_id=party_id.upper()).first()
    if found is None:
        found = Tenant(country_code=country_code, party_id=party_id, name=name or f"{country_code}-{party_id}".upper())
        found.full_clean()
        found.save()
    return found


def connection(
    of: Tenant, environment: str, *, push_url: str, token_url: str, client_id: str, client_secret: str
) -> Connection:
    """Connect a tenant to NDW, or give its Connection other values and resume it. Raises ValidationError.

    The same token URL and client id are one service account for all tenants.
    """
    with transaction.atomic():
        account = ServiceAccount.objects.filter(
            environment=environment, token_url=token_url, client_id=client_id
        ).first()
        if account is None:
            name = f"{client_id} at {urlsplit(token_url).netloc}, {environment}"
            account = ServiceAccount(name=name, environment=environment, token_url=token_url, client_id=client_id)
            account.full_clean()
        if not account.client_secret_sealed or account.client_secret != client_secret:
            account.set_client_secret(client_secret)
        made = Connection.objects.filter(tenant=of, environment=environment).first()
        made = made or Connection(tenant=of, environment=environment)
        made.push_url, made.service_account, made.is_retired = push_url, account, False
        made.full_clean()
        made.save()
        made.resume()
    return made


def credentials(of: Tenant | None, *, upload: bool, pull: bool, oauth: bool, environment: str = "") -> dict[str, Any]:
    """Issue what is asked, shown this once; None for the rest. `of` None: for all tenants (pull only).

    `environment` is NDW's that will pull with it, where that is known.
    """
    issued: dict[str, Any] = dict.fromkeys(("upload_token", "pull_token", "oauth_client_id", "oauth_client_secret"))
    if upload:
        issued["upload_token"] = Token(tenant=of, purpose=Token.Purpose.UPLOAD).issue()
    if pull:
        issued["pull_token"] = Token(tenant=of, purpose=Token.Purpose.PULL, environment=environment).issue()
    if oauth:
        client = OAuthClient(tenant=of, environment=environment)
        issued |= {"oauth_client_secret": client.issue(), "oauth_client_id": client.client_id}
    return issued


def urls(of: Tenant, base: str = "") -> dict[str, str]:
    """Return the URLs NDW is given for a party, below the address we are reached at."""
    root = f"{base or settings.PUBLIC_URL or 'http://localhost:8000'}/ocpi/sender/{of.country_code}/{of.party_id}"
    return {
        "locations_url": f"{root}/2.2.1/locations",
        "tariffs_url": f"{root}/2.2.1/tariffs",
        "versions_url": f"{root}/versions",
    }


ENVIRONMENTS = list(Environment.values)
