"""Bad inputs E10 to E12: credentials, tenants, pulls, the token endpoint; and which tests have what is no single request.

Source: reliability §5; protocol §2.3, §2.5, §3; design §7 "Codes".
"""

import base64
import json
from typing import Any
from urllib.parse import urlencode

from tests.bad_inputs import (
    DONE,
    LATER,
    LOCATION,
    NOTHING,
    RECEIVER,
    REFUSED,
    SENDER,
    SHUT,
    UNKNOWN,
    WRONG_DOOR,
    Case,
    Said,
    get,
    patch,
    put,
    send,
)  # fmt: skip
from tests.documents import location_body
from tests.wire import ABSENT, chunked

GOOD = location_body(last_updated=LATER)
RIVALS = f"{RECEIVER}/locations/NL/RIV/LOC-0001"
LISTED, TARIFFS = f"{SENDER}/locations", f"{SENDER}/tariffs"
FORM = "application/x-www-form-urlencoded"
UNUSABLE: Said = (400, None)
SHUT_OUT: Said = (401, None)


def _auth(number: int, what: str, value: str, said: Said = SHUT) -> Case:
    return put(number, what, GOOD, said, Authorization=value)


CREDENTIALS = [
    _auth(252, "none", ABSENT),
    get(252, "none, for a pull", LISTED, SHUT, Authorization=ABSENT),
    _auth(253, "no value", "Token"),
    _auth(253, "empty", ""),
    _auth(254, "two spaces", "Token  {upload}"),
    _auth(254, "tab", "Token\t{upload}"),
    _auth(255, "scheme in small letters", "token {upload}", DONE),
    _auth(255, "scheme in capitals", "TOKEN {upload}", DONE),
    _auth(256, "Base64", "Token {upload:base64}", DONE),
    _auth(256, "Base64 of a line", "Token {upload:line}", DONE),
    _auth(257, "Base64 of an unknown one", "Token " + base64.b64encode(b"gw-u.AAAAAAAA." + b"A" * 43).decode()),
    *[_auth(258, value, f"Token {value}") for value in ("====", "!!!!", "Z3c", "\xff\xfe")],
    _auth(259, "a letter that is wrong", "Token {upload}x"),
    _auth(260, "10 kB", "Token " + "a" * 7000),
    get(261, "in the query", f"{LOCATION}?token={{upload}}&access_token={{upload}}", SHUT, Authorization=ABSENT),
    put(261, "in the body", GOOD | {"token": "x", "Authorization": "Token x"}, SHUT, Authorization=ABSENT),
    _auth(263, "two headers", "Token {upload}\r\nAuthorization: Token {upload}"),
    _auth(264, "Basic", "Basic {upload:base64}"),
    get(265, "upload token at the pull", LISTED, WRONG_DOOR),
    put(265, "pull token at the upload", GOOD, WRONG_DOOR, Authorization="Token {pull}"),
    *[send(266, f"{method} of a rival's", method, RIVALS, UNKNOWN, GOOD if method in ("PUT", "PATCH") else None)
      for method in ("GET", "PUT", "PATCH", "DELETE", "POST", "HEAD")[:5]],
    send(266, "DELETE of a rival's Tariff", "DELETE", f"{RECEIVER}/tariffs/NL/RIV/ADHOC-1", NOTHING),
    get(266, "a rival's list", LISTED.replace("EXA", "RIV"), UNKNOWN, token="pull"),
    get(266, "a rival's page", LISTED.replace("EXA", "RIV") + "?limit=1&after=azE", UNKNOWN, token="pull"),
    put(267, "a rival's party in the body", GOOD | {"party_id": "RIV"}, REFUSED, find="L-14 /party_id"),
    patch(267, "a rival's party in a PATCH", {"party_id": "RIV", "last_updated": LATER}, REFUSED, find="L-14 /party_id"),
    put(267, "addressed to a rival", GOOD, REFUSED, OCPI_to_country_code="NL", OCPI_to_party_id="RIV"),
]  # fmt: skip


def _page(number: int, query: str, said: Said = REFUSED) -> Case:
    return get(number, f"?{query}"[:60], f"{LISTED}?{query}", said, token="pull")


