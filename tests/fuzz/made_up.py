"""Requests that hypothesis makes up: OCPI documents good and broken, bytes, headers and paths."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests import strategies
from tests.bad_inputs import LATER, RECEIVER, SENDER
from tests.fuzz.target import Target
from tests.wire import request

LOCATIONS, TARIFFS = f"{RECEIVER}/locations/NL/EXA", f"{RECEIVER}/tariffs/NL/EXA"
KINDS: dict[str, tuple[Any, strategies.Shape, str]] = {  # documents, their shape, and where they go
    "location": (strategies.locations, strategies.LOCATION, f"{LOCATIONS}/{{id}}"),
    "evse": (strategies.evses, strategies.EVSE, f"{LOCATIONS}/LOC-0001/{{uid}}"),
    "connector": (strategies.connectors, strategies.CONNECTOR, f"{LOCATIONS}/LOC-0001/EVSE-1/{{id}}"),
    "tariff": (strategies.tariffs, strategies.TARIFF, f"{TARIFFS}/{{id}}"),
}
OWN = {"country_code": "NL", "party_id": "EXA"}
IDS = st.sampled_from(["LOC-0001", "LOC-0002", "ADHOC-1", "ADHOC-2", "NEW-1", "NEW-2"])
MUTANTS = 30  # of each document

methods = st.sampled_from(["GET", "PUT", "PATCH", "DELETE", "POST", "HEAD", "OPTIONS", "TRACE", "PURGE", "put"])
segment = st.text(
    st.characters(codec="latin-1", exclude_characters=" \r\n\t/?#"), min_size=1, max_size=12
) | st.sampled_from(
    [
        "..",
        ".",
        "%00",
        "%FF",
        "%2F",
        "%0d%0a",
        "NL",
        "EXA",
        "RIV",
        "LOC-0001",
        "EVSE-1",
        "1",
        "locations",
        "tariffs",
        "2.2.1",
    ]
)
paths = st.lists(segment, max_size=8).map("/".join) | st.sampled_from(
    [f"{LOCATIONS}/LOC-0001"[1:], f"{SENDER}/locations"[1:], "api/v1/problems", "api/v1/imports", "oauth/token", "ocpi"]
)
queries = st.just("") | st.text(st.characters(codec="ascii", exclude_characters=" \r\n\t#"), max_size=30).map(
    "?{}".format
)
field_names = st.sampled_from(
    ["Content-Type", "Content-Encoding", "Accept", "Accept-Encoding", "If-None-Match", "Range", "Host", "Cookie", "X-Request-ID",
     "X-Correlation-ID", "OCPI-to-party-id", "OCPI-to-country-code", "OCPI-from-party-id", "Idempotency-Key", "Expect", "TE"]
)  # fmt: skip
values = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40) | st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-7",
        "gzip",
        "*/*",
        "localhost",
        "evil.example",
        '"x"',
        "bytes=0-1",
    ]
)
fields = st.lists(st.tuples(field_names, values), max_size=4)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
bodies = (
    st.none() | st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
)
splinters = st.binary(max_size=4) | st.sampled_from([b'"', b"\\", b"}", b"[", b"1e999", b"\0"])
cuts = st.tuples(st.floats(0, 1), st.integers(0, 9), splinters)
documents = st.one_of(*[st.tuples(st.just(kind), KINDS[kind][0], IDS, st.integers(0, 9999), cuts) for kind in KINDS])
strangers = st.tuples(methods, paths, queries, fields, bodies, st.booleans())


def send_documents(target: Target, kind: str, document: Any, ocpi_id: str, turn: int, cut: Any) -> None:
    """Send a document as it is, as a PATCH, broken in some places, and with bytes missing or put in."""
    name = "uid" if kind == "evse" else "id"
    own = document | ({**OWN, "last_updated": LATER} if kind in ("location", "tariff") else {}) | {name: ocpi_id}
    path = KINDS[kind][2].replace(f"{{{name}}}", ocpi_id)
    for method, body in _versions(kind, own, turn, cut):
        headers = [("Authorization", f"Token {target.tokens['upload']}"), ("Content-Type", "application/json")]
        target.send(request(method, path, headers, body), method, path)


def _versions(kind: str, document: Any, turn: int, cut: Any) -> Iterator[tuple[str, bytes]]:
    raw = json.dumps(document).encode()
    yield "PUT", raw
    yield "PATCH", json.dumps({**dict(list(document.items())[turn % 3 :: 3]), "last_updated": LATER}).encode()
    at, length, instead = int(cut[0] * len(raw)), cut[1], cut[2]
    yield "PUT", raw[:at] + instead + raw[at + length :]
    broken = list(strategies.mutations(document, KINDS[kind][1], turn, ways=1))
    for number in range(min(MUTANTS, len(broken))):
        mutant = broken[(turn + number * 11) % len(broken)].document
        yield ("PUT", "PATCH")[number % 4 == 3], json.dumps(mutant).encode("utf-8", "surrogatepass")


def send_stranger(
    target: Target, method: str, path: str, query: str, headers: list[tuple[str, str]], body: Any, knows: bool
) -> None:
    """Send any method to any path, with any headers and bytes."""
    whole = f"/{path}"
    given = [("Authorization", f"Token {target.token_for(whole)}"), *headers] if knows else headers
    target.send(request(method, whole + query, list(dict(given).items()), body), method, whole)
