"""The rules of Tariffs: their elements, and the restrictions of these. What they cost is in ocpi.rules.amounts.

Source: OCPI 2.2.1 mod_tariffs; protocol §5.5, §6.2.
"""

from ocpi.rules import elements
from ocpi.rules.book import Hits, Object, Words, rule
from ocpi.rules.findings import ERROR, WARNING
from ocpi.schemas.tariffs import PriceComponent, Tariff, TariffElement, TariffRestrictions

_RESTRICTIONS = 'OCPI 2.2.1 mod_tariffs, "TariffRestrictions class"'


@rule(
    PriceComponent,
    id="T-07",
    severity=ERROR,
    source='OCPI 2.2.1 mod_tariffs, "PriceComponent class"',
    message=("step_size is 0, which only FLAT may have", "step_size is 0; dat mag alleen bij FLAT"),
    hint=("Use 1.", "Gebruik 1."),
    trigger='"step_size":0',
)
def no_step(component: Object) -> Hits:
    return ["/step_size"] if component["step_size"] < 1 and component["type"] != "FLAT" else None


@rule(
    Tariff,
    id="T-08",
    severity=ERROR,
    source='OCPI 2.2.1 mod_tariffs, "Tariff Object"',
    message=(
        "end_date_time {end_date_time} is not after start_date_time {start_date_time}",
        "end_date_time {end_date_time} ligt niet na start_date_time {start_date_time}",
    ),
    trigger='"end_date_time"',
)
def ends_before_it_starts(tariff: Object) -> Hits:
    start, end = tariff.get("start_date_time"), tariff.get("end_date_time")
    return ["/end_date_time"] if start and end and end[:-1] <= start[:-1] else None


@rule(
    TariffRestrictions,
    id="T-14",
    severity=ERROR,
    source="protocol §6.2 T-14",
    message=(
        "{value} leaves nothing: it must be more than the lower bound beside it",
        "{value} laat niets over: het moet meer zijn dan de ondergrens ernaast",
    ),
    trigger='"(?:max_(?:kwh|current|power|duration)|end_date)"',
)
def bounds_leave_nothing(restrictions: Object) -> Hits:
    return [
        f"/{high}"
        for low, high in _BOUNDS
        if low in restrictions and high in restrictions and restrictions[high] <= restrictions[low]
    ] or None


_BOUNDS = [(f"min_{name}", f"max_{name}") for name in ("kwh", "current", "power", "duration")]
_BOUNDS.append(("start_date", "end_date"))


@rule(
    TariffRestrictions,
    id="T-14",
    severity=WARNING,
    source=_RESTRICTIONS,
    message=(
        "{value} as an upper bound leaves nothing: this element never applies",
        "{value} als bovengrens laat niets over: dit element geldt nooit",
    ),
    hint=("Leave the bound out when there is none.", "Laat de grens weg als er geen is."),
    trigger='"max_(?:kwh|duration|power|current)":-?0',
)
def upper_bound_of_zero(restrictions: Object) -> Hits:
    # Where a lower bound stands beside it, bounds_leave_nothing refuses it.
    return [
        f"/max_{name}"
        for name in ("kwh", "duration", "power", "current")
        if restrictions.get(f"max_{name}") == 0 and f"min_{name}" not in restrictions
    ]


@rule(
    TariffElement,
    id="T-16",
    severity=ERROR,
    source='OCPI 2.2.1 mod_tariffs, "ReservationRestrictionType enum"',
    message=(
        "{value} cannot be priced for a reservation, only FLAT and TIME can",
        "{value} kan geen prijs voor een reservering hebben, alleen FLAT en TIME",
    ),
    trigger='"reservation"',
)
def reservation_of_energy_or_parking(element: Object) -> Hits:
    if "reservation" not in element.get("restrictions", ()):
        return None
    components = enumerate(element["price_components"])
    return [f"/price_components/{index}/type" for index, part in components if part["type"] not in ("FLAT", "TIME")]


