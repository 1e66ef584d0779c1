"""OCPI Receiver interface: a CPO uploads with PUT, PATCH and DELETE and checks with GET.

Source: OCPI 2.2.1 mod_locations "Receiver Interface", mod_tariffs "Receiver Interface"; protocol §2.3, §2.7, §8.
"""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from ocpi import envelope, errors, journal, rules, store, tally
from ocpi.bodies import read_body
from ocpi.models import Location, Tariff
from ocpi.rules import uploads
from ocpi.views import OcpiView, find, part_of
from tenants.authentication import UploadToken
from tenants.models import Tenant, Token

UPLOADS = ("PUT", "PATCH", "DELETE")


def _said(findings: list[rules.Finding]) -> str:
    """Return what an accepted upload is told: that all is well, or the first of what is not."""
    if not findings:
        return "Success"
    first = findings[0]
    cut = f", the first {errors.LISTED} in data" if len(findings) > errors.LISTED else ", see data"
    others = f" ({len(findings)} findings{cut})" if len(findings) > 1 else ""
    return f"Accepted. {first.path or '/'}: {first.message}{others}"


class ReceiverView(OcpiView):
    """A view of the Receiver interface: upload tokens only."""

    authentication_classes = [UploadToken]
    purpose = Token.Purpose.UPLOAD

    def accepted(self, outcome: store.Outcome) -> HttpResponse:
        """Answer an upload that was applied, with its findings."""
        tally.note(self.tenant, is_accepted=True)
        journal.note(outcome="created" if outcome.created else "changed" if outcome.changed else "unchanged")
        return envelope.answer(
            message=_said(outcome.findings),
            http_status=201 if outcome.created else 200,
            data=errors.as_data(outcome.findings),
        )

    def handle_exception(self, exc: Exception) -> Any:
        """Count an upload that was refused; not who came through the wrong door, nor what failed on our side."""
        is_upload = self.request.method in UPLOADS and hasattr(self, "tenant")
        if is_upload and isinstance(exc, errors.OcpiError) and not isinstance(exc, errors.WrongPurpose):
            tally.note(self.tenant, is_accepted=False)
        return super().handle_exception(exc)


def _same_ids(document: Any, **url: str) -> None:
    """Refuse a body whose identifiers are not those of the URL. Source: transport_and_format, "Errors"."""
    if not isinstance(document, dict):
        return  # the verdict says what it should have been
    wrong = [
        uploads.URL_DIFFERS.at(f"/{name}", name=name, value=rules.shown(document[name]), url=rules.shown(value))
        for name, value in url.items()
        if name in document and str(document[name]).lower() != value.lower()
    ]
    if wrong:
        raise errors.Refused.because(wrong)


def _with_own_spelling(document: Any, tenant: Tenant) -> Any:
    """Spell the party as the tenant does: CiStrings compare without case, and NDW must see one party."""
    if isinstance(document, dict):
        for name in ("country_code", "party_id"):
            if isinstance(document.get(name), str):
                document[name] = getattr(tenant, name)
    return document


class LocationView(ReceiverView):
    """`/locations/{country_code}/{party_id}/{location_id}`."""

    def get(self, request: Request, location_id: str, **party: str) -> HttpResponse:
        """Return the Location as stored, shown to NDW or not."""
        return envelope.answer(data=bytes(find(self.tenant, Location, location_id).body))

    def put(self, request: Request, location_id: str, **party: str) -> HttpResponse:
        """Create or replace."""
        document = read_body(request)
        _same_ids(document, id=location_id, **party)
        return self.accepted(store.put_location(self.tenant, _with_own_spelling(document, self.tenant)))

    def patch(self, request: Request, location_id: str, **party: str) -> HttpResponse:
        """Change the named fields."""
        patch = read_body(request)
        _same_ids(patch, id=location_id, **party)
        return self.accepted(store.patch_location(self.tenant, location_id, patch))


class EvseView(ReceiverView):
    """`/locations/{country_code}/{party_id}/{location_id}/{evse_uid}`."""

    def get(self, request: Request, location_id: str, evse_uid: str, **party: str) -> HttpResponse:
        """Return the EVSE as stored."""
        return envelope.answer(data=part_of(find(self.tenant, Location, location_id), evse_uid))

    def put(self, request: Request, location_id: str, evse_uid: str, **party: str) -> HttpResponse:
        """Create or replace."""
        document = read_body(request)
        _same_ids(document, uid=evse_uid)
        return self.accepted(store.put_evse(self.tenant, location_id, document))

    def patch(self, request: Request, location_id: str, evse_uid: str, **party: str) -> HttpResponse:
        """Change the named fields."""
        patch = read_body(request)
        _same_ids(patch, uid=evse_uid)
        return self.accepted(store.patch_evse(self.tenant, location_id, evse_uid, patch))


class ConnectorView(ReceiverView):
    """`/locations/{country_code}/{party_id}/{location_id}/{evse_uid}/{connector_id}`."""

    def get(self, request: Request, location_id: str, evse_uid: str, connector_id: str, **party: str) -> HttpResponse:
        """Return the Connector as stored."""
        return envelope.answer(data=part_of(find(self.tenant, Location, location_id), evse_uid, connector_id))

    def put(self, request: Request, location_id: str, evse_uid: str, connector_id: str, **party: str) -> HttpResponse:
        """Create or replace."""
        document = read_body(request)
        _same_ids(document, id=connector_id)
        outcome = store.put_connector(self.tenant, location_id, evse_uid, document)
        return self.accepted(outcome)

    def patch(self, request: Request, location_id: str, evse_uid: str, connector_id: str, **party: str) -> HttpResponse:
        """Change the named fields."""
        patch = read_body(request)
        _same_ids(patch, id=connector_id)
        outcome = store.patch_connector(self.tenant, location_id, evse_uid, connector_id, patch)
        return self.accepted(outcome)


class TariffView(ReceiverView):
    """`/tariffs/{country_code}/{party_id}/{tariff_id}`; a Tariff has no PATCH."""

    def get(self, request: Request, tariff_id: str, **party: str) -> HttpResponse:
        """Return the Tariff as stored."""
        return envelope.answer(data=bytes(find(self.tenant, Tariff, tariff_id, deleted_at=None).body))

    def put(self, request: Request, tariff_id: str, **party: str) -> HttpResponse:
        """Create or replace."""
        document = read_body(request)
        _same_ids(document, id=tariff_id, **party)
        return self.accepted(store.put_tariff(self.tenant, _with_own_spelling(document, self.tenant)))

    def delete(self, request: Request, tariff_id: str, **party: str) -> HttpResponse:
        """Delete; a Tariff that connectors still name is refused (T-22)."""
        return self.accepted(store.delete_tariff(self.tenant, tariff_id))
