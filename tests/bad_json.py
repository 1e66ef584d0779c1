"""Bad inputs E4 to E7: JSON's syntax, numbers, strings, structure and size.

What is not JSON for us is HTTP 400; what is JSON but no Location is 2001. Source: reliability §5; protocol §2.3, §2.6.
"""

import json
from typing import Any

from tests.bad_inputs import DONE, LARGE, LATER, NOT_JSON, REFUSED, TARIFF, Case, patch, put, without
from tests.documents import Body, connector_body, evse_body, location_body, tariff_body

MEBIBYTE = 1 << 20
GOOD = location_body(last_updated=LATER)
INSIDE = json.dumps(GOOD)[1:-1]
SAFE = "https://example.org/"


def _with(text: str | bytes) -> bytes:
    """Return the Location with a member written out."""
    member = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return b"{" + INSIDE.encode() + b", " + member + b"}"


def _instead(name: str, literal: str | bytes) -> bytes:
    """Return the Location with another value of a field, written out."""
    body = json.dumps(without(GOOD, name))[1:-1].encode()
    value = literal if isinstance(literal, bytes) else literal.encode("utf-8", "surrogatepass")
    return b'{"%b": %b, %b}' % (name.encode(), value, body)


def _connector(**changes: Any) -> Body:
    return location_body(last_updated=LATER, evses=[evse_body(connectors=[connector_body(**changes)])])


def _priced(literal: str) -> bytes:
    """Return a Tariff whose first price is written out."""
    return json.dumps(tariff_body(last_updated=LATER)).encode().replace(b"0.3306", literal.encode())


def _priced_case(number: int, literal: str, said: tuple[int, int | None], find: str = "") -> Case:
    return put(number, f"price {literal[:30]}", _priced(literal), said, at=TARIFF, find=find)


PRICE = "/elements/0/price_components/0/price"
POWER = "/evses/0/connectors/0/max_electric_power"

SYNTAX = [
    put(96, "empty body", b"", NOT_JSON),
    put(97, "no body at all", None, NOT_JSON),
    put(98, "white space", b" \t\r\n", NOT_JSON),
    put(99, "truncated", b'{"id":', NOT_JSON),
    put(100, "trailing comma", b"{" + INSIDE.encode() + b",}", NOT_JSON),
    put(101, "comment", b"{" + INSIDE.encode() + b"/* x */}", NOT_JSON),
    put(101, "comment of a line", b"// x\n{" + INSIDE.encode() + b"}", NOT_JSON),
    put(102, "single quotes", b"{'id': 'LOC-0001'}", NOT_JSON),
    put(103, "bare key", b'{id: "LOC-0001"}', NOT_JSON),
    put(104, "two documents", _with('"a": 1') * 2, NOT_JSON),
    put(105, "garbage behind", _with('"a": 1') + b"x", NOT_JSON),
    put(106, "BOM", b"\xef\xbb\xbf" + _with('"a": 1'), NOT_JSON),
    put(107, "utf-16 without a charset", json.dumps(GOOD).encode("utf-16"), NOT_JSON),
    put(107, "utf-32 without a charset", json.dumps(GOOD).encode("utf-32-le"), NOT_JSON),
    put(108, "raw control character", _instead("name", b'"a\x01b"'), NOT_JSON),
    put(108, "raw line break", _instead("name", b'"a\nb"'), NOT_JSON),
    put(109, "raw NUL", _instead("name", b'"a\0b"'), NOT_JSON),
    put(110, "\\x41", _instead("name", '"\\x41"'), NOT_JSON),
    put(111, "\\u12", _instead("name", '"\\u12"'), NOT_JSON),
    *[put(112, literal, _with(f'"a": {literal}'), NOT_JSON) for literal in ("01", "-01", "00")],
    *[put(113, literal, _with(f'"a": {literal}'), NOT_JSON) for literal in ("+1", ".5", "1.", "-", "1e", "1e+")],
    put(114, "0x10", _with('"a": 0x10'), NOT_JSON),
    _priced_case(115, "NaN", NOT_JSON),
    _priced_case(116, "Infinity", NOT_JSON),
    put(117, "-Infinity in an unknown property", _with('"a": -Infinity'), NOT_JSON),
    put(118, "array", [GOOD], REFUSED, find="S-object "),
    put(118, "empty array", [], REFUSED, find="S-object "),
    put(119, "null", b"null", REFUSED, find="S-object "),
    *[put(120, literal, literal.encode(), REFUSED, find="S-object ") for literal in ('"x"', '" x "', "1", "1.5", "true", "false")],
    patch(120, "array for a PATCH", [], REFUSED, find="S-object "),
    patch(120, "text for an EVSE", {"evses": [" x "], "last_updated": LATER}, REFUSED, find="S-object /evses/0"),
    put(121, "id twice", _with('"id": "LOC-0001"'), NOT_JSON),
    put(121, "id twice, spelt otherwise", _with('"\\u0069d": "LOC-0001"'), NOT_JSON),
    put(122, "a key twice inside", _instead("operator", '{"name": "A", "name": "A"}'), NOT_JSON),
    put(122, "a key twice in an unknown property", _with('"x": [{"y": 1, "y": 1}]'), NOT_JSON),
    put(123, "ID in capitals", GOOD | {"ID": "LOC-0001"}, DONE, find="S-unknown /ID"),
    put(124, "keys of other languages", GOOD | {"__proto__": {}, "constructor": 1, "$ref": "#"}, DONE, find="S-unknown /$ref"),
]  # fmt: skip

