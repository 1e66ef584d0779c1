"""Backup and restore, as an operator does it: the commands, a real dump, and NDW in the end as the restored truth says."""

import datetime as dt
import io
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.utils import timezone

from gateway import backups
from ocpi import push, store
from ocpi.management.commands import reencrypt
from ocpi.models import Location, Push, Source
from tenants.models import Connection, Tenant, Token
from tests import factories
from tests.conftest import puller
from tests.documents import evse_body
from tests.pushing import later, make_due, rename, set_status
from tests.test_commands import lines, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.dump"


@pytest.fixture
def connection(cpo, ndw) -> Connection:
    """A Connection over which NDW has Locations A, B, HIDES and SHOWS, and Tariffs ADHOC-1 and OLD, which is deleted again."""
    made = factories.make_connection(cpo, ndw)
    factories.put_tariff(cpo)
    factories.put_tariff(cpo, id="OLD")
    for ocpi_id in ("A", "B", "SHOWS", "HIDES"):
        factories.put_location(cpo, id=ocpi_id, evses=[evse_body(uid=f"E-{ocpi_id}", evse_id=f"NL*EXA*E{ocpi_id}*1")])
    push.drain()
    store.delete_tariff(cpo, "OLD")
    store.patch_location(cpo, "HIDES", {"publish": False, "last_updated": later()})
    factories.put_location(cpo, id="GAPS", energy_mix=None)
    deliver(made)
    assert Push.objects.filter(state="delivered").count() == 6
    return made


def deliver(connection: Connection) -> None:
    """Send what waits, until nothing does."""
    for _ in range(10):
        make_due(connection)
        Push.objects.filter(state="dirty").update(due_at=timezone.now() - 90 * dt.timedelta(seconds=1))
        push.drain()
        if not Push.objects.filter(state="dirty").exists():
            return


def at_ndw(ndw) -> dict[str, dict]:
    """Return what NDW holds by kind and id."""
    return {key[-1]: document for held in (ndw.locations, ndw.tariffs) for key, document in held.items()}


def truth(tenant: Tenant) -> dict[str, dict]:
    """Return what NDW shall hold, by id in lower case: what is pulled."""
    pull = puller(tenant)
    pages = [pull.get(path).envelope["data"] for path in ("/locations?limit=1000", "/tariffs?limit=1000")]
    return {document["id"].lower(): document for page in pages for document in page}


def test_restore_brings_pulls_and_ndw_back_to_the_backup(cpo, connection, ndw, file):
    run("backup", str(file))
    then = truth(cpo)
    # What comes after it: a status, another name, a Location that appears and one that goes, Tariffs that go and come back.
    set_status(cpo, "CHARGING", "E-A", "A")
    rename(cpo, "Other", "B")
    store.patch_location(cpo, "SHOWS", {"publish": False, "last_updated": later()})
    store.patch_location(cpo, "HIDES", {"publish": True, "last_updated": later()})
    factories.put_tariff(cpo, id="OLD", last_updated=later())
    deliver(connection)
    assert at_ndw(ndw).keys() - {"gaps"} >= {"a", "b", "hides", "adhoc-1", "old"}
    assert at_ndw(ndw)["a"]["evses"][0]["status"] == "CHARGING"

    run("restore", str(file), "--force")

    assert truth(cpo) == then
    assert set(then) == {"a", "b", "shows", "adhoc-1"}
    deliver(connection)
    assert {key: value for key, value in at_ndw(ndw).items() if value.get("publish", True)} == then
    assert at_ndw(ndw).keys() - then.keys() == {"hides"}  # NDW knows that it is not to be shown
    assert at_ndw(ndw)["hides"]["publish"] is False
    assert "old" not in at_ndw(ndw)
    assert set(Push.objects.values_list("state", "changed_at")) == {("delivered", None)}


def test_restore_takes_uploads_and_pushes_them_as_before(cpo, connection, ndw, file):
    run("backup", str(file))
    run("restore", str(file), "--force")
    deliver(connection)
    ndw.received.clear()

    set_status(cpo, "CHARGING", "E-A", "A")
    factories.put_location(cpo, id="NEW", evses=[evse_body(uid="E-NEW", evse_id="NL*EXA*ENEW*1")])
    push.drain()

    assert sorted((request.method, request.path.split("/")[-1]) for request in ndw.received) == [
        ("PATCH", "E-A"),
        ("PUT", "NEW"),
    ]
    assert puller(cpo).get("/locations")["X-Total-Count"] == "4"


