# ruff: noqa: RUF001  (the lines under test have en dashes)
"""The price line: what a driver pays, in one line and two languages."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpi.rules import check
from ocpi.rules.prices import MAX_LENGTH, price_line
from tests.documents import Body, tariff_body


def component(type: str, price: float, vat: float | None = 21) -> Body:
    """Return a price component; `vat` None leaves it out."""
    return {"type": type, "price": price, "step_size": 1} | ({} if vat is None else {"vat": vat})


def element(*components: Body, **restrictions: Any) -> Body:
    """Return an element."""
    return {"price_components": list(components)} | ({"restrictions": restrictions} if restrictions else {})


def tariff(*elements: Body, **fields: Any) -> Body:
    """Return a Tariff of these elements."""
    return tariff_body(elements=list(elements), **fields)


def free_but_energy(price: float) -> list[Body]:
    """Return components as some CPOs write them: what is free is there too, and nothing has VAT."""
    return [component("FLAT", 0, None), component("TIME", 0, None), component("ENERGY", price, None)]


ALL_WEEK = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
ENERGY = component("ENERGY", 0.4132)  # 0.50 with VAT
HOURLY = component("TIME", 2.479), component("PARKING_TIME", 2.479)
FROM_MAY = {"start_date": "2026-05-01"}

LINES: dict[str, tuple[Body, str, str]] = {
    "V2": (
        tariff_body(),
        "Night 22:00–06:00 € 0.40/kWh, otherwise € 0.50/kWh + € 0.35 start, incl. 21 % VAT",
        "Nacht 22:00–06:00 € 0,40/kWh, anders € 0,50/kWh + € 0,35 start, incl. 21 % btw",
    ),
    "V9": (tariff(element({"type": "FLAT", "price": 0.00, "step_size": 0})), "Free", "Gratis"),
    "as published: free parts, no VAT": (
        tariff(element(*free_but_energy(0.802))),
        "€ 0.802/kWh, no VAT",
        "€ 0,802/kWh, geen btw",
    ),
    "as published: a fallback that only differs in time": (
        tariff(
            element(component("TIME", 0.3, None), component("ENERGY", 0.4, None), start_time="08:00", end_time="22:00"),
            element(*free_but_energy(0.4)),
        ),
        "€ 0.40/kWh + only 08:00–22:00 € 0.30/h charging, no VAT",
        "€ 0,40/kWh + alleen 08:00–22:00 € 0,30/uur laden, geen btw",
    ),
    "as published: parking is free for an hour": (
        tariff(
            element(*free_but_energy(0.63)),
            element(component("PARKING_TIME", 0, None), max_duration=3600),
            element(component("PARKING_TIME", 12, None), min_duration=3600),
        ),
        "€ 0.63/kWh + only after 1 h € 12.00/h parking, no VAT",
        "€ 0,63/kWh + alleen na 1 uur € 12,00/uur parkeren, geen btw",
    ),
    "as published: the same for charging and parking": (
        tariff(
            element(*HOURLY, start_time="07:00", end_time="23:00", min_duration=18000, **FROM_MAY),
            element(component("ENERGY", 0.511), **FROM_MAY),
        ),
        "From 1 May 2026 € 0.6183/kWh + only from 1 May 2026, 07:00–23:00 after 5 h € 3.00/h charging or parking,"
        " incl. 21 % VAT",
        "Vanaf 1 mei 2026 € 0,6183/kWh + alleen vanaf 1 mei 2026, 07:00–23:00 na 5 uur € 3,00/uur laden of parkeren,"
        " incl. 21 % btw",
    ),
    "as published: the whole day, nearly": (
        tariff(
            element(
                ENERGY, start_time="00:00", end_time="23:59", min_duration=0, max_duration=86400, day_of_week=ALL_WEEK
            )
        ),
        "Only the first 24 h € 0.50/kWh, incl. 21 % VAT",
        "Alleen de eerste 24 uur € 0,50/kWh, incl. 21 % btw",
    ),
    "weekdays; two dimensions of several clauses": (
        tariff(
            element(component("ENERGY", 0.5, 0), day_of_week=ALL_WEEK[:5]),
            element(component("ENERGY", 0.4, 0), day_of_week=ALL_WEEK[5:]),
            element(component("PARKING_TIME", 6, 0), start_time="09:00", end_time="18:00"),
            element(component("PARKING_TIME", 1.5, 0)),
        ),
        "Mon–Fri € 0.50/kWh, Sat–Sun € 0.40/kWh; 09:00–18:00 € 6.00/h parking, otherwise € 1.50/h parking, incl. 0 % VAT",
        "Ma–vr € 0,50/kWh, za–zo € 0,40/kWh; 09:00–18:00 € 6,00/uur parkeren, anders € 1,50/uur parkeren, incl. 0 % btw",
    ),
    "several clauses without a fallback": (
        tariff(
            element(ENERGY, day_of_week=["WEDNESDAY", "MONDAY"], end_time="06:00"),
            element(component("ENERGY", 0.3306), start_time="20:00", end_time="00:00"),
        ),
        "Mon/Wed until 06:00 € 0.50/kWh, 20:00–00:00 € 0.40/kWh, otherwise free, incl. 21 % VAT",
        "Ma/wo tot 06:00 € 0,50/kWh, 20:00–00:00 € 0,40/kWh, anders gratis, incl. 21 % btw",
    ),
    "kWh that leave nothing out": (
        tariff(
            element(component("ENERGY", 0.2, None), max_kwh=10),
            element(ENERGY, min_kwh=10, max_kwh=20.5),
            element(component("ENERGY", 0.5, 5.5), min_kwh=20.5),
        ),
        "The first 10 kWh € 0.20/kWh (no VAT), 10–20.5 kWh € 0.50/kWh (incl. 21 % VAT),"
        " after 20.5 kWh € 0.5275/kWh (incl. 5.5 % VAT)",
        "De eerste 10 kWh € 0,20/kWh (geen btw), 10–20,5 kWh € 0,50/kWh (incl. 21 % btw),"
        " na 20,5 kWh € 0,5275/kWh (incl. 5,5 % btw)",
    ),
    "durations and a free beginning": (
        tariff(
            element(component("TIME", 0), max_duration=3600),
            element(component("TIME", 1), min_duration=3600, max_duration=5400),
            element(component("TIME", 2)),
            element(component("PARKING_TIME", 1), max_duration=90),
        ),
        "The first hour € 0.00/h charging, 1 h–1 h 30 min € 1.21/h charging, otherwise € 2.42/h charging"
        " + only the first 1 min 30 s € 1.21/h parking, incl. 21 % VAT",
        "Het eerste uur € 0,00/uur laden, 1 uur–1 uur 30 min € 1,21/uur laden, anders € 2,42/uur laden"
        " + alleen de eerste 1 min 30 s € 1,21/uur parkeren, incl. 21 % btw",
    ),
    "current and power": (
        tariff(
            element(component("ENERGY", 0.7), min_power=50, max_power=150),
            element(component("ENERGY", 0.6), min_power=150.0),
            element(component("ENERGY", 0.3), max_current=16),
            element(ENERGY),
            currency="CHF",
        ),
        "50–150 kW CHF 0.847/kWh, from 150 kW CHF 0.726/kWh, below 16 A CHF 0.363/kWh, otherwise CHF 0.50/kWh,"
        " incl. 21 % VAT",
        "50–150 kW CHF 0,847/kWh, vanaf 150 kW CHF 0,726/kWh, onder 16 A CHF 0,363/kWh, anders CHF 0,50/kWh,"
        " incl. 21 % btw",
    ),
    "dates": (
        tariff(
            element(component("ENERGY", 0.1), start_date="2026-12-25", end_date="2026-12-26"),
            element(component("ENERGY", 0.2), start_date="2026-07-01", end_date="2026-09-01"),
            element(component("ENERGY", 0.3), start_date="2025-12-01", end_date="2026-01-01"),
            element(component("ENERGY", 0.4), start_date="2024-12-01", end_date="2025-02-01"),
            element(ENERGY, end_date="2027-01-01"),
        ),
        "On 25 Dec 2026 € 0.121/kWh, 1 Jul–31 Aug 2026 € 0.242/kWh, 1 Dec–31 Dec 2025 € 0.363/kWh,"
        " 1 Dec 2024–31 Jan 2025 € 0.484/kWh, before 1 Jan 2027 € 0.50/kWh, incl. 21 % VAT",
        "Op 25 dec 2026 € 0,121/kWh, 1 jul–31 aug 2026 € 0,242/kWh, 1 dec–31 dec 2025 € 0,363/kWh,"
        " 1 dec 2024–31 jan 2025 € 0,484/kWh, vóór 1 jan 2027 € 0,50/kWh, incl. 21 % btw",
    ),
    "reservations": (
        tariff(
            element(component("TIME", 5), component("FLAT", 1), reservation="RESERVATION"),
            element(component("FLAT", 4), reservation="RESERVATION_EXPIRES"),
            element(ENERGY),
        ),
        "€ 0.50/kWh + reservation € 1.21 + reservation € 6.05/h + expired reservation € 4.84, incl. 21 % VAT",
        "€ 0,50/kWh + reservering € 1,21 + reservering € 6,05/uur + verlopen reservering € 4,84, incl. 21 % btw",
    ),
    "only a reservation costs": (
        tariff(element(component("FLAT", 1, None), reservation="RESERVATION"), currency="GBP"),
        "Free + reservation £ 1.00, no VAT",
        "Gratis + reservering £ 1,00, geen btw",
    ),
    "bounds": (
        tariff(element(ENERGY), min_price={"excl_vat": 1, "incl_vat": 1.21}, max_price={"excl_vat": 50}),
        "€ 0.50/kWh, at least € 1.21, at most € 50.00 excl. VAT, incl. 21 % VAT",
        "€ 0,50/kWh, minimaal € 1,21, maximaal € 50,00 excl. btw, incl. 21 % btw",
    ),
    "bounds without VAT": (
        tariff(
            element(component("ENERGY", 0.4, None)), min_price={"excl_vat": 1}, max_price={"excl_vat": 9, "incl_vat": 9}
        ),
        "€ 0.40/kWh, at least € 1.00, at most € 9.00 incl. VAT, no VAT",
        "€ 0,40/kWh, minimaal € 1,00, maximaal € 9,00 incl. btw, geen btw",
    ),
    "a minimum is all": (
        tariff(element(component("FLAT", 0)), min_price={"excl_vat": 1, "incl_vat": 1.21}),
        "At least € 1.21 incl. VAT",
        "Minimaal € 1,21 incl. btw",
    ),
    "a maximum of 0": (tariff(element(ENERGY), max_price={"excl_vat": 0, "incl_vat": 5}), "Free", "Gratis"),
    "dead components and one type twice": (
        tariff(
            element(ENERGY, component("ENERGY", 9), start_time="00:00", end_time="00:00"),
            element(component("ENERGY", 8), start_time="08:00", end_time="10:00"),
            element(component("ENERGY", 7)),
        ),
        "€ 0.50/kWh, incl. 21 % VAT",
        "€ 0,50/kWh, incl. 21 % btw",
    ),
    "too many": (
        tariff(
            *(
                element(component("ENERGY", 1 + n, 0), start_time=f"{n:02}:00", end_time=f"{n + 1:02}:00")
                for n in range(12)
            ),
            element(component("FLAT", 1, 0)),
        ),
        ", ".join(f"{n:02}:00–{n + 1:02}:00 € {n + 1}.00/kWh" for n in range(10)) + ", … and 3 more, incl. 0 % VAT",
        ", ".join(f"{n:02}:00–{n + 1:02}:00 € {n + 1},00/kWh" for n in range(10)) + ", … en nog 3, incl. 0 % btw",
    ),
}


@pytest.mark.parametrize(("body", "english", "dutch"), LINES.values(), ids=LINES)
def test_price_line_says_what_a_driver_pays(body, english, dutch):
    document = check("tariff", body).document

    assert (price_line(document, "en"), price_line(document, "nl")) == (english, dutch)


@pytest.mark.parametrize(
    ("price", "vat", "shown"),
    [
        (0.3306, 21, "0.40"),  # 0.400026
        (1.0005, 0, "1.00"),
        (1.00051, 0, "1.0005"),
        (0.995, 0, "0.995"),
        (2.479, 21, "3.00"),  # 2.99959
        (0.12345, 0, "0.1235"),
        (99999999999.9999, 0, "100000000000.00"),
        (7, 0, "7.00"),
    ],
)
def test_price_line_rounds_to_cents_unless_that_hides_something(price, vat, shown):
    document = check("tariff", tariff(element(component("ENERGY", price, vat)))).document

    assert price_line(document, "en") == f"€ {shown}/kWh, incl. {vat} % VAT"


def test_price_line_of_a_tariff_full_of_digits_ends_in_its_vat():
    digits = {f"{side}_{name}": number + 0.1234 for name in ("kwh", "current", "power") for side, number in LIMITS}
    body = tariff(*(element(component("ENERGY", 1 + n, 0), min_duration=n + 1, **digits) for n in reversed(range(9))))

    line = price_line(check("tariff", body).document, "en")

    assert line.startswith("After 9 s 10000000000.1234–99999999999.1234 kWh 10000000000.1234–99999999999.1234 kW ")
    assert line.endswith(" € 7.00/kWh, … and 6 more, incl. 0 % VAT")


LIMITS = (("min", 10_000_000_000), ("max", 99_999_999_999))
amounts = st.one_of(st.sampled_from([0, 0.0, -0.0, 1e-5, 0.4132, 1e11]), st.floats(0, 60).map(lambda x: round(x, 4)))
times = st.sampled_from(["00:00", "06:00", "08:00", "22:00", "23:59"])
restrictions = st.fixed_dictionaries(
    {},
    optional={
        "start_time": times,
        "end_time": times,
        "start_date": st.sampled_from(["1000-01-01", "2026-02-28"]),
        "end_date": st.sampled_from(["2026-03-01", "2999-12-31"]),
        "day_of_week": st.lists(st.sampled_from(ALL_WEEK), max_size=8),
        "reservation": st.sampled_from(["RESERVATION", "RESERVATION_EXPIRES"]),
        **{f"min_{name}": amounts for name in ("kwh", "current", "power")},
        **{f"max_{name}": amounts for name in ("kwh", "current", "power")},
        "min_duration": st.sampled_from([0, 59, 3600]),
        "max_duration": st.sampled_from([0, 3601, 999999999999999]),
    },
)
components = st.fixed_dictionaries(
    {"type": st.sampled_from(["ENERGY", "FLAT", "TIME", "PARKING_TIME"]), "price": amounts, "step_size": st.just(1)},
    optional={"vat": amounts},
)
bounds = st.fixed_dictionaries({"excl_vat": amounts}, optional={"incl_vat": amounts})
bodies = st.fixed_dictionaries(
    {
        "elements": st.lists(
            st.fixed_dictionaries(
                {"price_components": st.lists(components, min_size=1, max_size=4)},
                optional={"restrictions": restrictions},
            ),
            min_size=1,
            max_size=6,
        ),
        "currency": st.sampled_from(["EUR", "GBP", "JPY"]),
    },
    optional={"min_price": bounds, "max_price": bounds},
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(bodies)
def test_price_line_is_one_line_for_any_tariff(fields):
    document = check("tariff", tariff_body(**fields)).document

    for language in ("en", "nl") if document else ():
        line = price_line(document, language)
        assert line.isprintable()
        assert 0 < len(line) <= MAX_LENGTH
        assert line == line.strip()
