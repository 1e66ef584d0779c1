"""The lists of a Sender: crawled along Link, cut into pages, filtered, and asked for wrongly.

The other side lives: objects may come, go and change during the visit. Before something is called broken that such a
change could explain, it is looked at once more.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from ocpi.conformance.caller import Answer, Caller
from ocpi.conformance.objects import Examine, List, key, look_at, moment

Keys = list[tuple[str, ...]]
SHORT_LIMITS, LONGEST_PAGE = (1, 3), 100
FEW = 4  # pages, where how they are made is looked at and not what is in them
BAD = (
    "limit=0", "limit=-1", "limit=abc", "offset=-1", "offset=1.5", "date_from=yesterday", "date_to=2026-02-30T00:00:00Z",
)  # fmt: skip
PORTS = {"https": 443, "http": 80}
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r""";\s*rel\s*=\s*("[^"]*"|[^;,]*)""", re.IGNORECASE)


class Lists:
    """Looks at lists through one Caller."""

    def __init__(self, caller: Caller) -> None:
        self.caller, self.report, self.check = caller, caller.report, caller.report.check

    # --- one after the other ---

    def crawl(self, module: str, url: str, limit: int | None, most_pages: int, examine: Examine | None) -> List:
        """Follow Link to the end and look at every object."""
        start = with_query(url, {} if limit is None else {"limit": limit})
        found, totals = List(module, url), set[int]()
        answer, seen = None, set[tuple[str, ...]]()
        for answer in self.follow(start, most_pages):
            self.report.pages += 1
            totals |= {total for total in [total_of(answer)] if total is not None}
            for one in items_of(answer):
                self.check("once", key(one) not in seen, answer.url, key(one)[2])
                seen.add(key(one))
                found.add(one)
                look_at(self.report, module, one, examine)
        found.is_whole = answer is not None and next_link(answer) is None
        self.report.objects[module] = len(found.keys)
        self.check("one-party", len({one[:2] for one in seen}) <= 1, url, "objects of several parties")
        if found.is_whole and totals:
            count = len(found.keys)
            is_so = min(totals) <= count <= max(totals) or self._is_complete(start, most_pages)
            self.check("complete", is_so, url, f"{count} objects, X-Total-Count {min(totals)}")
        return found

    def _is_complete(self, start: str, most_pages: int) -> bool:
        """Count once more: somebody may have come and another gone."""
        pages = list(self.follow(start, most_pages))
        totals = [total_of(page) or 0 for page in pages]
        return bool(pages) and min(totals) <= sum(len(items_of(page)) for page in pages) <= max(totals)

    def follow(self, url: str, most: int) -> Iterator[Answer]:
        """Yield the pages along Link, each of them looked at."""
        asked, urls, limit = dict(parse_qsl(split(url).query)), set[str](), ""
        following: str | None = url
        while following and len(urls) < most:
            urls.add(following)
            answer = self.caller.get(following)
            if not self.page(answer, asked):
                return
            yield answer
            now = answer.headers.get("X-Limit", "")
            if limit:
                self.check("limit-steady", now == limit, answer.url, f"{now} after {limit}")
            limit = now
            following = self._next(answer, asked)
            if not self.check("link-ends", following not in urls, answer.url, "Link goes in a circle"):
                return

    def page(self, answer: Answer, asked: dict[str, str]) -> bool:
        """Look at one page; return False where there is nothing to go on with."""
        what = f"HTTP {answer.status}, status_code {answer.code} {str(answer.envelope.get('status_message', ''))[:100]}"
        if not self.check("success", answer.is_success, answer.url, what):
            return False
        if not self.check("list-data", isinstance(answer.data, list), answer.url, type(answer.data).__name__):
            return False
        self.check("total", total_of(answer) is not None, answer.url, answer.headers.get("X-Total-Count"))
        given, wanted = whole(answer.headers.get("X-Limit", "")), whole(asked.get("limit", ""))
        bounds = [bound for bound in (given, wanted) if bound is not None]
        what = f"{len(answer.data)} objects, X-Limit {answer.headers.get('X-Limit')}, limit {asked.get('limit')}"
        self.check("limit", given is not None and len(answer.data) <= min(bounds), answer.url, what)
        return True

    def _next(self, answer: Answer, asked: dict[str, str]) -> str | None:
        url = next_link(answer)
        if url is None:
            return None
        here, there = split(answer.url), split(url)
        is_same = place(answer.url)[1:] == place(url)[1:] and is_safe(answer.url, url)
        if not self.check("link", is_same and here.path.rstrip("/") == there.path.rstrip("/"), answer.url, url):
            return None
        carried = dict(parse_qsl(there.query))
        filters = [name for name in ("date_from", "date_to") if name in asked]
        is_carried = all(_when(asked[name]) == _when(carried.get(name, "")) for name in filters)
        self.check("link-filters", is_carried and {"offset", "limit"} <= carried.keys(), answer.url, url)
        return url

    # --- pages ---

    def pages(self, found: List) -> None:
        """Look at how the list is cut: in short pages, by hand, in one full page, behind its end."""
        for limit in dict.fromkeys([*SHORT_LIMITS, min(max(1, len(found.keys)), LONGEST_PAGE)]):
            along = [
                key(one) for page in self.follow(with_query(found.url, {"limit": limit}), FEW) for one in items_of(page)
            ]
            self.check("steady", self._begins(found, along), found.url, f"limit={limit}")
            by_hand = self._by_hand(found.url, limit)
            is_same = self._begins(found, by_hand) and len(by_hand) >= min(len(along), len(found.keys))
            self.check("offset", is_same, found.url, f"limit={limit}, {FEW} steps: {len(by_hand)} objects")
        capped = self.caller.get(with_query(found.url, {"limit": 1_000_000}))
        self.check("limit-capped", capped.is_success, capped.url, f"HTTP {capped.status}, status_code {capped.code}")
        if found.is_whole:
            self._end(found)

    def _begins(self, found: List, keys: Keys) -> bool:
        """Return True when the list begins with these, as it was or as it is now."""
        if self._agree(found.keys, keys):
            return True
        fresh = self.follow(with_query(found.url, {"limit": LONGEST_PAGE}), FEW)
        return self._agree([key(one) for page in fresh for one in items_of(page)], keys)

    @staticmethod
    def _agree(some: Keys, others: Keys) -> bool:
        count = min(len(some), len(others))
        return some[:count] == others[:count]

    def _by_hand(self, url: str, limit: int) -> Keys:
        """Step by what the server gives at most, X-Limit, as a client does that knows no Link."""
        keys: Keys = []
        offset = 0
        for _ in range(FEW):
            answer = self.caller.get(with_query(url, {"limit": limit, "offset": offset}))
            if self.page(answer, {"limit": str(limit)}):
                keys += [key(one) for one in answer.data]
            offset += min(limit, whole(answer.headers.get("X-Limit", "")) or limit)
        return keys

    def _end(self, found: List) -> None:
        total = len(found.keys)
        beyond = self.caller.get(with_query(found.url, {"offset": total + 1000}))
        is_end = beyond.is_success and beyond.data == [] and next_link(beyond) is None
        self.check("beyond", is_end, beyond.url, f"HTTP {beyond.status}, data {str(beyond.data)[:60]}")
        if total:
            last = self.caller.get(with_query(found.url, {"offset": total - 1, "limit": 1}))
            if total_of(last) == total:  # else somebody came
                self.check("link-ends", next_link(last) is None, last.url, "Link on the last page, which is full")

    # --- filters ---

    def filters(self, found: List) -> None:
        """Cut the list in two at a moment of one of its objects; what changes meanwhile is newer than that."""
        if not found.moments:
            return
        at = sorted(found.moments)[len(found.moments) // 2]
        short = at.removesuffix(".000")
        for text in dict.fromkeys((f"{short}Z", short, f"{at}Z")):
            answer = self.caller.get(with_query(found.url, {"date_from": text, "limit": 1}))
            self.check("date-forms", answer.is_success, answer.url, f"HTTP {answer.status}, status_code {answer.code}")
        limit = min(max(1, len(found.keys) // 5), LONGEST_PAGE)  # a few pages, so that Link has to carry the filter
        for name in ("date_from", "date_to"):
            for answer in self.follow(with_query(found.url, {name: f"{short}Z", "limit": limit}), FEW):
                wrong = [
                    key(one)[2] for one in answer.data if moment(one) and (moment(one) < at) is (name == "date_from")
                ]
                self.check(name.replace("_", "-"), not wrong, answer.url, ", ".join(wrong[:3]))
        self._halves(found, f"{short}Z")

    def _halves(self, found: List, at: str) -> None:
        """What is older and what is not are together everything, and in no time at all there is nothing."""
        queries: list[dict[str, str]] = [{}, {"date_from": at}, {"date_to": at}, {"date_from": at}, {}]
        totals = [total_of(self.caller.get(with_query(found.url, {**one, "limit": 1}))) for one in queries]
        if None not in totals:
            first, newer, older, newer_still, last = (total or 0 for total in totals)
            is_all = older + newer <= max(first, last) and older + newer_still >= min(first, last)
            self.check("date-from", is_all, found.url, f"{older} before {at}, {newer} from then on, {first} in all")
        nothing = self.caller.get(with_query(found.url, {"date_from": at, "date_to": at}))
        self.check("date-to", not items_of(nothing), nothing.url, f"{len(items_of(nothing))} objects in no time at all")

    # --- parameters ---

    def parameters(self, found: List) -> None:
        """Ask wrongly, oddly, and with a slash."""
        for query in BAD:
            answer = self.caller.get(f"{bare(found.url)}?{query}")
            is_told = answer.status in (200, 400) and 2000 <= answer.code <= 2999 and not answer.data
            self.check("bad-parameter", is_told, answer.url, f"HTTP {answer.status}, status_code {answer.code}")
        for rule, url in (
            ("unknown-parameter", with_query(found.url, {"limit": 1, "colour": "green"})),
            ("slash", with_query(f"{bare(found.url)}/", {"limit": 1})),
        ):
            answer = self.caller.get(url)
            is_same = answer.is_success and self._begins(found, [key(one) for one in items_of(answer)])
            is_same = is_same and bool(items_of(answer)) == bool(found.keys)
            self.check(rule, is_same, url, f"HTTP {answer.status}, status_code {answer.code}")


def items_of(answer: Answer) -> list[Any]:
    """Return the objects of a list answer; none where it is none."""
    return answer.data if isinstance(answer.data, list) else []


def next_link(answer: Answer) -> str | None:
    """Return where Link rel="next" leads, "" where that cannot be told; None without one. Source: RFC 8288."""
    value = answer.headers.get("Link")
    if value is None:
        return None
    if "<" not in value:
        return ""
    relations = ((url, _REL.search(more)) for url, more in _LINK.findall(value))
    return next((url for url, rel in relations if rel and "next" in rel[1].strip('"').lower().split()), None)


def split(url: str) -> SplitResult:
    """Return the parts of a URL, all empty where it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def place(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port."""
    parts = split(url)
    try:
        return parts.scheme, (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return "", "", None


def with_query(url: str, more: dict[str, Any]) -> str:
    """Return the URL with parameters added."""
    parts = split(url)
    query = dict(parse_qsl(parts.query)) | {name: str(value) for name, value in more.items()}
    return urlunsplit(parts._replace(query=urlencode(query)))


def bare(url: str) -> str:
    """Return the URL without query and without a slash at its end."""
    return urlunsplit(split(url)._replace(query="")).rstrip("/")


def is_absolute(url: Any) -> bool:
    """Return True for a URL one can call as it is."""
    return (
        isinstance(url, str)
        and url.startswith(("https://", "http://"))
        and place(url)[2] is not None
        and bool(place(url)[1])
    )


def is_safe(base: str, url: Any) -> bool:
    """Return True for an absolute URL to which a credential may follow from another: never from https to http."""
    return is_absolute(url) and (place(url)[0] == "https" or place(base)[0] == "http")


def whole(text: str) -> int | None:
    """Return a whole number; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def total_of(answer: Answer) -> int | None:
    """Return X-Total-Count; None where it is none."""
    return whole(answer.headers.get("X-Total-Count", ""))


def _when(text: str) -> str:
    """Return a moment in one form, or the text as it is."""
    return moment({"last_updated": text}) or text
