"""One HTTP call to NDW each: the push API and the token endpoint. No models, no retries, no judgement.

NDW's answers are untrusted input: no redirect is followed, no more than 64 kB read, no call outlives its deadline.
Source: NDW DOT-NL, "Push"; protocol §7.3 to §7.6; reliability C6.
"""

import json
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter

CONNECT_S, READ_S, TOTAL_S = 3.0, 9.0, 12.0  # together less than half of a lease
LARGEST_ANSWER = 65_536
_local = threading.local()


class NdwError(Exception):
    """No usable answer: refused, reset, timed out. Whether NDW applied the request is unknown."""


class Insecure(NdwError):
    """The certificate is not valid, or the URL is not one we may call."""


@dataclass
class Answer:
    """What came back."""

    http_status: int
    headers: dict[str, str]
    text: str
    is_complete: bool = True  # False: longer than the cap, or cut off
    ocpi_status: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Read `status_code` out of an envelope, if this is one."""
        try:
            status = json.loads(self.text)["status_code"] if self.is_complete else None
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        self.ocpi_status = status if type(status) is int and 1000 <= status <= 9999 else None


def push_path(kind: str, country_code: str, party_id: str, *ids: str) -> str:
    """Return `/locations/NL/EXA/LOC-1/EVSE-1`, every segment encoded; `*` stays as it is legal in a path."""
    segments = (quote(segment, safe="*") for segment in (country_code, party_id, *ids))
    return f"/{kind}s/" + "/".join(segments)


def send(method: str, url: str, *, token: str, headers: dict[str, str], body: bytes | None) -> Answer:
    """Send one push request. Raises NdwError, Insecure."""
    headers = {**headers, "Authorization": f"Bearer {token}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    return _call(method, url, headers, body)


def fetch_token(token_url: str, client_id: str, client_secret: str) -> Answer:
    """Ask NDW's IAM server for an access token (client credentials). Raises NdwError, Insecure."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return _call("POST", token_url, headers, urlencode(form).encode())


def check_url(url: str) -> None:
    """Refuse a URL that is not on NDW_ALLOWED_HOSTS; http only to a loopback host listed there. Raises Insecure."""
    parts = urlsplit(url)
    listed = {entry.lower() for entry in settings.NDW_ALLOWED_HOSTS}
    host = (parts.hostname or "").lower()
    try:
        port = parts.port
    except ValueError:
        port = -1
    is_listed = host in listed or f"{host}:{port}" in listed
    is_loopback = host in ("localhost", "127.0.0.1", "::1")
    is_good = parts.scheme == "https" or (parts.scheme == "http" and is_loopback)
    if not is_listed or not is_good or "@" in parts.netloc:
        raise Insecure(f"{parts.scheme}://{host}: not a host of NDW_ALLOWED_HOSTS, or not https")


def _session() -> requests.Session:
    """Return this thread's own session: it keeps its connections alive and reads nothing from the environment."""
    session = getattr(_local, "session", None)
    if session is None:
        session = _local.session = requests.Session()
        session.trust_env = False
        session.headers.clear()
        session.headers.update(
            {"User-Agent": "ocpi-gateway", "Accept": "application/json", "Accept-Encoding": "identity"}
        )
        session.mount("https://", HTTPAdapter(pool_connections=4, pool_maxsize=4, max_retries=0))
        session.mount("http://", HTTPAdapter(pool_connections=4, pool_maxsize=4, max_retries=0))
    return session


def _call(method: str, url: str, headers: dict[str, str], body: bytes | None) -> Answer:
    check_url(url)
    deadline = time.monotonic() + TOTAL_S
    try:
        with _session().request(
            method, url, headers=headers, data=body, timeout=(CONNECT_S, READ_S), allow_redirects=False, stream=True
        ) as response:
            raw, is_complete = _read(response, deadline)
            text = raw.decode("utf-8", "replace")
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, text, is_complete)
    except requests.exceptions.SSLError as error:
        raise Insecure(f"TLS: {error}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise NdwError(f"{type(error).__name__}: {error}") from error


def _read(response: requests.Response, deadline: float) -> tuple[bytes, bool]:
    """Return at most LARGEST_ANSWER bytes; requests' own timeout is per read, a dripping server would hold it for ever."""
    pieces, size = [], 0
    while piece := response.raw.read1(8192):
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_ANSWER:
            return b"".join(pieces)[:LARGEST_ANSWER], False
        if time.monotonic() > deadline:
            raise requests.Timeout("the answer took too long")
    expected = response.headers.get("Content-Length", "")
    return b"".join(pieces), not expected.isdigit() or size >= int(expected)
