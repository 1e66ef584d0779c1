"""What is no proper HTTP is answered once, as JSON, and never becomes a second request. Source: reliability §5 E1, E2."""

import json
import time
import uuid
from typing import Any

import pytest

from tests import stored
from tests.bad_inputs import LATER, LOCATION, RECEIVER
from tests.documents import location_body
from tests.wire import Answer, Closed, Wire, chunked, request

BODY = json.dumps(location_body(last_updated=LATER, name="Smuggled")).encode()
_UNSEEN = f"DELETE {RECEIVER}/tariffs/NL/EXA/ADHOC-1 HTTP/1.1"
HIDDEN = f"{_UNSEEN}\r\nHost: localhost\r\nAuthorization: Token {{token}}\r\n\r\n".encode()


def head(*lines: str, first: str = f"PUT {LOCATION} HTTP/1.1") -> bytes:
    """Return a request's head, with a good token and type."""
    usual = ["Host: localhost", "Authorization: Token {token}", "Content-Type: application/json"]
    return "\r\n".join([first, *usual, *lines, "", ""]).encode("latin-1")


LONG = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
SHUT_OUT = {400, 501}

# Number, name, bytes, allowed statuses.
FRAMES: list[tuple[int, str, bytes, set[int]]] = [
    (1, "a length and chunks", head(LONG, CHUNKED) + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (2, "chunks and a length", head(CHUNKED, LONG) + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (2, "chunks and a length of the rest", head("Content-Length: 5", CHUNKED) + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (3, "xchunked", head("Transfer-Encoding: xchunked") + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (3, "gzip, chunked", head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (4, "chunked, identity", head("Transfer-Encoding: chunked, identity") + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (4, "identity", head("Transfer-Encoding: identity", LONG) + BODY, SHUT_OUT),
    (5, "a space before the colon", head("Transfer-Encoding : chunked") + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (5, "a space in the name", head("Transfer Encoding: chunked") + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (6, "a vertical tab before chunked", head("Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (6, "a NUL behind chunked", head("Transfer-Encoding: chunked\0") + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (7, "chunked twice", head(CHUNKED, CHUNKED) + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (7, "chunked and xchunked", head(CHUNKED, "Transfer-Encoding: x") + b"0\r\n\r\n" + HIDDEN, SHUT_OUT),
    (8, "two lengths", head("Content-Length: 5", LONG) + BODY, {400}),
    (8, "two lengths in one", head(f"Content-Length: 5, {len(BODY)}") + BODY, {400}),
    (9, "the same length twice", head(LONG, LONG) + BODY, {400}),
    (10, "a length of -5", head("Content-Length: -5") + HIDDEN, {400}),
    (11, "a length of +5", head("Content-Length: +5") + HIDDEN, {400}),
    (12, "a length of 0x5", head("Content-Length: 0x5") + HIDDEN, {400}),
    (13, "a length of 5_0", head("Content-Length: 5_0") + HIDDEN, {400}),
    (13, "a length of 5 0", head("Content-Length: 5 0") + HIDDEN, {400}),
    (13, "a length in fractions", head("Content-Length: 5.0") + HIDDEN, {400}),
    (14, "a length of 10^30", head("Content-Length: 1" + "0" * 30) + BODY, {400, 413}),
    (14, "a length of 10^18", head("Content-Length: 1" + "0" * 18) + BODY, {400, 413}),
    (17, "a chunk of 2^64", head(CHUNKED) + b"ffffffffffffffff\r\n" + BODY, {400, 413}),
    (17, "a chunk of 2^68", head(CHUNKED) + b"fffffffffffffffff\r\n" + BODY, {400, 413}),
    (17, "a chunk of -1", head(CHUNKED) + b"-1\r\n" + BODY, {400}),
    (17, "a chunk of 0x5", head(CHUNKED) + b"0x5\r\n" + BODY, {400}),
    (17, "a chunk of nothing", head(CHUNKED) + b"\r\n" + BODY, {400}),
    (19, "no line end behind a chunk", head(CHUNKED) + b"2\r\n{}0\r\n\r\n", {400}),
    (23, "a bare CR in a value", head("X-A: a\rTransfer-Encoding: chunked", "Content-Length: 0") + HIDDEN, {400}),
    (24, "NUL in a value", head("X-A: a\0b", "Content-Length: 0"), {400}),
    (24, "NUL in the URL", head(first=f"GET {LOCATION}\0 HTTP/1.1"), {400}),
    (25, "a folded line", head("X-A: a\r\n b", "Content-Length: 0"), {400}),
    (25, "a folded length", head("Content-Length:\r\n 5") + HIDDEN, {400}),
    (26, "HTTP/9.9", head(first=f"GET {LOCATION} HTTP/9.9"), {400, 505}),
    (26, "HTTP/1.1 twice", head(first=f"GET {LOCATION} HTTP/1.1 HTTP/1.1"), {400}),
    (26, "no version", f"GET {LOCATION}x y\r\n\r\n".encode(), {400}),
    (27, "HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    (29, "a URL of 40 kB", head(first=f"GET {LOCATION}?{'x' * 40_000} HTTP/1.1"), {414}),
    (31, "a header of 16 kB", head("X-A: " + "x" * 16_000), {431}),
    (31, "headers of 40 kB", head(*[f"X-{n}: {'x' * 4000}" for n in range(10)]), {431}),
    (40, "a URL with another host", head("Content-Length: 0", first=f"GET http://evil.example{LOCATION} HTTP/1.1"), {400}),
    (42, "CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n", {400, 405}),
    (43, "a method in small letters", head(first=f"get {LOCATION} HTTP/1.1"), {400}),
    (41, "TRACE", head(first=f"TRACE {LOCATION} HTTP/1.1"), {405}),
    (50, "no Host", f"GET {LOCATION} HTTP/1.1\r\nAuthorization: Token {{token}}\r\n\r\n".encode(), {400}),
    (51, "two Hosts", head("Host: evil.example", first=f"GET {LOCATION} HTTP/1.1"), {400}),
    (52, "another Host", f"GET {LOCATION} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode(), {400}),
]  # fmt: skip


def everything_answered(edge: Any, raw: bytes) -> list[Answer]:
    """Send bytes; return all that is answered until the other side hangs up or has nothing more to say."""
    answers = []
    with Wire(edge.address, timeout_s=1.5) as wire:
        wire.send(raw.replace(b"{token}", edge.token.encode()))
        try:
            while True:
                answers.append(wire.answer())
        except (Closed, TimeoutError):
            return answers


def is_ours(answer: Answer) -> bool:
    """Return True for JSON in the form of the API, from whichever of the two."""
    return answer.is_json and (
        {"status_code", "status_message", "timestamp"} <= set(answer.json) or "detail" in answer.json
    )


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: f"#{frame[0]} {frame[1]}")
def test_odd_framing_is_answered_once_and_smuggles_nothing(edge, frame):
    _, _, raw, allowed = frame
    before = stored.everything(edge.tenant)

    answers = everything_answered(edge, raw)

    assert len(answers) == 1, answers
    assert answers[0].status in allowed, answers[0]
    assert is_ours(answers[0]), answers[0]
    assert stored.everything(edge.tenant) == before


def test_a_body_shorter_than_its_length_stores_nothing(edge):  # 15
    before = stored.everything(edge.tenant)
    with Wire(edge.address) as wire:
        wire.send(head(LONG).replace(b"{token}", edge.token.encode()) + BODY[:-1])

    time.sleep(0.2)

    assert stored.everything(edge.tenant) == before


def test_a_body_longer_than_its_length_is_its_own_request_and_no_more(edge):  # 16
    before = stored.everything(edge.tenant)

    answers = everything_answered(edge, head("Content-Length: 2") + b'{}{"id": 1}')

    assert [one.status for one in answers] == [200, 400]
    assert answers[0].json["status_code"] == 2001
    assert stored.everything(edge.tenant) == before


def test_a_connection_cut_in_the_middle_of_a_body_stores_nothing(edge):  # 39
    before = stored.everything(edge.tenant)
    wire = Wire(edge.address)
    wire.send(head(LONG).replace(b"{token}", edge.token.encode()) + BODY[:100])

    wire.reset()
    time.sleep(0.2)

    assert stored.everything(edge.tenant) == before


@pytest.mark.parametrize(
    "body",
    [
        chunked(BODY),
        chunked(*[BODY[n : n + 1] for n in range(len(BODY))]),
        chunked(BODY[:10], BODY[10:]).replace(b"\r\n", b";name=value\r\n", 1),
        chunked(BODY)[:-2] + b"Authorization: Token x\r\nContent-Length: 1\r\n\r\n",
    ],
    ids=["#21 one chunk", "#21 a byte a chunk", "#18 a chunk's extension", "#20 trailers"],
)
def test_chunked_uploads_are_read_and_trailers_ignored(edge, body):
    answers = everything_answered(edge, head(CHUNKED) + body)

    assert [(one.status, one.json["status_code"]) for one in answers] == [(200, 1000)]
    assert stored.document(edge.tenant)["name"] == "Smuggled"


def test_bare_line_feeds_are_read_as_nginx_reads_them_and_split_nothing(edge):  # 22; RFC 9112, "Message Parsing"
    answers = everything_answered(edge, head(first=f"GET {LOCATION} HTTP/1.1").replace(b"\r\n", b"\n"))

    assert [one.status for one in answers] == [200]


def test_tls_on_the_plain_port_is_answered_or_closed_at_once(edge):  # 28
    with Wire(edge.address) as wire:
        wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300))

        assert wire.is_closed(10)


def test_101_headers_are_answered(edge):  # 30
    answers = everything_answered(edge, head(*[f"X-{n}: x" for n in range(101)], first=f"GET {LOCATION} HTTP/1.1"))

    assert [one.status for one in answers] in ([200], [431])


def test_a_hundred_requests_at_once_are_answered_in_order(edge):  # 32
    ids = [str(uuid.uuid4()) for _ in range(100)]
    with Wire(edge.address) as wire:
        auth = ("Authorization", f"Token {edge.token}")
        wire.send(b"".join(request("GET", LOCATION, [auth, ("X-Request-ID", one)]) for one in ids))
        answers = [wire.answer() for _ in ids]

    assert [(one.status, one.headers["x-request-id"]) for one in answers] == [(200, one) for one in ids]


@pytest.mark.parametrize(("value", "allowed"), [("100-continue", {200}), ("nonsense", {200, 417})])
def test_expect_is_handled(edge, value, allowed):  # 37, 38
    answers = everything_answered(edge, head(LONG, f"Expect: {value}") + BODY)

    assert [one.status in allowed for one in answers] == [True]


@pytest.mark.parametrize(
    "line",
    ["X_Forwarded_Proto: https", "X-Forwarded-Proto: https", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: evil.example",
     "Forwarded: host=evil.example;proto=https", "X-HTTP-Method-Override: DELETE", "Content_Length: 5", "Transfer_Encoding: x",
     "Proxy: http://evil.example"],
)  # fmt: skip
def test_headers_by_which_a_client_could_lie_do_not_arrive(edge, line):  # 49, 55-58
    versions = "/ocpi/receiver/versions"

    (answer,) = everything_answered(edge, head(line, first=f"GET {versions} HTTP/1.1"))

    assert answer.status == 200
    assert answer.json["data"] == [{"version": "2.2.1", "url": "http://localhost/ocpi/receiver/2.2.1"}]
