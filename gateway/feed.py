"""What the demo uploads: NDJSON files of real CPOs, or a built-in feed of two that is shaped like them.

Files are named `CC-PARTY.locations.ndjson` and `CC-PARTY.tariffs.ndjson`.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Document = dict[str, Any]
BUILT_IN = {"NL-DMO": 120, "BE-LUX": 40}  # party: number of Locations
_STREETS = ["Stationsweg", "Kerkstraat", "Marktplein", "Havenkade", "Molenweg", "Schoolstraat", "Ringbaan", "Singel"]
_CITIES = [("Utrecht", 52.09, 5.12), ("Texel", 53.06, 4.80), ("Wijchen", 51.81, 5.73), ("Zwolle", 52.51, 6.09)]
_CHANGED = "2026-03-02T09:15:00Z"


@dataclass
class Feed:
    """One party's objects."""

    country_code: str
    party_id: str
    tariffs: list[Document] = field(default_factory=list)
    locations: list[Document] = field(default_factory=list)


def read(folder: Path) -> list[Feed]:
    """Return the feeds of a folder, by party. Raises FileNotFoundError when there are none."""
    feeds: dict[str, Feed] = {}
    for path in sorted(folder.glob("??-???.*.ndjson")):
        party, kind, _ = path.name.split(".")
        feed = feeds.setdefault(party, Feed(party[:2], party[3:]))
        lines = (line for line in path.read_text("utf-8").splitlines() if line.strip())
        getattr(feed, kind).extend(json.loads(line) for line in lines)
    if not feeds:
        raise FileNotFoundError(f"no CC-PARTY.locations.ndjson or .tariffs.ndjson in {folder}")
    return list(feeds.values())


def built_in() -> list[Feed]:
    """Return the feeds of two made-up CPOs, the same at every call."""
    return [made_up(party, size) for party, size in BUILT_IN.items()]


def made_up(party: str, size: int) -> Feed:
    """Return `size` Locations of a party such as NL-DMO and their tariffs, the same at every call."""
    dice = random.Random(party)  # noqa: S311 - nothing secret
    feed = Feed(party[:2], party[3:])
    owner = {"country_code": feed.country_code, "party_id": feed.party_id}
    feed.tariffs = [_tariff(owner, number, dice) for number in range(max(3, size // 10))]
    ids = [tariff["id"] for tariff in feed.tariffs]
    feed.locations = [_location(owner, number, ids, dice) for number in range(size)]
    return feed


def _tariff(owner: Document, number: int, dice: random.Random) -> Document:
    price = dice.choice([0.2893, 0.3306, 0.4132, 0.5289])
    energy = {"type": "ENERGY", "price": price, "vat": 21, "step_size": 1}
    start = {"type": "FLAT", "price": 0.2893, "vat": 21, "step_size": 1}
    night = {
        "price_components": [energy | {"price": round(price * 0.8, 4)}],
        "restrictions": {"start_time": "22:00", "end_time": "06:00"},
    }
    elements = [night, {"price_components": [energy, start]}] if number % 2 else [{"price_components": [energy]}]
    return {
        **owner,
        "id": f"T-{number:04}",
        "currency": "EUR",
        "type": "AD_HOC_PAYMENT",
        "elements": elements,
        "last_updated": _CHANGED,
    }


def _location(owner: Document, number: int, tariff_ids: list[str], dice: random.Random) -> Document:
    city, latitude, longitude = dice.choice(_CITIES)
    street = f"{dice.choice(_STREETS)} {dice.randrange(1, 200)}"
    is_fast = dice.random() < 0.15
    return {
        **owner,
        "id": f"LOC-{number:05}",
        "publish": True,
        "name": street,
        "address": street,
        "city": city,
        "postal_code": f"{dice.randrange(1000, 9999)} AB",
        "country": "NLD",
        "coordinates": {
            "latitude": f"{latitude + dice.gauss(0, 0.02):.6f}",
            "longitude": f"{longitude + dice.gauss(0, 0.02):.6f}",
        },
        "parking_type": "PARKING_LOT" if is_fast else "ON_STREET",
        "evses": [
            _evse(owner, f"{number:05}-{n}", is_fast, tariff_ids, dice) for n in range(dice.choice([1, 2, 2, 4]))
        ],
        "operator": {"name": f"CPO {owner['party_id']}", "website": "https://www.example.org"},
        "time_zone": "Europe/Amsterdam",
        "opening_times": {"twentyfourseven": True},
        "energy_mix": {"is_green_energy": True, "supplier_name": "Example Energy"},
        "last_updated": _CHANGED,
    }


def _evse(owner: Document, name: str, is_fast: bool, tariff_ids: list[str], dice: random.Random) -> Document:
    plug = (
        ("IEC_62196_T2_COMBO", "CABLE", "DC", 920, 200, 150_000)
        if is_fast
        else ("IEC_62196_T2", "SOCKET", "AC_3_PHASE", 230, 16, 11_040)
    )
    names = ("standard", "format", "power_type", "max_voltage", "max_amperage", "max_electric_power")
    connector = {"id": "1", **dict(zip(names, plug, strict=True)), "tariff_ids": [dice.choice(tariff_ids)]}
    return {
        "uid": f"EVSE-{name}",
        "evse_id": f"{owner['country_code']}*{owner['party_id']}*E{name.replace('-', '*')}",
        "status": dice.choice(["AVAILABLE", "AVAILABLE", "CHARGING", "OUTOFORDER"]),
        "capabilities": ["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
        "connectors": [connector | {"last_updated": _CHANGED}],
        "physical_reference": name,
        "parking_restrictions": ["EV_ONLY"],
        "last_updated": _CHANGED,
    }
