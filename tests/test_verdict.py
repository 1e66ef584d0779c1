"""The verdict: the protocol's own examples, every rule, the gaps, what is mended, and PATCH."""

import copy
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpi.reader import NotJson, read
from ocpi.rules import Kind, check, check_patch, keep_spelling, merge, profiles, shape
from ocpi.schemas import MODELS
from tests.documents import Body, connector_body, evse_body, location_body, tariff_body

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
BODIES: dict[Kind, Callable[..., Body]] = {
    "location": location_body,
    "evse": evse_body,
    "connector": connector_body,
    "tariff": tariff_body,
}

Found = list[tuple[str, str, str]]


def found(kind: Kind, document: object) -> Found:
    """Return (severity, rule, path) of all findings."""
    return [(f.severity, f.rule, f.path) for f in check(kind, document, now=NOW).findings]


def without(body: Body, field: str) -> Body:
    """Return the body without one field."""
    return {name: value for name, value in body.items() if name != field}


HOURS = [{"weekday": day, "period_begin": "07:00", "period_end": "22:00"} for day in (1, 2)]
MORNING = [{"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}]
ENERGY = {"type": "ENERGY", "price": 0.4, "vat": 21, "step_size": 1}
GREY = [{"source": "WIND", "percentage": 62.5}, {"source": "GAS", "percentage": 37.5}]


def hours(*entries: Body) -> Body:
    """Return a Location that is open at these hours."""
    return location_body(opening_times={"twentyfourseven": False, "regular_hours": list(entries)})


def element(*components: Body, **restrictions: Any) -> Body:
    """Return a Tariff of one element, and of one behind it that always applies."""
    first = {"price_components": list(components or [ENERGY]), "restrictions": restrictions}
    return tariff_body(elements=[first, {"price_components": [ENERGY]}])


SUM = [("warning", "L-18", "/energy_mix/energy_sources")]


def mix(solar: float, rest: float, source: str = "WIND") -> Body:
    """Return a Location with green energy of two sources."""
    sources = [{"source": "SOLAR", "percentage": solar}, {"source": source, "percentage": rest}]
    return location_body(energy_mix={"is_green_energy": True, "energy_sources": sources})


# protocol §10.1 and §10.2: what is valid, and the few things worth a remark
VALID: dict[str, tuple[Kind, Body, Found]] = {
    "V1": ("location", location_body(), []),
    "V2": ("tariff", tariff_body(), []),
    "V4": (
        "connector",
        connector_body(
            id="2",
            standard="IEC_62196_T2_COMBO",
            format="CABLE",
            power_type="DC",
            max_voltage=920,
            max_amperage=400,
            max_electric_power=150000,
            tariff_ids=["ADHOC-1", "REG-1"],
            last_updated="2026-03-02T09:15:00.250Z",
        ),
        [],
    ),
    "V5": (
        "evse",
        without(evse_body(status="REMOVED", parking_restrictions=[]), "evse_id"),
        [("warning", "N-parking_restrictions", "/parking_restrictions")],
    ),
    "V6": (
        "location",
        location_body(
            opening_times={
                "twentyfourseven": False,
                "regular_hours": HOURS,
                "exceptional_closings": [
                    {"period_begin": "2026-12-24T23:00:00Z", "period_end": "2026-12-25T23:00:00Z"}
                ],
            }
        ),
        [],
    ),
    "V7": (
        "location",
        location_body(
            opening_times={
                "twentyfourseven": True,
                "exceptional_closings": [
                    {"period_begin": "2026-05-01T01:00:00Z", "period_end": "2026-05-01T03:00:00Z"}
                ],
            }
        ),
        [],
    ),
    "V8": (
        "location",
        location_body(
            energy_mix={
                "is_green_energy": False,
                "energy_sources": GREY,
                "environ_impact": [{"category": "CARBON_DIOXIDE", "amount": 151.2}],
                "supplier_name": "Example Energy",
            }
        ),
        [],
    ),
    "V9": (
        "tariff",
        tariff_body(id="FREE", elements=[{"price_components": [{"type": "FLAT", "price": 0.00, "step_size": 0}]}]),
        [],
    ),
    "V12": (
        "location",
        location_body(state=None, images=None, suboperator=None),
        [("warning", "S-null", "/state")],
    ),
    "V16": ("tariff", tariff_body(end_date_time="2026-06-30T22:00:00Z"), []),
    "V17": (
        "location",
        location_body(
            publish=False,
            publish_allowed_to=[
                {"visual_number": "0012-34", "issuer": "Example MSP"},
                {"uid": "04AABBCC", "type": "RFID"},
            ],
        ),
        [],
    ),
}

# protocol §10.3, X8 to X46: bodies of PUT. (X13, X14, X39, X40 compare with the URL; X41, X42 are no JSON.)
INVALID: dict[str, tuple[Kind, Body, Found]] = {
    "X4": ("evse", evse_body(last_updated="2026-03-02T10:00:00+00:00"), [("error", "S-date_time", "/last_updated")]),
    "X5": ("evse", evse_body(last_updated="2026-03-02T10:00:00.123456Z"), [("error", "S-date_time", "/last_updated")]),
    "X6": ("evse", evse_body(last_updated="2026-03-02"), [("error", "S-date_time", "/last_updated")]),
    "X7": ("evse", evse_body(last_updated="2026-02-30T10:00:00Z"), [("error", "S-date_time", "/last_updated")]),
    "X8": (
        "location",
        location_body(coordinates={"latitude": 52.090736, "longitude": 5.12142}),
        [("error", "S-latitude", "/coordinates/latitude"), ("error", "S-longitude", "/coordinates/longitude")],
    ),
    "X9": (
        "location",
        location_body(coordinates={"latitude": "52.0907", "longitude": "5.12142"}),
        [("error", "S-latitude", "/coordinates/latitude")],
    ),
    "X10": (
        "location",
        location_body(coordinates={"latitude": "52,090736", "longitude": "5.121420"}),
        [("error", "S-latitude", "/coordinates/latitude")],
    ),
    "X11": ("location", location_body(country="NL"), [("error", "S-country", "/country")]),
    "X12": ("location", location_body(country_code="NLD"), [("error", "S-country_code", "/country_code")]),
    "X15": ("evse", evse_body(connectors=[]), [("error", "S-items", "/connectors")]),
    "X16": ("connector", connector_body(max_voltage="230"), [("error", "S-int", "/max_voltage")]),
    "X17": ("connector", connector_body(max_amperage=True), [("error", "S-int", "/max_amperage")]),
    "X18": ("connector", connector_body(max_electric_power=22.08), [("error", "S-int", "/max_electric_power")]),
    "X19": ("connector", connector_body(standard="IEC_60309_2_SINGLE_16"), [("error", "S-enum", "/standard")]),
    "X20": (
        "location",
        location_body(opening_times={"twentyfourseven": True, "regular_hours": MORNING}),
        [("error", "L-07", "/opening_times/regular_hours")],
    ),
    "X21": (
        "location",
        location_body(opening_times={"twentyfourseven": False}),
        [("error", "L-08", "/opening_times/regular_hours")],
    ),
    "X22": (
        "location",
        location_body(opening_times={"regular_hours": MORNING}),
        [("error", "S-required", "/opening_times/twentyfourseven")],
    ),
    "X23": (
        "location",
        hours({"weekday": 0, "period_begin": "08:00", "period_end": "20:00"}),
        [("error", "S-int", "/opening_times/regular_hours/0/weekday")],
    ),
    "X24": (
        "location",
        hours({"weekday": 5, "period_begin": "8:00", "period_end": "24:00"}),
        [
            ("error", "S-local_time", "/opening_times/regular_hours/0/period_begin"),
            ("error", "S-local_time", "/opening_times/regular_hours/0/period_end"),
        ],
    ),
    "X25": (
        "location",
        hours({"weekday": 5, "period_begin": "18:00", "period_end": "02:00"}),
        [("error", "L-10", "/opening_times/regular_hours/0/period_end")],
    ),
    "X26": (
        "location",
        location_body(energy_mix={"supplier_name": "Example Energy"}),
        [("error", "S-required", "/energy_mix/is_green_energy")],
    ),
    "X27": (
        "location",
        location_body(energy_mix={"is_green_energy": False, "energy_sources": [{"source": "WIND", "percentage": 60}]}),
        [("warning", "L-18", "/energy_mix/energy_sources")],
    ),
    "X28": (
        "location",
        location_body(publish_allowed_to=[{"uid": "04AABBCC", "type": "RFID"}]),
        [("error", "L-12", "/publish_allowed_to")],
    ),
    "X29": (
        "location",
        location_body(publish=False, publish_allowed_to=[{"uid": "04AABBCC"}]),
        [("error", "S-token", "/publish_allowed_to/0/type")],
    ),
    "X30": ("location", location_body(name="Markt\nplein"), [("error", "S-text", "/name")]),
    "X31": (
        "evse",
        evse_body(floor_level=-1, physical_reference=3),
        [("error", "S-text", "/floor_level"), ("error", "S-text", "/physical_reference")],
    ),
    "X32": (
        "location",
        location_body(directions={"language": "nl", "text": "Achter het station"}),
        [("error", "S-list", "/directions")],
    ),
    "X33": ("tariff", tariff_body(elements=[]), [("error", "T-01", "/elements")]),
    "X34": (
        "tariff",
        element({"type": "ENERGY", "price": "0.41", "step_size": 1}),
        [("error", "S-number", "/elements/0/price_components/0/price")],
    ),
    "X35": (
        "tariff",
        element({"type": "ENERGY", "price": 0.41}),
        [("error", "S-required", "/elements/0/price_components/0/step_size")],
    ),
    "X36": (
        "tariff",
        element(start_time="20:00", end_time="24:00"),
        [("error", "S-local_time", "/elements/0/restrictions/end_time")],
    ),
    "X37": ("tariff", element(day_of_week=["MON"]), [("error", "S-enum", "/elements/0/restrictions/day_of_week/0")]),
    "X38": (
        "tariff",
        element(reservation="RESERVATION"),
        [("error", "T-16", "/elements/0/price_components/0/type")],
    ),
    "X45": (
        "connector",
        without(without(connector_body(), "max_electric_power"), "tariff_ids"),
        [("gap", "N-max_electric_power", "/max_electric_power"), ("gap", "N-tariff_ids", "/tariff_ids")],
    ),
    "X46, energy_mix": ("location", without(location_body(), "energy_mix"), [("gap", "N-energy_mix", "/energy_mix")]),
    "X46, opening_times": (
        "location",
        without(location_body(), "opening_times"),
        [("gap", "N-opening_times", "/opening_times")],
    ),
    "X46, parking_restrictions": (
        "location",
        location_body(evses=[without(evse_body(), "parking_restrictions")]),
        [("gap", "N-parking_restrictions", "/evses/0/parking_restrictions")],
    ),
}

# What the rules say beyond the protocol's examples, one row for each way a rule can hit or nearly hit
NIGHT = {"weekday": 5, "period_begin": "18:00", "period_end": "00:00"}
DAY_OFF = {"period_begin": "2026-12-25T00:00:00.5Z", "period_end": "2026-12-25T00:00:00Z"}
E2, E3 = "NL*EXA*E1002*1", "NL*EXA*E1003*1"
TOKENLESS = [{"issuer": "Example MSP"}, {"visual_number": "12"}, {"group_id": "G"}]
RULES: list[tuple[Kind, Body, Found]] = [
    ("location", hours(NIGHT), [("warning", "L-10", "/opening_times/regular_hours/0/period_end")]),
    (
        "location",
        hours(NIGHT | {"period_end": "18:00"}),
        [("error", "L-10", "/opening_times/regular_hours/0/period_end")],
    ),
    ("location", hours(NIGHT | {"period_end": "19:00"}), []),
    (
        "location",
        hours({"weekday": 5, "period_begin": "09:00", "period_end": "08:30"}),
        [("error", "L-10", "/opening_times/regular_hours/0/period_end")],
    ),
    (
        "location",
        location_body(opening_times={"twentyfourseven": True, "exceptional_openings": [DAY_OFF]}),
        [("error", "L-10", "/opening_times/exceptional_openings/0/period_end")],
    ),
    (
        "location",
        location_body(opening_times={"twentyfourseven": False, "regular_hours": [], "exceptional_closings": None}),
        [
            ("error", "L-08", "/opening_times/regular_hours"),
        ],
    ),
    ("location", location_body(publish_allowed_to=[]), []),
    (
        "location",
        location_body(publish=False, publish_allowed_to=TOKENLESS),
        [("error", "S-token", "/publish_allowed_to/0"), ("error", "S-token", "/publish_allowed_to/1/issuer")],
    ),
    (
        "location",
        location_body(evses=[evse_body(uid="a"), evse_body(uid="b", evse_id=E2), evse_body(uid="A", evse_id=E3)]),
        [("error", "L-29", "/evses/2/uid")],
    ),
    (
        "evse",
        evse_body(connectors=[connector_body(id="x"), connector_body(id="X")]),
        [("error", "L-29", "/connectors/1/id")],
    ),
    (
        "location",
        location_body(evses=[evse_body(), evse_body(uid="EVSE-2", evse_id=E2)]),
        [],
    ),  # both with connector "1"
    (
        "location",
        location_body(coordinates={"latitude": "0.00000", "longitude": "-0.000000"}),
        [("error", "S-coordinates", "/coordinates")],
    ),
    (
        "location",
        location_body(country="GHA", coordinates={"latitude": "0.00000", "longitude": "5.12142"}),
        [],
    ),
    (
        "evse",
        evse_body(coordinates={"latitude": "-00.00000", "longitude": "0.00000"}),
        [("error", "S-coordinates", "/coordinates")],
    ),
    (
        "location",
        location_body(related_locations=[{"latitude": "0.00000", "longitude": "0.00000"}]),
        [("error", "S-coordinates", "/related_locations/0")],
    ),
    ("location", location_body(address="x" * 45), []),
    ("location", location_body(address='"' * 46), [("warning", "S-address", "/address")]),
    ("location", location_body(city="#NA"), [("warning", "S-filler", "/city")]),
    ("location", location_body(owner={"name": "#NA"}), [("warning", "S-filler", "/owner/name")]),
    ("evse", evse_body(evse_id="NL-EXA-E1001-1"), [("warning", "S-evse_id", "/evse_id")]),
    ("evse", evse_body(evse_id="nl505e1"), []),
    (
        "evse",
        evse_body(directions=[{"language": "NL", "text": "x"}]),
        [("warning", "S-language", "/directions/0/language")],
    ),
    (
        "location",
        location_body(energy_mix={"is_green_energy": True, "energy_sources": GREY}),
        [("warning", "L-18", "/energy_mix/is_green_energy")],
    ),
    (
        "location",
        location_body(
            energy_mix={"is_green_energy": True, "environ_impact": [{"category": "NUCLEAR_WASTE", "amount": 0.001}]}
        ),
        [("warning", "L-18", "/energy_mix/is_green_energy")],
    ),
    *(("location", mix(60, more), expected) for more, expected in ((39.9, []), (40.1, []), (39.89, SUM), (40.11, SUM))),
    ("location", mix(99.5, 0.5, "GAS"), [("warning", "L-18", "/energy_mix/is_green_energy")]),
    ("location", mix(100, 0.0, "NUCLEAR"), []),
    (
        "location",
        location_body(
            energy_mix={"is_green_energy": True, "environ_impact": [{"category": "NUCLEAR_WASTE", "amount": 0.0}]}
        ),
        [],
    ),
    ("connector", connector_body(max_electric_power=0), [("gap", "N-max_electric_power", "/max_electric_power")]),
    ("connector", connector_body(tariff_ids=[]), [("gap", "N-tariff_ids", "/tariff_ids")]),
    (
        "evse",
        evse_body(parking_restrictions=None),
        [
            ("gap", "N-parking_restrictions", "/parking_restrictions"),
            ("warning", "S-null", "/parking_restrictions"),
        ],
    ),
    (
        "evse",
        evse_body(status="REMOVED", connectors=[connector_body(tariff_ids=None)]),
        [
            ("gap", "N-tariff_ids", "/connectors/0/tariff_ids"),
            ("warning", "S-null", "/connectors/0/tariff_ids"),
        ],
    ),
    (
        "tariff",
        tariff_body(start_date_time="2026-06-30T22:00:00.5Z", end_date_time="2026-06-30T22:00:00Z"),
        [("error", "T-08", "/end_date_time")],
    ),
    ("tariff", tariff_body(start_date_time="2026-06-30T22:00:00Z", end_date_time="2026-06-30T22:00:00.5Z"), []),
    (
        "tariff",
        element({"type": "TIME", "price": 1, "step_size": 0, "vat": 21}),
        [("error", "T-07", "/elements/0/price_components/0/step_size")],
    ),
    ("tariff", element({"type": "FLAT", "price": 1, "step_size": 0, "vat": 21}), []),
    *(
        (
            "tariff",
            element(**{f"min_{name}": 5, f"max_{name}": 5}),
            [("error", "T-14", f"/elements/0/restrictions/max_{name}")],
        )
        for name in ("kwh", "current", "power", "duration")
    ),
    ("tariff", element(min_kwh=5, max_kwh=5.5, max_power=1, start_time="22:00", end_time="06:00"), []),
    ("tariff", element(max_power=0), [("warning", "T-14", "/elements/0/restrictions/max_power")]),
    (
        "tariff",
        element(start_date="2026-03-02", end_date="2026-03-02"),
        [("error", "T-14", "/elements/0/restrictions/end_date")],
    ),
    ("tariff", element({"type": "FLAT", "price": 1, "vat": 21, "step_size": 1}, reservation="RESERVATION_EXPIRES"), []),
    ("tariff", tariff_body(elements=[{"price_components": []}]), [("error", "T-01", "/elements/0/price_components")]),
    ("tariff", tariff_body(min_price={"excl_vat": 0.12345}), [("warning", "S-decimals", "/min_price/excl_vat")]),
    ("tariff", tariff_body(min_price={"excl_vat": 1e-5}), [("warning", "S-decimals", "/min_price/excl_vat")]),
    ("tariff", tariff_body(min_price={"excl_vat": 0.1234567890123456}), [("error", "S-digits", "/min_price/excl_vat")]),
    (
        "tariff",
        element(max_kwh=1234567.12345678912),
        [("error", "S-digits", "/elements/0/restrictions/max_kwh")],
    ),
    ("tariff", tariff_body(min_price={"excl_vat": 99999999999.9999}), []),
    (
        "connector",
        connector_body(terms_and_conditions="HTTPS://LOCALHOST"),
        [("error", "S-url", "/terms_and_conditions")],
    ),
    ("location", location_body(time_zone="CEST"), [("error", "L-24", "/time_zone")]),
    ("location", location_body(last_updated="2026-03-02T12:05:00Z"), []),
    ("location", location_body(last_updated="2026-03-02T12:05:01Z"), [("error", "S-future", "/last_updated")]),
    (
        "location",
        location_body(evses=[evse_body(last_updated="2026-03-02T09:15:00.001Z")]),
        [("warning", "L-06", "/last_updated")],
    ),
    (
        "evse",
        evse_body(connectors=[connector_body(last_updated="2026-03-02T13:00:00Z")]),
        [("error", "S-future", "/connectors/0/last_updated")],
    ),
]


@pytest.mark.parametrize(("kind", "body", "expected"), VALID.values(), ids=VALID)
def test_valid_example_is_accepted(kind, body, expected):
    result = check(kind, body, now=NOW)

    assert [(f.severity, f.rule, f.path) for f in result.findings] == expected
    assert result.outcome == "ok"
    assert result.value == MODELS[kind].model_validate_json(result.body)


@pytest.mark.parametrize(("kind", "body", "expected"), INVALID.values(), ids=INVALID)
def test_invalid_example_is_found_at_its_path(kind, body, expected):
    result = check(kind, body, now=NOW)

    assert [(f.severity, f.rule, f.path) for f in result.findings] == expected
    assert (not result.document) == (result.value is None) == (expected[0][0] == "error")


NOT_JSON = {"X41": b'{"price": NaN}', "X42": b'{"status": "AVAILABLE",}'}


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON)
def test_invalid_example_is_not_even_json(raw):
    with pytest.raises(NotJson):
        read(raw)


ELSEWHERE = {  # examples that are no upload
    "V3": "test_push.py",  # a PATCH to NDW
    "V13": "test_serve.py",  # pages and answers of ours
    "V14": "test_envelope.py",
    "V15": "test_rulings.py",  # answers of NDW
    "X39": "test_receive_tariffs.py",  # methods that are not defined
    "X40": "test_receive_locations.py",
    "X47": "test_rulings.py",
    "X48": "test_rulings.py",
}


def test_every_example_of_the_protocol_has_a_test():
    names = [*VALID, *INVALID, *PATCH_EXAMPLES, *NOT_JSON, *ELSEWHERE]
    protocol = {f"V{number}" for number in range(1, 18)} | {f"X{number}" for number in range(1, 49)}

    assert {name.partition(",")[0] for name in names} == protocol
    assert [file for file in ELSEWHERE.values() if not Path(__file__).with_name(file).exists()] == []


@pytest.mark.parametrize(("kind", "body", "expected"), RULES)
def test_rule_finds_what_it_is_for_and_no_more(kind, body, expected):
    assert found(kind, body) == expected


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    16.0,
    0.1,
    1e300,
    "",
    " ",
    "x" * 300,
    "2026-03-02T09:15:00.5",
    "\0",
    [],
    {},
    {"uid": 1},
]


