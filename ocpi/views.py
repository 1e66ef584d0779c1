"""What the views of both interfaces share: whose URL it is, which purpose a credential has, how routes are refused."""

from typing import Any, NoReturn

import orjson
from django.db.models.functions import Lower
from django.http import HttpResponse
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.views import APIView

from ocpi import documents, envelope, errors
from ocpi.models import Location, OcpiObject
from tenants.models import Credential, Tenant, Token


class OcpiView(APIView):
    """A view for one purpose of credentials and for the party in the URL; `self.tenant` is that party's tenant."""

    purpose: Token.Purpose
    tenant: Tenant

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let in who may see this party through this door. Raises UnknownObject, WrongPurpose."""
        super().initial(request, *args, **kwargs)
        self.tenant = self.tenant_of(request.auth, kwargs)
        if request.auth.purpose != self.purpose:
            raise errors.WrongPurpose("This credential is for the other interface.")
        self._check_addressee(request)

    def tenant_of(self, credential: Credential, url: dict[str, str]) -> Tenant:
        """Return the tenant the URL names, if the credential covers it. Another's party looks unknown."""
        own = credential.tenant
        if own is None:
            party = {"country_code": url["country_code"].upper(), "party_id": url["party_id"].upper()}
            own = Tenant.objects.filter(**party, is_active=True).first()
        if own is None or not own.owns(url["country_code"], url["party_id"]):
            raise errors.UnknownObject("Nothing here under this party.")
        return own

    def _check_addressee(self, request: Request) -> None:
        to = (request.headers.get("OCPI-to-country-code"), request.headers.get("OCPI-to-party-id"))
        if all(to) and not self.tenant.owns(*to):  # type: ignore[arg-type]
            raise errors.Refused("OCPI-to-* names a party that is not served here.")

    def finalize_response(self, request: Request, response: HttpResponse, *args: Any, **kwargs: Any) -> HttpResponse:
        """Swap the routing headers: from us for the CPO, to whoever asked."""
        response = super().finalize_response(request, response, *args, **kwargs)
        sender = (request.headers.get("OCPI-from-country-code"), request.headers.get("OCPI-from-party-id"))
        if all(sender) and hasattr(self, "tenant") and all(value.isascii() and value.isprintable() for value in sender):
            response["OCPI-from-country-code"], response["OCPI-from-party-id"] = (
                self.tenant.country_code,
                self.tenant.party_id,
            )
            response["OCPI-to-country-code"], response["OCPI-to-party-id"] = sender
        return response

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """Name the methods; there is nothing else to negotiate."""
        response = envelope.answer()
        response["Allow"] = ", ".join(self.allowed_methods)
        return response

    def http_method_not_allowed(self, request: Request, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse a method the URL does not have (405 with Allow)."""
        raise exceptions.MethodNotAllowed(request.method or "")


def find(tenant: Tenant, model: type[OcpiObject], ocpi_id: str, **conditions: Any) -> Any:
    """Return the tenant's own object of that id, whatever its case. Raises UnknownObject."""
    rows = model.objects.alias(key=Lower("ocpi_id")).filter(tenant=tenant, key=ocpi_id.lower(), **conditions)
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
