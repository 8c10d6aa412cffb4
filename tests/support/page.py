"""Pages of docs/ whose examples are run: one after the other, with a worker that runs what there is whenever somebody looks."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from backbeat.canvas.commit.memory_results import MemoryResults

from support.eager import Fleet, connect

DOCS = Path(__file__).parents[2] / "docs"


def examples_of(name: str) -> list[str]:
    """The Python examples of a page."""
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)


class Served(MemoryResults):
    """A store beside which a worker runs whatever there is whenever somebody asks for results."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet.store)
        self._fleet = fleet
        self._lock = threading.RLock()

    def get(self, ids):
        with self._lock:
            self._fleet.drain(limit=10_000)
        return super().get(ids)

    def wait(self, ids, timeout):
        self.get(())
        return super().wait(ids, timeout)


def run_examples(name: str) -> int:
    """Run the examples of a page, of which the first defines `app` and its tasks; returns how many there are."""
    examples = examples_of(name)
    fleet, names = Fleet(), {"__name__": "shop"}
    results = Served(fleet)
    exec(examples[0], names)
    fleet.app = names["app"]
    connect(fleet.app, lambda: fleet.open("client"), lambda: results)
    for example in examples[1:]:
        exec(example, names)
    return len(examples)