# Canonical form, and what is mended on the way to it


def test_check_gives_canonical_bytes_and_leaves_the_document_alone():
    evse = evse_body(parking_restrictions=[], capabilities=[], directions=None)
    body = dict(reversed(location_body(state=None, evses=[evse]).items()))
    before = copy.deepcopy(body)

    result = check("location", body, now=NOW)

    assert result.body == orjson.dumps(location_body(evses=[without(evse, "directions")]))
    assert result.body == orjson.dumps(result.document)
    assert body == before


def test_check_keeps_numbers_as_they_are():
    raw = b'[{"type":"ENERGY","price":0.3306,"vat":21,"step_size":1},{"type":"FLAT","price":21.0,"vat":0.0,"step_size":1}]'

    result = check("tariff", tariff_body(elements=[{"price_components": orjson.loads(raw)}]), now=NOW)

    assert raw in result.body


MENDED: list[tuple[str, Any, Any, list[str]]] = [  # field, value given, value stored, rules reported
    ("last_updated", "2026-03-02T09:15:00", "2026-03-02T09:15:00Z", ["no_zone"]),
    ("last_updated", "2026-03-02T09:15:00.000Z", "2026-03-02T09:15:00Z", []),
    ("last_updated", "2026-03-02T09:15:00.2", "2026-03-02T09:15:00.200Z", ["no_zone"]),
    ("last_updated", "2026-03-02T09:15:00.25Z", "2026-03-02T09:15:00.250Z", []),
    ("last_updated", "2026-03-02T09:15:00.0Z", "2026-03-02T09:15:00Z", []),
    ("last_updated", " 2026-03-02T09:15:00 ", "2026-03-02T09:15:00Z", ["outer_space", "no_zone"]),
    ("max_voltage", 230.0, 230, ["whole_number"]),
    ("max_amperage", -0.0, 0, ["whole_number"]),
    ("format", "SOCKET ", "SOCKET", ["outer_space"]),
    ("terms_and_conditions", " https://example.org/", "https://example.org/", ["outer_space"]),
    ("id", " 1", " 1", []),  # an identifier is what it is
    ("tariff_ids", ["ADHOC-1 "], ["ADHOC-1 "], []),
]


