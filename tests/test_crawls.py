"""NDW's crawls: noted at the first and the last page of an unfiltered list, by credential; a pull never fails for it."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections
from django.utils import timezone

from ocpi import crawls
from ocpi.models import Crawl
from tenants.models import OAuthClient, Token
from tests import factories
from tests.conftest import Caller, puller
from tests.test_oauth import bearer
from tests.test_serve import crawl, next_path


def noted() -> list[tuple[str, bool, int]]:
    """Return kind, whether complete, and objects of every crawl, oldest first."""
    return [(one.kind, one.finished_at is not None, one.objects_count) for one in Crawl.objects.order_by("pk")]


@pytest.fixture
def tariffs(cpo: Any) -> None:
    """Five Tariffs."""
    for n in range(5):
        factories.put_tariff(cpo, id=f"T{n}")


def test_crawl_begins_with_the_first_page_and_is_complete_with_the_last(cpo, pull, tariffs):
    first = pull.get("/tariffs?limit=2")
    after_first = noted()
    middle = pull.get(next_path(pull, first))
    after_middle = noted()
    pull.get(next_path(pull, middle))

    assert (after_first, after_middle, noted()) == (
        [("tariff", False, 0)],
        [("tariff", False, 0)],
        [("tariff", True, 5)],
    )
    one = Crawl.objects.get()
    assert (one.tenant, one.token, one.oauth_client) == (cpo, Token.objects.get(), None)
    assert one.started_at < one.finished_at


def test_crawl_of_a_single_page_is_begun_and_complete_at_once(pull, tariffs):
    pull.get("/tariffs")
    pull.get("/locations")

    assert noted() == [("tariff", True, 5), ("location", True, 0)]


@pytest.mark.parametrize(
    "path",
    [
        "/tariffs?date_from=2026-01-01T00:00:00Z",
        "/tariffs?date_to=2027-01-01T00:00:00Z",
        "/tariffs?offset=2&limit=2",
        "/tariffs?offset=4&limit=2",
        "/tariffs?offset=99",
        "/versions",
    ],
)
def test_crawl_is_not_begun_by_filtered_or_later_pages(pull, tariffs, path):
    pull.get(path)

    assert noted() == []


def test_crawl_is_neither_begun_nor_completed_by_head_or_by_a_look_past_the_end(pull, tariffs):
    pull.call("HEAD", "/tariffs")
    pull.get("/tariffs?limit=2")
    pull.call("HEAD", "/tariffs?offset=4&limit=2")
    pull.get("/tariffs?offset=99")

    assert noted() == [("tariff", False, 0)]


def test_crawl_by_bare_offset_is_complete_with_its_last_page(pull, tariffs):
    for offset in (0, 2, 4, 6):
        pull.get(f"/tariffs?offset={offset}&limit=2")

    assert noted() == [("tariff", True, 5)]


def test_crawl_whose_last_page_became_empty_is_complete(cpo, pull, upload, tariffs):
    following = next_path(pull, pull.get("/tariffs?limit=4"))
    upload.delete("/tariffs/NL/EXA/T4")
    pull.get(following)

    assert noted() == [("tariff", True, 4)]


def test_crawl_by_two_credentials_at_once_is_two(cpo, pull, tariffs):
    other = puller(cpo)
    first, second = pull.get("/tariffs?limit=3"), other.get("/tariffs?limit=3")
    other.get(next_path(other, second))
    of_other = noted()
    pull.get(next_path(pull, first))

    assert of_other == [("tariff", False, 0), ("tariff", True, 5)]
    assert noted() == [("tariff", True, 5), ("tariff", True, 5)]
    assert len({one.token_id for one in Crawl.objects.all()}) == 2


def test_crawl_that_was_left_is_not_completed_by_a_later_walk(pull, tariffs):
    pull.get("/tariffs?limit=2")
    crawl(pull, "/tariffs?limit=2")
    pull.get("/tariffs?offset=4&limit=2")

    assert noted() == [("tariff", False, 0), ("tariff", True, 5)]


def test_crawl_of_yesterday_is_not_completed_today(pull, tariffs):
    pull.get("/tariffs?limit=2")
    Crawl.objects.update(started_at=timezone.now() - dt.timedelta(hours=25))
    pull.get("/tariffs?offset=4&limit=2")

    assert noted() == [("tariff", False, 0)]


def test_crawl_counts_304_as_the_page_it_stands_for(pull, tariffs):
    pages = crawl(pull, "/tariffs?limit=3")
    Crawl.objects.all().delete()

    first = pull.get("/tariffs?limit=3", If_None_Match=pages[0]["ETag"])
    begun = noted()
    last = pull.get(next_path(pull, pages[0]), If_None_Match=pages[1]["ETag"])

    assert (first.status_code, last.status_code) == (304, 304)
    assert (begun, noted()) == ([("tariff", False, 0)], [("tariff", True, 5)])


def test_crawl_by_an_oauth_client_names_it(cpo, tariffs):
    made = OAuthClient(tenant=cpo)
    secret = made.issue()
    access = bearer({"client_id": made.client_id, "client_secret": secret})

    Caller("/ocpi/sender/NL/EXA/2.2.1", {"Authorization": f"Bearer {access}"}).get("/tariffs")

    one = Crawl.objects.get()
    assert (one.oauth_client, one.token, one.finished_at is not None) == (made, None, True)


@pytest.mark.django_db(transaction=True)
def test_pull_is_answered_where_the_database_only_reads(caplog):
    cpo = factories.make_tenant("EXA")
    pull = puller(cpo)
    factories.put_tariff(cpo)
    with database.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        answers = [pull.get("/tariffs") for _ in range(2)]
    finally:
        connections.close_all()

    assert [(answer.status_code, len(answer.envelope["data"])) for answer in answers] == [(200, 1)] * 2
    assert (noted(), Token.objects.get().last_used_at) == ([], None)
    assert "crawl of NL-EXA, tariffs: not noted" in caplog.text
    assert caplog.text.count("last use of credentials: not noted") == 1
    pull.get("/tariffs")
    assert (noted(), Token.objects.get().last_used_at is None) == ([("tariff", True, 1)], False)


def test_latest_is_the_newest_complete_one_by_tenant_kind_and_environment(cpo, rival):
    def add(tenant: Any, kind: str, environment: str, *, complete: bool = True) -> Crawl:
        token = Token(tenant=tenant, purpose="pull", environment=environment)
        token.issue()
        finished_at = timezone.now() if complete else None
        return Crawl.objects.create(tenant=tenant, kind=kind, token=token, finished_at=finished_at)

    production, staging = add(cpo, "location", "production"), add(cpo, "location", "staging")
    add(cpo, "location", "staging", complete=False)
    blank, of_rival = add(cpo, "tariff", ""), add(rival, "tariff", "production")
    by_client = Crawl.objects.create(tenant=rival, kind="location", finished_at=timezone.now())

    assert crawls.latest([cpo]) == {(cpo.pk, "location"): staging, (cpo.pk, "tariff"): blank}
    assert crawls.latest([cpo, rival], "production") == {
        (cpo.pk, "location"): production,
        (cpo.pk, "tariff"): blank,
        (rival.pk, "tariff"): of_rival,
        (rival.pk, "location"): by_client,
    }
    assert crawls.latest([rival], "staging") == {(rival.pk, "location"): by_client}
    assert crawls.latest([]) == {}


def test_prune_forgets_crawls_of_long_ago(cpo):
    now = timezone.now()
    for days in (89, 91, 400):
        Crawl.objects.create(tenant=cpo, kind="tariff", started_at=now - dt.timedelta(days=days))

    assert (crawls.prune(), Crawl.objects.count()) == (2, 1)
