"""One HTTP call to NDW each: the push API and the token endpoint. No models, no retries, no judgement.

NDW's answers are untrusted input: no redirect is followed, no more than 64 kB read, no call outlives its deadline, and
none reaches an address inside our own network.
Source: NDW DOT-NL, "Push"; protocol §7.3 to §7.6; reliability C6, C28.
"""

import json
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import requests
import urllib3

from ocpi import outgoing
from tenants import addresses

HEADERS = {"User-Agent": "ocpi-gateway", "Accept": "application/json", "Accept-Encoding": "identity"}
CONNECT_S, READ_S, TOTAL_S = 3.0, 9.0, 12.0  # together less than half of a lease
TOKEN_S = 6.0  # a drain waits for it
LARGEST_ANSWER = 65_536


class NdwError(Exception):
    """No usable answer: refused, reset, timed out. Whether NDW applied the request is unknown."""


class Unanswered(NdwError):
    """The request is out and no answer came in time: NDW may yet apply it, later than what is sent next."""


class Insecure(NdwError):
    """The certificate is not valid, or the URL is not one we may call."""


@dataclass
class Answer:
    """What came back."""

    http_status: int
    headers: dict[str, str]
    text: str
    is_whole: bool = True  # False: longer than the cap, cut off, or no UTF-8
    ocpi_status: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Read `status_code` out of an envelope, if this is one."""
        try:
            status = json.loads(self.text)["status_code"] if self.is_whole else None
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        self.ocpi_status = status if type(status) is int and 1000 <= status <= 9999 else None


def push_path(kind: str, country_code: str, party_id: str, *ids: str) -> str:
    """Return `/locations/NL/EXA/LOC-1/EVSE-1`, every segment encoded; `*` stays as it is legal in a path.

    Raises ValueError for an id that no URL can carry: clients take `..` for a step up, encoded or not.
    """
    if {".", ".."} & set(ids):
        raise ValueError(f"no URL can carry one of the ids {ids}")
    segments = (quote(segment, safe="*") for segment in (country_code, party_id, *ids))
    return f"/{kind}s/" + "/".join(segments)


def send(
    method: str, url: str, *, token: str, headers: dict[str, str], body: bytes | None, total_s: float = TOTAL_S
) -> Answer:
    """Send one push request. Raises NdwError, Insecure."""
    headers = {**headers, "Authorization": f"Bearer {token}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    return _call(method, url, headers, body, total_s)


def fetch_token(token_url: str, client_id: str, client_secret: str) -> Answer:
    """Ask NDW's IAM server for an access token (client credentials). Raises NdwError, Insecure."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return _call("POST", token_url, headers, urlencode(form).encode(), TOKEN_S)


def check_url(url: str) -> None:
    """Refuse a URL we may not call. Raises Insecure."""
    try:
        addresses.check(url)
    except addresses.NotAllowed as error:
        raise Insecure(str(error)) from error


def _call(method: str, url: str, headers: dict[str, str], body: bytes | None, total_s: float) -> Answer:
    check_url(url)
    try:
        with outgoing.send(
            method, url, HEADERS | headers, body, allows=addresses.is_ndw,
            connect_s=min(CONNECT_S, total_s), read_s=READ_S, total_s=total_s,
        ) as response:  # fmt: skip
            text, is_whole = _read(response)
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, text, is_whole)
    except outgoing.InnerAddress as error:
        raise Insecure(str(error)) from error
    except requests.exceptions.SSLError as error:
        if "EOF occurred" in str(error):  # hung up on in the handshake: a server that restarts, not a certificate
            raise NdwError(f"TLS: {error}") from error
        raise Insecure(f"TLS: {error}") from error
    except (requests.ReadTimeout, TimeoutError) as error:
        raise Unanswered(f"{type(error).__name__}: {error}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise NdwError(f"{type(error).__name__}: {error}") from error


def _read(response: requests.Response) -> tuple[str, bool]:
    """Return at most LARGEST_ANSWER bytes as text, and whether that is all there should be."""
    raw = b""
    try:
        while len(raw) <= LARGEST_ANSWER and (piece := response.raw.read1(8192)):
            raw += piece
        return raw.decode(), len(raw) <= LARGEST_ANSWER
    except (urllib3.exceptions.ProtocolError, UnicodeDecodeError):
        return raw.decode("utf-8", "replace"), False