@pytest.mark.parametrize(("field", "given", "mended", "reported"), MENDED)
def test_check_mends_what_means_the_same_and_says_so(field, given, mended, reported):
    result = check("connector", connector_body(**{field: given}), now=NOW)

    assert repr(orjson.loads(result.body)[field]) == repr(mended)
    repairs = [f for f in result.findings if f.broken.is_repair]
    assert [(f.broken.name, f.severity, f.path) for f in repairs] == [
        (name, "warning", f"/{field}") for name in reported
    ]


def test_check_reports_a_repair_once_with_the_count_of_the_others():
    body = location_body(name=" Marktplein", city="Utrecht ", state=None, images=None)

    findings = check("location", body, now=NOW).findings

    assert [(f.path, f.said("en"), f.hinted("nl")) for f in findings] == [
        ("/state", "state is null, which is the same as absent; left out", "En nog 1 van dit soort."),
        ("/name", 'white space around " Marktplein" was taken off', "En nog 1 van dit soort."),
    ]


def test_check_reports_a_value_that_is_wrong_without_its_white_space_too():
    body = location_body(coordinates={"latitude": " 52.0907", "longitude": "5.121420\n"}, city=" \t")

    findings = check("location", body, now=NOW).findings

    assert [(f.rule, f.path, f.values["value"]) for f in findings] == [
        ("S-text", "/city", '" \\t"'),
        ("S-latitude", "/coordinates/latitude", '" 52.0907"'),
        ("S-longitude", "/coordinates/longitude", '"5.121420\\n"'),
    ]


