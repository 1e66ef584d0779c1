"""Bodies that are valid for OCPI and DOT-NL by default; keywords replace top-level fields. Each call makes a new one.

Source: protocol §10.1, V1 and V2.
"""

from typing import Any

Body = dict[str, Any]


def connector_body(**overrides: Any) -> Body:
    """Return a Connector."""
    body = {
        "id": "1",
        "standard": "IEC_62196_T2",
        "format": "SOCKET",
        "power_type": "AC_3_PHASE",
        "max_voltage": 230,
        "max_amperage": 32,
        "max_electric_power": 22080,
        "tariff_ids": ["ADHOC-1"],
        "last_updated": "2026-03-02T09:15:00Z",
    }
    return body | overrides


def evse_body(**overrides: Any) -> Body:
    """Return an EVSE with one Connector."""
    body = {
        "uid": "EVSE-1",
        "evse_id": "NL*EXA*E1001*1",
        "status": "AVAILABLE",
        "capabilities": ["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
        "connectors": [connector_body()],
        "physical_reference": "1001",
        "parking_restrictions": ["EV_ONLY"],
        "last_updated": "2026-03-02T09:15:00Z",
    }
    return body | overrides


def location_body(**overrides: Any) -> Body:
    """Return a Location with one EVSE."""
    body = {
        "country_code": "NL",
        "party_id": "EXA",
        "id": "LOC-0001",
        "publish": True,
        "name": "Marktplein",
        "address": "Marktplein 1",
        "city": "Utrecht",
        "postal_code": "3511 AA",
        "country": "NLD",
        "coordinates": {"latitude": "52.090736", "longitude": "5.121420"},
        "parking_type": "ON_STREET",
        "evses": [evse_body()],
        "operator": {"name": "Example Charging B.V.", "website": "https://www.example.org"},
        "time_zone": "Europe/Amsterdam",
        "opening_times": {"twentyfourseven": True},
        "energy_mix": {"is_green_energy": True, "supplier_name": "Example Energy"},
        "last_updated": "2026-03-02T09:15:00Z",
    }
    return body | overrides


def tariff_body(**overrides: Any) -> Body:
    """Return a Tariff with a cheaper night."""
    energy = {"type": "ENERGY", "vat": 21, "step_size": 1}
    night = {
        "price_components": [energy | {"price": 0.3306}],
        "restrictions": {"start_time": "22:00", "end_time": "06:00"},
    }
    day = {
        "price_components": [energy | {"price": 0.4132}, {"type": "FLAT", "price": 0.2893, "vat": 21, "step_size": 1}]
    }
    body = {
        "country_code": "NL",
        "party_id": "EXA",
        "id": "ADHOC-1",
        "currency": "EUR",
        "type": "AD_HOC_PAYMENT",
        "elements": [night, day],
        "last_updated": "2026-03-01T00:00:00Z",
    }
    return body | overrides
