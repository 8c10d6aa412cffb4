"""Sender: where publishing runs, so that a broker that hangs does not hold up the loop.

The seam: one job at a time, and what it came to. ThreadSender runs it in a thread of its own and wakes the loop when it is
done; InlineSender runs it at once in the caller's thread, for tests and simulations. The relay makes the jobs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .published import Published

Job = Callable[[], Published | None]


@dataclass(frozen=True, slots=True)
class Done:
    """What a job came to: what it returned, or what it raised."""

    answer: Published | None = None
    fault: Exception | None = None


class Sender(Protocol):
    """Runs one job at a time. Every method is called from one thread."""

    def hand(self, job: Job) -> None:
        """Begin a job. The one before it must have been collected."""

    def collect(self, wait_seconds: float = 0.0) -> Done | None:
        """What the job came to, once; None while it runs, and when there is none. Waits for at most so long."""

    def close(self) -> None:
        """Let go; a job that still runs is left to itself. `hand` begins anew."""


class InlineSender:
    """Runs a job when it is handed over."""

    def __init__(self) -> None:
        self._done: Done | None = None

    def hand(self, job: Job) -> None:
        self._done = _run(job)

    def collect(self, wait_seconds: float = 0.0) -> Done | None:  # noqa: ARG002 - it is done already
        done, self._done = self._done, None
        return done

    def close(self) -> None:
        """There is nothing to let go of."""


class ThreadSender:
    """Runs jobs in a daemon thread, which starts with the first one; `wake` is called after each."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def hand(self, job: Job) -> None:
        if self._thread is None:
            self._jobs, self._results = queue.SimpleQueue(), queue.SimpleQueue()
            self._thread = threading.Thread(
                target=self._work, args=(self._jobs, self._results), name="beat-sender", daemon=True
            )
            self._thread.start()
        self._jobs.put(job)

    def collect(self, wait_seconds: float = 0.0) -> Done | None:
        try:
            return self._results.get(block=wait_seconds > 0, timeout=wait_seconds or None)
        except queue.Empty:
            return None

    def close(self) -> None:
        if self._thread is not None:
            self._jobs.put(None)
            self._thread = None

    def _work(self, jobs: queue.SimpleQueue[Job | None], results: queue.SimpleQueue[Done]) -> None:
        """The queues are this thread's own: one that was left to itself must not answer for its successor."""
        while (job := jobs.get()) is not None:
            results.put(_run(job))
            self._wake()


def _run(job: Job) -> Done:
    try:
        return Done(answer=job())
    except Exception as fault:  # noqa: BLE001 - it is handed to the loop, which logs it
        return Done(fault=fault)
