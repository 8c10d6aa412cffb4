"""WorkerFigures: what a worker counts, as families of Prometheus (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric

from ..exposition import Families
from .tasks_counted import BOUNDS_SECONDS, TasksCounted

PREFIX = "backbeat_worker_"


class WorkerFigures:
    """A part of the exposition."""

    def __init__(self, counted: TasksCounted, *, pool: str, version: str) -> None:
        self._counted = counted
        self._labels = {"version": version, "pool": pool}

    def collect(self) -> Iterable[Metric]:
        counted, make = self._counted, Families(PREFIX)
        started = sorted(counted.started_tasks.copy().items())
        yield make.counters(
            "tasks_started",
            "Tasks that were given to the pool.",
            ["task"],
            [([task], number) for task, number in started],
        )
        ended = sorted(counted.ended.copy().items())
        yield make.counters(
            "tasks_ended",
            "Tries that came to an end, by how.",
            ["task", "outcome"],
            [(labels, number) for labels, number in ended],
        )
        yield make.histograms(
            "task_seconds",
            "How long tries ran.",
            ["task"],
            BOUNDS_SECONDS,
            [
                ([task], list(counts), counted.seconds.get(task, 0.0))
                for task, counts in sorted(counted.durations.copy().items())
            ],
        )
        yield make.gauge("tasks_running", "Tasks that run now.", counted.busy)
        yield make.gauge("size", "Tasks that run side by side at most, now.", counted.size())
        yield make.counter("tasks_lost", "Tasks whose process died while they ran.", counted.lost_tasks)
        yield make.gauge("consuming", "0 while nothing can be consumed.", float(not counted.is_faulty))
        yield make.counter("faulty_passes", "Passes in which nothing could be consumed.", counted.faults)
        yield make.info("What runs; always 1.", self._labels)
