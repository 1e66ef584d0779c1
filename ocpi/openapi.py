"""The words our OpenAPI document is written in: what `extend_schema` at a view of the REST side can name.

The document itself is put together in `ocpi.docs`.
"""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from pydantic.json_schema import models_json_schema

from ocpi.rules import LANGUAGES
from ocpi.schemas import MODELS

Schema = dict[str, Any]
FAULTS = {
    400: "The request is not what it may be; `detail` says where.",
    401: "No valid credential.",
    403: "A valid credential for the other interface.",
    404: "No such object, or another party's.",
    405: "The URL has no such method; `Allow` lists those it has.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not `application/json` in UTF-8, or has a Content-Encoding.",
    422: "JSON, but not an object we can accept; `findings` lists what is wrong.",
    503: "Not available now; try again after `Retry-After` seconds.",
}
UPLOAD_TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "`Token <upload token>`, the token raw or in Base64. It belongs to one party.",
}


class UploadTokenScheme(OpenApiAuthenticationExtension):
    """Tell drf-spectacular what UploadToken asks of a caller."""

    target_class = "tenants.authentication.UploadToken"
    name = "UploadToken"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        """Return the security scheme."""
        return UPLOAD_TOKEN


# --- For extend_schema -------------------------------------------------------------------------------------------------


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(*, optional: tuple[str, ...] = (), description: str = "", **properties: Schema) -> Schema:
    """Return the schema of an object that has these properties and no others."""
    required = [name for name in properties if name not in optional]
    shape = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return shape | ({"description": description} if description else {})


def listed(items: Schema, description: str = "") -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items} | ({"description": description} if description else {})


def answers(schema: Schema, description: str, *faults: int) -> Any:
    """Return the responses of a view of the REST side: 200 with a body of `schema`, and its faults beside the usual."""
    problems = {
        (status, "application/problem+json"): OpenApiResponse(ref("Problem"), FAULTS[status])
        for status in sorted({400, 401, 403, 503, *faults})
    }
    return {(200, "application/json"): OpenApiResponse(schema, description)} | problems


def accepted(schema: Schema, description: str) -> Any:
    """Return the response 202 of a view whose work goes on."""
    return {(202, "application/json"): OpenApiResponse(schema, description)}


def query(name: str, description: str, *choices: str, **options: Any) -> OpenApiParameter:
    """Return a parameter of the query, a string unless `type` says otherwise."""
    return OpenApiParameter(name, options.pop("type", str), description=description, enum=choices or None, **options)


def between(low: int, high: int, default: int) -> Schema:
    """Return the schema of a whole number, as the type of a parameter."""
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


LANGUAGE = query("lang", "The language of the texts.", *LANGUAGES, default="en")
HEADERS = [
    *(
        OpenApiParameter(name, str, OpenApiParameter.HEADER, description=what, response=response)
        for name, what in (("X-Request-ID", "Of this message"), ("X-Correlation-ID", "Kept over several hops"))
        for response in (False, True)
    ),
    OpenApiParameter("WWW-Authenticate", str, OpenApiParameter.HEADER, description="`Token`", response=[401]),
    OpenApiParameter("Retry-After", int, OpenApiParameter.HEADER, description="Seconds", response=[503]),
]

# --- Examples ----------------------------------------------------------------------------------------------------------

_AT = "2026-03-02T09:15:00Z"
_CONNECTOR = {
    "id": "1",
    "standard": "IEC_62196_T2",
    "format": "SOCKET",
    "power_type": "AC_3_PHASE",
    "max_voltage": 230,
    "max_amperage": 32,
    "max_electric_power": 22080,
    "tariff_ids": ["ADHOC-1"],
    "last_updated": _AT,
}
_EVSE = {
    "uid": "EVSE-1",
    "evse_id": "NL*EXA*E1001*1",
    "status": "AVAILABLE",
    "connectors": [_CONNECTOR],
    "parking_restrictions": ["EV_ONLY"],
    "last_updated": _AT,
}
_LOCATION = {
    "country_code": "NL",
    "party_id": "EXA",
    "id": "LOC-0001",
    "publish": True,
    "address": "Marktplein 1",
    "city": "Utrecht",
    "country": "NLD",
    "coordinates": {"latitude": "52.090736", "longitude": "5.121420"},
    "evses": [_EVSE],
    "time_zone": "Europe/Amsterdam",
    "opening_times": {"twentyfourseven": True},
    "energy_mix": {"is_green_energy": True},
    "last_updated": _AT,
}
_TARIFF = {
    "country_code": "NL",
    "party_id": "EXA",
    "id": "ADHOC-1",
    "currency": "EUR",
    "type": "AD_HOC_PAYMENT",
    "elements": [{"price_components": [{"type": "ENERGY", "price": 0.4132, "vat": 21, "step_size": 1}]}],
    "last_updated": _AT,
}
EXAMPLES: dict[str, Any] = {"Location": _LOCATION, "EVSE": _EVSE, "Connector": _CONNECTOR, "Tariff": _TARIFF}
PATCH_EXAMPLES: dict[str, Any] = {
    "Location": {"publish": False, "last_updated": _AT},
    "EVSE": {"status": "CHARGING", "last_updated": _AT},
    "Connector": {"tariff_ids": ["ADHOC-2"], "last_updated": _AT},
}
ANY_OBJECT: Schema = {
    "description": "A Location, EVSE, Connector or Tariff, or what is meant to be one.",
    "example": {name: value for name, value in _TARIFF.items() if name not in ("country_code", "party_id")},
}