@rule(
    Tariff,
    id="T-03",
    severity=WARNING,
    source='OCPI 2.2.1 mod_tariffs, "Tariff Object"; protocol §6.2 T-02, T-03',
    message=(
        "{type} never applies here: {first} comes first and holds whenever this element does",
        "{type} geldt hier nooit: {first} komt eerder en geldt altijd wanneer dit element geldt",
    ),
    hint=(
        "For each dimension the first element that fits wins: put the most restricted one first, the unrestricted one last.",
        "Per dimensie wint het eerste element dat past: zet het meest beperkte vooraan en het onbeperkte achteraan.",
    ),
    trigger='"price_components".*"price_components"',
)
def dead_component(tariff: Object) -> Hits:
    return {
        price.path: {"type": Words(price.component["type"]), "first": Words(f"/elements/{price.behind}")}
        for price in elements.priced(tariff)
        if price.behind is not None
    }


@rule(
    Tariff,
    id="T-03",
    severity=WARNING,
    source='OCPI 2.2.1 mod_tariffs, "Tariff Object"; protocol §6.2 T-03',
    message=(
        "ENERGY costs nothing at the moments when no element with ENERGY applies",
        "ENERGY kost niets op de momenten waarop geen element met ENERGY geldt",
    ),
    hint=(
        "If that is not meant, end with an element without restrictions.",
        "Is dat niet de bedoeling, sluit dan af met een element zonder restrictions.",
    ),
    trigger='"(?:start_time|end_time|m(?:in|ax)_(?:kwh|current|power|duration)|day_of_week)"',
)
def energy_without_a_fallback(tariff: Object) -> Hits:
    if len(tariff["elements"]) > _MANY:
        return None
    prices = [price for price in elements.priced(tariff) if price.component["type"] == "ENERGY"]
    if not any(price.component["price"] for price in prices) or any(_is_of_unclear_days(one.when) for one in prices):
        return None
    whens = [{name: _END_OF_DAY.get(str(value), value) for name, value in price.when.items()} for price in prices]
    return [prices[-1].path] if elements.are_complete(whens) is False else None


_MANY = 50  # to look at all moments of more would take too long
_END_OF_DAY = {"23:59": elements.MIDNIGHT}  # clock_stops_at_23_59 tells of that minute


@rule(
    TariffElement,
    id="T-04",
    severity=WARNING,
    source="protocol §6.2 T-04",
    message=(
        "{value} stands in this element already: it is unclear which of the two is charged",
        "{value} staat al in dit element: het is onduidelijk welke van de twee geldt",
    ),
    hint=("Keep one of them.", "Behoud er één."),
    trigger=r'"step_size":[0-9]+\},\{"type"',
)
def same_dimension_twice(element: Object) -> Hits:
    types = [component["type"] for component in element["price_components"]]
    if len(set(types)) == len(types):
        return None
    return [f"/price_components/{index}/type" for index, type in enumerate(types) if type in types[:index]]


@rule(
    Tariff,
    id="T-05",
    severity=WARNING,
    source='OCPI 2.2.1 mod_tariffs, "Tariff Object"; protocol §6.2 T-05',
    message=(
        "Everything costs 0, but not in the way in which OCPI says that charging is free",
        "Alles kost 0, maar niet op de manier waarop OCPI zegt dat laden gratis is",
    ),
    hint=(
        "Use one element without restrictions, with one FLAT component of price 0.",
        "Gebruik één element zonder restrictions, met één FLAT-component met prijs 0.",
    ),
    trigger=r'"price":-?0(?:\.0)?,',
)
def free_in_other_words(tariff: Object) -> Hits:
    parts = [part for element in tariff["elements"] for part in element["price_components"]]
    if any(part["price"] for part in parts) or any(tariff.get("min_price", {}).values()):
        return None
    is_plain = len(parts) == 1 and parts[0]["type"] == "FLAT" and not _restricts(tariff["elements"][0])
    return None if is_plain else ["/elements"]


def _restricts(element: Object) -> bool:
    return bool(elements.conditions(element)) or "reservation" in element.get("restrictions", ())


@rule(
    TariffRestrictions,
    id="T-11",
    severity=WARNING,
    source=f"{_RESTRICTIONS}; protocol §6.2 T-11",
    message=(
        "Dates and times stand together: they are read as this window of time on each of these days",
        "Datums en tijden staan bij elkaar: ze worden gelezen als dit tijdvak op elk van deze dagen",
    ),
    hint=(
        "For one period that begins and ends at a time, use start_date_time and end_date_time of the Tariff.",
        "Gebruik voor één periode die op een tijdstip begint en eindigt start_date_time en end_date_time van de Tariff.",
    ),
    trigger='"(?:start|end)_time":"[^"]*",(?:"end_time":"[^"]*",)?"(?:start|end)_date"',
)
def dates_with_times(restrictions: Object) -> Hits:
    # One period can only be meant where each time has a date to belong to.
    times = [name for name in ("start_time", "end_time") if name in restrictions]
    is_unclear = times and all(name.replace("time", "date") in restrictions for name in times)
    return [f"/{times[0]}"] if is_unclear else None


