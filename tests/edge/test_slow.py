"""Slow clients, large bodies, an upstream that is down. Source: reliability §2 P18, §5 E1; protocol §2.3."""

import gzip
import json
import socket
import threading
import time
from typing import Any

import pytest

from tests.bad_inputs import LATER, LOCATION, SENDER
from tests.benchmarks import stage
from tests.documents import location_body
from tests.edge.proxy import nginx
from tests.wire import Answer, Closed, Wire, request

SLOW = 40  # of 50 connections an address may have
PATIENCE_S = 3  # of a client beside them; the machine may be busy


def ask(address: str, method: str, target: str, token: str, body: bytes | None = None, **headers: str) -> Answer:
    """Return the answer to one request on a connection of its own."""
    given = [("Authorization", f"Token {token}"), ("Content-Type", "application/json")]
    given += [(name.replace("_", "-"), value) for name, value in headers.items()]
    with Wire(address, timeout_s=30) as wire:
        wire.send(request(method, target, given, body))
        return wire.answer(method)


def is_served_beside(edge: Any, wires: list[Wire]) -> bool:
    """Return True when an upload and a pull are answered in time while others dawdle."""
    upload = json.dumps(location_body(last_updated=LATER)).encode()
    started = time.monotonic()
    answers = [
        ask(edge.address, "PUT", LOCATION, edge.token, upload),
        ask(edge.address, "GET", f"{SENDER}/locations", edge.pull_token),
    ]
    return [one.status for one in answers] == [200, 200] and time.monotonic() - started < PATIENCE_S


def test_slow_headers_hold_nobody_up_and_are_cut(edge):  # 33, 34
    wires = [Wire(edge.address, timeout_s=20) for _ in range(SLOW)]
    for number, wire in enumerate(wires):
        wire.send(f"GET {LOCATION} HTTP/1.1\r\n".encode() if number % 2 else b"G")

    assert is_served_beside(edge, wires)
    until = time.monotonic() + 14
    for wire in wires:
        assert wire.is_closed(max(0.1, until - time.monotonic()))
        wire.close()


def test_slow_bodies_hold_nobody_up_and_those_that_stop_are_cut(edge):  # 35
    head = request(
        "PUT",
        LOCATION,
        [("Authorization", f"Token {edge.token}"), ("Content-Length", "5000"), ("Content-Type", "application/json")],
    )
    wires = [Wire(edge.address, timeout_s=20) for _ in range(SLOW)]
    for wire in wires:
        wire.send(head + b" ")
    for _ in range(2):
        assert is_served_beside(edge, wires)
        for wire in wires:
            wire.send(b" ")
    until = time.monotonic() + 14
    for wire in wires:
        assert wire.is_closed(max(0.1, until - time.monotonic()))
        wire.close()


def test_slow_readers_hold_nobody_up(edge):  # 36
    wires = [Wire(edge.address) for _ in range(SLOW)]
    for wire in wires:
        wire.socket.setsockopt(1, 8, 4096)  # SO_RCVBUF
        wire.send(request("GET", "/api/docs/rules/"))

    assert is_served_beside(edge, wires)
    for wire in wires:
        wire.close()


def test_more_connections_than_an_address_may_have_are_429(edge):
    wires = [Wire(edge.address, timeout_s=5) for _ in range(55)]
    head = request("PUT", LOCATION, [("Authorization", f"Token {edge.token}"), ("Content-Length", "10")])
    for wire in wires:
        wire.send(head)
    time.sleep(0.3)
    last = wires[-1].answer()
    for wire in wires:
        wire.close()

    assert (last.status, last.json["status_code"], last.headers["retry-after"]) == (429, 2000, "5")
    stage.wait_for(lambda: ask(edge.address, "GET", LOCATION, edge.token).status == 200, 10)


@pytest.mark.parametrize(
    ("target", "form"), [(LOCATION, "application/json"), ("/api/v1/validate?kind=location", "application/problem+json")]
)
@pytest.mark.parametrize("size", [1_048_577, 3_000_000])
def test_large_bodies_are_413_as_json_from_both(edge, target, form, size):  # 175, 176
    method = "PUT" if target == LOCATION else "POST"

    for _ in range(100):  # an answer that came too early would be lost now and then
        answer = ask(edge.address, method, target, edge.token, b" " * size, X_Request_ID="one")
        assert answer.status == 413

    assert (answer.status, answer.headers["content-type"], answer.is_json) == (413, form, True)
    assert answer.headers["x-request-id"] == "one"
    assert answer.json.get("status_code", answer.json.get("status")) in (2000, 413)


