"""What `--store` takes, and what it refuses and why."""

from __future__ import annotations

import pytest
from backbeat.scheduler.store.base import StoreRefused
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.wiring import open_store


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://localhost:6379/0", "the ledger must survive"),
        ("rediss://localhost", "sqlite:///backbeat.db"),
        ("mongodb://u:secret@h/db", "use sqlite:///path, postgresql://"),
        ("backbeat.db", "use sqlite:///path"),
    ],
)
def test_what_is_no_store_is_refused_with_what_to_write(url, says):
    with pytest.raises(StoreRefused, match=says) as refused:
        open_store(url)

    assert "secret" not in str(refused.value)


def test_memory_is_a_store_for_trials():
    assert isinstance(open_store("memory://"), MemoryStore)
