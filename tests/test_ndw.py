"""One HTTP call to NDW: what goes out, what may come back, and how long it may take."""

import contextlib
import datetime as dt
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socket import SHUT_RDWR, create_server, socket
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ocpi import ndw as client
from ocpi import push, queue
from ocpi.ndw import Insecure, NdwError, Unanswered
from tests import factories
from tests.pushing import row, sent, set_status

OK = b'{"status_code":1000,"timestamp":"2026-03-02T10:00:00Z"}'
ENVELOPE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(OK), OK)


class Peer:
    """A server that says given bytes to whoever calls, one piece after the other, and notes what it heard."""

    def __init__(self, pieces: Iterator[bytes], pause_s: float, host: str, tls: ssl.SSLContext | None) -> None:
        self.pieces, self.pause_s, self.tls, self.heard = pieces, pause_s, tls, b""
        self.listener = create_server((host, 0))
        self.url = f"http://{host}:{self.listener.getsockname()[1]}"
        self.open: list[socket] = []

    def serve(self) -> None:
        """Serve one caller after the other until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self.listener.accept()
                self.open.append(caller)
                with contextlib.suppress(OSError), caller:
                    self.talk(self.tls.wrap_socket(caller, server_side=True) if self.tls else caller)

    def talk(self, caller: socket) -> None:
        """Hear a caller and say the pieces."""
        self.heard += _whole_request(caller)
        for piece in self.pieces:
            caller.sendall(piece)
            time.sleep(self.pause_s)

    def close(self) -> None:
        """Hang up on everybody."""
        for caller in self.open:
            with contextlib.suppress(OSError):
                caller.shutdown(SHUT_RDWR)
        self.listener.shutdown(SHUT_RDWR)
        self.listener.close()


def _whole_request(caller: socket) -> bytes:
    """Hear a request to its end: hanging up on unread bytes would reset the connection and take our answer along."""
    heard = b""
    while piece := caller.recv(65536):
        heard += piece
        head, end, body = heard.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
        if end and len(body) >= (int(length[1]) if length else 0):
            break
    return heard


@contextmanager
def peer(
    *pieces: bytes,
    pause_s: float = 0.0,
    forever: bytes = b"",
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Peer]:
    """Run a Peer; `forever` is repeated after the pieces."""

    def script() -> Iterator[bytes]:
        yield from pieces
        while forever:
            yield forever

    server = Peer(script(), pause_s, host, tls)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)


def send(url: str, method: str = "PUT", body: bytes | None = b"{}", total_s: float = 5.0) -> client.Answer:
    return client.send(method, url, token="tok", headers={"X-Request-ID": "r1"}, body=body, total_s=total_s)


@contextmanager
def cut_within(seconds: float) -> Iterator[None]:
    """Expect a call to be given up in time."""
    started = time.monotonic()
    with pytest.raises(NdwError, match="Timeout"):
        yield
    assert time.monotonic() - started < seconds


def test_ndw_request_is_as_the_supplier_page_wants_it(ndw):
    token = ndw.token()
    url = f"{ndw.push_url}/tariffs/NL/EXA/T1"

    client.send("PUT", url, token=token, headers={"X-Request-ID": "r1"}, body=b"{}")
    client.send("DELETE", url, token=token, headers={"X-Request-ID": "r2"}, body=None)

    put, delete = ndw.received
    wanted = {"authorization": f"Bearer {token}", "accept-encoding": "identity", "x-request-id": "r1"}
    assert put.headers.items() >= (wanted | {"content-type": "application/json"}).items()
    assert "content-type" not in delete.headers
    assert delete.raw == b""


def test_ndw_token_call_carries_any_secret_in_a_form(ndw):
    answer = client.fetch_token(ndw.token_url, "gate way", "s&c=r+t é%")

    form = parse_qs(ndw.token_calls[0].raw.decode())
    assert answer.http_status == 401
    assert form == {"client_id": ["gate way"], "client_secret": ["s&c=r+t é%"], "grant_type": ["client_credentials"]}


def test_ndw_ids_of_any_characters_arrive_as_one_segment(cpo, ndw):
    connection = factories.make_connection(cpo, ndw)
    factories.put_location(cpo, id="a b#?%*&+;")

    push.drain()
    set_status(cpo, "CHARGING", location_id="a b#?%*&+;")
    push.drain()

    path = "/locations/NL/EXA/a%20b%23%3F%25*%26%2B%3B"
    assert sent(ndw) == [("PUT", path), ("PATCH", f"{path}/EVSE-1")]
    assert row(connection, "a b#?%*&+;").state == "delivered"
    assert [document["id"] for document in ndw.locations.values()] == ["a b#?%*&+;"]


def test_ndw_slash_in_an_id_is_not_a_path():
    assert client.push_path("location", "NL", "EXA", "a/../b", "é") == "/locations/NL/EXA/a%2F..%2Fb/%C3%A9"


@pytest.mark.parametrize("ids", [("..",), (".",), ("LOC", "..")])
def test_ndw_id_that_no_url_can_carry_is_refused(ids):
    with pytest.raises(ValueError, match="no URL can carry"):
        client.push_path("location", "NL", "EXA", *ids)


def test_ndw_connection_is_kept(ndw):
    before = len(ndw.server.open)

    for _ in range(5):
        send(f"{ndw.push_url}/tariffs/NL/EXA/T1")

    assert len(ndw.server.open) <= before + 1
    assert len(ndw.received) == 5


# --- How long it may take ----------------------------------------------------------------------------------------------


def test_ndw_deadlines_fit_into_a_lease():
    assert client.CONNECT_S + client.READ_S <= client.TOTAL_S < push.LEAST_LEASE_S < queue.LEASE_S / 2


def test_ndw_connect_has_a_timeout_of_its_own():
    full = socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    waiting = [socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(full.getsockname())  # nobody accepts: the next to call gets no answer at all

    with pytest.raises(NdwError, match="ConnectTimeout"):
        send(f"http://127.0.0.1:{full.getsockname()[1]}/", total_s=0.2)

    for one in [*waiting, full]:
        one.close()


def test_ndw_silence_after_the_request_is_a_read_timeout(ndw):
    ndw.fail_next("hang")

    with pytest.raises(Unanswered, match="ReadTimeout"):
        send(f"{ndw.push_url}/tariffs/NL/EXA/T1", total_s=0.2)

    assert len(ndw.received) == 1


def test_ndw_dripping_body_is_cut_by_the_clock(ndw):
    ndw.fail_next("drip", rate=20)

    with cut_within(2):
        send(f"{ndw.push_url}/tariffs/NL/EXA/T1", total_s=0.3)


def test_ndw_dripping_headers_are_cut_by_the_clock():
    with peer(b"HTTP/1.1 200 OK\r\nX-Slow: ", pause_s=0.05, forever=b"a") as server, cut_within(2):
        send(server.url, total_s=0.3)


# --- What may come back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_ndw_redirect_is_not_followed(ndw, status):
    ndw.fail_next("redirect", location=f"{ndw.push_url}/tariffs/NL/EXA/T2", status=status)

    answer = send(f"{ndw.push_url}/tariffs/NL/EXA/T1")

    assert (answer.http_status, sent(ndw)) == (status, [("PUT", "/tariffs/NL/EXA/T1")])


@pytest.mark.parametrize("location", ["http://[", "/caf\xe9", "http://10.0.0.1:99999999/"])
def test_ndw_redirect_is_not_looked_into(ndw, location):
    ndw.fail_next(302, headers={"Location": location}, body="x" * 1_000_000)

    answer = send(f"{ndw.push_url}/tariffs/NL/EXA/T1")

    assert (answer.http_status, answer.is_whole) == (302, False)
    assert client.LARGEST_ANSWER < len(answer.text) < 2 * client.LARGEST_ANSWER


def test_ndw_long_answer_is_not_read_to_its_end(ndw):
    ndw.fail_next("big", bytes=50_000_000)

    answer = send(f"{ndw.push_url}/tariffs/NL/EXA/T1")

    assert answer.ocpi_status is None
    assert len(answer.text) < 2 * client.LARGEST_ANSWER


def test_ndw_compressed_answer_is_not_unpacked(ndw):
    ndw.fail_next("gzip_bomb", bytes=50_000_000)

    answer = send(f"{ndw.push_url}/tariffs/NL/EXA/T1")

    assert answer.ocpi_status is None
    assert len(answer.text) < 2 * client.LARGEST_ANSWER


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "ocpi_status"),
    [
        ((ENVELOPE,), 1000),
        ((CHUNKED, b"5\r\n" + OK[:5] + b"\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(OK) - 5, OK[5:])), 1000),
        ((CHUNKED, b"%x\r\n%b" % (len(OK) + 1, OK)), None),
        ((CHUNKED, b"zz\r\n"), None),
        ((b"HTTP/1.1 200 OK\r\n\r\n" + OK,), 1000),  # ends with the connection
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + OK,), None),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), None),
    ],
)
def test_ndw_answer_is_read_however_it_is_framed(pieces, ocpi_status):
    with peer(*pieces) as server:
        assert send(server.url).ocpi_status == ocpi_status


@pytest.mark.parametrize("pieces", [(), (b"\x16\x03\x01\x00\x00",), (b"HTTP/1.1 ",), (b"HTTP/1.1 999999 X\r\n\r\n",)])
def test_ndw_what_is_no_http_is_no_answer(pieces):
    with peer(*pieces) as server, pytest.raises(NdwError):
        send(server.url)


# --- Where it may go ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/",
        "http://iam.ndw.nu/",
        "https://iam.ndw.nu:8443/",
        "https://iam.ndw.nu.other.example/",
        "https://user:word@iam.ndw.nu/",
        "https://iam.ndw.nu@other.example/",
        "ftp://iam.ndw.nu/",
        "file:///etc/passwd",
        "https://[::1/",
        "https://iam.ndw.nu:port/",
        "//iam.ndw.nu/",
        "",
    ],
)
def test_ndw_other_hosts_ports_and_schemes_are_not_called(settings, url):
    settings.NDW_ALLOWED_HOSTS = ["iam.ndw.nu"]

    with pytest.raises(Insecure):
        send(url)


def test_ndw_allowed_name_at_an_inner_address_is_not_talked_to(settings):
    with peer(ENVELOPE, host="127.0.0.2") as server:
        address = server.url.removeprefix("http://")
        settings.NDW_ALLOWED_HOSTS = [address]

        with pytest.raises(Insecure, match="not a public address"):
            send(f"https://{address}/")

    assert server.heard == b""


def test_ndw_proxies_and_netrc_of_the_environment_are_not_used(ndw, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    send(f"{ndw.push_url}/tariffs/NL/EXA/T1")

    assert ndw.received[0].headers["authorization"] == "Bearer tok"


def test_ndw_certificate_nobody_vouches_for_is_insecure(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))

    with peer(ENVELOPE, tls=context) as server, pytest.raises(Insecure, match="certificate verify failed"):
        send(server.url.replace("http:", "https:"))

    assert server.heard == b""


def test_ndw_server_that_hangs_up_in_the_handshake_is_no_answer():
    with peer() as server, pytest.raises(NdwError) as error:
        send(server.url.replace("http:", "https:"))

    assert not isinstance(error.value, Insecure)


def _self_signed(folder) -> str:
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]),
    )
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(days=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "pem").write_bytes(private + certificate.public_bytes(pem))
    return str(folder / "pem")
