"""A body for every rule of shapes, times, profiles and PATCH that breaks it, where, and one that just does not.

CASES is rule name -> (kind, bad body, path where the rule is found, good body). PATCH_CASES is rule name -> (kind, stored
body, bad patch, path, good patch). The clock of the tests stands at noon on 2 March 2026.
"""

from typing import Any

from ocpi.schemas import Kind
from tests.documents import Body, connector_body, evse_body, location_body, tariff_body

Case = tuple[Kind, Body, str, Body]
PatchCase = tuple[Kind, Body, Any, str, Body]


def without(body: Body, *fields: str) -> Body:
    """Return the body without these fields."""
    return {name: value for name, value in body.items() if name not in fields}


def open_at(**hours: Any) -> Body:
    """Return a Location that is open on one weekday."""
    opening = {"weekday": 1, "period_begin": "07:00", "period_end": "22:00"} | hours
    return location_body(opening_times={"twentyfourseven": False, "regular_hours": [opening]})


def element(**overrides: Any) -> Body:
    """Return a Tariff of one element, with other values in its only price component."""
    component = {"type": "ENERGY", "price": 0.41, "vat": 21, "step_size": 1} | overrides
    return tariff_body(elements=[{"price_components": [component]}])


def at(latitude: Any, longitude: Any) -> Body:
    """Return a Location at this place."""
    return location_body(coordinates={"latitude": latitude, "longitude": longitude})


def within(**restrictions: Any) -> Body:
    """Return a Tariff whose first element is restricted like this."""
    night, day = tariff_body()["elements"]
    return tariff_body(elements=[night | {"restrictions": restrictions}, day])


NL = {"language": "nl", "text": "Achter het station"}
LOGO = {"url": "https://example.org/a.png", "category": "OPERATOR", "type": "png"}

CASES: dict[str, Case] = {
    "missing": ("location", without(location_body(), "city"), "/city", without(location_body(), "state")),
    "null": ("location", location_body(city=None), "/city", location_body(state=None)),
    "wrong_boolean": ("location", location_body(publish="true"), "/publish", location_body(publish=True)),
    "wrong_object": ("location", location_body(operator=[]), "/operator", location_body(operator={"name": "A"})),
    "wrong_list": ("location", location_body(directions=NL), "/directions", location_body(directions=[NL])),
    "wrong_enum": ("evse", evse_body(status="charging"), "/status", evse_body(status="CHARGING")),
    "too_few_items": ("evse", evse_body(connectors=[]), "/connectors", evse_body(capabilities=[])),
    "too_many_items": (
        "evse",
        evse_body(capabilities=["RFID_READER"] * 1001),
        "/capabilities",
        evse_body(capabilities=["RFID_READER"] * 1000),
    ),
    "wrong_text": ("evse", evse_body(floor_level=-1), "/floor_level", evse_body(floor_level="-1")),
    "wrong_ci_string": (
        "location",
        location_body(operator={"name": "A", "logo": LOGO | {"type": "image"}}),
        "/operator/logo/type",
        location_body(operator={"name": "A", "logo": LOGO | {"type": "jpeg"}}),
    ),
    "wrong_identifier": ("connector", connector_body(id="a/b"), "/id", connector_body(id="a*b")),
    "wrong_int": ("connector", connector_body(max_voltage="230"), "/max_voltage", connector_body(max_voltage=230)),
    "wrong_number": ("tariff", element(price="0.41"), "/elements/0/price_components/0/price", element(price=0.41)),
    "wrong_country_code": ("location", location_body(country_code="NLD"), "/country_code", location_body()),
    "wrong_party_id": ("location", location_body(party_id="EX"), "/party_id", location_body(party_id="505")),
    "wrong_date_time": (
        "location",
        location_body(last_updated="2026-03-02T09:15:00+00:00"),
        "/last_updated",
        location_body(last_updated="2026-03-02T09:15:00.125Z"),
    ),
    "wrong_local_time": (
        "location",
        open_at(period_begin="8:00"),
        "/opening_times/regular_hours/0/period_begin",
        open_at(period_begin="08:00"),
    ),
    "wrong_local_date": (
        "tariff",
        within(start_date="2026-02-29"),
        "/elements/0/restrictions/start_date",
        within(start_date="2028-02-29"),
    ),
    "wrong_url": (
        "connector",
        connector_body(terms_and_conditions="www.example.org"),
        "/terms_and_conditions",
        connector_body(terms_and_conditions="http://www.example.org"),
    ),
    "wrong_latitude": (
        "location",
        at("52,090736", "5.121420"),
        "/coordinates/latitude",
        at("52.09073", "5.12142"),
    ),
    "wrong_longitude": (
        "location",
        at("52.090736", 5.12142),
        "/coordinates/longitude",
        at("52.090736", "5.12142"),
    ),
    "wrong_country": ("location", location_body(country="NL"), "/country", location_body(country="BEL")),
    "wrong_currency": ("tariff", tariff_body(currency="eur"), "/currency", tariff_body(currency="EUR")),
    "wrong_language": (
        "location",
        location_body(directions=[NL | {"language": "nld"}]),
        "/directions/0/language",
        location_body(directions=[NL]),
    ),
    "wrong_time_zone": (
        "location",
        location_body(time_zone="Amsterdam"),
        "/time_zone",
        location_body(time_zone="Europe/Amsterdam"),
    ),
    "no_elements": ("tariff", tariff_body(elements=[]), "/elements", element()),
    "kilowatts": (
        "connector",
        connector_body(max_electric_power=22.08),
        "/max_electric_power",
        connector_body(max_electric_power=22080),
    ),
    "more_errors": ("evse", evse_body(capabilities=["?"] * 101), "", evse_body(capabilities=["?"] * 100)),
    "unknown_property": ("evse", evse_body(Status="AVAILABLE"), "/Status", evse_body()),
    "more_unknown": (
        "evse",
        evse_body(**{f"x{number}": 1 for number in range(101)}),
        "",
        evse_body(**{f"x{number}": 1 for number in range(100)}),
    ),
    "outer_space": ("location", location_body(name="Marktplein "), "/name", location_body(name="Markt plein")),
    "whole_number": ("connector", connector_body(max_amperage=32.0), "/max_amperage", connector_body()),
    "language_in_capitals": (
        "location",
        location_body(directions=[NL | {"language": "NL"}]),
        "/directions/0/language",
        location_body(directions=[NL]),
    ),
    "no_zone": (
        "location",
        location_body(last_updated="2026-03-02T09:15:00.5"),
        "/last_updated",
        location_body(last_updated="2026-03-02T09:15:00.5Z"),
    ),
    "null_is_absent": ("location", location_body(state=None), "/state", location_body(images=[])),
    "in_the_future": (
        "location",
        location_body(last_updated="2026-03-02T12:05:01Z"),
        "/last_updated",
        location_body(last_updated="2026-03-02T12:05:00Z"),
    ),
    "parent_raised": (
        "location",
        location_body(evses=[evse_body(last_updated="2026-03-02T09:15:00.250Z")]),
        "/last_updated",
        location_body(
            evses=[evse_body(connectors=[connector_body(last_updated="2026-03-02T09:14:59.999Z")])],
        ),
    ),
    "no_opening_times": ("location", without(location_body(), "opening_times"), "/opening_times", location_body()),
    "no_energy_mix": ("location", location_body(energy_mix=None), "/energy_mix", location_body()),
    "no_parking_restrictions": (
        "location",
        location_body(evses=[without(evse_body(), "parking_restrictions")]),
        "/evses/0/parking_restrictions",
        location_body(evses=[evse_body(parking_restrictions=[])]),
    ),
    "no_max_electric_power": (
        "evse",
        evse_body(connectors=[connector_body(max_electric_power=0)]),
        "/connectors/0/max_electric_power",
        evse_body(connectors=[connector_body(max_electric_power=1)]),
    ),
    "no_tariff_ids": ("connector", connector_body(tariff_ids=[]), "/tariff_ids", connector_body(tariff_ids=["A"])),
}

