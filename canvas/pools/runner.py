"""Runner: what runs one job, and the reference by which a process that is still to be started can make its own. Plain data and import only."""

from __future__ import annotations

from collections.abc import Coroutine
from enum import StrEnum
from importlib import import_module
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..limit import SoftLimit
from .base import Ended, Job, Requeue

Plain = str | int | float | bool | None
"""What `marshal` writes and every interpreter reads back the same."""


class Runner(Protocol):
    """Runs one job to its end, in the calling thread. What is not an Exception (SystemExit, KeyboardInterrupt) passes through.

    `limit` keeps soft limits in this thread, and says which limits are kept at all.
    """

    def __call__(self, job: Job, limit: SoftLimit, /) -> Ended | Requeue: ...


@runtime_checkable
class AwaitedRunner(Protocol):
    """A runner that can also run a job in an event loop which others share."""

    def awaited(self, job: Job, limit: SoftLimit, /) -> Coroutine[Any, Any, Ended | Requeue] | None:
        """The coroutine that runs the job; None if its task is none, and needs a thread."""
        ...


class RunnerSpec(NamedTuple):
    """The factory of a runner as "module:function", and its arguments."""

    factory: str
    args: tuple[Plain, ...] = ()

    def make(self) -> Runner:
        """Import the module and call the factory. Raises whatever these raise: it is the user's code that is imported here."""
        module, _, name = self.factory.partition(":")
        runner: Runner = getattr(import_module(module), name)(*self.args)
        return runner


class Kind(StrEnum):
    """How a child runs its jobs."""

    ALONE = "alone"
    """One at a time, in its main thread."""
    THREADS = "threads"
    """Side by side, each in a thread."""
    ASYNCIO = "asyncio"
    """Side by side in one event loop; those that are no coroutines each in a thread."""
    GEVENT = "gevent"
    """Side by side in greenlets of gevent, in a process that it has patched."""
    EVENTLET = "eventlet"
    """Likewise of eventlet."""

    @property
    def is_shared(self) -> bool:
        """Several jobs are in one process."""
        return self is not Kind.ALONE

    @property
    def can_cancel(self) -> bool:
        """A job can be ended without its process, unless it resists."""
        return self.is_shared and self is not Kind.THREADS

    @property
    def is_green(self) -> bool:
        """Jobs are greenlets, and the process is patched before anything is imported in it."""
        return self in (Kind.GEVENT, Kind.EVENTLET)


class ChildSpec(NamedTuple):
    """What a child is: its runner, how it runs jobs and how many side by side, and the size at which it asks to be replaced."""

    runner: RunnerSpec
    kind: Kind = Kind.ALONE
    slots: int = 1
    max_memory_kib: int | None = None

    def to_data(self) -> list[Any]:
        """As it travels to a process."""
        return [self.runner.factory, self.runner.args, str(self.kind), self.slots, self.max_memory_kib]


def child_spec_of(data: list[Any]) -> ChildSpec:
    """The inverse of `ChildSpec.to_data`."""
    match data:
        case [str(factory), tuple(args), str(kind), int(slots), int() | None as max_memory_kib]:
            return ChildSpec(RunnerSpec(factory, args), Kind(kind), slots, max_memory_kib)
    raise ValueError(f"not a child: {data!r:.200}")
