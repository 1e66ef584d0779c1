"""Traces: nothing of it is loaded unless it is asked for; then spans reach a collector, without what was in the statements."""

import http.client
import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from tests import factories
from tests.benchmarks import stage
from tests.documents import location_body
from tests.test_checks import GOOD, run


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes what comes."""

    got: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[http.server.HTTPServer]:
    Collector.got = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_tracing_that_nobody_asked_for_loads_nothing(tmp_path):
    # redis-py looks for the SDK by itself.
    ours = "('opentelemetry.instrumentation', 'opentelemetry.exporter', 'opentelemetry.sdk.trace')"
    code = f"import gateway.wsgi, sys; print([name for name in sys.modules if name.startswith({ours})])"

    done = run(tmp_path, "-c", code, **GOOD)

    assert done.stdout.splitlines()[-1] == "[]"


def test_tracing_without_its_packages_is_said_and_harmless(tmp_path):
    code = "import sys; sys.modules['opentelemetry'] = None; import gateway.wsgi; print('runs')"

    done = run(tmp_path, "-c", code, **GOOD, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")

    assert done.stdout.splitlines()[-1] == "runs"
    assert "No traces: " in done.stderr
    assert "install the extra `otel`" in done.stderr


def test_tracing_sends_a_span_for_an_upload_and_nothing_of_its_content(transactional_db, cpo, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    token = factories.make_token(cpo)
    with stage.served(workers=1) as server:
        caller = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        path = "/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001"
        body = json.dumps(location_body(name="canary-name"))
        caller.request("PUT", path, body, {"Authorization": f"Token {token}", "Content-Type": "application/json"})
        answer = caller.getresponse()
        answer.read()
        assert answer.status == 201
        caller.close()
        stage.wait_for(lambda: any(b"receiver" in body for _, body in Collector.got))

    sent = b"".join(body for _, body in Collector.got)
    assert {path for path, _ in Collector.got} == {"/v1/traces"}
    assert b"gateway-web" in sent
    assert b"canary-name" not in sent
    assert token.encode() not in sent
