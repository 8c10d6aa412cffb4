"""Journal: the file into which all tasks of a run write, read as it grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Journal:
    """`lines` has what was read so far, and `read` reads on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()
        self.lines: list[dict[str, Any]] = []
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """All lines that are there now."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole = file.read()
        end = whole.rfind(b"\n") + 1  # a line is written in one call, but may be seen in two
        self._offset += end
        self.lines += map(json.loads, whole[:end].splitlines())
        return self.lines

    def busy(self) -> set[int]:
        """The processes that are inside a task, or were killed there."""
        running: set[int] = set()
        for line in self.read():
            (running.add if line["event"] == "start" else running.discard)(line["pid"])
        return running

    def first_start(self, worker: int, after: float) -> float | None:
        """When, in wall-clock seconds, a worker first started a task later than that."""
        starts = (
            line["at"]
            for line in self.read()
            if line["event"] == "start" and line["worker"] == worker and line["at"] > after
        )
        return next(starts, None)
