"""Ask a CPO's OCPI Sender: where its lists are, and the pages of a list along Link. Knows no source and judges no object.

Whatever is wrong is told in a sentence for the operator, never with the token. A Sender's answers are untrusted input: no
redirect is followed, sizes and times have limits, and where it leads is vetted like what an operator typed, without the
exceptions.
Source: OCPI 2.2.1 transport_and_format, "Pagination", "Response format"; version_information_endpoint; reliability C28.
"""

import base64
import datetime as dt
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import orjson
import requests
import urllib3

from ocpi import errors, intake, outgoing
from tenants import addresses

VERSION = "2.2.1"
LIMIT = 100  # objects on a page; a Sender that gives fewer says so by Link
MOST_PAGES = 100_000
LARGEST_PAGE = 64 * 2**20  # bytes, decompressed
MOST_VALUES = 4_000_000  # on a page: what bounds the memory it takes
CONNECT_S, READ_S, VERSIONS_S, PAGE_S = 5.0, 20.0, 15.0, 60.0
LONGEST_REST_S = 900.0
ELSEWHERE = {400, 404, 405, 406, 410}  # what a Sender says where its versions are not
_PIECE = 65_536
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")  # and half characters
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r""";\s*rel\s*=\s*("[^"]*"|[^;,]*)""", re.IGNORECASE)
_WORD = re.compile(r"""[^\s"']+""")
_HINTS = {
    401: "the Sender does not know this token, or wants it in the other form",
    403: "the Sender knows the token but refuses it",
    404: "there is nothing at this address",
    429: "asked too often",
}


class SenderError(Exception):
    """Why there is nothing to be had, in a sentence for the operator."""

    def __init__(self, words: str, *, is_elsewhere: bool = False, rest_s: float = 0.0) -> None:
        super().__init__(words)
        self.is_elsewhere = is_elsewhere  # something may be at another address
        self.rest_s = rest_s  # so long the Sender wants to be left alone


class Page(NamedTuple):
    """One page of a list: each object as its bytes and parsed."""

    objects: list[tuple[bytes, Any]]
    total: int | None
    at: dt.datetime | None  # by the Sender's clock
    next_url: str | None


class _Answer(NamedTuple):
    raw: bytes
    envelope: dict[str, Any]
    headers: Any


