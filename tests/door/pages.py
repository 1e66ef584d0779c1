"""Every page of the admin, from the URL conf, with the keys of objects that are there."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

GAPS = {
    "app_label": "tenants", "audience": "ndw", "content_type_id": "1", "form": "csv", "month": "2026-11", "number": "1",
    "party": "NL-EXA", "url": "nothing/",
}  # fmt: skip
NOBODY = {int: "999999", uuid.UUID: "3f9c1b00-0000-4000-8000-00000000000f"}


def of_the_admin() -> list[str]:
    """Return the path of every URL of the admin: for an object there is (of each model, the first) and for one there is not."""
    routes = [(route, one) for route, one in _routes(get_resolver(), "") if route.startswith("admin/")]
    made = [_path(route, one, is_known=is_known) for route, one in routes for is_known in (True, False)]
    return list(dict.fromkeys(made))


def _routes(found: Any, before: str) -> Iterator[tuple[str, URLPattern]]:
    for one in found.url_patterns:
        route = before + (
            str(one.pattern) if isinstance(one.pattern, RoutePattern) else one.pattern.regex.pattern.strip("^$")
        )
        if isinstance(one, URLResolver):
            yield from _routes(one, route)
        else:
            yield route, one


def _path(route: str, pattern: URLPattern, *, is_known: bool) -> str:
    """Fill in the gaps of a route, `<int:pk>` or `(?P<party>…)`."""
    starts = {f"admin/{one._meta.app_label}/{one._meta.model_name}/": one for one in admin.site._registry}
    model = next((one for start, one in starts.items() if route.startswith(start)), None)
    row = model._default_manager.first() if model and is_known else None

    def value(match: Any) -> str:
        kind, _, gap = (match[1] or match[2]).rpartition(":")
        return GAPS.get(gap) or (str(row.pk) if row else NOBODY[uuid.UUID if kind == "uuid" else int])

    return "/" + re.sub(r"\(\?P<(\w+)>[^()]*\)|<([\w:]+)>", value, route)
