"""A client that costs next to nothing: fetch URLs of one server in turn over one connection, throw the bodies away.

python -m tests.benchmarks.fetch '{"port": 8000, "paths": ["/…"], "headers": {}, "seconds": 2}'

prints "ready", begins at a line on its standard input, and then prints {"seconds": […], "bytes": n}: how long each answer
took. A process of its own, so that clients share nothing; that begins when told, so that none is measured while another
one still loads its modules.
"""

import json
import socket
import sys
import time
from typing import Any

_BUFFER = bytearray(1 << 20)


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Fetch for so many seconds, each path at least once. Raises RuntimeError for any answer but 200."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in asked["headers"].items())
    requests = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode() for path in asked["paths"]]
    took: list[float] = []
    size = 0
    with socket.create_connection(("127.0.0.1", asked["port"])) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print("ready", flush=True)
        sys.stdin.readline()
        ends_at = time.perf_counter() + asked["seconds"]
        while time.perf_counter() < ends_at or len(took) < len(requests):
            began = time.perf_counter()
            size += fetch(server, requests[len(took) % len(requests)])
            took.append(time.perf_counter() - began)
    return {"seconds": took, "bytes": size}


def fetch(server: socket.socket, request: bytes) -> int:
    """Make one request; return the size of the body."""
    server.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        piece = server.recv(65_536)
        if not piece:
            raise RuntimeError("the server hung up")
        head += piece
    head, _, body = head.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    if b" 200" not in lines[0]:
        raise RuntimeError(lines[0].decode())
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
    return _chunks(server, body) if length is None else _rest(server, length, len(body))


def _rest(server: socket.socket, length: int, got: int) -> int:
    while got < length:
        count = server.recv_into(_BUFFER, min(len(_BUFFER), length - got))
        if not count:
            raise RuntimeError("the server hung up")
        got += count
    return length


def _chunks(server: socket.socket, got: bytes) -> int:
    """Read to the end of a chunked body, which nginx sends where it compresses on the fly."""
    size, tail = len(got), got[-5:]
    while tail != b"0\r\n\r\n":
        count = server.recv_into(_BUFFER)
        if not count:
            raise RuntimeError("the server hung up")
        size += count
        tail = (tail + bytes(_BUFFER[max(0, count - 5) : count]))[-5:]
    return size


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