def test_check_promises_no_repair_of_what_it_refuses():
    wrong = connector_body(last_updated="2026-02-30T10:00:00", standard="NONE", max_voltage=230.0)

    findings = check("connector", wrong, now=NOW).findings

    assert [(f.rule, f.path, f.values["value"]) for f in findings] == [
        ("S-enum", "/standard", '"NONE"'),
        ("S-date_time", "/last_updated", '"2026-02-30T10:00:00"'),
    ]


@pytest.mark.parametrize("kind", ["location", "evse"])
def test_check_names_the_first_errors_of_a_document_that_has_too_many(kind):
    empty: list[Body] = [{}] * 1000
    wrong = {"location": location_body(evses=[{"connectors": empty}] * 19), "evse": evse_body(connectors=empty * 20)}
    many = wrong[kind]

    findings = check(kind, many, now=NOW).findings

    assert ("S-required", "/connectors/0/id" if kind == "evse" else "/evses/0/uid") in {
        (f.rule, f.path) for f in findings
    } | {("S-required", "/connectors/0/id")}
    assert len(findings) <= 101
    assert check(kind, many, now=NOW).document == {}


@pytest.mark.parametrize("more", [{}, {"state": None}, {"city": " Utrecht"}])
def test_check_takes_off_no_break_spaces_of_a_text_never(more):
    stored = check("location", location_body(name="\u00a0Marktplein") | more, now=NOW).document

    assert stored["name"] == "\u00a0Marktplein"


