"""Every URL with every method, credential, and party in the URL, the body and the routing headers: nothing of a rival comes out.

A thousand of these attempts each time, the same ones; `make fuzz` makes ATTEMPTS=10000. Each is made once more with a party
that does not exist, which must look the same. Source: reliability P15, P21.
"""

import base64
import datetime as dt
import itertools
import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tenants.models import OAuthClient, Tenant, Token
from tests import factories, stored
from tests.conftest import CLIENT
from tests.test_isolation import (
    CANARY,
    LATER,
    METHODS,
    NAMES,
    OF_A_PARTY,
    body_for,
    both,
    purpose,
    seen,
    tenants,
    url,
)  # fmt: skip

ATTEMPTS = int(os.environ.get("ATTEMPTS", "1000"))
WITH_BODY = ("PUT", "PATCH", "POST")
NOBODY = "NIL"  # no tenant has it
_ = both, tenants  # the fixtures


class Attempt(NamedTuple):
    """What one request tries."""

    name: str
    method: str
    credential: str
    party: str
    body_party: str
    addressee: str
    object_id: str
    query: str


QUERIES = [
    "",
    "?limit=1",
    "?after=azE",
    "?kind=location&id=RIVAL-2",
    "?kind=location",
    "?party_id=RIV",
    "?mode=full&kind=tariff",
]
AXES = (
    NAMES,
    METHODS,
    ["none", "unknown", "expired", "revoked", "inactive", "upload", "pull", "jwt", "forged-jwt", "unsigned-jwt", "basic", "query",
     "session", "rival-revoked", "rival-expired", "all-revoked"],
    ["EXA", "RIV", "riv"],
    ["EXA", "RIV"],
    ["", "EXA", "RIV"],
    ["LOC-0001", "RIVAL-2"],
    QUERIES,
)  # fmt: skip
VALID = {"upload", "pull", "jwt"}


def attempts(count: int) -> Iterator[Attempt]:
    """Yield so many of all that there are, spread evenly; always the same ones."""
    every = list(itertools.product(*(range(len(axis)) for axis in AXES[:4])))
    rest = list(itertools.product(*AXES[4:]))
    chosen = random.Random(15)
    chosen.shuffle(every)
    for turn, numbers in zip(range(count), itertools.cycle(every), strict=False):
        yield Attempt(
            *(axis[number] for axis, number in zip(AXES[:4], numbers, strict=True)), *rest[turn * 5 % len(rest)]
        )


def test_attempts_reach_every_route_method_and_credential_with_a_rivals_party():
    made = list(attempts(1000))

    assert len(set(made)) == 1000
    for axis, values in enumerate(AXES):
        assert {one[axis] for one in made} == set(values)
    assert len({(one.name, one.credential) for one in made}) > 300


