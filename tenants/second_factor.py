"""The second factor of the admin: a code from an authenticator app, or one of the backup codes.

Who has an app set up is always asked for a code. Where ADMIN_SECOND_FACTOR is on (production), whoever has none sets one up
before any other page opens. The database alone makes no codes: a key is worked out of its row and TOKEN_PEPPER, and of the
backup codes there are digests. Source: reliability P21, P22.
"""

import base64
import copy
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import django_otp
import segno
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from tenants import secrets

ADMIN = "/admin/"
OPEN = (f"{ADMIN}login/", f"{ADMIN}logout/", f"{ADMIN}jsi18n/", f"{ADMIN}second-factor/")
BACKUP_CODES = 10
HAS_NONE = "has_no_second_factor"  # in the session, so that not every page asks the database


class SecondFactorMiddleware:
    """Open no page of the admin to who has not shown the second factor that he has, or must have."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or lead to the page that asks for the code."""
        if request.path.startswith(ADMIN) and not request.path.startswith(OPEN) and _lacks_code(request):
            wanted = {"next": request.get_full_path()} if request.method == "GET" else {}
            return redirect(f"{reverse('second-factor')}?{urlencode(wanted)}")
        return self.get_response(request)


def _lacks_code(request: HttpRequest) -> bool:
    user: Any = request.user  # with what OTPMiddleware gave it
    if not user.is_authenticated or user.is_verified():
        return False
    if settings.ADMIN_SECOND_FACTOR:
        return True
    if HAS_NONE not in request.session:
        request.session[HAS_NONE] = not django_otp.user_has_device(user)
    return not request.session[HAS_NONE]


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def second_factor(request: HttpRequest) -> HttpResponse:
    """`/admin/second-factor/`: ask for a code, or set the app up."""
    device = TOTPDevice.objects.filter(user=request.user, confirmed=True).first()
    if device and request.user.is_verified():  # type: ignore[union-attr]
        return _onward(request)
    return _ask(request) if device else _set_up(request)


def _ask(request: HttpRequest) -> HttpResponse:
    wrong = ""
    if request.method == "POST":
        device = _matching(request.user, request.POST.get("code", "").replace(" ", ""))
        if device:
            django_otp.login(request, device)
            return _onward(request)
        wrong = _("This code is not valid, or was used already. After several wrong ones wait a little.")
    return _page(request, "admin/second_factor.html", {"title": _("One more step"), "wrong": wrong})


def _matching(user: Any, code: str) -> TOTPDevice | StaticDevice | None:
    """Return the user's app or backup codes, whichever this code is of; a backup code is used up."""
    with transaction.atomic():
        for app in TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True):
            if _fits(app, code):
                return app
        for backup in StaticDevice.objects.select_for_update().filter(user=user, confirmed=True):
            if backup.verify_token(_kept(code)):
                return backup
    return None


def key_of(device: TOTPDevice) -> bytes:
    """Return the key that the app has: not the one in the row, which whoever reads the database would have too."""
    return bytes.fromhex(secrets.digest(f"totp|{device.key}"))[:20]


def _kept(code: str) -> str:
    """Return what is kept of a backup code."""
    return secrets.digest(f"backup code|{code}")[:16]


def _fits(device: TOTPDevice, code: str) -> bool:
    """Do as `device.verify_token`, with the app's own key."""
    if not device.verify_is_allowed()[0]:
        return False
    totp = TOTP(key_of(device), device.step, device.t0, device.digits, device.drift)
    totp.time = time.time()
    if not (code.isascii() and code.isdigit() and totp.verify(int(code[:10]), device.tolerance, device.last_t + 1)):
        device.throttle_increment()
        return False
    device.last_t, device.drift = totp.t(), totp.drift
    device.throttle_reset(commit=False)
    device.set_last_used_timestamp(commit=False)
    device.save()
    return True


def _url(device: TOTPDevice) -> str:
    """Return what the picture says to the app."""
    shown = copy.copy(device)
    shown.key = key_of(device).hex()
    return shown.config_url


def _set_up(request: HttpRequest) -> HttpResponse:
    """Show the key of a new app until a code proves that it arrived; then the backup codes, once."""
    name = f"{request.user.get_username()} ({request.get_host()})"
    device, _made = TOTPDevice.objects.get_or_create(user=request.user, confirmed=False, defaults={"name": name})
    wrong = ""
    if request.method == "POST":
        if _fits(device, request.POST.get("code", "").replace(" ", "")):
            return _page(request, "admin/backup_codes.html", _confirm(request, device))
        wrong = _("This code is not valid. Is the clock of the phone right?")
    picture = segno.make(_url(device), error="m").svg_data_uri(scale=5, border=2, light="#fff")
    shown = {"title": _("Set up the second factor"), "wrong": wrong, "key": _readable(device), "is_new": True}
    return _page(request, "admin/second_factor.html", shown | {"picture": picture})


def _readable(device: TOTPDevice) -> str:
    """Return the key as apps take it by hand, in groups of four."""
    key = base64.b32encode(key_of(device)).decode().rstrip("=")
    return " ".join(key[start : start + 4] for start in range(0, len(key), 4))


def _confirm(request: HttpRequest, device: TOTPDevice) -> dict:
    """Note that the app works; return the backup codes."""
    user: Any = request.user
    with transaction.atomic():
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        StaticDevice.objects.filter(user=user).delete()
        backup = StaticDevice.objects.create(user=user, name="backup codes")
        codes = [StaticToken.random_token() for _number in range(BACKUP_CODES)]
        StaticToken.objects.bulk_create(StaticToken(device=backup, token=_kept(code)) for code in codes)
        LogEntry.objects.log_actions(user.pk, [user], CHANGE, _("Set up a second factor."), single_object=True)
    request.session.pop(HAS_NONE, None)
    django_otp.login(request, device)
    return {"title": _("Backup codes"), "codes": codes, "next": _next(request)}


def forget(user: object) -> int:
    """Remove a user's app and backup codes (a lost phone): where it is demanded he sets up another at the next login."""
    count = TOTPDevice.objects.filter(user=user).delete()[0]
    return count + StaticDevice.objects.filter(user=user).delete()[0]


def _next(request: HttpRequest) -> str:
    wanted = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_ours and not wanted.startswith(reverse("second-factor")) else reverse("admin:index")


def _onward(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(_next(request))


def _page(request: HttpRequest, template: str, context: dict) -> HttpResponse:
    return render(request, template, {**admin.site.each_context(request), "has_permission": False, **context})
