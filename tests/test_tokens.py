"""NDW access tokens: fetched once, shared, renewed in time, never shown."""

import datetime as dt
import threading
import time
from typing import Any

import pytest
from django.db import connections

from ocpi import tokens
from ocpi.tokens import AccountRefused
from tenants.models import ServiceAccount
from tests import factories


@pytest.fixture
def account(cpo, ndw) -> ServiceAccount:
    return factories.make_connection(cpo, ndw).service_account


def token_of(account: ServiceAccount) -> str:
    """Return a token there must be."""
    token = tokens.access_token(account)
    assert token
    return token


def in_another_process(account: ServiceAccount) -> str | None:
    """Ask as a process does that has nothing in its memory yet."""
    tokens._cache.pop(account.pk, None)
    return tokens.access_token(account)


def let_pass(account: ServiceAccount, seconds: float) -> None:
    """Make everything this account waits for so much older, for processes that start now."""
    account.refresh_from_db()
    names = ("access_token_renew_at", "access_token_expires_at", "fetching_until")
    passed = dt.timedelta(seconds=seconds)
    moments = {name: getattr(account, name) - passed for name in names if getattr(account, name)}
    ServiceAccount.objects.filter(pk=account.pk).update(**moments)
    tokens._cache.pop(account.pk, None)


def life_s(account: ServiceAccount) -> int:
    account.refresh_from_db()
    assert account.access_token_expires_at is not None
    return round((account.access_token_expires_at - dt.datetime.now(dt.UTC)).total_seconds())


def test_tokens_one_is_fetched_for_all_calls_and_processes(account, ndw):
    first = tokens.access_token(account)

    assert ndw.tokens.is_live(f"Bearer {first}")
    assert {first} == {tokens.access_token(account), in_another_process(account), in_another_process(account)}
    assert len(ndw.token_calls) == 1


def test_tokens_one_is_fetched_for_many_callers_at_once(transactional_db, account, ndw):
    ndw.fail_next("delay", kind="token", seconds=0.1)
    found = set()

    def ask() -> None:
        until = time.monotonic() + 10
        while not (token := tokens.access_token(ServiceAccount.objects.get(pk=account.pk))):
            assert time.monotonic() < until
        found.add(token)
        connections.close_all()

    callers = [threading.Thread(target=ask) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(15)

    assert (len(found), len(ndw.token_calls)) == (1, 1)


def test_tokens_who_looked_before_another_was_done_does_not_fetch_again(account, ndw):
    seen = tokens._shared(account).sealed
    tokens.access_token(account)

    assert (seen, tokens._may_fetch(account, seen)) == ("", False)


def test_tokens_new_one_is_fetched_when_four_fifths_of_the_life_are_over(account, ndw):
    first = tokens.access_token(account)
    let_pass(account, 1800 * 0.79)
    assert tokens.access_token(account) == first

    let_pass(account, 1800 * 0.02)

    assert tokens.access_token(account) != first
    assert len(ndw.token_calls) == 2


def test_tokens_current_one_serves_to_its_end_while_iam_is_down(account, ndw):
    first = tokens.access_token(account)
    ndw.fail_next(503, kind="token", times=None)
    let_pass(account, 1700)
    assert tokens.access_token(account) == first

    let_pass(account, 101)

    assert tokens.access_token(account) is None


@pytest.mark.parametrize("fault", [{"action": 503}, {"action": "drop"}, {"action": "html"}, {"action": "empty"}])
def test_tokens_iam_that_fails_is_asked_once_in_five_seconds(account, ndw, fault):
    ndw.fail_next(fault["action"], kind="token", times=None)

    assert [in_another_process(account) for _ in range(5)] == [None] * 5
    assert len(ndw.token_calls) == 1
    let_pass(account, 4.5)
    assert (in_another_process(account), len(ndw.token_calls)) == (None, 1)
    let_pass(account, 0.6)
    assert (in_another_process(account), len(ndw.token_calls)) == (None, 2)


ABSURD: list[Any] = [None, 0, -1, 0.5, "soon", "", [], {}, 86_401, 10**30, float("inf"), float("nan")]


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [(600, 600), ("1800", 1800), (86_400, 86_400), (59.9, 59), *[(absurd, 60) for absurd in ABSURD]],
)
def test_tokens_absurd_life_counts_as_a_minute(account, ndw, expires_in, seconds):
    ndw.fail_next("token", kind="token", fields={"expires_in": expires_in})

    assert tokens.access_token(account)

    assert life_s(account) == seconds