@pytest.mark.parametrize(
    ("target", "form"),
    [
        (LOCATION, "application/json"),
        ("/api/v1/problems", "application/problem+json"),
        ("/oauth/token", "application/problem+json"),
    ],
)
def test_an_upstream_that_is_down_is_503_as_json_with_retry_after(target, form):
    with nginx(stage.free_port()) as address:
        answer = ask(address, "GET", target, "x", X_Request_ID="one", X_Correlation_ID="two")

    assert (answer.status, answer.headers["content-type"], answer.is_json) == (503, form, True)
    assert (answer.headers["retry-after"], answer.headers["cache-control"]) == ("5", "no-store")
    assert (answer.headers["x-request-id"], answer.headers["x-correlation-id"]) == ("one", "two")
    if target == LOCATION:
        assert answer.json["status_code"] == 3000
        assert answer.json["timestamp"].endswith("Z")
        assert len(answer.json["timestamp"]) == 20


def test_an_upstream_that_is_down_is_503_also_for_a_bulk_upload():
    with nginx(stage.free_port()) as address:
        answer = ask(address, "POST", "/api/v1/imports?kind=locations", "x", b" " * 3_000_000)

    assert (answer.status, answer.is_json, answer.headers["retry-after"]) == (503, True, "5")


def test_gzip_goes_out_as_the_gateway_made_it(edge):
    with Wire(edge.address) as wire:
        wire.send(
            request(
                "GET",
                f"{SENDER}/locations",
                [("Authorization", f"Token {edge.pull_token}"), ("Accept-Encoding", "gzip")],
            )
        )
        packed = wire.answer()
    plain = ask(edge.address, "GET", f"{SENDER}/locations", edge.pull_token)

    assert packed.json["data"] == plain.json["data"]
    assert plain.headers["x-total-count"] == packed.headers["x-total-count"] == "1"


@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
def test_an_import_of_many_megabytes_comes_through(edge, is_gzip):
    line = json.dumps(location_body(name="x" * 200)).encode() + b"\n"
    lines = line * (12_000_000 // len(line))
    body = gzip.compress(lines, 1) if is_gzip else lines
    headers = {"Content_Encoding": "gzip"} if is_gzip else {}

    answer = ask(edge.address, "POST", "/api/v1/imports?kind=locations&dry_run=true", edge.token, body, **headers)

    assert (answer.status, answer.json["state"]) == (202, "queued")


@pytest.mark.parametrize("token", ["wrong", "right"])
def test_a_bulk_upload_that_is_refused_is_told_why(edge, token):
    body = b"[" * 12_000_000 if token == "right" else b" " * 12_000_000

    for _ in range(20):
        sent = edge.token if token == "right" else "gw-u.wrong"
        answer = ask(edge.address, "POST", "/api/v1/imports?kind=locations", sent, body)
        assert (answer.status, answer.is_json) == ((400 if token == "right" else 401), True), answer


def test_a_connection_that_the_gateway_gives_up_is_closed_and_told(edge):
    with Wire(edge.address) as wire:
        done = threading.Event()
        wire.send(request("GET", "/healthz", [("Connection", "close")]))
        assert wire.answer().status == 200
        done.set()
        with pytest.raises(Closed):
            wire.answer()


class Forgetful(threading.Thread):
    """A web server that answers the first request of a connection, and closes it when the second comes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def run(self) -> None:
        while True:
            threading.Thread(target=self.serve, args=[self.listener.accept()[0]], daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            if connection.recv(65536):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                connection.recv(65536)


@pytest.mark.parametrize(
    ("method", "target"),
    [("PATCH", LOCATION), ("POST", "/oauth/token"), ("POST", "/api/v1/imports"), ("POST", "/admin/")],
)
def test_kept_connection_that_web_closes_fails_no_request(method, target):
    server = Forgetful()
    server.start()

    with nginx(server.port) as address:
        answers = [ask(address, *one, "x", b"{}") for one in [("PUT", LOCATION), *3 * [(method, target)]]]

    assert [answer.status for answer in answers] == [200] * 4
