"""NDW's daily pull of everybody, as a process of its own: every page of both lists of each party, along Link.

python -m tests.load.crawl '{"port": 8000, "tokens": {"AAL": "…"}}'

prints {"objects": n, "pages": n, "bytes": n, "seconds": s, "page_s": […], "problems": […]}: a list has to hold as many
different objects as its X-Total-Count says.
"""

import http.client
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import orjson
from isal import igzip


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Crawl once; the figures of it."""
    began, page_s, size, problems, objects = time.perf_counter(), [], 0, [], 0
    client = http.client.HTTPConnection("127.0.0.1", asked["port"], timeout=60)
    for party, token in asked["tokens"].items():
        headers = {"Authorization": f"Token {token}", "Accept-Encoding": "gzip"}
        for kind in ("locations", "tariffs"):
            path, ids, total = f"/ocpi/sender/NL/{party}/2.2.1/{kind}?limit=1000", set(), 0
            while path:
                sent = time.perf_counter()
                client.request("GET", path, headers=headers)
                answer = client.getresponse()
                body = answer.read()
                page_s.append(time.perf_counter() - sent)
                size += len(body)
                if answer.status != 200:
                    problems.append(f"{path}: HTTP {answer.status}")
                    break
                ids |= {one["id"] for one in orjson.loads(_plain(answer, body))["data"]}
                total = int(answer.headers["X-Total-Count"])
                link = urlsplit(answer.headers.get("Link", "").partition(">")[0].removeprefix("<"))
                path = f"{link.path}?{link.query}" if link.path else ""
            objects += len(ids)
            if len(ids) != total:
                problems.append(f"{party} {kind}: {len(ids)} of {total}")
    return {
        "objects": objects, "pages": len(page_s), "bytes": size, "seconds": time.perf_counter() - began,
        "page_s": page_s, "problems": problems,
    }  # fmt: skip


def _plain(answer: http.client.HTTPResponse, body: bytes) -> bytes:
    return igzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
