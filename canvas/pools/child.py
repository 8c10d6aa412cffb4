"""Child: what happens inside a process that runs tasks: it announces itself, then reads jobs and writes reports until its pipe ends.

It is started by nursery_main.py, and knows one pipe and one runner. The pipe is not its standard output, which stays the task's own.

Signals: SIGINT is ignored, as a terminal sends Ctrl-C to the whole process group, and the worker decides what it means. SIGTERM and SIGQUIT
are caught and do nothing, for the same reason: `systemctl stop` with KillMode=control-group sends SIGTERM to all. Caught, not ignored, so
that programs and forks that a task starts can be terminated as usual. A child ends when its pipe ends, or by SIGKILL.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ..app import find_app
from ..errors import MessageError, SoftTimeLimitExceeded
from ..execute import Requeued, execute
from ..failure import error_of, traceback_of
from ..outcome import Failure
from ..tasks import Tasks
from ..wire import from_wire, unpack
from .base import Ended, Job, Requeue
from .pipe import OUR_SIGNALS, pack, pack_report, read_frame
from .runner import Runner, RunnerSpec

LOG_FORMAT = "[%(asctime)s: %(levelname)s/%(process)d] %(message)s"
Report = Ended | Requeue
"""A child cannot report its own loss."""
_CAUGHT = OUR_SIGNALS - {signal.SIGINT}


def make_runner(
    app_spec: str, hostname: str, broker: str | None = None, backend: str | None = None
) -> Runner:
    """A runner over the tasks of the app at `app_spec` ("module:attribute"), which is imported here, with all its task modules.

    `broker` and `backend` are those of the worker, so that what a task sends goes the same way.
    """
    # what tasks log shall be seen, unless the app has set up logging of its own
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    app = find_app(app_spec)
    if broker:
        app.conf.broker_url = broker
    if backend:
        app.conf.result_backend = backend
    app.import_modules()
    tasks = app.tasks

    def run(job: Job, /) -> Report:
        return run_job(job, tasks, hostname)

    return run


def run_job(job: Job, tasks: Tasks, hostname: str) -> Report:
    """Decode the job's message and execute it. A message that cannot be decoded is a job that failed."""
    try:
        message = from_wire(unpack(job.raw), job.queue)
        with soft_limit(message.soft_time_limit):
            return Ended(job.key, execute(message, tasks, hostname))
    except Requeued:
        return Requeue(job.key)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the job ends with it and the child goes on
        node = (exc.task_id if isinstance(exc, MessageError) else None) or job.key
        return Ended(job.key, Failure(error=error_of(exc, node), traceback=traceback_of(exc)))


@contextmanager
def soft_limit(seconds: float | None) -> Iterator[None]:
    """Raise SoftTimeLimitExceeded in the task after so many seconds; only in the main thread of a child, whose SIGALRM is ours."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_it(*_: object) -> None:
        raise SoftTimeLimitExceeded(f"the task ran longer than its soft time limit of {seconds} s")

    before = signal.signal(signal.SIGALRM, raise_it)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- the process ---------------------------------------------------------------------------------------------------------------


def main(fd: int) -> None:
    """The main function of a child that was started as a program of its own (start method spawn)."""
    pipe = socket.socket(fileno=fd)
    launch = read_frame(pipe)
    if launch is not None:
        [[factory, args]] = launch
        live(pipe, RunnerSpec(factory, tuple(args)).make)


def live(pipe: socket.socket, make: Callable[[], Runner]) -> None:
    """Make the runner, say so, and serve until the pipe ends. A runner that cannot be made is said too, and ends the process."""
    keep_signals()
    os.register_at_fork(
        before=_hold_signals, after_in_parent=_release_signals, after_in_child=_forget_signals
    )
    try:
        runner = make()
    except BaseException:  # noqa: BLE001 - importing the user's app may raise anything, SystemExit included
        _tell(pipe, pack([["broken", traceback.format_exc()]]))
        sys.exit(1)
    gc.collect()
    gc.freeze()
    if _tell(pipe, pack([["ready", os.getpid()]])):
        _serve(pipe, runner)


def _serve(pipe: socket.socket, runner: Runner) -> None:
    while (jobs := _next_jobs(pipe)) is not None:
        for key, raw, queue in jobs:
            if not _tell(pipe, pack_report(runner(Job(key, raw, queue)))):
                return


def _next_jobs(pipe: socket.socket) -> list[list[str]] | None:
    try:
        return read_frame(pipe)
    except ConnectionError:
        return None


def _tell(pipe: socket.socket, frame: bytes) -> bool:
    """False if the worker is gone."""
    try:
        pipe.sendall(frame)
    except ConnectionError:
        return False
    return True


def keep_signals() -> None:
    """Let the worker alone decide what Ctrl-C and SIGTERM mean, see above."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for signum in _CAUGHT:
        signal.signal(signum, _remain)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OUR_SIGNALS)


def _hold_signals() -> None:
    """Before a fork that a task makes: a SIGTERM to the new process shall wait until it means what it usually means."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)


def _forget_signals() -> None:
    for signum in _CAUGHT:
        if signal.getsignal(signum) is _remain:
            signal.signal(signum, signal.SIG_DFL)
    _release_signals()


def _remain(signum: int, frame: FrameType | None) -> None:
    pass
