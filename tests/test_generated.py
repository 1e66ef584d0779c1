"""Documents made from the protocol: every valid one is stored as it is, every one with one mistake is refused there."""

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocpi.rules import Kind, check, restore, semantics
from tests import strategies
from tests.strategies import Shape
from tests.test_rules import untriggered

NOW = strategies.NOON
KINDS: dict[Kind, tuple[st.SearchStrategy, Shape, int]] = {  # documents, their shape, and how many examples are made
    "location": (strategies.locations, strategies.LOCATION, 120),
    "evse": (strategies.evses, strategies.EVSE, 100),
    "connector": (strategies.connectors, strategies.CONNECTOR, 80),
    "tariff": (strategies.tariffs, strategies.TARIFF, 120),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def examples(kind: Kind) -> settings:
    """Return the settings under which documents of a kind are made: the same ones at every run."""
    return settings(
        max_examples=KINDS[kind][2],
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@kinds
def test_generated_valid_document_is_stored_as_it_is(kind):
    @examples(kind)
    @given(KINDS[kind][0])
    def run(document):
        result = check(kind, document, now=NOW)

        assert result.errors == []
        assert orjson.loads(result.body) == document
        assert result.unknown == {}
        assert semantics.review(kind, result.document, result.body) == untriggered(kind, result.document)
        assert restore(orjson.loads(orjson.dumps([f.stored() for f in result.findings]))) == result.findings

    run()


@kinds
def test_generated_document_with_one_mistake_is_refused_at_its_path(kind):
    documents, shape, _ = KINDS[kind]

    @examples(kind)
    @given(documents, st.integers(0, 10_000))
    def run(document, turn):
        for broken, path, value in strategies.mutations(document, shape, turn, ways=5):
            result = check(kind, broken, now=NOW)

            assert path in [error.path for error in result.errors], (path, value)
            assert (result.document, result.body) == ({}, b"")

    run()
