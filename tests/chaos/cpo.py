"""A CPO: uploads, tries again as long as it has no answer, and remembers what was accepted.

"Accepted" is HTTP 2xx and OCPI 1xxx. What it holds as accepted is what the gateway must serve and NDW must have.
"""

import copy
import datetime as dt
import http.client
import json
import random
import time
from collections import Counter
from typing import Any, NamedTuple

from tests.documents import Body, connector_body, evse_body, location_body, tariff_body

RECEIVER = "/ocpi/receiver/2.2.1"
STATUSES = ("AVAILABLE", "CHARGING", "BLOCKED", "OUTOFORDER", "RESERVED")
EVSES = 2
GIVES_UP_S, AGAIN_S, TIMEOUT_S = 120.0, 0.2, 10.0


class Accepted(NamedTuple):
    """One accepted upload: when its answer came, and the `last_updated` that it gave the object."""

    at: float
    stamp: str


class Cpo:
    """One party's client; used by one thread at a time.

    `holds`: (kind, id) -> document as accepted last. `maybe`: what an upload without an answer would have made of it.
    """

    def __init__(self, party: str, tokens: dict[str, str], port: int) -> None:
        self.party, self.pull_token, self.port = party, tokens["pull"], port
        self.headers = {"Authorization": f"Token {tokens['upload']}", "Content-Type": "application/json"}
        self.holds: dict[tuple[str, str], Body] = {}
        self.maybe: dict[tuple[str, str], Body] = {}
        self.accepted: dict[tuple[str, str], list[Accepted]] = {}
        self.answers: Counter[str] = Counter()
        self.odd: list[str] = []  # answers that nobody should get
        self.unanswered: list[str] = []
        self.took_s: list[float] = []
        self.count = 0  # accepted uploads
        self._connection: http.client.HTTPConnection | None = None
        self._moment = dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)

    def move(self, port: int) -> None:
        """Upload at another door from now on."""
        self.port, self._connection = port, None

    # what it uploads

    def put_location(self, ocpi_id: str, **fields: Any) -> bool:
        """Upload a whole Location, new or with other fields."""
        held = self.holds.get(("locations", ocpi_id)) or self._new_location(ocpi_id)
        document = {**copy.deepcopy(held), **fields, "last_updated": self._stamp()}
        return self._upload("PUT", ("locations", ocpi_id), "", document, document)

    def patch_location(self, ocpi_id: str, **fields: Any) -> bool:
        """Change some fields of a Location."""
        patch = {**fields, "last_updated": self._stamp()}
        document = {**copy.deepcopy(self.holds["locations", ocpi_id]), **patch}
        return self._upload("PATCH", ("locations", ocpi_id), "", patch, document)

    def set_status(self, ocpi_id: str, status: str, evse: int = 0) -> bool:
        """Change the status of one EVSE."""
        document = copy.deepcopy(self.holds["locations", ocpi_id])
        patch = {"status": status, "last_updated": self._stamp()}
        document["evses"][evse] |= patch
        document["last_updated"] = patch["last_updated"]
        return self._upload("PATCH", ("locations", ocpi_id), f"/{document['evses'][evse]['uid']}", patch, document)

    def next_status(self, ocpi_id: str, evse: int = 0) -> bool:
        """Give one EVSE another status than it has: the same again would be no news for NDW."""
        status = self.holds["locations", ocpi_id]["evses"][evse]["status"]
        following = STATUSES.index(status) + 1
        return self.set_status(ocpi_id, STATUSES[following % len(STATUSES)], evse)

    def put_tariff(self, ocpi_id: str, price: float = 0.1) -> bool:
        """Upload a Tariff."""
        document = tariff_body(party_id=self.party, id=ocpi_id, last_updated=self._stamp())
        document["elements"][0]["price_components"][0]["price"] = price
        return self._upload("PUT", ("tariffs", ocpi_id), "", document, document)

    def begin(self, locations: int) -> None:
        """Upload the Tariff and so many Locations."""
        self.put_tariff("ADHOC-1")
        for number in range(locations):
            self.put_location(f"L{number}")

    def change_something(self, chance: random.Random) -> bool:
        """Upload one change as CPOs do: mostly statuses."""
        ocpi_id = chance.choice([ocpi_id for kind, ocpi_id in self.holds if kind == "locations"])
        pick, number = chance.random(), chance.randrange(10**6)
        if pick < 0.65:
            return self.next_status(ocpi_id, number % EVSES)
        if pick < 0.85:
            return self.put_location(ocpi_id, name=f"Name {self.count}")
        if pick < 0.95:
            return self.patch_location(ocpi_id, address=f"Street {self.count}")
        return self.put_tariff("ADHOC-1", price=round(0.1 + self.count / 1000, 3))

    def _new_location(self, ocpi_id: str) -> Body:
        stamp = self._stamp()
        evses = [
            evse_body(
                uid=f"{ocpi_id}-E{number}",
                evse_id=f"NL*{self.party}*E{ocpi_id}*{number}",
                connectors=[connector_body(last_updated=stamp)],
                last_updated=stamp,
            )
            for number in range(EVSES)
        ]
        return location_body(party_id=self.party, id=ocpi_id, evses=evses)

    def _stamp(self) -> str:
        self._moment += dt.timedelta(seconds=1)
        return self._moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    # how it uploads

    def _upload(self, method: str, key: tuple[str, str], below: str, body: Body, document: Body) -> bool:
        """Send until it is accepted, or for GIVES_UP_S; a refusal is no answer a CPO of ours should get."""
        path = f"{RECEIVER}/{key[0]}/NL/{self.party}/{key[1]}{below}"
        until = time.monotonic() + GIVES_UP_S
        while time.monotonic() < until:
            said = self._send(method, path, json.dumps(body).encode())
            self.answers[said] += 1
            if said == "accepted":
                self.count += 1
                self.holds[key] = document
                self.maybe.pop(key, None)
                self.accepted.setdefault(key, []).append(Accepted(time.time(), document["last_updated"]))
                return True
            if said == "refused":
                return False
            time.sleep(AGAIN_S)
        self.maybe[key] = document
        return False

    def _send(self, method: str, path: str, body: bytes) -> str:
        """Make one request; return what came of it in a word."""
        began = time.monotonic()
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            self._connection.request(method, path, body, self.headers)
            answer = self._connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.unanswered.append(f"{method} {path}: {error!r} after {time.monotonic() - began:.1f} s")
            self._connection.close()
            self._connection = None
            return "no answer"
        took_s = time.monotonic() - began
        self.took_s.append(took_s)
        return self._judge(answer, raw, f"{method} {path}", took_s)

    def _judge(self, answer: http.client.HTTPResponse, raw: bytes, what: str, took_s: float) -> str:
        try:
            code = json.loads(raw)["status_code"]
        except (ValueError, KeyError, TypeError):
            self.odd.append(f"{what}: HTTP {answer.status} {raw[:60]!r}")
            return "garbled"
        if answer.status < 300 and 1000 <= code < 2000:
            return "accepted"
        if answer.status == 503:
            if not answer.headers.get("Retry-After"):
                self.odd.append(f"{what}: 503 without Retry-After")
            return "503 late" if took_s > 8 else "503"
        self.odd.append(f"{what}: HTTP {answer.status}, {raw[:200]!r}")
        return "refused" if answer.status < 500 else "5xx"
