"""RunReport: tells the hooks of a task (task_hooks.py) and the receivers of signals (signals.py) how one run goes. Called by execute.py."""

from __future__ import annotations

import logging
import time
from typing import Any

from . import errors, signals
from .outcome import State
from .request import Request
from .task_hooks import ExceptionInfo, TaskHooks

logger = logging.getLogger(__name__)

_SIGNALS = (
    signals.task_prerun,
    signals.task_postrun,
    signals.task_success,
    signals.task_failure,
    signals.task_retry,
)


def report_of(task: TaskHooks, request: Request) -> RunReport:
    """The report of a run; one that tells nothing where nobody listens."""
    if _has_hooks(task) or any(signal.receivers for signal in _SIGNALS):
        return RunReport(task, request)
    return _SILENT


_HOOKS = tuple(
    (name, hook) for name, hook in vars(TaskHooks).items() if callable(hook) and not name.startswith("_")
)


def _has_hooks(task: TaskHooks) -> bool:
    """Whether the task, or its class, has one of its own. Looked at each time, as a test may set one."""
    cls, own = type(task), vars(task)
    return any(getattr(cls, name) is not hook or name in own for name, hook in _HOOKS)


class RunReport:
    """Of one run, in the order in which its methods are called. None of them raises, but `starts` what `before_start` does."""

    def __init__(self, task: TaskHooks, request: Request) -> None:
        self._task = task
        self._request = request
        self._call = str(request.id), request.args, request.kwargs
        self._began = time.monotonic()
        self._state, self._retval = "", None

    def begins(self) -> None:
        """The request is there."""
        if signals.task_prerun.receivers:
            id_, args, kwargs = self._call
            signals.task_prerun.send(self._task, task_id=id_, task=self._task, args=args, kwargs=kwargs)

    def starts(self) -> None:
        """The function is about to be called. Raises what the task's `before_start` does."""
        self._task.before_start(*self._call)

    def succeeded(self, value: Any) -> None:
        """It returned `value`, which can be written down."""
        self._ended(State.SUCCESS, value)
        self._tell(self._task.on_success, value, *self._call)
        self._tell(self._task.after_return, str(State.SUCCESS), value, *self._call, None)
        if signals.task_success.receivers:
            runtime = time.monotonic() - self._began
            signals.task_success.send(self._task, result=value, runtime=runtime)

    def failed(self, exc: BaseException) -> None:
        """It raised, and is not run again."""
        self._ended(State.FAILURE, exc)
        einfo = ExceptionInfo(exc)
        self._tell(self._task.on_failure, exc, *self._call, einfo)
        self._tell(self._task.after_return, str(State.FAILURE), exc, *self._call, einfo)
        if signals.task_failure.receivers:
            id_, args, kwargs = self._call
            signals.task_failure.send(
                self._task,
                task_id=id_,
                exception=exc,
                args=args,
                kwargs=kwargs,
                traceback=exc.__traceback__,
                einfo=einfo,
            )

    def retried(self, retry: errors.Retry) -> None:
        """It asks for another run."""
        reason = retry.__context__ if retry.exc is None else retry.exc
        self._ended(State.RETRY, reason)
        einfo = ExceptionInfo(retry)
        self._tell(self._task.on_retry, reason, *self._call, einfo)
        self._tell(self._task.after_return, str(State.RETRY), reason, *self._call, einfo)
        if signals.task_retry.receivers:
            signals.task_retry.send(self._task, request=self._request, reason=retry, einfo=einfo)

    def left(self, state: State, exc: BaseException) -> None:
        """It was ignored, rejected or replaced: its hooks are told nothing."""
        self._ended(state, exc)

    def ends(self) -> None:
        """All is told."""
        if signals.task_postrun.receivers:
            id_, args, kwargs = self._call
            signals.task_postrun.send(
                self._task,
                task_id=id_,
                task=self._task,
                args=args,
                kwargs=kwargs,
                retval=self._retval,
                state=self._state,
            )

    def _ended(self, state: State, retval: Any) -> None:
        self._state, self._retval = str(state), retval

    def _tell(self, hook: Any, *args: Any) -> None:
        try:
            hook(*args)
        except Exception:
            name, id_ = self._task.name, self._request.id
            extra = {"action": "hook_failed", "id": id_, "task": name}
            logger.exception("Task %s[%s]: its hook %s raised", name, id_, hook.__name__, extra=extra)


class _Silent(RunReport):
    """Of a run that nobody wants to hear of."""

    def __init__(self) -> None:
        pass

    def begins(self) -> None:
        pass

    def starts(self) -> None:
        pass

    def succeeded(self, value: Any) -> None:
        pass

    def failed(self, exc: BaseException) -> None:
        pass

    def retried(self, retry: errors.Retry) -> None:
        pass

    def left(self, state: State, exc: BaseException) -> None:
        pass

    def ends(self) -> None:
        pass


_SILENT = _Silent()
