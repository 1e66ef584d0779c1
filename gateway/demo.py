"""The whole job, once, against a gateway and an NDW that are up: what `make demo` does between starting and stopping.

Everything goes over HTTP as CPOs and NDW do it; the database is only asked what should be there.
"""

import datetime as dt
import hashlib
import http.client
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gateway.feed import Feed
from ocpi.models import Location, Push, Tariff
from tenants import provision
from tests import ndw_simulator  # NDW's pull client; it knows nothing of our code

UPLOADERS = 4
DELIVERED_WITHIN_S = 300.0
STATUS_WITHIN_S = 5.0
SHOWN_PROBLEMS = 10
Key = tuple[str, str, str]  # country_code, party_id, id


@dataclass
class Demo:
    """One run; `ndw` is what the simulator said of itself: push_url, token_url, client_id, client_secret."""

    feeds: list[Feed]
    gateway: str
    ndw: dict[str, str]
    say: Callable[[str], None]
    access: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def run(self) -> bool:
        """Do all steps and print the table; return True when every row of it held."""
        self._provision()
        self._upload()
        self._await_delivery()
        self._pull()
        self._change_statuses()
        self._print_table()
        return all(held for *_, held in self.rows)

    def _provision(self) -> None:
        for feed in self.feeds:
            tenant = provision.tenant(feed.country_code, feed.party_id, "")
            provision.connection(tenant, "staging", **self.ndw)
            self.access[str(tenant)] = provision.credentials(tenant, upload=True, pull=True, oauth=False)
        self.say(f"Provisioned {len(self.feeds)} tenants: {', '.join(self.access)}")

    def _upload(self) -> None:
        """PUT every object under its own party, tariffs first."""
        started = time.monotonic()
        refused: list[str] = []
        with ThreadPoolExecutor(UPLOADERS) as pool:
            for kind in ("tariffs", "locations"):
                self.say(f"CPOs upload {sum(len(getattr(feed, kind)) for feed in self.feeds)} {kind}")
                shares = [(feed, kind, number) for feed in self.feeds for number in range(UPLOADERS)]
                for refusals in pool.map(lambda share: self._put_share(*share), shares):
                    refused += refusals
        seconds, count = time.monotonic() - started, sum(len(feed.tariffs) + len(feed.locations) for feed in self.feeds)
        self._tell(refused)
        what = f"{count - len(refused)} of {count} objects accepted"
        self.rows.append(("CPOs upload", what, f"{seconds:.1f} s, {count / seconds:.0f}/s", not refused))

    def _put_share(self, feed: Feed, kind: str, number: int) -> list[str]:
        """Upload every UPLOADERS-th object of a feed over one connection; return what was refused."""
        party, refused = f"{feed.country_code}-{feed.party_id}", []
        with closing(self._client()) as client:
            for document in getattr(feed, kind)[number::UPLOADERS]:
                status, answer = self._call(client, "PUT", party, f"{kind}/{{}}/{_path(document['id'])}", document)
                if status not in (200, 201) or answer["status_code"] != 1000:
                    refused.append(f"{party} {kind} {document['id']}: HTTP {status}, {answer['status_message']}")
        return refused

    def _client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.gateway.removeprefix("http://"), timeout=60)

    def _call(
        self, client: http.client.HTTPConnection, method: str, party: str, path: str, body: Any
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Token {self.access[party]['upload_token']}", "Content-Type": "application/json"}
        url = "/ocpi/receiver/2.2.1/" + path.format(party.replace("-", "/"))
        client.request(method, url, json.dumps(body), headers)
        response = client.getresponse()
        return response.status, json.loads(response.read())

    def _await_delivery(self) -> None:
        """Wait until NDW has accepted everything, then compare what it holds with what we show."""
        self.say("The worker pushes to NDW")
        started, said = time.monotonic(), time.monotonic()
        while (
            waiting := Push.objects.exclude(state="delivered").count()
        ) and time.monotonic() < started + DELIVERED_WITHIN_S:
            if time.monotonic() - said > 2:
                said = time.monotonic()
                self.say(f"  {waiting} to go")
            time.sleep(0.1)
        seconds = time.monotonic() - started
        held, shown = self._held_by_ndw(), _shown()
        same = all({path: json.loads(body) for path, body in shown[kind].items()} == held[kind] for kind in shown)
        what = f"NDW holds {len(held['locations'])} Locations, {len(held['tariffs'])} Tariffs; {waiting} waiting or rejected"
        self.rows.append(("worker pushes", what, f"{seconds:.1f} s after the last upload", same and not waiting))

    def _held_by_ndw(self) -> dict[str, dict[Key, Any]]:
        root = self.ndw["push_url"].removesuffix(ndw_simulator.PUSH_PATH)
        with urllib.request.urlopen(f"{root}/_state?full=1", timeout=60) as response:  # noqa: S310 - our own address
            documents = json.load(response)["documents"]
        return {kind: {_key(document): document for document in documents[kind].values()} for kind in documents}

    def _pull(self) -> None:
        """Crawl every tenant as NDW does each day; every object must be, byte for byte, what is stored."""
        self.say("NDW pulls every page of every tenant")
        started, pages, size = time.monotonic(), 0, 0
        problems: list[str] = []
        pulled: dict[str, list[str]] = {"locations": [], "tariffs": []}
        for party, access in self.access.items():
            versions = f"{self.gateway}/ocpi/sender/{party.replace('-', '/')}/versions"
            crawl = ndw_simulator.crawl(versions_url=versions, token=access["pull_token"], limit=100)
            pages, size, problems = pages + crawl.pages, size + crawl.bytes, problems + crawl.problems
            for kind, digests in pulled.items():
                digests += [one.sha256 for one in getattr(crawl, kind)]
        seconds, shown = time.monotonic() - started, _shown()
        self._tell(problems)
        same = all(
            sorted(pulled[kind]) == sorted(hashlib.sha256(body).hexdigest() for body in shown[kind].values())
            for kind in shown
        )
        counts = f"{len(pulled['locations'])} Locations, {len(pulled['tariffs'])} Tariffs on {pages} pages"
        withheld = Location.objects.filter(is_shown=False).count()
        what = f"{counts}, {withheld} withheld; {'byte for byte as stored' if same else 'NOT what is stored'}"
        self.rows.append(("NDW pulls", what, f"{seconds:.1f} s, {size / 1e6:.1f} MB", same and not problems))

    def _change_statuses(self) -> None:
        """PATCH one EVSE of each tenant and wait until NDW has accepted it."""
        self.say("A status changes at every CPO")
        for party, location in self._one_shown_each():
            seconds = self._change_status(party, location)
            words = "never accepted" if seconds is None else f"{seconds:.2f} s from change to acceptance"
            self.rows.append(("status changes", party, words, seconds is not None and seconds < STATUS_WITHIN_S))
        if self.rows[-1][0] != "status changes":
            self.rows.append(("status changes", "NDW sees no Location: nothing to change", "", False))

    def _one_shown_each(self) -> Iterator[tuple[str, Location]]:
        for party in self.access:
            country_code, party_id = party.split("-")
            shown = Location.objects.filter(tenant__country_code=country_code, tenant__party_id=party_id, is_shown=True)
            if location := shown.filter(evse_count__gt=0).first():
                yield party, location

    def _change_status(self, party: str, location: Location) -> float | None:
        """Return the seconds from the request to NDW's acceptance, None when it never came."""
        evse, started = location.document["evses"][0], dt.datetime.now(dt.UTC)
        patch = {
            "status": "AVAILABLE" if evse["status"] == "CHARGING" else "CHARGING",
            "last_updated": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        with closing(self._client()) as client:
            self._call(client, "PATCH", party, f"locations/{{}}/{_path(location.ocpi_id)}/{_path(evse['uid'])}", patch)
        accepted = Push.objects.filter(location=location, state="delivered", accepted_at__gt=started)
        until = time.monotonic() + 2 * STATUS_WITHIN_S
        while time.monotonic() < until:
            if push := accepted.first():
                return (push.accepted_at - started).total_seconds()  # type: ignore[operator]
            time.sleep(0.02)
        return None

    def _tell(self, problems: list[str]) -> None:
        for problem in problems[:SHOWN_PROBLEMS]:
            self.say(f"  {problem}")
        if len(problems) > SHOWN_PROBLEMS:
            self.say(f"  … and {len(problems) - SHOWN_PROBLEMS} more")

    def _print_table(self) -> None:
        widest = max(len(what) for _, what, _, _ in self.rows)
        self.say("")
        for step, what, took, held in self.rows:
            self.say(f"  {'ok ' if held else 'NOT'}  {step:<14}  {what.ljust(widest)}  {took}")
        self.say("")


def _shown() -> dict[str, dict[Key, bytes]]:
    """Return the stored bytes of what NDW may see, by party and id."""
    found = {
        "locations": Location.objects.filter(is_shown=True).select_related("tenant"),
        "tariffs": Tariff.objects.filter(deleted_at=None).select_related("tenant"),
    }
    return {
        kind: {(one.tenant.country_code, one.tenant.party_id, one.ocpi_id): bytes(one.body) for one in rows}
        for kind, rows in found.items()
    }


def _key(document: dict[str, Any]) -> Key:
    return document["country_code"], document["party_id"], document["id"]


def _path(segment: str) -> str:
    return quote(segment, safe="").replace("{", "%7B").replace("}", "%7D")
