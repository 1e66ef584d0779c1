"""What NDW accepts, and what a good request does to what NDW holds. No HTTP here; `ndw_simulator` brings that.

Written from the specification as tables, on the standard library, importing nothing of the project: it cannot share
the project's mistakes. `check(LOCATION, body)` names every fault, "/evses/0/status: required"; none means compliant.

Source: OCPI 2.2.1 mod_locations, mod_tariffs, types; NDW DOT-NL, "AFIR", "Push".
"""

import datetime
import functools
import json
import re
import threading
import time
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

Document = dict[str, Any]
Key = tuple[str, str, str]  # country_code, party_id, id in lower case
Path = tuple[str, ...]  # "locations" or "tariffs", then a Key, then uid and connector id in lower case
Leaf = Callable[[Any], str | None]  # None, or what is wrong with the value
Rule = Callable[[Document], Iterator[str]]  # faults between the fields of one object, each "field: why"


def words(text: str) -> frozenset[str]:
    """Return the words of a text, as the values of an enum."""
    return frozenset(text.split())


# ISO 3166-1, 4217 and 639-1
ALPHA_2 = words(
    """AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA
    CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB
    GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG
    KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV
    MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB
    SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US
    UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"""
)
ALPHA_3 = words(
    """ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR BHS BIH BLM
    BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV CRI CUB CUW CXR CYM
    CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB GIN GLP
    GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL ISR ITA JAM JEY JOR
    JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX LVA MAC MAF MAR MCO MDA MDG MDV MEX MHL
    MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL NER NFK NGA NIC NIU NLD NOR NPL NRU NZL OMN PAK
    PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR
    SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK TKL TKM TLS TON TTO TUN TUR TUV TWN TZA UGA
    UKR UMI URY USA UZB VAT VCT VEN VGB VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE"""
)
CURRENCIES = words(
    """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
    CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
    HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
    RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX
    USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA
    XXX YER ZAR ZMW ZWG"""
)
LANGUAGES = words(
    """aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
    es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg
    ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn
    no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw
    ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"""
)


# -- primitive types ------------------------------------------------------------------------------------------------


def text(limit: int) -> Leaf:
    """Demand a string(limit) of printable characters. Source: OCPI 2.2.1 types, "string"."""

    def leaf(value: Any) -> str | None:
        if type(value) is not str:
            return "string expected"
        if len(value) > limit:
            return f"longer than {limit} characters"
        if not value.isprintable() and any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in value):
            return "not printable"
        return None

    return leaf


def filled(leaf: Leaf) -> Leaf:
    """Demand of a string besides that it is not blank: what a required field needs."""
    return lambda value: leaf(value) or (None if value.strip() else "blank")


def pattern(expression: str, name: str) -> Leaf:
    """Demand a string that matches as a whole."""
    matches = re.compile(expression).fullmatch
    return lambda value: None if type(value) is str and matches(value) else f"{name} expected"


def ci(limit: int) -> Leaf:
    """Demand a CiString(limit): printable ASCII, not blank."""
    return pattern(rf"(?=.*[!-~])[ -~]{{1,{limit}}}", f"CiString({limit})")


def one_of(allowed: frozenset[str], name: str) -> Leaf:
    """Demand one of these strings, case-sensitive."""
    return lambda value: None if type(value) is str and value in allowed else f"{value!r:.50} is none of {name}"


def enum(values: str) -> Leaf:
    """Demand one of the words of a text. Source: OCPI 2.2.1, the enums of each module."""
    return one_of(words(values), ", ".join(values.split()))


def integer(least: int = 0, most: int | None = None) -> Leaf:
    """Demand a JSON integer: 16.0, "16" and true are none."""

    def leaf(value: Any) -> str | None:
        if type(value) is not int:
            return "int expected"
        if value < least or (most is not None and value > most):
            return f"out of range, at least {least}" + (f" and at most {most}" if most is not None else "")
        return None

    return leaf


def number(value: Any) -> str | None:
    """Demand a JSON number. Source: OCPI 2.2.1 types, "number"."""
    return None if type(value) is int or type(value) is float else "number expected"


