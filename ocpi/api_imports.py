"""Bulk uploads over REST: a CPO's objects in one request, what became of them, line by line. Upload tokens only.

HTTP codes are honest here, and errors are problems of RFC 9457.
Source: design §2 "URLs", §7 "JSON of the REST API".
"""

import csv
import io
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from ocpi import bodies, errors, imports, intake, openapi, rules, spreadsheets
from ocpi.api import LANGUAGES, STORED_KINDS, RestView, answer, chosen, number
from ocpi.envelope import timestamp
from ocpi.models import Import
from ocpi.views import base_url

MODES = {mode.value: mode for mode in Import.Mode}
YES_OR_NO = {"true": True, "false": False, "1": True, "0": False}
SHEET = "connectors-csv"  # of CPOs without developers; XLSX as well
KINDS = {**STORED_KINDS, SHEET: STORED_KINDS["locations"]}
TEMPLATES = {
    "csv": (spreadsheets.template_csv, "text/csv; charset=utf-8"),
    "xlsx": (spreadsheets.template_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
FORMATS = {"ndjson": "ndjson", "csv": "csv"}
LISTED = 100
LONGEST_WAIT_S = 60
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_WAITERS = threading.Semaphore(1)  # of the threads of a web process; the other is for those who do not wait
_ID = OpenApiParameter("import_id", uuid.UUID, OpenApiParameter.PATH, description="The import's id.")


class ImportsView(RestView):
    """`POST` and `GET /api/v1/imports`."""

    @extend_schema(
        operation_id="import",
        summary="Upload many Locations or Tariffs in one request",
        description=(
            "NDJSON (one object a line), a JSON array, or an OCPI envelope; the first byte tells which, and that it is "
            "gzip, whatever Content-Type says. Each object gets what a PUT of its own would get. `full`: this is "
            "everything there is; EVSEs it lacks become REMOVED and Tariffs it lacks are deleted, except what changed "
            "after it was sent. A full set that would remove much is `held` until an operator has accepted it. An "
            "object without `country_code` or `party_id` gets the token's. `connectors-csv`: a CSV or XLSX file with a "
            "row for each connector, made from the template; findings then have `/<row>/<column>` as their path."
        ),
        tags=["REST"],
        parameters=[
            openapi.query("kind", "What the body holds.", *KINDS, required=True),
            openapi.query("mode", "What a set says about objects it lacks.", *MODES, default="upsert"),
            openapi.query("dry_run", "The same report; nothing is stored.", "true", "false", default="false"),
            openapi.query(
                "wait", "Seconds to wait for the end; then the answer is 200.", type=openapi.between(0, LONGEST_WAIT_S, 0)
            ),
            OpenApiParameter(
                "Idempotency-Key", str, OpenApiParameter.HEADER,
                description="The same key, body and parameters give the import made before.",
            ),
            *openapi.HEADERS,
        ],
        request={"application/json": openapi.listed(openapi.ANY_OBJECT), "application/x-ndjson": openapi.TEXT},
        responses=openapi.answers(openapi.ref("Import"), "The import has ended.", 413, 415, 422)
        | openapi.accepted(openapi.ref("Import"), "The import is queued; `Location` says where to look."),
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        """Receive a bulk upload and queue it."""
        kind = chosen(request.GET, "kind", KINDS)
        if kind is None:
            raise errors.BadParameter(f"kind: missing; it is one of {', '.join(KINDS)}")
        wait_s = _seconds(request.GET)
        one = intake.receive(
            self.tenant,
            kind,
            bodies.pieces(request, _largest(request)),
            mode=chosen(request.GET, "mode", MODES) or Import.Mode.UPSERT,
            is_dry_run=bool(chosen(request.GET, "dry_run", YES_OR_NO)),
            origin=f"REST, {request.auth}",
            key=_key(request),
            is_sheet=request.GET["kind"] == SHEET,
        )
        imports.ring()
        if wait_s:
            _wait(one, wait_s)
        response = answer(as_json(one))
        response.status_code = 200 if one.state in (*Import.ENDED, Import.State.HELD) else 202
        response["Location"] = f"{base_url(request)}/api/v1/imports/{one.pk}"
        return response

    @extend_schema(
        operation_id="imports",
        summary="List your bulk uploads",
        description="The newest first.",
        tags=["REST"],
        parameters=[openapi.query("limit", "How many.", type=openapi.between(1, LISTED, LISTED)), *openapi.HEADERS],
        responses=openapi.answers(openapi.ref("Imports"), "The newest."),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return the tenant's newest imports."""
        limit = number(request.GET, "limit", LISTED, LISTED)
        known = Import.objects.filter(tenant=self.tenant).exclude(state=Import.State.RECEIVING)
        with self.tenant.transaction():
            return answer({"results": [as_json(one) for one in known[:limit]]})


class ImportView(RestView):
    """`GET /api/v1/imports/{id}`."""

    @extend_schema(
        operation_id="import_state",
        summary="See how far a bulk upload is",
        description=(
            "`held`: a full set would remove so much that an operator has to accept it; `preview` says what it would "
            "do. `removed` counts EVSEs set REMOVED, or Tariffs deleted; `warned` accepted objects with findings."
        ),
        tags=["REST"],
        parameters=[_ID, *openapi.HEADERS],
        responses=openapi.answers(openapi.ref("Import"), "State, counts and progress.", 404),
    )
    def get(self, request: Request, import_id: str) -> HttpResponse:
        """Return one import."""
        return answer(as_json(find(self.tenant, import_id)))


class TemplateView(RestView):
    """`GET /api/v1/imports/template`."""

    @extend_schema(
        operation_id="import_template",
        summary="Get the spreadsheet to fill in",
        description="One row for each connector, for `kind=connectors-csv`; its examples say what belongs where.",
        tags=["REST"],
        parameters=[openapi.query("format", "The kind of file.", *TEMPLATES, default="csv"), *openapi.HEADERS],
        responses=openapi.answers(openapi.TEXT, "The file."),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return the template."""
        return template(chosen(request.GET, "format", {name: name for name in TEMPLATES}) or "csv")


class ResultsView(RestView):
    """`GET /api/v1/imports/{id}/results`."""

    @extend_schema(
        operation_id="import_results",
        summary="Read what became of the lines of a bulk upload",
        description=(
            "One line for each object that was refused, warned or changed, in the order of the upload: NDJSON, or for "
            "people CSV with a line for each finding. May be read while the import runs: as far as it has come. Line 0 "
            "is what a full set lacked."
        ),
        tags=["REST"],
        parameters=[
            _ID,
            openapi.query("format", "For machines or for people.", *FORMATS, default="ndjson"),
            openapi.LANGUAGE,
            *openapi.HEADERS,
        ],
        responses=openapi.answers(openapi.ref("ImportResult"), "NDJSON: one of these on each line.", 404),
    )
    def get(self, request: Request, import_id: str) -> StreamingHttpResponse:
        """Stream the results of one import."""
        language = chosen(request.GET, "lang", LANGUAGES) or "en"
        is_csv = chosen(request.GET, "format", FORMATS) == "csv"
        one = find(self.tenant, import_id)
        return results_csv(one, language) if is_csv else results_ndjson(one, language)


def find(tenant: Any, import_id: str) -> Import:
    """Return a tenant's import. Raises UnknownObject."""
    try:
        known = Import.objects.filter(tenant=tenant, pk=uuid.UUID(import_id))
    except ValueError:
        known = Import.objects.none()
    with tenant.transaction():
        one = known.exclude(state=Import.State.RECEIVING).first()
    if one is None:
        raise errors.UnknownObject("Unknown import.")
    one.tenant = tenant
    return one


def as_json(one: Import) -> dict[str, Any]:
    """Return an import as it is answered."""
    said: dict[str, Any] = {
        "id": str(one.pk),
        "kind": f"{one.kind}s",
        "mode": one.mode,
        "dry_run": one.is_dry_run,
        "state": one.state,
        "counts": dict.fromkeys(imports.COUNTS, 0) | one.counts,
        "progress": one.progress,
        "rate": one.rate,
        "eta_s": one.eta_s,
        "created_at": timestamp(one.created_at),
        "finished_at": one.finished_at and timestamp(one.finished_at),
        "note": one.note,
        "rules": [{"name": name, **counted} for name, counted in sorted(one.rules.items())],
    }
    if one.preview and "counts" in one.preview:
        said["preview"] = one.preview
    return said


def template(name: str) -> HttpResponse:
    """Return the spreadsheet to fill in, as `csv` or `xlsx`."""
    make, media_type = TEMPLATES[name]
    response = HttpResponse(make(), content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="connectors.{name}"'
    return response


def results_ndjson(one: Import, language: rules.Language) -> StreamingHttpResponse:
    """Return the results for machines."""

    def lines() -> Iterator[bytes]:
        for result in imports.results(one):
            findings = [finding.as_dict(language) for finding in result.findings]
            yield orjson.dumps(result._asdict() | {"findings": findings}) + b"\n"

    return _download(_in_pieces(lines()), "application/x-ndjson", f"import-{one.pk}.ndjson", as_file=False)


def results_csv(one: Import, language: rules.Language) -> StreamingHttpResponse:
    """Return the results for people: with a byte order mark, as Excel likes it."""

    def lines() -> Iterator[bytes]:
        yield "\ufeff".encode() + _row("line", "id", "outcome", "severity", "rule", "path", "message", "hint")
        for result in imports.results(one):
            head = (result.line or "", result.id or "", result.outcome)
            for finding in result.findings:
                told = finding.as_dict(language)
                yield _row(*head, *(told[name] for name in ("severity", "rule", "path", "message", "hint")))
            if not result.findings:
                yield _row(*head, "", "", "", "", "")

    return _download(_in_pieces(lines()), "text/csv; charset=utf-8", f"import-{one.pk}.csv", as_file=True)


def _row(*values: object) -> bytes:
    """Return a CSV line in which nothing is a formula to a spreadsheet."""
    out = io.StringIO()
    texts = [str(value) for value in values]
    csv.writer(out).writerow([f"'{text}" if text[:1] in "=+-@\t\r" and text else text for text in texts])
    return out.getvalue().encode()


def _in_pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) > 65536:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _download(pieces: Iterator[bytes], media_type: str, name: str, *, as_file: bool) -> StreamingHttpResponse:
    response = StreamingHttpResponse(pieces, content_type=media_type)
    if as_file:
        response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _seconds(query: Mapping[str, str]) -> int:
    value = query.get("wait", "0")
    return 0 if value == "0" else number({"wait": value}, "wait", 0, LONGEST_WAIT_S)


def _key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise errors.BadParameter("Idempotency-Key: 1 to 255 printable ASCII characters are expected")
    return key


def _largest(request: Request) -> int:
    """Return how many bytes may come in; see that they are what we can decompress. Raises UnsupportedMedia."""
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() not in ("identity", "gzip", "x-gzip"):
        raise errors.UnsupportedMedia("Content-Encoding may be gzip.")
    return settings.IMPORT_MAX_BYTES


def _wait(one: Import, seconds: int) -> None:
    """Wait until an import has ended or is held, but no longer; and not at all where others do already."""
    if not _WAITERS.acquire(blocking=False):
        return
    try:
        until = time.monotonic() + seconds
        while one.state in Import.OPEN and time.monotonic() < until:
            time.sleep(0.1)
            with one.tenant.transaction():
                one.refresh_from_db()
    finally:
        _WAITERS.release()
