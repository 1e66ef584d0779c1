"""NDW pulls: versions, single objects and lists, page by page, byte for byte as they are stored."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from ocpi.models import Location
from tests import factories, stored
from tests.conftest import CLIENT, Caller
from tests.documents import connector_body, evse_body, location_body

HOST = "http://testserver"


def answer(response: Any) -> tuple[int, int]:
    """Return HTTP status and OCPI status code."""
    return response.status_code, response.envelope["status_code"]


def ids(response: Any) -> list[str]:
    """Return the ids in a list answer."""
    return [document["id"] for document in response.envelope["data"]]


def next_url(response: Any) -> str:
    """Return where Link leads; "" on the last page."""
    match = re.fullmatch(r'<([^>]*)>; rel="next"', response.get("Link", ""))
    return match[1] if match else ""


def next_path(pull: Caller, response: Any) -> str:
    """Return where Link leads, as a path of the caller; "" on the last page."""
    return next_url(response).removeprefix(HOST + pull.root)


def crawl(pull: Caller, path: str) -> list[Any]:
    """Follow Link to the end; return the answers."""
    pages = [pull.get(path)]
    while following := next_path(pull, pages[-1]):
        pages.append(pull.get(following))
    return pages


@pytest.fixture
def tariffs(cpo: Any) -> list[str]:
    """Ten Tariffs T0 to T9, each a day newer than the one before."""
    for n in range(10):
        factories.put_tariff(cpo, id=f"T{n}", last_updated=f"2026-03-{n + 1:02}T00:00:00Z")
    return [f"T{n}" for n in range(10)]


# --- Versions ----------------------------------------------------------------------------------------------------------


def test_sender_versions_lead_to_the_modules(cpo, pull):
    root = f"{HOST}/ocpi/sender/NL/EXA"
    client = Caller("/ocpi/sender/nl/exa", pull.headers)

    assert client.get("/versions").envelope["data"] == [{"version": "2.2.1", "url": f"{root}/2.2.1"}]
    assert client.get("/2.2.1").envelope["data"] == {
        "version": "2.2.1",
        "endpoints": [
            {"identifier": "locations", "role": "SENDER", "url": f"{root}/2.2.1/locations"},
            {"identifier": "tariffs", "role": "SENDER", "url": f"{root}/2.2.1/tariffs"},
        ],
    }


def test_receiver_versions_lead_to_the_modules(cpo, upload):
    root = f"{HOST}/ocpi/receiver"
    client = Caller("/ocpi/receiver", upload.headers)

    assert client.get("/versions").envelope["data"] == [{"version": "2.2.1", "url": f"{root}/2.2.1"}]
    assert client.get("/2.2.1").envelope["data"] == {
        "version": "2.2.1",
        "endpoints": [
            {"identifier": "locations", "role": "RECEIVER", "url": f"{root}/2.2.1/locations"},
            {"identifier": "tariffs", "role": "RECEIVER", "url": f"{root}/2.2.1/tariffs"},
        ],
    }


def test_urls_of_versions_and_links_come_from_the_configuration(cpo, pull, tariffs, settings):
    settings.PUBLIC_URL = "https://gw.example"

    version = Caller("/ocpi/sender/NL/EXA", pull.headers).get("/versions", X_Forwarded_Host="evil.example")
    page = pull.get("/tariffs?limit=1", X_Forwarded_Host="evil.example")

    assert version.envelope["data"][0]["url"] == "https://gw.example/ocpi/sender/NL/EXA/2.2.1"
    assert page["Link"].startswith("<https://gw.example/ocpi/sender/NL/EXA/2.2.1/tariffs?offset=1&limit=1&after=")


def test_foreign_host_is_400_in_an_envelope(cpo, pull):
    response = pull.get("/tariffs", Host="evil.example")

    assert (answer(response), response["Content-Type"]) == ((400, 2000), "application/json")


# --- Single objects ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_single_location_evse_and_connector(cpo, pull, slash):
    factories.put_location(cpo, evses=[evse_body(), evse_body(uid="EVSE-2", connectors=[connector_body(id="A/2"[0])])])

    expected = {
        "/locations/loc-0001/evse-1": evse_body(),
        "/locations/LOC-0001/EVSE-1/1": connector_body(),
        "/locations/LOC-0001/EVSE-2/a": connector_body(id="A"),
        "/locations/LOC-0001": stored.document(cpo),
    }
    assert {path: pull.get(path + slash).envelope["data"] for path in expected} == expected


@pytest.mark.parametrize("path", ["/locations/NONE", "/locations/LOC-0001/NONE", "/locations/LOC-0001/EVSE-1/NONE"])
def test_unknown_object_is_404(cpo, pull, path):
    factories.put_location(cpo)

    assert answer(pull.get(path)) == (404, 2003)


def test_there_is_no_single_tariff(cpo, pull):
    factories.put_tariff(cpo)

    response = pull.get("/tariffs/ADHOC-1")

    assert (answer(response), response["Content-Type"]) == ((404, 2000), "application/json")


def test_removed_evses_are_served(cpo, pull):
    factories.put_location(cpo, evses=[evse_body(status="REMOVED")])

    assert pull.get("/locations").envelope["data"][0]["evses"][0]["status"] == "REMOVED"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/locations", "/locations/LOC-0001", "/tariffs"])
def test_sender_is_read_only(cpo, pull, method, path):
    factories.put_location(cpo)
    before = stored.everything(cpo)

    response = pull.call(method, path, location_body())

    assert (answer(response), response["Allow"]) == ((405, 2000), "GET, HEAD, OPTIONS")
    assert stored.everything(cpo) == before


def test_head_and_options_answer_without_a_body_of_data(cpo, pull, tariffs):
    head, options = pull.call("HEAD", "/tariffs?limit=3"), pull.call("OPTIONS", "/tariffs")

    assert (head.status_code, head.content, head["X-Total-Count"]) == (200, b"", "10")
    assert (answer(options), options["Allow"]) == ((200, 1000), "GET, HEAD, OPTIONS")
    assert "Access-Control-Allow-Origin" not in options


# --- Bytes -------------------------------------------------------------------------------------------------------------


def test_served_bytes_are_the_stored_bytes(cpo, pull):
    names = ['Café 😀 \\ "quoted"', "'; drop table ocpi_location; --", "{{7*7}} <script>", "]}],\u2028"]
    for n, name in enumerate(names):
        factories.put_location(cpo, id=f"L{n}", name=name.replace("\u2028", ""))

    response = pull.get("/locations")

    bodies = [bytes(row.body) for row in Location.objects.order_by("pk")]
    assert response.content.startswith(b'{"data":[' + b",".join(bodies) + b'],"status_code":1000,')
    assert pull.get("/locations/L0").content.startswith(b'{"data":' + bodies[0] + b',"status_code":1000,')


def test_list_is_in_the_order_of_creation(cpo, pull, tariffs):
    factories.put_tariff(cpo, id="T0", currency="SEK", last_updated="2026-04-01T00:00:00Z")

    assert ids(pull.get("/tariffs")) == tariffs


def test_deleted_tariffs_and_withheld_locations_are_not_listed_or_counted(cpo, pull, upload, tariffs):
    upload.delete("/tariffs/NL/EXA/T3")
    factories.put_location(cpo, id="L1", energy_mix=None)
    factories.put_location(cpo, id="L2", publish=False)

    page, locations = pull.get("/tariffs"), pull.get("/locations")

    assert (ids(page), page["X-Total-Count"]) == ([t for t in tariffs if t != "T3"], "9")
    assert (locations.envelope["data"], locations["X-Total-Count"]) == ([], "0")


# --- Pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "served", "limit"),
    [
        ("", [10], "100"),
        ("?limit=10", [10], "10"),
        ("?limit=11", [10], "11"),
        ("?limit=9", [9, 1], "9"),
        ("?limit=5", [5, 5], "5"),
        ("?limit=3", [3, 3, 3, 1], "3"),
        ("?limit=1", [1] * 10, "1"),
        ("?offset=4&limit=3", [3, 3], "3"),
        ("?offset=9&limit=1", [1], "1"),
        ("?offset=10", [0], "100"),
        ("?offset=999999999999999999&limit=1", [0], "1"),
        ("?limit=1000", [10], "1000"),
        ("?limit=1001", [10], "1000"),
        ("?limit=999999999999999999", [10], "1000"),
        ("?page=2&size=3&what=%FF", [10], "100"),
    ],
)
def test_pages_of_a_crawl(pull, tariffs, query, served, limit):
    pages = crawl(pull, "/tariffs" + query)

    start = dict(parse_qsl(query[1:])).get("offset", 0)
    assert [len(page.envelope["data"]) for page in pages] == served
    assert [ocpi_id for page in pages for ocpi_id in ids(page)] == tariffs[int(start) :]
    assert {(answer(page), page["X-Total-Count"], page["X-Limit"]) for page in pages} == {((200, 1000), "10", limit)}


@pytest.mark.parametrize("count", [0, 1])
def test_a_list_of_none_or_one(cpo, pull, count):
    for _ in range(count):
        factories.put_location(cpo)

    response = pull.get("/locations/")

    assert response.envelope["data"] == [location_body()] * count
    assert (response["X-Total-Count"], response["X-Limit"], "Link" in response) == (str(count), "100", False)


def test_link_carries_the_filters_offset_and_limit(pull, tariffs):
    query = {"date_from": "2026-03-02T00:00:00", "date_to": "2026-03-09T00:00:00.5Z", "offset": "1", "limit": "3"}

    url = urlsplit(next_url(pull.get(f"/tariffs?{urlencode(query)}&page=7")))

    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{HOST}{pull.root}/tariffs"
    carried = dict(parse_qsl(url.query))
    assert {**carried, "after": ""} == {**query, "offset": "4", "after": ""}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("date_from=2026-03-04T00:00:00Z", "T3 T4 T5 T6 T7 T8 T9"),
        ("date_from=2026-03-04T00:00:00.001Z", "T4 T5 T6 T7 T8 T9"),
        ("date_to=2026-03-04T00:00:00", "T0 T1 T2"),
        ("date_to=2026-03-04T00:00:00.001", "T0 T1 T2 T3"),
        ("date_from=2026-03-03T00:00:00Z&date_to=2026-03-05T00:00:00Z", "T2 T3"),
        ("date_from=2026-03-03T00:00:00Z&date_to=2026-03-03T00:00:00Z", ""),
        ("date_from=2026-03-05T00:00:00Z&date_to=2026-03-03T00:00:00Z", ""),
        ("date_from=0001-01-01T00:00:00Z&date_to=9999-12-31T23:59:59.999Z", "T0 T1 T2 T3 T4 T5 T6 T7 T8 T9"),
    ],
)
def test_filters_are_half_open(pull, tariffs, query, expected):
    pages = crawl(pull, f"/tariffs?limit=2&{query}")

    assert [ocpi_id for page in pages for ocpi_id in ids(page)] == expected.split()
    assert {page["X-Total-Count"] for page in pages} == {str(len(expected.split()))}


def test_location_filter_looks_at_the_served_time_of_the_whole(cpo, pull, upload):
    factories.put_location(cpo)
    upload.patch(
        "/locations/NL/EXA/LOC-0001/EVSE-1/1", {"max_amperage": 16, "last_updated": "2026-03-05T00:00:00.250Z"}
    )

    assert ids(pull.get("/locations?date_from=2026-03-05T00:00:00.250Z")) == ["LOC-0001"]
    assert ids(pull.get("/locations?date_from=2026-03-05T00:00:00.251Z")) == []
    assert ids(pull.get("/locations?date_to=2026-03-05T00:00:00.250Z")) == []


@pytest.mark.parametrize(
    "query",
    [
        *(f"limit={value}" for value in ("0", "00", "-1", "abc", "1.5", "1e3", "", "%00", "+5", "9" * 5000, "%D9%A1", "0x1")),
        *(f"offset={value}" for value in ("-1", "abc", "1.5", "", "9" * 19, "%EF%BC%91", "1_0")),
        *(
            f"{name}={value}"
            for name in ("date_from", "date_to")
            for value in (
                "", "yesterday", "2026-03-02", "2026-02-30T00:00:00Z", "2026-03-02T00:00:00+01:00", "1772409600",
                "2026-03-02T00:00:00%2B00:00", "2026-03-02 00:00:00Z", "2026-03-02T00:00:00z", "2026-03-02T24:00:00Z",
                "2026-03-02T00:00:60Z", "0000-01-01T00:00:00Z", "2026-03-02T00:00:00.1234Z", "2026-03-02T00:00:00Z%0A",
                "%EF%BC%92026-03-02T00:00:00Z", "'", "2026-03-02T00:00:00Z%00",
            )
        ),
        *(f"after={value}" for value in ("", "0", "x", "azE=" * 9, "k1", "%00", "%FF", "LTE", "a" * 5000)),
        "limit=5&limit=abc",
    ],
)  # fmt: skip
def test_bad_parameter_is_2001_and_named(pull, tariffs, query):
    response = pull.get(f"/tariffs?{query}")

    assert answer(response) == (200, 2001)
    assert response.envelope["status_message"].startswith(query.partition("=")[0] + ": ")
    assert "data" not in response.envelope


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "idna", "nope"])
def test_charset_of_a_get_does_not_change_how_the_query_is_read(pull, tariffs, charset):
    response = CLIENT.get(
        f"{pull.root}/tariffs?limit=12", headers=pull.headers, CONTENT_TYPE=f"application/json; charset={charset}"
    )

    assert (response.status_code, response["X-Limit"]) == (200, "12")


# --- While others write ------------------------------------------------------------------------------------------------


def test_crawl_by_link_sees_what_exists_throughout_exactly_once(cpo, pull):
    for n in range(30):
        factories.put_location(cpo, id=f"L{n:02}")
    lasting = [f"L{n:02}" for n in range(30) if n % 5 != 2]

    seen, following = [], "/locations?limit=4"
    for step in range(20):
        page = pull.get(following)
        seen += ids(page)
        factories.put_location(cpo, id=f"NEW{step}")  # comes in behind
        hidden = f"L{(step % 6) * 5 + 2:02}"  # leaves, before or behind the crawl
        factories.put_location(cpo, id=hidden, publish=False, last_updated="2026-03-03T00:00:00Z")
        factories.put_location(cpo, id="L29", name=f"v{step}", last_updated=f"2026-03-04T00:00:{step:02}Z")
        following = next_path(pull, page)
        if not following:
            break

    assert following == ""
    assert [ocpi_id for ocpi_id in seen if ocpi_id in lasting] == lasting
    assert len(seen) == len(set(seen))


def test_after_leads_on_even_when_its_own_row_is_gone(cpo, pull, tariffs, upload):
    following = next_path(pull, pull.get("/tariffs?limit=3"))
    for gone in ("T0", "T2", "T3"):
        upload.delete(f"/tariffs/NL/EXA/{gone}")

    page = pull.get(following)

    assert (ids(page), page["X-Total-Count"]) == (["T4", "T5", "T6"], "7")


def test_bare_offset_still_works_for_who_does_not_follow_link(pull, tariffs):
    assert [ids(pull.get(f"/tariffs?offset={offset}&limit=4")) for offset in (0, 4, 8, 12)] == [
        tariffs[:4], tariffs[4:8], tariffs[8:], []
    ]  # fmt: skip


# --- Asked again -------------------------------------------------------------------------------------------------------


def again(pull: Caller, path: str, tag: str) -> int:
    """Return the HTTP status for who holds the answer with this tag."""
    return pull.get(path, If_None_Match=tag).status_code


@pytest.mark.parametrize(
    "path", ["/locations", "/locations?limit=1", "/locations/LOC-0001", "/locations/LOC-0001/EVSE-1/1"]
)
def test_known_answer_is_304_until_something_in_it_changes(cpo, pull, upload, path):
    factories.put_location(cpo)
    factories.put_location(cpo, id="LOC-0002")
    first = pull.get(path)
    known = pull.get(path, If_None_Match=first["ETag"])
    assert (known.status_code, known.content, known["ETag"], known["Vary"]) == (
        304,
        b"",
        first["ETag"],
        "Accept-Encoding",
    )

    upload.patch("/locations/NL/EXA/LOC-0001/EVSE-1", {"status": "CHARGING", "last_updated": "2026-03-05T00:00:00Z"})

    fresh = pull.get(path, If_None_Match=first["ETag"])
    assert (fresh.status_code, fresh["ETag"] != first["ETag"]) == (200, True)
    assert first["Cache-Control"] == fresh["Cache-Control"] == "private, no-cache"


def test_tag_of_a_page_tells_of_what_comes_and_goes_elsewhere(cpo, pull, upload, tariffs):
    last, middle = pull.get("/tariffs?offset=8&limit=2"), pull.get("/tariffs?offset=2&limit=2")

    upload.delete("/tariffs/NL/EXA/T9")
    factories.put_tariff(cpo, id="NEW")

    assert again(pull, "/tariffs?offset=8&limit=2", last["ETag"]) == 200
    assert again(pull, "/tariffs?offset=2&limit=2", middle["ETag"]) == 304
    factories.put_tariff(cpo, id="NEWER")
    assert again(pull, "/tariffs?offset=2&limit=2", middle["ETag"]) == 200  # its X-Total-Count is another


@pytest.mark.parametrize(
    ("tag", "status"), [("*", 304), ('"x", {}', 304), ("{}", 304), ('"x"', 200), ("junk", 200), ("", 200)]
)
def test_if_none_match_is_read_as_http_has_it(pull, tariffs, tag, status):
    held = pull.get("/tariffs")["ETag"]

    assert again(pull, "/tariffs", tag.format(held)) == status


def test_tag_is_for_nobody_else(cpo, rival, pull):
    factories.put_location(cpo)
    factories.put_location(rival)
    tag = pull.get("/locations")["ETag"]

    assert pull.get("/locations", If_None_Match=tag, Authorization="Token nonsense").status_code == 401


def test_filtered_crawl_takes_its_total_along(cpo, pull, tariffs):
    path = "/tariffs?limit=3&date_from=2026-03-03T00:00:00Z"

    pages = crawl(pull, path)

    assert [len(page.envelope["data"]) for page in pages] == [3, 3, 2]
    assert {page["X-Total-Count"] for page in pages} == {"8"}
