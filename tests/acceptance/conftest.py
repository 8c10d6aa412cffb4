"""Fixtures of the acceptance tests: real processes, and figures that are printed where everybody sees them."""

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


@pytest.fixture
def figure(request, capsys):
    """Prints a line in the output of the test run, captured or not."""

    def show(text):
        with capsys.disabled():
            print(f"\n  figure: {request.node.name}: {text}", flush=True)

    return show
