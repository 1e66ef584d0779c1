"""A gateway behind nginx, as docker-compose.yml has it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from gateway.embedded import ROOT
from tenants.models import Token
from tests import factories
from tests.benchmarks import stage
from tests.wire import Wire, request

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
TEMPLATES = ROOT / "gateway" / "nginx"


@contextmanager
def nginx(upstream_port: int) -> Iterator[str]:
    """Run nginx with our templates before a web server; yield its address. Fails where nginx is not installed."""
    assert NGINX, "nginx is not installed (Debian: apt-get install nginx-light)"
    port = stage.free_port()
    with TemporaryDirectory(prefix="edge-") as folder:
        os.chmod(folder, 0o755)
        _write(Path(folder), port, upstream_port)
        with open(f"{folder}/output", "w") as output:
            process = subprocess.Popen(
                [str(NGINX), "-p", folder, "-c", f"{folder}/nginx.conf"],
                stdout=output, stderr=output, env=os.environ | {"TZ": "UTC"},
            )  # fmt: skip
        try:
            stage.wait_for(lambda: _is_open(port), 10)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _write(folder: Path, port: int, upstream_port: int) -> None:
    """Write what the image's entry point makes of the templates, and nginx.conf with a folder of its own."""
    for template in TEMPLATES.glob("*.template"):
        text = template.read_text().replace("${FORWARDED_PROTO}", "http")
        text = text.replace("/etc/nginx/conf.d/", f"{folder}/").replace("web:8000", f"127.0.0.1:{upstream_port}")
        (folder / template.stem).write_text(re.sub(r"listen 8080\b", f"listen 127.0.0.1:{port}", text))
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = (TEMPLATES / "nginx.conf").read_text().replace("user nginx;", "user root;" if os.getuid() == 0 else "")
    for theirs, ours in (
        ("processes auto", "processes 1"), ("/etc/nginx/conf.d/*", f"{folder}/default"),
        ("/var/log/nginx", str(folder)), ("/run/nginx.pid", f"{folder}/pid")
    ):  # fmt: skip
        text = text.replace(theirs, ours)
    (folder / "nginx.conf").write_text("daemon off;\n" + text.replace("http {", "http { " + temporary))


def _is_open(port: int) -> bool:
    try:
        with Wire(f"127.0.0.1:{port}") as wire:
            wire.send(request("GET", "/healthz"))
            return wire.answer().status in (200, 503)
    except OSError:
        return False


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
