"""What the tests of commands on a store share."""

from __future__ import annotations

import pytest

from tests.unit.small_store import small_store  # noqa: F401


@pytest.fixture
def store(small_store):  # noqa: F811
    """Return a store with two curricula that share a stage, and everything around them."""
    small_store.surroundings()
    small_store.moco = small_store.train("moco")
    small_store.swav = small_store.train("moco+swav", on=small_store.moco)
    small_store.classifier = small_store.train("moco+swav+classify", on=small_store.swav)
    return small_store
