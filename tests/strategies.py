"""Hypothesis strategies for valid OCPI documents, and for each field the values that break it.

Written from protocol §5 and §6 alone: nothing here looks at the schemas, so it cannot share a mistake with them. What is
generated is canonical: no null, no white space around a text, DateTimes with Z and no or three fraction digits, parents
no older than their children. What the gateway mends is no mutation: outer white space, a missing zone, 16.0, capitals.

Source: protocol §2.6, §5.1-§5.7, §6.
"""

import datetime as dt
import string
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.documents import Body

Json = Any
ABSENT: Json = object()  # the mutation that leaves a field out


class Field(NamedTuple):
    """A property: its good values, its bad ones with where below it they are found, and the object it holds, if any."""

    good: SearchStrategy[Json]
    bad: list[tuple[Json, str]]
    is_required: bool = False
    child: "dict[str, Field] | None" = None


Shape = dict[str, Field]


class Mutation(NamedTuple):
    """A document with one thing wrong, and where."""

    document: Body
    path: str
    value: Json


def mutations(document: Body, shape: Shape, turn: int, ways: int) -> Iterator[Mutation]:
    """Yield broken documents: every field of every object in a valid one in so many ways; `turn` chooses which."""
    for steps, field in _fields(document, shape, ()):
        path = "".join(f"/{step}" for step in steps)
        bad = field.bad + ([(ABSENT, ""), (None, "")] if field.is_required else [])
        for number in range(turn, turn + min(ways, len(bad))):
            value, below = bad[number % len(bad)]
            yield Mutation(_replaced(document, steps, value), path + below, value)


def _fields(
    document: Body, shape: Shape, steps: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Field]]:
    for name, field in shape.items():
        yield (*steps, name), field
        value = document.get(name)
        if field.child and isinstance(value, dict):
            yield from _fields(value, field.child, (*steps, name))
        elif field.child and value:
            for index, item in enumerate(value):
                yield from _fields(item, field.child, (*steps, name, index))


def _replaced(document: Json, steps: tuple[str | int, ...], value: Json) -> Json:
    step, *rest = steps
    copied = document.copy()
    if rest:
        copied[step] = _replaced(document[step], tuple(rest), value)
    elif value is ABSENT:
        copied.pop(step, None)
    else:
        copied[step] = value
    return copied


# --- Values (protocol §5.1, §5.6) --------------------------------------------------------------------------------------

_ANY = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp"))
_FIRST = st.characters(exclude_categories=("C", "Z"))
_ASCII = "".join(map(chr, range(0x20, 0x7F)))
_UNPRINTABLE = ["a\nb", "a\tb", "a\x00b", "a\x7fb", "a\x85b", "a\u2028b", "a\u2029b"]
_NO_TEXT: list[Json] = [7, 1.5, True, [], {}, ["a"]]


def _bad(*values: Json) -> list[tuple[Json, str]]:
    return [(value, "") for value in values]


def one(field: Field) -> Field:
    """Return the field with cardinality 1."""
    return field._replace(is_required=True)


def _text(length: int) -> Field:
    some = st.builds(str.__add__, _FIRST, st.text(_ANY, max_size=min(length - 1, 8))).map(lambda text: text.strip(" "))
    good = some | st.sampled_from(["é" * length, "😀" * length, "<b>&amp;", "#NA", "a b"]).filter(
        lambda text: len(text) <= length
    )
    return Field(good, _bad("x" * (length + 1), "é" * (length + 1), *_UNPRINTABLE, *_NO_TEXT))


def _required_text(length: int) -> Field:
    field = _text(length)
    return Field(field.good, [*field.bad, *_bad("", " ", "\u00a0")], is_required=True)


def _ci_string(length: int, forbidden: str = "") -> Field:
    characters = "".join(character for character in _ASCII if character not in forbidden)
    start = st.sampled_from(string.ascii_letters + string.digits)
    some = st.builds(str.__add__, start, st.text(characters, max_size=min(length - 1, 8))).map(str.strip)
    good = some | st.just("x" * length)
    return Field(good, _bad("x" * (length + 1), "", " ", "é", "a\nb", "a\x7f", *_NO_TEXT))