def test_check_reports_all_errors_at_once_with_words_and_hints():
    body = location_body(
        city=None,
        country="NL",
        evses=[evse_body(status="charging", connectors=[]), {"uid": "x" * 300}],
        foo=1,
        Name="a",
    )

    findings = check("location", body, now=NOW).findings

    assert [(f.path, f.message, f.hint) for f in findings] == [
        ("/city", "city is null; it is required", ""),
        ("/country", 'country is "NL"; expected an ISO 3166-1 alpha-3 code such as NLD', "Did you mean NLD?"),
        (
            "/evses/0/status",
            'status is "charging"; expected AVAILABLE | BLOCKED | CHARGING | INOPERATIVE | OUTOFORDER | PLANNED'
            " | REMOVED | RESERVED | UNKNOWN",
            "Did you mean CHARGING?",
        ),
        ("/evses/0/connectors", "connectors is []; expected at least 1 item", ""),
        (
            "/evses/1/uid",
            f'uid is "{"x" * 99}…" (300); expected 1 to 36 printable ASCII characters, not only dots and blanks,'
            " no / and no \\",
            "",
        ),
        ("/evses/1/status", "status is missing; it is required", ""),
        ("/evses/1/connectors", "connectors is missing; it is required", ""),
        ("/evses/1/last_updated", "last_updated is missing; it is required", ""),
        ("/Name", "Name is no property of OCPI 2.2.1 here; it is kept apart and not sent on", "Did you mean name?"),
        ("/foo", "foo is no property of OCPI 2.2.1 here; it is kept apart and not sent on", ""),
    ]


