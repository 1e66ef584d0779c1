"""The admin's Imports pages: upload, watch, decide; what they show, and to whom."""

import json
from typing import Any

import pytest

from ocpi import imports, intake
from ocpi.models import Import, ImportPart
from tenants.models import Tenant
from tests.documents import evse_body, location_body

LIST = "/admin/ocpi/import/"
HOSTILE = "<script>alert('x')"


def locations(count: int, **fields: Any) -> list[dict]:
    return [
        location_body(id=f"L{n}", evses=[evse_body(uid=f"E{n}", evse_id=f"NL*EXA*E{n}")], **fields)
        for n in range(count)
    ]


def lines(documents: list[dict]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


def receive(tenant: Tenant, documents: list[dict], **how: Any) -> Import:
    return intake.receive(tenant, "location", [lines(documents)], **how)


def work(one: Import) -> Import:
    """Let the worker work; return the import as it is then."""
    while imports.work():
        pass
    one.refresh_from_db()
    return one


@pytest.fixture
def held(cpo: Tenant) -> Import:
    """A full set that would remove 5 of 10 EVSEs."""
    work(receive(cpo, locations(10)))
    one = work(receive(cpo, locations(5), mode="full"))
    assert (one.state, one.preview["removed"]) == ("held", 5)
    return one


def in_service(tenant: Tenant) -> int:
    return sum(evse["status"] != "REMOVED" for one in tenant.locations.all() for evse in one.document["evses"])


def test_discard_of_what_was_accepted_meanwhile_leaves_its_lines(cpo, held):
    imports.accept(held, "ann")

    assert imports.discard(held, "bob") is False

    assert ImportPart.objects.count() == 1
    assert work(held).counts["removed"] == 5
    assert in_service(cpo) == 5