def _identifier() -> Field:
    field = _ci_string(36, forbidden="/\\")
    return Field(field.good, [*field.bad, *_bad("a/b", "a\\b", ".", "..")], is_required=True)


def _enum(values: str) -> Field:
    words = values.split()
    return Field(st.sampled_from(words), _bad(words[0].swapcase(), "NO_SUCH_WORD", "", 1, True, [], {}, [words[0]]))


def _int(low: int, high: int, *bad: Json) -> Field:
    good = st.sampled_from([low, high, min(max(low, 3), high)]) | st.integers(low, min(high, 100_000))
    return Field(good, _bad(str(low), True, low + 0.5, [], {}, -1, *bad))


def _number(low: int, high: int, *bad: Json) -> Field:
    good = st.integers(low, high) | st.integers(low * 10_000, high * 10_000).map(lambda number: number / 10_000)
    return Field(good, _bad("0.41", True, [], {}, "", *bad))


def _moment(second: int, millisecond: int) -> str:
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=second)
    return f"{moment:%Y-%m-%dT%H:%M:%S}" + (f".{millisecond:03}Z" if millisecond else "Z")


def _date_time(first: int, last: int) -> Field:
    bad = [
        "2026-03-02T10:00:00+00:00", "2026-03-02T10:00:00+01:00", "2026-03-02T10:00:00.123456Z", "2026-03-02",
        "2026-02-30T10:00:00Z", "2025-02-29T10:00:00Z", "2026-03-02t10:00:00Z", "2026-03-02T10:00:00z",
        "2026-03-02 10:00:00Z", "2026-03-02T24:00:00Z", "2026-03-02T23:59:60Z", "2026-13-02T10:00:00Z", "", 1772445600, [],
    ]  # fmt: skip
    good = st.builds(_moment, st.integers(first, last), st.sampled_from([0, 1, 250, 999]))
    return Field(good | st.just("2024-02-29T23:59:59.999Z"), _bad(*bad))


NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)  # the clock of the tests
_UPDATED = one(_date_time(0, int(NOON.timestamp())))
_DATE_TIME = _date_time(-30_610_224_000, 253_402_300_799)  # the years 1000 to 9999
_BOOLEAN = Field(st.booleans(), _bad(0, 1, "true", "false", [], {}))
_CLOCK = Field(
    st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
    _bad("8:00", "24:00", "12:60", "12:00:00", "12-00", "", 800, []),
)
_DATE = Field(
    st.dates(dt.date(1000, 1, 1), dt.date(2999, 12, 31)).map(dt.date.isoformat),
    _bad("2026-02-30", "2025-02-29", "0999-01-01", "3000-01-01", "2026-1-01", "2026-03-02T00:00:00Z", "", 20260302, []),
)
_URL = Field(
    st.builds(
        "{}://{}/{}".format,
        st.sampled_from(["https", "http", "HTTPS"]),
        st.sampled_from(["example.org", "www.example.org:8080", "münchen.example"]),
        st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/?%#é", max_size=8),
    )
    | st.just("https://example.org/" + "x" * 235),
    _bad("https://example.org/" + "x" * 236, "www.example.org", "//example.org", "ftp://example.org", "", 7, [])
    + _bad("https://a b.org", "https://exam\nple.org", "javascript:alert(1)", "https://", "mailto:a@example.org"),
)


def _degrees(whole: int) -> Field:
    good = st.builds("{:.{}f}".format, st.floats(0.1, whole - 1), st.integers(5, 7))
    good |= st.sampled_from([f"{whole}.00000", f"-{whole - 1}.999999", "-0.123456"])
    bad = [
        f"{whole}.00001",
        f"{whole + 1}.00000",
        f"-{whole + 1}.00000",
        "5.1234",
        "5.12345678",
        "5,123456",
        "+5.12345",
    ]
    return Field(
        good.filter(lambda text: len(text) <= 10 + (whole > 90)), _bad(*bad, "", 5.12345, 5, [], {}), is_required=True
    )


