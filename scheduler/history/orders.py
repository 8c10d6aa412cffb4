"""Orders: what may be done to runs: send one again, revoke some. Each leaves a line in the audit of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...canvas.app import App
from ...canvas.own_tasks import START_TASK, started_roots
from ..errors import BackbeatScheduleError
from .history import SqlHistory
from .task_run import TaskRun


class RunRefused(BackbeatScheduleError):
    """This cannot be done to this run; nothing was."""


class Orders:
    """By `actor`, over an app. Raises Unavailable where the broker or the result store cannot be reached."""

    def __init__(self, app: App, history: SqlHistory, actor: str) -> None:
        self._app = app
        self._history = history
        self._actor = actor

    def retry(
        self, run: TaskRun, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None
    ) -> str:
        """Send the task again, as a new one; its id. `args` and `kwargs` in place of its own. Raises RunRefused."""
        if run.name in ("", START_TASK):
            raise RunRefused(
                f"it started a canvas: `backbeat schedules run-now {run.entry}` starts it again"
                if run.name
                else "nobody has told the name of its task"
            )
        if not run.arguments.is_whole and (args is None or kwargs is None):
            raise RunRefused("its arguments are not known in full: give them with --args and --kwargs")
        own_args, own_kwargs = run.arguments.call() if run.arguments.is_whole else ([], {})
        handle = self._app.send_task(
            run.name,
            own_args if args is None else args,
            own_kwargs if kwargs is None else kwargs,
            **({"queue": run.queue} if run.queue else {}),
        )
        self._history.note(
            self._actor,
            "run.retry",
            run.id,
            {"as": handle.id, "edited": args is not None or kwargs is not None},
        )
        return str(handle.id)

    def revoke(self, runs: Sequence[TaskRun], *, terminate: bool = False) -> None:
        """Have them not start any more; with `terminate` end those that run."""
        if not runs:
            return
        ids = [run.id for run in runs]
        ids += [root for run in runs if run.name == START_TASK for root in started_roots(run.id)]
        self._app.revoke(ids, terminate=terminate)
        for run in runs:
            self._history.note(self._actor, "run.revoke", run.id, {"terminate": terminate})
