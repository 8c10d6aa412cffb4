"""What signals mean in a child.

To a child as such nothing: what a terminal or an init system sends to all processes of a worker is for the worker to obey. SIGINT is
ignored; SIGTERM and SIGQUIT are caught and do nothing. Caught, not ignored, so that programs and forks that a task starts can be terminated
as usual.

To a task, what Pool.kill asks for. The pool puts the order into the child's turnstile and has the nursery send the signal: the order tells this
signal from those of strangers.

    SIGTERM   SystemExit is raised in the task, so that it can clean up, then the child dies by the signal
    SIGINT    KeyboardInterrupt likewise (SIGTERM is what is sent, as SIGINT is ignored)
    SIGUSR1   SoftTimeLimitExceeded is raised in the task; how it ends then is reported
    SIGQUIT   the child dies at once
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from ..errors import SoftTimeLimitExceeded
from .pipe import OUR_SIGNALS
from .turnstile import Turns

T = TypeVar("T")
_CAUGHT = (OUR_SIGNALS - {signal.SIGINT}) | {signal.SIGUSR1}


def keep_signals() -> None:
    """Let the worker alone decide what Ctrl-C and SIGTERM mean, see above."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for signum in OUR_SIGNALS - {signal.SIGINT}:
        signal.signal(signum, _obey)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OUR_SIGNALS)


def take_user_signal() -> None:
    """SIGUSR1 too. Done before the app is imported, as it may have a use of its own for that one (faulthandler), which then holds."""
    signal.signal(signal.SIGUSR1, _obey)


def release_forks() -> None:
    """See to it that what a task forks can be terminated as usual, from its first moment on."""
    os.register_at_fork(
        before=_hold_signals, after_in_parent=_release_signals, after_in_child=_forget_signals
    )


class TaskSignals:
    """Ends the task that runs in this child, when the pool orders it. For a child with one job at a time, in its main thread."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._exposed = False
        self._asked: int | None = None
        _tasks.append(self)

    def expose(self, run: Callable[[], T]) -> T:
        """Run it; an order to end it is obeyed only meanwhile. Does not return if it was ended."""
        try:
            self._exposed = True
            ended = run()
            self._exposed = False
        except BaseException:
            self._exposed = False
            if self._asked is not None:
                _die(self._asked)
            raise
        if self._asked in (signal.SIGTERM, signal.SIGINT):
            _die(self._asked)  # whatever the task made of it
        return ended

    def obey(self, signum: int) -> None:
        """What a signal means here and now."""
        if self._asked is not None:
            return
        asked = self._turns.order()
        if asked is None and signum == signal.SIGUSR1:
            _die(signum)  # a stranger's, and that is what it usually does
        if asked is None or not self._exposed:
            return  # between two jobs the order is what comes next
        self._asked = asked
        match asked:
            case signal.SIGTERM:
                raise SystemExit("the task was terminated")
            case signal.SIGINT:
                raise KeyboardInterrupt
            case signal.SIGUSR1:
                raise SoftTimeLimitExceeded("the task was told to end (SIGUSR1)")
            case _:
                _die(asked)


_tasks: list[TaskSignals] = []
"""The one of this process, if it is a child that runs tasks in its main thread."""


def _obey(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
    if _tasks:
        _tasks[0].obey(signum)
    elif signum == signal.SIGUSR1:
        _die(signum)


def _die(signum: int) -> None:
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)


def _hold_signals() -> None:
    """Before a fork that a task makes: a SIGTERM to the new process shall wait until it means what it usually means."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)


def _forget_signals() -> None:
    for signum in _CAUGHT:
        if signal.getsignal(signum) is _obey:
            signal.signal(signum, signal.SIG_DFL)
    _release_signals()
