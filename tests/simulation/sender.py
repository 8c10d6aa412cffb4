"""SimSender: the Sender of a process of a simulated world: a job begins a moment after it was handed over, and its answer takes time.

What a process that ends has handed over is gone, or with the broker and nobody hears of it; while a process is frozen nothing moves.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from backbeat.scheduler.sender import Done, Job

from .timeline import Timeline

SLOW_SHARE = 0.002


class SimSender:
    """One job at a time. `slow` is asked how long an answer takes that is to take long. `alive`: the process has not ended; `awake`: nor is it frozen; `wake` is what its loop wakes up by."""

    def __init__(
        self,
        timeline: Timeline,
        draw: random.Random,
        slow: Callable[[float, float], float],
        *,
        alive: Callable[[], bool],
        awake: Callable[[], bool],
        wake: Callable[[], None],
        pause: Callable[[float], None],
    ) -> None:
        self._timeline = timeline
        self._draw = draw
        self._slow = slow
        self._alive = alive
        self._awake = awake
        self._wake = wake
        self._pause = pause
        self._done: Done | None = None
        self._job: Job | None = None

    def hand(self, job: Job) -> None:
        self._job = job
        self._timeline.within(self._draw.uniform(0.0, 0.02), lambda: self._begin(job))

    def collect(self, wait_seconds: float = 0.0) -> Done | None:
        if wait_seconds and self._done is None and self._job is not None:
            self._pause(min(wait_seconds, 1.0))
        done, self._done = self._done, None
        return done

    def close(self) -> None:
        self._job = None

    def _begin(self, job: Job) -> None:
        if not self._alive() or job is not self._job:
            return
        if not self._awake():
            self._timeline.within(0.1, lambda: self._begin(job))
            return
        try:
            done = Done(answer=job())
        except Exception as fault:
            done = Done(fault=fault)
        seconds = self._draw.uniform(0.0, 0.05)
        if self._draw.random() < SLOW_SHARE:
            seconds = self._slow(seconds, self._draw.uniform(0.5, 8.0))
        self._timeline.within(seconds, lambda: self._end(job, done))

    def _end(self, job: Job, done: Done) -> None:
        if not self._alive() or job is not self._job:
            return
        self._done, self._job = done, None
        self._wake()
