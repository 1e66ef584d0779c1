"""Look at what is stored of a tenant, to say exactly what an upload changed or that it changed nothing."""

from typing import Any

import orjson

from ocpi.models import Import, Location, Push, Tariff
from tenants.models import Tenant


def everything(tenant: Tenant) -> list[Any]:
    """Return every value of every Location, Tariff, Push and Import of the tenant: a refused upload leaves them equal."""
    models = (Location, Tariff, Push, Import)
    return [list(model.objects.filter(tenant=tenant).order_by("pk").values_list()) for model in models]


def location(tenant: Tenant, ocpi_id: str = "LOC-0001") -> Location:
    """Return a Location as it is now."""
    return Location.objects.get(tenant=tenant, ocpi_id=ocpi_id)


def document(tenant: Tenant, ocpi_id: str = "LOC-0001") -> dict[str, Any]:
    """Return the document of a Location as it is now."""
    return orjson.loads(bytes(location(tenant, ocpi_id).body))


def pushed(tenant: Tenant) -> list[tuple[str, int, bool, str | None]]:
    """Return what NDW still lacks: (id, version, whole, EVSE whose status changed) of every Push that is not delivered."""
    rows = (
        Push.objects.filter(tenant=tenant, state=Push.State.DIRTY).select_related("location", "tariff").order_by("pk")
    )
    return [(str(row), row.version, row.whole, row.evse_uid) for row in rows]


def deliver(tenant: Tenant) -> None:
    """Make every Push of the tenant look as if NDW had accepted it."""
    Push.objects.filter(tenant=tenant).update(state=Push.State.DELIVERED, whole=False, evse_uid=None, changed_at=None)
