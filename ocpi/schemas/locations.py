"""Location, EVSE, Connector and what they are made of. Fields stand in the order in which they are sent.

Source: OCPI 2.2.1 mod_locations; protocol §5.2-§5.7.
"""

from typing import Annotated, Literal

from ocpi.schemas.types import (
    CountryAlpha3,
    CountryCode,
    DateTime,
    DisplayText,
    FilledList,
    GeoLocation,
    Latitude,
    List,
    LocalTime,
    Longitude,
    Number,
    OcpiObject,
    PartyId,
    Percentage,
    TimeZone,
    Url,
    ci_string,
    identifier,
    required_text,
    text,
    whole,
)

# Source: OCPI 2.2.1 mod_locations, "Data types"; TokenType is of mod_tokens.
Status = Literal[
    "AVAILABLE",
    "BLOCKED",
    "CHARGING",
    "INOPERATIVE",
    "OUTOFORDER",
    "PLANNED",
    "REMOVED",
    "RESERVED",
    "UNKNOWN",
]
Capability = Literal[
    "CHARGING_PROFILE_CAPABLE",
    "CHARGING_PREFERENCES_CAPABLE",
    "CHIP_CARD_SUPPORT",
    "CONTACTLESS_CARD_SUPPORT",
    "CREDIT_CARD_PAYABLE",
    "DEBIT_CARD_PAYABLE",
    "PED_TERMINAL",
    "REMOTE_START_STOP_CAPABLE",
    "RESERVABLE",
    "RFID_READER",
    "START_SESSION_CONNECTOR_REQUIRED",
    "TOKEN_GROUP_CAPABLE",
    "UNLOCK_CAPABLE",
]
ConnectorFormat = Literal["SOCKET", "CABLE"]
ConnectorType = Literal[
    "CHADEMO",
    "CHAOJI",
    "DOMESTIC_A",
    "DOMESTIC_B",
    "DOMESTIC_C",
    "DOMESTIC_D",
    "DOMESTIC_E",
    "DOMESTIC_F",
    "DOMESTIC_G",
    "DOMESTIC_H",
    "DOMESTIC_I",
    "DOMESTIC_J",
    "DOMESTIC_K",
    "DOMESTIC_L",
    "DOMESTIC_M",
    "DOMESTIC_N",
    "DOMESTIC_O",
    "GBT_AC",
    "GBT_DC",
    "IEC_60309_2_single_16",
    "IEC_60309_2_three_16",
    "IEC_60309_2_three_32",
    "IEC_60309_2_three_64",
    "IEC_62196_T1",
    "IEC_62196_T1_COMBO",
    "IEC_62196_T2",
    "IEC_62196_T2_COMBO",
    "IEC_62196_T3A",
    "IEC_62196_T3C",
    "NEMA_5_20",
    "NEMA_6_30",
    "NEMA_6_50",
    "NEMA_10_30",
    "NEMA_10_50",
    "NEMA_14_30",
    "NEMA_14_50",
    "PANTOGRAPH_BOTTOM_UP",
    "PANTOGRAPH_TOP_DOWN",
    "TESLA_R",
    "TESLA_S",
]
PowerType = Literal["AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC"]
ParkingRestriction = Literal["EV_ONLY", "PLUGGED", "DISABLED", "CUSTOMERS", "MOTORCYCLES"]
ParkingType = Literal[
    "ALONG_MOTORWAY",
    "PARKING_GARAGE",
    "PARKING_LOT",
    "ON_DRIVEWAY",
    "ON_STREET",
    "UNDERGROUND_GARAGE",
]
Facility = Literal[
    "HOTEL",
    "RESTAURANT",
    "CAFE",
    "MALL",
    "SUPERMARKET",
    "SPORT",
    "RECREATION_AREA",
    "NATURE",
    "MUSEUM",
    "BIKE_SHARING",
    "BUS_STOP",
    "TAXI_STAND",
    "TRAM_STOP",
    "METRO_STATION",
    "TRAIN_STATION",
    "AIRPORT",
    "PARKING_LOT",
    "CARPOOL_PARKING",
    "FUEL_STATION",
    "WIFI",
]
ImageCategory = Literal["CHARGER", "ENTRANCE", "LOCATION", "NETWORK", "OPERATOR", "OTHER", "OWNER"]
EnergySourceCategory = Literal[
    "NUCLEAR",
    "GENERAL_FOSSIL",
    "COAL",
    "GAS",
    "GENERAL_GREEN",
    "SOLAR",
    "WIND",
    "WATER",
]
EnvironmentalImpactCategory = Literal["NUCLEAR_WASTE", "CARBON_DIOXIDE"]
TokenType = Literal["AD_HOC_USER", "APP_USER", "OTHER", "RFID"]


class AdditionalGeoLocation(OcpiObject):
    """A further point of the site, such as an entrance. Source: mod_locations, "AdditionalGeoLocation class"."""

    latitude: Latitude
    longitude: Longitude
    name: DisplayText | None = None


