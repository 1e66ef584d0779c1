"""One HTTP call to NDW each: the push API and the token endpoint. No models, no retries, no judgement.

NDW's answers are untrusted input: no redirect is followed, no more than 64 kB read, no call outlives its deadline, and
none reaches an address inside our own network.
Source: NDW DOT-NL, "Push"; protocol §7.3 to §7.6; reliability C6, C28.
"""

import http.client
import io
import ipaddress
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import requests
import urllib3
from requests.adapters import HTTPAdapter

from tenants import addresses

HEADERS = {"User-Agent": "ocpi-gateway", "Accept": "application/json", "Accept-Encoding": "identity"}
CONNECT_S, READ_S, TOTAL_S = 3.0, 9.0, 12.0  # together less than half of a lease
TOKEN_S = 6.0  # a drain waits for it
LARGEST_ANSWER = 65_536
_local = threading.local()


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


class _Clocked(io.RawIOBase):
    """What comes in on a socket until the deadline of the call: requests' own timeout is per read, and ends no drip."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self.raw, self.sock, self.ends_at = raw, sock, _local.ends_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self.ends_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        self.sock.settimeout(min(left_s, READ_S))
        return self.raw.readinto(buffer)

    def close(self) -> None:
        self.raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Clocked(self.fp.detach(), sock))


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        address = ipaddress.ip_address(sock.getpeername()[0].partition("%")[0])
        if not (address.is_loopback if self.host in addresses.LOOPBACK else address.is_global):
            sock.close()
            raise Insecure(f"{self.host} is at {address}, which is not a public address")
        return sock


class _TlsConnection(_Connection, urllib3.connection.HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Connections of ours, four kept alive, nothing retried."""

    def __init__(self) -> None:
        super().__init__(pool_connections=4, pool_maxsize=4, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _session() -> requests.Session:
    """Return this thread's own session: it keeps its connections alive and reads nothing from the environment."""
    session = getattr(_local, "session", None)
    if session is None:
        session = _local.session = requests.Session()
        session.trust_env = False
        session.mount("https://", _Adapter())
        session.mount("http://", _Adapter())
    return session


def _call(method: str, url: str, headers: dict[str, str], body: bytes | None, total_s: float) -> Answer:
    check_url(url)
    _local.ends_at = time.monotonic() + total_s
    timeout = (min(CONNECT_S, total_s), READ_S)
    request = (
        requests.PreparedRequest()
    )  # by hand: merging with a session's settings is a fifth of what a request costs
    try:
        request.prepare(method, url, headers=HEADERS | headers, data=body)
        with _session().send(request, timeout=timeout, allow_redirects=False, stream=True) as response:
            text, is_whole = _read(response)
            return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, text, is_whole)
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
