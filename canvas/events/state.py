"""State: what is known of workers and tasks from the events that came, the newest of them, as Celery's `app.events.State()`."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from .base import Event

MOST_WORKERS, MOST_TASKS = 5_000, 10_000
BEATS_MISSED = 2
"""A worker that has not told for so many of its periods counts as gone."""
_STATES = {
    "task-sent": "PENDING",
    "task-received": "RECEIVED",
    "task-started": "STARTED",
    "task-succeeded": "SUCCESS",
    "task-failed": "FAILURE",
    "task-retried": "RETRY",
    "task-revoked": "REVOKED",
    "task-rejected": "REJECTED",
}
_ORDER = ["PENDING", "RECEIVED", "STARTED", "REJECTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]


class Worker:
    """A worker, as its last event told."""

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname
        self.pid: int | None = None
        self.freq = 60.0
        self.active: int | None = None
        self.processed: int | None = None
        self.loadavg: list[float] | None = None
        self.sw_ident: str | None = None
        self.sw_ver: str | None = None
        self.sw_sys: str | None = None
        self.clock = 0
        self.timestamp = 0.0
        self.is_offline = False

    def alive(self, now: float) -> bool:
        """Whether it has told of itself lately; `now` in seconds of the epoch."""
        return not self.is_offline and now <= self.timestamp + BEATS_MISSED * self.freq

    def update(self, event: Event) -> None:
        for name in (
            "pid",
            "freq",
            "active",
            "processed",
            "loadavg",
            "sw_ident",
            "sw_ver",
            "sw_sys",
            "clock",
        ):
            if event.get(name) is not None:
                setattr(self, name, event[name])
        self.timestamp = max(self.timestamp, float(event.get("timestamp") or 0))
        self.is_offline = event["type"] == "worker-offline"


class Task:
    """A task, as its events told; `received`, `started`, `succeeded` ... are when (seconds of the epoch)."""

    def __init__(self, uuid: str) -> None:
        self.uuid = self.id = uuid
        self.name: str | None = None
        self.state = "PENDING"
        self.worker: Worker | None = None
        self.clock = 0
        self.timestamp = 0.0
        self.args = self.kwargs = self.eta = self.expires = self.exception = self.traceback = None
        self.root_id = self.parent_id = self.result = self.runtime = self.queue = None
        self.retries = 0
        self.sent = self.received = self.started = self.succeeded = None
        self.failed = self.retried = self.revoked = self.rejected = None

    @property
    def ready(self) -> bool:
        return self.state in ("SUCCESS", "FAILURE", "REVOKED", "REJECTED")

    def info(self) -> dict[str, Any]:
        """What is known of it, but for its worker."""
        return {name: value for name, value in vars(self).items() if value is not None and name != "worker"}

    def update(self, event: Event) -> None:
        kind = event["type"].partition("-")[2]
        if kind in vars(self):
            setattr(self, kind, event.get("timestamp"))
        for name in vars(self).keys() - {"uuid", "id", "state", "worker", "timestamp", kind}:
            if event.get(name) is not None:
                setattr(self, name, event[name])
        self.timestamp = max(self.timestamp, float(event.get("timestamp") or 0))
        state = _STATES.get(event["type"])
        # events of one task may come out of order; a retry is followed by the next run
        if state and (self.state == "RETRY" or _ORDER.index(state) >= _ORDER.index(self.state)):
            self.state = state


class State:
    """Of at most so many workers and tasks. Thread-safe; `event` takes each event as it comes."""

    def __init__(
        self,
        callback: Callable[[State, Event], object] | None = None,
        max_workers_in_memory: int = MOST_WORKERS,
        max_tasks_in_memory: int = MOST_TASKS,
    ) -> None:
        self.event_callback = callback
        self.workers: OrderedDict[str, Worker] = OrderedDict()
        self.tasks: OrderedDict[str, Task] = OrderedDict()
        self.event_count = self.task_count = 0
        self._most = max_workers_in_memory, max_tasks_in_memory
        self._lock = threading.Lock()

    def event(self, event: Event) -> None:
        """Take it in."""
        with self._lock:
            self.event_count += 1
            group = event["type"].partition("-")[0]
            worker = self._worker(str(event.get("hostname")))
            if group == "worker":
                worker.update(event)
            elif group == "task" and event.get("uuid"):
                self._task(str(event["uuid"]), event, worker)
        if self.event_callback is not None:
            self.event_callback(self, event)

    def alive_workers(self, now: float) -> list[Worker]:
        """Those that have told of themselves lately."""
        with self._lock:
            return [worker for worker in self.workers.values() if worker.alive(now)]

    def tasks_by_time(self, limit: int | None = None) -> Iterator[tuple[str, Task]]:
        """Ids and tasks, the newest first."""
        with self._lock:
            newest = sorted(self.tasks.items(), key=lambda item: item[1].timestamp, reverse=True)
        yield from newest[:limit]

    def task_types(self) -> list[str]:
        """The names of the tasks that are known."""
        with self._lock:
            return sorted({task.name for task in self.tasks.values() if task.name})

    def counts(self) -> Counter[str]:
        """How many tasks are in each state."""
        with self._lock:
            return Counter(task.state for task in self.tasks.values())

    def clear(self) -> None:
        with self._lock:
            self.workers.clear()
            self.tasks.clear()
            self.event_count = self.task_count = 0

    def _worker(self, hostname: str) -> Worker:
        worker = self.workers.setdefault(hostname, Worker(hostname))
        self.workers.move_to_end(hostname)
        while len(self.workers) > self._most[0]:
            self.workers.popitem(last=False)
        return worker

    def _task(self, uuid: str, event: Event, worker: Worker) -> None:
        if uuid not in self.tasks:
            self.task_count += 1
        task = self.tasks.setdefault(uuid, Task(uuid))
        task.update(event)
        if event["type"] != "task-sent":  # that is a client's
            task.worker = worker
        self.tasks.move_to_end(uuid)
        while len(self.tasks) > self._most[1]:
            self.tasks.popitem(last=False)
