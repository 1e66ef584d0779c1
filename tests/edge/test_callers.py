"""Who a caller is, where TLS ends in front of our nginx: an address of his own, if TRUSTED_PROXY names who says so."""

from tests.benchmarks import stage
from tests.edge.proxy import nginx
from tests.wire import Wire, request

ALLOWED = 4  # refused credentials of an address in a minute


def guesses(address: str, caller: str, count: int) -> list[int]:
    """Return the statuses of so many wrong tokens, sent for a caller by the one who ends TLS."""
    given = [("Authorization", "Token wrong"), ("X-Forwarded-For", caller)]
    with Wire(address) as wire:
        wire.send(b"".join(request("GET", "/ocpi/receiver/versions", given) for _ in range(count)))
        return [wire.answer().status for _ in range(count)]


def test_callers_are_told_apart_by_whom_we_trust_and_nobody_else(db, monkeypatch):
    for name, value in {"HAS_PROXY": "true", "FAILED_AUTH_RATE": str(ALLOWED), "WEB_PROCESSES": "1"}.items():
        monkeypatch.setenv(name, value)

    with stage.served(workers=1) as web, nginx(web.port, "127.0.0.1") as trusting, nginx(web.port) as strict:
        first, second = guesses(trusting, "198.51.100.1", ALLOWED + 1), guesses(trusting, "198.51.100.2", 1)
        liar, beside_him = guesses(strict, "198.51.100.3", ALLOWED + 1), guesses(strict, "198.51.100.4", 1)

    assert first == liar == [401] * ALLOWED + [429]
    assert (second, beside_him) == ([401], [429])
