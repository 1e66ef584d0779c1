"""Answers travel compressed to who takes that, and plain to everybody else."""

import gzip

import pytest
import zstandard

from ocpi import compression
from tests import factories
from tests.conftest import CLIENT


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0, *", "zstd"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0, gzip;q=0.001", "gzip"),
        ("gzip;q=2", None),
        ("gzip;q=", None),
        ("gzip;level=9", None),
        ("deflate, br", None),
        (", ,;q=1,", None),
    ],
)
def test_compression_is_what_the_caller_likes(accepted, encoding):
    assert compression.chosen(accepted) == encoding


UNPACK = {
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompress(body),
}


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_page_is_the_plain_page(cpo, pull, encoding):
    for number in range(5):
        factories.put_location(cpo, id=f"L{number}")
    plain = pull.get("/locations")

    packed = CLIENT.get(f"{pull.root}/locations", headers={**pull.headers, "Accept-Encoding": encoding})

    assert (packed["Content-Encoding"], packed["Vary"], plain["Vary"]) == (
        encoding,
        "Accept-Encoding",
        "Accept-Encoding",
    )
    assert UNPACK[encoding](packed.content).partition(b'"timestamp"')[0] == plain.content.partition(b'"timestamp"')[0]
    assert (packed["Content-Length"], packed["ETag"]) == (str(len(packed.content)), plain["ETag"])
    assert "Content-Encoding" not in plain
    assert len(packed.content) * 3 < len(plain.content)


def test_short_answers_stay_plain(cpo, pull):
    response = pull.get("/locations", Accept_Encoding="gzip")

    assert ("Content-Encoding" in response, response["Vary"]) == (False, "Accept-Encoding")


def test_errors_and_documents_are_compressed_too(pull):
    assert CLIENT.get("/api/schema/", headers={"Accept-Encoding": "gzip"})["Content-Encoding"] == "gzip"