class Sender:
    """One conversation with a Sender, with an end."""

    def __init__(self, url: str, token: str, *, is_base64: bool, longest_s: float) -> None:
        self.url, self.ends_at = url, time.monotonic() + longest_s
        packed = base64.b64encode(token.encode()).decode()
        self._secrets = [packed, token]
        self._authorization = f"Token {packed if is_base64 else token}"

    # --- Where things are ---

    def endpoints(self) -> tuple[list[str], dict[str, str]]:
        """Return which versions are offered, and where version 2.2.1 has lists as SENDER. Raises SenderError."""
        what, versions = "Versions", list[str]()
        try:
            data = self._get(what, self.url).envelope.get("data")
        except SenderError as error:
            if not error.is_elsewhere:
                raise
            data = self._get(f"{error} Versions", f"{self.url.rstrip('/')}/versions").envelope.get("data")
        if isinstance(data, list):
            pairs = [(one.get("version"), one.get("url")) for one in data if isinstance(one, dict)]
            offered = {version: url for version, url in pairs if isinstance(version, str) and isinstance(url, str)}
            versions = sorted(self._clean(version[:10]) for version in offered)
            if VERSION not in offered:
                raise SenderError(f"Versions: no {VERSION} among {', '.join(versions) or 'none'}.")
            data = self._get("Version details", _joined("Versions", self.url, offered[VERSION])).envelope.get("data")
        return versions, self._lists(data)

    def _lists(self, details: Any) -> dict[str, str]:
        found = details.get("endpoints") if isinstance(details, dict) else None
        if not isinstance(found, list):
            raise SenderError(f"{self.url}: neither versions nor version details of OCPI.")
        if details.get("version", VERSION) != VERSION:
            raise SenderError(f"Version details: of {self._clean(str(details['version'])[:10])}, not of {VERSION}.")
        return {
            one["identifier"]: _joined("Version details", self.url, one["url"])
            for one in found
            if isinstance(one, dict) and one.get("role") == "SENDER" and isinstance(one.get("url"), str)
            if one.get("identifier") in ("locations", "tariffs") and one["url"].isprintable()
        }

    # --- Lists ---

    def pages(self, module: str, url: str, **query: Any) -> Iterator[Page]:
        """Yield the pages of a list from the first to the last. Raises SenderError."""
        asked = set[str]()
        following: str | None = _with_query(url, query)
        while following is not None:
            what = f"{module.capitalize()}, page {len(asked) + 1}"
            if following in asked:
                raise SenderError(f"{what}: Link leads in a circle, to {self._clean(following[:200])}.")
            if len(asked) == MOST_PAGES:
                raise SenderError(f"{module.capitalize()}: more than {MOST_PAGES:,} pages.")
            asked.add(following)
            page = self._page(what, following)
            yield page
            following = page.next_url

    def _page(self, what: str, url: str) -> Page:
        answer = self._get(what, url, PAGE_S)
        data = answer.envelope.get("data")
        if not isinstance(data, list | None):
            raise SenderError(f"{what}: data is no list.")
        try:
            raw = intake.documents([answer.raw], is_envelope=True) if data else []
            objects = list(zip(raw, data or [], strict=True))
        except (errors.Malformed, ValueError) as error:
            raise SenderError(f"{what}: {error}") from error
        total = answer.headers.get("X-Total-Count", "").strip()
        is_number = total.isascii() and total.isdigit() and len(total) < 10
        at, next_url = _moment(answer.envelope.get("timestamp")), self._next(what, url, answer.headers.get("Link"))
        return Page(objects, int(total) if is_number else None, at, next_url)

    def _next(self, what: str, url: str, link: str | None) -> str | None:
        """Return where Link rel="next" leads, which may be nowhere but on the same host. Source: RFC 8288."""
        if link is None:
            return None
        relations = ((where, _REL.search(more)) for where, more in _LINK.findall(link))
        found = next((where for where, rel in relations if rel and "next" in _WORD.findall(rel[1].lower())), None)
        if found is None and not _LINK.search(link):  # never take what cannot be read for the end
            raise SenderError(f"{what}: Link cannot be read: {self._clean(link[:200])}.")
        if found is None:
            return None
        following = _joined(what, url, found)
        if _origin(following) != _origin(url):
            told = self._clean(following[:200])
            raise SenderError(
                f"{what}: Link leads to another scheme, host or port than {self._clean(url[:200])}: {told}."
            )
        return following

    # --- One request ---

    def _get(self, what: str, url: str, longest_s: float = VERSIONS_S) -> _Answer:
        """Ask once. Raises SenderError."""
        left_s = self.ends_at - time.monotonic()
        if left_s <= 0:
            raise SenderError(f"{what}: not done in the time a fetch may take.")
        try:
            status, headers, raw = self._ask(url, min(longest_s, left_s))
        except (addresses.NotAllowed, outgoing.InnerAddress) as error:
            raise SenderError(f"{what}: {self._clean(str(error)).rstrip('.')}.") from None
        except requests.exceptions.SSLError as error:
            raise SenderError(f"{what}: TLS fails: {self._clean(_reason(error))}.") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise SenderError(f"{what}: no usable answer: {self._clean(_reason(error))}.") from None
        return self._judged(f"{what} at {self._clean(url[:200])}", status, headers, raw)

    def _ask(self, url: str, total_s: float) -> tuple[int, Any, bytes]:
        is_typed = _origin(url) == _origin(self.url)
        addresses.check_source(url, is_typed=is_typed)
        headers = {
            "Authorization": self._authorization, "Accept": "application/json", "Accept-Encoding": "gzip",
            "User-Agent": "ocpi-gateway", "X-Request-ID": str(uuid.uuid4()), "X-Correlation-ID": str(uuid.uuid4()),
        }  # fmt: skip
        with outgoing.send(
            "GET", url, headers, allows=addresses.is_source if is_typed else addresses.is_outside,
            connect_s=CONNECT_S, read_s=READ_S, total_s=total_s,
        ) as response:  # fmt: skip
            return response.status_code, response.headers, _body(response)

    def _judged(self, what: str, status: int, headers: Any, raw: bytes) -> _Answer:
        """Let nothing pass but an envelope that says success. Raises SenderError."""
        if 300 <= status < 400:
            to = self._clean(headers.get("Location", "")[:200]) or "nowhere"
            raise SenderError(
                f"{what}: HTTP {status}, a redirect to {to}; none is followed.", is_elsewhere=status == 404
            )
        envelope = _parsed(raw)
        said = ""
        if isinstance(envelope, dict) and type(envelope.get("status_code")) is int:
            said = (
                f"OCPI {envelope['status_code']} {self._clean(str(envelope.get('status_message') or ''))[:200]}".strip()
            )
        if status != 200:
            hint = "; ".join(filter(None, [_HINTS.get(status, ""), said]))
            words = f"{what}: HTTP {status}{hint and f', {hint}'}."
            raise SenderError(words, is_elsewhere=status in ELSEWHERE, rest_s=_rest_s(headers))
        if not said:
            kind = self._clean(headers.get("Content-Type", "without a content type")[:60])
            why = "not JSON" if envelope is None else "not an OCPI envelope with a status_code"
            raise SenderError(f"{what}: HTTP 200, but {why} ({kind}, {len(raw)} bytes).", is_elsewhere=True)
        if envelope["status_code"] // 1000 != 1:
            raise SenderError(f"{what}: HTTP 200, but {said}.")
        return _Answer(raw, envelope, headers)

    def _clean(self, text: str) -> str:
        """Return text that others wrote: without the token, in one line."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return _CONTROL.sub(" ", text)


def _body(response: requests.Response) -> bytes:
    """Read an answer to its end. Raises ValueError when that is too far."""
    pieces, size = [], 0
    while piece := response.raw.read(_PIECE, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_PAGE:
            raise ValueError(f"more than {LARGEST_PAGE // 2**20} MiB in one answer")
    return b"".join(pieces)


def _parsed(raw: bytes) -> Any:
    """Return the JSON; None for what is none, or more than a page may hold."""
    if sum(map(raw.count, (b",", b"{", b"["))) > MOST_VALUES:
        return None
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _parsed_with_patience(raw)


def _parsed_with_patience(raw: bytes) -> Any:
    """Return JSON with half a character or too large a number, for which the import refuses one object; None for no JSON."""
    try:
        return json.loads(raw.decode(), parse_constant=_refuse, parse_int=lambda digits: int(digits[:20]))
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _moment(timestamp: Any) -> dt.datetime | None:
    """Return an OCPI DateTime; without a zone it is UTC."""
    try:
        found = dt.datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _rest_s(headers: Any) -> float:
    wait = headers.get("Retry-After", "").strip()
    return min(float(wait[:6]), LONGEST_REST_S) if wait.isascii() and wait.isdigit() else 0.0


def _with_query(url: str, query: dict[str, Any]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | query)))


def _joined(what: str, base: str, url: str) -> str:
    """Return where a URL leads that may be relative. Raises SenderError."""
    try:
        return urljoin(base, url)
    except ValueError as error:
        raise SenderError(f"{what}: leads to what is not a URL: {error}.") from error


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port; None for what is not a URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None


def _reason(error: BaseException) -> str:
    """Return what lies behind an error that wraps others."""
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(inner, BaseException):
            return _reason(inner)
    words = getattr(error, "verify_message", "") or getattr(error, "strerror", None) or str(error)
    return (words or type(error).__name__)[:200]
