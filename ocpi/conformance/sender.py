"""Visit an OCPI 2.2.1 Sender as a peer that takes the book at its word, and note every rule it breaks.

Nothing is written at the other side, and a page is asked for again no more often than a rule needs it.
"""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ocpi.conformance.book import Report
from ocpi.conformance.caller import Answer, Caller
from ocpi.conformance.lists import Lists, bare, is_safe, split
from ocpi.conformance.objects import Examine, List, is_same_or_newer, items

MODULES = ("locations", "tariffs")
NOBODY = "no-such-object-d1f6"
FORMS = ("in Base64", "raw", "in Base64 with a newline")


@dataclass
class Sender:
    """Who is visited: any of its URLs (versions, details or a list), and a token or an OAuth2 access token."""

    url: str
    token: str = ""
    bearer: str = ""

    def forms(self) -> list[str]:
        """Return the Authorization headers that should all be taken, the one by the book first."""
        if self.bearer:
            return [f"Bearer {self.bearer}"]
        packed = [base64.b64encode(f"{self.token}{end}".encode()).decode() for end in ("", "\n")]
        return [f"Token {packed[0]}", f"Token {self.token}", f"Token {packed[1]}"]

    def secrets(self) -> list[str]:
        """Return what must not be shown, the longest first."""
        values = {form.partition(" ")[2] for form in self.forms()}
        return sorted(values, key=len, reverse=True)


