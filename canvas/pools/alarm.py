"""Alarm: the soft limit of what runs in a main thread, kept by SIGALRM. It also ends a wait in C code (time.sleep, a socket).

Signals are dealt with in the main thread, between two steps of Python code, so there is no race to lose: what is raised is raised in what
the thread does just then. An alarm strikes once; one that went off just before the end and is dealt with after it finds that it is over.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..errors import SoftTimeLimitExceeded
from ..limit import LimitedCoroutine, LimitsKept, overdue_text, run_here


class Alarm:
    """Raises SoftTimeLimitExceeded inside the block after `seconds`, if `may_strike` then. Only in a main thread, and never nested."""

    def __init__(self, seconds: float, may_strike: Callable[[], bool] = lambda: True) -> None:
        self._seconds = seconds
        self._may_strike = may_strike
        self._set = False
        self._handler: Any = None
        self._timer = (0.0, 0.0)

    def __enter__(self) -> None:
        self._handler = signal.signal(signal.SIGALRM, self._ring)
        self._timer = signal.setitimer(signal.ITIMER_REAL, 0)
        self._set = True
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_: object) -> None:
        if self._set:
            self._leave()

    def _ring(self, *_: object) -> None:
        if self._set and self._may_strike():
            self._leave()  # not left to __exit__: what is raised may be raised before its first step
            raise SoftTimeLimitExceeded(overdue_text(self._seconds))

    def _leave(self) -> None:
        """Leave signal and timer as they were found: in solo the process is not ours, and another's timer goes on from here."""
        self._set = False
        signal.setitimer(signal.ITIMER_REAL, *self._timer)
        signal.signal(signal.SIGALRM, self._handler)


class AlarmLimit:
    """Soft limits by alarm; see limit.SoftLimit. `hard` says whether the pool keeps hard ones."""

    def __init__(self, *, hard: bool) -> None:
        self._hard = hard

    @property
    def kept(self) -> LimitsKept:
        return LimitsKept(soft=_in_main_thread(), hard=self._hard)

    def over(self, seconds: float | None) -> AbstractContextManager[object]:
        return Alarm(seconds) if seconds and _in_main_thread() else nullcontext()

    async def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
        """By its event loop; by the alarm if the coroutine does not let the loop run."""
        if not seconds or not _in_main_thread():
            return run_here(coroutine)
        limited = LimitedCoroutine(coroutine, seconds)
        with Alarm(seconds, lambda: limited.stepping and limited.tell()):
            return limited.run()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
