"""Requests that schemathesis makes of our own OpenAPI: what it allows, and what it does not."""

import logging
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from tests.fuzz.target import Target
from tests.wire import Answer

KNOWN = {"country_code": "NL", "party_id": "EXA", "location_id": "LOC-0001", "evse_uid": "EVSE-1", "connector_id": "1"}
LONGEST_WAIT = "wait"  # would hold a request for a minute

logging.getLogger("schemathesis").setLevel(logging.ERROR)


def operations(target: Target) -> list[Any]:
    """Return every operation of `/api/schema/`."""
    schema = schemathesis.openapi.from_url(f"{target.address}/api/schema/")
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def cases(operation: Any, is_negative: bool) -> st.SearchStrategy[Any]:
    """Return a strategy for (request, whether its path names what there is)."""
    mode = GenerationMode.NEGATIVE if is_negative else GenerationMode.POSITIVE
    return st.tuples(operation.as_strategy(generation_mode=mode), st.booleans())


def send(target: Target, case: Any, is_known: bool) -> None:
    """Send a case with the token of its path."""
    if is_known and isinstance(case.path_parameters, dict):
        case.path_parameters.update({name: KNOWN[name] for name in case.path_parameters if name in KNOWN})
    if isinstance(case.query, dict):
        case.query.pop(LONGEST_WAIT, None)
    kwargs = case.as_transport_kwargs(base_url=target.address)
    kwargs["headers"] = {**(kwargs.get("headers") or {}), "Authorization": f"Token {target.token_for(case.path)}"}
    try:
        got = target.session.request(**kwargs, timeout=30, allow_redirects=False)
    except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeError, ValueError):
        return  # what this client cannot even say
    except requests.exceptions.ConnectionError:
        target.sent += 1
        target.statuses[0] += 1
        return
    headers = {name.lower(): value for name, value in got.headers.items()}
    said = f"{case.method} {got.url} {kwargs.get('json', kwargs.get('data'))!r}"
    target.judge(Answer(got.status_code, headers, got.content), case.method, case.path, said)
