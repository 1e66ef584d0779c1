"""The shapes: one good and one bad value, or more, for every field of every OCPI object, and every value of every enum."""

import contextlib
import copy
import datetime as dt
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from ocpi.rules import check
from ocpi.rules.findings import pointer
from ocpi.schemas import MODELS, OcpiObject, locations, tariffs, types
from tests.documents import Body, connector_body, evse_body, location_body, tariff_body

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)

TEXT_NL = {"language": "nl", "text": "Achter het station"}
IMAGE = {"url": "https://example.org/a.png", "category": "CHARGER", "type": "png"}
OPEN = {"period_begin": "2026-12-24T23:00:00Z", "period_end": "2026-12-25T23:00:00Z"}
FULL: dict[str, Body] = {  # with one of everything, so that every field has a place
    "location": location_body(
        publish=False,
        publish_allowed_to=[{"uid": "04AABBCC", "type": "RFID"}],
        related_locations=[{"latitude": "52.09073", "longitude": "5.12142"}],
        directions=[TEXT_NL],
        operator={"name": "Example", "logo": IMAGE},
        opening_times={
            "twentyfourseven": False,
            "regular_hours": [{"weekday": 1, "period_begin": "07:00", "period_end": "22:00"}],
            "exceptional_closings": [OPEN],
        },
        energy_mix={
            "is_green_energy": True,
            "energy_sources": [{"source": "WIND", "percentage": 100}],
            "environ_impact": [{"category": "CARBON_DIOXIDE", "amount": 0}],
        },
    ),
    "evse": evse_body(status_schedule=[{"period_begin": "2026-04-01T00:00:00Z", "status": "PLANNED"}]),
    "connector": connector_body(),
    "tariff": tariff_body(min_price={"excl_vat": 1}),
}

Values = tuple[list[Any], list[Any]]  # good ones, bad ones

NOT_TEXT: list[Any] = [1, True, ["a"], {}]
UNPRINTABLE = ["a\nb", "\t", "\x00", "\x7f", "\u2028", "\ufffe", "\U0010ffff", "\ufdd0"]
BLANK = ["", " ", "\u00a0 ", None]
NOT_ID = ["", " ", "a/b", "a\\b", ".", "..", "é", "a\n", "a" * 37, None, 1]
TIMES = [
    "1970-01-01T00:00:00Z",
    "2024-02-29T23:59:59.123Z",
    "2000-02-29T00:00:00",
    "2026-03-02T09:15:00.2",
    "2026-03-02T09:15:00Z ",
]
NOT_TIME = [
    "2026-02-30T10:00:00Z",
    "2025-02-29T10:00:00Z",
    "1900-02-29T10:00:00Z",
    "2026-04-31T10:00:00Z",
    "0000-01-01T00:00:00Z",
    "99999-01-01T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-03-02T24:00:00Z",
    "2026-03-02T23:59:60Z",
    "2026-03-02T10:00:00+00:00",
    "2026-03-02T10:00:00.1234Z",
    "2026-03-02T10:00:00.Z",
    "2026-03-02t10:00:00Z",
    "2026-03-02T10:00:00z",
    "2026-03-02 10:00:00Z",
    "2026-03-02T10:00Z",
    "2026-03-02",
    "20260302T100000Z",
    "2026-W10-1T10:00:00Z",
    "\uff12\uff10\uff12\uff16-03-02T10:00:00Z",
    "2026-03-02\nT10:00:00Z",
    "1772445600",
    1772445600,
    [],
]
URLS = [
    "https://example.org",
    "HTTP://example.org:8080/ä?q=1#f",
    "https://8.8.8.8/x",
    "https://a.org/" + "x" * 241,
    " https://example.org ",
]
NOT_URL = [
    "",
    "www.example.org",
    "//example.org",
    "ftp://example.org",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "https://",
    "https:///x",
    "https://a b.org",
    "https://example\n.org",
    "https://a.org/" + "x" * 242,
    "http://localhost/",
    "http://169.254.169.254/",
    "http://127.1/",
    "http://[::1]:8000/",
    7,
]
INTS = [0, 16.0, 999_999_999_999_999]
NOT_INT = ["230", True, 16.5, -1, 10**15, 1e300, [], {}]
NUMBERS = [0, 0.0, 0.3306, 21, 21.0, 99_999_999_999.1234]
NOT_NUMBER = ["0.41", True, -0.01, 1e12, 9007199254740993, 0.30000000000000004, float("nan"), float("inf"), []]
CLOCK = ["00:00", "23:59", "23:59 "]
NOT_CLOCK = ["8:00", "24:00", "12:60", "12:00:00", "\uff11\uff12:00", "12:\n00", 800]
DATES = ["2024-02-29", "1999-12-31"]
NOT_DATE = ["2025-02-29", "0999-01-01", "3000-01-01", "2026-1-01", "2026-03-02T00:00:00Z", "2026-00-10"]
LATITUDES = ["52.09073", "-33.856784", "90.00000", "5.1234567", "52.09073 ", " 52.09073"]
LONGITUDES = ["5.12142", "-151.215297", "180.00000", " 5.12142"]
NOT_COORDINATE = [
    "52.0907",
    "52,090736",
    "52.12345678",
    "+52.09073",
    "52. 09073",
    " 52.0907",
    52.090736,
    "N 52.09073",
    "",
]
BOOLEANS, NOT_BOOLEAN = [True, False], [1, 0, "true", "false", []]
OBJECT, LIST = ["text", 1, True, []], ["text", 1, True, {}, [1], [None]]


