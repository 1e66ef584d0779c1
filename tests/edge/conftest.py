"""A gateway behind nginx, as docker-compose.yml has it."""

from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from tenants.models import Token
from tests import factories
from tests.benchmarks import stage
from tests.edge.proxy import nginx


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database, which here keeps what is stored from test to test: the server has to see it."""
    with django_db_blocker.unblock():
        yield
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE tenants_tenant, tenants_serviceaccount, ocpi_version CASCADE")


@pytest.fixture(scope="module")
def edge(db: None) -> Iterator[SimpleNamespace]:
    """A gateway with a Location behind nginx: `address`, the web server's `direct` one, the tenant, and its `token`."""
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv("HAS_PROXY", "true")  # as docker-compose.yml does
        web = stack.enter_context(stage.served())
        address = stack.enter_context(nginx(web.port))
        cpo = factories.make_tenant("EXA")
        factories.put_tariff(cpo)
        factories.put_location(cpo)
        tokens = {"token": factories.make_token(cpo), "pull_token": factories.make_token(cpo, Token.Purpose.PULL)}
        yield SimpleNamespace(address=address, direct=f"127.0.0.1:{web.port}", web=web, tenant=cpo, **tokens)
