"""Strike: an exception that is set from outside in what a thread runs: for soft limits where the thread is not the main one.

Python raises it when the thread next runs Python code; a thread that waits in C code (time.sleep, a socket) gets it when it comes back.

Why it never strikes what comes after the task. A strike can be *claimed* once: by the thread that strikes, which then sets the exception, or
by the task's thread at the end of the task. If the task's thread claims it, nothing was set and nothing will be. If it finds it claimed, it
waits until the exception is set, and takes back what has not been raised by then. Wherever in the block it is raised it is the only one: the
last steps of the block ignore it, as the task had ended in time. Nothing here depends on when Python looks for such exceptions.
"""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections.abc import Coroutine
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Any

from ..errors import SoftTimeLimitExceeded
from ..limit import LimitedCoroutine, LimitsKept, overdue_text, run_here


class Strike:
    """A block of the calling thread, inside which `error` is raised when `land` is called: once, and never outside."""

    __slots__ = ("_claim", "_error", "_landed", "_thread", "at")

    def __init__(self, error: type[BaseException], at: float = math.inf) -> None:
        self._error = error
        self._claim = threading.Lock()
        self._landed = threading.Lock()
        self._landed.acquire()
        self._thread = threading.get_ident()
        self.at = at
        """When it is due, by the monotonic clock."""

    @property
    def claimed(self) -> bool:
        return self._claim.locked()

    def land(self) -> None:
        """Set the exception, if the block has not ended. Called by another thread."""
        if self._claim.acquire(blocking=False):
            _set_exception(self._thread, self._error)
            self._landed.release()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        # ignored, as it was raised after the task's last step; what the task itself raised goes on
        with suppress(self._error):
            if not self._claim.acquire(blocking=False):
                self._landed.acquire()
                _set_exception(self._thread, None)


class StrikeLimit:
    """Soft limits in threads; see limit.SoftLimit. One for a process; its own thread is the clock, and sleeps until a strike is due."""

    kept = LimitsKept(soft=True, hard=True)

    def __init__(self) -> None:
        self._strikes: dict[int, Strike] = {}
        """The last one of each thread."""
        self._sooner: SimpleQueue[None] = SimpleQueue()
        self._wakes_at = math.inf
        threading.Thread(target=self._watch, name="backbeat-soft-limits", daemon=True).start()

    def over(self, seconds: float | None) -> AbstractContextManager[object]:
        return _SoftStrike(self, seconds) if seconds else nullcontext()

    async def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
        """By its event loop: a coroutine that does not let the loop run is not told."""
        return LimitedCoroutine(coroutine, seconds).run() if seconds else run_here(coroutine)

    def arm(self, strike: Strike) -> None:
        """Let it land when it is due. Wakes the clock if it would sleep too long, which is seldom: most tasks end long before their limit."""
        self._strikes[threading.get_ident()] = strike
        if strike.at < self._wakes_at:
            self._sooner.put(None)

    def _watch(self) -> None:
        while True:
            # first: a strike that comes while we look at the others must wake us, as we may have missed it
            self._wakes_at = math.inf
            now = time.monotonic()
            waiting = [strike for strike in list(self._strikes.values()) if not strike.claimed]
            for strike in waiting:
                if strike.at <= now:
                    strike.land()
            self._wakes_at = min((strike.at for strike in waiting if strike.at > now), default=math.inf)
            seconds = None if self._wakes_at == math.inf else max(0.0, self._wakes_at - time.monotonic())
            with suppress(Empty):
                self._sooner.get(timeout=seconds)


class _SoftStrike(Strike):
    __slots__ = ("_clock",)

    def __init__(self, clock: StrikeLimit, seconds: float) -> None:
        super().__init__(_overdue(seconds), time.monotonic() + seconds)
        self._clock = clock

    def __enter__(self) -> None:
        self._clock.arm(self)


@lru_cache(64)
def _overdue(seconds: float) -> type[SoftTimeLimitExceeded]:
    """A class, as no instance can be set: its instances are plain SoftTimeLimitExceeded, with the text."""

    class Overdue(SoftTimeLimitExceeded):
        # the interpreter may make one of another, as the classes differ
        def __init__(self, *_: object) -> None:
            super().__init__(overdue_text(seconds))
            self.__class__ = SoftTimeLimitExceeded  # type: ignore[assignment] # so that it is recorded and read back as that

    return Overdue


def _set_exception(thread: int, error: type[BaseException] | None) -> None:
    """Have `error` raised in the thread when it next runs Python code; None takes back what was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object() if error is None else ctypes.py_object(error)
    )
