"""Execute: run the function of one message, and say how it ended. Every exception of the task becomes an outcome here.

There is one way of doing it, `execute_awaiting`. It waits for nothing but the task itself, where that is a coroutine and shares its event loop
with others; so elsewhere, where each task has its thread, `driven` takes it from its beginning to its end in one step.
"""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from . import errors
from .child import Child, sent_child
from .clock import SystemClock
from .codec import dumps
from .error_report import reported_error
from .failure import error_of, exception_of, traceback_of
from .json_text import Json, json_value
from .limit import NO_LIMIT, SoftLimit, TimeLimits
from .message import Message, iso_of_us, us_of, us_of_iso
from .node import check_depth
from .node_data import node_to_data
from .outcome import Failure, Ignored, Outcome, Rejected, State, Success, celery_error
from .outcome import Replaced as ReplacedOutcome
from .outcome import Retry as RetryOutcome
from .replacing import frozen_for, in_place_of
from .request import Request, request_of, running
from .run_report import RunReport, report_of
from .task import Task
from .tasks import Tasks
from .teller import Tell

T = TypeVar("T")
_system_now_us = SystemClock().now_us


class Requeued(Exception):
    """The task asks for its message to be delivered again; not an ending."""


class _Ears(NamedTuple):
    """Who hears how a run goes."""

    report: RunReport
    raised: Callable[[BaseException], object]


def time_limits_of(message: Message, tasks: Tasks, default: TimeLimits) -> TimeLimits:
    """The limits of a run: the message's, else its task's, else the worker's."""
    task = tasks.get(message.task)
    own = TimeLimits() if task is None else TimeLimits(task.options.time_limit, task.options.soft_time_limit)
    return TimeLimits(message.time_limit, message.soft_time_limit).otherwise(own).otherwise(default)


def execute(
    message: Message,
    tasks: Tasks,
    hostname: str,
    *,
    now_us: Callable[[], int] = _system_now_us,
    draw: Callable[[], float] = random.random,
    limit: SoftLimit = NO_LIMIT,
    limits: TimeLimits | None = None,
    is_eager: bool = False,
    raised: Callable[[BaseException], object] = lambda _exc: None,
    tell: Tell | None = None,
) -> Outcome:
    """Run `message` in this thread and return its outcome. Raises Requeued and KeyboardInterrupt.

    `now_us` tells the time from which the countdown of a retry counts; `draw` chooses its delay where there is jitter (0 to 1).
    `limit` keeps the soft one of `limits`, which are the message's own unless given. `raised` is told of the exception that is the failure.
    `tell` passes on what the run says of itself.
    """
    call = execute_awaiting(
        message,
        tasks,
        hostname,
        limit,
        limits,
        tell,
        now_us=now_us,
        draw=draw,
        is_eager=is_eager,
        raised=raised,
    )
    return driven(call)


