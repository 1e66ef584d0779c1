"""Pulls read from a real streaming standby of the test server, and from the primary within the same request when it falls behind.

Source: PostgreSQL 18, "Hot Standby".
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, connections

from gateway import embedded, servers
from ocpi import meters, replica
from ocpi.models import Location
from tenants import sql
from tests import factories
from tests.benchmarks import stage
from tests.conftest import Caller, puller
from tests.test_checks import GOOD, run

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica"])


def primary() -> psycopg.Connection:
    """Connect to the test's database on the server that takes writes."""
    name = connections["default"].settings_dict["NAME"]
    return psycopg.connect(os.environ["DATABASE_URL"], dbname=name, autocommit=True)


class Standby:
    """A streaming standby of the test server, in a folder of its own."""

    def __init__(self, data: Path) -> None:
        self.data, self.folder = data, servers.Folder(data)
        account = servers._account(self.folder)
        servers.make_private(self.folder.postgres, account)
        copy = (servers.embedded_program("pg_basebackup") or "", "-R", "-c", "fast", "-D", self.folder.postgres)
        made = account.run(*copy, "-d", os.environ["DATABASE_URL"])
        assert made.returncode == 0, made.stderr
        with (self.folder.postgres / "postgresql.auto.conf").open("a") as conf:
            conf.write("max_standby_streaming_delay = 0\n")  # who is in the way of replay is cancelled at once

    def ask(self, statement: str) -> Any:
        """Return the one value a statement gives there."""
        name = connections["default"].settings_dict["NAME"]
        with psycopg.connect(host=str(self.folder.sockets), user="gateway", dbname=name, autocommit=True) as server:
            (value,) = server.execute(statement).fetchone() or (None,)
            return value

    def pause(self) -> None:
        """Let it go on receiving, and replay nothing."""
        self.ask("SELECT pg_wal_replay_pause()")
        stage.wait_for(lambda: self.ask("SELECT pg_get_wal_replay_pause_state()") == "paused")

    def signal(self, number: int) -> None:
        """Send a signal to all its processes."""
        pid = self.folder.postgres_pid()
        assert pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            os.kill(one, number)


@pytest.fixture(scope="module", autouse=True)
def _standby(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standby]:
    """Have it up, and in the settings, before the first test asks for its databases."""
    data = tmp_path_factory.mktemp("standby")
    made, own = Standby(data), connections["default"].settings_dict
    options = own["OPTIONS"] | {"host": str(made.folder.sockets), "connect_timeout": 2}
    settings.DATABASES["replica"] = own | {"OPTIONS": options, "TEST": own["TEST"] | {"MIRROR": "default"}}
    with embedded.running(data):
        yield made
        connections["replica"].close()
    del connections["replica"], settings.DATABASES["replica"]


@pytest.fixture
def standby(_standby: Standby) -> Iterator[Standby]:
    """The standby, which pulls may read."""
    replica.state.is_left, replica.state.rests_until = False, 0.0
    yield _standby
    embedded.ensure_alive(_standby.data)
    _standby.ask("SELECT pg_wal_replay_resume()")


def reads() -> dict[str, float]:
    """Return how many reads each server has answered."""
    return {name: meters.of(meters.pull_reads, name)._value.get() for name in ("replica", "primary")}


def server_of(call: Callable[[], Any]) -> str:
    """Return which server a pull was read from; it was answered, and by one."""
    before = reads()
    assert call().status_code in (200, 304)
    (server,) = (name for name, count in reads().items() if count > before[name])
    return server


def is_replica(call: Callable[[], Any]) -> bool:
    return server_of(call) == "replica"


