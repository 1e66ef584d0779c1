"""The admin's door: lockout after wrong passwords, the second factor, the headers every page carries."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from tenants import second_factor

PASSWORD = "correct horse battery"
HOME, CODE_PAGE = "/admin/", "/admin/second-factor/"


@pytest.fixture
def boss(db) -> User:
    return User.objects.create_superuser("boss", password=PASSWORD)


@pytest.fixture
def enforced(settings):
    settings.ADMIN_SECOND_FACTOR = True


def log_in(password: str = PASSWORD, address: str = "192.0.2.1", name: str = "boss") -> tuple[Client, int]:
    browser = Client(REMOTE_ADDR=address)
    return browser, browser.post("/admin/login/", {"username": name, "password": password}).status_code


def code_of(user: User, *, ahead: int = 0) -> str:
    """Return what the user's app shows; `ahead` half minutes later."""
    device = TOTPDevice.objects.get(user=user)
    totp = TOTP(second_factor.key_of(device), device.step, device.t0, device.digits, device.drift + ahead)
    return f"{totp.token():06d}"


def set_up(user: User) -> tuple[Client, list[str]]:
    """Log in and set the app up; return the browser and the backup codes."""
    browser, _ = log_in()
    browser.get(CODE_PAGE)
    page = browser.post(CODE_PAGE, {"code": code_of(user)})
    return browser, page.context["codes"]


# --- Lockout -----------------------------------------------------------------------------------------------------------


def test_five_wrong_passwords_lock_that_user_at_that_address_only(boss):
    statuses = [log_in("wrong")[1] for _ in range(5)]

    assert statuses == [200, 200, 200, 200, 429]
    assert log_in()[1] == 429
    assert log_in(address="192.0.2.2")[1] == 302
    User.objects.create_superuser("other", password=PASSWORD)
    assert log_in(name="other")[1] == 302


def test_address_is_the_peers_unless_a_proxy_is_said_to_stand_in_front(boss, settings):
    for number in range(5):
        claimed = Client(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")
        claimed.post("/admin/login/", {"username": "boss", "password": "wrong"})
    assert log_in()[1] == 429

    settings.HAS_PROXY = True
    behind = Client(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="192.0.2.1, 203.0.113.9")

    assert behind.post("/admin/login/", {"username": "boss", "password": PASSWORD}).status_code == 302


# --- Second factor -----------------------------------------------------------------------------------------------------


def test_no_page_opens_before_the_second_factor_where_it_is_demanded(boss, enforced):
    browser, _ = log_in()

    for page in (
        HOME,
        "/admin/tenants/tenant/",
        "/admin/auth/user/",
        "/admin/ocpi/location/",
        "/admin/password_change/",
    ):
        answer = browser.get(page)
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, CODE_PAGE), page
    assert browser.post("/admin/tenants/tenant/add/", {"country_code": "NL"})["Location"] == f"{CODE_PAGE}?"


def test_app_is_set_up_with_a_code_and_shows_backup_codes_once(boss, enforced):
    browser, codes = set_up(boss)

    assert len(set(codes)) == 10
    assert browser.get(HOME).status_code == 200
    assert browser.get(CODE_PAGE).status_code == 302
    assert LogEntry.objects.get().get_change_message() == "Set up a second factor."


def test_each_step_of_the_second_factor_has_its_heading(boss, enforced):
    browser, _ = log_in()
    new = browser.get(CODE_PAGE)
    backup = browser.post(CODE_PAGE, {"code": code_of(boss)})
    again, _ = log_in()

    for answer, title in (
        (new, "Set up the second factor"),
        (backup, "Backup codes"),
        (again.get(CODE_PAGE), "One more step"),
    ):
        assert re.findall("<h1[^>]*>(.*?)</h1>", answer.text, re.DOTALL) == [title]


def test_app_that_was_set_up_is_asked_for_even_where_it_is_not_demanded(boss):
    set_up(boss)
    browser, _ = log_in()

    asked = browser.get("/admin/tenants/tenant/?q=x")
    assert asked["Location"] == f"{CODE_PAGE}?next=%2Fadmin%2Ftenants%2Ftenant%2F%3Fq%3Dx"
    assert browser.get(asked["Location"]).context["wrong"] == ""

    let_in = browser.post(asked["Location"], {"code": code_of(boss, ahead=1)})
    assert let_in["Location"] == "/admin/tenants/tenant/?q=x"
    assert browser.get(HOME).status_code == 200


def test_wrong_used_and_foreign_codes_are_refused(boss, enforced):
    _, codes = set_up(boss)
    other = User.objects.create_superuser("other", password=PASSWORD)
    TOTPDevice.objects.create(user=other, name="theirs")
    browser, _ = log_in()

    for code in ("", "000000", code_of(boss), code_of(other)):
        assert browser.post(CODE_PAGE, {"code": code}).context["wrong"]
        TOTPDevice.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    assert browser.get(HOME).status_code == 302
    boss.staticdevice_set.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    assert browser.post(CODE_PAGE, {"code": codes[0]}).status_code == 302
    again, _ = log_in()
    assert again.post(CODE_PAGE, {"code": codes[0]}).context["wrong"]


def test_second_factor_leads_to_our_own_pages_only(boss):
    set_up(boss)
    browser, _ = log_in()

    let_in = browser.post(f"{CODE_PAGE}?next=https://evil.example/", {"code": code_of(boss, ahead=1)})

    assert let_in["Location"] == HOME


def test_lost_phone_is_forgotten_by_command(boss, enforced, capsys):
    set_up(boss)

    call_command("reset_second_factor", "boss")

    browser, _ = log_in()
    assert "is_new" in browser.get(CODE_PAGE).context
    assert capsys.readouterr().out == "Forgotten.\n"


def test_who_reads_the_database_has_no_codes(boss, enforced):
    _, codes = set_up(boss)
    device, kept = TOTPDevice.objects.get(), StaticToken.objects.values_list("token", flat=True)
    browser, _ = log_in()
    read = f"{TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift + 1).token():06d}"

    assert browser.post(CODE_PAGE, {"code": read}).context["wrong"]
    TOTPDevice.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    boss.staticdevice_set.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    assert set(kept) & set(codes) == set()
    assert browser.post(CODE_PAGE, {"code": kept[0]}).context["wrong"]
    assert browser.get(HOME).status_code == 302


# --- Headers -----------------------------------------------------------------------------------------------------------


def test_every_page_carries_a_policy_that_lets_no_foreign_or_inline_script_in(boss):
    browser, _ = log_in()

    for page in ("/admin/login/", HOME, "/admin/tenants/tenant/", "/api/docs/", "/api/docs/rules/"):
        answer = browser.get(page)
        policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
        assert policy["script-src"] == "'self' 'unsafe-eval'", page
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        scripts = re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/(?:ld\+)?json)[^>]*>", answer.content.decode())
        assert scripts == [], page


def test_answers_of_the_apis_let_a_browser_do_nothing(db):
    for path in ("/ocpi/receiver/versions", "/api/v1/problems", "/oauth/token", "/ocpi/nothing"):
        assert Client().get(path)["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_secrets_of_the_second_factor_are_on_no_page_of_the_admin(boss):
    browser, _ = set_up(boss)

    assert browser.get("/admin/otp_totp/totpdevice/").status_code == 404
    assert browser.get("/admin/otp_static/staticdevice/").status_code == 404