def test_check_keeps_unknown_properties_apart():
    exact = read(b'{"deep": [0.1000000000000000001], "name": "\\u0000"}')
    body = location_body(
        evses=[evse_body(**{"a/b~": {"c": 1}, "x": exact})], operator={"name": "A", "phone": None, "Status": "x"}
    )

    result = check("location", body, now=NOW)

    assert [(f.severity, f.rule, f.path) for f in result.findings] == [
        ("warning", "S-null", "/operator/phone"),
        ("warning", "S-unknown", "/evses/0/a~1b~0"),
        ("warning", "S-unknown", "/evses/0/x"),
        ("warning", "S-unknown", "/operator/Status"),
    ]
    assert (result.findings[1].message[:5], result.findings[3].hint) == ("a/b~ ", "")  # BusinessDetails has no status
    assert result.unknown == {
        "/evses/0/a~1b~0": {"c": 1},
        "/evses/0/x": {"deep": ["0.1000000000000000001"], "name": "\ufffd"},
        "/operator/Status": "x",
    }
    assert result.body == orjson.dumps(check("location", location_body(operator={"name": "A"}), now=NOW).document)


def test_check_refuses_numbers_a_float_would_change():
    document = read(json.dumps(tariff_body()).replace("0.2893", "0.2893000000000000001").encode())

    assert found("tariff", document) == [("error", "S-number", "/elements/1/price_components/1/price")]


