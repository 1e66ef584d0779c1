"""OCPI Sender interface: NDW pulls versions, lists and single objects of one party.

A page is stored bodies joined into the envelope, in the order in which the objects were created, read by one statement. `Link`
carries the key of the last row (`after`) besides `offset`: the next page starts there, at the same cost at any depth, and no
object is lost or doubled while others come and go. A failure in the middle is an error, never a short page.
Who has an answer already asks with `If-None-Match`: its tag says which versions of which objects it holds, so that 304 is
given without a look at any body.
Source: OCPI 2.2.1 mod_locations "Sender Interface", mod_tariffs "Sender Interface", transport_and_format "Pagination".
"""

import base64
import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

import orjson
from django.http import HttpResponse
from django.utils.cache import get_conditional_response
from rest_framework.request import Request

from ocpi import counts, crawls, envelope, errors, journal, replica
from ocpi.models import Location
from ocpi.rules import canonical_time
from ocpi.views import OcpiView, base_url, find, part_of
from tenants import sql
from tenants.authentication import PullToken, UploadToken
from tenants.models import Credential, Tenant, Token

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
VERSION = "2.2.1"
_NUMBER = re.compile(r"[0-9]{1,18}")
_AFTER = re.compile(r"k([0-9]{1,18})(?:[.]([0-9]{1,18}))?")


class SenderView(OcpiView):
    """A view of the Sender interface: pull tokens and OAuth2 clients."""

    authentication_classes = [PullToken]
    purpose = Token.Purpose.PULL

    def known(self, request: Request, tag: str) -> HttpResponse | None:
        """Return 304 where the caller says that it holds what has this tag."""
        if "If-None-Match" not in request.headers:
            return None
        answer = get_conditional_response(request, etag=tag)
        return self.tagged(answer, tag) if answer else None

    def tagged(self, answer: HttpResponse, tag: str) -> HttpResponse:
        """Let whoever keeps the answer ask whether it still holds."""
        answer["ETag"], answer["Cache-Control"] = tag, "private, no-cache"
        return answer


def _tag(versions: bytes) -> str:
    """Return an ETag; a weak one, since each answer has a timestamp of its own. Source: RFC 9110, "ETag"."""
    return f'W/"{hashlib.blake2b(versions, digest_size=12).hexdigest()}"'


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
        location = replica.read(lambda using: find(self.tenant, Location, location_id, using, is_shown=True))
        data = part_of(location, evse_uid, connector_id) if evse_uid else bytes(location.body)
        tag = _tag(f"{location.pk} {location.received_at.timestamp()}".encode())
        return self.known(request, tag) or self.tagged(envelope.answer(data=data), tag)


# --- Lists -------------------------------------------------------------------------------------------------------------


@dataclass
class Page:
    """What a list request asks for; `after` and `total` are what the page before it noted in `Link`."""

    offset: int
    limit: int
    filters: dict[str, str]
    after: int | None
    total: int | None

    @classmethod
    def asked_by(cls, query: Any) -> "Page":
        """Read the query string; names the parameter that is wrong. Raises Refused."""
        filters = {name: _date(query, name) for name in ("date_from", "date_to") if name in query}
        limit = _number(query, "limit", DEFAULT_LIMIT)
        if limit == 0:
            raise errors.Refused("limit: must be at least 1")
        return cls(_number(query, "offset", 0), min(limit, MAX_LIMIT), filters, *_decode_after(query.get("after")))

    def next_query(self, last_pk: int, total: int) -> str:
        """Return the query string of the page behind this one.

        A filtered crawl takes its total along: counting what filters leave is a scan of the tenant.
        """
        offset = {"offset": self.offset + self.limit, "limit": self.limit}
        after = _encode_after(last_pk, total if self.filters else None)
        return urlencode(self.filters | offset | {"after": after})


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


def _encode_after(pk: int, total: int | None) -> str:
    text = f"k{pk}" if total is None else f"k{pk}.{total}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_after(value: str | None) -> tuple[int | None, int | None]:
    if value is None:
        return None, None
    try:
        match = _AFTER.fullmatch(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode())
        if match:
            pk, total = int(match[1]), int(match[2]) if match[2] else None
            if _encode_after(pk, total) == value:
                return pk, total
    except ValueError:
        pass
    raise errors.Refused("after: not a value of ours; start again without it")