def _object(shape: Shape, good: SearchStrategy[Json] | None = None) -> Field:
    bad = _bad("text", 1, True, [], [{}])
    return Field(made(shape) if good is None else good, bad, child=shape)


def _list(item: Field, least: int = 0, good: SearchStrategy[Json] | None = None) -> Field:
    bad = [*_bad("text", 1, True, {}), ([None], "/0"), ([7], "/0")] + (_bad([]) if least else [])
    if item.child is not None:
        bad += _bad({"language": "nl", "text": "x"})
    lists = st.lists(item.good, min_size=least, max_size=2) if good is None else good
    return Field(lists, bad, bool(least), item.child)


def made(shape: Shape) -> SearchStrategy[Body]:
    """Return a strategy for objects of a shape: what is required, and any of the rest."""
    required = {name: field.good for name, field in shape.items() if field.is_required}
    optional = {name: field.good for name, field in shape.items() if not field.is_required}
    return st.fixed_dictionaries(required, optional=optional)


def _later(obj: Body, begin: str, end: str, fallback: Json = ABSENT) -> Body:
    """Make `end` come after `begin` when both are there: swapped, or without an end when they are equal."""
    if begin in obj and end in obj and _key(obj[end]) <= _key(obj[begin]):
        obj = obj | {begin: obj[end], end: obj[begin]}
        if obj[begin] == obj[end]:
            obj = obj | {end: fallback} if fallback is not ABSENT else {k: v for k, v in obj.items() if k != end}
    return obj


def _key(value: Json) -> Json:
    return value.removesuffix("Z") if isinstance(value, str) else value


# --- Shapes (protocol §5.2-§5.7) ---------------------------------------------------------------------------------------

_LATITUDE, _LONGITUDE = _degrees(90), _degrees(180)
_STATUS = _enum("AVAILABLE BLOCKED CHARGING INOPERATIVE OUTOFORDER PLANNED REMOVED RESERVED UNKNOWN")
GEO_LOCATION: Shape = {"latitude": _LATITUDE, "longitude": _LONGITUDE}
DISPLAY_TEXT: Shape = {
    "language": one(
        Field(st.sampled_from(["nl", "en", "de", "fr", "fy", "zh"]), _bad("xx", "nld", "", "nl-NL", 1, []))
    ),
    "text": _required_text(512),
}
ADDITIONAL_GEO_LOCATION: Shape = GEO_LOCATION | {"name": _object(DISPLAY_TEXT)}
IMAGE: Shape = {
    "url": one(_URL),
    "thumbnail": _URL,
    "category": one(_enum("CHARGER ENTRANCE LOCATION NETWORK OPERATOR OTHER OWNER")),
    "type": one(_ci_string(4)),
    "width": _int(0, 99_999, 100_000),
    "height": _int(0, 99_999, 100_000),
}
BUSINESS_DETAILS: Shape = {"name": _required_text(100), "website": _URL, "logo": _object(IMAGE)}
REGULAR_HOURS: Shape = {"weekday": one(_int(1, 7, 0, 8)), "period_begin": one(_CLOCK), "period_end": one(_CLOCK)}
EXCEPTIONAL_PERIOD: Shape = {"period_begin": one(_DATE_TIME), "period_end": one(_DATE_TIME)}
STATUS_SCHEDULE: Shape = {"period_begin": one(_DATE_TIME), "period_end": _DATE_TIME, "status": one(_STATUS)}
_regular_hours = made(REGULAR_HOURS).map(lambda hours: _later(hours, "period_begin", "period_end", "00:00"))
_period = (
    made(EXCEPTIONAL_PERIOD)
    .filter(lambda period: period["period_begin"] != period["period_end"])
    .map(lambda period: _later(period, "period_begin", "period_end"))
)
_periods = _list(_object(EXCEPTIONAL_PERIOD, _period))
HOURS: Shape = {
    "twentyfourseven": one(_BOOLEAN),
    "regular_hours": _list(_object(REGULAR_HOURS, _regular_hours)),
    "exceptional_openings": _periods,
    "exceptional_closings": _periods,
}