def test_check_lists_a_hundred_errors_and_counts_the_rest():
    all_of_them = check("evse", evse_body(capabilities=["x"] * 100), now=NOW).findings
    too_many = check("evse", evse_body(capabilities=["x"] * 101), now=NOW).findings

    assert [f.path for f in all_of_them] == [f"/capabilities/{index}" for index in range(100)]
    assert too_many == [*all_of_them, shape.MORE_ERRORS.at("", count=1)]
    assert too_many[-1].message == "1 more like these are not listed"


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.sampled_from([(kind, body) for kind, body, _ in [*VALID.values(), *RULES]]), st.data())
def test_check_has_a_verdict_on_anything_and_its_document_is_final(example, data):
    kind, body = example
    body = copy.deepcopy(body)
    parents = [body]
    for parent in parents:
        inner = parent.values() if isinstance(parent, dict) else parent
        parents += [value for value in inner if value and isinstance(value, dict | list)]
    for parent in data.draw(st.lists(st.sampled_from(parents), max_size=3)):
        keys = sorted(parent) if isinstance(parent, dict) else range(len(parent))
        parent[data.draw(st.sampled_from(keys))] = copy.deepcopy(data.draw(st.sampled_from([*ODD, *parents])))

    result = check(kind, body, now=NOW)

    assert (not result.document) == bool(result.errors)
    if result.document:
        again = check(kind, orjson.loads(result.body), now=NOW)
        assert (again.body, again.unknown, again.gaps) == (result.body, {}, result.gaps)


def test_check_raises_parents_to_their_newest_child():
    newest = "2026-03-02T09:15:00.250Z"
    newer = evse_body(uid="2", evse_id=E2, connectors=[connector_body(last_updated=newest)])
    body = location_body(evses=[evse_body(), newer])

    result = check("location", body, now=NOW)

    assert [(f.rule, f.path) for f in result.findings] == [("L-06", "/evses/1/last_updated"), ("L-06", "/last_updated")]
    raised = orjson.loads(result.body)
    assert raised["last_updated"] == raised["evses"][1]["last_updated"] == newest
    assert raised["evses"][0]["last_updated"] == "2026-03-02T09:15:00Z"
    assert result.body.count(newest.encode()) == 3


def test_findings_stand_in_order_and_say_so_as_a_dict():
    gap = evse_body(uid="2", evse_id=E2, connectors=[connector_body(tariff_ids=[])])
    body = location_body(evses=[evse_body(parking_restrictions=[]), gap])

    result = check("location", body | {"publish_allowed_to": [{"group_id": "G"}]}, now=NOW)

    assert [f.severity for f in result.findings] == ["error", "gap", "warning"]
    assert (len(result.errors), len(result.gaps), len(result.warnings), result.outcome) == (1, 1, 1, "refused")
    assert [*result.errors, *result.gaps, *result.warnings] == result.findings
    assert result.findings[0].as_dict() == {
        "path": "/publish_allowed_to",
        "rule": "L-12",
        "severity": "error",
        "message": "publish_allowed_to is [… 1] while publish is true",
        "hint": "Leave publish_allowed_to out, or set publish to false.",
    }


def test_profile_names_what_dot_nl_demands():
    assert {kind: profiles.DOT_NL_2026.fields(kind) for kind in BODIES} == {
        "location": {"opening_times", "energy_mix"},
        "evse": {"parking_restrictions"},
        "connector": {"max_electric_power", "tariff_ids"},
        "tariff": frozenset(),
    }


# PATCH

AT = "2026-03-02T11:00:00Z"
INCOMPLETE = {"uid": "EVSE-1", "status": "CHARGING"}

