"""`make demo`: CPOs upload, NDW pulls every page, a status changes and NDW gets it; on a throw-away data folder."""

import datetime as dt
import hashlib
import http.client
import json
import os
import socket
import threading
import time
import urllib.request
from argparse import ArgumentParser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import connections

from gateway import embedded, example, feed
from gateway.feed import Feed
from gateway.supervisor import Supervisor, processes
from ocpi.models import Location, Push, Tariff
from tenants import provision
from tests import ndw_simulator  # NDW's side: it runs as a process here, and its pull client crawls us

UPLOADERS = 4
DELIVERED_WITHIN_S = 300.0
STATUS_WITHIN_S = 5.0


class Command(BaseCommand):
    """Do the whole job once and print a table; exit 0 only if all of it held."""

    help = "The whole job in one go on a throw-away data folder; FEED takes NDJSON files of your own."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the one option."""
        parser.add_argument("--feed", type=Path, help="folder with CC-PARTY.locations.ndjson and .tariffs.ndjson")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start everything, run the demo, stop everything."""
        try:
            feeds = feed.read(options["feed"]) if options["feed"] else feed.built_in()
        except (OSError, ValueError) as error:
            raise CommandError(f"The feed cannot be read: {error}") from error
        data, port = embedded.data_folder(), _free_ports()
        (data / "logs").mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "NDW_ALLOWED_HOSTS": "127.0.0.1", "NDW_RATE_CAP": "500"}
        self.say("Starting PostgreSQL and Redis")
        with embedded.running(data, create=True):
            call_command("migrate", verbosity=0)
            connections.close_all()
            with Supervisor(processes(port, data / "logs", environment), data, self.say) as supervisor:
                self.say(f"Starting web, worker, beat, relay and the NDW simulator on ports {port} and {port + 1}")
                if not supervisor.wait_until_ready(port, threading.Event()):
                    raise CommandError("The gateway did not get ready.")
                ndw = example.simulator_says(supervisor["simulator"])
                held = Demo(feeds, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", ndw, self.say).run()
            connections.close_all()
        if not held:
            raise CommandError("Not everything held; see the table.")

    def say(self, line: str) -> None:
        """Print a line at once, also into a pipe."""
        self.stdout.write(line)
        self.stdout.flush()


def _free_ports() -> int:
    """Return a port that is free, and so is the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


class Demo:
    """One run against a gateway and an NDW that are up."""

    def __init__(self, feeds: list[Feed], gateway: str, ndw: str, access_to_ndw: dict[str, str], say: Any) -> None:
        self.feeds, self.gateway, self.ndw, self.say = feeds, gateway, ndw, say
        self.access_to_ndw = access_to_ndw  # push_url, token_url, client_id, client_secret
        self.access: dict[str, dict[str, Any]] = {}
        self.rows: list[tuple[str, str, str, bool]] = []
        self.refused: list[str] = []

    def run(self) -> bool:
        """Do all steps; return True when every row of the table held."""
        self.provision()
        self.upload()
        self.await_delivery()
        self.pull()
        self.change_a_status()
        self.print_table()
        return all(held for *_, held in self.rows)

    def note(self, step: str, what: str, took: str, held: bool) -> None:
        """Add a row to the table."""
        self.rows.append((step, what, took, held))

    def provision(self) -> None:
        """Make a tenant for each party, with its tokens and its Connection to the simulator."""
        for one in self.feeds:
            tenant = provision.tenant(one.country_code, one.party_id, "")
            provision.connection(tenant, "staging", **self.access_to_ndw)
            self.access[str(tenant)] = provision.credentials(tenant, upload=True, pull=True, oauth=False)
        self.say(f"Provisioned {len(self.feeds)} tenants: {', '.join(self.access)}")

    def upload(self) -> None:
        """PUT every object under its own party, tariffs first, over HTTP."""
        started = time.monotonic()
        with ThreadPoolExecutor(UPLOADERS) as pool:
            for kind in ("tariffs", "locations"):
                self.say(f"Uploading {sum(len(getattr(one, kind)) for one in self.feeds)} {kind}")
                jobs = [(one, kind, number) for one in self.feeds for number in range(UPLOADERS)]
                for refusals in pool.map(lambda job: self._put_share(*job), jobs):
                    self.refused += refusals
        seconds = time.monotonic() - started
        count = sum(len(one.tariffs) + len(one.locations) for one in self.feeds)
        for line in self.refused[:10]:
            self.say(f"  refused: {line}")
        what = f"{count - len(self.refused)} of {count} objects accepted"
        self.note("CPOs upload", what, f"{seconds:.1f} s, {count / seconds:.0f}/s", not self.refused)

    def _put_share(self, one: Feed, kind: str, number: int) -> list[str]:
        """Upload every UPLOADERS-th object of a feed over one connection; return what was refused."""
        party = f"{one.country_code}-{one.party_id}"
        refused = []
        with closing(http.client.HTTPConnection(self.gateway.removeprefix("http://"), timeout=60)) as client:
            for document in getattr(one, kind)[number::UPLOADERS]:
                path = f"/ocpi/receiver/2.2.1/{kind}/{one.country_code}/{one.party_id}/{quote(document['id'], safe='')}"
                status, answer = self._call(client, "PUT", path, self.access[party]["upload_token"], document)
                if status not in (200, 201) or answer["status_code"] != 1000:
                    refused.append(f"{party} {kind} {document['id']}: HTTP {status}, {answer['status_message']}")
        return refused

    def _call(
        self, client: http.client.HTTPConnection, method: str, path: str, token: str, body: Any
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
        client.request(method, path, json.dumps(body), headers)
        response = client.getresponse()
        return response.status, json.loads(response.read())

    def await_delivery(self) -> None:
        """Wait until NDW has accepted everything it may have, then compare what it holds with what we serve."""
        started, said = time.monotonic(), 0.0
        while (
            waiting := Push.objects.exclude(state=Push.State.DELIVERED).count()
        ) and time.monotonic() - started < DELIVERED_WITHIN_S:
            if time.monotonic() - said > 2:
                said = time.monotonic()
                self.say(f"Pushing to NDW: {waiting} to go")
            time.sleep(0.2)
        held = {name: self._state(name) for name in ("locations", "tariffs")}
        ours = {"locations": self._shown(Location), "tariffs": self._shown(Tariff)}
        same = all(
            {quote(path, safe="*/").lower(): json.loads(body) for path, body in ours[name].items()}
            == {path.lower(): document for path, document in held[name].items()}
            for name in ours
        )
        what = f"NDW holds {len(held['locations'])} Locations, {len(held['tariffs'])} Tariffs; {waiting} waiting or rejected"
        self.note(
            "worker pushes", what, f"{time.monotonic() - started:.1f} s after the last upload", same and not waiting
        )

    def _state(self, name: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.ndw}/_state?full=1", timeout=60) as response:  # noqa: S310 - our own address
            return json.load(response)["documents"][name]

    def _shown(self, model: Any) -> dict[str, bytes]:
        """Return what NDW may see: "CC/PARTY/id" -> stored bytes."""
        rows = model.objects.filter(is_shown=True) if model is Location else model.objects.filter(deleted_at=None)
        found = rows.select_related("tenant").order_by("pk")
        return {f"{one.tenant.country_code}/{one.tenant.party_id}/{one.ocpi_id}": bytes(one.body) for one in found}

    def pull(self) -> None:
        """Crawl every tenant as NDW does each day; every object must be, byte for byte, what is stored."""
        started, pages, size, problems = time.monotonic(), 0, 0, []
        pulled: dict[str, list[str]] = {"locations": [], "tariffs": []}
        for party, access in self.access.items():
            root = f"{self.gateway}/ocpi/sender/{party.replace('-', '/')}"
            crawl = ndw_simulator.crawl(versions_url=f"{root}/versions", token=access["pull_token"], limit=100)
            pages, size = pages + crawl.pages, size + crawl.bytes
            problems += crawl.problems
            for name, digests in pulled.items():
                digests += [one.sha256 for one in getattr(crawl, name)]
        stored = {"locations": self._shown(Location), "tariffs": self._shown(Tariff)}
        same = all(
            sorted(pulled[name]) == sorted(hashlib.sha256(body).hexdigest() for body in stored[name].values())
            for name in stored
        )
        for problem in problems[:10]:
            self.say(f"  NDW complains: {problem}")
        withheld = Location.objects.filter(is_shown=False).count()
        what = f"{len(pulled['locations'])} Locations, {len(pulled['tariffs'])} Tariffs on {pages} pages, {withheld} withheld; "
        what += "byte for byte as stored" if same else "NOT what is stored"
        seconds = time.monotonic() - started
        self.note("NDW pulls", what, f"{seconds:.1f} s, {size / 1e6:.1f} MB", same and not problems)

    def change_a_status(self) -> None:
        """PATCH one EVSE of each tenant and wait until NDW has accepted it."""
        took = [self._change(party, location) for party, location in self._one_shown_each()]
        for party, seconds in took:
            words = f"{seconds:.2f} s from change to acceptance" if seconds else "never accepted"
            self.note("status changes", party, words, seconds is not None and seconds < STATUS_WITHIN_S)
        if not took:
            self.note("status changes", "no Location is shown to NDW: nothing to change", "", False)

    def _one_shown_each(self) -> Iterator[tuple[str, Location]]:
        for party in self.access:
            country_code, party_id = party.split("-")
            shown = Location.objects.filter(tenant__country_code=country_code, tenant__party_id=party_id, is_shown=True)
            if location := shown.filter(evse_count__gt=0).first():
                yield party, location

    def _change(self, party: str, location: Location) -> tuple[str, float | None]:
        evse = location.document["evses"][0]
        status = "CHARGING" if evse["status"] != "CHARGING" else "AVAILABLE"
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ids = "/".join(quote(part, safe="") for part in (location.ocpi_id, evse["uid"]))
        path = f"/ocpi/receiver/2.2.1/locations/{party.replace('-', '/')}/{ids}"
        started = time.time()
        with closing(http.client.HTTPConnection(self.gateway.removeprefix("http://"), timeout=60)) as client:
            self._call(
                client, "PATCH", path, self.access[party]["upload_token"], {"status": status, "last_updated": now}
            )
        push = Push.objects.filter(location=location)
        while time.time() - started < 2 * STATUS_WITHIN_S:
            if push.filter(
                state=Push.State.DELIVERED, accepted_at__gt=dt.datetime.fromtimestamp(started, dt.UTC)
            ).exists():
                return party, push.get().accepted_at.timestamp() - started  # type: ignore[union-attr]
            time.sleep(0.02)
        return party, None

    def print_table(self) -> None:
        """Print what was done, what came of it, how long it took and whether it held."""
        widths = [max(len(row[column]) for row in self.rows) for column in range(3)]
        self.say("")
        for *texts, held in self.rows:
            cells = "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True))
            self.say(f"  {'ok ' if held else 'NOT'}  {cells}".rstrip())
        self.say("")
