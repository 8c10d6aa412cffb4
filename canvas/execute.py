"""Execute: run the function of one message, and say how it ended. Every exception of the task becomes an outcome here."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Mapping
from typing import Any

from . import errors
from .codec import dumps
from .failure import error_of, exception_of, traceback_of
from .json_text import Json
from .message import Message, us_of
from .outcome import Error, Failure, Ignored, Outcome, Rejected, Success, celery_error
from .outcome import Retry as RetryOutcome
from .request import Request, request_of, running
from .task import Task, Tasks


class Requeued(Exception):
    """The task asks for its message to be delivered again; not an ending."""


def execute(message: Message, tasks: Tasks, hostname: str) -> Outcome:
    """Run `message` and return its outcome. Raises Requeued, and what is not an Exception (SystemExit, KeyboardInterrupt)."""
    task = tasks.get(message.task)
    if task is None:
        text = (
            f"this worker has no task {message.task!r}; is the module that defines it in the app's include?"
        )
        return Failure(error=celery_error("NotRegistered", text, message.id))
    try:
        request = request_of(message, hostname)
    except errors.DecodeError as error:
        return Failure(error=celery_error("Reject", f"the arguments cannot be decoded: {error}", message.id))
    with running(request):
        try:
            return Success(value=dumps(_call(task, message, request)), children=tuple(request.children))
        except errors.Retry as retry:
            return _retry(message, retry)
        except errors.Ignore:
            return Ignored()
        except errors.Reject as reject:
            if reject.requeue:
                raise Requeued from reject
            return Rejected(reason=str(reject.reason or ""))
        except Exception as exc:  # noqa: BLE001 - whatever a task raises is its outcome
            return Failure(error=error_of(exc, message.id), traceback=traceback_of(exc))


def _call(task: Task[Any, Any], message: Message, request: Request) -> Any:
    if message.errback is not None and _wants_exception(task):
        result = task.run_bound(*_errback_args(message.errback, request), **request.kwargs)
    else:
        result = task.run_bound(*request.args, **request.kwargs)
    # a coroutine function runs to its end here; the asyncio pool runs many side by side
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def _retry(message: Message, retry: errors.Retry) -> RetryOutcome:
    fields = retry.fields
    when = retry.when
    eta_us = round(time.time() * 1_000_000)
    if isinstance(when, int | float):
        eta_us += round(when * 1_000_000)
    elif when is not None:
        eta_us = us_of(when)
    exc = retry.exc
    return RetryOutcome(
        eta_us=eta_us,
        error=None if exc is None else error_of(exc, message.id),
        traceback="" if exc is None else traceback_of(exc),
        args=None if fields.get("args") is None else dumps(list(fields["args"])),
        kwargs=None if fields.get("kwargs") is None else dumps(dict(fields["kwargs"])),
    )


# --- error callbacks -----------------------------------------------------------------------------------------------------------


def _wants_exception(task: Task[Any, Any]) -> bool:
    """True for Celery's newer form f(request, exc, traceback, ...); the older f(failed_id) gets the id only."""
    positional = [
        parameter
        for parameter in inspect.signature(task.run_bound).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    return len(positional) >= 3  # noqa: PLR2004 - see above


def _errback_args(report: Mapping[str, Any], request: Request) -> list[Any]:
    error = Error(
        type=str(report.get("exc_type", "Exception")),
        module=str(report.get("exc_module", "builtins")),
        args=Json(report.get("exc_args", "[]")),
        text=str(report.get("exc_message", "")),
        node=str(report.get("id", "")),
    )
    failed = Request(
        id=report.get("id"), task=report.get("name"), root_id=report.get("root_id"), called_directly=False
    )
    extra = request.args[1:] if request.args[:1] == [report.get("id")] else request.args
    return [failed, exception_of(error), report.get("traceback", ""), *extra]
