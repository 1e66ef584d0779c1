"""P21: a gateway is run with secrets that are known, and searched for them; then every key is changed while it delivers."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from gateway import embedded
from tests.chaos.compare import settle
from tests.chaos.cpo import Cpo
from tests.chaos.promises import Verdict
from tests.chaos.stage import Stage
from tests.door import Size
from tests.door.house import House, Spy, plain


def play(size: Size) -> Verdict:
    """Play it: search first, then rotate."""
    verdict = Verdict("P21", "no secret leaks, and keys are changed online")
    with Stage(say=lambda line: None) as stage, _sender() as sender_url:
        keys = {"old": _keys(), "new": _keys()}
        stage.environment |= _environment(stage, keys["old"])
        stage.restart()
        house = House(stage, sender_url, size(10, 4))
        with Spy(stage) as spy:
            house.live(size(300, 30))
            searched = house.search(spy)
            verdict.wrong += searched.found
            rotated = Rotation(house, keys["old"], keys["new"]).play(size(20, 6))
            verdict.wrong += rotated.wrong
            again = house.search(
                spy, kept={f"{which} {name}": value for which in keys for name, value in plain(keys[which]).items()}
            )
            verdict.wrong += again.found
    verdict.check(len(house.secrets) >= size(100, 40), f"{len(house.secrets)} secrets only")
    hits = len(searched.found) + len(again.found)
    verdict.figures = f"{len(house.secrets)} secrets in {again.places}: {hits} hits; {rotated.figures}"
    return verdict


# --- Keys --------------------------------------------------------------------------------------------------------------


def _keys() -> dict[str, str]:
    """Return keys as `make run` makes them."""
    return embedded._new_secrets()


def _environment(stage: Stage, keys: dict[str, str]) -> dict[str, str]:
    return keys | {
        "DJANGO_SETTINGS_MODULE": "gateway.settings", "LOG_LEVEL": "DEBUG", "GATEWAY_DATA": str(stage.data / "none"),
        "DATABASE_URL": f"{stage.dsn}&password=canary-of-the-database-password",
        "METRICS_TOKEN": "canary-of-the-metrics-token",
        "NDW_ALLOWED_HOSTS": "127.0.0.1", "SOURCE_ALLOWED_HOSTS": "127.0.0.1", "ADMIN_SECOND_FACTOR": "true",
        "FAILED_AUTH_RATE": "100000", "EMAIL_URL": "smtp://us:canary-of-the-mail-password@127.0.0.1:9",
        "PUBLIC_URL": f"http://127.0.0.1:{stage.port}", "NDW_RATE_CAP": "500",
    }  # fmt: skip


# --- A CPO's Sender that tells what it was shown -----------------------------------------------------------------------


@contextmanager
def _sender() -> Iterator[str]:
    """Run a Sender that refuses everybody in words of its own, which have the token in it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = self.headers.get("Authorization", "")
            said = {"status_code": 2000, "status_message": f"unknown: {shown}", "timestamp": "2026-03-02T10:00:00Z"}
            raw = json.dumps(said).encode() if self.path.split("/")[1][-1] in "02468" else f"<h1>{shown}</h1>".encode()
            self.send_response(401 if raw.startswith(b"{") else 500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *given: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


# --- Rotation ----------------------------------------------------------------------------------------------------------


class Rotation:
    """README, "Rotate a key", while a CPO uploads and NDW is delivered to."""

    ORDER = ("web", "worker", "imports", "beat", "relay")

    def __init__(self, house: House, old: dict[str, str], new: dict[str, str]) -> None:
        self.house, self.stage, self.old, self.new = house, house.stage, old, new
        self.wrong: list[str] = []
        self.figures = ""
        self._stop = threading.Event()

    def check(self, is_so: object, words: str) -> None:
        """Write down what is not as promised."""
        if not is_so:
            self.wrong.append(words)

    def play(self, seconds: float) -> "Rotation":
        """Rotate; `seconds` pass between the steps."""
        cpo, one = self.house.cpos[0], self.house.issued[self.house.parties[0]]
        self.stage.sql(
            "UPDATE tenants_connection SET is_retired = true WHERE is_paused"
        )  # those whose client NDW never knew
        settle(self.stage, [cpo], 60)
        (began,) = self.stage.sql("SELECT clock_timestamp()")[0]
        uploader = threading.Thread(target=self._upload, args=(cpo,))
        uploader.start()
        time.sleep(seconds)
        both = {name: f"{self.new[name]},{self.old[name]}" for name in ("FIELD_KEYS", "SIGNING_KEYS")}
        self._restart(both | {"SECRET_KEY": self.new["SECRET_KEY"], "SECRET_KEY_FALLBACKS": self.old["SECRET_KEY"]})
        self._look("with both keys", one, is_old_good=True)
        self.check(self._sealed_by_the_old() > 0, "nothing is sealed with the old key")
        said = self.house.manage("reencrypt").strip()
        time.sleep(seconds)
        self._restart({name: self.new[name] for name in both} | {"SECRET_KEY_FALLBACKS": ""})
        self._look("with the new keys", one, is_old_good=False)
        time.sleep(seconds)
        self._stop.set()
        uploader.join()
        outcome = settle(self.stage, [cpo], 60)
        self.wrong += outcome.differences
        rows = self.stage.sql("SELECT outcome, count(*) FROM ocpi_pushattempt WHERE started_at > %s AND tenant_id = "
                              "(SELECT id FROM tenants_tenant WHERE party_id = %s) GROUP BY 1", began, cpo.party)  # fmt: skip
        pushes = Counter(dict(rows))
        failed = pushes.total() - pushes["delivered"]
        self.check(pushes["delivered"] > 10 and not failed, f"pushes: {dict(pushes)}")
        self.check(self._sealed_by_the_old() == 0, "something is still sealed with the old key")
        self.figures = (
            f"rotation of FIELD_KEYS, SIGNING_KEYS and SECRET_KEY: {pushes.total()} pushes, {failed} failed ({said})"
        )
        return self

    def _upload(self, cpo: Cpo) -> None:
        while not self._stop.wait(0.1):
            cpo.next_status("L1")

    def _restart(self, environment: dict[str, str]) -> None:
        """Restart each process with other keys, one after the other; each hands back or finishes what it has begun."""
        self.stage.environment |= environment
        for name in self.ORDER:
            with self.stage._lock:
                child = self.stage.supervisor[name]
                child.stop()
                child.environment |= environment
                child.start()
            if name == "web":
                self.stage.wait_ready()

    def _look(self, when: str, one: dict[str, str], *, is_old_good: bool) -> None:
        """See who is let in."""
        lists = f"/ocpi/sender/NL/{self.house.parties[0]}/2.2.1/locations"
        form = {
            "grant_type": "client_credentials",
            "client_id": one["oauth_client_id"],
            "client_secret": one["oauth_client_secret"],
        }
        fresh = requests.post(f"{self.house.url}/oauth/token", form, timeout=60).json()["access_token"]
        self.house.secrets[f"access token {when}"] = fresh
        shown = {
            "a token": f"Token {one['pull_token']}",
            "a new access token": f"Bearer {fresh}",
            "an old access token": f"Bearer {one['bearer']}",
        }
        for what, value in shown.items():
            is_good = is_old_good or "old" not in what
            status = self.house.ask("GET", lists, headers={"Authorization": value}).status_code
            self.check(status == (200 if is_good else 401), f"{what} {when}: HTTP {status}")
        status = self.house.ask("GET", "/admin/", self.house.sessions[0]).status_code
        self.check(status == 200, f"a session that is in use, {when}: HTTP {status}")

    def _sealed_by_the_old(self) -> int:
        kid = self.old["FIELD_KEYS"].partition(":")[0]
        count = "SELECT (SELECT count(*) FROM tenants_serviceaccount WHERE client_secret_sealed LIKE %s)"
        return self.stage.sql(
            f"{count} + (SELECT count(*) FROM ocpi_source WHERE token_sealed LIKE %s)", *[f"v1.{kid}.%"] * 2
        )[0][0]
