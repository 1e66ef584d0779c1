"""The columns of the sheet: what each means, what it becomes in OCPI, and how people may call it.

Few columns, each needed: what OCPI and DOT-NL demand, what a driver looks for, and nothing that has one usual answer.

Source: OCPI 2.2.1 mod_locations; NDW DOT-NL, "AFIR"; protocol §5.2-§5.4.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from ocpi.rules.findings import Text
from ocpi.schemas import locations
from ocpi.spreadsheets import cells

Level = Literal["location", "evse", "connector"]
Demand = Literal["ocpi", "dot-nl", "optional"]

TIME_ZONE = "Europe/Amsterdam"
EXAMPLE_ID = "EXAMPLE-1"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `field` is the JSON Pointer in its Location, EVSE or Connector, `aliases` are other headers.

    `default` is what an empty cell means, as it might be typed. `several` choices may stand in one cell.
    """

    name: str
    level: Level
    field: str
    read: cells.Reader
    demand: Demand
    example: str
    meaning: Text
    default: str = ""
    choices: tuple[str, ...] = ()
    several: bool = False
    aliases: tuple[str, ...] = ()


def _word(enum: object) -> tuple[cells.Reader, tuple[str, ...]]:
    return cells.word(get_args(enum)), get_args(enum)


_STATUS, _STATUSES = _word(locations.Status)
_PARKING_TYPE, _PARKING_TYPES = _word(locations.ParkingType)
_STANDARD, _STANDARDS = _word(locations.ConnectorType)
_FORMAT, _FORMATS = _word(locations.ConnectorFormat)
_POWER_TYPE, _POWER_TYPES = _word(locations.PowerType)
_RESTRICTIONS, _CAPABILITIES = get_args(locations.ParkingRestriction), get_args(locations.Capability)

