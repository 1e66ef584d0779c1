"""HTTP over a bare socket: requests are bytes, however wrong, and answers are read one by one off the same connection."""

import contextlib
import gzip
import json
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MOST = 64 * 1024 * 1024  # of one answer


class Closed(Exception):
    """The other side hung up before it had answered."""


@dataclass
class Answer:
    """One answer; header names in small letters, doubled ones joined."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body parsed, None when it is empty."""
        return json.loads(self.body) if self.body else None

    @property
    def is_json(self) -> bool:
        """Return True for what says that it is JSON, and is."""
        if self.headers.get("content-type", "").split(";")[0] not in ("application/json", "application/problem+json"):
            return False
        try:
            return isinstance(json.loads(self.body), dict)
        except ValueError:
            return False

    @property
    def is_last(self) -> bool:
        """Return True when the connection ends with it, as it says itself."""
        return self.headers.get("connection", "").lower() == "close"


class Wire:
    """One connection."""

    def __init__(self, address: str, timeout_s: float = 20, source: str = "") -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout_s, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = bytearray()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def reset(self) -> None:
        """Hang up with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, raw: bytes) -> None:
        """Send bytes; whoever does not want them all may hang up, having answered."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(raw)

    def drip(self, pieces: Iterable[bytes], pause_s: float) -> None:
        """Send pieces slowly."""
        for piece in pieces:
            self.socket.sendall(piece)
            time.sleep(pause_s)

    def answer(self, method: str = "GET") -> Answer:
        """Read one answer. Raises Closed, TimeoutError."""
        head = b"HTTP/1.1 100"
        while head.startswith(b"HTTP/1.1 100"):
            head = self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in filter(None, lines):
            name, _, value = line.partition(":")
            key = name.strip().lower()
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
        status = int(first.split(" ")[1])
        body = self._body(method, status, headers)
        return Answer(status, headers, gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)

    def _body(self, method: str, status: int, headers: dict[str, str]) -> bytes:
        if method == "HEAD" or status in (204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                pieces.append(self._count(size))
                self._count(2)
            self._until(b"\r\n")
            return b"".join(pieces)
        if "content-length" in headers:
            return self._count(int(headers["content-length"]))
        return self._rest()

    def _more(self) -> None:
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise Closed(bytes(self._read[:200]))
        self._read += piece

    def _until(self, end: bytes) -> bytes:
        while (at := self._read.find(end)) < 0:
            self._more()
        return self._take(at + len(end))

    def _count(self, size: int) -> bytes:
        while len(self._read) < min(size, MOST):
            self._more()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._read[:size])
        del self._read[:size]
        return taken

    def _rest(self) -> bytes:
        try:
            while True:
                self._more()
        except Closed:
            return self._take(len(self._read))

    def is_closed(self, within_s: float) -> bool:
        """Return True when the other side hangs up within so many seconds; what it sends meanwhile is kept."""
        until = time.monotonic() + within_s
        before = self.socket.gettimeout()
        try:
            while (left := until - time.monotonic()) > 0:
                self.socket.settimeout(left)
                self._more()
        except Closed:
            return True
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(before)
        return False


def request(method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None) -> bytes:
    """Return the bytes of a request; Host and Content-Length are added unless they are given."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    if "host" not in names:
        given.insert(0, ("Host", "localhost"))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        given.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given if value != ABSENT)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


ABSENT = "\0absent"  # the value of a header that is left out


def chunked(*pieces: bytes) -> bytes:
    """Return a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
