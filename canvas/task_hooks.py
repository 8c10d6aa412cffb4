"""TaskHooks: what a class of tasks may define to be told how its runs go. Called by run_report.py, in the process that ran the task.

They are called after the function has ended, and before its outcome is stored: what they see cannot be changed by them any more. An
exception in one of them is logged, and changes nothing; only that of `before_start` fails the task, as the function has not been called.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any


class ExceptionInfo:
    """An exception as hooks and signals are told of it, as `einfo`: `exception`, `type`, `traceback` (a text), `tb` and `exc_info`."""

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception
        self.type = type(exception)
        self.internal = False

    @property
    def tb(self) -> TracebackType | None:
        return self.exception.__traceback__

    @property
    def traceback(self) -> str:
        return "".join(traceback.format_exception(self.exception))

    @property
    def exc_info(self) -> tuple[type[BaseException], BaseException, TracebackType | None]:
        return self.type, self.exception, self.tb

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"


class TaskHooks:
    """Nothing by default. `args` is a list and `kwargs` a map, as the function got them."""

    name: str

    def before_start(self, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """The function is about to be called. What is raised here is as if the function raised it."""

    def on_success(self, retval: Any, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """It returned `retval`, which can be written down."""

    def on_failure(
        self,
        exc: BaseException,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        einfo: ExceptionInfo,
    ) -> None:
        """It raised `exc`, and is not run again."""

    def on_retry(
        self,
        exc: BaseException | None,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        einfo: ExceptionInfo,
    ) -> None:
        """It will run again, because of `exc`; None if no exception is why. `einfo` is of the Retry itself."""

    def after_return(
        self,
        status: str,
        retval: Any,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        einfo: ExceptionInfo | None,
    ) -> None:
        """It ended as SUCCESS, FAILURE or RETRY; `retval` is what it returned, or the exception. Called after the others."""
