"""For each rule of Locations and single values: a body it is found in, where, and one beside it that is in order.

Source: protocol §5.1-§5.6, §6.1.
"""

from typing import Any

from ocpi.rules import Kind
from tests.documents import Body, connector_body, evse_body, location_body, tariff_body


def _opening(**overrides: Any) -> Body:
    return location_body(opening_times={"twentyfourseven": True} | overrides)


def _regular(begin: str, end: str) -> Body:
    return _opening(twentyfourseven=False, regular_hours=[{"weekday": 5, "period_begin": begin, "period_end": end}])


def _period(begin: str, end: str | None = None, **more: str) -> Body:
    ends = {} if end is None else {"period_end": f"2026-12-{end}Z"}
    return {"period_begin": f"2026-12-{begin}Z"} | ends | more


def _schedule(*periods: Body) -> Body:
    return evse_body(status_schedule=[period | {"status": "RESERVED"} for period in periods])


def _tokens(token: Body, **overrides: Any) -> Body:
    return location_body(publish=False, publish_allowed_to=[token]) | overrides


def _at(latitude: str, longitude: str) -> Body:
    return location_body(coordinates={"latitude": latitude, "longitude": longitude})


def _green(*sources: tuple[str, float]) -> Body:
    named = [{"source": source, "percentage": percentage} for source, percentage in sources]
    return location_body(energy_mix={"is_green_energy": True, "energy_sources": named})


def _numbered(first: str, second: str, **overrides: Any) -> Body:
    """Return a Location of two EVSEs with these evse_ids; keywords are fields of the second."""
    return location_body(evses=[evse_body(evse_id=first), evse_body(uid="EVSE-2", evse_id=second, **overrides)])


def _energy(price: float) -> Body:
    return tariff_body(elements=[{"price_components": [{"type": "ENERGY", "price": price, "step_size": 1}]}])


_CHRISTMAS = _period("24T23:00:00", "25T23:00:00")

