"""Bad inputs E2 and E3: methods, hosts, headers, paths, content types. Source: reliability §5; protocol §2.3, §2.10."""

import gzip
import json
import zlib

from tests.bad_inputs import (
    BAD_REQUEST,
    CREATED,
    DONE,
    LATER,
    LOCATION,
    METHOD,
    NOTHING,
    RECEIVER,
    REFUSED,
    SENDER,
    SHUT,
    TYPE,
    UNKNOWN,
    Case,
    get,
    put,
    send,
)  # fmt: skip
from tests.documents import location_body
from tests.wire import ABSENT

GOOD = location_body(last_updated=LATER)
GOOD_RAW = json.dumps(GOOD).encode()
AT = f"{RECEIVER}/locations/NL/EXA"
BOMB = zlib.compress(b" " * 50_000_000, 9)
ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'


def _under(ocpi_id: str, said: tuple[int, int | None], number: int, what: str, segment: str = "") -> Case:
    """Return the upload of a Location with this id, under it or under another spelling of it."""
    return put(number, what, GOOD | {"id": ocpi_id}, said, at=f"{AT}/{segment or ocpi_id}")


def _typed(number: int, content_type: str, body: bytes = GOOD_RAW, **headers: str) -> Case:
    """Return an upload whose type or encoding we do not take."""
    return put(number, repr(content_type)[1:61], body, TYPE, **{"Content_Type": content_type} | headers)


METHODS_AND_HOSTS = [
    send(41, "TRACE", "TRACE", LOCATION, METHOD),
    send(43, "get in small letters", "get", LOCATION, DONE),
    send(44, "method of 30 letters", "A" * 30, LOCATION, METHOD),
    send(45, "DELETE of a Location", "DELETE", LOCATION, METHOD),
    send(46, "POST of a Location", "POST", LOCATION, METHOD, GOOD),
    send(47, "OPTIONS", "OPTIONS", LOCATION, DONE, Origin="https://evil.example"),
    send(48, "HEAD", "HEAD", LOCATION, (200, None)),
    get(49, "another method in a header", LOCATION, DONE, X_HTTP_Method_Override="DELETE"),
    put(50, "no Host", GOOD, BAD_REQUEST, Host=ABSENT),
    put(51, "two Hosts", GOOD, BAD_REQUEST, Host="localhost\r\nHost: evil.example"),
    put(52, "Host of somebody else", GOOD, BAD_REQUEST, Host="evil.example"),
    put(53, "Host with a port that is none", GOOD, BAD_REQUEST, Host="localhost:99999999"),
    put(53, "Host with port 65536", GOOD, BAD_REQUEST, Host="localhost:65536"),
    put(53, "Host with letters for a port", GOOD, BAD_REQUEST, Host="localhost:http"),
    put(54, "Host with a user", GOOD, BAD_REQUEST, Host="localhost@evil.example"),
    put(54, "Host with a user of ours", GOOD, BAD_REQUEST, Host="evil.example@localhost"),
    put(54, "Host with a slash", GOOD, BAD_REQUEST, Host="localhost/evil.example"),
    put(54, "Host of nothing", GOOD, BAD_REQUEST, Host=""),
    get(55, "X-Forwarded-Host", "/ocpi/receiver/versions", DONE, X_Forwarded_Host="evil.example", Forwarded="host=evil.example"),
    put(56, "a length with an underscore", GOOD, DONE, **{"Content~Length": "5"}),
    put(56, "an encoding with an underscore", GOOD, DONE, **{"Transfer~Encoding": "gzip"}),
    get(57, "fifty addresses forwarded for", LOCATION, DONE, X_Forwarded_For=", ".join(["10.0.0.1"] * 50)),
    get(57, "an address that is none", LOCATION, DONE, X_Forwarded_For="' OR 1=1 --"),
]  # fmt: skip

