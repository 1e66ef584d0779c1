"""`manage.py provision`: the contract scripts rely on. Source: design §2, "Commands"."""

import io
import json
import os
import subprocess
import sys
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from gateway import embedded
from ocpi.models import Push
from tenants import secrets
from tenants.models import Connection, OAuthClient, ServiceAccount, Tenant, Token
from tests.benchmarks.stage import database_environment
from tests.conftest import Caller
from tests.factories import put_location

PARTY = ["--country-code", "NL", "--party-id", "EXA", "--name", "Example B.V."]
NDW = {
    "--push-url": "http://127.0.0.1:9/ocpi",
    "--token-url": "http://127.0.0.1:9/token",
    "--client-id": "us",
    "--client-secret": "s3cret",
}
KEYS = [
    "tenant", "upload_token", "pull_token", "oauth_client_id", "oauth_client_secret",
    "locations_url", "tariffs_url", "versions_url",
]  # fmt: skip
ROOT = "http://localhost:8000/ocpi/sender/NL/EXA"


def provision(*options: str) -> dict[str, Any]:
    """Return what stands on the last line."""
    out = io.StringIO()
    call_command("provision", *(options or PARTY), stdout=out)
    return json.loads(out.getvalue().splitlines()[-1])


def connect(**changes: str | None) -> list[str]:
    """Return the options of a Connection to staging."""
    given = NDW | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return [*PARTY, "--connection", "staging", *(word for name, v in given.items() if v for word in (name, v))]


def test_provision_prints_exactly_the_keys_of_the_contract_and_null_for_what_was_not_asked(db):
    said = provision()

    assert list(said) == KEYS
    assert said == dict.fromkeys(KEYS) | {
        "tenant": "NL-EXA",
        "locations_url": f"{ROOT}/2.2.1/locations",
        "tariffs_url": f"{ROOT}/2.2.1/tariffs",
        "versions_url": f"{ROOT}/versions",
    }
    tenant = Tenant.objects.get()
    assert (tenant.country_code, tenant.party_id, tenant.name, tenant.is_active) == ("NL", "EXA", "Example B.V.", True)
    assert (Token.objects.count(), OAuthClient.objects.count(), Connection.objects.count()) == (0, 0, 0)


def test_provision_names_the_urls_below_public_url(db, settings):
    settings.PUBLIC_URL = "https://gateway.example"

    assert provision()["versions_url"] == "https://gateway.example/ocpi/sender/NL/EXA/versions"


def test_provision_what_it_issues_opens_the_right_doors(db):
    said = provision(*PARTY, "--upload-token", "--pull-token", "--oauth-client")

    upload = Caller("/ocpi/receiver/", {"Authorization": f"Token {said['upload_token']}"})
    pull = Caller(said["versions_url"].removeprefix("http://localhost:8000"), {})
    assert upload.get("versions").status_code == 200
    pull.headers = {"Authorization": f"Token {said['pull_token']}"}
    assert pull.get().status_code == 200
    form = {"client_id": said["oauth_client_id"], "client_secret": said["oauth_client_secret"]}
    token = _access_token(form)
    pull.headers = {"Authorization": f"Bearer {token}"}
    assert pull.get().status_code == 200
    assert {one.tenant for one in (*Token.objects.all(), OAuthClient.objects.get())} == {Tenant.objects.get()}


def _access_token(form: dict[str, str]) -> str:
    body = urlencode({"grant_type": "client_credentials"} | form)
    return Client().post("/oauth/token", body, content_type="application/x-www-form-urlencoded").json()["access_token"]


def test_provision_again_finds_the_tenant_and_issues_new_credentials(db):
    first = provision(*PARTY, "--upload-token", "--oauth-client")
    second = provision("--country-code", "nl", "--party-id", "exa", "--name", "Renamed", "--upload-token")
    third = provision(*PARTY, "--upload-token")

    assert Tenant.objects.values_list("name", flat=True).get() == "Example B.V."
    assert second["oauth_client_id"] is None
    values = [said["upload_token"] for said in (first, second, third)]
    assert len(set(values)) == 3
    live = set(Token.objects.live().values_list("digest", flat=True))
    assert live == {secrets.digest(value) for value in values[1:]}


