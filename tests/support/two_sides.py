"""TwoSides: a worker of Celery's, "old", and one of ours, "new", that have the same tasks, each on a queue of its own, and share a broker."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .celery_env import celery_python, ready_program

_OLD = """
from celery import Celery
app = Celery("old", broker={broker!r}, backend={backend!r})
app.conf.update({settings!r})
"""
_NEW = """
from backbeat.canvas import App
app = App("new")
app.conf.task_default_queue = "new"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSides:
    """In `home` each has a directory, `old` and `new`, with its app and its log.

    In the text `tasks` `{side}` is the name of the side, and `{errors}` the module of its exceptions; `new_tasks` are what only ours has besides.
    Without a `backend` results go to the broker, and ours is not told so. Both have so many `slots`.
    """

    home: Path
    broker: str
    backend: str | None = None
    tasks: str
    new_tasks: str = ""
    old_settings: Mapping[str, object] = field(default_factory=dict)
    slots: int = 1

    @contextmanager
    def both(self, *old_options: str) -> Iterator[None]:
        """Both workers, ours first, so that Celery's finds it there when it starts."""
        with self.new(), self.old(*old_options):
            yield

    def old(self, *options: str) -> AbstractContextManager[None]:
        """The worker b@old, ready; `options` are more ones of `celery worker`."""
        settings = {
            "task_default_queue": "old",
            "broker_connection_retry_on_startup": True,
            **self.old_settings,
        }
        app = _OLD.format(broker=self.broker, backend=self.backend or self.broker, settings=settings)
        tasks = self.tasks.replace("{errors}", "celery.exceptions")
        command = [str(celery_python()), "-m", "celery", "-A", "old_app", "worker", "-l", "INFO"]
        return self._worker("old", app + tasks, *command, "-n", "b@old", *options)

    def new(self) -> AbstractContextManager[None]:
        """The worker a@new, ready."""
        tasks = self.tasks.replace("{errors}", "backbeat.canvas.errors") + self.new_tasks
        command = [sys.executable, "-m", "backbeat.scheduler.cli", "-A", "new_app:app", "-b", self.broker]
        results = [] if self.backend is None else ["--result-backend", self.backend]
        return self._worker("new", _NEW + tasks, *command, *results, "worker", "-n", "a@new")

    def _worker(self, side: str, source: str, *command: str) -> AbstractContextManager[None]:
        home = self.home / side
        home.mkdir()
        (home / f"{side}_app.py").write_text(source.replace("{side}", side))
        return ready_program(home, *command, "-c", str(self.slots))