# --- Components --------------------------------------------------------------------------------------------------------

TEXT: Schema = {"type": "string"}
URI: Schema = {"type": "string", "format": "uri"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
STATE: Schema = {"enum": ["withheld", "dirty", "sending", "delivered", "rejected", "blocked"]}
KIND: Schema = {"enum": ["location", "tariff"]}
NEXT: Schema = {"type": ["string", "null"], "format": "uri", "description": "The next page; null at the end."}


CODE: Schema = {"type": ["integer", "null"]}
MAYBE: Schema = MOMENT | {"type": ["string", "null"]}
ANSWER: Schema = TEXT | {"maxLength": 500, "description": "What NDW answered, word for word, or why it did not."}
OUTCOMES = ["created", "updated", "unchanged", "refused", "stale", "removed"]
_COUNTED = ("received", *OUTCOMES, "warned")
COUNTS = {
    "type": "object",
    "properties": {name: {"type": "integer"} for name in _COUNTED},
    "required": [*_COUNTED],
    "additionalProperties": False,
}
MAYBE_TEXT = {"type": ["string", "null"]}
OWN: dict[str, Schema] = {
    "Finding": closed(
        description="One thing noticed about an object. [All rules](/api/docs/rules/) have a place in the rule book.",
        path=TEXT | {"description": 'JSON Pointer; "" is the whole object.'},
        rule=TEXT | {"description": "The rule's id, for example `L-25`."},
        severity={
            "enum": ["error", "gap", "warning"],
            "description": "`error`: refused. `gap`: valid OCPI, kept from NDW until mended. `warning`: accepted.",
        },
        message=TEXT,
        hint=TEXT | {"description": 'What to do about it; "" when there is nothing to add.'},
    ),
    "Problem": closed(
        description="Why a request failed (RFC 9457).",
        optional=("findings",),
        type=TEXT,
        title=TEXT,
        status={"type": "integer"},
        detail=TEXT,
        findings=listed(ref("Finding")),
    ),
    "Readiness": closed(
        description="How far a Location is with what the law asks next; nothing hangs on it yet.",
        profile=TEXT,
        since={"type": "string", "format": "date"},
        advisory={"type": "boolean"},
        demands=listed(
            closed(
                id=TEXT,
                text=TEXT,
                met={"type": "integer", "description": "Of so many objects it is met."},
                of={"type": "integer", "description": "So many objects there are."},
            )
        ),
    ),
    "Verdict": closed(
        optional=("price", "readiness"),
        verdict={
            "enum": ["ok", "gaps", "refused"],
            "description": "`gaps`: an upload is stored, but kept from NDW. `refused`: nothing would be stored.",
        },
        findings=listed(ref("Finding"), "Errors, then gaps, then warnings."),
        price=closed(en=TEXT, nl=TEXT) | {"description": "Of a tariff that is not refused: the price in one line."},
        readiness=ref("Readiness") | {"description": "Of a Location that is not refused."},
    ),
    "Problems": closed(
        results=listed(closed(kind=KIND, id=TEXT, finding=ref("Finding"))),
        next=NEXT,
    ),
    "Deliveries": closed(results=listed(ref("Delivery")), next=NEXT),
    "Delivery": closed(
        optional=("history",),
        kind=KIND,
        id=TEXT,
        environment={"enum": ["staging", "production", None], "description": "null: NDW is not connected yet."},
        state=STATE,
        changed_at=MAYBE | {"description": "When we accepted the oldest change that NDW has not accepted."},
        accepted_at=MAYBE | {"description": "When NDW last accepted it."},
        attempts={"type": "integer", "description": "Requests for the present state so far."},
        due_at=MAYBE | {"description": "When it is sent next, if it is `dirty`."},
        http_status=CODE,
        ocpi_status=CODE,
        answer=ANSWER,
        history=listed(ref("Attempt"), "With `id`: the last 50 requests, newest first."),
    ),
    "Attempt": closed(
        started_at=MOMENT,
        took_ms={"type": "integer"},
        method=TEXT,
        outcome=TEXT | {"description": "What the answer meant: `delivered`, `rejected`, `retry` and so on."},
        http_status=CODE,
        ocpi_status=CODE,
        answer=ANSWER,
        changed_at=MAYBE | {"description": "When we accepted the oldest change it carried."},
    ),
    "StoredObjects": closed(
        results=listed(
            closed(
                id=TEXT, last_updated=MOMENT, state={"enum": [*STATE["enum"], None]}, gaps=listed(TEXT, "Ids of rules.")
            )
        ),
        next=NEXT,
    ),
    "Import": closed(
        optional=("preview",),
        id=TEXT,
        kind={"enum": ["locations", "tariffs"]},
        mode={"enum": ["upsert", "full"]},
        dry_run={"type": "boolean"},
        state={"enum": ["queued", "running", "held", "done", "failed", "discarded"]},
        counts=COUNTS,
        progress={"type": "number", "minimum": 0, "maximum": 1},
        rate={"type": ["number", "null"], "description": "Objects per second."},
        eta_s={"type": ["number", "null"], "description": "Seconds until it has ended, at this pace."},
        created_at=MOMENT,
        finished_at=MAYBE,
        note=TEXT | {"description": "Why it is held or has failed."},
        rules=listed(
            closed(name=TEXT, rule=TEXT, severity=TEXT, count={"type": "integer"}, sample=listed(TEXT)),
            "Findings by rule, with some ids.",
        ),
        preview={"type": "object", "description": "What the scan of a full set or a dry run came to."},
    ),
    "Imports": closed(results=listed(ref("Import"))),
    "ImportResult": closed(
        line={"type": "integer"}, id=MAYBE_TEXT, outcome={"enum": OUTCOMES}, findings=listed(ref("Finding"))
    ),
    "Envelope": closed(
        description="The answer of every OCPI endpoint. 1000 is success, 2xxx the caller's fault, 3xxx ours.",
        optional=("data",),
        data={},
        status_code={"type": "integer"},
        status_message=TEXT,
        timestamp=MOMENT,
    ),
    "Version": closed(version={"const": "2.2.1"}, url=URI),
    "VersionDetails": closed(
        version={"const": "2.2.1"},
        endpoints=listed(
            closed(identifier={"enum": ["locations", "tariffs"]}, role={"enum": ["SENDER", "RECEIVER"]}, url=URI)
        ),
    ),
    "AccessToken": closed(
        access_token=TEXT, token_type={"const": "Bearer"}, expires_in={"type": "integer"}, scope={"const": "pull"}
    ),
    "TokenError": closed(optional=("error_description",), error=TEXT, error_description=TEXT),
}


def components() -> dict[str, Schema]:
    """Return every schema of the document by name: our own, OCPI's objects, and what a PATCH of each may be."""
    _, generated = models_json_schema(
        [(model, "validation") for model in MODELS.values()], ref_template="#/components/schemas/{model}"
    )
    shapes = {name: _tidied(schema) for name, schema in generated["$defs"].items()}
    shapes |= {name: shapes[name] | {"example": example} for name, example in EXAMPLES.items()}
    patches = {
        f"{name}Patch": shapes[name]
        | {"required": ["last_updated"], "description": f"The fields of {name} to change.", "example": example}
        for name, example in PATCH_EXAMPLES.items()
    }
    return OWN | shapes | patches


def _tidied(schema: Any, key: str = "") -> Any:
    """Leave out what would be noise or untrue: titles, patterns only Rust reads, that more properties are refused."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _tidied(value, name)
        for name, value in schema.items()
        if key == "properties" or not (name in ("title", "additionalProperties") or _is_rust(name, value))
    }


def _is_rust(name: str, value: Any) -> bool:
    return name == "pattern" and any(mark in value for mark in (r"\p{", r"\x{", "(?i"))
