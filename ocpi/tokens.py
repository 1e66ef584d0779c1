"""NDW access tokens: fetched once however many workers ask, shared through the database, renewed before they end.

Times are counted from the receipt by our own clocks, never by what the token or NDW's clock says. A fetch that fails is
not repeated within FETCH_REST_S, and the current token is used until it ends. Source: protocol §7.3; reliability C12.
"""

import json
import logging
import time
from dataclasses import dataclass
from urllib.parse import quote_plus

from django.db import connection

from ocpi import ndw
from tenants import secrets
from tenants.models import ServiceAccount

logger = logging.getLogger(__name__)

FETCH_LEASE_S, FETCH_REST_S = 10, 5
RENEW_AT = 0.8  # of the life
SILENT_S, SILENT_REST_S = (
    1.0,
    10.0,
)  # a server that lets us wait in vain is left alone: its other accounts would wait too
ASSUMED_LIFE_S, LONGEST_LIFE_S = 60, 86_400  # what an absurd or missing expires_in counts as; what is absurd
LONGEST_TOKEN = 16_384


class AccountRefused(Exception):
    """NDW's IAM server does not accept this client: an operator must look."""


@dataclass
class _Cached:
    token: str
    sealed: str
    renew_at: float  # monotonic
    ends_at: float
    has_worked: bool = False  # NDW has taken it, from this process

    @property
    def received_at(self) -> float:
        """Return when it came in, whoever fetched it (monotonic)."""
        return self.ends_at - (self.ends_at - self.renew_at) / (1 - RENEW_AT)


_cache: dict[int, _Cached] = {}
_silent_until: dict[str, float] = {}  # by token URL (monotonic)


def access_token(account: ServiceAccount) -> str | None:
    """Return a token, or None while there is none to be had (IAM down, or another worker is fetching). Raises AccountRefused.

    What this process remembers counts as long as the account, as it was just read, has the same: an operator may have
    given it another client.
    """
    cached = _cache.get(account.pk)
    if cached and cached.sealed == account.access_token_sealed and time.monotonic() < cached.renew_at:
        return cached.token
    shared = _shared(account)
    cached = _cache[account.pk] = cached if cached and cached.sealed == shared.sealed else shared
    is_silent = time.monotonic() < _silent_until.get(account.token_url, 0)
    if time.monotonic() >= cached.renew_at and not is_silent and _may_fetch(account, cached.sealed):
        cached = _cache[account.pk] = _fetch(account) or cached
    return cached.token if time.monotonic() < cached.ends_at else None


def received_at(account: ServiceAccount) -> float:
    """Return when the token that `access_token` gave came in from NDW (monotonic)."""
    return _cache[account.pk].received_at


def note_worked(account: ServiceAccount, token: str) -> None:
    """Remember that NDW took a token: a 401 after that means that it was revoked since."""
    cached = _cache.get(account.pk)
    if cached and cached.token == token:
        cached.has_worked = True


def is_outdated(account: ServiceAccount, token: str) -> bool:
    """Return True for a token that NDW has taken before, or that is not the one in use any more."""
    cached = _cache.get(account.pk)
    return cached is None or cached.token != token or cached.has_worked


def invalidate(account: ServiceAccount, token: str) -> None:
    """Forget a token NDW refused, unless another worker has already replaced it."""
    cached = _cache.get(account.pk)
    if cached and cached.token == token:
        del _cache[account.pk]
        ServiceAccount.objects.filter(pk=account.pk, access_token_sealed=cached.sealed).update(
            access_token_sealed="", access_token_expires_at=None, access_token_renew_at=None
        )


def _shared(account: ServiceAccount) -> _Cached:
    """Return what the workers share; without a usable token one that has ended."""
    now = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT access_token_sealed, extract(epoch FROM access_token_renew_at - clock_timestamp())::float,"
            " extract(epoch FROM access_token_expires_at - clock_timestamp())::float"
            " FROM tenants_serviceaccount WHERE id = %s",
            [account.pk],
        )
        account.access_token_sealed, renew_s, life_s = cursor.fetchone()
    try:
        if account.access_token_sealed:
            return _Cached(account.access_token, account.access_token_sealed, now + renew_s, now + life_s)
    except secrets.Undecryptable:
        logger.warning("The access token of %s was sealed with another key; fetching a new one", account)
    return _Cached("", account.access_token_sealed, 0, 0)


def _may_fetch(account: ServiceAccount, sealed: str) -> bool:
    """Return True for one caller at a time, unless the token is new already; the others go on with what they have."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tenants_serviceaccount SET fetching_until = clock_timestamp() + %s * interval '1 s'"
            " WHERE id = %s AND access_token_sealed = %s"
            " AND (fetching_until IS NULL OR fetching_until < clock_timestamp())",
            [FETCH_LEASE_S, account.pk, sealed],
        )
        return cursor.rowcount == 1


def _fetch(account: ServiceAccount) -> _Cached | None:
    asked_at = time.monotonic()
    try:
        answer = ndw.fetch_token(account.token_url, account.client_id, account.client_secret)
    except (ndw.Insecure, secrets.Undecryptable) as error:
        raise AccountRefused(f"{account.token_url}: {error}") from error
    except ndw.NdwError as error:
        _rest(account, str(error), asked_at)
        return None
    if answer.http_status in (400, 401, 403) or answer.http_status // 100 == 3:
        _rest(account, f"HTTP {answer.http_status}", asked_at)
        words = answer.text
        for secret in (account.client_secret, quote_plus(account.client_secret)):
            words = words.replace(secret, "<client secret>")
        raise AccountRefused(f"{account.token_url} answered HTTP {answer.http_status}: {words[:200]}")
    token, life_s = _read(answer)
    if not token:
        _rest(account, f"HTTP {answer.http_status} without an access token", asked_at)
        return None
    sealed = account.seal_access_token(token)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tenants_serviceaccount SET access_token_sealed = %s, fetching_until = NULL,"
            " access_token_renew_at = clock_timestamp() + %s * interval '1 s',"
            " access_token_expires_at = clock_timestamp() + %s * interval '1 s' WHERE id = %s",
            [sealed, life_s * RENEW_AT, life_s, account.pk],
        )
    return _Cached(token, sealed, asked_at + life_s * RENEW_AT, asked_at + life_s)


def _rest(account: ServiceAccount, reason: str, asked_at: float) -> None:
    if time.monotonic() - asked_at > SILENT_S:
        _silent_until[account.token_url] = time.monotonic() + SILENT_REST_S
    logger.warning("No access token for %s: %s; trying again", account, reason)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tenants_serviceaccount SET fetching_until = clock_timestamp() + %s * interval '1 s' WHERE id = %s",
            [FETCH_REST_S, account.pk],
        )


def _read(answer: ndw.Answer) -> tuple[str, int]:
    """Return the token ("" for none) and its life in seconds."""
    try:
        fields = json.loads(answer.text) if answer.http_status == 200 and answer.is_whole else {}
        token = fields.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        return "", 0
    if (
        not isinstance(token, str)
        or not 0 < len(token) <= LONGEST_TOKEN
        or not token.isascii()
        or not token.isprintable()
    ):
        return "", 0
    try:
        life_s = int(fields.get("expires_in") or 0)
    except (ValueError, TypeError, OverflowError):
        life_s = 0
    return token, life_s if 0 < life_s <= LONGEST_LIFE_S else ASSUMED_LIFE_S
