"""Settings and URLs in one, for a gateway whose every page names what is in `request.META`."""

from django.http import HttpRequest, JsonResponse
from django.urls import re_path

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.meta"


def names(request: HttpRequest) -> JsonResponse:
    """List them."""
    return JsonResponse(sorted(request.META), safe=False)


urlpatterns = [re_path("", names)]
