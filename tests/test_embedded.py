"""The embedded servers and the supervisor, with real PostgreSQL, Redis and processes; no Django."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import environ
import psycopg
import pytest
import redis
from django.core.management import CommandError

import manage
from gateway import embedded
from gateway.management.commands import run
from gateway.servers import Folder, listens
from gateway.supervisor import Child, Supervisor

USER = """
import sys, time; from pathlib import Path; from gateway import embedded
with embedded.running(Path(sys.argv[1])):"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a cluster; nothing runs in it between tests."""
    data = tmp_path_factory.mktemp("embedded") / "data"
    with embedded.running(data, create=True), _sql(data) as connection:
        connection.execute("CREATE TABLE kept (what text)")
    return data


@pytest.fixture
def data(made: Path) -> Iterator[Path]:
    yield made
    assert _pids(made) == (None, None)


def _sql(data: Path) -> psycopg.Connection:
    return psycopg.connect(embedded.urls(data)[0], autocommit=True)


def _redis(data: Path) -> redis.Redis:
    return redis.Redis.from_url(embedded.urls(data)[1])


def _pids(data: Path) -> tuple[int | None, int | None]:
    folder = Folder(data)
    return folder.postgres_pid(), folder.redis_pid()


def _kill_servers(data: Path) -> None:
    for pid in _pids(data):
        assert pid
        os.kill(pid, signal.SIGKILL)
    folder = Folder(data)
    _wait(lambda: not listens(folder.postgres_socket) and not listens(folder.redis_socket))


def _wait(condition: Callable[[], object], timeout_s: float = 5) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_running_serves_both_with_settings_that_keep_data(data):
    with embedded.running(data):
        with _sql(data) as connection:
            asked = ("fsync", "listen_addresses", "log_parameter_max_length", "server_encoding", "synchronous_commit")
            query = "SELECT setting FROM pg_settings WHERE name = ANY(%s) ORDER BY name"
            values = [setting for (setting,) in connection.execute(query, [[*asked]])]
            upper = connection.execute("SELECT upper('é'), current_user, current_database()").fetchone()
        config = _redis(data).config_get()

    assert values == ["on", "", "0", "UTF8", "on"]
    assert upper == ("É", "gateway", "gateway")
    assert [config[name] for name in ("appendonly", "appendfsync", "save", "port")] == ["yes", "everysec", "", "0"]
    assert (config["maxmemory"], config["maxmemory-policy"]) == (str(128 * 2**20), "noeviction")


def test_running_is_private(data):
    with embedded.running(data):
        modes = [path.stat().st_mode & 0o777 for path in (data / "postgres", data / "redis", Folder(data).sockets)]

    assert modes == [0o700] * 3
    assert data.stat().st_mode & 0o066 == 0


def test_running_second_user_keeps_the_servers_and_the_last_stops_them(data):
    with embedded.running(data):
        first = _pids(data)
        with embedded.running(data):
            assert _pids(data) == first
        assert _redis(data).ping()
        _sql(data).close()

    assert _pids(data) == (None, None)


def test_running_user_killed_leaves_servers_that_the_next_uses_and_stops(data):
    user = subprocess.Popen([sys.executable, "-c", f"{USER} time.sleep(60)", data], cwd=embedded.ROOT)
    _wait(lambda: all(_pids(data)) and listens(Folder(data).redis_socket))
    left = _pids(data)
    user.kill()
    user.wait()

    with embedded.running(data):
        assert _pids(data) == left


def test_running_many_at_once_start_one_pair(data):
    command = [sys.executable, "-c", f"{USER} time.sleep(1); print(embedded.Folder(Path(sys.argv[1])).postgres_pid())"]
    users = [subprocess.Popen([*command, data], cwd=embedded.ROOT, stdout=subprocess.PIPE) for _ in range(3)]
    said = {user.communicate(timeout=30)[0] for user in users}

    assert len(said) == 1
    assert said != {b"None\n"}


def test_ensure_alive_after_kill_9_serves_again_with_all_that_was_committed(data):
    with embedded.running(data):
        with _sql(data) as connection:
            connection.execute("INSERT INTO kept VALUES ('before')")
        _redis(data).set("doorbell", "rung")
        _kill_servers(data)

        restarted = embedded.ensure_alive(data)

        assert restarted == ["PostgreSQL", "Redis"]
        assert _sql(data).execute("SELECT what FROM kept").fetchall() == [("before",)]
        assert _redis(data).get("doorbell") == b"rung"
        assert embedded.ensure_alive(data) == []


def test_running_after_kill_9_of_everything_with_the_pid_given_to_a_stranger(data):
    with embedded.running(data):
        _kill_servers(data)
    lock = data / "postgres" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    with embedded.running(data):
        _sql(data).close()
        assert _redis(data).ping()


def test_ensure_alive_brings_back_a_lost_socket(data):
    with embedded.running(data):
        Folder(data).redis_socket.unlink()

        assert embedded.ensure_alive(data) == ["Redis"]
        assert _redis(data).ping()