def strings(length: int) -> Values:
    """Return good and bad values of an optional string."""
    return ["", "é" * length, "😀", "\u202e", None], ["x" * (length + 1), *UNPRINTABLE, *NOT_TEXT]


def required_strings(length: int) -> Values:
    """Return good and bad values of a required string."""
    return ["#NA", "é" * length, "<script>", "{{7*7}}"], ["x" * (length + 1), *BLANK, *UNPRINTABLE, *NOT_TEXT]


def ci_strings(length: int) -> Values:
    """Return good and bad values of an optional CiString."""
    return ["~", "!" * length, None], ["x" * (length + 1), "", " ", "é", "a\nb", "\x7f", *NOT_TEXT]


def enum(values: Any, *more: Any) -> Values:
    """Return every value of an enum, and some that are none."""
    return [*get_args(values), *more], [get_args(values)[0].swapcase(), "OCCUPIED", "", 1, []]


def enums(values: Any) -> Values:
    """Return good and bad lists of an enum."""
    good, bad = enum(values)
    return [None, [], good], ["text", 1, {}, *([value] for value in bad), [None]]


IDENTIFIER = (["a", "LOC 1?#%*&+", "...a", "x" * 36], NOT_ID)
TIME = (TIMES, [*NOT_TIME, None])
OPTIONAL_TIME = ([*TIMES, None], NOT_TIME)
URL, OPTIONAL_URL = (URLS, [*NOT_URL, None]), ([*URLS, None], NOT_URL)
INT, OPTIONAL_INT = (INTS, [*NOT_INT, None]), ([*INTS, None], NOT_INT)
NUMBER, OPTIONAL_NUMBER = (NUMBERS, [*NOT_NUMBER, None]), ([*NUMBERS, None], NOT_NUMBER)
CLOCKS, OPTIONAL_CLOCK = (CLOCK, [*NOT_CLOCK, None]), ([*CLOCK, None], NOT_CLOCK)
LATITUDE = (LATITUDES, [*NOT_COORDINATE, "90.00001", "-91.00000", "-33.8567844", None])
LONGITUDE = (LONGITUDES, [*NOT_COORDINATE, "180.00001", "-181.00000", "1000.00000", "-151.2152971", None])
COUNTRY_CODE, PARTY_ID = (
    (["NL", "nl"], ["NLD", "N", "N1", "", None]),
    (["EXA", "505", "a1b"], ["EX", "EXAM", "E*A", None]),
)
OPTIONAL_OBJECT: Values = ([None], OBJECT)
OPTIONAL_LIST: Values = ([None, []], LIST)
DATE = ([*DATES, None], NOT_DATE)
ENERGY = [{"type": "ENERGY", "price": 1, "step_size": 1}]

