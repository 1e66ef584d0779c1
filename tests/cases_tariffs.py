"""A body for every rule of tariffs that breaks it, where, and one that just does not.

CASES is rule name -> (kind, bad body, path where the rule is found, good body).
"""

from typing import Any

from ocpi.schemas import Kind
from tests.documents import Body, tariff_body

Case = tuple[Kind, Body, str, Body]


def component(type: str = "ENERGY", price: float = 0.4, **fields: Any) -> Body:
    """Return a price component with VAT."""
    return {"type": type, "price": price, "vat": 21, "step_size": 1} | fields


def element(*components: Body, **restrictions: Any) -> Body:
    """Return an element, of ENERGY when no component is given."""
    return {"price_components": list(components) or [component()], "restrictions": restrictions}


def tariff(*elements: Body, **fields: Any) -> Body:
    """Return a Tariff of these elements."""
    return tariff_body(elements=list(elements), **fields)


def within(**restrictions: Any) -> Body:
    """Return a Tariff of a restricted element and a fallback."""
    return tariff(element(**restrictions), element())


def without_vat(price: float) -> Body:
    """Return a price component without VAT."""
    return {"type": "ENERGY", "price": price, "step_size": 1}


WEEK = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
NIGHT = {"start_time": "22:00", "end_time": "06:00"}
DATES = {"start_date": "2026-07-01", "end_date": "2026-09-01"}
FREE = component("FLAT", 0)
FIRST = "/elements/0/restrictions"
PRICE = "/elements/0/price_components/0/price"


def _text(text: str) -> Body:
    return tariff_body(tariff_alt_text=[{"language": "nl", "text": text}])


CASES: dict[str, Case] = {
    "no_step": (
        "tariff",
        tariff(element(component("TIME", 1, step_size=0))),
        "/elements/0/price_components/0/step_size",
        tariff(element(component("FLAT", 1, step_size=0))),
    ),
    "ends_before_it_starts": (
        "tariff",
        tariff_body(start_date_time="2026-06-30T22:00:00Z", end_date_time="2026-06-30T22:00:00Z"),
        "/end_date_time",
        tariff_body(start_date_time="2026-06-30T22:00:00Z", end_date_time="2026-06-30T22:00:00.001Z"),
    ),
    "bounds_leave_nothing": (
        "tariff",
        within(min_kwh=5, max_kwh=5.0),
        f"{FIRST}/max_kwh",
        within(min_kwh=5, max_kwh=5.1),
    ),
    "upper_bound_of_zero": ("tariff", within(max_duration=0), f"{FIRST}/max_duration", within(max_duration=1)),
    "reservation_of_energy_or_parking": (
        "tariff",
        tariff(element(component("PARKING_TIME"), reservation="RESERVATION"), element()),
        "/elements/0/price_components/0/type",
        tariff(element(component("TIME"), component("FLAT"), reservation="RESERVATION"), element()),
    ),
    "dead_component": (
        "tariff",
        tariff(element(max_kwh=10), element(max_kwh=10.0, day_of_week=["MONDAY"]), element()),
        "/elements/1/price_components/0",
        tariff(element(max_kwh=10), element(max_kwh=10.1, day_of_week=["MONDAY"]), element()),
    ),
    "energy_without_a_fallback": (
        "tariff",
        tariff(element(**NIGHT), element(start_time="06:00", end_time="21:59")),
        "/elements/1/price_components/0",
        tariff(element(**NIGHT), element(start_time="06:00", end_time="22:00")),
    ),
    "same_dimension_twice": (
        "tariff",
        tariff(element(component("TIME"), component("FLAT"), component("TIME", 1))),
        "/elements/0/price_components/2/type",
        tariff(element(component("TIME"), component("FLAT"), component("PARKING_TIME"))),
    ),
    "free_in_other_words": (
        "tariff",
        tariff(element(FREE, component(price=0))),
        "/elements",
        tariff(element(FREE, component(price=0.0001))),
    ),
    "dates_with_times": (
        "tariff",
        within(**DATES, **NIGHT),
        f"{FIRST}/start_time",
        within(start_date="2026-07-01", **NIGHT),
    ),
    "half_a_window": (
        "tariff",
        within(end_time="06:00"),
        f"{FIRST}/end_time",
        within(start_time="00:00", end_time="06:00"),
    ),
    "days_past_midnight": (
        "tariff",
        within(day_of_week=WEEK[:6], start_time="22:00", end_time="00:01"),
        f"{FIRST}/day_of_week",
        within(day_of_week=WEEK[:6], start_time="22:00", end_time="00:00"),
    ),
    "all_days": (
        "tariff",
        within(day_of_week=WEEK),
        f"{FIRST}/day_of_week",
        within(day_of_week=[*WEEK[:6], *WEEK[:6]]),
    ),
    "clock_stops_at_23_59": (
        "tariff",
        within(start_time="08:00", end_time="23:59"),
        f"{FIRST}/end_time",
        within(start_time="08:00", end_time="23:58"),
    ),
    "window_of_no_length": (
        "tariff",
        within(start_time="08:00", end_time="08:00"),
        f"{FIRST}/end_time",
        within(start_time="08:00", end_time="08:01"),
    ),
    "min_price_above_max_price": (
        "tariff",
        tariff_body(min_price={"excl_vat": 9, "incl_vat": 10.01}, max_price={"excl_vat": 9, "incl_vat": 10}),
        "/min_price/incl_vat",
        tariff_body(min_price={"excl_vat": 9, "incl_vat": 10}, max_price={"excl_vat": 9, "incl_vat": 10.0}),
    ),
    "less_with_vat": (
        "tariff",
        tariff_body(min_price={"excl_vat": 1.21, "incl_vat": 1}),
        "/min_price/incl_vat",
        tariff_body(min_price={"excl_vat": 1.21, "incl_vat": 1.21}),
    ),
    "max_price_of_zero": (
        "tariff",
        tariff_body(max_price={"excl_vat": 0}),
        "/max_price/excl_vat",
        tariff(element(FREE), max_price={"excl_vat": 0}),
    ),
    "no_vat": (
        "tariff",
        tariff(element(without_vat(0.4))),
        "/elements/0/price_components/0/vat",
        tariff(element(without_vat(0) | {"type": "FLAT"})),
    ),
    "vat_as_a_fraction": (
        "tariff",
        tariff(element(component(vat=0.21))),
        "/elements/0/price_components/0/vat",
        tariff(element(component(vat=1), component("FLAT", vat=0))),
    ),
    "vat_above_100": (
        "tariff",
        tariff(element(component(vat=100.1))),
        "/elements/0/price_components/0/vat",
        tariff(element(component(vat=100))),
    ),
    "dear_energy": ("tariff", tariff(element(component(price=5.01))), PRICE, tariff(element(component(price=5)))),
    "dear_time": (
        "tariff",
        tariff(element(component("PARKING_TIME", 120.5))),
        PRICE,
        tariff(element(component("PARKING_TIME", 120), component("TIME", 120))),
    ),
    "dear_start": (
        "tariff",
        tariff(element(component("FLAT", 50.01))),
        PRICE,
        tariff(element(component("FLAT", 50.01)), currency="SEK"),
    ),
    "power_in_watts": ("tariff", within(min_power=11000), f"{FIRST}/min_power", within(min_power=5000)),
    "price_in_words": (
        "tariff",
        _text("Nu voor € 0,40 / kWh"),
        "/tariff_alt_text/0/text",
        _text("Met 0,40 kWh korting en 2,5 % groene stroom per kWh"),
    ),
}
