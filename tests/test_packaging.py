"""What is shipped: compose file, image, example environment, lock file. Nothing here starts a container."""

import importlib.util
import re
import shlex
import tomllib
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import get_commands, load_command_class
from django.urls import resolve
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OF_THE_CONTRACT = {"nginx", "web", "worker", "beat", "relay", "postgres", "redis", "ndw"}
OURS = {name for name, service in SERVICES.items() if service.get("image") == COMPOSE["x-gateway"]["image"]}


def read(name: str) -> str:
    return (ROOT / name).read_text()


def words(command: Any) -> list[str]:
    return command if isinstance(command, list) else shlex.split(command)


def dockerfile(instruction: str) -> list[str]:
    """Return the arguments of each such instruction, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", read("Dockerfile")).splitlines()
    return [line.removeprefix(instruction).strip() for line in lines if line.startswith(f"{instruction} ")]


# --- docker-compose.yml ------------------------------------------------------------------------------------------------


def test_compose_has_the_services_of_the_contract_and_migrates_once():
    assert set(SERVICES) - OF_THE_CONTRACT == {"migrate", "imports"}
    assert set(SERVICES) >= OF_THE_CONTRACT
    assert {"web", "worker", "imports", "beat", "relay", "ndw", "migrate"} == OURS


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_compose_service_is_watched_and_comes_back(name):
    service = SERVICES[name]

    if name == "migrate":
        assert (service["restart"], "healthcheck" in service) == ("no", False)
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert set(service["healthcheck"]) >= {"interval", "timeout", "retries"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_compose_command_names_what_exists(name):
    command = words(SERVICES[name].get("command") or re.findall(r'"([^"]+)"', dockerfile("CMD")[0]))

    match command:
        case ["python", "manage.py", subcommand, *options]:
            arguments = [option for option in options if option.startswith("--")]
            parser = load_command_class(get_commands()[subcommand], subcommand).create_parser("manage.py", subcommand)
            assert set(arguments) <= set(parser._option_string_actions)
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module)
        case ["celery", "-A", module, role, *_]:
            assert importlib.util.find_spec(f"{module}.celery")
            assert role in ("worker", "beat")
        case ["granian", *options]:
            assert options[-1] == "gateway.wsgi:application"
            assert importlib.util.find_spec("gateway.wsgi")
        case _:
            pytest.fail(f"unknown command {command}")


def test_compose_dependencies_exist_and_wait_for_health():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            expected = {"migrate": "service_completed_successfully"}.get(other, "service_healthy")
            if (name, other) == ("ndw", "worker"):  # it shares the worker's network, nothing more
                expected = "service_started"
            assert (other in SERVICES, how["condition"]) == (True, expected), (name, other)


def test_compose_every_queue_has_a_worker():
    asked = {
        one["options"].get("queue", settings.CELERY_TASK_DEFAULT_QUEUE)
        for one in settings.CELERY_BEAT_SCHEDULE.values()
    }
    served = [words(SERVICES[name]["command"]) for name in ("worker", "imports")]

    assert {command[command.index("-Q") + 1] for command in served} == asked == {"push", "imports"}


def test_nginx_lets_in_what_an_import_may_have():
    bulk = re.search(r"location ~ (\S+) \{\s+client_max_body_size (\d+)m;", read("gateway/nginx/default.conf.template"))

    assert bulk
    assert int(bulk[2]) * 2**20 > settings.IMPORT_MAX_BYTES
    for path in ("/api/v1/imports", "/api/v1/imports/", "/admin/ocpi/import/upload/"):
        assert resolve(path)
        assert re.search(bulk[1], path), path


def test_compose_keeps_no_secret_and_publishes_one_port():
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "nginx": ["${PORT:-8000}:8080"]
    }
    text = read("docker-compose.yml")
    assert re.findall(r"PASSWORD: (.+)", text) == ["${POSTGRES_PASSWORD:?set it in .env}"]
    assert "${POSTGRES_PASSWORD:?" in COMPOSE["x-gateway"]["environment"]["DATABASE_URL"]
    assert "SECRET_KEY" not in text


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_compose_service_gains_no_rights_and_fills_no_disk(name):
    service = SERVICES[name]

    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "20m", "max-file": "5"}}
    assert service.get("cap_drop") == (["ALL"] if name in OURS else None)


def test_compose_nginx_reaches_web_only():
    networks = {name: set(service.get("networks", ["default"])) for name, service in SERVICES.items()}

    assert set(COMPOSE["networks"]) == {"front"}
    assert {name for name, joined in networks.items() if joined & networks["nginx"]} == {"nginx", "web"}
    assert networks["web"] == {"front", "default"}


def test_compose_data_outlives_its_containers():
    assert set(COMPOSE["volumes"]) == {"postgres", "redis", "metrics"}
    assert COMPOSE["volumes"]["metrics"]["driver_opts"]["type"] == "tmpfs"
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert "--appendonly yes" in SERVICES["redis"]["command"]


# --- .env.example ------------------------------------------------------------------------------------------------------


def test_env_example_has_every_variable_that_settings_read():
    read_by_settings = set(re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', read("gateway/settings.py")))
    listed = set(re.findall(r"^#?([A-Z_]+)=", read(".env.example"), re.MULTILINE))

    assert len(read_by_settings) >= 15
    assert read_by_settings - listed == set()
    of_compose = set(re.findall(r"\$\{([A-Z_]+)", read("docker-compose.yml")))
    assert listed - read_by_settings == of_compose - read_by_settings == {
        "PORT", "POSTGRES_PASSWORD", "FORWARDED_PROTO", "TRUSTED_PROXY",
    }  # fmt: skip


def test_env_example_gives_no_secret_away():
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", read(".env.example"), re.MULTILINE))

    assert {values[name] for name in ("SECRET_KEY", "FIELD_KEYS", "TOKEN_PEPPER", "SIGNING_KEYS")} == {""}


def test_only_settings_read_the_environment():
    readers = [
        path.relative_to(ROOT).as_posix()
        for package in ("tenants", "ocpi")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"os\.environ|os\.getenv", path.read_text())
    ]

    assert readers == []


# --- requirements.lock -------------------------------------------------------------------------------------------------


def locked() -> dict[str, list[str]]:
    """Return the hashes of each pinned package."""
    entries = re.sub(r"\\\n\s*", "", read("requirements.lock")).splitlines()
    found = {}
    for entry in filter(None, entries):
        if entry.startswith("#"):
            continue
        pin, *hashes = entry.split(" --hash=")
        match = re.fullmatch(r"([a-z0-9.-]+)(?:\[[a-z,]+\])?==([\w.+!-]+)(?: ; .+)?", pin.strip())
        assert match, entry
        found[f"{match[1]} {match[2]}"] = hashes
    return found


def test_lock_pins_every_package_with_hashes():
    pins = locked()

    assert len(pins) > 50
    assert all(hashes for hashes in pins.values())
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one.strip()) for hashes in pins.values() for one in hashes)


def test_lock_names_no_address():
    text = read("requirements.lock")

    assert re.findall(r"https?:|file:|--index-url|--extra-index-url|--find-links|--trusted-host| @ ", text) == []


def test_lock_holds_every_package_we_ask_for():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.match(r"[\w.-]+", one)[0].lower().replace("_", "-") for one in asked}  # type: ignore[index]

    assert names - {pin.split()[0] for pin in locked()} == set()


# --- Dockerfile --------------------------------------------------------------------------------------------------------


def test_image_keeps_metrics_where_its_user_may_write():
    (uid,) = re.findall(r"useradd --system --uid (\d+)", read("Dockerfile"))

    assert f"uid={uid}," in COMPOSE["volumes"]["metrics"]["driver_opts"]["o"]
    for name in OURS:
        folder = SERVICES[name]["environment"]["PROMETHEUS_MULTIPROC_DIR"]
        assert f"metrics:{folder}" in SERVICES[name]["volumes"], name


def test_image_runs_as_nobody_special():
    assert dockerfile("USER") == ["gateway"]
    text = read("Dockerfile")
    assert text.index("USER gateway") > text.index("RUN python manage.py collectstatic")
    assert "useradd --system --uid 10001 gateway" in text


def test_image_installs_from_the_lock_only():
    installs = [line for line in dockerfile("RUN") if "pip install" in line]

    assert len(installs) == 1
    assert installs[0].startswith("pip install --require-hashes -r requirements.lock")


def test_image_copies_what_exists_and_nothing_private():
    copied = [line.split()[:-1] for line in dockerfile("COPY")]

    assert all((ROOT / source).exists() for sources in copied for source in sources)
    assert {"requirements.lock", "manage.py", "gateway", "tenants", "ocpi", "templates"} <= {
        s for line in copied for s in line
    }
    assert {".git", ".venv", "var", ".env"} <= set(read(".dockerignore").split())
    assert not re.search(r"SECRET|PASSWORD|TOKEN", read("Dockerfile"))


def needed_by(asked: list[str]) -> set[str]:
    """Return the packages of these requirements with all that they need themselves."""
    found: set[tuple[str, frozenset[str]]] = set()
    left = [Requirement(one) for one in asked]
    for one in left:  # grows as it goes
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if (name, extras) in found:
            continue
        found.add((name, extras))
        with suppress(metadata.PackageNotFoundError):  # of another platform
            needs = map(Requirement, metadata.requires(name) or [])
            left += [n for n in needs if not n.marker or any(n.marker.evaluate({"extra": e}) for e in ("", *extras))]
    return {name for name, _ in found}


def test_image_is_without_what_only_developers_need_and_keeps_what_it_runs_on():
    (removing,) = (line for line in dockerfile("RUN") if "pip uninstall" in line)
    removed = removing.split("pip uninstall --yes ")[1].split()
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    kept = needed_by(project["dependencies"] + extras["otel"])  # nobody can install an extra into an image
    asked = {canonicalize_name(Requirement(one).name) for one in extras["dev"] + extras["embedded"]}

    assert set(extras) == {"dev", "embedded", "otel"}
    assert removed == sorted(asked - kept)


@pytest.mark.parametrize("name", ["ocpi/admin.css", "ocpi/favicon.svg", "ocpi/import.js"])
def test_what_the_admin_looks_like_is_in_every_clone(name):
    assert finders.find(name)