def test_running_puts_an_unreadable_append_only_file_aside(data, monkeypatch):
    monkeypatch.setattr(embedded.servers, "RETRY_S", 0.5)
    with embedded.running(data):
        _redis(data).set("a", "b")
    for path in (data / "redis").rglob("*.aof"):
        path.write_bytes(b"*2\r\nnonsense" * 100)

    with embedded.running(data):
        assert _redis(data).ping()

    assert (data / "redis.broken").is_dir()


def test_running_begins_again_where_initdb_was_killed(tmp_path):
    half = tmp_path / "postgres.new-half"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    with embedded.running(tmp_path, create=True):
        _sql(tmp_path).close()

    assert not half.exists()


def test_running_in_a_long_path_keeps_its_sockets_elsewhere(tmp_path):
    data = tmp_path / ("ladepunt één " * 10) / "data"

    with embedded.running(data, create=True):
        _sql(data).close()
        assert _redis(data).ping()

    assert not Folder(data).sockets.is_relative_to(tmp_path)
    assert not Folder(data).sockets.exists()


def test_running_without_a_cluster_says_what_to_do(tmp_path):
    advice = r"make run.*DATABASE_URL and REDIS_URL"
    with pytest.raises(embedded.NotMade, match=advice), embedded.running(tmp_path / "no"):
        pass

    assert not (tmp_path / "no").exists()


def test_demo_knows_nothing_of_a_gateway_that_runs_for_real(monkeypatch):
    for name in manage.OF_A_REAL_ONE | {"GATEWAY_DATA"}:
        monkeypatch.setenv(name, "of a real one")

    with ExitStack() as stack:
        manage._surround(stack, ["demo"])
        data = os.environ["GATEWAY_DATA"]
        found = {name: os.environ.get(name, "") for name in manage.OF_A_REAL_ONE}

    assert (found["DATABASE_URL"], found["REDIS_URL"]) == embedded.urls(Path(data))
    assert "gateway-demo-" in data
    assert "of a real one" not in found.values()


def test_run_is_alone_in_its_folder(tmp_path):
    lock = run._lock(tmp_path)

    with pytest.raises(CommandError, match="runs already"):
        run._lock(tmp_path)

    os.close(lock)
    os.close(run._lock(tmp_path))


def test_manage_without_a_cluster_exits_with_one_line(tmp_path):
    unset = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    command = [sys.executable, str(embedded.ROOT / "manage.py"), "migrate"]
    done = subprocess.run(command, env={**unset, "GATEWAY_DATA": "no"}, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.startswith(f"There is nothing in {tmp_path / 'no'} yet.")
    assert len(done.stderr.splitlines()) == 1


def test_make_secrets_writes_once_for_us_only_what_settings_read(tmp_path, monkeypatch):
    path = embedded.make_secrets(tmp_path / "data")
    before = path.read_text()
    embedded.make_secrets(tmp_path / "data")
    monkeypatch.setattr(environ.Env, "ENVIRON", {})
    env = environ.Env()
    env.read_env(path)

    assert path.read_text() == before
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(env.ENVIRON) == ["FIELD_KEYS", "SECRET_KEY", "SIGNING_KEYS", "TOKEN_PEPPER"]
    assert len(bytes.fromhex(env("TOKEN_PEPPER"))) == 32
    assert env.list("SIGNING_KEYS")[0].count(":") == 1


def _child(name: str, code: str, tmp_path: Path) -> Child:
    return Child(name, [sys.executable, "-c", code], log=tmp_path / f"{name}.log", environment=dict(os.environ))


def test_supervisor_restarts_what_dies_and_says_so_with_its_last_lines(tmp_path):
    said: list[str] = []
    talker = _child("talker", "print('last words'); import time; time.sleep(60)", tmp_path)
    supervisor = Supervisor([talker], say=said.append)
    stop = threading.Event()

    with supervisor:
        first = talker.pid
        _wait(talker.last_lines)
        os.kill(first, signal.SIGKILL)
        threading.Timer(1.5, stop.set).start()
        supervisor.watch(stop)
        assert talker.is_alive()
        assert talker.pid != first

    assert len(said) == 1
    assert said[0].startswith("talker died (SIGKILL); starting it again in 0.5 s.")
    assert said[0].endswith("last words")
    assert not talker.is_alive()


def test_child_stop_kills_the_whole_group_that_does_not_end(tmp_path):
    code = "from signal import *; import os; signal(SIGTERM, SIG_IGN); os.fork(); os.write(1, b'%d\\n' % os.getpid()); pause()"
    child = _child("stubborn", code, tmp_path)
    child.start()
    _wait(lambda: len(child.last_lines()) == 2)
    pids = [int(line) for line in child.last_lines()]

    child.stop(grace_s=0.2)

    _wait(lambda: not any(embedded.servers._is_alive(pid, "SIG_IGN") for pid in pids))


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_child_ends_when_its_supervisor_is_killed(tmp_path):
    code = (
        "import sys, os, time; from pathlib import Path; from gateway.supervisor import Child\n"
        "child = Child('c', ['sleep', '61.5'], log=Path(sys.argv[1]), environment=os.environ); child.start()\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, tmp_path / "log"]
    with subprocess.Popen(command, cwd=embedded.ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert embedded.servers._is_alive(pid, "61.5")
        parent.kill()

    _wait(lambda: not embedded.servers._is_alive(pid, "61.5"))