# The name of the rule: the kind of object, a bad one, where the rule is found in it, and a good one.
CASES: dict[str, tuple[Kind, Body, str, Body]] = {
    "odd_postal_code": (
        "location",
        location_body(postal_code="3511"),
        "/postal_code",
        location_body(postal_code="3511aa"),
    ),
    # ocpi/rules/locations.py
    "limited_to_tokens_though_public": (
        "location",
        _tokens({"uid": "04AABBCC", "type": "RFID"}, publish=True),
        "/publish_allowed_to",
        _tokens({"uid": "04AABBCC", "type": "RFID"}),
    ),
    "same_uid_twice": (
        "location",
        location_body(evses=[evse_body(uid="a"), evse_body(uid="A", evse_id="NL*EXA*E1001*2")]),
        "/evses/1/uid",
        location_body(evses=[evse_body(uid="a"), evse_body(uid="a ", evse_id="NL*EXA*E1001*2")]),
    ),
    "same_connector_id_twice": (
        "evse",
        evse_body(connectors=[connector_body(id="x"), connector_body(id="y"), connector_body(id="X")]),
        "/connectors/2/id",
        evse_body(connectors=[connector_body(id="x"), connector_body(id="y"), connector_body(id="xy")]),
    ),
    "address_of_old_length": ("location", location_body(address="é" * 46), "/address", location_body(address="é" * 45)),
    "no_evse_left": (
        "location",
        location_body(evses=[evse_body(status="REMOVED")]),
        "/evses",
        location_body(evses=[evse_body(status="REMOVED"), evse_body(uid="EVSE-2", status="PLANNED")]),
    ),
    "outside_the_netherlands": ("location", _at("53.70001", "7.30000"), "/coordinates", _at("53.70000", "7.30000")),
    "evse_id_of_another_operator": (
        "location",
        _numbered("nlexae1", "NL*EXB*E2"),
        "/evses/1/evse_id",
        _numbered("nlexae1", "NL*EXB*E2", status="REMOVED"),
    ),
    "same_evse_id_twice": (
        "location",
        _numbered("NL*EXA*E10", "nlexae-10"),
        "/evses/1/evse_id",
        _numbered("NL*EXA*E10", "nlexae-10", status="REMOVED"),
    ),
    "odd_evse_id": ("evse", evse_body(evse_id="NL-EXA-E1"), "/evse_id", evse_body(evse_id="nlexa*e1")),
    "empty_parking_restrictions": (
        "evse",
        evse_body(parking_restrictions=[]),
        "/parking_restrictions",
        evse_body(parking_restrictions=["PLUGGED"]),
    ),
    "names_no_token": (
        "location",
        _tokens({"issuer": "Example MSP"}),
        "/publish_allowed_to/0",
        _tokens({"group_id": "G"}),
    ),
    "uid_without_type": (
        "location",
        _tokens({"uid": "04AABBCC"}),
        "/publish_allowed_to/0/type",
        _tokens({"uid": "04AABBCC", "type": "OTHER"}),
    ),
    "visual_number_without_issuer": (
        "location",
        _tokens({"visual_number": "12"}),
        "/publish_allowed_to/0/issuer",
        _tokens({"visual_number": "12", "issuer": "Example MSP"}),
    ),
    "sources_do_not_add_up": (
        "location",
        _green(("SOLAR", 60), ("WIND", 39.89)),
        "/energy_mix/energy_sources",
        _green(("SOLAR", 60), ("WIND", 39.9)),
    ),
    "green_with_fossil_or_nuclear": (
        "location",
        _green(("SOLAR", 99.9), ("GAS", 0.1)),
        "/energy_mix/is_green_energy",
        _green(("SOLAR", 100), ("GAS", 0)),
    ),
    # ocpi/rules/hours.py
    "hours_though_always_open": (
        "location",
        _opening(regular_hours=[{"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}]),
        "/opening_times/regular_hours",
        _opening(regular_hours=[]),
    ),
    "no_hours_though_not_always_open": (
        "location",
        _opening(twentyfourseven=False, exceptional_openings=[_CHRISTMAS]),
        "/opening_times/regular_hours",
        _opening(exceptional_openings=[_CHRISTMAS]),
    ),
    "closed_and_open_at_once": (
        "location",
        _opening(
            exceptional_openings=[_period("01T00:00:00", "02T00:00:00"), _CHRISTMAS],
            exceptional_closings=[_period("02T00:00:00", "03T00:00:00"), _period("25T22:59:59.999", "26T23:00:00")],
        ),
        "/opening_times/exceptional_closings/1",
        _opening(
            exceptional_openings=[_period("01T00:00:00", "02T00:00:00"), _CHRISTMAS],
            exceptional_closings=[_period("02T00:00:00", "03T00:00:00"), _period("25T23:00:00", "26T23:00:00")],
        ),
    ),
    "hours_end_before_they_begin": (
        "location",
        _regular("18:00", "18:00"),
        "/opening_times/regular_hours/0/period_end",
        _regular("18:00", "18:01"),
    ),
    "hours_end_at_midnight": (
        "location",
        _regular("18:00", "00:00"),
        "/opening_times/regular_hours/0/period_end",
        _regular("18:00", "23:59"),
    ),
    "exception_ends_before_it_begins": (
        "location",
        _opening(exceptional_closings=[_period("25T00:00:00.500", "25T00:00:00")]),
        "/opening_times/exceptional_closings/0/period_end",
        _opening(exceptional_closings=[_period("25T00:00:00", "25T00:00:00.500")]),
    ),
    "schedule_ends_before_it_begins": (
        "evse",
        _schedule(_period("25T00:00:00", "25T00:00:00")),
        "/status_schedule/0/period_end",
        _schedule(_period("25T00:00:00")),
    ),
    "two_statuses_planned_at_once": (
        "evse",
        _schedule(_period("02T00:00:00"), _period("01T00:00:00", "02T00:00:00"), _period("03T00:00:00", "04T00:00:00")),
        "/status_schedule/2",
        _schedule(_period("03T00:00:00"), _period("01T00:00:00", "02T00:00:00"), _period("02T00:00:00", "03T00:00:00")),
    ),
    # ocpi/rules/connectors.py
    "more_power_than_volts_times_amperes": (
        "connector",
        connector_body(max_electric_power=24_289),
        "/max_electric_power",
        connector_body(max_electric_power=24_288),
    ),
    "less_than_a_kilowatt": (
        "connector",
        connector_body(max_electric_power=999),
        "/max_electric_power",
        connector_body(max_electric_power=1_000),
    ),
    "line_to_line_voltage": (
        "connector",
        connector_body(max_voltage=380),
        "/max_voltage",
        connector_body(power_type="DC", max_voltage=400, max_amperage=125),
    ),
    "no_voltage": ("connector", connector_body(max_voltage=0), "/max_voltage", connector_body(max_voltage=1)),
    "no_amperage": ("connector", connector_body(max_amperage=0), "/max_amperage", connector_body(max_amperage=1)),
    "voltage_beyond_belief": (
        "connector",
        connector_body(power_type="DC", max_voltage=1_501),
        "/max_voltage",
        connector_body(power_type="DC", max_voltage=1_500),
    ),
    "amperage_beyond_belief": (
        "connector",
        connector_body(power_type="DC", max_amperage=1_001),
        "/max_amperage",
        connector_body(power_type="DC", max_amperage=1_000),
    ),
    # ocpi/rules/values.py
    "not_available": (
        "evse",
        evse_body(directions=[{"language": "nl", "text": "#NA"}]),
        "/directions/0/text",
        evse_body(directions=[{"language": "nl", "text": "#N/A"}]),
    ),
    "at_zero": ("location", _at("0.00000", "-0.000000"), "/coordinates", _at("0.00000", "0.00001")),
    "too_many_digits": (
        "tariff",
        _energy(0.4131234567890123),
        "/elements/0/price_components/0/price",
        _energy(0.413123456789012),
    ),
    "more_than_four_decimals": (
        "tariff",
        _energy(0.41321),
        "/elements/0/price_components/0/price",
        _energy(0.4132),
    ),
    "private_url": (
        "connector",
        connector_body(terms_and_conditions="https://172.16.0.1/terms"),
        "/terms_and_conditions",
        connector_body(terms_and_conditions="https://172.15.0.1/terms"),
    ),
    "markup": (
        "location",
        location_body(name='"Markt" &amp; plein'),
        "/name",
        location_body(name="P&R; max < 2 m; a<5"),
    ),
}