def _open(hours: Body, days: list[Body]) -> Body:
    """Give opening hours to what is not open around the clock, and to nothing else (L-07, L-08)."""
    rest = {name: value for name, value in hours.items() if name != "regular_hours"}
    return rest if hours["twentyfourseven"] else rest | {"regular_hours": days}


_hours = st.builds(_open, made(HOURS), st.lists(_regular_hours, min_size=1, max_size=3))
ENERGY_SOURCE: Shape = {
    "source": one(_enum("NUCLEAR GENERAL_FOSSIL COAL GAS GENERAL_GREEN SOLAR WIND WATER")),
    "percentage": one(_number(0, 100, -1, 100.1)),
}
ENVIRONMENTAL_IMPACT: Shape = {
    "category": one(_enum("NUCLEAR_WASTE CARBON_DIOXIDE")),
    "amount": one(_number(0, 100_000)),
}
ENERGY_MIX: Shape = {
    "is_green_energy": one(_BOOLEAN),
    "energy_sources": _list(_object(ENERGY_SOURCE)),
    "environ_impact": _list(_object(ENVIRONMENTAL_IMPACT)),
    "supplier_name": _text(64),
    "energy_product_name": _text(64),
}
PUBLISH_TOKEN: Shape = {
    "uid": _ci_string(36),
    "type": _enum("AD_HOC_USER APP_USER OTHER RFID"),
    "visual_number": _text(64),
    "issuer": _text(64),
    "group_id": _ci_string(36),
}
_token = st.builds(
    lambda token, type_, issuer, group: {"type": type_, "issuer": issuer, "group_id": group} | token,
    made(PUBLISH_TOKEN),
    PUBLISH_TOKEN["type"].good,
    PUBLISH_TOKEN["issuer"].good,
    PUBLISH_TOKEN["group_id"].good,
)
CONNECTOR: Shape = {
    "id": _identifier(),
    "standard": one(
        _enum(
            "CHADEMO CHAOJI DOMESTIC_A DOMESTIC_B DOMESTIC_C DOMESTIC_D DOMESTIC_E DOMESTIC_F DOMESTIC_G DOMESTIC_H"
            " DOMESTIC_I DOMESTIC_J DOMESTIC_K DOMESTIC_L DOMESTIC_M DOMESTIC_N DOMESTIC_O GBT_AC GBT_DC"
            " IEC_60309_2_single_16 IEC_60309_2_three_16 IEC_60309_2_three_32 IEC_60309_2_three_64 IEC_62196_T1"
            " IEC_62196_T1_COMBO IEC_62196_T2 IEC_62196_T2_COMBO IEC_62196_T3A IEC_62196_T3C NEMA_5_20 NEMA_6_30 NEMA_6_50"
            " NEMA_10_30 NEMA_10_50 NEMA_14_30 NEMA_14_50 PANTOGRAPH_BOTTOM_UP PANTOGRAPH_TOP_DOWN TESLA_R TESLA_S"
        )
    ),
    "format": one(_enum("SOCKET CABLE")),
    "power_type": one(_enum("AC_1_PHASE AC_2_PHASE AC_2_PHASE_SPLIT AC_3_PHASE DC")),
    "max_voltage": one(_int(0, 1000)),
    "max_amperage": one(_int(0, 1000)),
    "max_electric_power": _int(0, 10_000_000, 22.08),
    "tariff_ids": _list(_ci_string(36)),
    "terms_and_conditions": _URL,
    "last_updated": _UPDATED,
}


