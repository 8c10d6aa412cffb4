"""Child: what happens inside a process that runs tasks: it announces itself, then reads jobs and writes reports until its pipe ends.

It is started by nursery_main.py, and knows one pipe, one turnstile and one runner. The pipe is not its standard output, which stays the task's own.
Of what kind it is (runner.Kind) says how its jobs run: one at a time in the main thread, each when it has its turn; each in a thread of its own, and
the main thread does nothing but read (crew.py); those that are coroutines in one event loop (loop_crew.py); each in a greenlet (green_crew.py).

A child ends when its pipe and its turns end, or when it is ordered to, or by SIGKILL; other signals are for its task (child_signal.py).
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from .. import django_project, signals
from ..application import App
from ..errors import MessageError
from ..execute import Requeued, driven, execute_awaiting, time_limits_of
from ..failure import error_of, traceback_of
from ..find_app import find_app
from ..killpoint import arm, reach
from ..limit import SoftLimit, TimeLimits
from ..log_setup import set_up_logging
from ..message import Message
from ..outcome import Failure, Outcome, celery_error
from ..span import Run
from ..task_hooks import ExceptionInfo
from ..tasks import Tasks
from ..teller import teller, telling
from ..tracing import run_of
from ..usual import message_in
from .alarm import AlarmLimit
from .base import Ended, Job, Requeue
from .child_signal import TaskSignals, keep_signals, release_forks, take_user_signal
from .crew import Crew
from .given import Given
from .green_crew import GreenCrew
from .loop_crew import LoopCrew
from .pipe import orders_of, pack, read_frame
from .post import Post, say
from .runner import ChildSpec, Kind, Runner, child_spec_of
from .turnstile import Turns

LOG_FORMAT = "[%(asctime)s: %(levelname)s/%(process)d] %(message)s"
Report = Ended | Requeue
"""A child cannot report its own loss."""
_NO_LIMITS = TimeLimits()


def make_runner(
    app_spec: str,
    hostname: str,
    broker: str | None = None,
    backend: str | None = None,
    time_limit: float | None = None,
    soft_time_limit: float | None = None,
    loglevel: str = "INFO",
    include: str = "",
) -> Runner:
    """A runner over the tasks of the app at `app_spec` ("module:attribute"), which is imported here, with all its task modules.

    `broker` and `backend` are those of the worker, so that what a task sends goes the same way; the limits, in seconds, are for
    messages and tasks that have none; `loglevel` is the worker's, too, and so is the setting `include`, with
    commas between its modules.
    """
    app = find_app(app_spec)
    if django_project.is_used():
        django_project.attach()
    # what tasks log shall be seen, unless the app has set up logging of its own
    set_up_logging(loglevel, LOG_FORMAT)
    if broker:
        app.conf.broker_url = broker
    if backend:
        app.conf.result_backend = backend
    if include:
        app.conf.include = include.split(",")
    app.import_modules()
    return TaskRunner(
        app, hostname, TimeLimits(time_limit, soft_time_limit), traces=bool(app.conf.task_traces)
    )


class TaskRunner:
    """Runs jobs that are messages to the tasks of `app`. `default` limits are for those that have none; `traces`: see tracing.py."""

    def __init__(self, app: App, node: str, default: TimeLimits, *, traces: bool = True) -> None:
        self.app, self.node = app, node  # for who tells of this process, too
        self._tasks = app.tasks
        self._default = default
        self._traces = traces

    def __call__(self, job: Job, limit: SoftLimit, /) -> Report:
        return run_job(job, self._tasks, self.node, limit, self._default, traces=self._traces)

    def awaited(self, job: Job, limit: SoftLimit, /) -> Coroutine[Any, Any, Report] | None:
        """The coroutine that runs it; None if its task is no coroutine function, or if there is none: then `run_job` says why."""
        try:
            message = message_in(job.raw, job.queue)
        except Exception:  # noqa: BLE001 - see above
            return None
        task = self._tasks.get(message.task)
        if task is None or not task.is_coroutine:
            return None
        return _run_job(job, self._tasks, self.node, limit, self._default, message, traces=self._traces)


def run_job(
    job: Job,
    tasks: Tasks,
    hostname: str,
    limit: SoftLimit,
    default: TimeLimits = _NO_LIMITS,
    *,
    traces: bool = True,
) -> Report:
    """Decode the job's message and execute it, in this thread.

    A message that cannot be decoded is a job that failed; so is one whose limits are not kept here. `default` is for those that have none.
    """
    return driven(_run_job(job, tasks, hostname, limit, default, traces=traces))


async def _run_job(
    job: Job,
    tasks: Tasks,
    hostname: str,
    limit: SoftLimit,
    default: TimeLimits,
    message: Message | None = None,
    *,
    traces: bool,
) -> Report:
    began = time.perf_counter()
    try:
        if message is None:
            message = message_in(job.raw, job.queue)
        with run_of(message, is_on=traces) as run:
            outcome = await _outcome(message, tasks, hostname, limit, default, run)
        if outcome is None:
            return Requeue(job.key)
        return Ended(job.key, outcome, time.perf_counter() - began, run.trace)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the job ends with it and the child goes on
        if signals.task_internal_error.receivers:
            _tell_internal_error(job, exc)
        node = (exc.task_id if isinstance(exc, MessageError) else None) or job.key
        failure = Failure(error=error_of(exc, node), traceback=traceback_of(exc))
        return Ended(job.key, failure, time.perf_counter() - began)


async def _outcome(
    message: Message, tasks: Tasks, hostname: str, limit: SoftLimit, default: TimeLimits, run: Run
) -> Outcome | None:
    """What it came to; None if it is to be handed back."""
    limits = time_limits_of(message, tasks, default)
    if missing := limit.kept.missing(limits):
        outcome: Outcome = _refusal(message, missing)
    else:
        reach("child.starting")
        try:
            outcome = await execute_awaiting(
                message, tasks, hostname, limit, limits, teller(), raised=run.raised
            )
        except Requeued:
            run.requeued()
            return None
        reach("child.ran")
    run.ended(outcome)
    return outcome


def _tell_internal_error(job: Job, exc: Exception) -> None:
    einfo = ExceptionInfo(exc)
    known = {"exception": exc, "traceback": exc.__traceback__, "einfo": einfo, "request": None}
    id_ = (exc.task_id if isinstance(exc, MessageError) else None) or job.key
    signals.task_internal_error.send(None, task_id=id_, args=(), kwargs={}, **known)


def _refusal(message: Message, missing: list[str]) -> Failure:
    """A limit that nobody keeps is worse than none, and a message may come from a caller who cannot know the pool."""
    text = (
        f"this worker's pool cannot keep the {' and '.join(missing)} of {message.task}, so it was not run: "
        "serve its queue with -P processes or threads, or send it without"
    )
    return Failure(error=celery_error("Reject", text, message.id))


# --- the process ---------------------------------------------------------------------------------------------------------------


def main(fd: int) -> None:
    """The main function of a child that was started as a program of its own (start method spawn)."""
    pipe, turnstile = socket.socket(fileno=fd), socket.socket(fileno=int(sys.argv.pop()))
    launch = read_frame(pipe)
    if launch is not None:
        take_user_signal()
        spec = child_spec_of(launch[0])
        live(pipe, turnstile, spec, spec.runner.make)


def live(pipe: socket.socket, turnstile: socket.socket, spec: ChildSpec, make: Callable[[], Runner]) -> None:
    """Make the runner, say so, and serve until the pipe ends. A runner that cannot be made is said too, and ends the process."""
    keep_signals()
    arm()
    turns = Turns(turnstile)
    for_task = TaskSignals(turns) if spec.kind is Kind.ALONE else None
    release_forks()
    try:
        runner = make()
    except BaseException:  # noqa: BLE001 - importing the user's app may raise anything, SystemExit included
        say(pipe, pack([["broken", traceback.format_exc()]]))
        sys.exit(1)
    gc.collect()
    gc.freeze()
    node = getattr(runner, "node", "")
    if (app := getattr(runner, "app", None)) is not None:
        app.on_after_fork.send(app)
    signals.worker_process_init.send(node)
    if say(pipe, pack([["ready", os.getpid()]])):
        post = Post(pipe, spec.max_memory_kib, is_green=spec.kind.is_green)
        if for_task is not None:
            _serve(Given(pipe, turns), runner, post, for_task)
        else:
            _serve_many(pipe, spec, runner, post)
    signals.worker_process_shutdown.send(node, pid=os.getpid(), exitcode=0)


def _serve_many(pipe: socket.socket, spec: ChildSpec, runner: Runner, post: Post) -> None:
    """Jobs side by side."""

    def orders() -> list[Job | str] | None:
        return _next_orders(pipe)

    match spec.kind:
        case Kind.ASYNCIO:
            LoopCrew(runner, post).serve(pipe)
        case Kind.GEVENT:
            from .gevent_green import GeventGreen

            GreenCrew(runner, post, GeventGreen()).serve(orders)
        case Kind.EVENTLET:
            from .eventlet_green import EventletGreen

            GreenCrew(runner, post, EventletGreen()).serve(orders)
        case _:
            Crew(runner, post, ready=spec.slots).serve(orders)


def _serve(given: Given, runner: Runner, post: Post, for_task: TaskSignals) -> None:
    """One job after the other, in this thread."""
    limit, pid = AlarmLimit(hard=True), os.getpid()
    while (job := given.next()) is not None:
        with telling(partial(post.tell, job.key)):
            report = for_task.expose(partial(runner, job, limit))
        if os.getpid() != pid:
            os._exit(0)  # a process that the task forked came back from it: the jobs are its parent's
        if not post.report(report):
            return
        if post.is_full:  # what was given to this process is for its successor
            given.await_end()
            return


def _next_orders(pipe: socket.socket) -> list[Job | str] | None:
    """Wait for jobs, or for the keys of jobs that are to be dropped. None if the worker is gone, or if it wants this process to end."""
    try:
        frame = read_frame(pipe)
    except ConnectionError:
        return None
    return None if frame is None else orders_of(frame)
