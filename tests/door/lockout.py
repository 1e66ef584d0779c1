"""P22: thousands of wrong passwords, every page of the admin without the second factor, headers, and Django's own check."""

import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, override_settings
from django.urls import resolve
from django_otp.plugins.otp_totp.models import TOTPDevice

from ocpi.models import Import
from tenants.second_factor import OPEN
from tests import factories
from tests.chaos.promises import Verdict
from tests.conftest import CLIENT
from tests.door import Size, pages
from tests.test_checks import PRODUCTION, run
from tests.test_door import CODE_PAGE, PASSWORD, log_in, set_up

MOST_FAILURES = 5
DEMANDED = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"}
MACHINES = ["/healthz", "/readyz", "/metrics", "/ocpi/receiver/versions", "/ocpi/nothing", "/api/v1/problems", "/api/v1/nothing",
            "/api/docs/", "/api/docs/rules/", "/api/schema/", "/oauth/token", "/nothing", "/", "/static/ocpi/look.js",
            "/static/nothing.js"]  # fmt: skip


def play(size: Size) -> Verdict:
    """Play all of it."""
    verdict = Verdict("P22", "the admin's door")
    boss = User.objects.create_superuser("boss", password=PASSWORD)
    guesses = _guess(verdict, size(10_000, 600))
    crawl = _crawl(verdict, boss)
    headers = _headers(verdict, boss)
    checked = run(Path("/nonexistent"), "manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    verdict.check((checked.returncode, checked.stderr) == (0, ""), f"check --deploy: {checked.stderr[-300:]}")
    verdict.figures = f"{guesses}; {crawl}; {headers}; check --deploy --fail-level WARNING: {checked.returncode}"
    return verdict


# --- Guessing ----------------------------------------------------------------------------------------------------------


def _guess(verdict: Verdict, count: int) -> str:
    """Guess from one address, from a hundred, and at a hundred users, each time with another browser's name."""
    User.objects.bulk_create(User(username=f"u{number}", password="!", is_staff=True) for number in range(100))
    rounds = [
        [("boss", "192.0.2.1")],
        [("boss", f"198.51.100.{number}") for number in range(100)],
        [(f"u{number}", "203.0.113.1") for number in range(100)],
        [(f"made-up-{number}", "203.0.113.2") for number in range(100)],
    ]
    statuses: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    chance = random.Random(22)
    for pairs in rounds:
        for number in range(count // len(rounds)):
            name, address = pairs[number % len(pairs)]
            statuses[name, address][_try(name, address, f"browser {chance.random()}")] += 1
    most = max(answers[200] for answers in statuses.values())
    tries = sum(sum(answers.values()) for answers in statuses.values())
    odd = {status for answers in statuses.values() for status in answers} - {200, 429}
    verdict.check(not odd, f"answers of {odd}")
    verdict.check(most < MOST_FAILURES, f"{most} wrong passwords and still not locked")
    verdict.check(log_in(address="192.0.2.1")[1] == 429, "the right password opens what is locked")
    verdict.check(log_in(address="192.0.2.99")[1] == 302, "who guesses nothing is locked out")
    rows, logs = AccessAttempt.objects.count(), AccessLog.objects.count() + AccessFailureLog.objects.count()
    verdict.check(rows <= len(statuses) * MOST_FAILURES, f"{rows} rows for {len(statuses)} pairs")
    verdict.check(logs == 0, f"{logs} rows of logs")
    locked = f"{tries} guesses at {len(statuses)} pairs: locked at the {most + 1}th"
    return f"{locked}, {rows} rows, {_forgotten(verdict)} a quarter of an hour later"


def _try(name: str, address: str, browser: str, password: str = "wrong") -> int:
    form = {"username": name, "password": password}
    return CLIENT.post("/admin/login/", form, REMOTE_ADDR=address, HTTP_USER_AGENT=browser).status_code


def _forgotten(verdict: Verdict) -> int:
    """Let a quarter of an hour pass; return how many rows are left after the next wrong password."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE axes_accessattempt SET attempt_time = attempt_time - interval '16 minutes'")
    _try("boss", "192.0.2.50", "x")
    left = AccessAttempt.objects.count()
    verdict.check(left == 1, f"{left} rows are kept after their time")
    verdict.check(log_in(address="192.0.2.1")[1] == 302, "locked for longer than a quarter of an hour")
    return left


# --- The second factor -------------------------------------------------------------------------------------------------


def _crawl(verdict: Verdict, boss: User) -> str:
    """Ask for every URL of the admin with a password only; then, with a code, see that they are pages at all."""
    _fill()
    paths, demanded = pages.of_the_admin(), 0
    with override_settings(ADMIN_SECOND_FACTOR=True):
        stranger, (browser, status) = Client(), log_in(address="192.0.2.77")
        verdict.check(status == 302, f"login: {status}")
        closed = [path for path in paths if not path.startswith(OPEN)]
        for path in closed:
            for method in ("GET", "POST", "HEAD", "PUT", "OPTIONS"):
                answer = browser.generic(method, path)
                is_asked = answer.status_code == 302 and answer["Location"].startswith(CODE_PAGE)
                demanded += is_asked
                verdict.check(is_asked, f"{method} {path} without a code: HTTP {answer.status_code}")
            verdict.check(_is_shut(stranger, path), f"{path} opens to strangers")
        verified, _ = set_up(boss)
        found = Counter(verified.get(path).status_code for path in closed if "logout" not in path)
    for path in paths:
        resolve(path)  # or the crawl went nowhere
    verdict.check(found[200] > 60 and not any(status >= 500 for status in found), f"with a code: {dict(found)}")
    return (
        f"{len(closed)} URLs, {demanded} of {5 * len(closed)} requests asked for a code (with one: {found[200]} pages)"
    )


def _is_shut(stranger: Client, path: str) -> bool:
    """Return True when nobody is led to the login; the language of the login page is anybody's to choose."""
    answer = stranger.get(path)
    return path == "/admin/language/" or (answer.status_code, answer.headers.get("Location", "")[:13]) == (
        302,
        "/admin/login/",
    )


def _fill() -> None:
    """Make one of what the pages show."""
    cpo = factories.make_tenant("EXA")
    factories.connect_to_nowhere(cpo)
    factories.make_token(cpo)
    factories.put_tariff(cpo)
    factories.put_location(cpo)
    Import.objects.create(tenant=cpo, kind="location", phase="apply", state="done")


# --- Headers -----------------------------------------------------------------------------------------------------------


def _headers(verdict: Verdict, boss: User) -> str:
    """Look at the headers of every answer, as it is sent where we are known by https."""
    verified, count = _verified(boss), 0
    secure: dict[str, Any] = {"IS_HTTPS": True, "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}
    with override_settings(SECURE_HSTS_SECONDS=31_536_000, **secure):
        fresh = Client(headers={"X-Forwarded-Proto": "https"})  # the middleware reads its settings once
        fresh.cookies = verified.cookies
        for path in [*pages.of_the_admin(), "/admin/login/", *MACHINES]:
            for method in ("GET", "POST"):
                answer = fresh.generic(method, path)
                missing = [name for name, value in DEMANDED.items() if answer.headers.get(name) != value]
                missing += [
                    name
                    for name in ("Content-Security-Policy", "Strict-Transport-Security")
                    if not answer.headers.get(name)
                ]
                verdict.check(not missing, f"{method} {path} (HTTP {answer.status_code}) lacks {', '.join(missing)}")
                count += 1
    return f"{count} answers with CSP and {len(DEMANDED) + 1} headers"


def _verified(boss: User) -> Client:
    browser = Client()
    browser.force_login(boss)
    session = browser.session
    session["otp_device_id"] = TOTPDevice.objects.get(user=boss).persistent_id
    session.save()
    return browser
