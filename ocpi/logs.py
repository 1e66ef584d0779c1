"""How a line of the log looks: for a terminal, or as JSON for machines; without secrets in either.

What is logged holds no secret to begin with: the redaction is the second lock, for what an exception or a library quotes.
No Django here: logging is set up before it is.  Source: reliability P21, P30; style, "Migrations, settings, logging, errors".
"""

import datetime as dt
import logging
import re
from typing import Any

import orjson

from ocpi import journal

HIDDEN = "<hidden>"

# Looked for first: hardly a line has one, and then the patterns are never run.
_MARKS = (
    "gw-",
    "Z3ct",
    "eyJ",
    "uthorization",
    "AUTHORIZATION",
    "earer ",
    "oken ",
    "_token",
    "asic ",
    "ecret",
    "assword",
    "://",
)
_IS = r"""\\*["']?\s*[:=,]\s*\\*["']?"""  # between a name and its value, be it JSON (perhaps in JSON), a form or Python's repr
_VALUE = r"""[^\s"',&;}<\\]+"""
_SECRETS = [
    re.compile(r"(gw-[a-z]\.[A-Za-z0-9]{8})\.[A-Za-z0-9]{20,}"),  # our own credentials: the prefix may be seen
    re.compile(r"()Z3ct[A-Za-z0-9+/_-]{24,}={0,2}"),  # the same in Base64
    re.compile(r"()eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),  # JWT
    re.compile(r"(?i)((?:token|bearer|basic)\s+)[A-Za-z0-9._~+/=-]{16,}"),
    re.compile(rf"(?i)(authorization{_IS})(?:(?:token|bearer|basic)\s+)?{_VALUE}"),
    re.compile(rf"(?i)((?:client_secret|access_token|password){_IS}){_VALUE}"),
    re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)"),  # user:password@ in a URL
]


def redact(text: str) -> str:
    """Return the text with whatever looks like a credential hidden."""
    if any(mark in text for mark in _MARKS):
        for pattern in _SECRETS:
            text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


class LineFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; more than one where there is a traceback."""
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the ids of the request, and the `fields` given with `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        said: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **journal.noted(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return redact(orjson.dumps(said, default=str).decode())