def percentage(value: Any) -> str | None:
    """Demand a number from 0 to 100."""
    return number(value) or (None if 0 <= value <= 100 else "0 to 100 expected")


def boolean(value: Any) -> str | None:
    """Demand true or false."""
    return None if type(value) is bool else "boolean expected"


def _real_date(value: str) -> bool:
    try:
        datetime.date.fromisoformat(value[:10])
    except ValueError:
        return False
    return True


_MOMENT = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?Z?"
).fullmatch
_DATE = re.compile(r"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])").fullmatch


def moment(value: Any) -> str | None:
    """Demand a DateTime: RFC 3339 in UTC, `Z` or nothing, at most milliseconds.

    Source: OCPI 2.2.1 types, "DateTime".
    """
    return None if type(value) is str and _MOMENT(value) and _real_date(value) else "DateTime in UTC expected"


def date(value: Any) -> str | None:
    """Demand a real date. Source: OCPI 2.2.1 mod_tariffs, "TariffRestrictions"."""
    return None if type(value) is str and _DATE(value) and _real_date(value) else "date expected"


def country_code(value: Any) -> str | None:
    """Demand an alpha-2 code; as a CiString it may come in lower case."""
    return None if type(value) is str and value.upper() in ALPHA_2 else "ISO 3166-1 alpha-2 expected"


def language(value: Any) -> str | None:
    """Demand an ISO 639-1 code."""
    return None if type(value) is str and value.lower() in LANGUAGES else "ISO 639-1 expected"


@functools.cache
def _time_zones() -> set[str]:
    return zoneinfo.available_timezones()