def test_provision_all_tenants_covers_later_ones_and_never_uploads(db):
    said = provision(*PARTY, "--upload-token", "--pull-token", "--oauth-client", "--all-tenants")

    tenants = {token.purpose: token.tenant for token in Token.objects.all()}
    assert tenants == {"upload": Tenant.objects.get(), "pull": None}
    assert OAuthClient.objects.get(client_id=said["oauth_client_id"]).tenant is None


def test_provision_connects_with_an_encrypted_secret(db):
    provision(*connect())

    connection = Connection.objects.select_related("service_account").get()
    account = connection.service_account
    assert (str(connection), connection.push_url, connection.is_paused) == (
        "NL-EXA → staging",
        NDW["--push-url"],
        False,
    )
    assert (account.environment, account.token_url, account.client_id) == ("staging", NDW["--token-url"], "us")
    assert account.client_secret == "s3cret"
    assert "s3cret" not in account.client_secret_sealed


def test_provision_reads_the_secret_from_standard_input_where_no_command_line_shows_it(db, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("typed-in\nmore\n"))

    provision(*connect(client_secret="-"))

    assert ServiceAccount.objects.get().client_secret == "typed-in"


def test_provision_connects_many_tenants_over_one_account(db):
    provision(*connect())
    provision(*(word.replace("EXA", "RIV") for word in connect(client_secret="newer")))
    provision(*(word.replace("EXA", "THI") for word in connect(client_id="other")))

    assert ServiceAccount.objects.count() == 2
    account = ServiceAccount.objects.get(client_id="us")
    assert (account.connections.count(), account.client_secret) == (2, "newer")


def test_provision_again_moves_the_connection_and_keeps_its_pushes(db):
    provision(*connect())
    put_location(Tenant.objects.get())

    provision(*connect(push_url="http://127.0.0.1:9/moved"))

    assert Connection.objects.get().push_url == "http://127.0.0.1:9/moved"
    assert Push.objects.count() == 1


@pytest.mark.parametrize("missing", list(NDW))
def test_provision_connection_without_one_of_its_options_says_so_in_one_line(db, missing):
    with pytest.raises(CommandError) as caught:
        provision(*connect(**{missing[2:].replace("-", "_"): None}))

    assert str(caught.value) == f"--connection also needs {missing}"
    assert (Tenant.objects.count(), ServiceAccount.objects.count()) == (0, 0)


def test_provision_push_url_without_a_connection_is_no_half_measure(db):
    with pytest.raises(CommandError) as caught:
        provision(*PARTY, "--push-url", "https://iam.ndw.nu")

    assert str(caught.value) == "--push-url also needs --connection, --token-url, --client-id, --client-secret"
    assert Tenant.objects.count() == 0


@pytest.mark.parametrize(
    ("country_code", "party_id", "words"),
    [
        ("NLD", "EXA", "Two letters"),
        ("N1", "EXA", "Two letters"),
        ("NL", "EX", "Three letters or digits"),
        ("NL", "EXAM", "at most 3 characters"),
        ("NL", "E*A", "Three letters or digits"),
        ("NL", "EX\n", "Three letters or digits"),
        ("NL", "ÉXA", "Three letters or digits"),
        ("", "EXA", "cannot be blank"),
    ],
)
def test_provision_of_an_invalid_party_says_so_and_makes_nothing(db, country_code, party_id, words):
    with pytest.raises(CommandError, match=words):
        provision("--country-code", country_code, "--party-id", party_id, "--upload-token")

    assert (Tenant.objects.count(), Token.objects.count()) == (0, 0)


@pytest.mark.parametrize("changes", [{"push_url": "nonsense"}, {"token_url": "nonsense"}])
def test_provision_of_an_invalid_url_says_so(db, changes):
    with pytest.raises(CommandError, match="Enter a valid URL"):
        provision(*connect(**changes), "--upload-token")

    assert (Tenant.objects.count(), Token.objects.count(), ServiceAccount.objects.count()) == (0, 0, 0)


def test_provision_from_a_shell_prints_the_object_on_the_last_line_and_fails_in_one_line(transactional_db):
    def run(*options: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(embedded.ROOT / "manage.py"), "provision", *options]
        environment = {**os.environ, **database_environment()}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    good = run(*PARTY, "--pull-token")
    bad = run(*connect(push_url=None))

    assert (good.returncode, sorted(json.loads(good.stdout.splitlines()[-1]))) == (0, sorted(KEYS))
    assert (bad.returncode, bad.stdout, bad.stderr) == (1, "", "CommandError: --connection also needs --push-url\n")
