"""Tokens: which header values open the door, how long, and what the database keeps of them."""

import base64
import datetime as dt
import random
import string
from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone

from tenants import secrets
from tenants.authentication import _candidates
from tenants.models import Token
from tests.conftest import Caller
from tests.factories import make_token

VERSIONS = "/ocpi/receiver/versions"


def ask(header: str | None) -> tuple[int, int, str]:
    """Return (HTTP status, OCPI status, WWW-Authenticate) for an Authorization header."""
    response = Caller(VERSIONS, {} if header is None else {"Authorization": header}).get()
    return response.status_code, response.envelope["status_code"], response.get("WWW-Authenticate", "")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


OPEN, SHUT = (200, 1000, ""), (401, 2000, "Token")


@pytest.mark.parametrize(
    "header",
    [
        lambda value: f"Token {value}",
        lambda value: f"token {value}",
        lambda value: f"TOKEN {value}",
        lambda value: f"Token {b64(value)}",
        lambda value: f"Token {b64(value).rstrip('=')}",
        lambda value: f"Token {b64(value + chr(10))}",
        lambda value: f"Token {b64(value + chr(13) + chr(10))}",
    ],
    ids=["raw", "lower", "upper", "base64", "unpadded", "base64 of a line", "base64 of a CRLF line"],
)
def test_token_in_every_form_peers_send_opens(cpo, header: Callable[[str], str]):
    assert ask(header(make_token(cpo))) == OPEN


@pytest.mark.parametrize(
    "header",
    [
        lambda value: None,
        lambda value: "",
        lambda value: "Token",
        lambda value: "Token ",
        lambda value: value,
        lambda value: f"Token  {value}",
        lambda value: f"Token\t{value}",
        lambda value: f"Token {value} x",
        lambda value: f"Bearer {value}",
        lambda value: f"Basic {b64(value)}",
        lambda value: f"Basic {b64(':' + value)}",
        lambda value: f"Token {value[:-1]}",
        lambda value: f"Token {value[:-1]}{'a' if value[-1] != 'a' else 'b'}",
        lambda value: f"Token {value.swapcase()}",
        lambda value: f"Token {value}\x00",
        lambda value: f"Token {b64('x' + value)}",
        lambda value: f"Token {b64(b64(value))}",
        lambda value: "Token gw-u.aaaaaaaa." + "a" * 43,
        lambda value: "Token " + "a" * 10_000,
        lambda value: f"Token {value}" + "=" * 10_000,
        lambda value: "Token \xff\xfe",
        lambda value: "Token %00",
        lambda value: "Token ' OR 1=1 --",
    ],
)
def test_token_in_no_other_form_opens(cpo, header: Callable[[str], str | None]):
    assert ask(header(make_token(cpo))) == SHUT


def test_token_of_10_kb_is_refused_without_a_database():
    assert ask("Token " + "a" * 10_000) == SHUT


def test_token_outside_the_header_does_not_count(cpo):
    value = make_token(cpo)

    response = Caller(VERSIONS, {"Cookie": f"token={value}"}).get(f"?token={value}&access_token={value}")

    assert response.status_code == 401


def test_token_is_refused_from_the_moment_it_is_revoked(cpo):
    value = make_token(cpo)
    assert ask(f"Token {value}") == OPEN

    Token.objects.get().revoke()

    assert ask(f"Token {value}") == SHUT


def test_token_is_refused_once_it_has_expired(cpo):
    value = make_token(cpo, expires_at=timezone.now() + dt.timedelta(minutes=1))
    assert ask(f"Token {value}") == OPEN

    Token.objects.update(expires_at=timezone.now() - dt.timedelta(milliseconds=1))

    assert ask(f"Token {value}") == SHUT


def test_token_of_an_inactive_tenant_is_refused_and_comes_back_with_it(cpo):
    value = make_token(cpo)
    cpo.is_active = False
    cpo.save()
    assert ask(f"Token {value}") == SHUT

    cpo.is_active = True
    cpo.save()

    assert ask(f"Token {value}") == OPEN


