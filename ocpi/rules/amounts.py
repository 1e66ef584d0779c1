"""The rules of what a Tariff costs: prices, VAT and bounds that are hardly meant.

Source: OCPI 2.2.1 mod_tariffs; protocol §5.5, §6.2 T-18, T-20, T-21.
"""

import re
from decimal import Decimal

from ocpi.rules.book import Hits, Object, Words, rule
from ocpi.rules.findings import WARNING
from ocpi.schemas.tariffs import PriceComponent, Tariff, TariffRestrictions
from ocpi.schemas.types import Price

_COMPONENT = 'OCPI 2.2.1 mod_tariffs, "PriceComponent class"'
_TARIFF = 'OCPI 2.2.1 mod_tariffs, "Tariff Object"'
_LIKE_EURO = frozenset({"EUR", "USD", "GBP", "CHF"})  # one of them buys about as much as another
_IN_CENTS = (
    "Is it in cents? Prices are in whole {currency}.",
    "Staat de prijs in centen? Prijzen zijn in hele {currency}.",
)


@rule(
    Tariff,
    id="T-18",
    severity=WARNING,
    source=f"{_TARIFF}; protocol §6.2 T-18",
    message=("min_price {value} is above max_price {most}", "min_price {value} is hoger dan max_price {most}"),
    trigger=r'"min_price":\{[^}]*\},"max_price"',
)
def min_price_above_max_price(tariff: Object) -> Hits:
    least, most = tariff.get("min_price", {}), tariff.get("max_price", {})
    names = [name for name in least if name in most and least[name] > most[name]]
    return {f"/min_price/{name}": {"most": most[name]} for name in names}


@rule(
    Price,
    id="T-18",
    severity=WARNING,
    source='OCPI 2.2.1 types, "Price class"',
    message=(
        "incl_vat {incl_vat} is less than excl_vat {excl_vat}",
        "incl_vat {incl_vat} is minder dan excl_vat {excl_vat}",
    ),
    hint=("Have they changed places?", "Zijn ze verwisseld?"),
    trigger='"incl_vat"',
)
def less_with_vat(price: Object) -> Hits:
    return ["/incl_vat"] if price.get("incl_vat", price["excl_vat"]) < price["excl_vat"] else None


@rule(
    Tariff,
    id="T-18",
    severity=WARNING,
    source=f"{_TARIFF}; protocol §6.2 T-18",
    message=(
        "max_price 0 makes every session free, though there are prices",
        "max_price 0 maakt elke sessie gratis, terwijl er prijzen zijn",
    ),
    hint=("Leave max_price out when there is no maximum.", "Laat max_price weg als er geen maximum is."),
    trigger=r'"max_price":\{"excl_vat":-?0',
)
def max_price_of_zero(tariff: Object) -> Hits:
    if tariff.get("max_price", {}).get("excl_vat") != 0:
        return None
    has_price = any(part["price"] for element in tariff["elements"] for part in element["price_components"])
    return ["/max_price/excl_vat"] if has_price else None


@rule(
    PriceComponent,
    id="T-20",
    severity=WARNING,
    source=f"{_COMPONENT}; protocol §6.2 T-20",
    message=(
        "vat is missing, which says that no VAT applies to this price",
        "vat ontbreekt; dat betekent dat over deze prijs geen btw wordt geheven",
    ),
    hint=(
        "If VAT does apply, give its percentage, such as 21, and the price without it.",
        "Wordt er wel btw geheven, geef dan het percentage op, zoals 21, en de prijs exclusief btw.",
    ),
    trigger='"price":[^,]+,"step_size"',
)
def no_vat(component: Object) -> Hits:
    return ["/vat"] if component["price"] and "vat" not in component else None


@rule(
    PriceComponent,
    id="T-21",
    severity=WARNING,
    source=f"{_COMPONENT}; protocol §6.2 T-21",
    message=("vat {vat} is less than 1 %", "vat {vat} is minder dan 1 %"),
    hint=(
        "vat is a percentage, not a fraction: is {meant} meant?",
        "vat is een percentage, geen fractie: is {meant} bedoeld?",
    ),
    trigger='"vat":(?:0[.]|[0-9.]+e)',
)
def vat_as_a_fraction(component: Object) -> Hits:
    vat = component.get("vat", 0)
    if not 0 < vat < 1:
        return None
    meant = Words(f"{(Decimal(repr(vat)) * 100).normalize():f}")
    return {"/vat": {"meant": meant} if vat <= _HIGHEST_VAT else {}}


