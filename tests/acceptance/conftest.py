"""Fixtures of the acceptance tests: real processes."""

from __future__ import annotations

import pytest

from support.processes import Programs


@pytest.fixture
def programs(tmp_path):
    """Starts `backbeat ...` in a directory of its own; what still runs at the end is killed."""
    started = Programs(tmp_path)
    yield started
    started.close()


@pytest.fixture
def log(tmp_path):
    """Where tasks write what they do."""
    return tmp_path / "log.jsonl"


@pytest.fixture
def gate(tmp_path):
    """Where tasks wait until this file is there."""
    return tmp_path / "gate"
