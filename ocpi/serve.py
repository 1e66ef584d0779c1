"""OCPI Sender interface: NDW pulls versions, lists and single objects of one party.

A page is stored bodies joined into the envelope, in the order in which the objects were created. `Link` carries the key of
the last row (`after`) besides `offset`: the next page starts there, at the same cost at any depth, and no object is lost or
doubled while others come and go. A failure in the middle is an error, never a short page.
Source: OCPI 2.2.1 mod_locations "Sender Interface", mod_tariffs "Sender Interface", transport_and_format "Pagination".
"""

import base64
import datetime as dt
import logging
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson
from django.http import HttpResponse
from rest_framework.request import Request

from ocpi import envelope, errors
from ocpi.models import Location
from ocpi.rules import canonical_time
from ocpi.views import OcpiView, base_url, find, part_of
from tenants import sql
from tenants.authentication import PullToken, UploadToken
from tenants.models import Credential, Tenant, Token

logger = logging.getLogger(__name__)

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
VERSION = "2.2.1"
_NUMBER = re.compile(r"[0-9]{1,18}")


class SenderView(OcpiView):
    """A view of the Sender interface: pull tokens and OAuth2 clients."""

    authentication_classes = [PullToken]
    purpose = Token.Purpose.PULL


# --- Versions ----------------------------------------------------------------------------------------------------------


def _versions(root: str) -> HttpResponse:
    return envelope.answer(data=orjson.dumps([{"version": VERSION, "url": f"{root}/{VERSION}"}]))


def _details(root: str, role: str) -> HttpResponse:
    endpoints = [
        {"identifier": module, "role": role, "url": f"{root}/{VERSION}/{module}"} for module in ("locations", "tariffs")
    ]
    return envelope.answer(data=orjson.dumps({"version": VERSION, "endpoints": endpoints}))


def sender_root(request: Request, tenant: Tenant) -> str:
    """Return the URL above `versions` and `2.2.1` that NDW is given for a party."""
    return f"{base_url(request)}/ocpi/sender/{tenant.country_code}/{tenant.party_id}"


class SenderVersionsView(SenderView):
    """`/ocpi/sender/{country_code}/{party_id}/versions`."""

    has_routing_headers = False

    def get(self, request: Request, **party: str) -> HttpResponse:
        """List the one version."""
        return _versions(sender_root(request, self.tenant))


class SenderDetailsView(SenderView):
    """`/ocpi/sender/{country_code}/{party_id}/2.2.1`."""

    has_routing_headers = False

    def get(self, request: Request, **party: str) -> HttpResponse:
        """List the module endpoints."""
        return _details(sender_root(request, self.tenant), "SENDER")


class ReceiverVersionsView(OcpiView):
    """`/ocpi/receiver/versions`: the CPO looks up where to upload."""

    authentication_classes = [UploadToken]
    purpose = Token.Purpose.UPLOAD
    has_routing_headers = False

    def tenant_of(self, credential: Credential, url: dict[str, str]) -> Tenant:
        """Return the caller's own tenant; a pull credential for all has none and is at the wrong door."""
        if credential.tenant is None:
            raise errors.WrongPurpose("This credential is for the other interface.")
        return credential.tenant

    def get(self, request: Request) -> HttpResponse:
        """List the one version."""
        return _versions(f"{base_url(request)}/ocpi/receiver")


class ReceiverDetailsView(ReceiverVersionsView):
    """`/ocpi/receiver/2.2.1`."""

    def get(self, request: Request) -> HttpResponse:
        """List the module endpoints."""
        return _details(f"{base_url(request)}/ocpi/receiver", "RECEIVER")


# --- Single objects ----------------------------------------------------------------------------------------------------


class LocationView(SenderView):
    """`…/locations/{location_id}[/{evse_uid}[/{connector_id}]]`: only what is shown."""

    def get(
        self, request: Request, location_id: str, evse_uid: str = "", connector_id: str | None = None, **party: str
    ) -> HttpResponse:
        """Return the Location, or the EVSE or Connector in it."""
        location = find(self.tenant, Location, location_id, is_shown=True)
        return envelope.answer(data=part_of(location, evse_uid, connector_id) if evse_uid else bytes(location.body))


# --- Lists -------------------------------------------------------------------------------------------------------------