def check_sender(
    sender: Sender,
    *,
    limit: int | None = None,
    most_pages: int = 10_000,
    examine: Examine | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Look at everything a Sender must do; return the report. Raises Unreachable.

    `limit`: the page size of the crawl, the server's own when None. `examine` says what is wrong with one object
    (`location` or `tariff`, document). `say` is told how far it is.
    """
    report, began = Report(secrets=sender.secrets()), time.monotonic()
    caller = Caller(report, sender.forms()[0])
    first = _let_in(caller, sender)
    visit = _Visit(caller)
    visit.credentials(sender, first)
    lists, found = Lists(caller), {}
    for module, url in visit.endpoints(first).items():
        say(f"{module}: crawling {url}")
        found[module] = lists.crawl(module, url, limit, most_pages, examine)
        say(f"{module}: {len(found[module].keys)} objects; now pages, filters and parameters")
        lists.pages(found[module])
        lists.filters(found[module])
        lists.parameters(found[module])
    if "locations" in found:
        visit.singles(found["locations"])
    visit.tariffs_named(found)
    report.seconds = time.monotonic() - began
    return report


def _let_in(caller: Caller, sender: Sender) -> Answer:
    """Return the first answer, with the form of the credential that opens the door."""
    answer = caller.get(sender.url)
    for form in sender.forms()[1:]:
        if answer.status == 401:
            answer = caller.get(sender.url, authorization=form)
            caller.authorization = form if answer.status != 401 else caller.authorization
    return answer


class _Visit:
    """What is looked at besides lists."""

    def __init__(self, caller: Caller) -> None:
        self.caller, self.check = caller, caller.report.check

    def credentials(self, sender: Sender, first: Answer) -> None:
        """Come with the right credential in all its forms, with none, with a wrong one."""
        self.check("success", first.is_success, first.url, f"HTTP {first.status}, status_code {first.code}")
        right = sender.forms()[0].partition(" ")[2]
        for rule, header in (
            ("no-credential", ""),
            ("bad-credential", "Token bm9ib2R5"),
            ("bad-scheme", f"Basic {right}"),
        ):
            answer = self.caller.get(sender.url, authorization=header)
            if self.check(rule, answer.status == 401, sender.url, f"HTTP {answer.status}"):
                self.check("challenge", answer.headers.get("WWW-Authenticate"), sender.url, "no WWW-Authenticate")
        for name, header in zip(FORMS, sender.forms(), strict=False) if sender.token else ():
            status = self.caller.get(sender.url, authorization=header).status
            self.check("encodings", status == 200, sender.url, f"{name}: HTTP {status}")

    def endpoints(self, first: Answer) -> dict[str, str]:
        """Return the URLs of the lists, from wherever we were let in."""
        if isinstance(first.data, list) and not any(isinstance(one, dict) and "version" in one for one in first.data):
            return {"tariffs" if "/tariffs" in split(first.url).path else "locations": first.url}
        return self._details(self._details_answer(first) if isinstance(first.data, list) else first)

    def _details_answer(self, first: Answer) -> Answer:
        versions: list[Any] = first.data
        are_versions = all(
            isinstance(one, dict) and isinstance(one.get("version"), str) and is_safe(first.url, one.get("url"))
            for one in versions
        )
        urls = [one["url"] for one in versions if one["version"] == "2.2.1"] if are_versions else []
        if not self.check("versions", urls, first.url, f"no 2.2.1 with an absolute URL in {str(versions)[:100]}"):
            return Answer(first.url, 0, {})
        return self.caller.get(urls[0])

    def _details(self, answer: Answer) -> dict[str, str]:
        ends = [one for one in items(answer.data, "endpoints") if isinstance(one.get("identifier"), str)]
        is_sound = ends and len(ends) == len(answer.data["endpoints"])
        is_sound = is_sound and all(one.get("role") in ("SENDER", "RECEIVER") for one in ends)
        is_sound = is_sound and all(is_safe(answer.url, one.get("url")) for one in ends)
        version = answer.data.get("version") if isinstance(answer.data, dict) else None
        self.check("details", version == "2.2.1" and is_sound, answer.url, f"HTTP {answer.status}, {str(ends)[:200]}")
        senders = [one for one in ends if one.get("role") == "SENDER" and is_safe(answer.url, one.get("url"))]
        found = {one["identifier"]: one["url"] for one in senders}
        for module in MODULES:
            self.check("modules", module in found, answer.url, f"no SENDER of {module}")
        return {module: found[module] for module in MODULES if module in found}

    def singles(self, locations: List) -> None:
        """Ask for some Locations one by one, for parts of them, and for what is not there."""
        for one in locations.samples:
            url = f"{bare(locations.url)}/{_segment(one.get('id'))}"
            answer = self.caller.get(url)
            is_same = answer.is_success and is_same_or_newer(answer.data, one)
            self.check("single", is_same, url, f"HTTP {answer.status}, {str(answer.data)[:80]}")
            for evse in items(one, "evses")[:1]:
                self._part(f"{url}/{_segment(evse.get('uid'))}", "uid", evse)
                for connector in items(evse, "connectors")[:1]:
                    self._part(f"{url}/{_segment(evse.get('uid'))}/{_segment(connector.get('id'))}", "id", connector)
        for below in (NOBODY, f"{NOBODY}/1", f"{NOBODY}/1/1"):
            answer = self.caller.get(f"{bare(locations.url)}/{below}")
            is_told = answer.status == 404 and 2000 <= answer.code <= 2999
            self.check("unknown-object", is_told, answer.url, f"HTTP {answer.status}, status_code {answer.code}")

    def _part(self, url: str, name: str, part: dict[str, Any]) -> None:
        answer = self.caller.get(url)
        is_it = answer.is_success and isinstance(answer.data, dict) and answer.data.get(name) == part.get(name)
        self.check("part", is_it, url, f"HTTP {answer.status}, {str(answer.data)[:80]}")

    def tariffs_named(self, found: dict[str, List]) -> None:
        """Compare what Locations name with the list of Tariffs."""
        if len(found) == len(MODULES) and found["tariffs"].is_whole:
            known = {key[2] for key in found["tariffs"].keys}
            for tariff_id, location_id in found["locations"].named.items():
                self.check("known-tariffs", tariff_id in known, f"location {location_id}", f"{tariff_id} is not listed")


def _segment(value: object) -> str:
    return quote(str(value), safe="")
