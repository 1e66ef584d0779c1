"""System checks: a bad configuration stops `manage.py`, the workers and the web processes, with an id."""

import base64
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from tenants import oauth

_RUN = "Run `make run` once, which makes it under GATEWAY_DATA, or set it in the environment (see .env.example)."


@register()
def required_settings(**kwargs: Any) -> list[Error]:
    """Name each variable that has no default and is not set (ocpi.E001)."""
    names = ["SECRET_KEY", "FIELD_KEYS", "TOKEN_PEPPER", "SIGNING_KEYS", "REDIS_URL"]
    missing = [name for name in names if not _value(name)]
    if not settings.HAS_SERVERS and not _names_a_server(settings.DATABASES["default"]):
        missing.append("DATABASE_URL")
    return [Error(f"{name} is not set.", hint=_RUN, id="ocpi.E001") for name in missing]


def _value(name: str) -> Any:
    try:
        return getattr(settings, name)
    except ImproperlyConfigured:  # Django's own way to say that SECRET_KEY is empty
        return None


def _names_a_server(database: dict[str, Any]) -> bool:
    return bool(database.get("HOST") or database.get("OPTIONS", {}).get("host"))


@register()
def usable_keys(**kwargs: Any) -> list[Error]:
    """Try every key once (ocpi.E002, ocpi.E003)."""
    problems = []
    for entry in settings.FIELD_KEYS:
        kid, _, key = entry.partition(":")
        try:
            is_good = len(base64.b64decode(key, validate=True)) == 32 and kid.isalnum()
        except ValueError:
            is_good = False
        if not is_good:
            problems.append(Error(f"FIELD_KEYS: key {kid!r} is not <kid>:<base64 of 32 bytes>.", id="ocpi.E002"))
    try:
        oauth.signing_keys()
    except Exception as error:  # whatever the key library makes of it
        problems.append(Error(f"SIGNING_KEYS: {error}", hint="<kid>:<base64 of a PKCS#8 P-256 key>", id="ocpi.E003"))
    return problems


@register()
def public_url(**kwargs: Any) -> list[Error]:
    """Demand a plain origin (ocpi.E004): Link headers and NDW's URLs are built from it."""
    parts = urlsplit(settings.PUBLIC_URL)
    if settings.PUBLIC_URL and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path):
        return [Error("PUBLIC_URL must be an origin such as https://gateway.example.", id="ocpi.E004")]
    return []


@register()
def replica_url(**kwargs: Any) -> list[Error]:
    """Demand that it names a server (ocpi.E005): whether that is a standby of the primary shows at each pull."""
    if settings.REPLICA_URL and not _names_a_server(settings.DATABASES.get("replica", {})):
        return [Error("REPLICA_URL must be like postgres://user:password@host:5432/gateway.", id="ocpi.E005")]
    return []


# --- Only with `check --deploy` ----------------------------------------------------------------------------------------

LEAST_PEPPER = 32  # characters: 128 bits in hex
_LOOPBACK = ("127.", "localhost", "[::1]", "::1")


@register(deploy=True)
def safe_addresses(**kwargs: Any) -> list[CheckMessage]:
    """Warn of addresses that are for trying out (ocpi.W010 to W012)."""
    found: list[CheckMessage] = []
    if not settings.IS_HTTPS:
        found.append(
            Warning("PUBLIC_URL is not https://: tokens and sessions would travel in the clear.", id="ocpi.W010")
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(Warning("ALLOWED_HOSTS has “*”: name the hosts.", id="ocpi.W011"))
    for name in ("NDW_ALLOWED_HOSTS", "SOURCE_ALLOWED_HOSTS"):
        inner = [host for host in getattr(settings, name) if host.startswith(_LOOPBACK)]
        if inner:
            hint = "It is for the simulator: whoever may enter a URL reaches what listens on this machine."
            found.append(Warning(f"{name} has {', '.join(inner)}.", hint=hint, id="ocpi.W012"))
    return found


@register(deploy=True)
def good_keys(**kwargs: Any) -> list[CheckMessage]:
    """Warn of keys that are short, or used for two things (ocpi.W013, W014)."""
    found: list[CheckMessage] = []
    if 0 < len(settings.TOKEN_PEPPER) < LEAST_PEPPER:
        found.append(Warning(f"TOKEN_PEPPER has fewer than {LEAST_PEPPER} characters.", id="ocpi.W013"))
    rings = [entry for name in ("FIELD_KEYS", "SIGNING_KEYS") for entry in getattr(settings, name)]
    values = [_value("SECRET_KEY"), settings.TOKEN_PEPPER, *(entry.partition(":")[2] for entry in rings)]
    kids = [[entry.partition(":")[0] for entry in getattr(settings, name)] for name in ("FIELD_KEYS", "SIGNING_KEYS")]
    if len(set(filter(None, values))) < len(list(filter(None, values))) or any(
        len(set(one)) < len(one) for one in kids
    ):
        hint = (
            "SECRET_KEY, TOKEN_PEPPER and each of FIELD_KEYS and SIGNING_KEYS are made anew, with a kid of their own."
        )
        found.append(Warning("One key is there twice.", hint=hint, id="ocpi.W014"))
    return found


@register(deploy=True)
def somebody_watches(**kwargs: Any) -> list[CheckMessage]:
    """Warn when nobody would hear the alarm, and of servers that are for trying out (ocpi.W015 to W017)."""
    found: list[CheckMessage] = []
    if not settings.ALERT_EMAILS:
        hint = "Whoever is to be told that NDW lacks a change for over 45 s; unless ops/alerts.yml does it."
        found.append(Warning("ALERT_EMAILS is empty.", hint=hint, id="ocpi.W015"))
    database = settings.DATABASES["default"]
    if not settings.HAS_SERVERS or not database.get("HOST"):
        found.append(Warning("DATABASE_URL or REDIS_URL names no server of its own.", id="ocpi.W016"))
    for name, server in (("DATABASE_URL", database), ("REPLICA_URL", settings.DATABASES.get("replica", {}))):
        sealed = server.get("OPTIONS", {}).get("sslmode") in ("require", "verify-ca", "verify-full")
        if "." in server.get("HOST", "").removeprefix("127.0.0.1") and not sealed:
            hint = "Add ?sslmode=verify-full: what lies between may read everything."
            found.append(Warning(f"{name} leads over a network without TLS.", hint=hint, id="ocpi.W017"))
    return found
