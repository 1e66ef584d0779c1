"""A country of charge points, made up: as many objects of the size as the Netherlands has, or a multiple of that.

At size 1: 40 parties, of which the largest has 29 %; 87,000 Locations of 2.3 kB with 2.5 EVSEs on average; 115,000 Tariffs
of 950 bytes. A party's objects are NDJSON files, so that the country need not fit into memory.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

PARTIES, LOCATIONS, TARIFFS = 40, 87_000, 115_000
LARGEST = 0.29  # of all Locations, the largest party's
CHANGED = "2026-03-02T09:15:00Z"
_STREETS = ["Stationsweg", "Kerkstraat", "Marktplein", "Havenkade", "Molenweg", "Schoolstraat", "Ringbaan", "Singel"]
_TOWNS = [("Utrecht", 52.09, 5.12), ("Groningen", 53.22, 6.57), ("Roermond", 51.2, 5.9), ("Breda", 51.59, 4.77)]
_STATUSES = ["AVAILABLE", "AVAILABLE", "CHARGING", "OUTOFORDER"]
_DAYS = [{"weekday": day, "period_begin": "07:00", "period_end": "22:00"} for day in range(1, 8)]
Document = dict[str, Any]


@dataclass
class Place:
    """A Location as its CPO remembers it: where its line stands, and what its EVSEs are called."""

    party: "Party" = field(repr=False)
    id: str
    line: int  # bytes before it in the file
    length: int
    evses: list[str]


@dataclass
class Party:
    """One CPO: its files, and its Locations in their order."""

    id: str
    locations: Path
    tariffs: Path
    tariff_count: int = 0
    places: list[Place] = field(default_factory=list, repr=False)

    @property
    def owner(self) -> Document:
        """Return the fields that say whose an object is."""
        return {"country_code": "NL", "party_id": self.id}

    def tariff_id(self, number: int) -> str:
        """Return the id of a Tariff by its number, from 0."""
        return f"NL-{self.id}-T{number:07}"

    def tariff(self, number: int) -> Document:
        """Return a Tariff as it was made."""
        return _tariff(self.owner, self.tariff_id(number), random.Random(number))

    def document(self, place: Place) -> Document:
        """Return a Location as it was made."""
        with self.locations.open("rb") as lines:
            lines.seek(place.line)
            return orjson.loads(lines.read(place.length))


def make(folder: Path, size: float) -> list[Party]:
    """Write the files of a country; the same at every call."""
    shares = _shares()
    return [_party(folder, number, size * share) for number, share in enumerate(shares)]


def _shares() -> list[float]:
    """Return how much of the country each party has: by Zipf, bent so that the largest has what the largest has."""
    low, high = 0.0, 3.0
    while high - low > 1e-9:
        bend = (low + high) / 2
        weights = [rank**-bend for rank in range(1, PARTIES + 1)]
        low, high = (bend, high) if weights[0] / sum(weights) < LARGEST else (low, bend)
    return [weight / sum(weights) for weight in weights]


def _party(folder: Path, number: int, share: float) -> Party:
    name = f"{chr(65 + number // 26)}{chr(65 + number % 26)}L"
    party = Party(name, folder / f"NL-{name}.locations.ndjson", folder / f"NL-{name}.tariffs.ndjson")
    dice = random.Random(number)
    party.tariff_count = max(1, round(share * TARIFFS))
    tariff_ids = [party.tariff_id(one) for one in range(party.tariff_count)]
    _write(party.tariffs, map(party.tariff, range(party.tariff_count)), lambda *_: None)

    def remember(document: Document, line: int, length: int) -> None:
        uids = [evse["uid"] for evse in document["evses"]]
        party.places.append(Place(party, document["id"], line, length, uids))

    count = max(1, round(share * LOCATIONS))
    _write(party.locations, (_location(party.owner, one, tariff_ids, dice) for one in range(count)), remember)
    return party


def _write(path: Path, documents: Iterator[Document], remember: Callable[[Document, int, int], None]) -> None:
    at = 0
    with path.open("wb") as lines:
        for document in documents:
            line = orjson.dumps(document) + b"\n"
            lines.write(line)
            remember(document, at, len(line))
            at += len(line)


def _tariff(owner: Document, tariff_id: str, dice: random.Random) -> Document:
    price = dice.choice([0.2893, 0.3306, 0.4132, 0.5289])
    words = f"{{}} https://www.{owner['party_id'].lower()}.example/tarieven {{}}"
    start = {"type": "FLAT", "price": 0.2893, "vat": 21, "step_size": 1}
    return {
        **owner,
        "id": tariff_id,
        "currency": "EUR",
        "type": "AD_HOC_PAYMENT",
        "tariff_alt_text": [
            {
                "language": "en",
                "text": words.format(
                    "See", "for all conditions, for roaming and for the other tariffs of this charge point"
                ),
            },
            {
                "language": "nl",
                "text": words.format(
                    "Zie", "voor alle voorwaarden, voor roaming en voor de andere tarieven van deze laadpaal"
                ),
            },
        ],
        "tariff_alt_url": f"https://www.{owner['party_id'].lower()}.example/tarieven/{tariff_id}",
        "elements": [{"price_components": [{"type": "ENERGY", "price": price, "vat": 21, "step_size": 1}, start]}],
        "min_price": {"excl_vat": 0.5, "incl_vat": 0.605},
        "energy_mix": {
            "is_green_energy": True,
            "energy_sources": [{"source": "WIND", "percentage": 70}, {"source": "SOLAR", "percentage": 30}],
            "supplier_name": f"Example Energy {owner['party_id']}",
        },
        "last_updated": CHANGED,
    }


def _location(owner: Document, number: int, tariff_ids: list[str], dice: random.Random) -> Document:
    town, latitude, longitude = dice.choice(_TOWNS)
    street = f"{dice.choice(_STREETS)} {dice.randrange(1, 200)}"
    evses = range(dice.choice([1, 2, 2, 2, 4, 4]))
    return {
        **owner,
        "id": f"LOC-{number:07}",
        "publish": True,
        "name": f"{street}, {town}",
        "address": street,
        "city": town,
        "postal_code": f"{dice.randrange(1000, 9999)} AB",
        "country": "NLD",
        "coordinates": {
            "latitude": f"{latitude + dice.uniform(-0.1, 0.1):.6f}",
            "longitude": f"{longitude + dice.uniform(-0.1, 0.1):.6f}",
        },
        "parking_type": "ON_STREET",
        "evses": [_evse(owner, f"{number:07}-{one}", tariff_ids, dice) for one in evses],
        "directions": [
            {"language": "nl", "text": f"Laadpaal aan de {street}, aan de kant van de parkeervakken."},
            {"language": "en", "text": f"Charging station on {street}, next to the parking bays."},
        ],
        "operator": {"name": f"CPO {owner['party_id']}", "website": "https://www.example.org"},
        "suboperator": {"name": f"Gemeente {town}"},
        "time_zone": "Europe/Amsterdam",
        "opening_times": {"twentyfourseven": False, "regular_hours": _DAYS},
        "charging_when_closed": True,
        "energy_mix": {"is_green_energy": True, "supplier_name": "Example Energy"},
        "last_updated": CHANGED,
    }


def _evse(owner: Document, name: str, tariff_ids: list[str], dice: random.Random) -> Document:
    connector = {
        "id": "1",
        "standard": "IEC_62196_T2",
        "format": "SOCKET",
        "power_type": "AC_3_PHASE",
        "max_voltage": 230,
        "max_amperage": 16,
        "max_electric_power": 11_040,
        "tariff_ids": [dice.choice(tariff_ids)],
        "last_updated": CHANGED,
    }
    return {
        "uid": f"EVSE-{name}",
        "evse_id": f"NL*{owner['party_id']}*E{name.replace('-', '*')}",
        "status": dice.choice(_STATUSES),
        "capabilities": ["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
        "connectors": [connector],
        "physical_reference": name,
        "parking_restrictions": ["EV_ONLY"],
        "last_updated": CHANGED,
    }
