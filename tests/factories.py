"""Make what tests need: valid by default, keyword overrides."""

import itertools
import uuid
from types import SimpleNamespace
from typing import Any

from ocpi import store
from ocpi.models import Push
from tenants import provision
from tenants.models import Connection, Tenant, Token
from tests.documents import location_body, tariff_body

_numbers = itertools.count(1)


def make_tenant(party_id: str = "EXA", **fields: Any) -> Tenant:
    """Return a stored tenant NL-<party_id>."""
    return Tenant.objects.create(**{"country_code": "NL", "party_id": party_id, "name": f"CPO {party_id}"} | fields)


def make_token(tenant: Tenant | None, purpose: str = Token.Purpose.UPLOAD, **fields: Any) -> str:
    """Return the value of a new token."""
    return Token(tenant=tenant, purpose=purpose, **fields).issue()


def make_connection(tenant: Tenant, ndw: Any, environment: str = "staging") -> Connection:
    """Return a Connection of the tenant to a running simulator; nothing left to spread."""
    made = provision.connection(
        tenant,
        environment,
        push_url=ndw.push_url,
        token_url=ndw.token_url,
        client_id=ndw.client_id,
        client_secret=ndw.client_secret,
    )
    Connection.objects.filter(pk=made.pk).update(needs_spreading=False)
    return made


def connect_to_nowhere(tenant: Tenant) -> Connection:
    """Return a Connection that is paused: changes are noted, nothing is sent."""
    nowhere = SimpleNamespace(
        push_url="http://127.0.0.1:9", token_url="http://127.0.0.1:9/token", client_id="none", client_secret="none"
    )
    connection = make_connection(tenant, nowhere)
    connection.pause("goes nowhere")
    return connection


def put_location(tenant: Tenant, **overrides: Any) -> store.Outcome:
    """Upload a Location of the tenant as if over HTTP."""
    return store.put_location(tenant, location_body(**{"party_id": tenant.party_id} | overrides))


def put_tariff(tenant: Tenant, **overrides: Any) -> store.Outcome:
    """Upload a Tariff of the tenant as if over HTTP."""
    return store.put_tariff(tenant, tariff_body(**{"party_id": tenant.party_id} | overrides))


def make_push(connection: Connection, **overrides: Any) -> Push:
    """Return the dirty Push of a new Location of the Connection's tenant."""
    ocpi_id = f"LOC-{next(_numbers):04}"
    put_location(connection.tenant, id=ocpi_id, **overrides)
    return Push.objects.get(connection=connection, location__ocpi_id=ocpi_id)


def unique() -> str:
    """Return a string no other test has."""
    return uuid.uuid4().hex