def _distinct(name: str, children: SearchStrategy[Body], least: int) -> SearchStrategy[list[Body]]:
    """Return lists of one or two children whose identifiers differ, whatever their case (L-29)."""
    return st.lists(children, min_size=least, max_size=2, unique_by=lambda child: child[name].lower())


def _settled(parent: Body, children: str) -> Body:
    """Return a parent that is not older than its children (L-06)."""
    times = [parent["last_updated"], *(child["last_updated"] for child in parent.get(children, ()))]
    return parent | {"last_updated": max(times, key=_key)}


_GEO = made(GEO_LOCATION)
connectors = made(CONNECTOR)
EVSE: Shape = {
    "uid": _identifier(),
    "evse_id": _ci_string(48),
    "status": one(_STATUS),
    "status_schedule": _list(
        _object(
            STATUS_SCHEDULE, made(STATUS_SCHEDULE).map(lambda planned: _later(planned, "period_begin", "period_end"))
        )
    ),
    "capabilities": _list(
        _enum(
            "CHARGING_PROFILE_CAPABLE CHARGING_PREFERENCES_CAPABLE CHIP_CARD_SUPPORT CONTACTLESS_CARD_SUPPORT"
            " CREDIT_CARD_PAYABLE DEBIT_CARD_PAYABLE PED_TERMINAL REMOTE_START_STOP_CAPABLE RESERVABLE RFID_READER"
            " START_SESSION_CONNECTOR_REQUIRED TOKEN_GROUP_CAPABLE UNLOCK_CAPABLE"
        )
    ),
    "connectors": _list(_object(CONNECTOR, connectors), 1, _distinct("id", connectors, 1)),
    "floor_level": _text(4),
    "coordinates": _object(GEO_LOCATION, _GEO),
    "physical_reference": _text(16),
    "directions": _list(_object(DISPLAY_TEXT)),
    "parking_restrictions": _list(_enum("EV_ONLY PLUGGED DISABLED CUSTOMERS MOTORCYCLES")),
    "images": _list(_object(IMAGE)),
    "last_updated": _UPDATED,
}
evses = made(EVSE).map(lambda evse: _settled(evse, "connectors"))
COUNTRY_CODE = one(
    Field(st.sampled_from(["NL", "BE", "DE", "nl"]), _bad("NLD", "N", "", "N1", "N-", "é1", 31, [], True))
)
PARTY_ID = one(Field(st.sampled_from(["EXA", "505", "a1B"]), _bad("EX", "EXAM", "", "E*A", "ÉXA", 505, [], True)))
LOCATION: Shape = {
    "country_code": COUNTRY_CODE,
    "party_id": PARTY_ID,
    "id": _identifier(),
    "publish": one(_BOOLEAN),
    "publish_allowed_to": _list(_object(PUBLISH_TOKEN, _token)),
    "name": _text(255),
    "address": _required_text(255),
    "city": _required_text(45),
    "postal_code": _text(10),
    "state": _text(45),
    "country": one(
        Field(
            st.sampled_from(["NLD", "BEL", "DEU", "FRA", "GBR", "ABW", "ZWE"]),
            _bad("NL", "nld", "XXX", "Nederland", "", 528, []),
        )
    ),
    "coordinates": one(_object(GEO_LOCATION, _GEO)),
    "related_locations": _list(_object(ADDITIONAL_GEO_LOCATION)),
    "parking_type": _enum("ALONG_MOTORWAY PARKING_GARAGE PARKING_LOT ON_DRIVEWAY ON_STREET UNDERGROUND_GARAGE"),
    "evses": _list(_object(EVSE, evses), good=_distinct("uid", evses, 0)),
    "directions": _list(_object(DISPLAY_TEXT)),
    "operator": _object(BUSINESS_DETAILS),
    "suboperator": _object(BUSINESS_DETAILS),
    "owner": _object(BUSINESS_DETAILS),
    "facilities": _list(
        _enum(
            "HOTEL RESTAURANT CAFE MALL SUPERMARKET SPORT RECREATION_AREA NATURE MUSEUM BIKE_SHARING BUS_STOP TAXI_STAND"
            " TRAM_STOP METRO_STATION TRAIN_STATION AIRPORT PARKING_LOT CARPOOL_PARKING FUEL_STATION WIFI"
        )
    ),
    "time_zone": one(
        Field(
            st.sampled_from(["Europe/Amsterdam", "Europe/Brussels", "UTC", "America/Argentina/Buenos_Aires"]),
            _bad("Amsterdam", "europe/amsterdam", "+01:00", "CEST", "", "../etc/passwd", 1, []),
        )
    ),
    "opening_times": _object(HOURS, _hours),
    "charging_when_closed": _BOOLEAN,
    "images": _list(_object(IMAGE)),
    "energy_mix": _object(ENERGY_MIX),
    "last_updated": _UPDATED,
}