NUMBERS = [
    _priced_case(127, "1e400", NOT_JSON),
    put(128, "1e400 in an unknown property", _with('"a": 1e400'), NOT_JSON),
    put(128, "-1e400 deep in an unknown property", _with('"a": {"b": [-1e400]}'), NOT_JSON),
    _priced_case(129, "1e-400", NOT_JSON),
    _priced_case(130, "1e1000000000", NOT_JSON),
    put(130, "1e1000000000 in an unknown property", _with('"a": 1e1000000000'), NOT_JSON),
    put(131, "4,000 digits in an unknown property", _with(f'"a": {"1" * 4000}'), NOT_JSON),
    put(132, "5,000 digits", _with(f'"a": {"1" * 5000}'), NOT_JSON),
    put(132, "half a million digits", _with(f'"a": {"1" * 500_000}'), NOT_JSON),
    _priced_case(133, "9007199254740993", REFUSED, f"S-number {PRICE}"),
    _priced_case(133, "9007199254740993.0", REFUSED, f"S-number {PRICE}"),
    _priced_case(134, "9223372036854775808", NOT_JSON),
    _priced_case(134, "999999999999999999", REFUSED, f"S-number {PRICE}"),
    _priced_case(135, "-0", DONE),
    _priced_case(135, "-0.0", DONE),
    _priced_case(136, "0.10000000000000001", REFUSED, f"S-number {PRICE}"),
    _priced_case(136, "0.33065", DONE, f"S-decimals {PRICE}"),
    _priced_case(137, "-0.3306", REFUSED, f"S-number {PRICE}"),
    put(137, "negative power", _connector(max_electric_power=-1), REFUSED, find=f"S-int {POWER}"),
    put(138, "1.5 for a whole number", _connector(max_electric_power=1.5), REFUSED, find=f"S-int {POWER}"),
    put(139, "text for a whole number", _connector(max_electric_power="12"), REFUSED, find=f"S-int {POWER}"),
    put(140, "true for a whole number", _connector(max_electric_power=True), REFUSED, find=f"S-int {POWER}"),
    put(141, "12 for a text", GOOD | {"name": 12}, REFUSED, find="S-text /name"),
    put(142, "true for a text", GOOD | {"name": True}, REFUSED, find="S-text /name"),
    put(143, "coordinates of seven decimals", GOOD | {"coordinates": {"latitude": "52.3731081", "longitude": "4.8922010"}}, DONE),
]  # fmt: skip

STRINGS = [
    put(144, "\\u0000 in a name", _instead("name", '"a\\u0000b"'), REFUSED, find="S-text /name"),
    put(145, "\\u0000 in an unknown property", _with('"x": "a\\u0000b"'), NOT_JSON),
    put(146, "\\u0000 in a key", _with('"a\\u0000b": 1'), NOT_JSON),
    put(147, "lone high surrogate", _instead("name", '"\\ud800"'), NOT_JSON),
    put(148, "lone low surrogate in an unknown property", _with('"x": "\\udc00"'), NOT_JSON),
    put(149, "reversed pair", _with('"x": "\\ude00\\ud83d"'), NOT_JSON),
    put(150, "surrogate in a key", _with('"\\ud800": 1'), NOT_JSON),
    put(151, "CESU-8", _instead("name", b'"\xed\xa0\xbd\xed\xb8\x80"'), NOT_JSON),
    put(152, "overlong slash", _instead("name", b'"\xc0\xaf"'), NOT_JSON),
    put(153, "0xFF", _instead("name", b'"\xff"'), NOT_JSON),
    put(154, "truncated character", _instead("name", b'"\xf0\x9f"'), NOT_JSON),
    put(155, "a pair that is an emoji", _instead("name", '"\\ud83d\\ude00"'), DONE),
    put(156, "turned around and invisible", GOOD | {"name": "a\u202eb\u200bc"}, DONE),
    put(157, "U+FFFE", GOOD | {"name": "a\ufffeb"}, REFUSED, find="S-text /name"),
    put(157, "U+FDD0", GOOD | {"name": "a\ufdd0b"}, REFUSED, find="S-text /name"),
    put(157, "U+10FFFF", GOOD | {"name": "a\U0010ffffb"}, REFUSED, find="S-text /name"),
    put(158, "name of 256 characters", GOOD | {"name": "x" * 256}, REFUSED, find="S-text /name"),
    put(159, "name of a megabyte", GOOD | {"name": "x" * 1_000_000}, REFUSED, find="S-text /name"),
    put(159, "name of more than a mebibyte", GOOD | {"name": "x" * MEBIBYTE}, LARGE),
    *[put(160, word, GOOD | {"name": word}, DONE) for word in ("<script>alert(1)</script>", "{{7*7}}", "'; DROP TABLE x; --")],
    *[put(162, repr(word), GOOD | {"name": word}, REFUSED, find="S-text /name") for word in ("a\r\nb", "a\tb", "a\x7fb", "a\x85b")],
    put(163, "empty address", GOOD | {"address": ""}, REFUSED, find="S-text /address"),
    put(164, "address of spaces", GOOD | {"address": "   "}, REFUSED, find="S-text /address"),
    put(164, "address of no-break spaces", GOOD | {"address": "\u00a0"}, REFUSED, find="S-text /address"),
    put(165, "markup in directions", GOOD | {"directions": [{"language": "nl", "text": "<b>links</b>"}]}, DONE,
        find="S-markup /directions/0/text"),
    *[put(166, url[:40], GOOD | {"operator": {"name": "A", "website": url}}, REFUSED, find="S-url /operator/website")
      for url in ("javascript:alert(1)", "file:///etc/passwd", "gopher://127.0.0.1:6379/_", "http://169.254.169.254/", "http://[::1]/",
                  "http://127.0.0.1/", "https://10.0.0.1/x", "https://localhost/", "data:text/html,x")],
]  # fmt: skip


