"""What the views of both interfaces share: whose URL it is, which purpose a credential has, how routes are refused."""

from typing import Any, NoReturn, cast

import orjson
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.http import HttpResponse
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.views import APIView

from ocpi import documents, envelope, errors, journal
from ocpi.models import Location, Tariff
from tenants import limits
from tenants.authentication import find_tenant
from tenants.models import Credential, Tenant, Token

CHANGING = ("POST", "PUT", "PATCH", "DELETE")


class OcpiView(APIView):
    """A view for one purpose of credentials and for the party in the URL; `self.tenant` is that party's tenant."""

    purpose: Token.Purpose
    has_routing_headers = True  # of the functional modules; Versions carry none
    tenant: Tenant

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let in who may see this party through this door. Raises UnknownObject, WrongPurpose, Offboarded."""
        super().initial(request, *args, **kwargs)
        credential = cast(Credential, request.auth)
        self.tenant = self.tenant_of(credential, kwargs)
        journal.note(tenant=str(self.tenant))
        if credential.purpose != self.purpose:
            raise errors.WrongPurpose("This credential is for the other interface.")
        wait_s = limits.upload_wait_s(self.tenant.pk) if self.purpose == Token.Purpose.UPLOAD else 0
        if wait_s:
            raise errors.TooMany(wait_s)
        if self.tenant.offboarding_at and self.purpose == Token.Purpose.UPLOAD and request.method in CHANGING:
            raise errors.Offboarded  # before the body is read; `ocpi.store` looks once more
        self._check_addressee(request)

    def tenant_of(self, credential: Credential, url: dict[str, str]) -> Tenant:
        """Return the tenant the URL names, if the credential covers it. Another's party looks unknown."""
        own = credential.tenant or find_tenant(url["country_code"], url["party_id"])
        if own is None or not own.owns(url["country_code"], url["party_id"]):
            wanted = "Location" if "location_id" in url else "Tariff" if "tariff_id" in url else "party"
            raise errors.UnknownObject(f"Unknown {wanted}.")
        return own

    def _check_addressee(self, request: Request) -> None:
        to = _party(request, "to")
        if to and self.has_routing_headers and not self.tenant.owns(*to):
            raise errors.Refused("OCPI-to-* names a party that is not served here.")

    def finalize_response(  # type: ignore[override]  # it may be any HttpResponse, the stubs say Response
        self, request: Request, response: HttpResponse, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Swap the routing headers: from us for the CPO, to whoever asked."""
        response = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]
        caller = _party(request, "from")
        if caller and self.has_routing_headers and hasattr(self, "tenant"):
            own = (self.tenant.country_code, self.tenant.party_id)
            response["OCPI-from-country-code"], response["OCPI-from-party-id"] = own
            response["OCPI-to-country-code"], response["OCPI-to-party-id"] = caller
        return response

    def options(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """Name the methods; there is nothing else to negotiate."""
        response = envelope.answer()
        response["Allow"] = ", ".join(self.allowed_methods)
        return response

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse a method the URL does not have (405 with Allow)."""
        raise exceptions.MethodNotAllowed(request.method or "")


def _party(request: Request, direction: str) -> tuple[str, str] | None:
    """Return the pair of the routing headers OCPI-<direction>-*, None unless both are given and fit for a header."""
    values = [request.headers.get(f"OCPI-{direction}-{name}", "") for name in ("country-code", "party-id")]
    return (
        (values[0], values[1]) if all(value.isascii() and value.isprintable() and value for value in values) else None
    )


def base_url(request: Request) -> str:
    """Return the address callers reach us at, without a slash at the end."""
    return settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")


def find(
    tenant: Tenant,
    model: type[Location] | type[Tariff],
    ocpi_id: str,
    using: str = DEFAULT_DB_ALIAS,
    **conditions: Any,
) -> Any:
    """Return the tenant's own object of that id, whatever its case. Raises UnknownObject."""
    rows = model.objects.using(using).filter(tenant=tenant, ocpi_key=ocpi_id.lower(), **conditions)
    with tenant.transaction(using):
        found = rows.first()
    if found is None:
        raise errors.UnknownObject(f"Unknown {model.__name__}.")
    return found


def part_of(location: Location, evse_uid: str, connector_id: str | None = None) -> bytes:
    """Return one EVSE, or one of its Connectors, out of a Location. Raises UnknownObject."""
    _, evse = documents.evse_at(location.document, evse_uid)
    if evse is None:
        raise errors.UnknownObject("Unknown EVSE.")
    if connector_id is None:
        return orjson.dumps(evse)
    _, connector = documents.connector_at(evse, connector_id)
    if connector is None:
        raise errors.UnknownObject("Unknown Connector.")
    return orjson.dumps(connector)