_HIGHEST_VAT = 0.3  # as a fraction; Hungary's 27 % is the highest in Europe


@rule(
    PriceComponent,
    id="T-21",
    severity=WARNING,
    source=f"{_COMPONENT}; protocol §6.2 T-21",
    message=("vat {vat} is more than 100 %", "vat {vat} is meer dan 100 %"),
    hint=("vat is a percentage, such as 21.", "vat is een percentage, zoals 21."),
    trigger='"vat":[0-9]{3}',
)
def vat_above_100(component: Object) -> Hits:
    return ["/vat"] if component.get("vat", 0) > 100 else None


@rule(
    Tariff,
    id="T-21",
    severity=WARNING,
    source="protocol §6.2 T-21",
    message=("{value} {currency} per kWh is very high", "{value} {currency} per kWh is erg hoog"),
    hint=_IN_CENTS,
    trigger='"ENERGY","price":(?:[5-9]|[0-9]{2})',
)
def dear_energy(tariff: Object) -> Hits:
    return _above(tariff, 5, "ENERGY")


@rule(
    Tariff,
    id="T-21",
    severity=WARNING,
    source="protocol §6.2 T-21",
    message=("{value} {currency} per hour is very high", "{value} {currency} per uur is erg hoog"),
    hint=_IN_CENTS,
    trigger='"(?:PARKING_)?TIME","price":[0-9]{3}',
)
def dear_time(tariff: Object) -> Hits:
    return _above(tariff, 120, "TIME", "PARKING_TIME")


@rule(
    Tariff,
    id="T-21",
    severity=WARNING,
    source="protocol §6.2 T-21",
    message=("{value} {currency} per session is very high", "{value} {currency} per sessie is erg hoog"),
    hint=_IN_CENTS,
    trigger='"FLAT","price":[0-9]{2}',
)
def dear_start(tariff: Object) -> Hits:
    return _above(tariff, 50, "FLAT")


def _above(tariff: Object, limit: int, *types: str) -> Hits:
    if tariff["currency"] not in _LIKE_EURO:
        return None
    return {
        f"/elements/{index}/price_components/{number}/price": {"currency": Words(tariff["currency"])}
        for index, element in enumerate(tariff["elements"])
        for number, part in enumerate(element["price_components"])
        if part["price"] > limit and part["type"] in types
    }


@rule(
    TariffRestrictions,
    id="S-kilowatts",
    severity=WARNING,
    source='OCPI 2.2.1 mod_tariffs, "TariffRestrictions class"; protocol §5.5',
    message=("{value} kW is more than any charge point has", "{value} kW is meer dan enige laadpaal heeft"),
    hint=(
        "min_power and max_power are in kW; only a connector's power is in W.",
        "min_power en max_power zijn in kW; alleen het vermogen van een connector is in W.",
    ),
    trigger='"m(?:in|ax)_power":[0-9]{4}',
)
def power_in_watts(restrictions: Object) -> Hits:
    return [f"/{name}" for name in ("min_power", "max_power") if restrictions.get(name, 0) > _MAX_POWER_KW]


_MAX_POWER_KW = 5_000  # the Megawatt Charging System ends at 3,750 kW


@rule(
    Tariff,
    id="S-alt_text",
    severity=WARNING,
    source=f"{_TARIFF}; protocol §5.5",
    message=(
        "tariff_alt_text gives a price per kWh; the place for prices is elements",
        "tariff_alt_text noemt een prijs per kWh; prijzen horen in elements",
    ),
    hint=(
        "Leave it out of the text: OCPI forbids repeating there what elements says.",
        "Laat hem uit de tekst weg: die mag van OCPI niet herhalen wat in elements staat.",
    ),
    trigger=r'"tariff_alt_text":\[\{',
)
def price_in_words(tariff: Object) -> Hits:
    if not any(part["type"] == "ENERGY" for element in tariff["elements"] for part in element["price_components"]):
        return None
    texts = enumerate(tariff.get("tariff_alt_text", ()))
    return [f"/tariff_alt_text/{index}/text" for index, text in texts if _PRICE_PER_KWH(text["text"])]


_PRICE_PER_KWH = re.compile(r"[0-9][.,][0-9]+ ?(?:€|EUR|euro)? ?(?:/|p/|per) ?kWh", re.IGNORECASE).search
