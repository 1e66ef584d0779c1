"""A bad configuration stops every process, and says which variable it is."""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks
from django.core.management import call_command

from gateway import embedded
from tests import settings as test_settings

GOOD = {
    "SECRET_KEY": "x" * 50,
    "FIELD_KEYS": "k1:" + base64.b64encode(b"k" * 32).decode(),
    "TOKEN_PEPPER": "x" * 64,
    "SIGNING_KEYS": f"s1:{test_settings._SIGNING_KEY}",
    "DATABASE_URL": "postgres://us:pw@127.0.0.1:9/gateway",
    "REDIS_URL": "redis://127.0.0.1:9/0",
}


def run(data: Path, *command: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a command of ours with these variables and no others."""
    given = {"PATH": os.environ["PATH"], "GATEWAY_DATA": str(data), **environment}
    return subprocess.run(
        [sys.executable, *(command or ("manage.py", "check"))],
        cwd=embedded.ROOT, env=given, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def missing(done: subprocess.CompletedProcess) -> list[str]:
    return sorted(re.findall(r"\(ocpi\.E001\) (\w+) is not set\.", done.stderr))


def errors() -> list[tuple[str, str]]:
    return [(error.id, error.msg) for error in checks.run_checks() if error.id.startswith("ocpi.")]


def test_check_of_nothing_names_every_variable_and_how_to_get_it(tmp_path):
    done = run(tmp_path)

    assert done.returncode == 1
    assert missing(done) == sorted(GOOD)
    assert done.stderr.count("Run `make run` once, which makes it under GATEWAY_DATA") == len(GOOD)
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_takes_an_empty_variable_for_none(tmp_path):
    done = run(tmp_path, **dict.fromkeys(GOOD, ""))

    assert (done.returncode, missing(done)) == (1, sorted(GOOD))


@pytest.mark.parametrize("name", ["SECRET_KEY", "FIELD_KEYS", "TOKEN_PEPPER", "SIGNING_KEYS", "REDIS_URL"])
def test_check_names_the_one_variable_that_is_missing(settings, name):
    setattr(settings, name, type(getattr(settings, name))())

    assert errors() == [("ocpi.E001", f"{name} is not set.")]


def test_check_names_database_url_alone(tmp_path):
    done = run(tmp_path, **{name: value for name, value in GOOD.items() if name != "DATABASE_URL"})

    assert (done.returncode, missing(done)) == (1, ["DATABASE_URL"])


def test_check_with_all_of_them_is_content_and_asks_no_server(tmp_path):
    done = run(tmp_path, **GOOD)

    assert (done.returncode, done.stdout) == (0, "System check identified no issues (0 silenced).\n")


def test_check_stops_the_web_processes_too(tmp_path):
    done = run(tmp_path, "-c", "import gateway.wsgi")

    assert done.returncode == 1
    assert missing(done) == sorted(GOOD)


def test_check_reads_what_make_run_made(tmp_path):
    embedded.make_secrets(tmp_path)

    done = run(tmp_path)

    assert missing(done) == ["DATABASE_URL", "REDIS_URL"]


def test_checks_are_content_with_the_settings_of_the_tests():
    assert errors() == []


@pytest.mark.parametrize(
    "entry",
    [
        "nonsense",
        "k1:",
        ":" + base64.b64encode(b"k" * 32).decode(),
        "k1:" + base64.b64encode(b"k" * 31).decode(),
        "k.1:" + base64.b64encode(b"k" * 32).decode(),
        "k1:" + "!" * 44,
    ],
)
def test_field_key_that_is_none_is_named_without_its_value(settings, entry):
    settings.FIELD_KEYS = [GOOD["FIELD_KEYS"], entry]

    kid = entry.partition(":")[0]
    assert errors() == [("ocpi.E002", f"FIELD_KEYS: key {kid!r} is not <kid>:<base64 of 32 bytes>.")]


@pytest.mark.parametrize("entry", ["nonsense", "s2:", "s2:AAAA", "s2:" + "!" * 44])
def test_signing_key_that_is_none_is_named(settings, entry):
    settings.SIGNING_KEYS = [*settings.SIGNING_KEYS, entry]

    assert [number for number, _ in errors()] == ["ocpi.E003"]


@pytest.mark.parametrize(
    "public_url", ["gateway.example", "ftp://gateway.example", "https://", "https://gateway.example/x"]
)
def test_public_url_that_is_no_origin_is_named(settings, public_url):
    settings.PUBLIC_URL = public_url

    assert errors() == [("ocpi.E004", "PUBLIC_URL must be an origin such as https://gateway.example.")]


@pytest.mark.parametrize("public_url", ["", "https://gateway.example", "http://127.0.0.1:8000"])
def test_public_url_that_is_an_origin_passes(settings, public_url):
    settings.PUBLIC_URL = public_url

    assert errors() == []


def test_migrations_are_applied_without_asking(db):
    call_command("migrate", check_unapplied=True, verbosity=0)
