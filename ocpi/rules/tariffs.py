"""The rules of Tariffs.

Source: OCPI 2.2.1 mod_tariffs; protocol §5.5, §6.2.
"""

from ocpi.rules.book import Hits, Object, rule
from ocpi.rules.findings import ERROR
from ocpi.schemas.tariffs import PriceComponent, Tariff, TariffElement, TariffRestrictions


@rule(
    PriceComponent,
    id="T-07",
    severity=ERROR,
    source='OCPI 2.2.1 mod_tariffs, "PriceComponent class"',
    message="step_size is 0, which only FLAT may have",
    hint="Use 1.",
    trigger='"step_size":0',
)
def no_step(component: Object) -> Hits:
    return ["/step_size"] if component["step_size"] < 1 and component["type"] != "FLAT" else None


@rule(
    Tariff,
    id="T-08",
    severity=ERROR,
    source='OCPI 2.2.1 mod_tariffs, "Tariff Object"',
    message="end_date_time {end_date_time} is not after start_date_time {start_date_time}",
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
    message="{value} leaves nothing: it must be more than the lower bound beside it",
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
    TariffElement,
    id="T-16",
    severity=ERROR,
    source='OCPI 2.2.1 mod_tariffs, "ReservationRestrictionType enum"',
    message="{value} cannot be priced for a reservation, only FLAT and TIME can",
    trigger='"reservation"',
)
def reservation_of_energy_or_parking(element: Object) -> Hits:
    if "reservation" not in element.get("restrictions", ()):
        return None
    components = enumerate(element["price_components"])
    return [f"/price_components/{index}/type" for index, part in components if part["type"] not in ("FLAT", "TIME")]
