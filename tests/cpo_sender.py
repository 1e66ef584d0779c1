"""A CPO's OCPI 2.2.1 Sender that notes what it is asked and answers as told; standard library only, nothing of ours."""

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.documents import location_body, tariff_body

TOKEN = "cpo-token.1"
PACKED = base64.b64encode(TOKEN.encode()).decode()
ROOT = "/ocpi"


class Asked(NamedTuple):
    """One request."""

    path: str
    query: dict[str, str]
    authorization: str


class CpoSender:
    """Its lists, pages of `most`, and answers of its own for a path or for a page: `faults["tariffs", 2]` is the second."""

    def __init__(self) -> None:
        self.url, self.most, self.asked = "", 2, list[Asked]()
        self.takes = {f"Token {PACKED}"}
        self.at = "2026-03-02T09:15:00Z"
        self.lists: dict[str, list[Any]] = {
            "locations": [location_body(id=f"L{n}") for n in range(5)],
            "tariffs": [tariff_body(id=f"T{n}") for n in range(3)],
        }
        for location in self.lists["locations"]:
            location["evses"][0] |= {"uid": f"{location['id']}-E", "evse_id": f"NL*EXA*E{location['id']}"}
            location["evses"][0]["connectors"][0]["tariff_ids"] = ["T0"]
        self.faults: dict[Any, Any] = {}
        self.link = "{url}{path}?{query}"
        self.total: int | None = None

    @property
    def versions_url(self) -> str:
        """Return what an operator would type."""
        return f"{self.url}{ROOT}/versions"

    def requests(self, module: str) -> list[dict[str, str]]:
        """Return the queries for one list."""
        return [one.query for one in self.asked if one.path.endswith(f"/{module}")]

    def answer(self, path: str, query: dict[str, str], authorization: str) -> tuple[int, dict[str, str], Any]:
        """Answer one GET."""
        self.asked.append(Asked(path, query, authorization))
        module = path.rpartition("/")[2]
        fault = self.faults.get(path) or self.faults.get((module, len(self.requests(module))))
        if fault:
            return fault
        if authorization not in self.takes:
            return 401, {}, self.envelope(2000, message="no")
        here = f"{self.url}{ROOT}"
        if path == f"{ROOT}/versions":
            return 200, {}, self.envelope(data=[{"version": v, "url": f"{here}/{v}"} for v in ("2.1.1", "2.2.1")])
        if path == f"{ROOT}/2.2.1":
            ends = [
                ("locations", "RECEIVER", "r"),
                *((one, "SENDER", one) for one in self.lists),
                ("cdrs", "SENDER", "c"),
            ]
            named = [{"identifier": i, "role": r, "url": f"{here}/2.2.1/{tail}"} for i, r, tail in ends]
            return 200, {}, self.envelope(data={"version": "2.2.1", "endpoints": named})
        if module in self.lists:
            return self._page(path, module, query)
        return 404, {}, self.envelope(2000, message="nothing here")

    def _page(self, path: str, module: str, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", self.most)), self.most)
        since = query.get("date_from", "")
        found = [one for one in self.lists[module] if not since or one["last_updated"] >= since]
        headers = {"X-Total-Count": str(len(found) if self.total is None else self.total), "X-Limit": str(self.most)}
        if offset + limit < len(found):
            following = urlencode(query | {"offset": offset + limit, "limit": limit})
            headers["Link"] = f'<{self.link.format(url=self.url, path=path, query=following)}>; rel="next"'
        return 200, headers, self.envelope(data=found[offset : offset + limit])

    def envelope(self, code: int = 1000, data: Any = None, message: str = "") -> dict[str, Any]:
        """Return one."""
        said = {"status_message": message} if message else {}
        return {"status_code": code, "timestamp": self.at, **said} | ({} if data is None else {"data": data})


@contextmanager
def cpo_sender(host: str = "127.0.0.1") -> Iterator[CpoSender]:
    """Run one."""
    sender = CpoSender()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: head and body apart wait 40 ms for each other

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            status, headers, body = sender.answer(parts.path, query, self.headers.get("Authorization", ""))
            raw = body if isinstance(body, bytes) else gzip.compress(json.dumps(body).encode())
            coding = {} if isinstance(body, bytes) else {"Content-Encoding": "gzip"}
            self.send_response(status)
            given = {"Content-Type": "text/plain", "Content-Length": str(len(raw)), **coding} | headers
            for name, value in given.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)
            self.close_connection = "Connection" in headers

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Handler) as server:
        server.daemon_threads = True
        sender.url = f"http://{host}:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield sender
        finally:
            server.shutdown()
