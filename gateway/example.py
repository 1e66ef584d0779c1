"""The example tenant of `make run`: made once, with two bodies to upload and the curl lines that do it.

Source: design §2 `make run`; protocol, examples V1 and V2.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway import embedded
from gateway.supervisor import Child

PARTY = ("NL", "EXA")


def provide(data: Path, base_url: str, environment: Mapping[str, str], ndw: dict[str, str]) -> dict[str, Any]:
    """Return what `provision` printed for the example tenant; asked again only when NDW has moved.

    `ndw` has push_url, token_url, client_id and client_secret. Raises CalledProcessError.
    """
    path = data / "example.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    if kept.get("ndw") == ndw:
        return kept
    made = _provision(base_url, environment, ndw) | {"ndw": ndw}
    embedded.write_private(path, json.dumps(made, indent=2) + "\n")
    return made


def _provision(base_url: str, environment: Mapping[str, str], ndw: dict[str, str]) -> dict[str, Any]:
    country_code, party_id = PARTY
    party = ["--country-code", country_code, "--party-id", party_id, "--name", "Example Charging"]
    wanted = ["--upload-token", "--pull-token", "--connection", "staging"]
    for name in ("push_url", "token_url", "client_id", "client_secret"):
        wanted += [f"--{name.replace('_', '-')}", ndw[name]]
    done = subprocess.run(
        [sys.executable, str(embedded.ROOT / "manage.py"), "provision", *party, *wanted],
        env={**environment, "PUBLIC_URL": environment.get("PUBLIC_URL") or base_url},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def write_bodies(folder: Path) -> tuple[Path, Path]:
    """Write tariff.json and location.json, changed just now; return their paths."""
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    tariff, location = folder / "tariff.json", folder / "location.json"
    tariff.write_text(json.dumps(_tariff(now), indent=2) + "\n")
    location.write_text(json.dumps(_location(now), indent=2) + "\n")
    return tariff, location


def curls(base_url: str, tenant: dict[str, Any], bodies: tuple[Path, Path]) -> list[str]:
    """Return lines for a shell: check a body, upload both, pull them as NDW does, look at what NDW was pushed."""
    party, (tariff, location) = "/".join(PARTY), bodies
    upload = f"curl -X PUT -H 'Authorization: Token {tenant['upload_token']}' -H 'Content-Type: application/json'"
    pull = f"curl -H 'Authorization: Token {tenant['pull_token']}'"
    validate = upload.replace("PUT", "POST", 1)
    receiver = f"{base_url}/ocpi/receiver/2.2.1"
    simulator = tenant["ndw"]["push_url"].split("/", 3)
    return [
        f"{validate} -d @'{location}' '{base_url}/api/v1/validate?kind=location'",
        f"{upload} -d @'{tariff}' {receiver}/tariffs/{party}/ADHOC-1",
        f"{upload} -d @'{location}' {receiver}/locations/{party}/LOC-0001",
        f"{pull} {base_url}/ocpi/sender/{party}/2.2.1/locations",
        f"curl {simulator[0]}//{simulator[2]}/_log",
    ]


def _owned(ocpi_id: str) -> dict[str, str]:
    country_code, party_id = PARTY
    return {"country_code": country_code, "party_id": party_id, "id": ocpi_id}


def _tariff(now: str) -> dict[str, Any]:
    energy = {"type": "ENERGY", "price": 0.4132, "vat": 21, "step_size": 1}
    night = {"start_time": "22:00", "end_time": "06:00"}
    flat = {"type": "FLAT", "price": 0.2893, "vat": 21, "step_size": 1}
    return {
        **_owned("ADHOC-1"),
        "currency": "EUR",
        "type": "AD_HOC_PAYMENT",
        "elements": [
            {"price_components": [{**energy, "price": 0.3306}], "restrictions": night},
            {"price_components": [energy, flat]},
        ],
        "last_updated": now,
    }


def _location(now: str) -> dict[str, Any]:
    return {
        **_owned("LOC-0001"),
        "publish": True,
        "name": "Marktplein",
        "address": "Marktplein 1",
        "city": "Utrecht",
        "postal_code": "3511 AA",
        "country": "NLD",
        "coordinates": {"latitude": "52.090736", "longitude": "5.121420"},
        "parking_type": "ON_STREET",
        "evses": [_evse(now)],
        "operator": {"name": "Example Charging B.V.", "website": "https://www.example.org"},
        "time_zone": "Europe/Amsterdam",
        "opening_times": {"twentyfourseven": True},
        "energy_mix": {"is_green_energy": True, "supplier_name": "Example Energy"},
        "last_updated": now,
    }


def _evse(now: str) -> dict[str, Any]:
    connector = {
        "id": "1",
        "standard": "IEC_62196_T2",
        "format": "SOCKET",
        "power_type": "AC_3_PHASE",
        "max_voltage": 230,
        "max_amperage": 32,
        "max_electric_power": 22080,
        "tariff_ids": ["ADHOC-1"],
        "last_updated": now,
    }
    return {
        "uid": "EVSE-1",
        "evse_id": "NL*EXA*E1001*1",
        "status": "AVAILABLE",
        "capabilities": ["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
        "connectors": [connector],
        "physical_reference": "1001",
        "parking_restrictions": ["EV_ONLY"],
        "last_updated": now,
    }


def simulator_says(simulator: Child) -> dict[str, str]:
    """Return what the simulator said of itself at its last start: push_url, token_url, client_id, client_secret."""
    lines = simulator.log.read_text(errors="replace").splitlines()
    return next(json.loads(line) for line in reversed(lines) if line.startswith('{"push_url"'))
