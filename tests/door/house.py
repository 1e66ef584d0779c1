"""A gateway that is lived in, with secrets that are known, and the search for them.

Looked at is all that leaves a process or stays in a server, also what Redis is told, statements, and command lines. NDW's own
log (the simulator's) is not ours.
"""

import base64
import json
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
import requests
from django_otp.oath import TOTP

from gateway import embedded, servers
from tests import ndw_simulator
from tests.chaos.cpo import Cpo
from tests.chaos.stage import Stage
from tests.documents import location_body

FAULTS: list[dict[str, Any]] = [
    {"action": "status", "status": 500, "probability": 0.1},
    {"action": "status", "status": 401, "probability": 0.05},
    {"action": "reset", "probability": 0.05},
    {"action": "html", "probability": 0.05},
    {"action": "ocpi", "status_code": 2001, "probability": 0.05},
]
ONCE = ("issue_", "hand-over")  # pages that show a new credential, this once
SESSIONS = ("pg_dump", "statements")  # where Django itself keeps their keys; backups leave them out
KEYS = ("SECRET_KEY", "FIELD_KEYS", "TOKEN_PEPPER", "SIGNING_KEYS")


def plain(keys: dict[str, str]) -> dict[str, str]:
    """Return keys without their kids."""
    return {name: value.partition(":")[2] or value for name, value in keys.items()}


# --- What is looked at -------------------------------------------------------------------------------------------------


