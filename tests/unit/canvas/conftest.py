"""What tests of a worker's side share."""

from __future__ import annotations

import pytest

from support.eager import Fleet


@pytest.fixture
def fleet():
    fleet = Fleet()
    fleet.app.task(name="one")(lambda *_args: 1)
    fleet.app.task(name="count")(lambda values: len(values))  # noqa: PLW0108 - its arguments are checked
    fleet.app.task(name="double")(lambda x: x * 2)
    fleet.noted = []
    fleet.app.task(name="note")(fleet.noted.append)
    return fleet