class Image(OcpiObject):
    """A picture on the web; sizes in pixels. Source: mod_locations, "Image class"."""

    url: Url
    thumbnail: Url | None = None
    category: ImageCategory
    type: Annotated[str, ci_string(4)]
    width: Annotated[int, whole(0, 99_999)] | None = None
    height: Annotated[int, whole(0, 99_999)] | None = None


class BusinessDetails(OcpiObject):
    """Who operates or owns a site. Source: mod_locations, "BusinessDetails class"."""

    name: Annotated[str, required_text(100)]
    website: Url | None = None
    logo: Image | None = None


class RegularHours(OcpiObject):
    """Opening hours of one weekday (1 = Monday), local time. Source: mod_locations, "RegularHours class"."""

    weekday: Annotated[int, whole(1, 7)]
    period_begin: LocalTime
    period_end: LocalTime


class ExceptionalPeriod(OcpiObject):
    """An exception to the opening hours, in UTC. Source: mod_locations, "ExceptionalPeriod class"."""

    period_begin: DateTime
    period_end: DateTime


class Hours(OcpiObject):
    """When a site is open. Source: mod_locations, "Hours class"."""

    twentyfourseven: bool
    regular_hours: List[RegularHours] | None = None
    exceptional_openings: List[ExceptionalPeriod] | None = None
    exceptional_closings: List[ExceptionalPeriod] | None = None


class EnergySource(OcpiObject):
    """The share of one source, in percent. Source: mod_locations, "EnergySource class"."""

    source: EnergySourceCategory
    percentage: Percentage


class EnvironmentalImpact(OcpiObject):
    """What a kWh emits, in grams. Source: mod_locations, "EnvironmentalImpact class"."""

    category: EnvironmentalImpactCategory
    amount: Number


class EnergyMix(OcpiObject):
    """Where the energy comes from. Source: mod_locations, "EnergyMix class"."""

    is_green_energy: bool
    energy_sources: List[EnergySource] | None = None
    environ_impact: List[EnvironmentalImpact] | None = None
    supplier_name: Annotated[str, text(64)] | None = None
    energy_product_name: Annotated[str, text(64)] | None = None


class PublishTokenType(OcpiObject):
    """A token whose holder may see an unpublished site. Source: mod_locations, "PublishTokenType class"."""

    uid: Annotated[str, ci_string(36)] | None = None
    type: TokenType | None = None
    visual_number: Annotated[str, text(64)] | None = None
    issuer: Annotated[str, text(64)] | None = None
    group_id: Annotated[str, ci_string(36)] | None = None


class StatusSchedule(OcpiObject):
    """A planned status, for information only. Source: mod_locations, "StatusSchedule class"."""

    period_begin: DateTime
    period_end: DateTime | None = None
    status: Status


class Connector(OcpiObject):
    """A socket or plug; volts, amperes (per phase) and watts. Source: mod_locations, "Connector object"."""

    id: Annotated[str, identifier(36)]
    standard: ConnectorType
    format: ConnectorFormat
    power_type: PowerType
    max_voltage: Annotated[int, whole(0)]
    max_amperage: Annotated[int, whole(0)]
    max_electric_power: Annotated[int, whole(0)] | None = None
    tariff_ids: List[Annotated[str, ci_string(36)]] | None = None
    terms_and_conditions: Url | None = None
    last_updated: DateTime


class EVSE(OcpiObject):
    """What charges one vehicle at a time. Source: mod_locations, "EVSE object"."""

    uid: Annotated[str, identifier(36)]
    evse_id: Annotated[str, ci_string(48)] | None = None
    status: Status
    status_schedule: List[StatusSchedule] | None = None
    capabilities: List[Capability] | None = None
    connectors: FilledList[Connector]
    floor_level: Annotated[str, text(4)] | None = None
    coordinates: GeoLocation | None = None
    physical_reference: Annotated[str, text(16)] | None = None
    directions: List[DisplayText] | None = None
    parking_restrictions: List[ParkingRestriction] | None = None
    images: List[Image] | None = None
    last_updated: DateTime


class Location(OcpiObject):
    """A place with a group of EVSEs. Source: mod_locations, "Location Object"."""

    country_code: CountryCode
    party_id: PartyId
    id: Annotated[str, identifier(36)]
    publish: bool
    publish_allowed_to: List[PublishTokenType] | None = None
    name: Annotated[str, text(255)] | None = None
    address: Annotated[str, required_text(255)]
    city: Annotated[str, required_text(45)]
    postal_code: Annotated[str, text(10)] | None = None
    state: Annotated[str, text(45)] | None = None
    country: CountryAlpha3
    coordinates: GeoLocation
    related_locations: List[AdditionalGeoLocation] | None = None
    parking_type: ParkingType | None = None
    evses: List[EVSE] | None = None
    directions: List[DisplayText] | None = None
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: List[Facility] | None = None
    time_zone: TimeZone
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: List[Image] | None = None
    energy_mix: EnergyMix | None = None
    last_updated: DateTime