AT = "2026-03-02T11:00:00Z"
PATCH_CASES: dict[str, PatchCase] = {
    "patch_is_no_object": ("evse", evse_body(), [], "", {"last_updated": AT}),
    "patch_undated": (
        "evse",
        evse_body(),
        {"status": "CHARGING"},
        "/last_updated",
        {"status": "CHARGING", "last_updated": AT},
    ),
    "identifier_changed": (
        "location",
        location_body(),
        {"id": "LOC-0002", "last_updated": AT},
        "/id",
        {"id": "loc-0001", "last_updated": AT},
    ),
    "cleared_opening_times": (
        "location",
        location_body(),
        {"opening_times": None, "last_updated": AT},
        "/opening_times",
        {"opening_times": {"twentyfourseven": True}, "last_updated": AT},
    ),
    "cleared_energy_mix": (
        "location",
        location_body(),
        {"energy_mix": None, "last_updated": AT},
        "/energy_mix",
        {"energy_mix": {"is_green_energy": False}, "last_updated": AT},
    ),
    "cleared_parking_restrictions": (
        "evse",
        evse_body(),
        {"parking_restrictions": None, "last_updated": AT},
        "/parking_restrictions",
        {"parking_restrictions": [], "last_updated": AT},
    ),
    "cleared_max_electric_power": (
        "connector",
        connector_body(),
        {"max_electric_power": None, "last_updated": AT},
        "/max_electric_power",
        {"max_electric_power": 0, "last_updated": AT},
    ),
    "cleared_tariff_ids": (
        "connector",
        connector_body(),
        {"tariff_ids": None, "last_updated": AT},
        "/tariff_ids",
        {"tariff_ids": [], "last_updated": AT},
    ),
    "children_stay": (
        "location",
        location_body(),
        {"evses": None, "last_updated": AT},
        "/evses",
        {"evses": [], "last_updated": AT},
    ),
    "field_cleared": (
        "evse",
        evse_body(),
        {"evse_id": None, "last_updated": AT},
        "/evse_id",
        {"evse_id": "NL*EXA*E1*2", "last_updated": AT},
    ),
    "named_twice": (
        "location",
        location_body(),
        {"evses": [evse_body(uid="new"), evse_body(uid="NEW")], "last_updated": AT},
        "/evses/1/uid",
        {"evses": [evse_body(uid="new"), evse_body(uid="NEWER")], "last_updated": AT},
    ),
}