def is_used(pull: Caller) -> Callable[[], bool]:
    """Return what says whether pulls are read from the replica; other tests' writes may keep it behind for a moment."""
    return partial(is_replica, partial(pull.get, "/locations"))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was said of the replica."""
    return [line.message for line in caplog.records if (line.name, line.levelno) == ("ocpi.replica", logging.WARNING)]


def names(pull: Caller) -> list[str]:
    return [one["name"] for one in pull.get("/locations").envelope["data"]]


def test_replica_gives_pages_objects_and_304(standby, cpo, pull):
    factories.put_location(cpo, name="First")
    stage.wait_for(is_used(pull))

    page, one = pull.get("/locations"), pull.get("/locations/LOC-0001")

    assert (page.headers["X-Total-Count"], names(pull), one.envelope["data"]["name"]) == ("1", ["First"], "First")
    for path, answer in (("/locations", page), ("/locations/LOC-0001", one)):
        again = partial(pull.get, path, **{"If-None-Match": answer.headers["ETag"]})
        assert again().status_code == 304
        stage.wait_for(partial(is_replica, again))


def test_replica_shows_each_change_at_once(standby, cpo, pull):
    """Each is read the moment it is committed, when the standby has hardly heard of it."""
    factories.put_location(cpo)
    stage.wait_for(is_used(pull))
    before, seen = reads(), []

    for number in range(300):
        Location.objects.update(evse_count=number)
        seen += replica.read(lambda using: sql.run("SELECT evse_count FROM ocpi_location", [], using).fetchone())

    assert seen == list(range(300))
    assert reads()["replica"] > before["replica"] + 100


def test_replica_that_replays_nothing_is_left(standby, cpo, pull, caplog):
    factories.put_location(cpo, name="First")

    def knows_all_there_is() -> bool:  # unless somebody has written something just before the pause
        standby.ask("SELECT pg_wal_replay_resume()")
        stage.wait_for(is_used(pull))
        standby.pause()
        return is_used(pull)()

    stage.wait_for(knows_all_there_is)

    factories.put_location(cpo, id="LOC-0002", name="Second")
    caplog.clear()
    pages = [pull.get("/locations") for _ in range(2)]

    assert [(len(page.envelope["data"]), page.headers["X-Total-Count"]) for page in pages] == [(2, "2")] * 2
    assert not is_used(pull)()
    (line,) = told(caplog)
    assert line.startswith("replica left, pulls read the primary: it lags behind ")


def test_replica_that_is_killed_is_left_and_used_again(standby, cpo, pull, caplog):
    factories.put_location(cpo, name="First")
    stage.wait_for(is_used(pull))
    caplog.clear()

    standby.signal(signal.SIGKILL)
    assert [server_of(lambda: pull.get("/locations/LOC-0001")) for _ in range(3)] == ["primary"] * 3
    embedded.ensure_alive(standby.data)
    assert not is_used(pull)()  # it rests
    replica.state.rests_until = 0.0
    stage.wait_for(is_used(pull))

    assert [line.split(",")[0] for line in told(caplog)][:2] == ["replica left", "replica used again"]
    assert standby.ask("SELECT pg_is_in_recovery()")


def test_replica_that_is_frozen_is_left(standby, cpo, pull, caplog):
    factories.put_location(cpo, name="First")
    stage.wait_for(is_used(pull))

    standby.signal(signal.SIGSTOP)
    thaw = threading.Timer(6, standby.signal, [signal.SIGCONT])  # who waits for it is answered then
    thaw.start()
    caplog.clear()

    assert not is_used(pull)()
    assert told(caplog) == ["replica left, pulls read the primary: it does not answer"]
    thaw.cancel()
    standby.signal(signal.SIGCONT)


def test_replica_that_cancels_a_read_is_left(standby, cpo, pull, caplog):
    factories.put_location(cpo)
    stage.wait_for(is_used(pull))
    caplog.clear()
    slow = (
        "SELECT (SELECT count(*) FROM ocpi_location), pg_sleep(CASE WHEN pg_is_in_recovery() THEN 9 ELSE 0 END)::text"
    )
    is_read = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"

    def clean_up() -> None:
        """Take away on the primary what the standby still reads."""
        stage.wait_for(lambda: standby.ask(is_read) == 1)
        with primary() as server:
            server.execute("UPDATE ocpi_location SET publish = publish")
            server.execute("VACUUM ocpi_location")

    cleaning = threading.Thread(target=clean_up)
    cleaning.start()
    found = replica.read(lambda using: sql.run(slow, [], using).fetchone())
    cleaning.join()

    assert found == (1, "")
    (line,) = told(caplog)
    assert line.startswith("replica left, pulls read the primary: canceling statement due to conflict with recovery")


def test_replica_that_is_a_primary_is_left(standby, cpo, pull, monkeypatch, caplog):
    factories.put_location(cpo)
    connections["replica"].close()
    monkeypatch.setitem(
        connections["replica"].settings_dict, "OPTIONS", connections["default"].settings_dict["OPTIONS"]
    )

    assert not is_used(pull)()
    assert told(caplog) == ["replica left, pulls read the primary: it is no standby any more"]


def test_replica_of_another_primary_is_left(standby, cpo, pull, monkeypatch, tmp_path, caplog):
    factories.put_location(cpo)
    connections["replica"].close()
    there = connections["replica"].settings_dict
    monkeypatch.setitem(there, "OPTIONS", there["OPTIONS"] | {"host": str(servers.Folder(tmp_path).sockets)})
    monkeypatch.setitem(there, "NAME", "gateway")

    with embedded.running(tmp_path, create=True):
        assert not is_used(pull)()

    assert told(caplog) == ["replica left, pulls read the primary: it is no standby of the primary"]


def test_replica_shows_a_tenant_its_own_rows_and_takes_no_writes(standby, cpo, rival, pull):
    for tenant in (cpo, rival):
        factories.put_location(tenant, name=str(tenant))
    stage.wait_for(is_used(pull))
    stage.wait_for(lambda: Location.objects.using("replica").count() == 2)

    assert (names(pull), names(puller(rival))) == (["NL-EXA"], ["NL-RIV"])
    with rival.transaction("replica"):
        assert [row.tenant_id for row in Location.objects.using("replica")] == [rival.pk]
    with pytest.raises(DatabaseError, match="read-only transaction"), rival.transaction("replica"):
        Location.objects.using("replica").update(publish=False)


def test_replica_url_makes_a_connection_for_reading_that_nothing_migrates(tmp_path):
    wanted = "s.DATABASES['replica']['OPTIONS']['options'], s.DATABASES['replica']['TEST'], s.DATABASE_ROUTERS"
    environment = GOOD | {"REPLICA_URL": "postgres://us:pw@replica/gateway", "GATEWAY_ROLE": "web"}

    done = run(tmp_path, "-c", f"import gateway.settings as s; print({wanted})", **environment)

    options = "-c idle_in_transaction_session_timeout=10s -c statement_timeout=30s -c lock_timeout=5s"
    own = f"{options} -c default_transaction_read_only=on"
    assert done.stdout == f"{own} {{'MIRROR': 'default'}} ['ocpi.replica.Router']\n"
    assert [replica.Router().allow_migrate(name, "ocpi") for name in ("replica", "default")] == [False, None]
