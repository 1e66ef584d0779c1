#!/usr/bin/env python
"""Django's command line, with servers: without DATABASE_URL and REDIS_URL every command uses the embedded ones.

They are those of GATEWAY_DATA (default `var/` beside this file): joined when they run, else started for this command.
"""

import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from gateway import embedded

OWN_SERVERS = {"run", "demo"}  # start them themselves, and are who makes secrets
NO_SERVERS = {
    *("help", "version", "check", "diffsettings", "collectstatic", "findstatic", "spectacular", "rules"),
    *("makemessages", "compilemessages", "makemigrations", "startapp", "startproject"),
}
# What a shell may have of a gateway that runs for real: the demo must neither reach it nor write to anybody.
OF_A_REAL_ONE = {
    *("DATABASE_URL", "REDIS_URL", "REPLICA_URL", "PGBOUNCER", "PROMETHEUS_MULTIPROC_DIR"),
    *("SECRET_KEY", "SECRET_KEY_FALLBACKS", "FIELD_KEYS", "TOKEN_PEPPER", "SIGNING_KEYS", "METRICS_TOKEN"),
    *("PUBLIC_URL", "ALLOWED_HOSTS", "HAS_PROXY", "ADMIN_SECOND_FACTOR", "WEB_PROCESSES", "ALERT_EMAILS", "EMAIL_URL"),
}


def main() -> None:
    """Run one command, in the end also the servers that were started for it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    try:
        with ExitStack() as stack:
            _surround(stack, sys.argv[1:])

            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    except embedded.EmbeddedError as error:
        sys.exit(str(error))


def _surround(stack: ExitStack, arguments: list[str]) -> None:
    """Set the environment that settings.py will read, and start servers where the command needs them."""
    command = arguments[0] if arguments and not {"-h", "--help"} & set(arguments) else "help"
    if command.startswith("-"):
        return
    if command == "demo":
        for name in OF_A_REAL_ONE:
            os.environ.pop(name, None)
        os.environ["GATEWAY_DATA"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-"))
    data = embedded.data_folder()
    if command in OWN_SERVERS:
        embedded.make_secrets(data)
    os.environ["GATEWAY_DATA"] = str(data)
    if not os.environ.get("DATABASE_URL") and not os.environ.get("REDIS_URL"):
        _use_embedded(stack, command, data)


def _use_embedded(stack: ExitStack, command: str, data: Path) -> None:
    if command in OWN_SERVERS or (command in NO_SERVERS and embedded.is_made(data)):
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = embedded.urls(data)
    elif command not in NO_SERVERS:
        stack.enter_context(embedded.running(data))
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = embedded.urls(data)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # or nobody would stop them


if __name__ == "__main__":
    main()
