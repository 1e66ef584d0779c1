"""Tariff and what it is made of. Fields stand in the order in which they are sent.

Source: OCPI 2.2.1 mod_tariffs; protocol §5.5-§5.7.
"""

from typing import Annotated, Literal

from ocpi.schemas.locations import EnergyMix
from ocpi.schemas.types import (
    Amount,
    CountryCode,
    Currency,
    DateTime,
    DisplayText,
    FilledList,
    List,
    LocalDate,
    LocalTime,
    OcpiObject,
    PartyId,
    Price,
    Url,
    identifier,
    whole,
)

# Source: OCPI 2.2.1 mod_tariffs, "Data types".
DayOfWeek = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
ReservationRestrictionType = Literal["RESERVATION", "RESERVATION_EXPIRES"]
TariffDimensionType = Literal["ENERGY", "FLAT", "PARKING_TIME", "TIME"]
TariffType = Literal["AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR"]


class PriceComponent(OcpiObject):
    """A price excluding VAT, per kWh, hour or session; `vat` in percent, `step_size` in Wh or seconds.

    Source: mod_tariffs, "PriceComponent class".
    """

    type: TariffDimensionType
    price: Amount
    vat: Amount | None = None
    step_size: Annotated[int, whole(0)]


class TariffRestrictions(OcpiObject):
    """When an element applies: local times and dates, kWh, A, kW, seconds. All that are set must hold.

    Source: mod_tariffs, "TariffRestrictions class".
    """

    start_time: LocalTime | None = None
    end_time: LocalTime | None = None
    start_date: LocalDate | None = None
    end_date: LocalDate | None = None
    min_kwh: Amount | None = None
    max_kwh: Amount | None = None
    min_current: Amount | None = None
    max_current: Amount | None = None
    min_power: Amount | None = None
    max_power: Amount | None = None
    min_duration: Annotated[int, whole(0)] | None = None
    max_duration: Annotated[int, whole(0)] | None = None
    day_of_week: List[DayOfWeek] | None = None
    reservation: ReservationRestrictionType | None = None


class TariffElement(OcpiObject):
    """Prices that apply together. Source: mod_tariffs, "TariffElement class"."""

    price_components: FilledList[PriceComponent]
    restrictions: TariffRestrictions | None = None


class Tariff(OcpiObject):
    """What charging costs. Source: mod_tariffs, "Tariff Object"."""

    country_code: CountryCode
    party_id: PartyId
    id: Annotated[str, identifier(36)]
    currency: Currency
    type: TariffType | None = None
    tariff_alt_text: List[DisplayText] | None = None
    tariff_alt_url: Url | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    elements: FilledList[TariffElement]
    start_date_time: DateTime | None = None
    end_date_time: DateTime | None = None
    energy_mix: EnergyMix | None = None
    last_updated: DateTime