@dataclass
class Page:
    """What a list request asks for."""

    offset: int
    limit: int
    filters: dict[str, str]
    after: int | None

    @classmethod
    def asked_by(cls, query: Any) -> "Page":
        """Read the query string; names the parameter that is wrong. Raises Refused."""
        filters = {name: _date(query, name) for name in ("date_from", "date_to") if name in query}
        limit = _number(query, "limit", DEFAULT_LIMIT)
        if limit == 0:
            raise errors.Refused("limit: must be at least 1")
        return cls(_number(query, "offset", 0), min(limit, MAX_LIMIT), filters, _decode_after(query.get("after")))

    def next_query(self, last_pk: int) -> str:
        """Return the query string of the page behind this one."""
        offset = {"offset": self.offset + self.limit, "limit": self.limit}
        return urlencode(self.filters | offset | {"after": _encode_after(last_pk)})


def _date(query: Any, name: str) -> str:
    canonical = canonical_time(query[name])
    try:
        dt.datetime.fromisoformat(canonical or "")
    except ValueError as error:
        raise errors.Refused(f"{name}: a UTC DateTime such as 2026-03-02T09:15:00Z is expected") from error
    return query[name]


def _number(query: Any, name: str, default: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    if not _NUMBER.fullmatch(value):
        raise errors.Refused(f"{name}: a whole number is expected")
    return int(value)


def _encode_after(pk: int) -> str:
    return base64.urlsafe_b64encode(b"k%d" % pk).decode().rstrip("=")


def _decode_after(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        text = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
        if _NUMBER.fullmatch(text[1:]) and _encode_after(int(text[1:])) == value:
            return int(text[1:])
    except ValueError:
        pass
    raise errors.Refused("after: not a value of ours; start again without it")


class ListView(SenderView):
    """A list of the party's objects that NDW may see, page by page."""

    table = ""
    visible = ""  # the condition of a partial index on (tenant, id)

    def get(self, request: Request, **party: str) -> HttpResponse:
        """Return one page."""
        page = Page.asked_by(request.GET)
        with self.tenant.transaction():
            total = self._count(page)
            rows = self._rows(page)
        documents = rows.documents[: page.limit]
        next_url = None
        if len(rows.documents) > page.limit:
            next_url = f"{base_url(request)}{request.path}?{page.next_query(rows.keys[page.limit - 1])}"
        logger.info(
            "pull %s %s: %s of %s from %s", self.tenant, self.table, len(documents), total, page.after or page.offset
        )
        return envelope.page(documents, total=total, limit=page.limit, next_url=next_url)

    def _conditions(self, page: Page) -> tuple[str, dict[str, Any]]:
        conditions, parameters = [f"tenant_id = %(tenant)s AND {self.visible}"], {"tenant": self.tenant.pk}
        if "date_from" in page.filters:
            conditions.append("last_updated >= %(date_from)s::timestamptz")
        if "date_to" in page.filters:
            conditions.append("last_updated < %(date_to)s::timestamptz")
        utc = {name: value.removesuffix("Z") + "Z" for name, value in page.filters.items()}
        return " AND ".join(conditions), parameters | utc

    def _count(self, page: Page) -> int:
        where, parameters = self._conditions(page)
        row = sql.run(f"SELECT count(*) FROM {self.table} WHERE {where}", parameters).fetchone()
        return row[0] if row else 0

    def _rows(self, page: Page) -> "_Rows":
        """Return one row more than the page holds, if there is one: then another page follows."""
        where, parameters = self._conditions(page)
        if page.after is not None:
            where += " AND id > %(after)s"
            offset = ""
        else:
            offset = "OFFSET %(offset)s"
        # The key list comes from the partial index alone; only the rows of the page are looked up.
        query = (
            f"SELECT id, body FROM {self.table} JOIN (SELECT id FROM {self.table} WHERE {where}"
            f" ORDER BY id {offset} LIMIT %(limit)s) AS page USING (id) ORDER BY id"
        )
        return _fetch(query, parameters | {"after": page.after, "offset": page.offset, "limit": page.limit + 1})


@dataclass
class _Rows:
    keys: list[int]
    documents: list[bytes]


def _fetch(query: str, parameters: dict[str, Any]) -> _Rows:
    """Run a query for (id, body) and take the bytes as the driver got them."""
    result = sql.run(query, parameters).pgresult
    assert result is not None  # noqa: S101 - a SELECT has one
    rows = range(result.ntuples)
    keys = [int.from_bytes(result.get_value(row, 0) or b"") for row in rows]
    return _Rows(keys, [result.get_value(row, 1) or b"" for row in rows])


class LocationListView(ListView):
    """`…/locations`: Locations without gaps that are published."""

    table, visible = "ocpi_location", "is_shown"


class TariffListView(ListView):
    """`…/tariffs`: Tariffs that are not deleted. There is no GET of a single Tariff in OCPI 2.2.1."""

    table, visible = "ocpi_tariff", "deleted_at IS NULL"