def _published(location: Body) -> Body:
    """Return a Location whose token list is there only when it is not public (L-12)."""
    is_public = location["publish"]
    return {name: value for name, value in location.items() if not (is_public and name == "publish_allowed_to")}


locations = made(LOCATION).map(_published).map(lambda location: _settled(location, "evses"))

PRICE: Shape = {"excl_vat": one(_number(0, 1000, -1)), "incl_vat": _number(0, 1000, -0.01)}
PRICE_COMPONENT: Shape = {
    "type": one(_enum("ENERGY FLAT PARKING_TIME TIME")),
    "price": one(_number(0, 1000, -1)),
    "vat": _number(0, 100, -1),
    "step_size": one(_int(1, 3600)),
}
_PAIRS = [(f"min_{name}", f"max_{name}") for name in ("kwh", "current", "power", "duration")] + [
    ("start_date", "end_date")
]
RESTRICTIONS: Shape = {
    "start_time": _CLOCK,
    "end_time": _CLOCK,
    "start_date": _DATE,
    "end_date": _DATE,
    **{name: _number(0, 1000, -1) for pair in _PAIRS[:3] for name in pair},
    "min_duration": _int(0, 86_400),
    "max_duration": _int(0, 86_400),
    "day_of_week": _list(_enum("MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY")),
    "reservation": _enum("RESERVATION RESERVATION_EXPIRES"),
}


def _bounded(restrictions: Body) -> Body:
    """Return restrictions whose upper bounds are above the lower ones (T-14)."""
    for low, high in _PAIRS:
        restrictions = _later(restrictions, low, high)
    return restrictions


def _priced(element: Body) -> Body:
    """Return an element that prices no energy for a reservation (T-16); a FLAT price may have a step of 0 (T-07)."""
    if "reservation" not in element.get("restrictions", ()):
        return element
    return element | {"price_components": [part | {"type": "FLAT"} for part in element["price_components"]]}


ELEMENT: Shape = {
    "price_components": _list(_object(PRICE_COMPONENT), 1),
    "restrictions": _object(RESTRICTIONS, made(RESTRICTIONS).map(_bounded)),
}
TARIFF: Shape = {
    "country_code": COUNTRY_CODE,
    "party_id": PARTY_ID,
    "id": _identifier(),
    "currency": one(Field(st.sampled_from(["EUR", "GBP", "CHF"]), _bad("eur", "EURO", "€", "XXX", "", 978, []))),
    "type": _enum("AD_HOC_PAYMENT PROFILE_CHEAP PROFILE_FAST PROFILE_GREEN REGULAR"),
    "tariff_alt_text": _list(_object(DISPLAY_TEXT)),
    "tariff_alt_url": _URL,
    "min_price": _object(PRICE),
    "max_price": _object(PRICE),
    "elements": _list(_object(ELEMENT, made(ELEMENT).map(_priced)), 1),
    "start_date_time": _DATE_TIME,
    "end_date_time": _DATE_TIME,
    "energy_mix": _object(ENERGY_MIX),
    "last_updated": _UPDATED,
}
tariffs = made(TARIFF).map(lambda tariff: _later(tariff, "start_date_time", "end_date_time"))
