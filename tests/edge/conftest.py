"""A gateway behind nginx, as docker-compose.yml has it; and PgBouncer before the database, as the README has it."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from gateway import servers
from gateway.embedded import ROOT
from tenants.models import Token
from tests import factories
from tests import settings as test_settings
from tests.benchmarks import stage
from tests.edge.proxy import nginx

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pgbouncer(pool_size: int) -> Iterator[SimpleNamespace]:
    """Run PgBouncer with the README's lines before the test's database; yield its `urls` by the name there, and its `log`.

    Fails where PgBouncer is not installed. It runs as whoever the embedded servers run as: it refuses root as they do.
    """
    assert PGBOUNCER, "PgBouncer is not installed (Debian: apt-get install pgbouncer)"
    account, port = servers._account(servers.Folder(test_settings.DATA)), stage.free_port()
    with TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        (folder / "pgbouncer.ini").write_text(_pgbouncer_ini(folder, port, pool_size))
        for path in (folder, folder / "pgbouncer.ini"):
            account.own(path)
        done = account.run(PGBOUNCER, "-d", folder / "pgbouncer.ini")
        assert done.returncode == 0, done.stderr
        stage.wait_for(lambda: (folder / "pid").exists() and (folder / "pid").read_text().strip(), 10)
        try:
            urls = {one: f"postgresql://gateway@127.0.0.1:{port}/{one}" for one in ("gateway", "gateway_web")}
            yield SimpleNamespace(urls=urls, log=folder / "log", version=_version())
        finally:
            os.kill(int((folder / "pid").read_text()), signal.SIGKILL)


def _version() -> str:
    said = subprocess.run([str(PGBOUNCER), "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[1]


def _pgbouncer_ini(folder: Path, port: int, pool_size: int) -> str:
    """Return the README's lines with our database, port and size in them, and without passwords."""
    (ini,) = re.findall(r"```ini\n(\[databases\].*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    ours = connection.get_connection_params()
    names = ("host", "port", "dbname", "user", "password")
    changes = {
        r"host=\S+ dbname=\S+": " ".join(f"{name}={ours[name]}" for name in names if ours.get(name)),
        r"listen_addr = .*": "listen_addr = 127.0.0.1",
        r"listen_port = .*": f"listen_port = {port}",
        r"auth_type = .*\n.*": f"auth_type = any\nunix_socket_dir =\nlogfile = {folder}/log\npidfile = {folder}/pid",
        r"default_pool_size = .*": f"default_pool_size = {pool_size}",
    }
    for old, new in changes.items():
        ini, count = re.subn(old, new, ini)
        assert count, f"README: the lines of PgBouncer have no {old}"
    return ini


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database, which here keeps what is stored from test to test: the server has to see it."""
    with django_db_blocker.unblock():
        yield
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE tenants_tenant, tenants_serviceaccount, ocpi_version CASCADE")


@pytest.fixture(scope="module")
def edge(db: None) -> Iterator[SimpleNamespace]:
    """A gateway with a Location behind nginx: `address`, the web server's `direct` one, the tenant, and its `token`."""
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv("HAS_PROXY", "true")  # as docker-compose.yml does
        web = stack.enter_context(stage.served())
        address = stack.enter_context(nginx(web.port))
        cpo = factories.make_tenant("EXA")
        factories.put_tariff(cpo)
        factories.put_location(cpo)
        tokens = {"token": factories.make_token(cpo), "pull_token": factories.make_token(cpo, Token.Purpose.PULL)}
        yield SimpleNamespace(address=address, direct=f"127.0.0.1:{web.port}", web=web, tenant=cpo, **tokens)
