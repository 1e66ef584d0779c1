"""The log: one line for each upload, pull and push, with what finds it again; JSON where asked; no secret in any form."""

import base64
import io
import json
import logging
import logging.config
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from gateway import embedded
from ocpi import logs, push
from tests import factories
from tests.conftest import CLIENT
from tests.documents import location_body
from tests.test_checks import GOOD

PATH = "/locations/NL/EXA/LOC-0001"


class Lines:
    """What is logged, as the settings would write it."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def text(self) -> str:
        return self.stream.getvalue()

    def json(self, *names: str) -> list[dict[str, Any]]:
        """Return each line, the named members only."""
        lines = [json.loads(line) for line in self.text().splitlines()]
        return [{name: line.get(name) for name in names} if names else line for line in lines]


def listen(formatter: logging.Formatter) -> Iterator[Lines]:
    lines = Lines()
    handler = logging.StreamHandler(lines.stream)
    handler.setFormatter(formatter)
    names = ("ocpi", "tenants")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.INFO)
        logging.getLogger(name).addHandler(handler)
    yield lines
    for name in names:
        logging.getLogger(name).removeHandler(handler)
        logging.getLogger(name).setLevel(levels[name])


@pytest.fixture
def lines() -> Iterator[Lines]:
    yield from listen(logs.JsonFormatter())


@pytest.fixture
def plain() -> Iterator[Lines]:
    yield from listen(logs.LineFormatter(settings.LOGGING["formatters"]["line"]["format"]))


# --- One line each -----------------------------------------------------------------------------------------------------


def test_log_upload_is_one_line_with_everything_that_finds_it_again(cpo, upload, lines):
    body = location_body()

    upload.put(PATH, body, X_Request_ID="r-1", X_Correlation_ID="c-1")

    (line,) = lines.json()
    assert 0 < line.pop("ms") < 60_000
    assert line.pop("time").endswith("+00:00")
    assert line.pop("bytes_out") > 0
    assert line == {
        "level": "INFO", "logger": "ocpi.access", "event": "upload", "request_id": "r-1", "correlation_id": "c-1",
        "tenant": "NL-EXA", "method": "PUT", "path": f"/ocpi/receiver/2.2.1{PATH}", "kind": "location", "id": "LOC-0001",
        "outcome": "created", "status": 201, "code": 1000, "bytes_in": len(json.dumps(body)),
        "message": line["message"],
    }  # fmt: skip
    assert line["message"].startswith("upload NL-EXA PUT LOC-0001: created, HTTP 201 in ")
    assert line["message"].endswith(" ms, X-Request-ID r-1")


def test_log_tells_what_came_of_each_upload(cpo, upload, lines):
    upload.put(PATH, location_body())
    upload.patch(f"{PATH}/EVSE-1", {"status": "CHARGING", "last_updated": "2026-03-02T10:00:00Z"})
    upload.patch(f"{PATH}/EVSE-1", {"status": "AVAILABLE", "last_updated": "2026-03-02T09:30:00Z"})
    upload.put(f"{PATH}/EVSE-1/9", {})
    upload.put(PATH, b"{")
    upload.put("/locations/NL/RIV/LOC-1", {})
    upload.put(PATH, {}, Authorization="Token nonsense")
    upload.call("POST", PATH, {})

    assert [
        tuple(line.values()) for line in lines.json("tenant", "id", "outcome", "status", "code") if line["outcome"]
    ] == [
        ("NL-EXA", "LOC-0001", "created", 201, 1000),
        ("NL-EXA", "LOC-0001/EVSE-1", "changed", 200, 1000),
        ("NL-EXA", "LOC-0001/EVSE-1", "stale", 200, 2001),
        ("NL-EXA", "LOC-0001/EVSE-1/9", "refused", 200, 2001),
        ("NL-EXA", "LOC-0001", "refused", 400, 2001),
        (None, "LOC-1", "refused", 404, 2003),
        (None, "LOC-0001", "denied", 401, 2000),
        ("NL-EXA", "LOC-0001", "refused", 405, 2000),
    ]


def test_log_pull_is_one_line_with_how_much_of_what(cpo, pull, lines):
    for number in range(3):
        factories.put_location(cpo, id=f"LOC-{number}")

    first = pull.get("/locations?limit=2")
    pull.get("/locations?limit=2", If_None_Match=first["ETag"])

    names = ("event", "tenant", "method", "kind", "outcome", "status", "objects", "total", "start", "bytes_out")
    assert [tuple(line.values()) for line in lines.json(*names)] == [
        ("pull", "NL-EXA", "GET", "location", "ok", 200, 2, 3, 0, len(first.content)),
        ("pull", "NL-EXA", "GET", "location", "not modified", 304, None, None, None, 0),
    ]


def test_log_push_is_one_line_that_names_its_upload(cpo, ndw, upload, lines):
    factories.make_connection(cpo, ndw)
    upload.put(PATH, location_body(), X_Correlation_ID="c-7")

    push.drain(0)

    (line,) = (line for line in lines.json() if line.get("event") == "push")
    (sent,) = ndw.received
    assert line["request_id"] == sent.headers["x-request-id"]
    names = ("level", "tenant", "environment", "method", "kind", "id", "outcome", "status", "code", "correlation_id")
    assert [line[name] for name in names] == [
        "INFO", "NL-EXA", "staging", "PUT", "location", "LOC-0001", "delivered", 201, 1000, "c-7",
    ]  # fmt: skip
    assert line["ms"] >= 0
    assert line["bytes_out"] == len(sent.raw)


def test_log_has_a_line_for_a_page_that_is_refused_and_none_for_health(db, lines):
    CLIENT.get("/healthz")
    CLIENT.get("/admin/login/")
    CLIENT.get("/nothing?token=canary")

    (line,) = lines.json()
    assert (line["event"], line["status"], line["outcome"]) == ("page", 404, "refused")
    assert len(line["request_id"]) == 36
    assert "canary" not in lines.text()


def test_log_lines_meanwhile_carry_the_request(cpo, upload, lines, monkeypatch):
    def breaks(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(
        "ocpi.store.put_location", breaks
    )  # stands for a mistake of ours, of which there should be none

    upload.put(PATH, location_body(), X_Request_ID="r-9")

    first, second = lines.json()
    assert (first["level"], first["request_id"], first["tenant"]) == ("ERROR", "r-9", "NL-EXA")
    assert first["exception"].endswith("RuntimeError: broken")
    assert (second["level"], second["outcome"], second["status"]) == ("WARNING", "failed", 500)


def test_log_line_for_people_is_one_line_whatever_the_path(db, plain):
    CLIENT.get("/nothing%0AERROR%20forged")

    assert len(plain.text().splitlines()) == 1
    assert r"/nothing\nERROR forged" in plain.text()


# --- Secrets -----------------------------------------------------------------------------------------------------------

TOKEN = "gw-u.O3QpeIlw.QOeVRVaGqXqdASqcK0KSipjLBvVpYcScP5A7ZwtbLsd"  # as `secrets.new_token` makes them
ENCODED = base64.b64encode(TOKEN.encode()).decode()
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"no such token: {TOKEN}", TOKEN.split(".")[2]),
        (f"headers {{'Authorization': 'Token {ENCODED}'}}", ENCODED),
        (f"odd value {ENCODED}", ENCODED),
        ("Authorization: Bearer canary-1234567890-abcdef", "canary"),
        ("HTTP_AUTHORIZATION=Basic Y2FuYXJ5OmNhbmFyeQ==", "Y2FuYXJ5"),
        ("('authorization', 'canary')", "canary"),
        (f"jwt {JWT} refused", JWT),
        ("grant_type=client_credentials&client_id=us&client_secret=canary&x=1", "canary"),
        ('{"access_token": "canary", "expires_in": 1800}', "canary"),
        ("connection to postgres://gateway:canary@db:5432/gateway failed", "canary"),
        ("password=canary host=db", "canary"),
    ],
)
@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.LineFormatter("%(message)s")])
def test_log_hides_what_looks_like_a_secret(formatter, text, secret):
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "%s", (text,), None)

    written = formatter.format(record)

    assert secret not in written
    assert logs.HIDDEN in written


@pytest.mark.parametrize(
    "text", ["upload NL-EXA PUT LOC-1: created", "Token missing", "https://cpo.example:8443/ocpi", TOKEN[:13]]
)
def test_log_hides_nothing_else(text):
    assert logs.redact(text) == text


def test_log_hides_a_secret_in_a_traceback():
    try:
        raise RuntimeError(f"refused: {TOKEN}")
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "oh", (), sys.exc_info())

    for formatter in (logs.JsonFormatter(), logs.LineFormatter("%(message)s")):
        written = formatter.format(record)
        assert "RuntimeError" in written
        assert TOKEN.split(".")[2] not in written


def test_log_has_no_credential_of_anybody(cpo, rival, ndw, upload, pull, lines):
    """Every way in and out, with credentials that are right and wrong, and in the wrong places."""
    connection = factories.make_connection(cpo, ndw)
    used = [caller.headers["Authorization"].split()[1] for caller in (upload, pull)]
    upload.put(PATH, location_body())
    upload.put(f"{PATH}?token={used[0]}", location_body())
    upload.put(PATH, {"token": used[0]})
    upload.get(PATH, Authorization=f"Token {used[1]}")
    pull.get("/locations", Authorization=f"Bearer {JWT}")
    pull.get(f"/locations?after={used[1]}")
    form = {"grant_type": "client_credentials", "client_id": "canary-id", "client_secret": "canary-secret"}
    CLIENT.post("/oauth/token", form, REMOTE_ADDR="127.0.0.1")
    CLIENT.post("/admin/login/", {"username": "us", "password": "canary-password"})
    push.drain(0)

    assert len(lines.json()) >= 8
    text = lines.text()
    tokens = [request.headers["authorization"].split()[1] for request in ndw.received]
    secret = connection.service_account.client_secret
    for one in (*used, *tokens, JWT, secret, "canary"):
        assert one not in text


# --- Settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("line", False), ("", False)])
def test_log_format_is_what_the_environment_says(tmp_path, form, is_json):
    code = "import django, logging; django.setup(); logging.getLogger('ocpi').warning('said %s', 1)"
    given = {
        "PATH": os.environ["PATH"],
        "GATEWAY_DATA": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
        **GOOD,
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=embedded.ROOT, env=given | {"LOG_FORMAT": form}, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip

    assert done.stderr.startswith("{") == is_json
    assert "said 1" in (json.loads(done.stderr)["message"] if is_json else done.stderr)
