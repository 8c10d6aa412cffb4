"""Runner: what runs one job, and the reference by which a process that is still to be started can make its own. Plain data and import only."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple, Protocol

from .base import Ended, Job, Requeue

Plain = str | int | float | bool | None
"""What `marshal` writes and every interpreter reads back the same."""


class Runner(Protocol):
    """Runs one job to its end, in the calling thread. What is not an Exception (SystemExit, KeyboardInterrupt) passes through."""

    def __call__(self, job: Job, /) -> Ended | Requeue: ...


class RunnerSpec(NamedTuple):
    """The factory of a runner as "module:function", and its arguments."""

    factory: str
    args: tuple[Plain, ...] = ()

    def make(self) -> Runner:
        """Import the module and call the factory. Raises whatever these raise: it is the user's code that is imported here."""
        module, _, name = self.factory.partition(":")
        runner: Runner = getattr(import_module(module), name)(*self.args)
        return runner
