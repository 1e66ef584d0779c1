"""A new version while others go on uploading and pulling: no request fails. And no migration that old code could not bear.

Source: reliability P8; README, "A new version".
"""

import http.client
import importlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from gateway.supervisor import processes
from tenants.models import Tenant
from tests import factories
from tests.benchmarks import stage
from tests.conftest import puller
from tests.documents import location_body

ROOT = Path(__file__).resolve().parent.parent
PACE_S = 0.02


class Traffic(threading.Thread):
    """One caller after the other, a connection each; what they were answered.

    Who is hung up on without a word asks once more, as nginx does: a socket that closes may have a caller in its queue.
    """

    def __init__(
        self, port: int, stop: threading.Event, method: str, path: str, headers: dict[str, str], body: str = ""
    ) -> None:
        super().__init__(daemon=True)
        self.port, self.stop, self.asks = port, stop, (method, path, body, headers)
        self.answers: list[Any] = []

    def run(self) -> None:
        while not self.stop.wait(PACE_S):
            try:
                try:
                    self.answers.append(self.ask())
                except ConnectionResetError:  # RemoteDisconnected too
                    self.answers.append(self.ask())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.answers.append(repr(error))

    def ask(self) -> tuple[int, int]:
        caller = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            caller.request(*self.asks)
            answer = caller.getresponse()
            return answer.status, json.loads(answer.read())["status_code"]
        finally:
            caller.close()


def traffic(port: int, cpo: Tenant, stop: threading.Event) -> list[Traffic]:
    """Return what uploads and what pulls, started."""
    headers = {"Authorization": f"Token {factories.make_token(cpo)}", "Content-Type": "application/json"}
    path, body = "/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001", json.dumps(location_body())
    pull = puller(cpo)
    made = [
        Traffic(port, stop, "PUT", path, headers, body),
        Traffic(port, stop, "GET", f"{pull.root}/locations", pull.headers),
    ]
    for one in made:
        one.start()
    return made


def test_deploy_of_web_fails_no_request(transactional_db, cpo, tmp_path):
    """The new one listens beside the old one; once it is ready the old one is asked to end, and answers what it has begun."""
    factories.put_location(cpo)
    stop = threading.Event()
    with stage.served() as old:
        environment = stage.database_environment()
        new = next(one for one in processes(old.port, tmp_path, environment) if one.name == "web")
        callers = traffic(old.port, cpo, stop)
        new.start()
        try:
            stage.wait_for(lambda: new.log.read_text().count("Started worker") >= 2, timeout_s=120)
            old.child.stop()
            before = [len(one.answers) for one in callers]
            stage.wait_for(lambda: all(len(one.answers) > count for one, count in zip(callers, before, strict=True)))
            stop.set()
            for one in callers:
                one.join()
        finally:
            stop.set()
            new.stop()

    for one in callers:
        assert len(one.answers) > 20
        assert set(one.answers) == {(200, 1000)}


# --- Migrations --------------------------------------------------------------------------------------------------------

# Up to these they belong to the first release: nothing ran anywhere that had to go on meanwhile.
FIRST_RELEASE = {"tenants": "0009", "ocpi": "0019"}


def dangers(operation: Any) -> list[str]:
    """Return why the code that runs while a migration is applied could not bear it, or would have to wait for it."""
    match operation:
        case migrations.RenameField() | migrations.RenameModel() | migrations.AlterModelTable():
            return ["old code asks for the old name: add the new one, fill it, remove the old one a version later"]
        case migrations.RemoveField() | migrations.DeleteModel():
            return ["old code still reads it: remove it a version after the last code that does"]
        case migrations.AddField(field=field) if not (field.null or field.has_db_default() or field.many_to_many):
            return ["old code inserts without it: give it db_default, or null=True"]
        case migrations.AlterField(field=field) if not (field.null or field.has_db_default()):
            return ["old code may write NULL, and the table is looked through under a lock"]
        case AddIndexConcurrently():
            return []
        case migrations.AddIndex():
            return ["uploads wait while it is built: AddIndexConcurrently, with atomic = False"]
    return []


def dangers_of(migration: Any, source: str) -> list[str]:
    """Return those of a whole migration; tables it makes itself are nobody's yet, and `# additive: …` argues an exception."""
    made = {one.name.lower() for one in migration.operations if isinstance(one, migrations.CreateModel)}
    if re.search(r"# additive: .{10}", source):
        return []
    return [
        f"{operation.describe()}: {danger}"
        for operation in migration.operations
        if str(getattr(operation, "model_name", "")).lower() not in made
        for danger in dangers(operation)
    ]


def test_migrations_can_be_applied_while_old_code_runs():
    found = []
    for app, last in FIRST_RELEASE.items():
        for path in sorted((ROOT / app / "migrations").glob("[0-9]*.py")):
            if path.stem[:4] > last:
                migration = importlib.import_module(f"{app}.migrations.{path.stem}").Migration
                found += [f"{app}.{path.stem}: {danger}" for danger in dangers_of(migration, path.read_text())]

    assert found == []


@pytest.mark.parametrize(
    ("operation", "is_dangerous"),
    [
        (migrations.AddField("push", "note", models.TextField(default="")), True),
        (migrations.AddField("push", "note", models.TextField(default="", db_default="")), False),
        (migrations.AddField("push", "note", models.TextField(null=True)), False),
        (migrations.AlterField("push", "note", models.TextField()), True),
        (migrations.AlterField("push", "note", models.TextField(null=True)), False),
        (migrations.RemoveField("push", "note"), True),
        (migrations.RenameField("push", "note", "remark"), True),
        (migrations.RenameModel("Push", "Delivery"), True),
        (migrations.DeleteModel("Push"), True),
        (migrations.AddIndex("push", models.Index(fields=["version"], name="x")), True),
        (AddIndexConcurrently("push", models.Index(fields=["version"], name="x")), False),
        (migrations.AddConstraint("push", models.CheckConstraint(condition=models.Q(version__gt=0), name="x")), False),
        (migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))]), False),
    ],
)
def test_dangers_are_told_from_what_old_code_bears(operation, is_dangerous):
    class Migration(migrations.Migration):
        operations = [operation]

    assert bool(dangers_of(Migration, "")) == is_dangerous
    assert dangers_of(Migration, "# additive: the column has never been read") == []


def test_dangers_are_not_of_a_table_that_is_new():
    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))]),
            migrations.AddField("note", "text", models.TextField(default="")),
        ]

    assert dangers_of(Migration, "") == []