COLUMNS = (
    Column(
        "location_id", "location", "/id", cells.identifier, "ocpi", EXAMPLE_ID,
        Text("Your own id of the place; never change it. On every row.",
             "Uw eigen id van de plek; verander het nooit. Op elke rij."),
        aliases=("locatie_id",),
    ),
    Column(
        "name", "location", "/name", cells.plain, "optional", "Marktplein",
        Text("What the place is called.", "Hoe de plek heet."),
        aliases=("naam", "location_name", "locatienaam"),
    ),
    Column(
        "address", "location", "/address", cells.plain, "ocpi", "Marktplein 1",
        Text("Street and number, at most 45 characters.", "Straat en huisnummer, hoogstens 45 tekens."),
        aliases=("adres", "straat_en_huisnummer"),
    ),
    Column(
        "postal_code", "location", "/postal_code", cells.plain, "optional", "3511 AA",
        Text("Postal code of the place.", "Postcode van de plek."), aliases=("postcode", "zip_code"),
    ),
    Column(
        "city", "location", "/city", cells.plain, "ocpi", "Utrecht",
        Text("Town or village.", "Woonplaats."), aliases=("plaats", "woonplaats", "stad"),
    ),
    Column(
        "country", "location", "/country", cells.country, "optional", "NLD",
        Text("Country of the place, three letters; empty: that of your party.",
             "Land van de plek, drie letters; leeg: dat van uw partij."), aliases=("land",),
    ),
    Column(
        "latitude", "location", "/coordinates/latitude", cells.coordinate, "ocpi", "52,090736",
        Text("Degrees north (WGS 84), at least 5 decimals; comma or point.",
             "Noorderbreedte in graden (WGS 84), ten minste 5 decimalen; komma of punt."),
        aliases=("lat", "breedtegraad"),
    ),
    Column(
        "longitude", "location", "/coordinates/longitude", cells.coordinate, "ocpi", "5,121424",
        Text("Degrees east (WGS 84), at least 5 decimals; comma or point.",
             "Oosterlengte in graden (WGS 84), ten minste 5 decimalen; komma of punt."),
        aliases=("lon", "lng", "long", "lengtegraad"),
    ),
    Column(
        "time_zone", "location", "/time_zone", cells.plain, "optional", TIME_ZONE,
        Text("Time zone of the place.", "Tijdzone van de plek."), default=TIME_ZONE, choices=(TIME_ZONE,),
        aliases=("tijdzone",),
    ),
    Column(
        "parking_type", "location", "/parking_type", _PARKING_TYPE, "optional", "ON_STREET",
        Text("Where one parks.", "Waar men parkeert."), choices=_PARKING_TYPES,
        aliases=("parkeertype", "soort_parkeerplaats"),
    ),
    Column(
        "opening_hours", "location", "/opening_times", cells.hours, "optional", "24/7",
        Text("24/7, or days and times such as mo-fr 07:00-22:00, sa 09:00-17:00.",
             "24/7, of dagen en tijden zoals ma-vr 07:00-22:00, za 09:00-17:00."),
        default="24/7", aliases=("opening_times", "openingstijden"),
    ),
    Column(
        "green_energy", "location", "/energy_mix/is_green_energy", cells.yes_no, "dot-nl", "yes",
        Text("Is all the energy green? yes or no.", "Is alle energie groen? ja of nee."), choices=("yes", "no"),
        aliases=("is_green_energy", "groene_stroom", "groene_energie"),
    ),
    Column(
        "operator_name", "location", "/operator/name", cells.plain, "optional", "Example Charging B.V.",
        Text("Who operates the place, as drivers know it.", "Wie de plek exploiteert, zoals rijders die kennen."),
        aliases=("operator", "exploitant"),
    ),
    Column(
        "publish", "location", "/publish", cells.yes_no, "optional", "yes",
        Text("May everybody see the place? yes or no.", "Mag iedereen de plek zien? ja of nee."), default="yes",
        choices=("yes", "no"), aliases=("publiceren",),
    ),
    Column(
        "evse_uid", "evse", "/uid", cells.identifier, "ocpi", "EXAMPLE-1-1",
        Text("Your own id of the EVSE, which charges one car at a time; never change it. On every row.",
             "Uw eigen id van de EVSE, die één auto tegelijk laadt; verander het nooit. Op elke rij."),
        aliases=("uid",),
    ),
    Column(
        "evse_id", "evse", "/evse_id", cells.identifier, "optional", "NL*EXA*E1001*1",
        Text("The public number of the EVSE, as drivers see it.", "Het openbare nummer van de EVSE, zoals rijders het zien."),
        aliases=("emi3_id",),
    ),
    Column(
        "physical_reference", "evse", "/physical_reference", cells.identifier, "optional", "1001",
        Text("What is printed on the charge point, at most 16 characters.",
             "Wat er op de laadpaal staat, hoogstens 16 tekens."),
        aliases=("opschrift", "paalnummer"),
    ),
    Column(
        "status", "evse", "/status", _STATUS, "optional", "AVAILABLE",
        Text("PLANNED for what is to come, REMOVED for what is gone for good. Empty: as it is known, else AVAILABLE.",
             "PLANNED voor wat nog komt, REMOVED voor wat voorgoed weg is. Leeg: zoals bekend, anders AVAILABLE."),
        default="AVAILABLE", choices=_STATUSES,
    ),
    Column(
        "capabilities", "evse", "/capabilities", cells.words(_CAPABILITIES), "optional",
        "RFID_READER, CREDIT_CARD_PAYABLE",
        Text("What it can do, above all how one pays; several apart by commas.",
             "Wat hij kan, vooral hoe men betaalt; meer dan één met komma's ertussen."),
        choices=_CAPABILITIES, several=True, aliases=("mogelijkheden",),
    ),
    Column(
        "parking_restrictions", "evse", "/parking_restrictions", cells.words(_RESTRICTIONS), "dot-nl", "EV_ONLY",
        Text("Who may park; several apart by commas, NONE if there is no restriction.",
             "Wie er mag parkeren; meer dan één met komma's ertussen, NONE zonder beperking."),
        choices=(*_RESTRICTIONS, "NONE"), several=True, aliases=("parkeerbeperkingen", "parkeerbeperking"),
    ),
    Column(
        "connector_id", "connector", "/id", cells.identifier, "optional", "1",
        Text("Number of the socket or plug within its EVSE.", "Nummer van het stopcontact of de stekker binnen de EVSE."),
        default="1", aliases=("connector",),
    ),
    Column(
        "standard", "connector", "/standard", _STANDARD, "ocpi", "IEC_62196_T2",
        Text("Type of plug: IEC_62196_T2 is Type 2, IEC_62196_T2_COMBO is CCS.",
             "Soort stekker: IEC_62196_T2 is Type 2, IEC_62196_T2_COMBO is CCS."),
        choices=_STANDARDS, aliases=("connector_type", "connector_standard", "stekkertype", "stekker"),
    ),
    Column(
        "format", "connector", "/format", _FORMAT, "ocpi", "SOCKET",
        Text("A socket, or a cable that is fixed.", "Een stopcontact, of een vaste kabel."), choices=_FORMATS,
        aliases=("connector_format", "uitvoering"),
    ),
    Column(
        "power_type", "connector", "/power_type", _POWER_TYPE, "ocpi", "AC_3_PHASE",
        Text("Alternating current by its phases, or DC.", "Wisselstroom naar het aantal fasen, of DC."),
        choices=_POWER_TYPES, aliases=("stroomsoort", "soort_stroom"),
    ),
    Column(
        "max_voltage", "connector", "/max_voltage", cells.number("V"), "ocpi", "230",
        Text("Volts; for AC between phase and neutral: 230, not 400.",
             "Volt; bij AC tussen fase en nul: 230, niet 400."),
        aliases=("voltage", "spanning", "max_voltage_v"),
    ),
    Column(
        "max_amperage", "connector", "/max_amperage", cells.number("A"), "ocpi", "32",
        Text("Amperes, per phase.", "Ampère, per fase."),
        aliases=("amperage", "ampere", "stroomsterkte", "max_amperage_a"),
    ),
    Column(
        "max_power_kw", "connector", "/max_electric_power", cells.kilowatts, "dot-nl", "22",
        Text("The most this socket or plug delivers, in kW.", "Wat dit stopcontact of deze stekker hoogstens levert, in kW."),
        aliases=("power_kw", "vermogen_kw", "max_vermogen_kw"),
    ),
    Column(
        "tariff_ids", "connector", "/tariff_ids", cells.identifiers, "dot-nl", "ADHOC-1",
        Text("Ids of the tariffs that apply, as you deliver them; several apart by commas.",
             "Ids van de tarieven die gelden, zoals u ze aanlevert; meer dan één met komma's ertussen."),
        several=True, aliases=("tariff_id", "tariffs", "tariff", "tarief", "tarieven"),
    ),
    Column(
        "last_updated", "connector", "/last_updated", cells.plain, "optional", "2026-03-02T09:15:00Z",
        Text("When this row last changed: UTC with T and Z, or local as 2026-03-02 10:15; empty: on delivery.",
             "Wanneer deze rij veranderde: UTC met T en Z, of lokaal als 2026-03-02 10:15; leeg: bij aanlevering."),
        aliases=("bijgewerkt", "laatst_bijgewerkt"),
    ),
)  # fmt: skip
BY_NAME = {column.name: column for column in COLUMNS}

# What stands in the template: the first row in full, then what differs.
EXAMPLE: tuple[dict[str, str], ...] = (
    {column.name: column.example for column in COLUMNS if column.name != "last_updated"},
    {
        "location_id": EXAMPLE_ID, "evse_uid": "EXAMPLE-1-2", "evse_id": "NL*EXA*E1002*1", "physical_reference": "1002",
        "status": "AVAILABLE", "capabilities": "CONTACTLESS_CARD_SUPPORT", "parking_restrictions": "EV_ONLY, CUSTOMERS",
        "connector_id": "1", "standard": "IEC_62196_T2_COMBO", "format": "CABLE", "power_type": "DC",
        "max_voltage": "920", "max_amperage": "400", "max_power_kw": "150", "tariff_ids": "ADHOC-1",
    },
    {
        "location_id": EXAMPLE_ID, "evse_uid": "EXAMPLE-1-2", "connector_id": "2", "standard": "CHADEMO",
        "format": "CABLE", "power_type": "DC", "max_voltage": "500", "max_amperage": "125", "max_power_kw": "62,5",
        "tariff_ids": "ADHOC-1",
    },
)  # fmt: skip