def test_token_third_live_one_revokes_the_oldest_of_its_kind_only(cpo, rival):
    others = [make_token(rival), make_token(None, Token.Purpose.PULL)]
    pull = make_token(cpo, Token.Purpose.PULL)
    first, second, third = (make_token(cpo) for _ in range(3))

    assert [ask(f"Token {value}") for value in (first, second, third)] == [SHUT, OPEN, OPEN]
    live = {secrets.digest(value) for value in (second, third, pull, *others)}
    assert set(Token.objects.live().values_list("digest", flat=True)) == live
    assert Token.objects.count() == 6


def test_token_expired_or_revoked_one_does_not_count_among_the_two(cpo):
    make_token(cpo, expires_at=timezone.now() - dt.timedelta(minutes=1))
    keep = make_token(cpo)
    Token(tenant=cpo, purpose=Token.Purpose.UPLOAD, revoked_at=timezone.now()).issue()

    second = make_token(cpo)

    assert [ask(f"Token {value}") for value in (keep, second)] == [OPEN, OPEN]


def test_token_notes_its_last_use_at_most_once_a_minute(cpo, django_assert_num_queries):
    value = make_token(cpo)
    assert Token.objects.get().last_used_at is None

    ask(f"Token {value}")
    first = Token.objects.get().last_used_at
    with django_assert_num_queries(0):  # none that writes: the token itself is looked up over the raw driver
        ask(f"Token {value}")

    assert Token.objects.get().last_used_at == first
    assert dt.timedelta(0) <= timezone.now() - first < dt.timedelta(seconds=10)
    Token.objects.update(last_used_at=first - dt.timedelta(seconds=61))
    ask(f"Token {value}")
    assert Token.objects.get().last_used_at > first


def test_token_refused_is_not_noted_as_used(cpo):
    value = make_token(cpo)
    Token.objects.get().revoke()

    ask(f"Token {value}")

    assert Token.objects.get().last_used_at is None


def test_token_only_its_digest_and_beginning_are_in_the_database(cpo):
    value = make_token(cpo)

    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(t)::text FROM tenants_token t")
        (row,) = cursor.fetchone()

    token = Token.objects.get()
    assert (token.digest, token.prefix) == (secrets.digest(value), value[:13])
    assert len(value) == 57
    assert value not in row
    assert value[14:] not in row


def test_token_digest_hangs_on_the_pepper(cpo, settings):
    value = make_token(cpo)

    settings.TOKEN_PEPPER = "another"

    assert ask(f"Token {value}") == SHUT


def test_token_values_do_not_repeat_and_cannot_be_base64():
    made = {secrets.new_token("upload")[0] for _ in range(1000)}

    assert len(made) == 1000
    assert all(value.startswith("gw-u.") for value in made)
    assert not any(set(value) <= set(base64.b64encode(bytes(range(256))).decode()) for value in made)


def test_token_is_found_although_the_database_hung_up_meanwhile(transactional_db, cpo):
    header = f"Token {make_token(cpo)}"
    connection.ensure_connection()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 1000)", [connection.connection.info.backend_pid])
    other.close()

    assert ask(header) == OPEN


def test_token_guessed_twenty_thousand_times_opens_nothing(cpo):
    live = [make_token(cpo), make_token(cpo, Token.Purpose.PULL), make_token(None, Token.Purpose.PULL)]
    guesses = [secrets.new_token("upload")[0] for _ in range(19_000)]
    guesses += [value[:-1] + letter for value in live for letter in string.ascii_letters + "_-" if letter != value[-1]]
    guesses += ["".join(random.Random(seed).choices(string.printable[:94], k=57)) for seed in range(1000)]

    digests = [secrets.digest(candidate) for value in guesses for candidate in _candidates(value)]
    found = Token.objects.filter(digest__in=digests).count()

    assert len(guesses) > 20_000
    assert (found, Token.objects.count()) == (0, 3)
