"""An OCPI 2.2.1 Sender that does everything right but for one `fault`; standard library only, nothing of ours."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.documents import location_body, tariff_body

TOKEN = "odd-sender"
MOST = 4  # objects on a page
NOW = "2026-03-02T09:15:00Z"


class OddSender:
    """What it has, and what is wrong with it."""

    def __init__(self, fault: str, locations: int = 6, tariffs: int = 5) -> None:
        self.fault, self.url, self.asked = fault, "", 0
        self.lists: dict[str, list[dict[str, Any]]] = {
            "locations": [location_body(id=f"L{n}", last_updated=f"2026-03-02T10:00:0{n}Z") for n in range(locations)],
            "tariffs": [tariff_body(id=f"T{n}", last_updated=f"2026-03-02T10:00:0{n}.250Z") for n in range(tariffs)],
        }
        for location in self.lists["locations"]:
            location["evses"][0]["connectors"][0]["tariff_ids"] = ["t0"]
        self._spoil(self.lists["locations"][0])

    def _spoil(self, location: dict[str, Any]) -> None:
        evse = location["evses"][0]
        if self.fault == "no-null-list":
            evse["connectors"][0]["tariff_ids"] = None
        elif self.fault == "known-tariffs":
            evse["connectors"][0]["tariff_ids"] = ["NONE"]
        elif self.fault == "child-times":
            evse["last_updated"] = "2026-03-05T00:00:00Z"
        elif self.fault == "identity":
            del location["party_id"]
        elif self.fault == "one-party":
            location["party_id"] = "ZZZ"
        elif self.fault == "objects":
            evse["status"] = "OCCUPIED"
        elif self.fault == "dot-nl":
            del location["energy_mix"]

    # Each returns HTTP status, headers, body.

    def answer(self, path: str, query: dict[str, str], headers: Any) -> tuple[int, dict[str, str], Any]:
        """Answer one GET."""
        self.asked += 1
        refused = self._refuse(headers.get("Authorization", ""))
        if refused:
            return refused
        if path.endswith("/") and self.fault in ("slash", "no-redirect"):
            moved = self.fault == "no-redirect"
            return (301, {"Location": path[:-1]}, error(2000)) if moved else (404, {}, error(2000))
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts == ["versions"]:
            url = "/2.2.1" if self.fault == "versions" else f"{self.url}/2.2.1"
            return 200, {}, ok([{"version": "2.1.1", "url": f"{self.url}/2.1.1"}, {"version": "2.2.1", "url": url}])
        if parts == ["2.2.1"]:
            return 200, {}, ok({"version": "2.2.1", "endpoints": self._ends()})
        return self._list(parts[-1], query) if len(parts) == 2 else self._single(parts[2:])

    def _refuse(self, header: str) -> tuple[int, dict[str, str], Any] | None:
        packed, broken = (base64.b64encode(f"{TOKEN}{end}".encode()).decode() for end in ("", "\n"))
        forms = {f"Token {packed}", f"Token {TOKEN}", f"Token {broken}"}
        if self.fault == "encodings":
            forms = {f"Token {TOKEN}"}
        if self.fault == "bad-scheme":
            forms.add(f"Basic {packed}")
        open_to = {"no-credential": not header, "bad-credential": header == "Token bm9ib2R5"}
        if header in forms or open_to.get(self.fault):
            return None
        return 401, {} if self.fault == "challenge" else {"WWW-Authenticate": "Token"}, error(2000)

    def _ends(self) -> list[dict[str, str]]:
        modules = ["locations"] if self.fault == "modules" else ["locations", "tariffs"]
        ends = [{"identifier": one, "role": "SENDER", "url": f"{self.url}/2.2.1/{one}"} for one in modules]
        return [*ends, {"identifier": "sessions", "url": f"{self.url}/s"}] if self.fault == "details" else ends

    def _single(self, ids: list[str]) -> tuple[int, dict[str, str], Any]:
        found: Any = {"evses": self.lists["locations"], "id": ""}
        for name, key, value in zip(("evses", "evses", "connectors"), ("id", "uid", "id"), ids, strict=False):
            found = next((one for one in found[name] if one.get(key) == value), None)
            if found is None:
                return (200, {}, ok(None)) if self.fault == "unknown-object" else (404, {}, error(2003))
        if (self.fault, len(ids) > 1) in (("single", False), ("part", True)):
            return 404, {}, error(2003)
        return 200, {}, ok(found)

    def _list(self, module: str, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        wrong = self._wrong(query)
        if wrong:
            return wrong
        fault, limit = self.fault, int(query.get("limit", MOST))
        if limit > MOST and fault == "limit-capped":
            return 200, {}, error(2001)
        limit, offset = min(limit, MOST), int(query.get("offset", 0))
        matching = self._filtered(self.lists[module], query)
        if fault == "steady" and self.asked % 2:
            matching = matching[::-1]
        start = offset * limit if fault == "offset" and "next" not in query else offset
        page = matching[max(0, start - (fault == "once" and start > 0)) : start + limit + (fault == "limit")]
        headers = {"X-Total-Count": str(len(page) if fault == "complete" else len(matching)), "X-Limit": str(limit)}
        if fault == "limit-steady":
            headers["X-Limit"] = str(max(1, len(page)))
        if fault == "total":
            del headers["X-Total-Count"]
        if start + limit < len(matching) + (fault == "link-ends"):
            headers["Link"] = self._link(module, query, offset + limit, limit)
        if fault == "beyond" and start >= len(matching) > 0:
            return 404, {}, error(2000)
        if fault == "success":
            return 200, headers, error(3000)
        return 200, headers, ok(None if fault == "list-data" and not page else page)

    def _wrong(self, query: dict[str, str]) -> tuple[int, dict[str, str], Any] | None:
        numbers = [query[name] for name in ("limit", "offset") if name in query]
        dates = [query[name] for name in ("date_from", "date_to") if name in query]
        is_bad = not all(number.isdigit() for number in numbers) or query.get("limit") == "0"
        is_bad |= any("T" not in date or "02-30" in date for date in dates)
        is_odd = self.fault == "unknown-parameter" and "colour" in query
        is_odd |= self.fault == "date-forms" and any(not date.endswith("Z") for date in dates)
        if is_bad and self.fault == "bad-parameter":
            return 500, {}, error(3000)
        return (200, {}, error(2001)) if is_bad or is_odd else None

    def _filtered(self, objects: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        since, until = (query.get(name, "").removesuffix("Z").removesuffix(".000") for name in ("date_from", "date_to"))

        def is_in(one: dict[str, Any]) -> bool:
            at = one["last_updated"].removesuffix("Z")
            is_late = at > since if self.fault == "date-from" and since else at >= since
            return is_late and (not until or (at <= until if self.fault == "date-to" else at < until))

        return [one for one in objects if is_in(one)]

    def _link(self, module: str, query: dict[str, str], offset: int, limit: int) -> str:
        kept = {
            name: query[name] for name in ("date_from", "date_to") if name in query and self.fault != "link-filters"
        }
        root = "" if self.fault == "link" else self.url
        return f'<{root}/2.2.1/{module}?{urlencode(kept | {"offset": offset, "limit": limit, "next": 1})}>; rel="next"'


def ok(data: Any) -> dict[str, Any]:
    return {"data": data, "status_code": 1000, "timestamp": NOW}


def error(code: int) -> dict[str, Any]:
    return {"status_code": code, "status_message": "no", "timestamp": NOW}


@contextmanager
def parrot(raw: bytes, **headers: str) -> Iterator[str]:
    """Run a server that answers everything with the same bytes and headers; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            body = raw.replace(b"<heard>", self.headers.get("Authorization", "").encode())
            self.send_response(200)
            said = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            for name, value in (said | {name.replace("_", "-"): value for name, value in headers.items()}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@contextmanager
def odd_sender(fault: str = "", **sizes: int) -> Iterator[OddSender]:
    """Run one."""
    sender = OddSender(fault, **sizes)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: head and body apart wait 40 ms for each other

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if fault == "answers" and "limit=-1" in self.path:
                return self.close_without_a_word()
            query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            status, headers, envelope = sender.answer(parts.path, query, self.headers)
            if fault == "envelope":
                envelope["status_code"] = status
            if fault == "timestamp":
                envelope["timestamp"] = "2026-03-02T09:15:00+00:00"
            raw = json.dumps(envelope).encode()
            if fault == "json":
                raw = raw.replace(b"{", b'{"a":NaN,', 1)
            self.send_response(status)
            ids = (
                {}
                if fault == "ids-echoed"
                else {name: self.headers[name] for name in ("X-Request-ID", "X-Correlation-ID")}
            )
            kind = "text/html" if fault == "content-type" else "application/json"
            for name, value in {**headers, **ids, "Content-Type": kind, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def close_without_a_word(self) -> None:
            self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        sender.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield sender
        finally:
            server.shutdown()
