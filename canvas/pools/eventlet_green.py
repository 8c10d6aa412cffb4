"""EventletGreen: eventlet's greenlets for a crew. Imported only in a process that eventlet has patched."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

import eventlet  # type: ignore[import-untyped]  # it has no types

from .base import Job


class EventletGreen:
    """See green_crew.Green."""

    def spawn(self, run: Callable[[Job], None], job: Job) -> Any:
        return eventlet.spawn(run, job)

    def soon(self, call: Callable[[], object]) -> None:
        eventlet.hubs.get_hub().schedule_call_global(0, call)

    def join(self, greenlet: Any) -> None:
        with suppress(BaseException):  # it says itself how it ended
            greenlet.wait()

    def timeout(self, seconds: float, error: Exception) -> AbstractContextManager[object]:
        timeout: AbstractContextManager[object] = eventlet.Timeout(seconds, error)
        return timeout