@rule(
    TariffRestrictions,
    id="T-11",
    severity=WARNING,
    source=f"{_RESTRICTIONS}; protocol §6.2 T-11",
    message=(
        "Only one of start_time and end_time is given: a missing start_time is read as 00:00, a missing end_time as the"
        " end of the day",
        "Alleen start_time of alleen end_time is gegeven: een ontbrekende start_time wordt gelezen als 00:00, een"
        " ontbrekende end_time als het einde van de dag",
    ),
    hint=("Give both; the end of the day is 00:00.", "Geef beide op; het einde van de dag is 00:00."),
    trigger='"(?:start|end)_time"',
)
def half_a_window(restrictions: Object) -> Hits:
    times = [name for name in ("start_time", "end_time") if name in restrictions]
    return [f"/{times[0]}"] if len(times) == 1 else None


@rule(
    TariffRestrictions,
    id="T-12",
    severity=WARNING,
    source="protocol §6.2 T-12",
    message=(
        "day_of_week with a window that passes midnight: OCPI does not say whose day the hours after midnight are",
        "day_of_week met een tijdvak over middernacht heen: OCPI zegt niet bij welke dag de uren na middernacht horen",
    ),
    hint=(
        "Use two elements, one until 00:00 and one from 00:00, each with its own days.",
        "Gebruik twee elementen, één tot 00:00 en één vanaf 00:00, elk met eigen dagen.",
    ),
    trigger='"day_of_week"',
)
def days_past_midnight(restrictions: Object) -> Hits:
    return ["/day_of_week"] if _is_of_unclear_days(restrictions) else None


def _is_of_unclear_days(restrictions: Object) -> bool:
    days, end = set(restrictions.get("day_of_week", ())), restrictions.get("end_time", elements.MIDNIGHT)
    return 0 < len(days) < 7 and elements.MIDNIGHT != end < restrictions.get("start_time", elements.MIDNIGHT)


@rule(
    TariffRestrictions,
    id="S-all_days",
    severity=WARNING,
    source=_RESTRICTIONS,
    message=(
        "day_of_week lists all seven days, which is the same as leaving it out",
        "day_of_week noemt alle zeven dagen; dat is hetzelfde als weglaten",
    ),
    hint=("Leave day_of_week out.", "Laat day_of_week weg."),
    trigger=r'"day_of_week":\[(?:"[A-Z]+",?){7}',
)
def all_days(restrictions: Object) -> Hits:
    return ["/day_of_week"] if len(set(restrictions.get("day_of_week", ()))) == 7 else None


@rule(
    TariffRestrictions,
    id="S-end_of_day",
    severity=WARNING,
    source=_RESTRICTIONS,
    message=(
        "end_time 23:59 does not cover the last minute of the day",
        "end_time 23:59 dekt de laatste minuut van de dag niet",
    ),
    hint=(
        "The end of the day is 00:00; for the whole day leave start_time and end_time out.",
        "Het einde van de dag is 00:00; laat voor de hele dag start_time en end_time weg.",
    ),
    trigger='"end_time":"23:59"',
)
def clock_stops_at_23_59(restrictions: Object) -> Hits:
    return ["/end_time"] if restrictions.get("end_time") == "23:59" else None


@rule(
    TariffRestrictions,
    id="S-end_of_day",
    severity=WARNING,
    source=_RESTRICTIONS,
    message=(
        "end_time equals start_time: the window can be read as empty and as the whole day",
        "end_time is gelijk aan start_time: het tijdvak kan als leeg en als de hele dag worden gelezen",
    ),
    hint=(
        "For the whole day leave both out.",
        "Laat voor de hele dag beide weg.",
    ),
    trigger='"start_time"',
)
def window_of_no_length(restrictions: Object) -> Hits:
    start = restrictions.get("start_time")
    return ["/end_time"] if start is not None and start == restrictions.get("end_time") else None