def test_restore_says_what_only_a_person_can_do(cpo, connection, ndw, file):
    Source.objects.create(
        tenant=cpo, url="https://cpo.example/ocpi", next_full_at=timezone.now() + dt.timedelta(days=1)
    )
    factories.make_token(cpo, note="leaked")
    leaked = Token.objects.get(note="leaked")
    run("backup", str(file))
    made_at = json.loads(backups.manifest_path(file).read_text())["made_at"]
    leaked.revoke()

    said = lines(run("restore", str(file), "--force", "--hold"))

    assert said[-3:] == [
        f"What CPOs uploaded since {made_at} is not in it: ask them for a full set. 1 Sources are fetched whole now.",
        f"Was revoked since {made_at} and is open again: {leaked}. Revoke it in the admin.",
        f"{connection}: paused",
    ]
    assert Token.objects.get(note="leaked").is_live  # it is said, and nothing is revoked behind anybody's back
    assert Source.objects.get().next_full_at <= timezone.now()
    ndw.received.clear()
    push.drain(0)
    assert ndw.received == []


def test_backup_is_of_one_moment_private_and_without_keys_or_sessions(cpo, connection, file):
    session = Session.objects.create(session_key="canary-session", session_data="x", expire_date=timezone.now())

    said = run("backup", str(file))

    manifest = json.loads(backups.manifest_path(file).read_text())
    assert manifest["counts"] | {"ocpi_push": 0} == {
        "tenants_tenant": 1, "tenants_token": 0, "tenants_connection": 1, "ocpi_location": 5, "ocpi_tariff": 2, "ocpi_push": 0,
        "auth_user": 0,
    }  # fmt: skip
    assert manifest["bytes"] == file.stat().st_size
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file, backups.manifest_path(file))} == {0o600}
    assert sorted(path.name for path in file.parent.iterdir()) == ["gateway.dump", "gateway.dump.json"]
    text = sql(file) + json.dumps(manifest) + said
    key = settings.FIELD_KEYS[0].split(":")[1]
    for secret in (
        session.session_key,
        key,
        settings.TOKEN_PEPPER,
        settings.SECRET_KEY,
        settings.SIGNING_KEYS[0].split(":")[1],
    ):
        assert secret not in text
    assert connection.service_account.client_secret_sealed in text


def sql(file: Path) -> str:
    """Return a backup as text."""
    return subprocess.run(
        [backups.program("pg_restore"), "--file=-", file], capture_output=True, text=True, check=True
    ).stdout


# --- What is refused; nothing is changed then --------------------------------------------------------------------------


@pytest.fixture
def made(cpo, file) -> Path:
    """A backup; since then there is a Location more."""
    factories.put_location(cpo)
    run("backup", str(file))
    factories.put_location(cpo, id="LATER")
    return file


def refused(*arguments: str, said: io.StringIO | None = None) -> str:
    """Return why it is refused; `said` gets what was printed before."""
    with pytest.raises(CommandError) as error:
        call_command("restore", *arguments, stderr=said or io.StringIO(), no_color=True)
    assert sorted(Location.objects.values_list("ocpi_id", flat=True)) == ["LATER", "LOC-0001"]
    return str(error.value)


def test_restore_refuses_a_database_with_tenants(made):
    assert refused(str(made)) == "The database holds 1 tenants: make a backup of it, then use --force."


def test_restore_refuses_while_somebody_uses_the_database(made):
    other = database.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
        said = refused(str(made), "--force")
    finally:
        other.close()

    assert said == "1 other sessions use the database: stop web, workers, beat and relay first."


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FIELD_KEYS", ["t1:" + "A" * 43 + "="], "FIELD_KEYS t1 is not the one of the backup: NDW's client secrets"),
        ("TOKEN_PEPPER", "another", "TOKEN_PEPPER is not the one of the backup: no token"),
    ],
)
def test_restore_refuses_without_the_keys_of_the_backup(cpo, connection, file, settings, name, value, said):
    run("backup", str(file))
    setattr(settings, name, value)
    printed = io.StringIO()

    with pytest.raises(CommandError) as error:
        call_command("restore", str(file), "--force", stderr=printed, no_color=True)

    assert str(error.value) == "Put the keys of that time back (--other-keys does without). Nothing was changed."
    assert printed.getvalue().startswith(said)


