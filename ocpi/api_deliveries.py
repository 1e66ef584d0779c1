"""The CPO's own view of its deliveries: what became of each object at NDW, and a list of what is stored.

Upload tokens only; the party is the token's. HTTP codes are honest, errors are problems of RFC 9457.
Source: design §2 "URLs"; protocol §9, "Delivery states".
"""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from ocpi import deliveries, errors, openapi
from ocpi.api import DEFAULT_LIMIT, MAX_LIMIT, STORED_KINDS, RestView, answer, chosen, number
from ocpi.envelope import timestamp
from ocpi.views import base_url
from tenants.models import Environment

STATES = {state: state for state in deliveries.STATES}
ENVIRONMENTS = {one.value: one.value for one in Environment}
_INTERNAL = ("object_id", "connection_id", "push_id")
_PAGING = [
    openapi.query("limit", "Objects on a page.", type=openapi.between(1, MAX_LIMIT, DEFAULT_LIMIT)),
    openapi.query("after", "Where the page begins; only as `next` gives it."),
    *openapi.HEADERS,
]


class DeliveriesView(RestView):
    """`GET /api/v1/deliveries`."""

    @extend_schema(
        operation_id="deliveries",
        summary="List where your objects stand with NDW",
        description=(
            "One line for each object and environment, Locations first, page by page: follow `next` until it is null. "
            "`withheld`: gaps keep the Location from NDW. `dirty`: it waits to be sent. `sending`: it is being sent. "
            "`delivered`: NDW has accepted it as it is. `rejected`: NDW refused it; it is sent again when you change "
            "it. `blocked`: deliveries to NDW are paused. With `id` also the last requests and NDW's answers."
        ),
        tags=["REST"],
        parameters=[
            openapi.query("state", "Only objects in this state.", *STATES),
            openapi.query("kind", "Only such objects.", *STORED_KINDS),
            openapi.query("id", "Only the object of this id, with its `history`; case does not matter."),
            openapi.query("environment", "Only deliveries to this environment of NDW.", *ENVIRONMENTS),
            *_PAGING,
        ],
        responses=openapi.answers(openapi.ref("Deliveries"), "One page."),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return one page of the tenant's deliveries."""
        asked: dict[str, Any] = {
            "state": chosen(request.GET, "state", STATES),
            "kind": chosen(request.GET, "kind", STORED_KINDS),
            "environment": chosen(request.GET, "environment", ENVIRONMENTS),
            "ocpi_id": _text(request.GET, "id"),
        }
        with self.tenant.transaction(), _known_place():
            page = deliveries.page(self.tenant, **asked, **_paging(request))
            history = deliveries.history(page.results) if "id" in request.GET else None
        results = [_as_json(one) for one in page.results]
        for one, told in zip(page.results, results, strict=True):
            if history is not None:
                told["history"] = [_as_json(attempt) for attempt in history.get(one.push_id, [])]
        return answer({"results": results, "next": _next_url(request, page)})


class LocationsView(RestView):
    """`GET /api/v1/locations`."""

    kind = "location"

    @extend_schema(
        operation_id="locations",
        summary="List your Locations",
        description=(
            "Page by page: follow `next` until it is null. `state` is that of NDW's production environment, of staging "
            "where there is no production; null when NDW shall not have it or is not connected. "
            "`gaps` are the rules of DOT-NL it does not meet."
        ),
        tags=["REST"],
        parameters=_PAGING,
        responses=openapi.answers(openapi.ref("StoredObjects"), "One page."),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return one page of the tenant's objects."""
        with self.tenant.transaction(), _known_place():
            page = deliveries.objects(self.tenant, self.kind, **_paging(request))
        return answer({"results": [_as_json(one) for one in page.results], "next": _next_url(request, page)})


class TariffsView(LocationsView):
    """`GET /api/v1/tariffs`."""

    kind = "tariff"

    @extend_schema(
        operation_id="tariffs",
        summary="List your Tariffs",
        description="Like the Locations; a Tariff has no gaps and is never withheld. Deleted ones are not listed.",
        tags=["REST"],
        parameters=_PAGING,
        responses=openapi.answers(openapi.ref("StoredObjects"), "One page."),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return one page of the tenant's objects."""
        return super().get(request)


@contextlib.contextmanager
def _known_place() -> Iterator[None]:
    """Answer an `after` that is not ours."""
    try:
        yield
    except ValueError as error:
        raise errors.BadParameter("after: not a value of ours; start again without it") from error


def _paging(request: Request) -> dict[str, Any]:
    return {"after": request.GET.get("after"), "limit": number(request.GET, "limit", DEFAULT_LIMIT, MAX_LIMIT)}


def _text(query: Mapping[str, str], name: str) -> str | None:
    value = query.get(name)
    if value is not None and (not value or "\0" in value):
        raise errors.BadParameter(f"{name}: the id of an object is expected")
    return value


def _as_json(row: Any) -> dict[str, Any]:
    """Return a row as it is told: without our keys, times as OCPI writes them."""
    told = {name: value for name, value in row._asdict().items() if name not in _INTERNAL}
    return {name: timestamp(value) if isinstance(value, dt.datetime) else value for name, value in told.items()}


def _next_url(request: Request, page: deliveries.Page) -> str | None:
    if page.next is None:
        return None
    names = ("state", "kind", "id", "environment", "limit")
    asked = {name: request.GET[name] for name in names if name in request.GET}
    return f"{base_url(request)}{request.path}?{urlencode(asked | {'after': page.next})}"