@pytest.mark.parametrize("token", [None, "", 7, ["a"], "a\nb", "a\x00b", "é", "x" * 16_385])
def test_tokens_absurd_token_is_none(account, ndw, token):
    ndw.fail_next("token", kind="token", fields={"access_token": token})

    assert tokens.access_token(account) is None

    assert ServiceAccount.objects.get(pk=account.pk).access_token_sealed == ""


def test_tokens_megabytes_are_no_token(account, ndw):
    ndw.fail_next("token", kind="token", bytes=5_000_000)

    assert tokens.access_token(account) is None


@pytest.mark.parametrize("status", [400, 401, 403])
def test_tokens_refused_client_is_an_operators_matter(account, ndw, status):
    ndw.fail_next(status, kind="token")

    with pytest.raises(AccountRefused, match=f"answered HTTP {status}"):
        tokens.access_token(account)


def test_tokens_wrong_secret_is_an_operators_matter(account, ndw):
    account.set_client_secret("wrong")

    with pytest.raises(AccountRefused, match="answered HTTP 401"):
        tokens.access_token(account)


@pytest.mark.parametrize("url", ["https://other.example/token", "http://10.0.0.1/token"])
def test_tokens_url_that_is_not_allowed_is_not_called(account, url):
    account.token_url = url

    with pytest.raises(AccountRefused, match="NDW_ALLOWED_HOSTS"):
        tokens.access_token(account)


def test_tokens_secret_that_no_key_opens_is_an_operators_matter(account, ndw, settings):
    settings.FIELD_KEYS = ["n1:" + "bmV3" * 10 + "bmU="]

    with pytest.raises(AccountRefused, match="no key opens"):
        tokens.access_token(account)

    assert ndw.token_calls == []


def test_tokens_token_that_no_key_opens_is_fetched_anew(account, ndw):
    tokens.access_token(account)
    ServiceAccount.objects.update(access_token_sealed="v1.gone.AAAA")

    assert ndw.tokens.is_live(f"Bearer {in_another_process(account)}")
    assert len(ndw.token_calls) == 2


def test_tokens_refused_one_is_forgotten_by_all(account, ndw):
    first = token_of(account)

    tokens.invalidate(account, first)

    assert in_another_process(account) != first
    assert len(ndw.token_calls) == 2


def test_tokens_old_one_that_is_refused_late_costs_no_new_one(account, ndw):
    first = token_of(account)
    tokens.invalidate(account, first)
    second = tokens.access_token(account)

    tokens.invalidate(account, first)

    assert (tokens.access_token(account), in_another_process(account)) == (second, second)


def test_tokens_process_with_an_old_one_takes_what_another_has_fetched(account, ndw):
    first = token_of(account)
    old = tokens._cache[account.pk]
    tokens.invalidate(account, first)
    second = in_another_process(account)
    tokens._cache[account.pk] = old  # this process has not noticed

    tokens.invalidate(account, first)

    assert (tokens.access_token(account), len(ndw.token_calls)) == (second, 2)


def test_tokens_server_that_lets_us_wait_in_vain_is_left_alone_for_all_its_accounts(account, rival, ndw, monkeypatch):
    monkeypatch.setattr(tokens, "SILENT_S", 0)
    monkeypatch.setattr(tokens, "_silent_until", {})
    ndw.fail_next("drop", kind="token")
    other = factories.make_connection(rival, ndw).service_account
    other.pk, other.client_id, other.name = None, "another", "another"
    other.save()

    assert (tokens.access_token(account), tokens.access_token(other), len(ndw.token_calls)) == (None, None, 1)


@pytest.mark.parametrize("ask", [tokens.access_token, in_another_process], ids=["here", "in another process"])
def test_tokens_new_secret_forgets_the_token_of_the_old_one(account, ndw, ask):
    tokens.access_token(account)

    account.set_client_secret(ndw.client_secret)

    assert ask(ServiceAccount.objects.get(pk=account.pk))
    assert len(ndw.token_calls) == 2
