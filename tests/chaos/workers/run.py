"""Run: one run of one attempt of a task, as the task itself wrote it into the journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Run:
    """`end_us` None: it never ended, as its process was killed. Times are wall-clock microseconds; `worker` is the worker's number."""

    id: str
    attempt: int
    task: str
    order: int
    worker: int
    pid: int
    start_us: int
    end_us: int | None = None


def runs_of(lines: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], list[Run]]:
    """All runs by id and attempt, in the order in which they started."""
    found: dict[tuple[str, int], list[Run]] = defaultdict(list)
    running: dict[int, Run] = {}
    for line in lines:
        at_us, pid = round(line["at"] * 1e6), line["pid"]
        if line["event"] == "start":
            run = Run(
                line["id"], line["attempt"], line["task"], line["order"], line["worker"], pid, start_us=at_us
            )
            found[run.id, run.attempt].append(run)
            running[pid] = run
        else:
            running.pop(pid).end_us = at_us
    return dict(found)