# kind of document -> JSON Pointer of an object in it -> its field -> good values, bad values
FIELDS: dict[str, dict[str, dict[str, Values]]] = {
    "location": {
        "": {
            "country_code": COUNTRY_CODE,
            "party_id": PARTY_ID,
            "id": IDENTIFIER,
            "publish": ([False], [*NOT_BOOLEAN, None]),
            "publish_allowed_to": OPTIONAL_LIST,
            "name": strings(255),
            "address": required_strings(255),
            "city": required_strings(45),
            "postal_code": strings(10),
            "state": strings(45),
            "country": (["NLD", "DEU", "ZWE", "ABW"], ["NL", "nld", "XXX", "Nederland", "", None, 528]),
            "coordinates": ([{"latitude": "52.09073", "longitude": "5.12142"}], [*OBJECT, None]),
            "related_locations": OPTIONAL_LIST,
            "parking_type": enum(locations.ParkingType, None),
            "evses": OPTIONAL_LIST,
            "directions": ([None, []], [*LIST, TEXT_NL]),
            "operator": OPTIONAL_OBJECT,
            "suboperator": OPTIONAL_OBJECT,
            "owner": OPTIONAL_OBJECT,
            "facilities": enums(locations.Facility),
            "time_zone": (
                ["Europe/Amsterdam", "America/Argentina/Buenos_Aires", "UTC"],
                ["Amsterdam", "europe/amsterdam", "localtime", "+01:00", "../etc/passwd", "", None],
            ),
            "opening_times": OPTIONAL_OBJECT,
            "charging_when_closed": ([*BOOLEANS, None], NOT_BOOLEAN),
            "images": OPTIONAL_LIST,
            "energy_mix": OPTIONAL_OBJECT,
            "last_updated": (TIMES, [*NOT_TIME, None, "2026-03-02T12:05:01Z"]),
        },
        "/publish_allowed_to/0": {
            "uid": (["04AABBCC", "!" * 36], ["x" * 37, "é", 1]),
            "type": (list(get_args(locations.TokenType)), ["rfid", "CARD", None]),
            "visual_number": ([None, ""], ["x" * 65, "\n", 1, "0012-34"]),
            "issuer": strings(64),
            "group_id": ci_strings(36),
        },
        "/coordinates": {"latitude": LATITUDE, "longitude": LONGITUDE},
        "/related_locations/0": {
            "latitude": LATITUDE,
            "longitude": LONGITUDE,
            "name": ([None, TEXT_NL], [*OBJECT, [TEXT_NL]]),
        },
        "/directions/0": {
            "language": (["nl", "en", "fy", "NL"], ["xx", "nld", "", None, "nl-NL"]),
            "text": required_strings(512),
        },
        "/operator": {"name": required_strings(100), "website": OPTIONAL_URL, "logo": OPTIONAL_OBJECT},
        "/operator/logo": {
            "url": URL,
            "thumbnail": OPTIONAL_URL,
            "category": enum(locations.ImageCategory),
            "type": (["jpeg", "png"], ["image", "", " ", None, 1]),
            "width": ([0, 99999, None], [100000, -1, "512", 5.5, True]),
            "height": ([0, 99999, None], [100000, -1, "512", 5.5, True]),
        },
        "/opening_times": {
            "twentyfourseven": ([False], [*NOT_BOOLEAN, None]),
            "regular_hours": ([[{"weekday": 7, "period_begin": "00:00", "period_end": "23:59"}]], LIST),
            "exceptional_openings": OPTIONAL_LIST,
            "exceptional_closings": OPTIONAL_LIST,
        },
        "/opening_times/regular_hours/0": {
            "weekday": ([1, 7, 3.0], [0, 8, "1", True, 1.5, None, "MONDAY"]),
            "period_begin": (["00:00", "21:59"], [*NOT_CLOCK, None]),
            "period_end": (["07:01", "23:59"], [*NOT_CLOCK, None]),
        },
        "/opening_times/exceptional_closings/0": {
            "period_begin": TIME,
            "period_end": (["9999-12-31T23:59:59Z"], NOT_TIME),
        },
        "/energy_mix": {
            "is_green_energy": (BOOLEANS, [*NOT_BOOLEAN, None]),
            "energy_sources": OPTIONAL_LIST,
            "environ_impact": OPTIONAL_LIST,
            "supplier_name": strings(64),
            "energy_product_name": strings(64),
        },
        "/energy_mix/energy_sources/0": {
            "source": enum(locations.EnergySourceCategory),
            "percentage": ([0, 100, 62.5], [-1, 100.1, "60", True, None, 62.50000000000001]),
        },
        "/energy_mix/environ_impact/0": {
            "category": enum(locations.EnvironmentalImpactCategory),
            "amount": ([0, 151.2, -1, 0.00001], ["1", True, None, 1e12]),
        },
    },
    "evse": {
        "": {
            "uid": IDENTIFIER,
            "evse_id": ci_strings(48),
            "status": enum(locations.Status),
            "status_schedule": OPTIONAL_LIST,
            "capabilities": enums(locations.Capability),
            "connectors": ([[connector_body()]], [*LIST, [], None]),
            "floor_level": (["-1", "12.5", "", None], [-1, "12.55", "\n"]),
            "coordinates": OPTIONAL_OBJECT,
            "physical_reference": (["3", "x" * 16, None], [3, "x" * 17, "\t"]),
            "directions": OPTIONAL_LIST,
            "parking_restrictions": enums(locations.ParkingRestriction),
            "images": OPTIONAL_LIST,
            "last_updated": TIME,
        },
        "/status_schedule/0": {
            "period_begin": TIME,
            "period_end": OPTIONAL_TIME,
            "status": enum(locations.Status),
        },
    },
    "connector": {
        "": {
            "id": IDENTIFIER,
            "standard": enum(locations.ConnectorType),
            "format": enum(locations.ConnectorFormat),
            "power_type": enum(locations.PowerType),
            "max_voltage": INT,
            "max_amperage": INT,
            "max_electric_power": ([*INTS, None], [*NOT_INT, 22.08]),
            "tariff_ids": ([None, [], ["a/b", "x" * 36]], ["ADHOC-1", [1], [None], [""], ["x" * 37], ["é"], {}]),
            "terms_and_conditions": OPTIONAL_URL,
            "last_updated": TIME,
        }
    },
    "tariff": {
        "": {
            "country_code": COUNTRY_CODE,
            "party_id": PARTY_ID,
            "id": IDENTIFIER,
            "currency": (["EUR", "CHF"], ["XXX", "XTS", "eur", "EURO", "€", None]),
            "type": enum(tariffs.TariffType, None),
            "tariff_alt_text": OPTIONAL_LIST,
            "tariff_alt_url": OPTIONAL_URL,
            "min_price": OPTIONAL_OBJECT,
            "max_price": OPTIONAL_OBJECT,
            "elements": ([[{"price_components": ENERGY}]], [*LIST, [], None]),
            "start_date_time": OPTIONAL_TIME,
            "end_date_time": OPTIONAL_TIME,
            "energy_mix": OPTIONAL_OBJECT,
            "last_updated": TIME,
        },
        "/min_price": {"excl_vat": NUMBER, "incl_vat": OPTIONAL_NUMBER},
        "/elements/0": {"price_components": ([ENERGY], [*LIST, [], None]), "restrictions": OPTIONAL_OBJECT},
        "/elements/0/price_components/0": {
            "type": enum(tariffs.TariffDimensionType),
            "price": NUMBER,
            "vat": OPTIONAL_NUMBER,
            "step_size": ([1, 300.0], [*NOT_INT, 0, None]),
        },
        "/elements/0/restrictions": {
            "start_time": OPTIONAL_CLOCK,
            "end_time": OPTIONAL_CLOCK,
            "start_date": DATE,
            "end_date": DATE,
            "min_kwh": OPTIONAL_NUMBER,
            "max_kwh": OPTIONAL_NUMBER,
            "min_current": OPTIONAL_NUMBER,
            "max_current": OPTIONAL_NUMBER,
            "min_power": OPTIONAL_NUMBER,
            "max_power": OPTIONAL_NUMBER,
            "min_duration": OPTIONAL_INT,
            "max_duration": OPTIONAL_INT,
            "day_of_week": enums(tariffs.DayOfWeek),
            "reservation": ([None], ["reservation", "YES", 1]),
        },
    },
}
ROWS = [
    pytest.param(kind, place, field, *values, id=f"{kind}{place}/{field}")
    for kind, places in FIELDS.items()
    for place, fields in places.items()
    for field, values in fields.items()
]


