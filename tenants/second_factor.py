"""The second factor of the admin: a code from an authenticator app, or one of the backup codes.

Who has an app set up is always asked for a code. Where ADMIN_SECOND_FACTOR is on (production), whoever has none sets one up
before any other page opens. Source: reliability P22.
"""

import base64
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
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

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
        device = django_otp.match_token(request.user, request.POST.get("code", "").replace(" ", ""))
        if device:
            django_otp.login(request, device)
            return _onward(request)
        wrong = _("This code is not valid, or was used already. After several wrong ones wait a little.")
    return _page(request, "admin/second_factor.html", {"title": _("One more step"), "wrong": wrong})


def _set_up(request: HttpRequest) -> HttpResponse:
    """Show the key of a new app until a code proves that it arrived; then the backup codes, once."""
    name = f"{request.user.get_username()} ({request.get_host()})"
    device, _made = TOTPDevice.objects.get_or_create(user=request.user, confirmed=False, defaults={"name": name})
    wrong = ""
    if request.method == "POST":
        if device.verify_token(request.POST.get("code", "").replace(" ", "")):
            return _page(request, "admin/backup_codes.html", _confirm(request, device))
        wrong = _("This code is not valid. Is the clock of the phone right?")
    picture = segno.make(device.config_url, error="m").svg_data_uri(scale=5, border=2, light="#fff")
    shown = {"title": _("Set up the second factor"), "wrong": wrong, "key": _readable(device), "is_new": True}
    return _page(request, "admin/second_factor.html", shown | {"picture": picture})


def _readable(device: TOTPDevice) -> str:
    """Return the key as apps take it by hand, in groups of four."""
    key = base64.b32encode(device.bin_key).decode().rstrip("=")
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
        StaticToken.objects.bulk_create(StaticToken(device=backup, token=code) for code in codes)
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
