"""What the protocol says that no finding about an object can: how the gateway behaves, and how values are to be read.

With these every rule of protocol §6 stands in the book. Source: protocol §6.1, §6.2.
"""

from typing import NamedTuple

from ocpi.rules.findings import Text


class Principle(NamedTuple):
    """A rule the gateway keeps by itself, or that a reader of the data has to know."""

    id: str
    source: str
    text: Text


_LOCATIONS, _TARIFFS = "OCPI 2.2.1 mod_locations; protocol §6.1", "OCPI 2.2.1 mod_tariffs; protocol §6.2"

PRINCIPLES = (
    Principle("L-01", _LOCATIONS, Text(
        "Locations, EVSEs and Connectors are never deleted: DELETE answers 405. An EVSE leaves service by status REMOVED.",
        "Locations, EVSE's en Connectors worden nooit gewist: DELETE geeft 405. Een EVSE gaat uit dienst met status REMOVED.",
    )),
    Principle("L-02", _LOCATIONS, Text(
        "A REMOVED EVSE keeps at least one connector and stays in every pull, for ever; its evse_id may be left out.",
        "Een EVSE met REMOVED houdt ten minste één connector en blijft voorgoed in elke pull; evse_id mag weg.",
    )),
    Principle("L-05", _LOCATIONS, Text(
        "A changed Connector raises last_updated of its EVSE and Location, a changed EVSE that of its Location.",
        "Een gewijzigde Connector verhoogt last_updated van EVSE en Location, een gewijzigde EVSE die van de Location.",
    )),
    Principle("L-11", _LOCATIONS, Text(
        "regular_hours are local to time_zone, exceptional openings and closings are UTC; both are passed on as given.",
        "regular_hours zijn lokaal in time_zone, uitzonderingen zijn UTC; beide worden ongewijzigd doorgegeven.",
    )),
    Principle("L-15", "NDW DOT-NL; protocol §6.1", Text(
        "parking_restrictions must be there (N-parking_restrictions); an empty list counts, with a warning.",
        "parking_restrictions moet er zijn (N-parking_restrictions); een lege lijst telt, met een waarschuwing.",
    )),
    Principle("L-16", "NDW DOT-NL; protocol §6.1", Text(
        "max_electric_power is in watt and always demanded (N-max_electric_power).",
        "max_electric_power is in watt en wordt altijd geëist (N-max_electric_power).",
    )),
    Principle("L-19", _LOCATIONS, Text(
        "charging_when_closed defaults to true; it is sent on only when it was given.",
        "charging_when_closed is standaard true; het wordt alleen doorgegeven als het gegeven is.",
    )),
    Principle("L-20", _LOCATIONS, Text(
        "status_schedule never changes a status by itself: send the real change when it happens.",
        "status_schedule verandert nooit vanzelf een status: stuur de echte wijziging als die er is.",
    )),
    Principle("L-21", _LOCATIONS, Text(
        "One EVSE is what charges one vehicle at a time.", "Eén EVSE is wat één voertuig tegelijk laadt.",
    )),
    Principle("L-22", _LOCATIONS, Text(
        "A Location is best one group of charge points at one site.",
        "Een Location is bij voorkeur één groep laadpunten op één plek.",
    )),
    Principle("L-27", _LOCATIONS, Text(
        "Free charging names a free tariff; no tariff means no information, and is a gap (N-tariff_ids).",
        "Gratis laden noemt een gratis tarief; geen tarief betekent geen informatie, en is een gebrek (N-tariff_ids).",
    )),
    Principle("L-28", "protocol §6.1", Text(
        "The same content with another last_updated is stored and not pushed.",
        "Dezelfde inhoud met een andere last_updated wordt bewaard en niet gepusht.",
    )),
    Principle("L-30", "protocol §6.1", Text(
        "A PUT of an EVSE without one of its connectors removes that connector; one always stays.",
        "Een PUT van een EVSE zonder een van zijn connectors haalt die weg; er blijft er altijd een.",
    )),
    Principle("T-02", _TARIFFS, Text(
        "For each dimension the first element that has it and matches now is what counts.",
        "Per dimensie telt het eerste element dat hem heeft en nu past.",
    )),
    Principle("T-06", 'OCPI 2.2.1 mod_cdrs, "step_size"; protocol §6.2', Text(
        "step_size rounds the total of a session up, once for energy and once for time.",
        "step_size rondt het totaal van een sessie naar boven af, eenmaal voor energie en eenmaal voor tijd.",
    )),
    Principle("T-09", _TARIFFS, Text(
        "A planned change of price: name both tariffs on the connector, the old with an end, the new with a start.",
        "Een geplande prijswijziging: noem beide tarieven op de connector, het oude met een eind, het nieuwe met een begin.",
    )),
    Principle("T-10", _TARIFFS, Text(
        "A tariff without type applies to all sessions.", "Een tarief zonder type geldt voor alle sessies.",
    )),
    Principle("T-13", "protocol §6.2", Text(
        "Local times are ambiguous in the hour when the clocks go back; they are passed on as given.",
        "Lokale tijden zijn dubbelzinnig in het uur waarin de klok teruggaat; ze worden ongewijzigd doorgegeven.",
    )),
    Principle("T-15", _TARIFFS, Text(
        "Bounds of current and power are about this moment, not about the session.",
        "Grenzen van stroom en vermogen gaan over dit moment, niet over de sessie.",
    )),
    Principle("T-17", _TARIFFS, Text(
        "An expired reservation is priced by RESERVATION_EXPIRES where that is given.",
        "Een verlopen reservering wordt geprijsd met RESERVATION_EXPIRES waar dat gegeven is.",
    )),
    Principle("T-19", _TARIFFS, Text(
        "Amounts are stored and sent on as given, never rounded.",
        "Bedragen worden bewaard en doorgegeven zoals gegeven, nooit afgerond.",
    )),
    Principle("T-23", _TARIFFS, Text(
        "A tariff is pushed before the Locations that name it, its DELETE after them.",
        "Een tarief wordt gepusht vóór de Locations die het noemen, de DELETE ervan erna.",
    )),
    Principle("T-24", _TARIFFS, Text(
        "NDW pulls the list of tariffs; OCPI 2.2.1 has no pull of a single one.",
        "NDW haalt de lijst van tarieven op; OCPI 2.2.1 kent het ophalen van één tarief niet.",
    )),
)  # fmt: skip
