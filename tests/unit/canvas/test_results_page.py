"""docs/results.md: its examples run, one after the other, and it names what the handles have."""

from __future__ import annotations

import inspect
import re
import threading
from pathlib import Path

import pytest
from backbeat.canvas import App, AsyncResult, GroupResult, ResultSet
from backbeat.canvas.backend import Backend
from backbeat.canvas.commit.memory_results import MemoryResults

from support.eager import Fleet, connect

PAGE = (Path(__file__).parents[3] / "docs" / "results.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
HANDED_DOWN = {"task_id", "status", "info", "wait", "maybe_reraise", "id", "app", "parent", "backend"}
"""Other words for what the page names, and what goes without saying."""


class Served(MemoryResults):
    """A store beside which a worker runs whatever there is whenever somebody asks for results."""

    def __init__(self, fleet):
        super().__init__(fleet.store)
        self._fleet = fleet
        self._lock = threading.RLock()

    def get(self, ids):
        with self._lock:
            self._fleet.drain()
        return super().get(ids)

    def wait(self, ids, timeout):
        self.get(())
        return super().wait(ids, timeout)


def test_the_examples_of_the_page_run():
    fleet, names = Fleet(), {"__name__": "shop"}
    results = Served(fleet)
    exec(EXAMPLES[0], names)
    app: App = names["app"]
    fleet.app = app
    connect(app, lambda: fleet.open("client"), lambda: results)

    for example in EXAMPLES[1:]:
        exec(example, names)

    assert len(EXAMPLES) == 7


@pytest.mark.parametrize(
    "kind", [AsyncResult, ResultSet, GroupResult, Backend], ids=lambda kind: kind.__name__
)
def test_what_the_page_says_that_there_is_is_there(kind):
    """And no method that Celery does not have goes unnamed."""
    own = {
        name
        for name, value in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, classmethod))
    }

    assert {name for name in own - HANDED_DOWN if f"{name}" not in PAGE} <= NOT_ON_THE_PAGE[kind.__name__]


NOT_ON_THE_PAGE = {
    "AsyncResult": {"throw", "build_graph", "iterdeps"},
    "ResultSet": {"exists", "successful", "value_ids"},
    "GroupResult": set(),
    "Backend": {"get_status"},
}