class ListView(SenderView):
    """A list of the party's objects that NDW may see, page by page."""

    kind = ""
    visible = ""  # the condition of a partial index on (tenant, id)

    def get(self, request: Request, **party: str) -> HttpResponse:
        """Return one page, or 304 to who has it."""
        journal.note(kind=self.kind)
        page = Page.asked_by(request.GET)
        if "If-None-Match" in request.headers:
            rows = self._rows(page, with_bodies=False)
            answer = self.known(request, rows.tag)
            if answer:
                self._note(request, page, rows)
                return answer
        rows = self._rows(page)
        next_url = None
        if rows.has_more:
            next_url = f"{base_url(request)}{request.path}?{page.next_query(rows.last_pk, rows.total)}"
        self._note(request, page, rows)
        journal.note(objects=len(rows.documents), total=rows.total, start=page.after or page.offset)
        answer = envelope.page(rows.documents, total=rows.total, limit=page.limit, next_url=next_url)
        return self.tagged(answer, rows.tag)

    def _note(self, request: Request, page: Page, rows: "_Rows") -> None:
        """Note the beginning and the end of a crawl; who asks for the head of a page takes nothing."""
        if page.filters or request.method != "GET":
            return
        crawls.record(
            self.tenant,
            self.kind,
            cast(Credential, request.auth),
            is_first=page.after is None and page.offset == 0,
            is_last=not rows.has_more and (page.after is not None or page.offset <= rows.total),
            objects=page.offset + len(rows.versions),
        )

    def _conditions(self, page: Page) -> tuple[str, dict[str, Any]]:
        conditions, parameters = [f"tenant_id = %(tenant)s AND {self.visible}"], {"tenant": self.tenant.pk}
        if "date_from" in page.filters:
            conditions.append("last_updated >= %(date_from)s::timestamptz")
        if "date_to" in page.filters:
            conditions.append("last_updated < %(date_to)s::timestamptz")
        utc = {name: value.removesuffix("Z") + "Z" for name, value in page.filters.items()}
        return " AND ".join(conditions), parameters | utc

    def _total(self, page: Page, where: str) -> str:
        """Return the SQL of how many objects the whole list has."""
        if not page.filters:
            return counts.SHOWN
        return (
            "SELECT %(total)s::bigint"
            if page.total is not None
            else f"SELECT count(*) FROM {self._table} WHERE {where}"
        )

    @property
    def _table(self) -> str:
        return f"ocpi_{self.kind}"

    def _rows(self, page: Page, *, with_bodies: bool = True) -> "_Rows":
        """Read a page in one statement; of one row more, if there is one: then another page follows."""
        where, parameters = self._conditions(page)
        total = self._total(page, where)  # worked out once, not for each row
        parameters |= {"kind": self.kind, "total": page.total, "limit": page.limit + 1}
        if page.after is not None:
            where, parameters["after"] = f"{where} AND id > %(after)s", page.after
        if page.after is None and page.offset:
            # What is skipped is skipped in the partial index; only the rows of the page are looked up.
            parameters["offset"] = page.offset
            keys = f"SELECT id FROM {self._table} WHERE {where} ORDER BY id OFFSET %(offset)s LIMIT %(limit)s"
            rows_of_page = f"{self._table} JOIN ({keys}) AS page USING (id) ORDER BY id"
        else:
            rows_of_page = f"{self._table} WHERE {where} ORDER BY id LIMIT %(limit)s"
        body = "body" if with_bodies else "NULL::bytea"
        query = f"SELECT int8send(id) || timestamptz_send(received_at), {body}, ({total}) FROM {rows_of_page}"
        return replica.read(lambda using: self._ask(using, query, total, parameters, page.limit))

    def _ask(self, using: str, query: str, total: str, parameters: dict[str, Any], limit: int) -> "_Rows":
        with self.tenant.transaction(using):
            rows = _fetch(query, parameters, limit, using)
            if not rows.versions:
                found = sql.run(f"SELECT ({total})", parameters, using).fetchone()
                rows.total = found[0] if found else 0
        return rows


@dataclass
class _Rows:
    """The rows of a page: id and moment of the last write (8 bytes each), and the document."""

    versions: list[bytes]
    documents: list[bytes]
    has_more: bool
    total: int

    @property
    def last_pk(self) -> int:
        return int.from_bytes(self.versions[-1][:8])

    @property
    def tag(self) -> str:
        """Return a tag that is another one as soon as anything in the answer is."""
        return _tag(b"".join([*self.versions, b"%d %d" % (self.has_more, self.total)]))


def _fetch(query: str, parameters: dict[str, Any], limit: int, using: str) -> _Rows:
    """Run the query of a page and take the bytes as they come."""
    found = list(sql.stream(query, parameters, using))
    rows = found[:limit]
    return _Rows(
        versions=[row[0] for row in rows],
        documents=[row[1] for row in rows],
        has_more=len(found) > limit,
        total=rows[0][2] if rows else 0,
    )


class LocationListView(ListView):
    """`…/locations`: Locations without gaps that are published."""

    kind, visible = "location", "is_shown"


class TariffListView(ListView):
    """`…/tariffs`: Tariffs that are not deleted. There is no GET of a single Tariff in OCPI 2.2.1."""

    kind, visible = "tariff", "deleted_at IS NULL"
