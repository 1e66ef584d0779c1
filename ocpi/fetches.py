"""One fetch from a CPO's own OCPI Sender, and a test of one.

Nothing is handed over before all of it is there: a full set that lacks a page would remove what is on it. Pages are kept in a
temporary file meanwhile.
Source: OCPI 2.2.1 transport_and_format, "Pagination"; mod_locations, mod_tariffs, "Sender Interface"; design §7 "Full sets".
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from ocpi import crawl, errors, imports, intake
from ocpi.crawl import Sender, SenderError
from ocpi.models import Import, Source
from tenants import secrets
from tenants.models import Tenant

LONGEST_FETCH_S, TEST_S = 1800.0, 25.0
OVERLAP = dt.timedelta(minutes=5)  # what was stamped before and written after the last look
OFF_CLOCK = dt.timedelta(days=1)  # a Sender whose clock is further behind is not believed
KINDS: dict[str, Literal["location", "tariff"]] = {"locations": "location", "tariffs": "tariff"}
_PIECE = 1_048_576


@dataclass
class Result:
    """What a fetch came to."""

    is_full: bool
    error: str = ""
    rest_s: float = 0.0  # so long the Sender wants to be left alone
    counts: dict[str, int] = field(default_factory=dict)  # handed over, by module; pages
    foreign: Counter[str] = field(default_factory=Counter)  # objects of other parties
    endpoints: dict[str, str] = field(default_factory=dict)
    seen_until: dict[str, dt.datetime] = field(default_factory=dict)  # by module
    imports: list[Import] = field(default_factory=list)

    def __str__(self) -> str:
        handed = [f"{self.counts[module]} {module.capitalize()}" for module in KINDS if self.counts.get(module)]
        words = f"{'Everything' if self.is_full else 'Changes'}: {', '.join(handed) or 'nothing'}."
        if self.foreign:
            parties = ", ".join(party for party, _ in self.foreign.most_common(5))
            words += f" Left out: {self.foreign.total()} of other parties ({parties})."
        return words


def fetch(source: Source, *, is_full: bool, keep: Callable[[], None] = lambda: None) -> Result:
    """Fetch everything, or what changed since the last good fetch, and hand it over when all of it is there.

    `keep` is called every now and then; what it raises ends the fetch. What goes wrong at the Sender is in the Result.
    """
    result = Result(is_full)
    try:
        sender = _sender(source, LONGEST_FETCH_S)
        if is_full or not set(source.modules) <= source.endpoints.keys():
            result.endpoints = sender.endpoints()[1]
        else:
            result.endpoints = source.endpoints
        with ExitStack() as files:
            sets = [_Set(source, module, files.enter_context(TemporaryFile())) for module in source.modules]
            for one in sets:
                one.read(sender, result, keep)
            for one in sets:
                one.hand_over(result, keep)
    except SenderError as error:
        result.error, result.rest_s = str(error), error.rest_s
    except (errors.OcpiError, secrets.Undecryptable) as error:
        result.error = str(error)
    if result.imports:
        imports.ring()
    return result


def _sender(source: Source, longest_s: float) -> Sender:
    is_base64 = source.token_form == Source.TokenForm.BASE64
    return Sender(source.url, source.token, is_base64=is_base64, longest_s=longest_s)


class _Set:
    """What a Sender has of one module, in a file, an object a line."""

    def __init__(self, source: Source, module: str, file: IO[bytes]) -> None:
        self.source, self.module, self.file = source, module, file
        self.asked_at = timezone.now()
        self.keys, self.count, self.size, self.unnamed, self.came = set[str](), 0, 0, 0, 0
        self.totals: list[int] = []

    def read(self, sender: Sender, result: Result, keep: Callable[[], None]) -> None:
        """Read all pages. Raises SenderError."""
        url = result.endpoints.get(self.module)
        if url is None:
            raise SenderError(f"Version details: no list of {self.module} as SENDER.")
        since = None if result.is_full else getattr(self.source, f"{self.module}_from")
        query = {"date_from": f"{since.astimezone(dt.UTC) - OVERLAP:%Y-%m-%dT%H:%M:%SZ}"} if since else {}
        self.asked_at = timezone.now()
        for page in sender.pages(self.module, url, **query, limit=crawl.LIMIT):
            keep()
            result.counts["pages"] = result.counts.get("pages", 0) + 1
            result.seen_until.setdefault(self.module, _slower(self.asked_at, page.at))
            self.totals += [] if page.total is None else [page.total]
            for raw, body in page.objects:
                self._take(raw, body, result)
        self._look_back(result)

    def _take(self, raw: bytes, body: Any, result: Result) -> None:
        self.came += 1
        named, party = _identity(body)
        self.unnamed += not named
        self.keys |= {named} if named else set()
        if party and not self.source.tenant.owns(*party):
            result.foreign["-".join(party)[:6] if "".join(party).isalnum() else "?"] += 1
            return
        self.count, self.size = self.count + 1, self.size + len(raw) + 1
        if self.size > settings.IMPORT_MAX_BYTES:
            raise SenderError(f"{self.module.capitalize()}: more than {settings.IMPORT_MAX_BYTES:,} bytes in all.")
        self.file.write(raw + b"\n")

    def _look_back(self, result: Result) -> None:
        """Demand of everything that it is everything; have a part that moved under the reader looked at again."""
        different = len(self.keys) + self.unnamed
        is_steady = self.totals == sorted(self.totals) and self.totals[-1:] in ([], [different])
        if result.is_full and not is_steady:
            raise SenderError(
                f"{self.module.capitalize()}: {different} different objects came where X-Total-Count says "
                f"{self.totals[-1]}: the list is not complete, or changed while it was read."
            )
        if different < self.came or not is_steady:
            result.seen_until.pop(self.module)

    def hand_over(self, result: Result, keep: Callable[[], None]) -> None:
        """Make an import of it. Raises OcpiError."""
        result.counts[self.module] = self.count
        if not self.count and not result.is_full:
            return
        what, host = "Everything" if result.is_full else "Changes", urlsplit(self.source.url).netloc
        mode = Import.Mode.FULL if result.is_full else Import.Mode.UPSERT
        one = intake.receive(
            self.source.tenant, KINDS[self.module], self._pieces(keep), mode=mode, is_ndjson=True,
            origin=f"{what} from {host}", as_of=self.asked_at,
        )  # fmt: skip
        result.imports.append(one)

    def _pieces(self, keep: Callable[[], None]) -> Iterator[bytes]:
        self.file.seek(0)
        while piece := self.file.read(_PIECE):
            keep()
            yield piece


def _identity(body: Any) -> tuple[str, tuple[str, str] | None]:
    """Return what makes an object different from others ("" when that cannot be told), and whose it says it is."""
    if not isinstance(body, dict):
        return "", None
    country_code, party_id, ocpi_id = (body.get(name) for name in ("country_code", "party_id", "id"))
    named = f"{country_code} {party_id} {ocpi_id}".lower() if isinstance(ocpi_id, str) else ""
    if isinstance(country_code, str) and isinstance(party_id, str):
        return named, (country_code, party_id)
    return named, None


def _slower(ours: dt.datetime, theirs: dt.datetime | None) -> dt.datetime:
    """Return the earlier of two clocks: what is stamped from then on is what comes next."""
    return theirs if theirs and ours - OFF_CLOCK < theirs < ours else ours


# --- A test ------------------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """What a test found out."""

    is_good: bool
    words: str


def test(source: Source) -> list[Line]:
    """Try everything a fetch needs, with the first object of each list; nothing is stored."""
    try:
        sender = _sender(source, TEST_S)
        versions, lists = sender.endpoints()
    except (SenderError, secrets.Undecryptable) as error:
        return [Line(False, str(error))]
    offered = f"Versions: {', '.join(versions)}. " if versions else ""
    found = ", ".join(sorted(lists)) or "no list"
    lines = [Line(bool(lists), f"{offered}Version details of {crawl.VERSION}: {found} as SENDER.")]
    return lines + [_tested(source.tenant, sender, module, lists.get(module)) for module in source.modules]


def _tested(tenant: Tenant, sender: Sender, module: str, url: str | None) -> Line:
    if url is None:
        return Line(False, f"Version details: no list of {module} as SENDER.")
    try:
        page = next(sender.pages(module, url, limit=1))
    except SenderError as error:
        return Line(False, str(error))
    name = module.capitalize()
    if not page.objects:
        return Line(True, f"{name}: the list is empty.")
    body = page.objects[0][1]
    _, party = _identity(body)
    whose = f" of {_printable('-'.join(party)[:10])}" if party else ""
    shown_id = _printable(str(body.get("id"))[:36]) if isinstance(body, dict) else "no object"
    if party and not tenant.owns(*party):
        return Line(
            False, f"{name}: the first, {shown_id}, is{whose} and not of {tenant}; only the tenant's own are taken."
        )
    if page.total is None:
        return Line(
            False, f"{name}: the first is {shown_id}{whose}. X-Total-Count is missing: a lost page would not be seen."
        )
    return Line(True, f"{name}: {page.total} there, the first is {shown_id}{whose}.")


def _printable(text: str) -> str:
    """Return text without what no page can show, such as half a character."""
    return "".join(filter(str.isprintable, text))