class Doors:
    """Every kind of credential, as headers."""

    def __init__(self, cpo: Tenant, rival: Tenant) -> None:
        past = timezone.now() - dt.timedelta(seconds=1)
        sleeping = factories.make_tenant("SLE", is_active=False)
        boss = Client()
        boss.force_login(User.objects.create_superuser("boss", password="x"))
        client = OAuthClient(tenant=cpo)
        form = {"grant_type": "client_credentials", "client_secret": client.issue(), "client_id": client.client_id}
        granted = CLIENT.post("/oauth/token", urlencode(form), content_type="application/x-www-form-urlencoded").json()
        head, body, signature = granted["access_token"].split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "==")) | {"tenant": "NL-RIV"}
        forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
        self.cookies = {"Cookie": f"session={boss.cookies['session'].value}"}
        self.bearers = {
            "jwt": granted["access_token"],
            "forged-jwt": f"{head}.{forged}.{signature}",
            "unsigned-jwt": f"{none}.{forged}.",
        }
        self._make: dict[str, Callable[[str], str]] = {
            "expired": lambda name: factories.make_token(cpo, purpose(name), expires_at=past),
            "revoked": lambda name: self._revoked(cpo, purpose(name)),
            "inactive": lambda name: factories.make_token(sleeping, purpose(name)),
            "upload": lambda name: factories.make_token(cpo, Token.Purpose.UPLOAD),
            "pull": lambda name: factories.make_token(cpo, Token.Purpose.PULL),
            "basic": lambda name: factories.make_token(cpo, purpose(name)),
            "query": lambda name: factories.make_token(cpo, purpose(name)),
            "rival-revoked": lambda name: self._revoked(rival, purpose(name)),
            "rival-expired": lambda name: factories.make_token(rival, purpose(name), expires_at=past),
            "all-revoked": lambda name: self._revoked(None, Token.Purpose.PULL),
        }
        self.made: dict[tuple[str, str], str] = {}

    @staticmethod
    def _revoked(tenant: Tenant | None, of_purpose: str) -> str:
        value = factories.make_token(tenant, of_purpose)
        Token.objects.get(digest__in=[_digest(value)]).revoke()
        return value

    def value(self, attempt: Attempt) -> str:
        """Return the token of an attempt, made once for each purpose; of live ones at most two live."""
        key = attempt.credential, purpose(attempt.name)
        if key not in self.made:
            self.made[key] = self._make[attempt.credential](attempt.name)
        return self.made[key]

    def headers(self, attempt: Attempt) -> dict[str, str]:
        """Return the headers by which an attempt says who it is."""
        match attempt.credential:
            case "none" | "query":
                return {}
            case "unknown":
                return {"Authorization": "Token gw-u.AAAAAAAA." + "A" * 43}
            case "session":
                return self.cookies
            case "basic":
                return {"Authorization": "Basic " + base64.b64encode(f"x:{self.value(attempt)}".encode()).decode()}
            case kind if kind in self.bearers:
                return {"Authorization": f"Bearer {self.bearers[kind]}"}
        return {"Authorization": f"Token {self.value(attempt)}"}


def _digest(value: str) -> str:
    from tenants import secrets

    return secrets.digest(value)


def make(doors: Doors, one: Attempt, party: str) -> Any:
    """Make an attempt at a party's URL."""
    headers = doors.headers(one)
    if one.addressee:
        headers |= {"OCPI-to-country-code": "NL", "OCPI-to-party-id": one.addressee}
    path = url(one.name, party, location_id=one.object_id, tariff_id=one.object_id) + one.query
    if one.credential == "query":
        path += ("&" if "?" in path else "?") + urlencode({"token": doors.value(one), "access_token": doors.value(one)})
    body = json.dumps(body_for(one.name, one.body_party) | {"id": one.object_id, "last_updated": LATER})
    return CLIENT.generic(
        one.method, path, body if one.method in WITH_BODY else "", "application/json", headers=headers
    )


class _Heard(logging.Handler):
    """Keeps every line that is logged, however detailed."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {record.args}")


@pytest.fixture
def heard() -> Iterator[list[str]]:
    handler, root = _Heard(), logging.getLogger()
    level = root.level
    for name in ("ocpi", "tenants", "django.request", "django.security"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


def test_matrix_of_attempts_gets_no_byte_of_a_rival(both, heard):
    cpo, rival = both
    doors, before = Doors(cpo, rival), stored.everything(rival)
    statuses: Counter[int] = Counter()

    for one in attempts(ATTEMPTS):
        response = make(doors, one, one.party)
        content = b"".join(response) if response.streaming else response.content
        statuses[response.status_code] += 1

        assert CANARY.encode() not in content, one
        assert CANARY not in str(response.headers), one
        if one.credential not in VALID:
            assert response.status_code == 401, one
        elif one.name in OF_A_PARTY and one.party != "EXA" and response.status_code != 401:
            assert response.status_code == 404, one
            assert seen(response) == seen(make(doors, one, NOBODY)), one
        assert response.status_code < 500, one

    assert stored.everything(rival) == before
    assert CANARY not in "\n".join(heard)
    assert [token for token in (*doors.made.values(), *doors.bearers.values()) if token in "\n".join(heard)] == []
    assert {200, 401, 404, 405} <= set(statuses)
    assert sum(statuses.values()) == ATTEMPTS