class Spy:
    """Hears what is said to Redis, sees command lines and statements, all the time."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.heard, self.seen, self.statements = stage, list[bytes](), set[bytes](), set[str]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._hear, self._watch, self._ask)]

    def __enter__(self) -> "Spy":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads[1:]:
            thread.join()

    def _hear(self) -> None:
        with suppress(OSError, ValueError), self.stage.redis.monitor() as monitor:
            self._monitor(monitor)

    def _monitor(self, monitor: Any) -> None:
        while not self._stop.is_set():
            with suppress(redis.TimeoutError):
                self.heard.append(json.dumps(monitor.next_command(), default=str).encode())

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.seen.add(path.read_bytes())

    def _ask(self) -> None:
        while not self._stop.wait(0.2):
            self.statements |= {query for (query,) in self.stage.sql("SELECT query FROM pg_stat_activity") if query}


class Search:
    """What was found where."""

    def __init__(self, secrets: dict[str, str], places: dict[str, bytes]) -> None:
        megabytes = sum(map(len, places.values())) / 1e6
        self.places = f"{len(places)} places of {megabytes:.0f} MB"
        self.found = [
            f"{what} is in {where}: …{text[max(0, text.index(form) - 60) : text.index(form)]!r}"
            for where, text in places.items()
            for what, secret in secrets.items()
            for form in _forms(secret)
            if form in text and not (what.startswith("session") and where in SESSIONS)
        ]
        self.found += [f"nothing to look at in {where}" for where, text in places.items() if not text]


def _forms(secret: str) -> set[bytes]:
    """Return how a secret may be written."""
    raw = secret.encode()
    return {
        raw,
        base64.b64encode(raw).rstrip(b"="),
        quote(secret, safe="").encode(),
        raw.hex().encode(),
        json.dumps(secret).encode()[1:-1],
    }


# --- The house ---------------------------------------------------------------------------------------------------------


class House:
    """A gateway with CPOs, users and NDW; everything it answers is kept."""

    def __init__(self, stage: Stage, sender_url: str, count: int) -> None:
        self.stage, self.url = stage, f"http://127.0.0.1:{stage.port}"
        self.answers: list[bytes] = []
        self.parties = [f"S{number:02}" for number in range(count)]
        self.users = [f"user{number}" for number in range(max(2, count // 2))]
        asked = {
            "parties": self.parties, "users": self.users, "sender_url": sender_url, "client_id": ndw_simulator.CLIENT_ID,
            "client_secret": ndw_simulator.CLIENT_SECRET, "push_url": stage.ndw_url + ndw_simulator.PUSH_PATH,
            "token_url": stage.ndw_url + ndw_simulator.TOKEN_PATH,
        }  # fmt: skip
        self.issued = self.cast("make", asked)
        self.cpos = [
            Cpo(party, {"upload": one["upload_token"], "pull": one["pull_token"]}, stage.port)
            for party, one in self.issued.items()
        ]
        self.secrets = {
            "of NDW": ndw_simulator.CLIENT_SECRET,
            **plain({name: stage.environment[name] for name in KEYS}),
        }
        self.secrets |= {
            name: f"canary-of-the-{name}" for name in ("database-password", "metrics-token", "mail-password")
        }
        for party, one in self.issued.items():
            self.secrets |= {
                f"{party} {name}": one[name] for name in ("upload_token", "pull_token", "oauth_client_secret")
            }
            self.secrets |= {
                f"{party} {name}": f"canary-{party}-{name}" for name in ("ndw-client-secret", "token-of-a-sender")
            }
        self.secrets |= {f"password of {name}": f"canary-{name}-password" for name in self.users}

    def cast(self, what: str, asked: Any = None) -> Any:
        """Ask the process that knows the gateway from within."""
        command = [sys.executable, "-m", "tests.door.cast", what]
        return json.loads(self.run(command, json.dumps(asked)).splitlines()[-1])

    def run(self, command: list[str], said: str = "") -> str:
        """Run a command in the gateway's environment; what it prints is an answer too, but for what it is asked to issue."""
        done = subprocess.run(
            command,
            input=said,
            cwd=embedded.ROOT,
            env=self.stage.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return done.stdout

    def manage(self, *arguments: str, said: str = "") -> str:
        """Run a command of manage.py."""
        return self.run([sys.executable, "manage.py", *arguments], said)

    def ask(self, method: str, path: str, session: Any = requests, **more: Any) -> Any:
        """Make a request and keep its answer."""
        answer = session.request(method, self.url + path, timeout=60, allow_redirects=False, **more)
        if not any(one in path for one in ONCE):
            where = f"{method} {path.partition('?')[0]} {answer.status_code} {answer.headers}"
            self.answers.append(where.encode() + answer.content)
        return answer

    def live(self, changes: int) -> None:
        """Do everything that a gateway does, right and wrong."""
        self.stage.ndw("/_faults", FAULTS)
        for cpo in self.cpos:
            cpo.begin(3)
        for number in range(changes):
            self.cpos[number % len(self.cpos)].next_status("L1")
        for party, one in self.issued.items():
            self._knock(party, one)
        self.sessions = [self._log_in(name) for name in self.users]
        self._browse(self.sessions[0])
        ndw = {"push-url": self.stage.ndw_url, "token-url": self.stage.ndw_url, "client-id": "z", "client-secret": "-"}
        options = [f"--{name}={value}" for name, value in ndw.items()]
        self.manage(
            "provision",
            "--country-code=NL",
            "--party-id=PRV",
            "--connection=staging",
            *options,
            said="canary-of-provision\n",
        )
        self.secrets["typed into provision"] = "canary-of-provision"
        for command in (["check", "--deploy"], ["report"], ["push", "--help"], ["showmigrations"]):
            self.answers.append(self.manage(*command).encode())
        self.stage.wait_for(
            lambda: self.stage.sql("SELECT count(*) FROM ocpi_source WHERE last_error = ''")[0][0] == 0,
            90,
            "the Senders",
        )
        self.stage.ndw("/_faults", [])
        for party in self.parties:  # what the faults refused is no leak
            self.manage("push", "resend", f"NL-{party}", "--rejected")

    def _knock(self, party: str, one: dict[str, str]) -> None:
        """Come to each door with the right credential, with the wrong one, and with the right one in the wrong place."""
        lists, whole = f"/ocpi/sender/NL/{party}/2.2.1/locations", f"/ocpi/receiver/2.2.1/locations/NL/{party}/L1"
        upload, pull, secret = one["upload_token"], one["pull_token"], one["oauth_client_secret"]
        form = {"grant_type": "client_credentials", "client_id": one["oauth_client_id"]}
        granted = requests.post(f"{self.url}/oauth/token", form | {"client_secret": secret}, timeout=60).json()
        one["bearer"] = self.secrets[f"{party} access token"] = granted["access_token"]
        packed = base64.b64encode(upload.encode()).decode()
        shown = ["", "Token ", "Token  ", "Bearer ", "Basic "]
        for value in [
            *(f"{scheme}{upload}" for scheme in shown),
            f"Token {upload}x",
            f"Basic {packed}",
            f"Token {packed}",
            f"Token {pull}",
        ]:
            self.ask("GET", whole, headers={"Authorization": value})
            self.ask(
                "PUT", whole, headers={"Authorization": value, "Content-Type": "application/json"}, data=b'{"id": '
            )
        for value in (f"Token {pull}", f"Bearer {one['bearer']}", f"Bearer {one['bearer']}x", f"Bearer {secret}"):
            self.ask("GET", lists, headers={"Authorization": value})
        self.ask("GET", f"{whole}?token={upload}&access_token={pull}")
        self.ask("POST", f"/oauth/token?client_secret={secret}", data=form)
        self.ask("POST", "/oauth/token", data=form | {"client_secret": f"{secret}x"})
        self.ask("POST", "/oauth/token", data=form | {"client_secret": secret, "scope": "no"})
        self.ask("POST", "/oauth/token", json=form | {"client_secret": secret})
        key = {"Authorization": f"Token {upload}"}
        lines = json.dumps(location_body(party_id=party, id="L9")) + '\n{"id": \n'
        self.ask("POST", "/api/v1/imports?kind=locations&wait=5", headers=key, data=lines)
        for path in (
            "/api/v1/imports",
            "/api/v1/problems",
            "/api/v1/deliveries",
            "/api/v1/deliveries?kind=location&id=L1",
            "/api/v1/nothing",
        ):
            self.ask("GET", path, headers=key)
        for path in (
            "/metrics",
            "/readyz",
            "/api/schema/",
            "/api/docs/",
            "/nothing",
            "/static/nothing",
        ):
            self.ask("GET", path, headers={"Authorization": "Bearer canary-of-the-metrics-token"})

    # the admin

    def _log_in(self, name: str) -> Any:
        """Log in with a wrong password, then the right one, and set up the second factor; return the session."""
        session = requests.Session()
        for password in ("canary-wrong", f"canary-{name}-password"):
            _post(session, f"{self.url}/admin/login/", {"username": name, "password": password})
        page = session.get(f"{self.url}/admin/second-factor/", timeout=60).text
        found = re.search(r"((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})", page)
        if found is None:
            raise RuntimeError(f"no key on the page of the second factor: {page[-500:]}")
        key = base64.b32decode(found[1].replace(" ", ""))
        shown = _post(session, f"{self.url}/admin/second-factor/", {"code": f"{TOTP(key).token():06d}"}).text
        codes = re.findall(
            r"\b[a-z2-7]{8}\b", re.sub(r"<[^>]*>", " ", shown.split("<main")[-1].split("<ol")[-1].split("<ul")[-1])
        )
        self.secrets |= {f"app of {name}": found[1].replace(" ", ""), f"app of {name} in hex": key.hex()}
        backup = [code for code in codes if re.search(r"[2-7]", code)][:10]
        self.secrets |= {f"backup code {number} of {name}": code for number, code in enumerate(backup)}
        self.secrets[f"session of {name}"] = session.cookies["session"]
        return session

    def _browse(self, session: Any) -> None:
        """See every page; fill in every form wrongly that takes a secret."""
        for path in self.cast("look")["paths"]:
            if "logout" not in path:
                self.ask("GET", path, session)
        for model, field in (("ocpi/source", "token"), ("tenants/serviceaccount", "client_secret")):
            self.secrets[f"typed into {model}"] = f"canary-typed-into-{field}"
            form = {field: f"canary-typed-into-{field}", "name": "", "url": "nonsense", "token_url": "nonsense"}
            answer = _post(session, f"{self.url}/admin/{model}/add/", form)
            self.answers.append(answer.content)

    # searching

    def search(self, spy: Spy, kept: dict[str, str] | None = None) -> Search:
        """Look for all secrets in all places."""
        folder = self.stage.folder
        ndw = {f"access token {number} of NDW": one for number, one in enumerate(self.cast("look")["ndw"])}
        backup = self.stage.data / "backup.dump"
        self.answers.append(self.manage("backup", str(backup)).encode())
        programs = Path(servers.embedded_program("pg_dump") or "pg_dump").parent
        plain = [str(programs / "pg_restore"), "--file=-", str(backup)]
        dump = [str(programs / "pg_dump"), self.stage.dsn]
        logs = [path for path in folder.logs.iterdir() if path.name != "simulator.log"]
        places = {
            "answers": b"\n".join(self.answers), "the backup": subprocess.run(plain, capture_output=True, check=True).stdout,
            "its file": backup.read_bytes(), "its manifest": Path(f"{backup}.json").read_bytes(),
            "pg_dump": subprocess.run(dump, capture_output=True, check=True).stdout,
            "Redis' files": b"".join(path.read_bytes() for path in folder.redis.rglob("*") if path.is_file()),
            "Redis' keys": b"".join(self.stage.redis.dump(key) or b"" for key in self.stage.redis.scan_iter()) or b"none",
            "what Redis was told": b"\n".join(list(spy.heard)), "command lines": b"\n".join(list(spy.seen)),
            "statements": "\n".join(list(spy.statements)).encode(),
            **{path.name: path.read_bytes() or b"none" for path in logs},
        }  # fmt: skip
        return Search(self.secrets | (kept or {}) | ndw, places)


def _post(session: Any, url: str, form: dict[str, str]) -> Any:
    """Send a form as a browser does that has seen its page."""
    page = session.get(url, timeout=60).text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    return session.post(url, form | {"csrfmiddlewaretoken": token[1] if token else ""}, timeout=60)
