"""The rules of single values, wherever they stand: what a shape cannot say, or is only worth a warning.

Source: OCPI 2.2.1 types; protocol §2.6, §5.1, §5.6.
"""

import ipaddress
import re
from decimal import Decimal
from html.entities import html5

from ocpi.rules.book import Hits, Object, rule
from ocpi.rules.findings import ERROR, WARNING
from ocpi.schemas.locations import (
    EVSE,
    AdditionalGeoLocation,
    BusinessDetails,
    Connector,
    EnergyMix,
    EnergySource,
    EnvironmentalImpact,
    Image,
    Location,
)
from ocpi.schemas.tariffs import PriceComponent, Tariff, TariffRestrictions
from ocpi.schemas.types import DisplayText, GeoLocation, Price

_LONG_NUMBER = r'":-?[0-9]+(?:\.[0-9]{5}|\.?[0-9]*e)'
_MARKUP = r"(?:</?[a-zA-Z]|<!--|&#?[a-zA-Z0-9]+;)"
_NUMERIC_HOST = r'":"(?i:https?://(?:[^/"]*@)?(?:localhost|[0-9\[]))'


@rule(
    Location,
    BusinessDetails,
    DisplayText,
    EVSE,
    EnergyMix,
    id="S-filler",
    severity=WARNING,
    source='OCPI 2.2.1 transport_and_format, "No data available"; protocol §2.6',
    message=("{value} says that this is not available", "{value} zegt dat dit niet beschikbaar is"),
    hint=(
        "Allowed only where a required value truly cannot be known; leave an optional field out.",
        "Mag alleen waar een verplichte waarde echt niet te achterhalen is; laat een optioneel veld weg.",
    ),
    trigger='"#NA"',
)
def not_available(obj: Object) -> Hits:
    if "#NA" not in obj.values():
        return None
    return [f"/{name}" for name, value in obj.items() if value == "#NA"]


@rule(
    GeoLocation,
    AdditionalGeoLocation,
    id="S-coordinates",
    severity=ERROR,
    source="protocol §5.6: 0,0 is what an empty database field becomes",
    message=("latitude and longitude are both 0", "latitude en longitude zijn beide 0"),
    hint=(
        "Send the point itself, such as 52.090736, 5.121420.",
        "Geef het punt zelf op, zoals 52.090736, 5.121420.",
    ),
    trigger='"latitude":"-?0',
)
def at_zero(point: Object) -> Hits:
    latitude = point["latitude"]
    if latitude[0] not in "0-" or float(latitude) or float(point["longitude"]):
        return None
    return [""]


@rule(
    PriceComponent,
    Price,
    TariffRestrictions,
    EnergySource,
    EnvironmentalImpact,
    id="S-digits",
    severity=ERROR,
    source='OCPI 2.2.1 types, "number"; protocol §2.6',
    message=(
        "{value} has more than 15 significant digits; expected at most 4 decimals",
        "{value} heeft meer dan 15 significante cijfers; verwacht worden hoogstens 4 decimalen",
    ),
    hint=("Round it to 4 decimals.", "Rond af op 4 decimalen."),
    trigger=_LONG_NUMBER,
)
def too_many_digits(obj: Object) -> Hits:
    return [f"/{name}" for name in _long(obj) if _digits(obj[name]) > 15] or None


@rule(
    PriceComponent,
    Price,
    TariffRestrictions,
    EnergySource,
    EnvironmentalImpact,
    id="S-decimals",
    severity=WARNING,
    source='OCPI 2.2.1 types, "number"',
    message=(
        "{value} has more than 4 decimals; it is kept as it is",
        "{value} heeft meer dan 4 decimalen; het blijft zoals het is",
    ),
    trigger=_LONG_NUMBER,
)
def more_than_four_decimals(obj: Object) -> Hits:
    return [f"/{name}" for name in _long(obj) if _digits(obj[name]) <= 15] or None


def _long(obj: Object) -> list[str]:
    # What equals itself rounded has at most 11 + 4 digits, for the shape bounds the 11.
    return [name for name, value in obj.items() if type(value) is float and round(value, 4) != value]


def _digits(value: float) -> int:
    return len(Decimal(repr(value)).as_tuple().digits)


@rule(
    BusinessDetails,
    Connector,
    Image,
    Tariff,
    id="S-url",
    severity=ERROR,
    source="protocol §5.1: absolute; a driver must be able to open it",
    message=(
        "{value} is inside a private network; expected a URL that anyone can open",
        "{value} ligt in een privénetwerk; verwacht wordt een URL die iedereen kan openen",
    ),
    trigger=_NUMERIC_HOST,
)
def private_url(obj: Object) -> Hits:
    return [f"/{name}" for name in _URLS if name in obj and _is_private(obj[name])] or None


_URLS = ("website", "url", "thumbnail", "terms_and_conditions", "tariff_alt_url")
_OWN_HOST = re.compile(
    r"https?://(?:[^/?#]*@)?(?:localhost\.?(?=[:/?#]|$)|\[([^\]]*)\]|([0-9.]+)(?=[:/?#]|$))", re.IGNORECASE
).match


def _is_private(url: str) -> bool:
    match = _OWN_HOST(url)
    if match is None:
        return False
    try:
        return not ipaddress.ip_address(match[1] or match[2] or "127.0.0.1").is_global
    except ValueError:
        return True  # 127.1 and the like


@rule(
    Location,
    BusinessDetails,
    DisplayText,
    id="S-markup",
    severity=WARNING,
    source='OCPI 2.2.1 types, "DisplayText class"; protocol §5.6',
    message=(
        "{value} holds markup ({found}); expected plain text",
        "{value} bevat opmaak ({found}); verwacht: platte tekst",
    ),
    hint=("Leave {found} out, or write the character itself.", "Laat {found} weg, of schrijf het teken zelf."),
    trigger=rf'"(?:name|address|city|text)":"(?:[^"\\]|\\.)*{_MARKUP}',
)
def markup(obj: Object) -> Hits:
    found = {name: _markup_in(obj[name]) for name in ("name", "address", "city", "text") if name in obj}
    return {f"/{name}": {"found": what} for name, what in found.items() if what}


_TAG_OR_ENTITY = re.compile(r"</?[a-zA-Z][^<>]*>|<!--|&(?:#[0-9]+;|#[xX][0-9a-fA-F]+;|([a-zA-Z0-9]+;))").finditer


def _markup_in(text: str) -> str:
    found = (match[0] for match in _TAG_OR_ENTITY(text) if match[1] is None or match[1] in html5)
    return next(found, "")