def test_restore_without_the_keys_says_what_has_to_be_entered_again(cpo, connection, file, settings):
    run("backup", str(file))
    settings.FIELD_KEYS = ["t2:" + "A" * 43 + "="]

    said = run("restore", str(file), "--force", "--other-keys")

    assert f"The secret of {connection.service_account} cannot be read: enter it again." in lines(said)


def test_restore_is_content_with_a_newer_key_in_front(cpo, connection, file, settings):
    run("backup", str(file))
    settings.FIELD_KEYS = ["t2:" + "A" * 43 + "=", *settings.FIELD_KEYS]

    assert "cannot be read" not in run("restore", str(file), "--force")


def test_backup_after_reencrypt_does_without_the_older_key(cpo, connection, file, settings):
    settings.FIELD_KEYS = ["t2:" + "A" * 43 + "=", *settings.FIELD_KEYS]
    run("reencrypt")
    run("backup", str(file))
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]

    assert "FIELD_KEYS" not in run("restore", str(file), "--force")


def test_every_sealed_field_is_encrypted_anew_and_asks_for_its_key():
    fields = {
        (model._meta.db_table, field.name)
        for model in apps.get_models()
        for field in model._meta.fields
        if field.name.endswith("_sealed")
    } - {("tenants_serviceaccount", "access_token_sealed")}  # of half an hour; one that no key opens is fetched anew

    assert {(model._meta.db_table, f"{field}_sealed") for model, field in reencrypt.SEALED} == fields
    assert all(f"{field}, '.', 2) FROM {table} " in backups._SEALED_WITH for table, field in fields)


def test_restore_refuses_a_file_that_is_not_what_was_written(made):
    whole = made.read_bytes()
    made.write_bytes(whole[:-100] + bytes(100))

    assert refused(str(made), "--force") == f"{made} is not what was written: its SHA-256 is not that of the manifest."


def test_restore_of_half_a_file_changes_nothing(made):
    whole = made.read_bytes()
    made.write_bytes(whole[: len(whole) // 2])
    manifest = json.loads(backups.manifest_path(made).read_text()) | {"sha256": backups._sha256(made)}
    backups.manifest_path(made).write_text(json.dumps(manifest))

    assert refused(str(made), "--force").startswith("Nothing was changed: pg_restore: error: ")


@pytest.fixture
def table_that_cannot_be_copied(db: None) -> Iterator[None]:
    """A table whose rows pass a check here, and not where a dump is read: that looks for no table by its bare name."""
    body = "BEGIN RETURN EXISTS (SELECT FROM tenants_tenant); END"
    with database.cursor() as cursor:
        cursor.execute(f"CREATE FUNCTION has_tenants(int) RETURNS bool LANGUAGE plpgsql AS '{body}'")
        cursor.execute("CREATE TABLE zz_last (x int CHECK (has_tenants(x)))")
    yield
    with database.cursor() as cursor:
        cursor.execute("DROP TABLE zz_last")
        cursor.execute("DROP FUNCTION has_tenants")


def test_restore_that_breaks_off_half_way_changes_nothing(table_that_cannot_be_copied, cpo, file):
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO zz_last VALUES (1)")
    factories.put_location(cpo)
    run("backup", str(file))
    factories.put_location(cpo, id="LATER")

    assert 'relation "tenants_tenant" does not exist' in refused(str(file), "--force")


def test_restore_refuses_what_newer_code_wrote(made):
    manifest = json.loads(backups.manifest_path(made).read_text())
    manifest["migrations"]["ocpi"] = "9999_later"
    backups.manifest_path(made).write_text(json.dumps(manifest))

    assert refused(str(made), "--force") == "The backup was made by newer code (ocpi.9999_later): run that version."


def test_backup_that_cannot_be_written_leaves_nothing(cpo, tmp_path):
    with pytest.raises(CommandError):
        run("backup", str(tmp_path / "nowhere" / "x.dump"))

    assert os.listdir(tmp_path) == []
