"""Everything is run once with secrets that are known; then nothing that leaves a process, or stays in a server, has one in it.

Source: reliability P21: database, broker, logs, answers, the admin's pages, metrics, arguments of processes.
"""

import json
import logging
import re
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from ocpi import doorbell, push, sources
from ocpi.models import Source
from tenants.models import OAuthClient, ServiceAccount, Tenant, Token
from tests import factories
from tests.benchmarks import stage
from tests.conftest import CLIENT
from tests.documents import location_body
from tests.test_admin import MODELS, url

LOC = "/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001"


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Every line that any logger writes, however detailed, as the handlers of the settings would."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    lines: list[str] = []
    handler, root = Handler(logging.DEBUG), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("django.db.backends").setLevel(logging.INFO)
    yield lines
    root.removeHandler(handler)
    root.setLevel(before)


def secrets_of(cpo: Tenant, ndw: Any) -> dict[str, str]:
    """Make one of each secret we keep or give; return them by what they are."""
    client = OAuthClient(tenant=cpo)
    made = {
        "upload token": factories.make_token(cpo),
        "pull token": factories.make_token(cpo, Token.Purpose.PULL),
        "secret of an OAuth client": client.issue(),
        "NDW's secret": ndw.client_secret,
        "token of a Sender": "canary-5a7c91-of-a-sender",
        "field key": settings.FIELD_KEYS[0].partition(":")[2],
        "pepper": settings.TOKEN_PEPPER,
        "signing key": settings.SIGNING_KEYS[0].partition(":")[2],
        "secret key": settings.SECRET_KEY,
    }
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": made["secret of an OAuth client"],
    }
    granted = CLIENT.post("/oauth/token", urlencode(form), content_type="application/x-www-form-urlencoded")
    return made | {"access token of ours": granted.json()["access_token"]}


def use(kept: dict[str, str], cpo: Tenant) -> list[str]:
    """Upload, pull, push, fetch, ring; return what was answered, also to the wrong ones."""
    upload, pull, bearer = (
        {"Authorization": f"{scheme} {kept[name]}"}
        for scheme, name in (("Token", "upload token"), ("Token", "pull token"), ("Bearer", "access token of ours"))
    )
    answers = [
        CLIENT.put(LOC, location_body(), content_type="application/json", headers=upload),
        CLIENT.put(LOC, b"{", content_type="application/json", headers=upload),
        CLIENT.get("/ocpi/sender/NL/EXA/2.2.1/locations", headers=pull),
        CLIENT.get("/ocpi/sender/NL/EXA/2.2.1/locations", headers=bearer),
        CLIENT.get("/ocpi/sender/NL/RIV/2.2.1/locations", headers=bearer),
        CLIENT.get(LOC, headers=pull),
        CLIENT.get(LOC, headers={"Authorization": f"Token {kept['upload token']}x"}),
        CLIENT.get("/metrics"),
        CLIENT.get("/readyz"),
        CLIENT.get("/api/schema/"),
    ]
    Source(tenant=cpo, url="http://127.0.0.1:9/versions").set_token(kept["token of a Sender"])
    source = sources.claim()
    assert source
    sources.run(source)
    push.drain(5)
    doorbell.ring()
    return [f"{answer.headers} {answer.content.decode()}" for answer in answers]


def pages() -> list[str]:
    """Return every page of the admin, of lists and of single objects."""
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss", password="x"))
    addresses = [reverse("admin:index"), *[url(model) for model in MODELS]]
    addresses += [url(model, "change", one.pk) for model in MODELS for one in model.objects.all()[:3]]
    return [boss.get(address).content.decode() for address in addresses]


def dump() -> list[str]:
    """Return every row of every table."""
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            rows += [row[0] for row in cursor.fetchall()]
    return rows


def broker() -> list[str]:
    """Return what Redis holds."""
    server = redis.Redis.from_url(settings.REDIS_URL)
    return [repr(server.dump(key)) for key in server.scan_iter()]


def arguments() -> list[str]:
    """Return the command lines of the servers that run here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        return [row[0] or "" for row in cursor.fetchall()]


def test_secrets_are_in_no_table_log_answer_page_or_queue(transactional_db, cpo, ndw, said):
    factories.put_tariff(cpo)
    factories.make_connection(cpo, ndw)
    kept = secrets_of(cpo, ndw)

    answers = use(kept, cpo)
    kept["access token of NDW"] = ServiceAccount.objects.get().access_token
    looked_at = {
        "answers": answers, "pages": pages(), "tables": dump(), "broker": broker(), "statements": arguments(), "logs": said
    }  # fmt: skip

    assert len(ndw.received) == 1
    assert all(len(secret) > 8 for secret in kept.values())
    for where, texts in looked_at.items():
        assert texts or where == "broker", where
        found = [name for name, secret in kept.items() if re.search(re.escape(secret), "\n".join(texts))]
        assert found == [], where


def test_environment_of_the_process_is_in_no_request(db):
    with stage.served("tests.meta") as server, urllib.request.urlopen(f"http://127.0.0.1:{server.port}/") as answer:
        names = set(json.load(answer))

    assert names & {*stage.database_environment(), "SECRET_KEY", "FIELD_KEYS", "TOKEN_PEPPER", "SIGNING_KEYS"} == set()
    assert names >= {"REQUEST_METHOD", "PATH_INFO", "REMOTE_ADDR", "SERVER_NAME", "HTTP_HOST", "wsgi.input"}
