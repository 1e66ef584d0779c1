"""All CPOs of a country at once: changes at a rate, over kept connections, each object always by the same thread.

Mostly statuses, as it is in life: 90 of 100 changes are a PATCH of one EVSE, nine a PUT of a Location, one of a Tariff.
"""

import datetime as dt
import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.load.country import Party, Place

RECEIVER = "/ocpi/receiver/2.2.1"
STATUSES = ("AVAILABLE", "BLOCKED", "CHARGING", "RESERVED")  # the second is none of those that were made
THREADS, FLAT_OUT_THREADS = 16, 4


class Change(NamedTuple):
    """One accepted change: of what, when it was accepted, and the `last_updated` it gave the object."""

    party: str
    location: str  # "": of a Tariff
    evse: str  # "": of the whole Location
    at: float
    stamp: str


@dataclass
class Load:
    """What came of so many changes. `took_s`: from the moment each was due until its answer."""

    accepted: list[Change] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    lasted_s: float = 0.0


class Cpos:
    """Everybody's clients: threads, of which each has a share of all Locations for itself."""

    def __init__(self, parties: Sequence[Party], tokens: dict[str, str], port: int) -> None:
        self.places = [place for party in parties for place in party.places]
        random.Random(0).shuffle(self.places)
        self.tokens, self.port = tokens, port
        self.turns: Counter[tuple[str, str]] = Counter()  # the same status again would be no news
        self.seeds = itertools.count()

    def at_rate(self, per_s: float, seconds: float) -> Load:
        """Make so many changes a second for so long; who was late catches up."""
        count = int(per_s * seconds)
        return self._play(lambda number: number / per_s if number < count else None, THREADS)

    def flat_out(self, seconds: float, method: str) -> Load:
        """PATCH statuses, or PUT Locations, as fast as they are answered."""
        until = time.monotonic() + seconds
        return self._play(lambda number: 0.0 if time.monotonic() < until else None, FLAT_OUT_THREADS, method)

    def _play(self, due: Callable[[int], float | None], threads: int, method: str = "") -> Load:
        """Have thread n make the changes n, n + threads, ... when they are due (seconds from now; None: over)."""
        load, began = Load(), time.monotonic()
        clients = [_Client(self, load, number, threads, method) for number in range(threads)]
        running = [threading.Thread(target=client.run, args=(due, began)) for client in clients]
        for one in running:
            one.start()
        for one in running:
            one.join()
        load.lasted_s = time.monotonic() - began
        return load


class _Client:
    def __init__(self, cpos: Cpos, load: Load, number: int, step: int, method: str) -> None:
        self.cpos, self.load, self.number, self.step, self.method = cpos, load, number, step, method
        self.dice, self.mine = random.Random(next(cpos.seeds)), cpos.places[number::step]
        self.http = http.client.HTTPConnection("127.0.0.1", cpos.port, timeout=30)

    def run(self, due: Callable[[int], float | None], began: float) -> None:
        """Make this thread's changes."""
        for number in itertools.count(self.number, self.step):
            at = due(number)
            if at is None:
                return
            time.sleep(max(0.0, began + at - time.monotonic()))
            self._change(self.dice.choice(self.mine))
            self.load.took_s.append(time.monotonic() - began - at)

    def _change(self, place: Place) -> None:
        stamp = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        pick = {"PATCH": 0.0, "PUT": 0.95}.get(self.method) or self.dice.random()
        if self.method == "PATCH" or pick < 0.90:
            self._status(place, stamp)
        elif pick < 0.99:
            body = place.party.document(place) | {"name": f"Changed at {stamp}", "last_updated": stamp}
            self._send("PUT", "locations", place.id, body, Change(place.party.id, place.id, "", 0.0, stamp))
        else:
            self._tariff(place.party, stamp)

    def _status(self, place: Place, stamp: str) -> None:
        evse = self.dice.choice(place.evses)
        turn = self.cpos.turns[place.party.id, evse] = self.cpos.turns[place.party.id, evse] + 1
        body = {"status": STATUSES[turn % len(STATUSES)], "last_updated": stamp}
        self._send("PATCH", "locations", f"{place.id}/{evse}", body, Change(place.party.id, place.id, evse, 0.0, stamp))

    def _tariff(self, party: Party, stamp: str) -> None:
        """PUT one of the Tariffs that no other thread changes."""
        number = min(self.dice.randrange(0, party.tariff_count, self.step) + self.number, party.tariff_count - 1)
        text = [{"language": "en", "text": f"Changed at {stamp}"}]
        body = party.tariff(number) | {"tariff_alt_text": text, "last_updated": stamp}
        self._send("PUT", "tariffs", body["id"], body, Change(party.id, "", "", 0.0, stamp))

    def _send(self, method: str, kind: str, path: str, body: dict[str, Any], change: Change) -> None:
        headers = {"Authorization": f"Token {self.cpos.tokens[change.party]}", "Content-Type": "application/json"}
        try:
            self.http.request(method, f"{RECEIVER}/{kind}/NL/{change.party}/{path}", json.dumps(body), headers)
            answer = self.http.getresponse()
            code = json.loads(answer.read())["status_code"]
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            self.http.close()
            self.load.refused[type(error).__name__] += 1
            return
        if answer.status < 300 and code // 1000 == 1:
            self.load.accepted.append(change._replace(at=time.time()))
        else:
            self.load.refused[f"{method}: HTTP {answer.status}, {code}"] += 1


def upload(party: Party, kind: str, token: str, port: int) -> int:
    """Upload a party's file as NDJSON in one request and wait till it is worked through; return how many objects came of it.

    Raises RuntimeError when anything in it was refused.
    """
    path = getattr(party, kind)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Authorization": f"Token {token}", "Content-Length": str(path.stat().st_size)}
    with path.open("rb") as body:
        client.request("POST", f"/api/v1/imports?kind={kind}&mode=upsert", body, headers)
        answer = json.loads(client.getresponse().read())
    while answer.get("state") in ("queued", "running"):
        time.sleep(0.5)
        client.request("GET", f"/api/v1/imports/{answer['id']}", headers={"Authorization": f"Token {token}"})
        answer = json.loads(client.getresponse().read())
    if answer.get("state") != "done" or answer["counts"]["refused"]:
        raise RuntimeError(f"{party.id} {kind}: {answer}")
    return answer["counts"]["created"]
