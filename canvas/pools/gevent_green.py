"""GeventGreen: gevent's greenlets for a crew. Imported only in a process that gevent has patched."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import gevent  # type: ignore[import-untyped]  # it has no types

from .base import Job


class GeventGreen:
    """See green_crew.Green."""

    def spawn(self, run: Callable[[Job], None], job: Job) -> Any:
        return gevent.spawn(run, job)

    def soon(self, call: Callable[[], object]) -> None:
        gevent.get_hub().loop.run_callback(call)

    def join(self, greenlet: Any) -> None:
        greenlet.join()

    def timeout(self, seconds: float, error: Exception) -> AbstractContextManager[object]:
        timeout: AbstractContextManager[object] = gevent.Timeout(seconds, error)
        return timeout
