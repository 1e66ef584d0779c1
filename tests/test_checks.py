"""A bad configuration stops every process, and says which variable it is."""

import base64
import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import transaction

from gateway import embedded
from ocpi import checks as own_checks
from ocpi.models import Location
from tests import factories
from tests import settings as test_settings
from tests.benchmarks import stage

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


def test_check_stops_the_web_processes_too_and_takes_an_empty_variable_for_none(tmp_path):
    done = run(tmp_path, "-c", "import gateway.wsgi", **dict.fromkeys(GOOD, ""))

    assert (done.returncode, missing(done)) == (1, sorted(GOOD))


@pytest.mark.parametrize("name", ["SECRET_KEY", "FIELD_KEYS", "TOKEN_PEPPER", "SIGNING_KEYS", "REDIS_URL"])
def test_check_names_the_one_variable_that_is_missing(settings, name):
    setattr(settings, name, type(getattr(settings, name))())

    assert errors() == [("ocpi.E001", f"{name} is not set.")]


def test_check_reads_what_make_run_made_and_names_database_url_alone(tmp_path):
    embedded.make_secrets(tmp_path)

    done = run(tmp_path, REDIS_URL=GOOD["REDIS_URL"])

    assert (done.returncode, missing(done)) == (1, ["DATABASE_URL"])


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


@pytest.mark.parametrize("replica", ["replica:5432/gateway", "mysql://replica/gateway", "postgres:///gateway"])
def test_replica_url_that_names_no_server_is_named(settings, replica):
    done = run(Path("/nonexistent"), **GOOD, REPLICA_URL=replica)

    assert re.findall(r"\(ocpi\.(E\d+)\) (\S+) must", done.stderr) == [("E005", "REPLICA_URL")]
    assert done.returncode == 1


def test_migrations_are_applied_without_asking(db):
    call_command("migrate", check_unapplied=True, verbosity=0)


# --- check --deploy ----------------------------------------------------------------------------------------------------

PRODUCTION = GOOD | {
    "SECRET_KEY": "".join(chr(33 + number % 60) for number in range(7, 67)),
    "TOKEN_PEPPER": "0123456789abcdef" * 4,
    "DATABASE_URL": "postgres://us:pw@postgres:5432/gateway",
    "REDIS_URL": "redis://redis:6379/0",
    "PUBLIC_URL": "https://gateway.example",
    "ALERT_EMAILS": "operations@gateway.example",
}


def test_check_deploy_is_content_with_what_the_example_asks_for_and_asks_no_server(tmp_path):
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)

    assert (done.returncode, done.stderr) == (0, "")


def test_check_deploy_warns_of_plain_http(tmp_path):
    plain = PRODUCTION | {"PUBLIC_URL": "http://gateway.example", "DEBUG": "true"}
    done = run(tmp_path, "manage.py", "check", "--deploy", **plain)

    found = sorted(set(re.findall(r"\((\w+\.\w+)\) ", done.stderr)))
    assert found == ["ocpi.W010", "security.W004", "security.W012", "security.W016", "security.W018"]


DATABASE = {"HOST": "postgres", "OPTIONS": {}}


@pytest.fixture
def production(settings):
    settings.IS_HTTPS, settings.HAS_SERVERS, settings.DATABASES = True, True, {"default": DATABASE}
    settings.NDW_ALLOWED_HOSTS, settings.SOURCE_ALLOWED_HOSTS = ["iam.ndw.nu"], []
    settings.TOKEN_PEPPER, settings.ALERT_EMAILS = PRODUCTION["TOKEN_PEPPER"], ["operations@gateway.example"]
    settings.ALLOWED_HOSTS = ["gateway.example"]
    return settings


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("ALLOWED_HOSTS", ["gateway.example"], []),
        ("IS_HTTPS", False, ["ocpi.W010"]),
        ("ALLOWED_HOSTS", ["*"], ["ocpi.W011"]),
        ("NDW_ALLOWED_HOSTS", ["iam.ndw.nu", "127.0.0.1"], ["ocpi.W012"]),
        ("SOURCE_ALLOWED_HOSTS", ["localhost:8001"], ["ocpi.W012"]),
        ("TOKEN_PEPPER", "short", ["ocpi.W013"]),
        ("TOKEN_PEPPER", "only-for-the-tests-" * 3, ["ocpi.W014"]),  # the SECRET_KEY of the tests
        ("FIELD_KEYS", [GOOD["FIELD_KEYS"], "k1:" + "A" * 43 + "="], ["ocpi.W014"]),
        ("ALERT_EMAILS", [], ["ocpi.W015"]),
        ("HAS_SERVERS", False, ["ocpi.W016"]),
        ("DATABASES", {"default": {"HOST": "db.example.com", "OPTIONS": {}}}, ["ocpi.W017"]),
        ("DATABASES", {"default": DATABASE, "replica": {"HOST": "10.0.0.2", "OPTIONS": {}}}, ["ocpi.W017"]),
        ("DATABASES", {"default": {"HOST": "db.example.com", "OPTIONS": {"sslmode": "verify-full"}}}, []),
    ],
)
def test_check_deploy_warns_of(production, name, value, found):
    setattr(production, name, value)

    every = [*own_checks.safe_addresses(), *own_checks.good_keys(), *own_checks.somebody_watches()]
    assert [warning.id for warning in every] == found


def test_check_deploy_prints_no_key(production):
    production.TOKEN_PEPPER = "only-for-the-tests-" * 3

    assert [production.TOKEN_PEPPER in str(warning) for warning in own_checks.good_keys()] == [False]


# --- The database's patience -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "role", "asked"),
    [
        ("import gateway.wsgi", "", ["10s", "5s", "30s"]),
        ("import django; django.setup()", "worker", ["10s", "0", "5min"]),
        ("import django; django.setup()", "", ["10s", "0", "0"]),
    ],
)
def test_database_waits_as_long_as_a_process_of_its_kind_may(servers, code, role, asked):
    names = "['idle_in_transaction_session_timeout', 'lock_timeout', 'statement_timeout']"
    ask = (
        "from django.db import connection as c; cursor = c.cursor(); "
        f"cursor.execute('SELECT current_setting(n) FROM unnest(%s::text[]) n ORDER BY n', [{names}]); "
        "print([r for r, in cursor])"
    )
    environment = stage.database_environment() | {"DJANGO_SETTINGS_MODULE": "gateway.settings"}
    environment = {**environment, **({"GATEWAY_ROLE": role} if role else {})}
    environment["DATABASE_URL"] = test_settings._own["DATABASE_URL"]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {ask}"], cwd=embedded.ROOT, env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip

    assert done.stdout.splitlines()[-1:] == [str(asked)], done.stderr


def test_upload_that_finds_its_row_locked_is_told_to_come_again(transactional_db, cpo):
    """A web process gives up after five seconds, instead of one request after the other waiting behind the same lock."""
    factories.put_location(cpo)
    headers = {"Authorization": f"Token {factories.make_token(cpo)}", "Content-Type": "application/json"}
    path = "/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001"
    with stage.served(workers=1) as server:
        caller = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        with transaction.atomic(using="default"):
            Location.objects.select_for_update().get()
            caller.request(
                "PATCH", path, json.dumps({"name": "Other", "last_updated": "2026-03-02T10:00:00Z"}), headers
            )
            refused = caller.getresponse()
            refused.read()
        caller.request("PATCH", path, json.dumps({"name": "Other", "last_updated": "2026-03-02T10:00:00Z"}), headers)
        taken = caller.getresponse()
        caller.close()

    assert (refused.status, refused.headers["Retry-After"], taken.status) == (503, "5", 200)