PULLS = [
    *[_page(279, f"limit={value}") for value in ("0", "-5", "abc", "1e3", "", "%00", "9" * 5000, "%D9%A1", "%EF%BC%91", "+1", "0x1")],
    _page(279, "limit=1000000", DONE),
    *[_page(280, f"offset={value}") for value in ("-1", "abc", "1" + "0" * 20, "1.0", "%00", "", "%FF")],
    _page(280, "offset=100000000000000000", DONE),
    _page(281, "limit=1&limit=2", DONE),
    _page(281, "limit=1&limit=x"),
    *[_page(282, f"date_from={value}") for value in ("x", "2026-02-30T00:00:00Z", "2026-03-02", "", "%00", "0000-01-01T00:00:00Z")],
    _page(282, "date_from=2026-03-03T00:00:00Z&date_to=2026-03-02T00:00:00Z", DONE),
    _page(282, "date_from=2026-03-02T00:00:00Z&date_to=2026-03-02T00:00:00Z", DONE),
    _page(282, "date_from=9999-12-31T23:59:59Z", DONE),
    _page(283, "page=3&size=100", DONE),
    *[_page(283, f"after={value}") for value in ("x", "%00", "a" * 5000, "azE=", "' OR 1=1 --")[:4]],
    get(285, "unknown Location", f"{LISTED}/NONE", UNKNOWN, token="pull"),
    get(285, "an EVSE", f"{LISTED}/LOC-0001/EVSE-1", DONE, token="pull"),
    get(285, "unknown Connector", f"{LISTED}/LOC-0001/EVSE-1/9", UNKNOWN, token="pull"),
    get(285, "a single Tariff", f"{TARIFFS}/ADHOC-1", NOTHING, token="pull"),
    get(286, "If-None-Match of nonsense", LISTED, DONE, token="pull", If_None_Match='"' + "x" * 4000),
    get(286, "encodings without end", LISTED, DONE, token="pull", Accept_Encoding=", ".join(["gzip;q=0.1"] * 400)),
    get(286, "encodings of nonsense", LISTED, DONE, token="pull", Accept_Encoding="gzip;q=nan, zstd;q=, ;;q=1\xff"),
    get(286, "If-Modified-Since of nonsense", LISTED, DONE, token="pull", If_Modified_Since="x" * 1000),
    get(286, "Range", LISTED, DONE, token="pull", Range="bytes=0-0,-1," + ",".join(["0-1"] * 500)),
]  # fmt: skip


def _token(what: str, form: Any, said: Said = UNUSABLE, **headers: str) -> Case:
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    return send(
        288,
        f"token: {what}",
        "POST",
        "/oauth/token",
        said,
        body,
        **{"Content_Type": FORM, "Authorization": ABSENT} | headers,
    )


GRANT = {"grant_type": "client_credentials", "client_id": "gw-p.none", "client_secret": "none"}
TOKENS = [
    send(288, "token: GET", "GET", "/oauth/token", (405, None), Authorization=ABSENT),
    _token("JSON", json.dumps(GRANT).encode(), Content_Type="application/json"),
    _token("no type", GRANT, Content_Type=ABSENT),
    _token("no grant", {"client_id": "x", "client_secret": "x"}),
    _token("unknown grant", GRANT | {"grant_type": "nope"}),
    _token("a grant twice", urlencode(GRANT).encode() + b"&grant_type=client_credentials"),
    _token("password grant", GRANT | {"grant_type": "password", "username": "a", "password": "b"}),
    _token("refresh grant", GRANT | {"grant_type": "refresh_token", "refresh_token": "x"}),
    _token("wrong client", GRANT, SHUT_OUT),
    _token("Basic and form", GRANT, Authorization="Basic eDp4"),
    _token("NUL in the id", GRANT | {"client_id": "a\0b"}, SHUT_OUT),
    _token("surrogate in the id", b"grant_type=client_credentials&client_id=%ED%A0%80&client_secret=x", SHUT_OUT),
    _token("a secret of a megabyte", GRANT | {"client_secret": "x" * 1_000_000}),
    _token("a secret of a megabyte in chunks", chunked(urlencode(GRANT).encode(), b"x" * 1_000_000), Transfer_Encoding="chunked"),
    _token("wrong client in chunks", chunked(urlencode(GRANT).encode()), SHUT_OUT, Transfer_Encoding="chunked"),
    _token("2,001 fields", b"&".join(b"a%d=1" % n for n in range(1500))),
    send(288, "token: secret in the URL", "POST", "/oauth/token?client_secret=x", UNUSABLE, b"grant_type=client_credentials",
         Content_Type=FORM, Authorization=ABSENT),
]  # fmt: skip


def _rest(number: int, what: str, method: str, target: str, status: int, body: Any = None, **headers: str) -> Case:
    return send(number, f"REST: {what}", method, f"/api/v1/{target}", (status, None), body, **headers)


REST = [
    _rest(99, "truncated", "POST", "validate?kind=location", 400, b'{"id":'),
    _rest(175, "a mebibyte and a byte", "POST", "validate?kind=location", 413, b" " * 1_048_577),
    _rest(76, "text/plain", "POST", "validate?kind=location", 415, GOOD, Content_Type="text/plain"),
    _rest(91, "gzip that is none", "POST", "imports?kind=locations", 400, b"\x1f\x8bnone", Content_Encoding="gzip"),
    _rest(92, "br", "POST", "imports?kind=locations", 415, b"x", Content_Encoding="br"),
    _rest(96, "empty import", "POST", "imports?kind=locations", 400, b""),
    _rest(252, "no credential", "GET", "problems", 401, Authorization=ABSENT),
    _rest(265, "pull token", "GET", "problems", 403, Authorization="Token {pull}"),
    _rest(266, "import of nobody", "GET", "imports/3f9c1b00-0000-4000-8000-000000000009", 404),
    _rest(266, "import that is no id", "GET", "imports/%00", 404),
    _rest(279, "limit of nonsense", "GET", "problems?limit=%00", 400),
    _rest(41, "TRACE", "TRACE", "problems", 405),
    _rest(59, "%00", "GET", "%00", 404),
    _rest(45, "DELETE", "DELETE", "problems", 405),
]

CASES = CREDENTIALS + PULLS + TOKENS + REST