def driven(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, which waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise RuntimeError("what was to run to its end in one step waits for something")


async def execute_awaiting(
    message: Message,
    tasks: Tasks,
    hostname: str,
    limit: SoftLimit,
    limits: TimeLimits | None = None,
    tell: Tell | None = None,
    *,
    now_us: Callable[[], int] = _system_now_us,
    draw: Callable[[], float] = random.random,
    is_eager: bool = False,
    raised: Callable[[BaseException], object] = lambda _exc: None,
) -> Outcome:
    """As `execute`; it waits as `limit.run` does."""
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
    if limits is not None:
        request.timelimit = [limits.hard, limits.soft]
    request.task_object, request.tell, request.is_eager = task, tell, is_eager
    ears = _Ears(report_of(task, request), raised)
    with running(request):
        ears.report.begins()
        try:
            ended = await _run(task, message, request, draw, limit, ears)
        finally:
            ears.report.ends()
    return _retry(message, ended, now_us()) if isinstance(ended, errors.Retry) else ended


async def _run(
    task: Task[Any, Any],
    message: Message,
    request: Request,
    draw: Callable[[], float],
    limit: SoftLimit,
    ears: _Ears,
) -> Outcome | errors.Retry:
    """Call the function; Retry where it, or its task's options, ask for another run."""
    try:
        ears.report.starts()
        # what raises StopIteration must be called here: no coroutine lets that through
        value = _call(task, message, request, limit)
        if inspect.iscoroutine(value):
            value = await limit.run(value, request.timelimit[1])
    except errors.Retry as retry:
        return _again(retry, ears.report)
    except errors.Replaced as replaced:
        return _replaced(task, message, replaced, ears, request)
    except errors.Ignore as ignore:
        ears.report.left(State.IGNORED, ignore)
        return Ignored() if request.told is None else Ignored(state=request.told[0], value=request.told[1])
    except errors.Reject as reject:
        ears.report.left(State.REJECTED, reject)
        if reject.requeue:
            raise Requeued from reject
        return Rejected(reason=str(reject.reason or ""))
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - whatever a task raises is its outcome, sys.exit() included
        if request.retry_asked is not None:
            return _again(_because(request.retry_asked, exc), ears.report)
        asked = task.retry_after(exc, request, draw())
        return _failed(task, message, exc, ears) if asked is None else _again(asked, ears.report)
    if request.retry_asked is not None:
        return _again(request.retry_asked, ears.report)
    try:
        children = _sent(request) if task.options.trail else ()
        outcome = Success(value=dumps(value), children=children, added=tuple(request.added))
    except Exception as exc:  # noqa: BLE001 - not the function's own: autoretry_for is not asked, as another run would not help
        return _failed(task, message, exc, ears)
    ears.report.succeeded(value)
    return outcome


def _sent(request: Request) -> tuple[Child, ...]:
    return tuple(sent_child(handle.as_tuple()) for handle in request.children)


def _again(retry: errors.Retry, report: RunReport) -> errors.Retry:
    report.retried(retry)
    return retry


def _replaced(
    task: Task[Any, Any], message: Message, replaced: errors.Replaced, ears: _Ears, request: Request
) -> Outcome:
    try:
        frozen = frozen_for(message, replaced.canvas)
        check_depth(in_place_of(message, frozen))
        text = json_value(node_to_data(frozen, json.loads))
    except Exception as exc:  # noqa: BLE001 - a canvas that cannot travel is a failure of the task
        return _failed(task, message, exc, ears)
    ears.report.left(State.IGNORED, replaced)
    return ReplacedOutcome(canvas=text, added=tuple(request.added))


def _because(retry: errors.Retry, exc: BaseException) -> errors.Retry:
    """A retry that was asked for before the run broke: without a reason of its own that is why."""
    if retry.exc is None:
        retry.exc = exc
    return retry


def _failed(task: Task[Any, Any], message: Message, exc: BaseException, ears: _Ears) -> Failure:
    ears.raised(exc)
    ears.report.failed(exc)
    expected = isinstance(exc, task.retrying.expected)
    return Failure(error=error_of(exc, message.id), traceback=traceback_of(exc), expected=expected)


def _call(task: Task[Any, Any], message: Message, request: Request, limit: SoftLimit) -> Any:
    args = request.args
    # an immutable error callback gets nothing but its own arguments: the failed id is not in front of them
    if message.errback is not None and args[:1] == [message.errback.get("id")] and _wants_exception(task):
        args = _errback_args(message.errback, args[1:])
    with limit.over(request.timelimit[1]):
        return task.entry(*args, **request.kwargs)


def _retry(message: Message, retry: errors.Retry, now_us: int) -> Outcome:
    # without a reason of its own: what was being handled
    reason = retry.__context__ if retry.exc is None else retry.exc
    try:
        args, kwargs = _arguments(message, retry)
        return RetryOutcome(
            eta_us=_eta_us(retry, now_us),
            error=None if reason is None else error_of(reason, message.id),
            traceback="" if reason is None else traceback_of(reason),
            args=args,
            kwargs=kwargs,
            changes=_changes(message, retry.fields.get("options") or {}, now_us),
        )
    except Exception as wrong:  # noqa: BLE001 - a retry that cannot be is a failure of the task
        return Failure(error=error_of(wrong, message.id), traceback=traceback_of(wrong))


def _arguments(message: Message, retry: errors.Retry) -> tuple[Json | None, Json | None]:
    """Those of the next attempt; None if they are those that every attempt had so far, which only the first one can tell."""
    args, kwargs = retry.fields.get("args"), retry.fields.get("kwargs")
    same = (None, None) if message.attempt == 0 else (message.args, message.kwargs)
    return (
        same[0] if args is None else dumps(list(args)),
        same[1] if kwargs is None else dumps(dict(kwargs)),
    )


def _changes(message: Message, options: Mapping[str, Any], now_us: int) -> Json | None:
    """What `options` change in the next attempt's message; in that of a later attempt than the first all that can be changed."""
    fields: dict[str, Any] = {}
    if message.attempt > 0:
        fields = {name: getattr(message, name) for name in _CAN_CHANGE}
    fields |= {name: options[name] for name in _CAN_CHANGE if name in options}
    if "headers" in options:
        fields["headers"] = {**message.headers, **options["headers"]}
    if (expires := options.get("expires")) is not None:
        relative = isinstance(expires, int | float)
        fields["expires_us"] = now_us + round(expires * 1_000_000) if relative else us_of_iso(expires)
    return Json(json.dumps(fields)) if fields else None


_CAN_CHANGE = ("queue", "priority", "expires_us", "headers", "time_limit", "soft_time_limit", "shadow")


def _eta_us(retry: errors.Retry, now_us: int) -> int:
    when = retry.when
    if when is None:
        return now_us
    eta_us = now_us + round(when * 1_000_000) if isinstance(when, int | float) else us_of(when)
    iso_of_us(eta_us)  # raises OverflowError for what no message can carry
    return eta_us


# --- error callbacks -----------------------------------------------------------------------------------------------------------


def _wants_exception(task: Task[Any, Any]) -> bool:
    """True for Celery's newer form f(request, exc, traceback, ...) or f(*args); the older f(failed_id) gets the id only."""
    kinds = [parameter.kind for parameter in inspect.signature(task.run_bound).parameters.values()]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Parameter.VAR_POSITIONAL in kinds or sum(kind in positional for kind in kinds) >= 3  # noqa: PLR2004 - see above


def _errback_args(report: Mapping[str, Any], extra: list[Any]) -> list[Any]:
    failed = Request(
        id=report.get("id"), task=report.get("name"), root_id=report.get("root_id"), called_directly=False
    )
    return [failed, exception_of(reported_error(report)), report.get("traceback", ""), *extra]