def replaced(kind: str, place: str, field: str, value: Any) -> Body:
    """Return the full document of a kind with one field of the object at `place` replaced."""
    body = copy.deepcopy(FULL[kind])
    parent: Any = body
    for step in place.split("/")[1:]:
        parent = parent[int(step) if isinstance(parent, list) else step]
    parent[field] = value
    return body


@pytest.mark.parametrize(("kind", "place", "field", "good", "bad"), ROWS)
def test_field_takes_good_values(kind, place, field, good, bad):
    refused = [(value, check(kind, replaced(kind, place, field, value), now=NOW).errors) for value in good]

    assert [row for row in refused if row[1]] == []


@pytest.mark.parametrize(("kind", "place", "field", "good", "bad"), ROWS)
def test_field_refuses_bad_values_at_its_own_path(kind, place, field, good, bad):
    for value in bad:
        paths = [error.path for error in check(kind, replaced(kind, place, field, value), now=NOW).errors]

        own = f"{place}/{field}"
        assert paths, value
        assert all(path == own or path.startswith(f"{own}/") for path in paths) or own in DEPENDS, (value, paths)


# uid, visual_number and type depend on each other; the finding is at the one that is missing.
DEPENDS = {"/publish_allowed_to/0/uid", "/publish_allowed_to/0/visual_number"}


