"""P23: URLs that an operator or a CPO could set, redirects, and a resolver that changes its mind; watched at the socket.

The URLs are those of tests/test_addresses.py. They are asked for as they stand, saved or not: what forms refuse, a row may hold.
"""

import itertools
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse

from ocpi import crawl, ndw
from ocpi.models import Source
from tenants import addresses
from tenants.models import Connection, ServiceAccount
from tests import factories, test_addresses
from tests.chaos.promises import Verdict
from tests.door import Size
from tests.door.forged import cases

OUTSIDE = "93.184.216.34"
INSIDE = [one for one in test_addresses.INSIDE if "%" not in one]
METADATA = "http://169.254.169.254/latest/meta-data/"


class Witness:
    """Sees every connection this process opens, and lets those to the machine itself through only."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.is_on = False
        sys.addaudithook(self._hear)  # for good: Python has no way to take it out

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
            host, port = arguments[1][:2]
            self.seen.append((host, port))
            if not host.startswith("127."):
                raise ConnectionRefusedError(111, "no way out of a test")

    @contextmanager
    def watching(self) -> Iterator[list[tuple[str, int]]]:
        """Yield what is connected to meanwhile."""
        self.seen, self.is_on = [], True
        try:
            yield self.seen
        finally:
            self.is_on = False


def play(size: Size) -> Verdict:
    """Play all of it; there is one size."""
    verdict, witness = Verdict("P23", "no connection outside the allow-list"), Witness()
    ndws = cases(test_addresses.test_check_refuses_everything_else)
    cpos = cases(test_addresses.test_check_source_refuses_everything_else)
    refused = _at_the_forms(verdict, witness, ndws, cpos)
    with witness.watching() as seen:
        with override_settings(NDW_ALLOWED_HOSTS=test_addresses.LISTED):
            answers = [_ask_ndw(url) for url in ndws]
        with override_settings(SOURCE_ALLOWED_HOSTS=[]):
            answers += [_ask_cpo(url) for url in cpos]
    verdict.check(not seen, f"connected to {seen[:5]}")
    verdict.check(None not in answers, "something answered")
    redirects = _redirects(verdict, witness)
    rebindings = _rebinding(verdict, witness)
    verdict.figures = (
        f"{len(ndws)} URLs for NDW and {len(cpos)} for Senders: {len(seen)} connections, {refused} refused by the forms; "
        f"{redirects} redirects, none followed; {rebindings}"
    )
    return verdict


def _ask_ndw(url: str) -> str | None:
    """Fetch a token and push; return why not."""
    try:
        ndw.fetch_token(url, "x", "x")
    except (ndw.NdwError, ndw.Insecure) as error:
        first = str(error)
    else:
        return None
    try:
        ndw.send("PUT", url, token="x", headers={}, body=b"{}", total_s=2)
    except (ndw.NdwError, ndw.Insecure):
        return first
    return None


def _ask_cpo(url: str) -> str | None:
    """Ask a Sender for its lists; return why not."""
    try:
        crawl.Sender(url, "x", is_base64=True, longest_s=5).endpoints()
    except crawl.SenderError as error:
        return str(error)
    return None


# --- Forms -------------------------------------------------------------------------------------------------------------


def _at_the_forms(verdict: Verdict, witness: Witness, ndws: list[str], cpos: list[str]) -> int:
    """Try to save each in the admin; return how many were refused."""
    cpo, boss = factories.make_tenant("EXA"), Client()
    account = ServiceAccount.objects.create(
        name="x", environment="staging", token_url="https://iam.ndw.nu/", client_id="x"
    )
    boss.force_login(User.objects.create_superuser("boss", password="x"))
    source: dict[str, Any] = {"tenant": cpo.pk, "token": "x", "token_form": "base64", "every_s": 60, "full_at": "02:30"}
    connection: dict[str, Any] = {"tenant": cpo.pk, "environment": "staging", "service_account": account.pk}
    token: dict[str, Any] = {"name": "y", "environment": "staging", "client_id": "x", "client_secret": "x"}
    tries: list[tuple[str, dict[str, Any]]] = [("ocpi_source", source | {"url": url}) for url in cpos]
    tries += [("tenants_connection", connection | {"push_url": url}) for url in ndws]
    tries += [("tenants_serviceaccount", token | {"token_url": url}) for url in ndws]
    with (
        witness.watching() as seen,
        override_settings(NDW_ALLOWED_HOSTS=test_addresses.LISTED, SOURCE_ALLOWED_HOSTS=[]),
    ):
        statuses = Counter(boss.post(reverse(f"admin:{name}_add"), form).status_code for name, form in tries)
    kept = {url for rows in (Source.objects.values_list("url"), Connection.objects.values_list("push_url"),
                             ServiceAccount.objects.values_list("token_url")) for (url,) in rows}  # fmt: skip
    # A name without a scheme is completed, and is then one of those listed.
    verdict.check(kept <= {"https://iam.ndw.nu/", "https://iam.ndw.nu"}, f"saved: {kept}")
    verdict.check(set(statuses) <= {200, 302} and statuses[302] <= 2, f"forms answered {dict(statuses)}")
    verdict.check(not seen, f"saving connected to {seen[:5]}")
    return statuses[200]


# --- Redirects ---------------------------------------------------------------------------------------------------------


@contextmanager
def _redirecting() -> Iterator[Any]:
    """Run a server that answers `/<status>/…` with a redirect to its `.to`, and count who comes."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.asked += 1
            self.send_response(int(self.path.split("/")[1]))
            self.send_header("Location", server.to or self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_PUT = do_POST = _answer  # noqa: N815

        def log_message(self, *given: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server: Any = http
        server.daemon_threads, server.asked, server.to = True, 0, ""
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def _redirects(verdict: Verdict, witness: Witness) -> int:
    """Have listed hosts answer with redirects to elsewhere, into the network, and to themselves; return how many."""
    asked = 0
    with _redirecting() as server, witness.watching() as seen:
        port = server.server_address[1]
        places = [
            METADATA,
            "https://evil.example/",
            "http://127.0.0.1:5432/",
            "http://127.0.0.2/",
            "file:///etc/passwd",
            "",
        ]
        for status, server.to in itertools.product((301, 302, 303, 307, 308), places):
            url = f"http://127.0.0.1:{port}/{status}/x"
            ndw.fetch_token(url, "x", "x")
            ndw.send("PUT", url, token="x", headers={}, body=b"{}", total_s=5)
            verdict.check(_ask_cpo(url), f"{status} to {server.to} was followed")
            asked += 3
        verdict.check({port for _, port in seen} == {port}, f"connected to {set(seen)}")
        verdict.check(server.asked == asked, f"{server.asked} requests for {asked} calls")
    return asked


# --- Names -------------------------------------------------------------------------------------------------------------


@contextmanager
def _resolver(answers: Callable[[], str]) -> Iterator[Counter[str]]:
    """Be the resolver, of the standard library's own lookup: every name is where `answers` says this time."""
    genuine, asked = socket.getaddrinfo, Counter[str]()

    def lookup(host: Any, port: Any, *given: Any, **named: Any) -> Any:
        try:
            return genuine(host, port, *given, **named | {"flags": socket.AI_NUMERICHOST})
        except (socket.gaierror, TypeError):
            asked[host] += 1
            return genuine(answers(), port, *given, **named)

    socket.getaddrinfo = lookup
    try:
        yield asked
    finally:
        socket.getaddrinfo = genuine


def _rebinding(verdict: Verdict, witness: Witness) -> str:
    """Have a good name lead inside: always, and every second time; only the address that was looked at may be connected to."""
    reached: Counter[str] = Counter()
    lookups = 0
    for address in INSIDE:
        for others in ([address], [OUTSIDE, address], [address, OUTSIDE]):
            turn = itertools.cycle(others)
            with _resolver(lambda turn=turn: next(turn)) as asked, witness.watching() as seen:  # type: ignore[misc]
                with override_settings(NDW_ALLOWED_HOSTS=["iam.ndw.nu"], SOURCE_ALLOWED_HOSTS=[]):
                    for _ in range(4):
                        _ask_ndw("https://iam.ndw.nu/token")
                        _ask_cpo("https://cpo.example/versions")
                lookups += asked.total()
            reached.update(host for host, _ in seen)
    verdict.check(set(reached) <= {OUTSIDE}, f"connected to {dict(reached)}")
    verdict.check(reached[OUTSIDE] > len(INSIDE), "the resolver's good answers led nowhere: nothing was tried")
    inside = sum(
        count for host, count in reached.items() if not addresses.is_public(addresses.ipaddress.ip_address(host))
    )
    return f"{lookups} lookups of names that lead to {len(INSIDE)} inner addresses: {inside} connections inside"