PATHS = [
    get(59, "%00 in an id", f"{AT}/a%00b", UNKNOWN),
    _under("a\0b", UNKNOWN, 59, "%00 in an id, uploaded", "a%00b"),
    get(59, "%00 where nothing is", "/ocpi/%00", NOTHING),
    get(60, "%FF in an id", f"{AT}/a%FFb", UNKNOWN),
    _under("a%FFb", UNKNOWN, 60, "%FF in an id, uploaded"),
    _under("a%FFb", CREATED, 60, "%FF that is part of an id: OCPI lets it", "a%25FFb"),
    _under("a/b", UNKNOWN, 60, "overlong slash", "a%C0%AFb"),
    get(61, "surrogate in an id", f"{AT}/a%ED%A0%80b", UNKNOWN),
    get(62, "CRLF in an id", f"{AT}/a%0d%0aSet-Cookie:%20x=y", UNKNOWN),
    get(62, "CRLF behind a slash", f"{AT}/LOC-0001%0d%0a", UNKNOWN),
    get(63, "..%2f..", f"{AT}/..%2f..%2fRIV%2fLOC-0001", UNKNOWN),
    get(63, "dots", f"{AT}/../RIV/LOC-0001", UNKNOWN),
    get(64, "//", f"{RECEIVER}/locations//NL/EXA/LOC-0001", UNKNOWN),
    get(64, "/./", f"{RECEIVER}/./locations/NL/EXA/LOC-0001", NOTHING),
    get(65, "id of 37 characters", f"{AT}/{'x' * 37}", UNKNOWN),
    put(65, "id of 37 characters, uploaded", GOOD | {"id": "x" * 37}, REFUSED, at=f"{AT}/{'x' * 37}", find="S-identifier /id"),
    put(66, "id of 200 characters", GOOD | {"id": "x" * 200}, REFUSED, at=f"{AT}/{'x' * 200}", find="S-identifier /id"),
    put(66, "id of 3,000 characters", GOOD | {"id": "x" * 3000}, REFUSED, at=f"{AT}/{'x' * 3000}", find="S-identifier /id"),
    _under("a\tb", UNKNOWN, 67, "tab in an id", "a%09b"),
    _under("a b", CREATED, 67, "space in an id: OCPI lets it", "a%20b"),
    _under("<script>", CREATED, 67, "markup in an id: OCPI lets it, pages escape it", "%3Cscript%3E"),
    _under("caf\u00e9", UNKNOWN, 68, "letter that is not ASCII in an id", "caf%C3%A9"),
    put(68, "letter that is not ASCII in the body's id", GOOD | {"id": "caf\u00e9"}, REFUSED, find="L-14 /id"),
    _under("loc-0001", DONE, 69, "id in another case is the same object"),
    _under("LOC-0001", DONE, 70, "slash at the end", "LOC-0001/"),
    get(70, "slash at the end of a list", f"{SENDER}/locations/", DONE, token="pull"),
    get(71, "Accept: text/html", LOCATION, DONE, Accept="text/html"),
    get(71, "Accept: application/xml and nothing else", LOCATION, DONE, Accept="application/xml, */*;q=0"),
    get(72, "Accept of bytes", LOCATION, DONE, Accept="\xff\xfe"),
    get(73, "?format=xml", f"{LOCATION}?format=xml", DONE),
    get(73, "?format=%FF", f"{LOCATION}?format=%FF&%00=%00", DONE),
    get(74, "Range", f"{SENDER}/locations", DONE, token="pull", Range="bytes=0-1"),
    get(75, "a session's cookie", LOCATION, SHUT, Authorization=ABSENT, Cookie="session=abc; csrf=def"),
    put(75, "a session's cookie beside a token", GOOD, DONE, Cookie="session=abc\xff; csrf=; =; ;;"),
]  # fmt: skip

TYPES = [
    _typed(76, "text/plain"),
    put(77, "no type", GOOD, TYPE, Content_Type=ABSENT),
    put(77, "empty type", GOOD, TYPE, Content_Type=""),
    _typed(78, "application/x-www-form-urlencoded", b"id=LOC-0001&party_id=EXA"),
    _typed(79, "multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="id"\r\n\r\nLOC\r\n--x--\r\n'),
    _typed(79, "multipart/form-data"),
    _typed(80, ";;;"),
    _typed(80, "/"),
    _typed(80, "application/json\xff"),
    put(81, "charset of nothing", GOOD, DONE, Content_Type="application/json;charset"),
    put(81, "type in capitals, charset in quotes", GOOD, DONE, Content_Type='Application/JSON; Charset="UTF-8"'),
    _typed(82, "application/json; charset=utf-16", json.dumps(GOOD).encode("utf-16")),
    _typed(83, "application/json; charset=utf-7"),
    _typed(84, "application/json; charset=latin-1", b'{"id": "\xff"}'),
    _typed(85, "application/json; charset=idna", b'{"id": "' + b"\xc3\xa9" * 50_000 + b'"}'),
    _typed(86, "application/json; charset=unicode_escape"),
    _typed(87, "application/json; charset=zlib", BOMB),
    *[_typed(88, f"application/json; charset={name}") for name in ("bz2", "rot13", "uu", "base64", "hex", "quopri")],
    _typed(89, "application/json; charset=nope"),
    _typed(90, "application/json; charset=punycode"),
    put(91, "gzip", gzip.compress(GOOD_RAW), TYPE, Content_Encoding="gzip"),
    put(91, "gzip bomb", gzip.compress(b" " * 1_000_000), TYPE, Content_Encoding="gzip"),
    *[put(92, name, GOOD, TYPE, Content_Encoding=name) for name in ("br", "zstd", "nonsense", "gzip, gzip", "identity, gzip")],
    _typed(93, "application/vnd.api+json"),
    _typed(93, "application/merge-patch+json"),
    _typed(94, "application/xml", ENTITIES),
    put(95, "two types, JSON first", GOOD, DONE, Content_Type="application/json\r\nContent-Type: text/plain"),
    put(95, "two types, JSON last", GOOD, TYPE, Content_Type="text/plain\r\nContent-Type: application/json"),
]  # fmt: skip

CASES = METHODS_AND_HOSTS + PATHS + TYPES
