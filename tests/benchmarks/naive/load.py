"""Make the tables and fill them with the first Locations of a tenant: python -m tests.benchmarks.naive.load TENANT COUNT."""

import sys

import django

django.setup()

from django.db import connection  # noqa: E402

from ocpi.models import Location  # noqa: E402
from tests.benchmarks.naive.models import NaiveConnector, NaiveEvse, NaiveLocation  # noqa: E402

_OWN = [field.attname for field in NaiveLocation._meta.concrete_fields]
_EVSE = [field.attname for field in NaiveEvse._meta.concrete_fields]
_CONNECTOR = [field.attname for field in NaiveConnector._meta.concrete_fields]


def main(tenant_id: int, count: int) -> None:
    """Fill them."""
    with connection.schema_editor() as editor:
        for model in (NaiveLocation, NaiveEvse, NaiveConnector):
            editor.create_model(model)
    locations, evses, connectors = [], [], []
    for row in Location.objects.filter(tenant=tenant_id, is_shown=True).order_by("pk")[:count]:
        document = row.document
        named = {name: document[name] for name in _OWN if name in document and name != "id"}
        locations.append(NaiveLocation(ocpi_id=document["id"], **named, **document["coordinates"]))
        for evse in document.get("evses", []):
            named = {name: evse[name] for name in _EVSE if name in evse}
            evses.append(NaiveEvse(location=locations[-1], **named))
            for connector in evse["connectors"]:
                named = {name: connector[name] for name in _CONNECTOR if name in connector and name != "id"}
                connectors.append(NaiveConnector(evse=evses[-1], ocpi_id=connector["id"], **named))
    NaiveLocation.objects.bulk_create(locations, batch_size=1000)
    NaiveEvse.objects.bulk_create(evses, batch_size=1000)
    NaiveConnector.objects.bulk_create(connectors, batch_size=1000)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
