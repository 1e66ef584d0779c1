"""nginx before a web server, with the templates of docker-compose.yml; knows nothing of Django."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.embedded import ROOT
from tests.wire import Wire, request

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
TEMPLATES = ROOT / "gateway" / "nginx"


@contextmanager
def nginx(upstream_port: int, trusted_proxy: str = "192.0.2.1") -> Iterator[str]:
    """Run nginx with our templates before a web server; yield its address. Fails where nginx is not installed."""
    assert NGINX, "nginx is not installed (Debian: apt-get install nginx-light)"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory(prefix="edge-") as folder:
        os.chmod(folder, 0o755)
        _write(Path(folder), port, upstream_port, trusted_proxy)
        with open(f"{folder}/output", "w") as output:
            process = subprocess.Popen(
                [str(NGINX), "-p", folder, "-c", f"{folder}/nginx.conf"],
                stdout=output, stderr=output, env=os.environ | {"TZ": "UTC"},
            )  # fmt: skip
        try:
            _wait_open(port)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _write(folder: Path, port: int, upstream_port: int, trusted_proxy: str) -> None:
    """Write what the image's entry point makes of the templates, and nginx.conf with a folder of its own."""
    for template in TEMPLATES.glob("*.template"):
        text = template.read_text().replace("${FORWARDED_PROTO}", "http").replace("${TRUSTED_PROXY}", trusted_proxy)
        text = text.replace("/etc/nginx/conf.d/", f"{folder}/").replace("web:8000", f"127.0.0.1:{upstream_port}")
        (folder / template.stem).write_text(re.sub(r"listen 8080\b", f"listen 127.0.0.1:{port}", text))
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = (TEMPLATES / "nginx.conf").read_text().replace("user nginx;", "user root;" if os.getuid() == 0 else "")
    for theirs, ours in (
        ("processes auto", "processes 1"), ("/etc/nginx/conf.d/*", f"{folder}/default"),
        ("/var/log/nginx", str(folder)), ("/run/nginx.pid", f"{folder}/pid"),
    ):  # fmt: skip
        text = text.replace(theirs, ours)
    (folder / "nginx.conf").write_text("daemon off;\n" + text.replace("http {", "http { " + temporary))


def _wait_open(port: int, timeout_s: float = 10) -> None:
    until = time.monotonic() + timeout_s
    while not _is_open(port):
        assert time.monotonic() < until, "nginx did not start"
        time.sleep(0.05)


def _is_open(port: int) -> bool:
    try:
        with Wire(f"127.0.0.1:{port}") as wire:
            wire.send(request("GET", "/healthz"))
            return wire.answer().status in (200, 503)
    except OSError:
        return False
