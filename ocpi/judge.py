"""Judge the lines of a large import in a process of its own: some are read and judged while others are written.

`python -m ocpi.judge KIND COUNTRY_CODE PARTY_ID` answers what `Judge` asks, frame by frame, and ends with its standard input:
nobody has to end it. Without it the same is done in the worker itself, slower.
"""

import gc
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from ocpi import reader, rules
from ocpi.rules import Finding, uploads

LONGEST_S = 5.0  # for a batch, which takes a fifth of a second
PIPE = 1_048_576  # bytes that wait in a pipe: a batch goes through it in a few pieces
ROOT = Path(__file__).resolve().parent.parent


class Party(NamedTuple):
    """Whose documents they are; as much of a Tenant as is needed."""

    country_code: str
    party_id: str

    def __str__(self) -> str:
        return f"{self.country_code}-{self.party_id}"


def settle_party(document: Any, party: Any) -> list[Finding]:
    """Give an object the tenant's party, as it spells it, unless it names another; return what is wrong then."""
    if not isinstance(document, dict):
        return []
    foreign = []
    for name in ("country_code", "party_id"):
        own, given = getattr(party, name), document.get(name)
        if given is None or (isinstance(given, str) and given.lower() == own.lower()):
            document[name] = own
        elif isinstance(given, str):
            foreign.append(uploads.FOREIGN_PARTY.at(f"/{name}", name=name, value=rules.shown(given), own=party))
    return foreign


def judge(kind: rules.Kind, party: Any, raw: bytes) -> rules.Verdict | list[Finding]:
    """Read a line strictly and judge it by itself; return the verdict, or why it is none of the party's documents."""
    try:
        body = reader.read(raw)
    except reader.NotJson as error:
        return [uploads.NOT_JSON.at("", why=error)]
    return settle_party(body, party) or rules.check(kind, body)


class Judge:
    """The other process."""

    def __init__(self, kind: str, country_code: str, party_id: str) -> None:
        command = [sys.executable, "-m", "ocpi.judge", kind, country_code, party_id]
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):  # no memory, or no pipe of that size: then there is nobody
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=PIPE
            )

    def ask(self, lines: list[bytes]) -> bool:
        """Have lines judged; False when there is nobody any more. One question at a time."""
        if self._process is None:
            return False
        assert self._process.stdin  # noqa: S101
        with self._patience():
            return _send(self._process.stdin, lines)

    def answer(self) -> list[rules.Verdict | list[Finding]]:
        """Wait for the verdicts on the lines; [] when there is nobody any more."""
        assert self._process  # noqa: S101
        assert self._process.stdout  # noqa: S101
        with self._patience():
            answer = _receive(self._process.stdout)
        return [_restored(*one) for one in answer or ()]

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """End the process when it is frozen: whoever waits for it holds a transaction open."""
        timer = threading.Timer(LONGEST_S, self._process.kill if self._process else lambda: None)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def __del__(self) -> None:
        if process := getattr(self, "_process", None):
            process.kill()
            process.wait()


def _kept(one: rules.Verdict | list[Finding]) -> tuple:
    """Return what travels: the document is in the body, a rule is known by its name."""
    if isinstance(one, list):
        return None, b"", [finding.stored() for finding in one], None
    return one.kind, one.body, [finding.stored() for finding in one.findings], one.unknown


def _restored(kind: Any, body: bytes, stored: list, unknown: Any) -> rules.Verdict | list[Finding]:
    findings = rules.restore(stored)
    if kind is None:
        return findings
    return rules.Verdict(kind, orjson.loads(body) if body else {}, body, findings, unknown)


def _send(stream: IO[bytes], message: object) -> bool:
    data = pickle.dumps(message, 5)
    try:
        stream.write(len(data).to_bytes(8) + data)
        stream.flush()
    except OSError:
        return False
    return True


def _receive(stream: IO[bytes]) -> Any:
    """Return the next message; None at the end, be it in the middle of one."""
    head = stream.read(8)
    size = int.from_bytes(head) if len(head) == 8 else 0
    data = stream.read(size)
    return pickle.loads(data) if data and len(data) == size else None  # noqa: S301 - of our own process


def main(kind: Any, country_code: str, party_id: str) -> None:
    """Answer until the input ends."""
    gc.disable()
    party = Party(country_code, party_id)
    while (lines := _receive(sys.stdin.buffer)) is not None:
        if not _send(sys.stdout.buffer, [_kept(judge(kind, party, raw)) for raw in lines]):
            break


if __name__ == "__main__":
    main(*sys.argv[1:4])
