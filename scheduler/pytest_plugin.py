"""The pytest plugin: fixtures over the kits of backbeat.canvas.testing and backbeat.scheduler.testing, for users' tests.

pytest loads it wherever backbeat is installed, so it imports nothing else until a fixture is asked for.

    backbeat_app         the app: that of the ini option `backbeat_app`, else a new one; override it with a fixture of yours
    backbeat             its world in memory: drain(), advance("7d"), assert_sent(...), fail(...) ...
    backbeat_schedules   what backbeat_beat sends by besides the app's own: the files of the ini option `backbeat_schedules`
    backbeat_beat        a beat over that world: advance("1d"), outage("3h"), fires, skipped
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the ini file."""
    parser.addini(
        "backbeat_app", "the app of the fixture backbeat_app, as -A takes it: module or module:attribute"
    )
    parser.addini(
        "backbeat_schedules", "schedules files of the fixture backbeat_beat", type="paths", default=[]
    )


@pytest.fixture
def backbeat_app(pytestconfig: pytest.Config) -> Any:
    """The app under test: that of the ini option `backbeat_app`, else a new one without tasks."""
    from ..canvas import App

    spec = str(pytestconfig.getini("backbeat_app") or "")
    if not spec:
        return App("tests", set_as_current=False)
    from ..canvas.find_app import find_app

    return find_app(spec)


@pytest.fixture
def backbeat(backbeat_app: Any) -> Iterator[Any]:
    """The world of the app: what it sends stays in memory, and runs when the test says so."""
    from ..canvas.testing import in_memory

    with in_memory(backbeat_app) as world:
        yield world


@pytest.fixture
def backbeat_schedules(pytestconfig: pytest.Config) -> Any:
    """Schedules besides the app's own: the text of a file, paths, or None."""
    return list(pytestconfig.getini("backbeat_schedules")) or None


@pytest.fixture
def backbeat_beat(backbeat: Any, backbeat_schedules: Any) -> Iterator[Any]:
    """A beat over the world, which sends when the test lets time pass."""
    from .testing import beat_in

    with beat_in(backbeat, backbeat_schedules) as beat:
        yield beat