PATCH_EXAMPLES: dict[str, tuple[Kind, Any, Found]] = {  # protocol §10
    "V10": ("connector", {"tariff_ids": ["ADHOC-2"], "last_updated": AT}, []),
    "V11": ("location", {"opening_times": {"twentyfourseven": True}, "last_updated": AT}, []),
    "X1": ("evse", {"status": "CHARGING"}, [("error", "S-required", "/last_updated")]),
    "X2": ("evse", {"status": "charging", "last_updated": AT}, [("error", "S-enum", "/status")]),
    "X3": ("evse", {"status": "OCCUPIED", "last_updated": AT}, [("error", "S-enum", "/status")]),
    "X13": ("location", {"id": "LOC-0002", "last_updated": AT}, [("error", "L-14", "/id")]),
    "X14": ("location", {"party_id": "GWY", "last_updated": AT}, [("error", "L-14", "/party_id")]),
    "X43": (
        "location",
        {"evses": [INCOMPLETE], "last_updated": AT},
        [("error", "S-required", "/evses/0/connectors"), ("error", "S-required", "/evses/0/last_updated")],
    ),
    "X44": (
        "location",
        {"opening_times": None, "last_updated": AT},
        [("error", "N-opening_times", "/opening_times")],
    ),
}
PATCHES: list[tuple[Kind, Any, Found]] = [  # protocol §2.8
    ("location", {"id": 7, "last_updated": AT}, [("error", "S-identifier", "/id")]),
    (
        "location",
        {"opening_times": {}, "last_updated": AT},
        [("error", "S-required", "/opening_times/twentyfourseven")],
    ),
    ("location", {}, [("error", "S-required", "/last_updated")]),
    ("location", {"last_updated": None}, [("error", "S-required", "/last_updated")]),
    ("location", {"last_updated": "2026-03-02"}, [("error", "S-date_time", "/last_updated")]),
    ("location", [], [("error", "S-object", "")]),
    ("evse", None, [("error", "S-object", "")]),
    ("evse", {"evse_id": None, "last_updated": AT}, [("warning", "S-null", "/evse_id")]),
    ("evse", {"status": None, "last_updated": AT}, [("error", "S-required", "/status")]),
    ("evse", {"connectors": None, "last_updated": AT}, [("error", "S-required", "/connectors")]),
    (
        "evse",
        {"parking_restrictions": None, "last_updated": AT},
        [("error", "N-parking_restrictions", "/parking_restrictions")],
    ),
    (
        "evse",
        {"parking_restrictions": [], "last_updated": AT},
        [("warning", "N-parking_restrictions", "/parking_restrictions")],
    ),
    ("connector", {"tariff_ids": [], "last_updated": AT}, [("gap", "N-tariff_ids", "/tariff_ids")]),
    ("location", {"evses": None, "last_updated": AT}, [("warning", "L-01", "/evses")]),
    ("location", {"evses": {}, "last_updated": AT}, [("error", "S-list", "/evses")]),
    ("location", {"evses": [7], "last_updated": AT}, [("error", "S-object", "/evses/0")]),
    (
        "location",
        {"evses": [evse_body(uid="new", evse_id=E2), evse_body(uid="NEW", evse_id=E3)], "last_updated": AT},
        [("error", "L-29", "/evses/1/uid")],
    ),
    ("location", {"colour": None, "last_updated": AT}, [("warning", "S-null", "/colour")]),
    (
        "evse",
        {"last_updated": "2026-03-02T08:00:00Z"},
        [("warning", "L-06", "/last_updated")],
    ),
]


@pytest.mark.parametrize(("kind", "patch", "expected"), [*PATCH_EXAMPLES.values(), *PATCHES])
def test_patch_is_judged(kind, patch, expected):
    stored, before = BODIES[kind](), copy.deepcopy(patch)

    result = check_patch(kind, stored, patch, now=NOW)

    assert [(f.severity, f.rule, f.path) for f in result.findings] == expected
    assert (not result.document) == any(severity == "error" for severity, _, _ in expected)
    assert (stored, patch) == (BODIES[kind](), before)


def test_patch_replaces_whole_fields_and_keeps_the_rest():
    patch = {
        "energy_mix": {"is_green_energy": False},
        "name": None,
        "colour": "red",
        "id": "Loc-0001",
        "last_updated": AT,
    }

    result = check_patch("location", location_body(), patch, now=NOW)

    expected = without(location_body(energy_mix={"is_green_energy": False}, last_updated=AT), "name")
    assert result.document == expected
    assert result.unknown == {"/colour": "red"}


def test_patch_puts_children_one_by_one_and_keeps_the_spelling():
    stored = location_body(evses=[evse_body(), evse_body(uid="EVSE-2", connectors=[connector_body(id="aB")])])
    changed = evse_body(uid="evse-2", status="CHARGING", connectors=[connector_body(id="Ab"), connector_body(id="c")])

    merged, findings = merge("location", stored, {"evses": [changed, evse_body(uid="n")], "last_updated": AT})

    assert findings == []
    assert [(evse["uid"], evse["status"]) for evse in merged["evses"]] == [
        ("EVSE-1", "AVAILABLE"),
        ("EVSE-2", "CHARGING"),
        ("n", "AVAILABLE"),
    ]
    assert [connector["id"] for connector in merged["evses"][1]["connectors"]] == ["aB", "c"]
    assert [connector["id"] for connector in stored["evses"][1]["connectors"]] == ["aB"]


def test_patch_of_an_evse_puts_connectors():
    patch = {"connectors": [connector_body(id="2", last_updated=AT)], "last_updated": AT}

    result = check_patch("evse", evse_body(), patch, now=NOW)

    assert [connector["id"] for connector in orjson.loads(result.body)["connectors"]] == ["1", "2"]


def test_keep_spelling_takes_the_stored_identifiers_where_only_case_differs():
    incoming = location_body(
        country_code="nl", party_id="exa", id="loc-0001", evses=[evse_body(uid="evse-1"), {"uid": 7}, 8]
    )

    assert keep_spelling("location", location_body(), incoming) == location_body(evses=[evse_body(), {"uid": 7}, 8])
