"""The OCPI half of the OpenAPI document, and the two hooks that put it beside what drf-spectacular reads itself.

OCPI is regular, so its operations are made from the routes of `ocpi.urls`, the views' docstrings and the pydantic models.
"""

import inspect
import re
from typing import Any

from django.contrib.admindocs.views import simplify_regex
from django.urls import URLPattern

from ocpi import openapi, urls
from ocpi.openapi import MOMENT, TEXT, Schema, ref

REST, OCPI = "/api/v1/", "/ocpi/"
METHODS = "get", "put", "patch", "delete"
SCHEMAS = {"location": "Location", "evse": "EVSE", "connector": "Connector", "tariff": "Tariff"}
NUMBER: Schema = {"type": "integer", "minimum": 0}

SECURITY_SCHEMES: dict[str, Schema] = {
    "PullToken": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token <pull token>`, the token raw or in Base64.",
    },
    "AccessToken": {
        "type": "oauth2",
        "description": "`Bearer <access token>`, which /oauth/token gives.",
        "flows": {"clientCredentials": {"tokenUrl": "/oauth/token", "scopes": {"pull": "Read what NDW may see."}}},
    },
    "Client": {"type": "http", "scheme": "basic", "description": "Id and secret of an OAuth2 client."},
}
SECURITY: dict[str, list[Schema]] = {
    "receiver": [{"UploadToken": []}],
    "sender": [{"PullToken": []}, {"AccessToken": ["pull"]}],
}
LIST_PARAMETERS = [
    ("date_from", MOMENT, "Only objects with this `last_updated` or a later one."),
    ("date_to", MOMENT, "Only objects with an earlier `last_updated`."),
    ("offset", NUMBER | {"default": 0}, "How many objects to skip."),
    ("limit", NUMBER | {"minimum": 1, "default": 100}, "How many objects to give, at most 1000; see `X-Limit`."),
    ("after", TEXT, "Where the page begins; only as `Link` gives it."),
]
PAGE_HEADERS: dict[str, Schema] = {
    "Link": {"schema": TEXT, "description": 'The next page: `<URL>; rel="next"`.'},
    "X-Total-Count": {"schema": NUMBER},
    "X-Limit": {"schema": NUMBER},
}
FAULTS = {
    400: "The body is not JSON.",
    **{status: openapi.FAULTS[status] for status in (401, 403, 404, 413, 415, 503)},
}
TOKEN: Schema = {
    "operationId": "token",
    "summary": "Get an access token for the Sender interface",
    "description": "OAuth2 client credentials (RFC 6749 §4.4), the client as HTTP Basic or in the form.",
    "tags": ["OAuth2"],
    "security": [{"Client": []}, {}],
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"const": "client_credentials"},
                        "client_id": TEXT,
                        "client_secret": TEXT,
                        "scope": {"const": "pull"},
                    },
                }
            }
        },
    },
    "responses": {
        "200": {"description": "The token.", "content": {"application/json": {"schema": ref("AccessToken")}}},
        "400": {"description": "No such request.", "content": {"application/json": {"schema": ref("TokenError")}}},
        "401": {"description": "No such client.", "content": {"application/json": {"schema": ref("TokenError")}}},
        "429": {
            "description": "Too many wrong clients.",
            "content": {"application/json": {"schema": ref("TokenError")}},
        },
        "503": {"description": "Try again soon.", "content": {"application/json": {"schema": ref("TokenError")}}},
    },
}


# --- The hooks ---------------------------------------------------------------------------------------------------------


def only_rest(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Leave drf-spectacular the views of the REST side, under paths as people write them (a preprocessing hook)."""
    return [(path(regex), regex, method, view) for _, regex, method, view in endpoints if path(regex).startswith(REST)]


def complete(result: Schema, **_: Any) -> Schema:
    """Add OCPI, the token endpoint and all components (a postprocessing hook)."""
    for operations in result["paths"].values():
        for operation in operations.values():
            operation.get("requestBody", {})["required"] = True
    for pattern in urls.urlpatterns:
        if path(str(pattern.pattern)).startswith(OCPI):
            view = pattern.callback.view_class  # type: ignore[attr-defined]  # as_view() has put it there
            result["paths"][path(str(pattern.pattern))] = {
                method: _operation(pattern, method, getattr(view, method))
                for method in METHODS
                if hasattr(view, method)
            }
    result["paths"]["/oauth/token"] = {"post": TOKEN}
    result["components"]["schemas"] = openapi.components()
    result["components"]["securitySchemes"] |= SECURITY_SCHEMES
    result["components"]["responses"] = {f"Ocpi{status}": _fault(status) for status in FAULTS}
    return result


def path(regex: str) -> str:
    """Return a route of ours as OpenAPI writes it: `[.]` is the dot it stands for, the slash that may follow is left out."""
    plain = regex.replace("[.]", ".").removesuffix(r"\Z").removesuffix("/?")
    return re.sub(r"<(\w+)>", r"{\1}", simplify_regex(plain))


# --- Operations --------------------------------------------------------------------------------------------------------


def _operation(pattern: URLPattern, method: str, handler: Any) -> Schema:
    """Describe one method of a route; the route's name says what is there: `sender-locations`."""
    side, _, what = str(pattern.name).partition("-")
    words = inspect.getdoc(handler) or ""
    operation: Schema = {
        "operationId": f"{method}_{side}_{what}",
        "summary": f"{SCHEMAS.get(what, what.capitalize())}: {words[:1].lower()}{words[1:].splitlines()[0].rstrip('.')}",
        "tags": [f"OCPI {side.capitalize()}"],
        "security": SECURITY[side],
        "parameters": [*_path_parameters(pattern), *(_list_parameters() if what in ("locations", "tariffs") else ())],
        "responses": _responses(method, what),
    }
    if method in ("put", "patch"):
        schema = ref(SCHEMAS[what] + ("Patch" if method == "patch" else ""))
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _path_parameters(pattern: URLPattern) -> list[Schema]:
    names = re.findall(r"{(\w+)}", path(str(pattern.pattern)))
    return [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]


def _list_parameters() -> list[Schema]:
    return [
        {"name": name, "in": "query", "schema": schema, "description": words} for name, schema, words in LIST_PARAMETERS
    ]


def _responses(method: str, what: str) -> Schema:
    if method == "get":
        is_list = what in ("locations", "tariffs")
        one = {"versions": "Version", "details": "VersionDetails"} | SCHEMAS
        listed = {"type": "array", "items": ref(one[what.removesuffix("s") if is_list else what])}
        data = listed if what.endswith("s") and what != "details" else ref(one[what])
        good = {"200": _enveloped("The object.", data) | ({"headers": PAGE_HEADERS} if is_list else {})}
    else:
        findings = {"type": "array", "items": ref("Finding")}
        good = {"200": _enveloped("1000: it was done. 2001: it was not, and `data` says why.", findings)}
        if method == "put":
            good["201"] = _enveloped("Created.", findings)
    faults = [401, 403, 404, 503] if method in ("get", "delete") else [400, 401, 403, 404, 413, 415, 503]
    return good | {str(status): {"$ref": f"#/components/responses/Ocpi{status}"} for status in faults}


def _enveloped(description: str, data: Schema) -> Schema:
    schema = {"allOf": [ref("Envelope"), {"type": "object", "properties": {"data": data}}]}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _fault(status: int) -> Schema:
    return {"description": FAULTS[status], "content": {"application/json": {"schema": ref("Envelope")}}}
