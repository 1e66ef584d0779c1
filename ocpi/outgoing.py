"""Make HTTP requests to others, whom nothing is believed: no redirect is followed, no call outlives its deadline, nothing
is read from the environment (proxies, netrc), and no connection is made to an address that the caller does not allow.

A name is looked up once for each connection, and what was looked at is what is connected to: a resolver that answers
otherwise the next time changes nothing.
Source: reliability C6, C28.
"""

import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from tenants import addresses

Allows = Callable[[str, int, addresses.Address], bool]

MOST_ADDRESSES = 4  # of a name, each tried for `connect_s`
_local = threading.local()


class InnerAddress(Exception):
    """The host is at an address that may not be called."""


class _Clocked(io.RawIOBase):
    """What comes in on a socket until the deadline of the call: requests' own timeout is per read, and ends no drip."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self.raw, self.sock, self.ends_at, self.read_s = raw, sock, _local.ends_at, _local.read_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self.ends_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        self.sock.settimeout(min(left_s, self.read_s))
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
        port = self.port or self.default_port
        try:
            found = addresses.lookup(self.host, port)
        except OSError as error:
            raise NameResolutionError(self.host, self, socket.gaierror(*error.args)) from error
        allowed = [address for address in found if _local.allows(self.host, port, address)][:MOST_ADDRESSES]
        if not allowed:
            raise InnerAddress(f"{self.host} is at {found[0]}, which is not a public address")
        return self._connected(allowed, port)

    def _connected(self, allowed: list[addresses.Address], port: int) -> socket.socket:
        """Connect to the first of these that answers."""
        for number, address in enumerate(allowed, 1):
            try:
                return create_connection((str(address), port), self.timeout, socket_options=self.socket_options)
            except OSError as error:
                if number < len(allowed):
                    continue
                if isinstance(error, TimeoutError):
                    raise ConnectTimeoutError(self, f"{self.host}: no connection in {self.timeout} s") from error
                raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error
        raise AssertionError("nowhere to connect to")


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


class _Session(requests.Session):
    """Does not even look where a redirect leads: requests would read and unpack its whole body for that."""

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[requests.Response]:
        return iter(())


def send(
    method: str, url: str, headers: dict[str, str], body: bytes | None = None, *,
    allows: Allows, connect_s: float, read_s: float, total_s: float,
) -> requests.Response:  # fmt: skip
    """Send a request; the answer's body is still to be read, all of it within `total_s`.

    `read_s` is the longest silence. Raises InnerAddress, RequestException; reading raises urllib3's HTTPError and OSError.
    """
    _local.ends_at, _local.read_s, _local.allows = time.monotonic() + total_s, read_s, allows
    request = (
        requests.PreparedRequest()
    )  # by hand: merging with a session's settings is a fifth of what a request costs
    request.prepare(method, url, headers=headers, data=body)
    return _session(allows).send(request, timeout=(connect_s, read_s), allow_redirects=False, stream=True)


def _session(allows: Allows) -> requests.Session:
    """Return this thread's own session of those who allow the same: it keeps its connections alive."""
    sessions = _local.__dict__.setdefault("sessions", {})
    if allows not in sessions:
        session = sessions[allows] = _Session()
        session.trust_env = False
        session.mount("https://", _Adapter())
        session.mount("http://", _Adapter())
    return sessions[allows]