def time_zone(value: Any) -> str | None:
    """Demand an IANA name; on a machine without the database any name of the right shape passes."""
    if type(value) is str and re.fullmatch(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*", value):
        return None if value in _time_zones() or not _time_zones() else "IANA time zone expected"
    return "IANA time zone expected"


def degrees(digits: int, most: int) -> Leaf:
    """Demand a coordinate: a string with 5 to 7 decimals within the globe. Source: mod_locations, "GeoLocation"."""
    shape = pattern(rf"-?[0-9]{{1,{digits}}}\.[0-9]{{5,7}}", "decimal degrees with 5 to 7 decimals, as a string,")
    return lambda value: shape(value) or (None if abs(float(value)) <= most else f"beyond {most} degrees")


url = pattern(r"(?=.{1,255}$)[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@]+([/?#]\S*)?", "absolute http(s) URL(255)")
time_of_day = pattern(r"([0-1][0-9]|2[0-3]):[0-5][0-9]", "HH:MM")
party_id = pattern(r"[A-Za-z0-9]{3}", "three letters or digits")
LATITUDE, LONGITUDE = degrees(2, 90), degrees(3, 180)

# -- objects --------------------------------------------------------------------------------------------------------


class Shape:
    """An OCPI object: its fields, those that must be there with the words if they are not, the rules between them."""

    def __init__(self, fields: "dict[str, Field]", *rules: Rule, ids: tuple[str, ...] = ()) -> None:
        self.fields, self.rules, self.ids = fields, rules, ids
        self.required = [(name, field.required) for name, field in fields.items() if field.required]


class Field(NamedTuple):
    """A field of an object. `required`: the words when it is not there; `least`: of a list."""

    kind: "Leaf | Shape"
    is_list: bool = False
    required: str = ""
    least: int = 0


def one(kind: Leaf | Shape) -> Field:
    """Cardinality 1."""
    return Field(kind, required="required")


def opt(kind: Leaf | Shape) -> Field:
    """Cardinality ?: null is the same as absent."""
    return Field(kind)


def many(kind: Leaf | Shape) -> Field:
    """Cardinality *: null, [] and absent are the same."""
    return Field(kind, is_list=True)


def some(kind: Leaf | Shape) -> Field:
    """Cardinality +."""
    return Field(kind, is_list=True, required="required", least=1)


def afir(field: Field) -> Field:
    """Optional in OCPI, demanded by NDW. Source: NDW DOT-NL, "AFIR"."""
    return field._replace(required="required by DOT-NL")


def check(shape: Shape, value: Any, is_patch: bool = False) -> list[str]:
    """Return every fault of a full object, or of a PATCH, as "/path: why"; empty when compliant."""
    faults: list[str] = []
    _check_object(shape, value, "", faults, is_patch)
    return faults


def _check_object(shape: Shape, value: Any, path: str, faults: list[str], is_patch: bool = False) -> None:
    if type(value) is not dict:
        faults.append(f"{path or '/'}: object expected")
        return
    before = len(faults)
    for name, item in value.items():
        field = shape.fields.get(name)
        if field is None:
            faults.append(f"{path}/{name:.50}: unknown property")
        elif item is not None:
            _check_field(field, item, f"{path}/{name}", faults)
        elif is_patch:
            faults.append(f"{path}/{name}: null; a PATCH cannot remove, send a PUT")
    for name, why in [("last_updated", "required in a PATCH")] if is_patch else shape.required:
        if value.get(name) is None and not (is_patch and name in value):
            faults.append(f"{path}/{name}: {why}")
    if not is_patch and len(faults) == before:
        faults.extend(f"{path}/{fault}" for fault in faults_between(shape, value))


def _check_field(field: Field, value: Any, path: str, faults: list[str]) -> None:
    if not field.is_list:
        _check_value(field.kind, value, path, faults)
    elif type(value) is not list:
        faults.append(f"{path}: list expected")
    elif len(value) < field.least:
        faults.append(f"{path}: at least {field.least} needed")
    else:
        for index, item in enumerate(value):
            _check_value(field.kind, item, f"{path}/{index}", faults)


def _check_value(kind: Leaf | Shape, value: Any, path: str, faults: list[str]) -> None:
    if isinstance(kind, Shape):
        _check_object(kind, value, path, faults)
    elif why := kind(value):
        faults.append(f"{path}: {why}")


def faults_between(shape: Shape, value: Document) -> Iterator[str]:
    """Yield what is wrong between the fields of an object whose fields are each right."""
    for rule in shape.rules:
        yield from rule(value)


# -- rules between fields -------------------------------------------------------------------------------------------


def instant(value: str) -> str:
    """Return a DateTime in one spelling, so that strings compare as times do."""
    seconds, _, fraction = value.rstrip("Z").partition(".")
    return f"{seconds}.{fraction:0<3}"


def later(*moments: str) -> str:
    """Return the latest of some DateTimes, as it is spelt."""
    return max(moments, key=instant)


def rising(low: str, high: str) -> Rule:
    """Demand low < high where both are there: numbers, dates or DateTimes."""

    def rule(value: Document) -> Iterator[str]:
        first, last = value.get(low), value.get(high)
        if first is None or last is None:
            return
        if isinstance(first, str):
            first, last = instant(first), instant(last)
        if first >= last:
            yield f"{high}: not after {low}"

    return rule


def unique(name: str, id_name: str) -> Rule:
    """Demand that no two children carry the same id; case does not matter."""

    def rule(value: Document) -> Iterator[str]:
        seen: set[str] = set()
        for index, child in enumerate(value.get(name) or ()):
            if child[id_name].lower() in seen:
                yield f"{name}/{index}/{id_name}: used twice"
            seen.add(child[id_name].lower())

    return rule


def not_before(name: str) -> Rule:
    """Demand that an object is as new as each of its children. Source: mod_locations, "last_updated" of every level."""

    def rule(value: Document) -> Iterator[str]:
        own = instant(value["last_updated"])
        for index, child in enumerate(value.get(name) or ()):
            if instant(child["last_updated"]) > own:
                yield f"last_updated: older than /{name}/{index}/last_updated"

    return rule


def published_to_all(value: Document) -> Iterator[str]:
    """Demand no publish_allowed_to on a public Location. Source: mod_locations, "Location"."""
    if value["publish"] and value.get("publish_allowed_to"):
        yield "publish_allowed_to: only with publish false"


def somewhere(value: Document) -> Iterator[str]:
    """Refuse 0,0, where nobody charges."""
    if not float(value["latitude"]) and not float(value["longitude"]):
        yield "latitude: 0,0 is nowhere"


def token_named(value: Document) -> Iterator[str]:
    """Demand what names a token. Source: mod_locations, "PublishTokenType"."""
    if not any(value.get(name) for name in ("uid", "visual_number", "group_id")):
        yield "uid: uid, visual_number or group_id required"
    for name, needs in (("uid", "type"), ("visual_number", "issuer")):
        if value.get(name) and not value.get(needs):
            yield f"{needs}: required with {name}"


def hours_complete(value: Document) -> Iterator[str]:
    """Demand regular_hours or 24/7, never both. Source: mod_locations, "Hours"."""
    if value["twentyfourseven"] == bool(value.get("regular_hours")):
        yield "regular_hours: required unless twentyfourseven, and only then"


def same_day(value: Document) -> Iterator[str]:
    """Demand that hours end after they begin; 00:00 ends the day. Source: mod_locations, "RegularHours"."""
    if value["period_end"] != "00:00" and value["period_end"] <= value["period_begin"]:
        yield "period_end: not after period_begin; split over two days"


def step_sensible(value: Document) -> Iterator[str]:
    """Demand a step_size of 1, but of FLAT. Source: mod_tariffs, "PriceComponent"."""
    if value["step_size"] < 1 and value["type"] != "FLAT":
        yield "step_size: at least 1"


def reservation_priced(value: Document) -> Iterator[str]:
    """Allow a reservation FLAT and TIME only. Source: mod_tariffs, "TariffRestrictions"."""
    if (value.get("restrictions") or {}).get("reservation"):
        for index, component in enumerate(value["price_components"]):
            if component["type"] not in ("FLAT", "TIME"):
                yield f"price_components/{index}/type: a reservation has FLAT and TIME only"


# -- the tables -----------------------------------------------------------------------------------------------------

STATUS = enum("AVAILABLE BLOCKED CHARGING INOPERATIVE OUTOFORDER PLANNED REMOVED RESERVED UNKNOWN")
GEO_LOCATION = Shape({"latitude": one(LATITUDE), "longitude": one(LONGITUDE)}, somewhere)
DISPLAY_TEXT = Shape({"language": one(language), "text": one(filled(text(512)))})
ADDITIONAL_GEO_LOCATION = Shape(
    {"latitude": one(LATITUDE), "longitude": one(LONGITUDE), "name": opt(DISPLAY_TEXT)}, somewhere
)
IMAGE = Shape(
    {
        "url": one(url),
        "thumbnail": opt(url),
        "category": one(enum("CHARGER ENTRANCE LOCATION NETWORK OPERATOR OTHER OWNER")),
        "type": one(ci(4)),
        "width": opt(integer(most=99999)),
        "height": opt(integer(most=99999)),
    }
)
BUSINESS_DETAILS = Shape({"name": one(filled(text(100))), "website": opt(url), "logo": opt(IMAGE)})
REGULAR_HOURS = Shape(
    {"weekday": one(integer(1, 7)), "period_begin": one(time_of_day), "period_end": one(time_of_day)}, same_day
)
EXCEPTIONAL_PERIOD = Shape(
    {"period_begin": one(moment), "period_end": one(moment)}, rising("period_begin", "period_end")
)
HOURS = Shape(
    {
        "twentyfourseven": one(boolean),
        "regular_hours": many(REGULAR_HOURS),
        "exceptional_openings": many(EXCEPTIONAL_PERIOD),
        "exceptional_closings": many(EXCEPTIONAL_PERIOD),
    },
    hours_complete,
)
STATUS_SCHEDULE = Shape(
    {"period_begin": one(moment), "period_end": opt(moment), "status": one(STATUS)},
    rising("period_begin", "period_end"),
)
ENERGY_SOURCE = Shape(
    {
        "source": one(enum("NUCLEAR GENERAL_FOSSIL COAL GAS GENERAL_GREEN SOLAR WIND WATER")),
        "percentage": one(percentage),
    }
)
ENVIRONMENTAL_IMPACT = Shape({"category": one(enum("NUCLEAR_WASTE CARBON_DIOXIDE")), "amount": one(number)})
ENERGY_MIX = Shape(
    {
        "is_green_energy": one(boolean),
        "energy_sources": many(ENERGY_SOURCE),
        "environ_impact": many(ENVIRONMENTAL_IMPACT),
        "supplier_name": opt(text(64)),
        "energy_product_name": opt(text(64)),
    }
)
PUBLISH_TOKEN_TYPE = Shape(
    {
        "uid": opt(ci(36)),
        "type": opt(enum("AD_HOC_USER APP_USER OTHER RFID")),
        "visual_number": opt(text(64)),
        "issuer": opt(text(64)),
        "group_id": opt(ci(36)),
    },
    token_named,
)
CONNECTOR_TYPE = enum(
    """CHADEMO CHAOJI DOMESTIC_A DOMESTIC_B DOMESTIC_C DOMESTIC_D DOMESTIC_E DOMESTIC_F DOMESTIC_G DOMESTIC_H DOMESTIC_I
    DOMESTIC_J DOMESTIC_K DOMESTIC_L DOMESTIC_M DOMESTIC_N DOMESTIC_O GBT_AC GBT_DC IEC_60309_2_single_16
    IEC_60309_2_three_16 IEC_60309_2_three_32 IEC_60309_2_three_64 IEC_62196_T1 IEC_62196_T1_COMBO IEC_62196_T2
    IEC_62196_T2_COMBO IEC_62196_T3A IEC_62196_T3C NEMA_5_20 NEMA_6_30 NEMA_6_50 NEMA_10_30 NEMA_10_50 NEMA_14_30
    NEMA_14_50 PANTOGRAPH_BOTTOM_UP PANTOGRAPH_TOP_DOWN TESLA_R TESLA_S"""
)
CAPABILITY = enum(
    """CHARGING_PROFILE_CAPABLE CHARGING_PREFERENCES_CAPABLE CHIP_CARD_SUPPORT CONTACTLESS_CARD_SUPPORT
    CREDIT_CARD_PAYABLE DEBIT_CARD_PAYABLE PED_TERMINAL REMOTE_START_STOP_CAPABLE RESERVABLE RFID_READER
    START_SESSION_CONNECTOR_REQUIRED TOKEN_GROUP_CAPABLE UNLOCK_CAPABLE"""
)
FACILITY = enum(
    """HOTEL RESTAURANT CAFE MALL SUPERMARKET SPORT RECREATION_AREA NATURE MUSEUM BIKE_SHARING BUS_STOP TAXI_STAND
    TRAM_STOP METRO_STATION TRAIN_STATION AIRPORT PARKING_LOT CARPOOL_PARKING FUEL_STATION WIFI"""
)
CONNECTOR = Shape(
    {
        "id": one(ci(36)),
        "standard": one(CONNECTOR_TYPE),
        "format": one(enum("SOCKET CABLE")),
        "power_type": one(enum("AC_1_PHASE AC_2_PHASE AC_2_PHASE_SPLIT AC_3_PHASE DC")),
        "max_voltage": one(integer()),
        "max_amperage": one(integer()),
        "max_electric_power": afir(opt(integer(1))),
        "tariff_ids": afir(some(ci(36))),
        "terms_and_conditions": opt(url),
        "last_updated": one(moment),
    },
    ids=("id",),
)
EVSE = Shape(
    {
        "uid": one(ci(36)),
        "evse_id": opt(ci(48)),
        "status": one(STATUS),
        "status_schedule": many(STATUS_SCHEDULE),
        "capabilities": many(CAPABILITY),
        "connectors": some(CONNECTOR),
        "floor_level": opt(text(4)),
        "coordinates": opt(GEO_LOCATION),
        "physical_reference": opt(text(16)),
        "directions": many(DISPLAY_TEXT),
        "parking_restrictions": afir(many(enum("EV_ONLY PLUGGED DISABLED CUSTOMERS MOTORCYCLES"))),
        "images": many(IMAGE),
        "last_updated": one(moment),
    },
    unique("connectors", "id"),
    not_before("connectors"),
    ids=("uid",),
)
LOCATION = Shape(
    {
        "country_code": one(country_code),
        "party_id": one(party_id),
        "id": one(ci(36)),
        "publish": one(boolean),
        "publish_allowed_to": many(PUBLISH_TOKEN_TYPE),
        "name": opt(text(255)),
        "address": one(filled(text(255))),
        "city": one(filled(text(45))),
        "postal_code": opt(text(10)),
        "state": opt(text(45)),
        "country": one(one_of(ALPHA_3, "ISO 3166-1 alpha-3")),
        "coordinates": one(GEO_LOCATION),
        "related_locations": many(ADDITIONAL_GEO_LOCATION),
        "parking_type": opt(enum("ALONG_MOTORWAY PARKING_GARAGE PARKING_LOT ON_DRIVEWAY ON_STREET UNDERGROUND_GARAGE")),
        "evses": many(EVSE),
        "directions": many(DISPLAY_TEXT),
        "operator": opt(BUSINESS_DETAILS),
        "suboperator": opt(BUSINESS_DETAILS),
        "owner": opt(BUSINESS_DETAILS),
        "facilities": many(FACILITY),
        "time_zone": one(time_zone),
        "opening_times": afir(opt(HOURS)),
        "charging_when_closed": opt(boolean),
        "images": many(IMAGE),
        "energy_mix": afir(opt(ENERGY_MIX)),
        "last_updated": one(moment),
    },
    published_to_all,
    unique("evses", "uid"),
    not_before("evses"),
    ids=("country_code", "party_id", "id"),
)
PRICE = Shape({"excl_vat": one(number), "incl_vat": opt(number)})
PRICE_COMPONENT = Shape(
    {
        "type": one(enum("ENERGY FLAT PARKING_TIME TIME")),
        "price": one(number),
        "vat": opt(number),
        "step_size": one(integer()),
    },
    step_sensible,
)
RESTRICTED = ("kwh", "current", "power", "duration")
RESTRICTIONS = Shape(
    {
        "start_time": opt(time_of_day),
        "end_time": opt(time_of_day),
        "start_date": opt(date),
        "end_date": opt(date),
        **{f"{edge}_{what}": opt(number) for what in RESTRICTED[:3] for edge in ("min", "max")},
        "min_duration": opt(integer()),
        "max_duration": opt(integer()),
        "day_of_week": many(enum("MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY")),
        "reservation": opt(enum("RESERVATION RESERVATION_EXPIRES")),
    },
    rising("start_date", "end_date"),
    *(rising(f"min_{what}", f"max_{what}") for what in RESTRICTED),
)
TARIFF_ELEMENT = Shape(
    {"price_components": some(PRICE_COMPONENT), "restrictions": opt(RESTRICTIONS)}, reservation_priced
)
TARIFF = Shape(
    {
        "country_code": one(country_code),
        "party_id": one(party_id),
        "id": one(ci(36)),
        "currency": one(one_of(CURRENCIES, "ISO 4217")),
        "type": opt(enum("AD_HOC_PAYMENT PROFILE_CHEAP PROFILE_FAST PROFILE_GREEN REGULAR")),
        "tariff_alt_text": many(DISPLAY_TEXT),
        "tariff_alt_url": opt(url),
        "min_price": opt(PRICE),
        "max_price": opt(PRICE),
        "elements": some(TARIFF_ELEMENT),
        "start_date_time": opt(moment),
        "end_date_time": opt(moment),
        "energy_mix": opt(ENERGY_MIX),
        "last_updated": one(moment),
    },
    rising("start_date_time", "end_date_time"),
    ids=("country_code", "party_id", "id"),
)

# -- reading --------------------------------------------------------------------------------------------------------


def _object(pairs: list[tuple[str, Any]]) -> Document:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("the same key twice in one object")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def parse(raw: bytes) -> Any:
    """Return the JSON value of bytes. Raises ValueError on anything loose: BOM, NaN, a key twice, not UTF-8."""
    try:
        return DECODER.decode(raw.decode())
    except RecursionError:
        raise ValueError("nested too deep") from None


class Target(NamedTuple):
    """What a push URL names; `levels` are (list, id field, id) below the Location."""

    path: Path
    shape: Shape
    ids: tuple[str, ...]
    levels: tuple[tuple[str, str, str], ...] = ()

    @property
    def key(self) -> Key:
        """Return the Key of the Location or Tariff."""
        return self.path[1], self.path[2], self.path[3]

    @property
    def methods(self) -> tuple[str, ...]:
        """Return what may be done with it. Source: NDW DOT-NL, "Push"."""
        return ("PUT", "PATCH") if self.path[0] == "locations" else ("PUT", "DELETE")


_ID = re.compile(r"[ -~]{1,36}").fullmatch
_LEVELS = (("evses", "uid", EVSE), ("connectors", "id", CONNECTOR))


def target(path: str) -> Target | None:
    """Return what a path below the push URL names, or None when NDW has no such resource.

    Source: OCPI 2.2.1 mod_locations and mod_tariffs, "Receiver Interface".
    """
    try:
        kind, *ids = (unquote(segment, errors="strict") for segment in path.removeprefix("/").split("/"))
    except UnicodeDecodeError:
        return None
    if kind not in ("locations", "tariffs") or not 3 <= len(ids) <= (5 if kind == "locations" else 3):
        return None
    if country_code(ids[0]) or party_id(ids[1]) or not all(map(_ID, ids)):
        return None
    own = (kind, ids[0].upper(), ids[1].upper(), *(item.lower() for item in ids[2:]))
    if len(ids) == 3:
        return Target(own, LOCATION if kind == "locations" else TARIFF, tuple(ids))
    below = tuple((name, id_name, item) for (name, id_name, _), item in zip(_LEVELS, own[4:], strict=False))
    return Target(own, _LEVELS[len(below) - 1][2], (ids[-1],), below)


# -- what NDW holds -------------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """NDW's answer: HTTP status, OCPI status_code (None: no body) and words; 1xxx and 204 mean applied."""

    http: int
    code: int | None
    words: str = ""


class RefusedError(Exception):
    """The request is understood and not applied."""

    def __init__(self, http: int, code: int, why: str) -> None:
        self.verdict = Verdict(http, code, why)


class Book:
    """What NDW holds, how each object came to it, and every step that went back in time.

    `locations` and `tariffs`: Key -> document as accepted. `deleted`: Path of a tariff -> its last document.
    `history`: Path -> [(applied at, last_updated, EVSE status or None)], of each object a request addressed, and of the
    EVSEs a whole Location changed. `stale`: one dict for each older version that was accepted over a newer one.
    Documents are replaced, never changed in place: a reader may keep one.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.locations: dict[Key, Document] = {}
        self.tariffs: dict[Key, Document] = {}
        self.deleted: dict[Path, Document] = {}
        self.history: dict[Path, list[tuple[float, str, str | None]]] = {}
        self.stale: list[dict[str, Any]] = []

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            for kept in (self.locations, self.tariffs, self.deleted, self.history):
                kept.clear()
            self.stale.clear()

    def judge(self, method: str, at: Target, document: Any) -> Verdict:
        """Check a request that has come as far as its JSON, and apply it when it is good."""
        try:
            if method == "DELETE":
                return self._delete(at)
            is_patch = method == "PATCH"
            if faults := [*_moved(at, document), *check(at.shape, document, is_patch)]:
                raise RefusedError(200, 2001, "; ".join(faults[:8]))
            with self.lock:
                return self._place(at, document, is_patch)
        except RefusedError as refused:
            return refused.verdict

    def take(self, kind: str, document: Document) -> None:
        """Take a compliant pulled document over what is held, unless that is newer."""
        key = (document["country_code"].upper(), document["party_id"].upper(), document["id"].lower())
        held = self.locations if kind == "locations" else self.tariffs
        with self.lock:
            if key not in held or instant(held[key]["last_updated"]) <= instant(document["last_updated"]):
                held[key] = document

    def find(self, at: Target) -> Document | None:
        """Return the object NDW holds at a URL, or None."""
        held = (self.locations if at.path[0] == "locations" else self.tariffs).get(at.key)
        for name, id_name, wanted in at.levels:
            children = (held or {}).get(name) or ()
            held = next((child for child in children if child[id_name].lower() == wanted), None)
        return held

    def _delete(self, at: Target) -> Verdict:
        with self.lock:
            held = self.tariffs.pop(at.key, None)
            if held is None:
                raise RefusedError(404, 2000, "unknown tariff")
            self.deleted[at.path] = held
        return Verdict(204, None)

    def _place(self, at: Target, document: Document, is_patch: bool) -> Verdict:
        shelf = self.locations if at.path[0] == "locations" else self.tariffs
        is_new = False

        def change(held: Document | None) -> Document:
            nonlocal is_new
            is_new = held is None
            new = _patched(at.shape, held, document) if is_patch else _replaced(held, document)
            self._note(at.path, held, new, document["last_updated"])
            return new

        shelf[at.key] = _changed(shelf.get(at.key), at.levels, change)
        return Verdict(201 if is_new else 200, 1000)

    def _note(self, path: Path, held: Document | None, new: Document, came: str) -> None:
        """Write down the step an object took, and those of its EVSEs. `came` is the last_updated that was sent."""
        now = time.time()
        known = (held or self.deleted.get(path) or {}).get("last_updated")
        if known and (instant(came) < instant(known) or (held is None and instant(came) == instant(known))):
            self.stale.append({"path": path, "held": known, "came": came, "at": now})
        self.history.setdefault(path, []).append((now, came, new.get("status")))
        before = {evse["uid"].lower(): evse for evse in (held or {}).get("evses") or ()}
        for evse in new.get("evses") or ():
            uid = evse["uid"].lower()
            if not _is_same_step(before.get(uid), evse):
                self._note((*path, uid), before.get(uid), evse, evse["last_updated"])


def _is_same_step(held: Document | None, new: Document) -> bool:
    steps = ("last_updated", "status")
    return held is new or (held is not None and all(held[name] == new[name] for name in steps))


def _moved(at: Target, document: Any) -> Iterator[str]:
    """Yield each identifier of the body that is not the URL's. Source: NDW DOT-NL, "Push"."""
    if type(document) is dict:
        for name, wanted in zip(at.shape.ids, at.ids, strict=True):
            given = document.get(name)
            if isinstance(given, str) and given.lower() != wanted.lower():
                yield f"/{name}: {given!r:.50} is not the {wanted!r} of the URL; identifiers never change"


def _replaced(held: Document | None, new: Document) -> Document:
    """Return the object after a PUT. Source: OCPI 2.2.1 mod_locations, "No public deletion"."""
    lost = {evse["uid"].lower() for evse in (held or {}).get("evses") or ()}
    lost -= {evse["uid"].lower() for evse in new.get("evses") or ()}
    if lost:
        raise RefusedError(200, 2001, f"/evses: {', '.join(sorted(lost))} missing; an EVSE leaves by status REMOVED")
    return new


def _patched(shape: Shape, held: Document | None, patch: Document) -> Document:
    """Return the object after a PATCH: fields replaced as a whole, EVSEs and Connectors one by one by their id."""
    if held is None:
        raise RefusedError(404, 2003, "unknown object")
    new = {**held, **patch}
    for name, id_name, _ in _LEVELS:
        if name in patch:
            children = {child[id_name].lower(): child for child in [*(held.get(name) or ()), *patch[name]]}
            new[name] = list(children.values())
        new["last_updated"] = later(new["last_updated"], *(child["last_updated"] for child in new.get(name) or ()))
    if faults := list(faults_between(shape, new)):
        raise RefusedError(200, 2001, "; ".join(f"/{fault}" for fault in faults))
    return new


def _changed(
    held: Document | None, levels: tuple[tuple[str, str, str], ...], change: Callable[[Document | None], Document]
) -> Document:
    """Return the tree with the addressed object changed and every parent at least as new as it.

    Source: OCPI 2.2.1 mod_locations, "PUT Method": the receiver sets the parents' last_updated.
    """
    if not levels:
        return change(held)
    if held is None:
        raise RefusedError(404, 2003, "unknown parent")
    name, id_name, wanted = levels[0]
    children = list(held.get(name) or ())
    index = next((n for n, child in enumerate(children) if child[id_name].lower() == wanted), len(children))
    child = _changed(children[index] if index < len(children) else None, levels[1:], change)
    children[index : index + 1] = [child]
    return {**held, name: children, "last_updated": later(held["last_updated"], child["last_updated"])}