def _deep(depth: int) -> bytes:
    return _with('"x": ' + '{"a":' * (depth - 1) + "1" + "}" * (depth - 1))


ALIKE = json.dumps(dict.fromkeys((f"AaBBCC{n}" for n in range(40_000)), 1)).encode()
EVSES = [evse_body(uid=f"E{n}", evse_id=f"NL*EXA*E{n}", physical_reference=f"{n}") for n in range(2000)]
ELEMENT = tariff_body()["elements"][1]
BACKTRACKING = ["a" * 40 + "!", " " * 250, "1" * 255, "-" * 255, "0" * 100 + "x"]

STRUCTURE = [
    put(167, "nested 12 deep", _deep(12), DONE),
    put(167, "nested 13 deep", _deep(13), NOT_JSON),
    put(168, "nested 900 deep", _deep(900), NOT_JSON),
    put(169, "1,100 arrays", b"[" * 1100 + b"]" * 1100, NOT_JSON),
    put(170, "1,100 objects", b'{"a":' * 1100 + b"1" + b"}" * 1100, NOT_JSON),
    put(171, "100,000 unclosed", b"[" * 100_000, NOT_JSON),
    put(171, "a million unclosed objects", b'{"a":' * 200_000, NOT_JSON),
    put(172, "300,000 empty arrays", b"[" + b"[]," * 300_000 + b"[]]", NOT_JSON),
    put(173, "100,000 keys", b"{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}", NOT_JSON),
    put(174, "40,000 keys alike", ALIKE, REFUSED),
    put(175, "a mebibyte and a byte", b" " * (MEBIBYTE - 1) + b"{}", LARGE),
    put(176, "3 MB", b" " * 3_000_000, LARGE),
    put(177, "2,000 EVSEs", location_body(last_updated=LATER, evses=EVSES), REFUSED, find="S-items /evses"),
    put(178, "4,000 elements", tariff_body(last_updated=LATER, elements=[ELEMENT] * 4000), REFUSED, at=TARIFF),
    put(178, "1,001 elements", tariff_body(last_updated=LATER, elements=[ELEMENT] * 1001), REFUSED, at=TARIFF, find="S-items /elements"),
    put(179, "null for an optional field", GOOD | {"state": None}, DONE, find="S-null /state"),
    put(180, "null for a required field", GOOD | {"city": None}, REFUSED, find="S-required /city"),
    put(181, "null in a list", GOOD | {"facilities": [None]}, REFUSED, find="S-enum /facilities/0"),
    put(181, "null for an EVSE", GOOD | {"evses": [None]}, REFUSED, find="S-object /evses/0"),
    put(182, "object for a list", GOOD | {"evses": {}}, REFUSED, find="S-list /evses"),
    put(182, "list for an object", GOOD | {"coordinates": []}, REFUSED, find="S-object /coordinates"),
    *[put(183, f"long pattern {n}", GOOD | {"coordinates": {"latitude": text, "longitude": text}, "country": text}, REFUSED,
          find="S-latitude /coordinates/latitude") for n, text in enumerate(BACKTRACKING)],
    *[put(183, f"long time {n}", GOOD | {"last_updated": text}, REFUSED, find="S-date_time /last_updated")
      for n, text in enumerate(BACKTRACKING)],
    *[put(183, f"long URL {n}", GOOD | {"operator": {"name": "A", "website": f"{SAFE[:8]}{text}"}}, REFUSED, find="S-url /operator/website")
      for n, text in enumerate([" " * 240, "@" * 240, "[" * 240])],
]  # fmt: skip

CASES = SYNTAX + NUMBERS + STRINGS + STRUCTURE
