"""KillLog: what the processes of one trial did, in order: points that they passed, runs of tasks, and where they were killed.

A run that is repeated must be explained: the process that ran it before died, was frozen or handed it back, and had not stored its
outcome. That is read from the order of the lines: a run is open from its line on, until its worker has stored an outcome. What a child
begins whose worker is dead already is open as well: it had the job, and nobody will store what comes of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

STORED = {True: "split.stored", False: "worker.committed"}
"""The first point at which an outcome is stored, with and without a broker of its own."""
Run = tuple[str, int]
"""Task id and attempt."""


@dataclass
class KillLog:
    """The log read up to its end. A line of a run ends with the pid of the worker that it belongs to, if that is another process."""

    path: Path
    split: bool
    points: list[str] = field(default_factory=list)
    """NAME#N of each passing, in order."""
    killed: list[str] = field(default_factory=list)
    runs: Counter[Run] = field(default_factory=Counter)
    unexplained: list[Run] = field(default_factory=list)
    lost_early: bool = False
    """A process was killed between an early acknowledgement and the outcome of its task."""

    def __post_init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._open: dict[Run, set[int]] = {}
        self._reported: dict[int, set[Run]] = {}
        self._brought: dict[int, set[Run]] = {}
        self._dead: set[int] = set()
        self._free: Counter[Run] = Counter()
        self._early: dict[int, bool] = {}
        self._last: dict[int, str] = {}
        for line in self.path.read_text().splitlines():
            pid, _, text = line.partition(" ")
            self._line(int(pid), text)

    @property
    def repeats(self) -> int:
        """Runs beyond the first of each (id, attempt)."""
        return sum(self.runs.values()) - len(self.runs)

    def _line(self, pid: int, text: str) -> None:
        if text.startswith("run "):
            _, id_, attempt, *worker = text.split()
            self._begun({pid, *map(int, worker)}, (id_, int(attempt)))
        elif text.startswith("!"):
            self.killed.append(text[1:])
            self.lost_early |= self._early.get(pid, False)
            self._dead.add(pid)
            self._close(pid, repeatable=True)
        elif text == "frozen":
            self._close(pid, repeatable=True)
        else:
            self._counts[text] += 1
            self.points.append(f"{text}#{self._counts[text]}")
            self._passed(pid, text)
            self._last[pid] = text

    def _begun(self, owners: set[int], run: Run) -> None:
        self.runs[run] += 1
        if self.runs[run] > 1 and self._free[run] == 0:
            self.unexplained.append(run)
        self._free[run] = int(bool(owners & self._dead))
        if not self._free[run]:
            self._open[run] = owners

    def _passed(self, pid: int, name: str) -> None:
        match name:
            case "worker.acked_early":
                self._early[pid] = True
            case "worker.releasing":
                self._close(pid, repeatable=True)
            case "split.stored" if self._last.get(pid) == "worker.acking_early":
                self._early[pid] = True  # that it is acknowledged early is stored first
            case "worker.reported":
                self._reported[pid] = self._of(pid)
            case "worker.bringing":
                # what is reported while an exchange is under way is not in it
                self._brought[pid] = self._brought.get(pid, set()) | self._reported.pop(pid, set())
            case stored if stored == STORED[self.split] and self._brought.get(pid):
                self._early[pid] = False
                self._end(self._brought.pop(pid), repeatable=False)

    def _of(self, pid: int) -> set[Run]:
        return {run for run, owners in self._open.items() if pid in owners}

    def _close(self, pid: int, *, repeatable: bool) -> None:
        self._end(self._of(pid), repeatable=repeatable)

    def _end(self, runs: set[Run], *, repeatable: bool) -> None:
        for run in runs & self._open.keys():
            del self._open[run]
            self._free[run] = int(repeatable)
