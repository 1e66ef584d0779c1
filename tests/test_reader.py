"""The strict reader: what is JSON, what is not, and that the quick way and the exact way say the same."""

import contextlib
import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpi import reader
from ocpi.reader import Inexact, NotJson, read
from tests import json_cases
from tests.documents import location_body, tariff_body

MEBIBYTE = 1 << 20


def nested(depth: int) -> bytes:
    """Return a document of so many objects and arrays inside each other."""
    return b'{"a":[' * (depth // 2) + b"1" + b"]}" * (depth // 2)


REFUSED = {
    # Syntax (reliability E4)
    "empty": b"",
    "blank": b" \t\r\n",
    "truncated": b'{"id":',
    "trailing comma": b'{"status": "AVAILABLE",}',
    "comment": b'{"a": 1 /* one */}',
    "single quotes": b"{'a': 1}",
    "bare key": b"{a: 1}",
    "two documents": b'{"a": 1} {"a": 1}',
    "garbage behind": b'{"a": 1}x',
    "BOM": b'\xef\xbb\xbf{"a": 1}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "latin-1": b'{"a": "\xe9"}',
    "overlong": b'{"a": "\xc0\xaf"}',
    "CESU-8": b'{"a": "\xed\xa0\xbd\xed\xb8\x80"}',
    "truncated character": b'{"a": "\xf0\x9f"}',
    "raw control character": b'{"a": "\x01"}',
    "raw NUL": b'{"a": "\x00"}',
    "bad escape": b'{"a": "\\x41"}',
    "short escape": b'{"a": "\\u12"}',
    "leading zero": b'{"a": 01}',
    "plus": b'{"a": +1}',
    "no digit before the point": b'{"a": .5}',
    "no digit behind the point": b'{"a": 1.}',
    "hex": b'{"a": 0x10}',
    "NaN": b'{"price": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"x": {"y": -Infinity}}',
    # Two readers could differ
    "key twice": b'{"id": "a", "id": "a"}',
    "key twice, spelt otherwise": b'{"id": 1, "\\u0069d": 2}',
    "key twice, deep": b'{"a": [{"b": {"c": 1, "d": "", "c": 1}}]}',
    "key twice, made up for by quotes": b'{"a": "", "a": "", "b": "\\u0022\\u0022\\u0022\\u0022"}',
    "key twice, made up for by \\": b'{"a": "", "a": "", "b": "\\\\\\"\\\\\\"\\\\\\"\\\\\\""}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "lone low surrogate": b'{"x": "\\udc00"}',
    "reversed pair": b'{"x": "\\ude00\\ud83d"}',
    "surrogate in a key": b'{"\\ud800": 1}',
    "NUL in a key": b'{"a\\u0000": 1}',
    "line break in a key": b'{"a\\n": 1}',
    "C1 in a key": b'{"a\xc2\x85": 1}',
    "DEL in a key": b'{"a\x7f": 1}',
    "DEL in a key, escaped": b'{"a\\u007F": 1}',
    "C1 in a key, escaped": b'{"a\\u0085": 1}',
    "NUL in an unknown property": b'{"x": "\\u0000"}',
    "NUL deep in an unknown property": b'{"evses": [{"x": {"name": ["\\u0000"]}}]}',
    # Absurd numbers (reliability E5)
    "19 digits": b'{"a": 1000000000000000000}',
    "4,000 digits": b'{"x": ' + b"1" * 4000 + b"}",
    "5,000 digits alone": b"1" * 5000,
    "21 digits behind the point": b'{"a": 0.123456789012345678901}',
    "exponent 16": b'{"a": 1e16}',
    "exponent -16": b'{"a": [1E-016]}',
    "1e400": b'{"price": 1e400}',
    "1e-400": b'{"price": 1e-400}',
    "1e1000000000": b'{"a": 1e1000000000}',
    # Size (reliability E7)
    "nested 13 deep": b"[" + nested(12) + b"]",
    "nested 13 deep, hidden by strings": b'{"a":"]]]]}}","b":' + nested(12) + b',"c":"[[[[{{"}',
    "nested 900 deep": b"[" * 900 + b"]" * 900,
    "1,100 objects": b'{"a":' * 1100 + b"1" + b"}" * 1100,
    "unclosed": b"[" * 100_000,
    "20,001 arrays": b"[" + b"[]," * 19_999 + b"[]]",
    "100,000 keys": b"{" + b",".join(b'"%d":1' % i for i in range(100_000)) + b"}",
}

READ = {
    b"null": None,
    b"[]": [],
    b' {"a" : [ 1 , 2.50 , true , null ] }\n': {"a": [1, 2.5, True, None]},
    b'{"n": 16.0}': {"n": 16.0},
    b'{"n": [-0, -0.0, -1, -1.5, 1E5, 25e-1]}': {"n": [0, 0.0, -1, -1.5, 100000.0, 2.5]},
    b'{"n": [999999999999999999, 9007199254740993]}': {"n": [999999999999999999, 9007199254740993]},
    b'{"n": 52.3731081}': {"n": 52.3731081},
    b'{"n": [1e15, 1e-15]}': {"n": [1e15, 1e-15]},
    b'{"n": 0.30000000000000004}': {"n": 0.30000000000000004},
    b'{"n": 0.5000000000000000000}': {"n": 0.5},
    b'{"n": 0.1000000000000000001}': {"n": Inexact("0.1000000000000000001")},
    b'{"n": 12345678901234567.8}': {"n": Inexact("12345678901234567.8")},
    b'{"ID": 1, "id": 2, "__proto__": {}, "$ref": ""}': {"ID": 1, "id": 2, "__proto__": {}, "$ref": ""},
    b'{"s": "\\u00e9\\/\\\\\\"\\ud83d\\ude00", "t": "\\n"}': {"s": 'é/\\"😀', "t": "\n"},
    b'{"name": "\\u0000", "evses": [{"uid": "\\u0000"}]}': {"name": "\0", "evses": [{"uid": "\0"}]},
    b'{"s": "}]{[,:1e99 12345678901234567890 -"}': {"s": "}]{[,:1e99 12345678901234567890 -"},
    '{"s": "20 °C\x85\u202e"}'.encode(): {"s": "20 °C\x85\u202e"},
    nested(12): json.loads(nested(12)),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_read_refuses(raw):
    with pytest.raises(NotJson) as error:
        read(raw)

    assert 0 < len(str(error.value)) < 200


@pytest.mark.parametrize(("raw", "document"), READ.items())
def test_read_gives_exactly_what_stands_there(raw, document):
    assert repr(read(raw)) == repr(document)


@pytest.mark.parametrize("body", [location_body(name='Café "De Zaak" \\ 😀'), tariff_body()])
@pytest.mark.parametrize("style", [{"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}])
def test_read_of_ordinary_bodies_does_not_go_the_exact_way(monkeypatch, body, style):
    monkeypatch.delattr(reader, "_read_exactly")

    assert read(json.dumps(body, **style).encode()) == body


HEAVY = [
    b'["' + b'\\"' * (MEBIBYTE // 2) + b'"]',
    b"[" + b'"",' * 49_000 + b"{}]",
    b"[" + b"[]," * (MEBIBYTE // 3) + b"[]]",
    b"{" + b",".join(b'"%d":1.0000000000000' % i for i in range(49_999)) + b"}",
    b"{" + b",".join(b'"%d":1' % i for i in range(49_000)) + b',"48999":1}',
    b'{"a":' + b"9" * MEBIBYTE + b"}",
    b'{"a":1e' + b"0" * MEBIBYTE + b"1}",
]


PLAIN = b"{" + b",".join(b'"%d":1.5' % i for i in range(49_999)) + b"}"


def cpu_s(work: Callable[[], object]) -> float:
    """Return the processor time that a piece of work takes."""
    start = time.process_time()
    with contextlib.suppress(NotJson):
        work()
    return time.process_time() - start


@pytest.mark.parametrize("raw", HEAVY, ids=range(len(HEAVY)))
def test_read_of_any_megabyte_costs_little_more_than_json_takes_for_a_plain_one(raw):
    plain = cpu_s(lambda: json.loads(PLAIN, parse_float=Decimal, object_pairs_hook=dict))

    assert cpu_s(lambda: read(raw)) < 6 * plain  # twice it at most; what grows with the square would be hundreds


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
documents = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from("ab"), inner), max_leaves=12
)
styles = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}])
cuts = st.tuples(
    st.integers(0, 60), st.integers(0, 8), st.sampled_from(["", '"', "\\", "}", "[", "1e9", '"a":1,', "-"])
)


def outcome(read_it: Any, raw: bytes) -> str:
    """Return the document as text, or that there is none."""
    try:
        return repr(read_it(raw))
    except ValueError:
        return "not JSON"


@settings(max_examples=400, derandomize=True, deadline=None)
@given(documents, styles, st.none() | cuts)
def test_read_says_what_the_exact_way_says(document, style, cut):
    text = json.dumps(document, **style)
    if cut is not None:
        at, length, instead = cut
        text = text[:at] + instead + text[at + length :]
    raw = text.encode("utf-8", "surrogatepass")

    quick = outcome(read, raw)

    if quick != "not JSON":
        assert quick == outcome(reader._read_exactly, raw)
    elif "\\u" not in text and raw.count(b"[") + raw.count(b"{") <= reader.MAX_DEPTH:
        assert outcome(reader._read_exactly, raw) == quick


@pytest.mark.parametrize("name", json_cases.RAW)
def test_read_of_each_case_of_the_syntax(name):
    try:
        read(json_cases.RAW[name])
        is_read = True
    except NotJson:
        is_read = False

    assert is_read == json_cases.READ[name]
