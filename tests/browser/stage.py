"""A whole gateway as `manage.py run` starts it, on a throw-away data folder and free ports; looked at from outside only."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway import embedded
from gateway.supervisor import Child
from tests.chaos.stage import _two_free_ports
from tests.documents import location_body, tariff_body

READY_S, STOPS_S = 180, 40
OURS = (  # what tests/settings.py settles for the other tests; a gateway with a folder of its own makes its own
    "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FIELD_KEYS", "TOKEN_PEPPER", "SIGNING_KEYS", "PUBLIC_URL",
    "DJANGO_SETTINGS_MODULE", "GATEWAY_TEST_DATA", "LOG_LEVEL", "ALLOWED_HOSTS",
)  # fmt: skip
_LOGIN = r"Admin +\S+ +user (\S+), password (\S+)"
_SAYS = {
    "push_url": r"push_url (\S+)",
    "token_url": r"token_url (\S+)",
    "client_id": r"client_id (\S+)",
    "client_secret": r"client_secret (\S+)",
}
_CAST = """
import json
from tenants import provision
tokens = {{}}
for party_id in {party_ids!r}:
    tenant = provision.tenant("NL", party_id, f"Example {{party_id}}")
    provision.connection(tenant, "production", **{ndw!r})
    tokens[party_id] = provision.credentials(tenant, upload=True, pull=False, oauth=False)["upload_token"]
print(json.dumps(tokens))
"""


class Gateway:
    """Runs until `stop`; `ndw` is what the simulator said of itself."""

    def __init__(self, data: Path) -> None:
        self.data, self.port = data, _two_free_ports()
        self.url, self.ndw_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port + 1}"
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        here = {"GATEWAY_DATA": str(data), "PORT": str(self.port), "STATIC_ROOT": str(data / "static")}
        self.environment = kept | here
        self._said = data / "said.log"
        # A Child dies with us, however we die.
        self._run = Child("run", [sys.executable, "manage.py", "run"], log=self._said, environment=self.environment)
        self._run.start()
        self._wait_until_it_greets()
        said = self._said.read_text()
        (self.user, self.password), *values = [_found(pattern, said) for pattern in (_LOGIN, *_SAYS.values())]
        self.ndw = {name: value for name, (value,) in zip(_SAYS, values, strict=True)}

    def _wait_until_it_greets(self) -> None:
        until = time.monotonic() + READY_S
        while "Try it as" not in (said := self._said.read_text()):
            if not self._run.is_alive() or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"The gateway does not run:\n{said}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop all of it, as Ctrl-C does."""
        self._run.stop(grace_s=STOPS_S)

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py on it; return what it prints."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=embedded.ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def cast(self, *party_ids: str) -> dict[str, "Cpo"]:
        """Return new CPOs, each with an upload token and a production Connection to the simulator."""
        said = self.manage("shell", "-v", "0", "-c", _CAST.format(ndw=self.ndw, party_ids=party_ids))
        tokens = json.loads(said.splitlines()[-1])
        return {party_id: Cpo(self, party_id, token) for party_id, token in tokens.items()}

    def at_ndw(self, path: str, body: Any = None) -> Any:
        """Ask the simulator at a control URL, POST with a body."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.ndw_url + path, data, timeout=30) as answer:
            return json.load(answer)


class Cpo:
    """A CPO's own software: it uploads over HTTP."""

    def __init__(self, gateway: Gateway, party_id: str, token: str) -> None:
        self.gateway, self.party_id, self.token = gateway, party_id, token

    def send(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Send JSON, or bytes as they are; return HTTP status and the parsed answer."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.gateway.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def put_tariff(self) -> None:
        """Upload the tariff that the Locations name."""
        body = tariff_body(party_id=self.party_id)
        status, said = self.send("PUT", f"/ocpi/receiver/2.2.1/tariffs/NL/{self.party_id}/ADHOC-1", body)
        assert (status, said["status_code"]) == (201, 1000), said

    def put_location(self, ocpi_id: str = "LOC-0001", **fields: Any) -> None:
        """Upload a Location, or change it."""
        body = location_body(**{"id": ocpi_id, "party_id": self.party_id, "last_updated": now()} | fields)
        path = f"/ocpi/receiver/2.2.1/locations/NL/{self.party_id}/{ocpi_id}"
        status, said = self.send("PUT", path, body)
        assert (status // 100, said["status_code"]) == (2, 1000), said

    def upload_full_set(self, documents: list[Any]) -> None:
        """Say that this is everything there is."""
        body = b"\n".join(json.dumps(one).encode() for one in documents)
        status, said = self.send("POST", "/api/v1/imports?kind=locations&mode=full&wait=30", body)
        assert status == 200, said


def _found(pattern: str, said: str) -> tuple[str, ...]:
    match = re.search(pattern, said)
    if match is None:
        raise RuntimeError(f"{pattern} is not in what the gateway said:\n{said}")
    return match.groups()


def now() -> str:
    """Return the present moment as OCPI writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def wait_for(holds: Callable[[], object], what: str, timeout_s: float = 30) -> None:
    """Wait until it holds. Raises TimeoutError."""
    until = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.2)