@pytest.mark.parametrize(("kind", "place", "field", "good", "bad"), ROWS)
def test_model_refuses_what_the_dict_validator_refuses(kind, place, field, good, bad):
    for value in bad:
        shape_errors = [
            e for e in check(kind, replaced(kind, place, field, value), now=NOW).errors if e.rule[:2] == "S-"
        ]
        if any(error.rule in {"S-digits", "S-url", "S-future", "S-token"} for error in shape_errors):
            continue
        if shape_errors:
            with pytest.raises(ValidationError):
                MODELS[kind].model_validate(replaced(kind, place, field, value))


@pytest.mark.parametrize("year", [1, 4, 100, 400, 999, 1200, 1600, 1900, 2000, 2024, 2026, 2100, 2400, 3000, 9999])
def test_dates_are_those_of_the_calendar(year):
    takes_time = TypeAdapter(types.DateTime).validator
    takes_date = TypeAdapter(types.LocalDate).validator
    days = [f"{year:04d}-{month:02d}-{day:02d}" for month in range(14) for day in range(33)]

    exist = [day for day in days if exists(day)]

    assert [day for day in days if takes_time.isinstance_python(f"{day}T09:15:00Z")] == exist
    assert [day for day in days if takes_date.isinstance_python(day)] == (exist if 1000 <= year < 3000 else [])


def exists(day: str) -> bool:
    """Return whether the calendar has this day."""
    with contextlib.suppress(ValueError):
        return bool(dt.date.fromisoformat(day))
    return False


def test_table_has_every_field_of_every_object():
    in_table = {frozenset(fields) for places in FIELDS.values() for fields in places.values()}

    assert {frozenset(model.model_fields) for model in OcpiObject.__subclasses__()} == in_table


@pytest.mark.parametrize(("kind", "place", "field", "good", "bad"), ROWS)
def test_field_that_is_missing_is_an_error_if_required(kind, place, field, good, bad):
    body = replaced(kind, place, field, None)
    null = [error.path for error in check(kind, body, now=NOW).errors]
    parent: Any = body
    for step in place.split("/")[1:]:
        parent = parent[int(step) if isinstance(parent, list) else step]
    del parent[field]

    missing = [error.path for error in check(kind, body, now=NOW).errors]

    assert missing == null  # null and absent are one


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("document", [None, True, 7, "text", [], [{}]])
def test_document_that_is_no_object_is_refused_as_a_whole(kind, document):
    assert [(error.path, error.rule) for error in check(kind, document).errors] == [("", "S-object")]


def test_lists_have_an_end():
    body = location_body(evses=[evse_body(uid=str(number)) for number in range(1001)])

    assert [(error.path, error.rule) for error in check("location", body, now=NOW).errors] == [("/evses", "S-items")]


def test_pointer_escapes_keys():
    assert pointer("a/b", 0, "m~n") == "/a~1b/0/m~0n"
