"""Stage: a whole fleet in the caller's thread: a store in memory, a clock that stands still until it is moved, and one worker.

Nothing is played here: messages go through the codec into a MemoryStore, a Performer asks flow what follows, and outcomes are committed
as any worker commits them. Only the loop is another one: it runs when it is told to, one message after the other, and instead of waiting
for a timer it moves the clock to it. So a countdown of a week takes no time, and all happens in the order of its time.

Who runs a message's function, and how, is for the caller to say: eager.py for `apply()`, the kit for tests in testing/.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from typing import Protocol

from .clock import FakeClock
from .commit.base import Commit
from .commit.limits import Limits
from .commit.memory import MemoryCommit
from .commit.memory_results import MemoryResults
from .commit.memory_store import MemoryStore
from .commit.transition import Transition
from .errors import Unavailable
from .execute import Requeued
from .message import Message
from .outcome import Outcome
from .perform import Execute, Performer
from .tasks import Tasks
from .unstorable import instead_of

MOST_MESSAGES = 100_000
"""In one go, unless the caller says another number: a task that sends itself again without end must not hang who waits for the end."""


class Crew(Protocol):
    """What a stage needs of an app."""

    @property
    def tasks(self) -> Tasks: ...

    def queue_of(self, name: str) -> str: ...

    def is_early(self, message: Message) -> bool: ...


class Died(Exception):
    """The process that runs a message is no more; its caller's `run` raises it."""


class Endless(RuntimeError):
    """After so many messages there are still more."""


class Stage:
    """One fleet. Not thread-safe, but for sending, and for reading results."""

    def __init__(
        self,
        crew: Crew,
        clock: FakeClock,
        run: Callable[[Message], Outcome],
        *,
        result_bytes: int,
        store: MemoryStore | None = None,
        commit: Commit | None = None,
        applied: Callable[[Transition], object] = lambda _transition: None,
    ) -> None:
        """`run` runs a message's function; it may raise Requeued and Died. `applied` is told of each transition that is stored.

        `commit` is the worker's, over `store`; by default one of its own. `result_bytes`: of a result, at most.
        """
        self.clock = clock
        self.store = store or MemoryStore(clock)
        self.results = MemoryResults(self.store)
        self._run = run
        self._applied = applied
        self._commit = commit or MemoryCommit(
            self.store, worker=hostname("eager"), queues=None, limits=Limits()
        )
        self._performer = Performer(
            self._commit,
            self.results,
            now_us=clock.now_us,
            queue_of=crew.queue_of,
            is_early=crew.is_early,
            result_bytes=result_bytes,
        )

    @property
    def next_us(self) -> int | None:
        """When the first message is due that waits for its time; None if none does."""
        with self.store.changed:
            return self.store.state.mail.next_us()

    def run_until(self, until_us: float = math.inf, most: int = MOST_MESSAGES) -> int:
        """Run what is to be run up to that time, all in the order of its time; returns how many messages that were.

        The clock moves to what is due, and no further. Raises Endless after `most` messages.
        """
        count = 0
        while True:
            if self.step():
                count += 1
                if count > most:
                    raise Endless(
                        f"{most:,} messages were run, and there are more: does a task send itself, or ask for another run, without end?"
                    )
            elif (due_us := self.next_us) is None or due_us > until_us:
                return count
            else:
                self.clock.advance_to(due_us)

    def step(self) -> bool:
        """Take one message, and end it; False if there is none now. Raises Unavailable."""
        found = self._performer.commit([], take=1)
        if not found:
            return False
        route = self._performer.route(found[0])
        transition = self._executed(route) if isinstance(route, Execute) else route
        if transition is not None:
            self._bring(transition)
        return True

    def _executed(self, execute: Execute) -> Transition | None:
        """None: it is not over, as its message goes back."""
        message, taken = execute.message, execute.taken
        if execute.early:
            self._performer.commit([Transition(early=message, delivery=taken.delivery)])
        try:
            outcome = self._run(message)
        except Requeued:
            self._commit.release([taken], lost=execute.early)
        except Died:
            self._commit.release([taken], lost=True)
        else:
            return self._performer.ended(taken, message, outcome)
        return None

    def _bring(self, transition: Transition) -> None:
        try:
            self._performer.commit([transition])
        except Unavailable:
            raise
        except Exception as error:  # what cannot be written ends as failed (decisions K18)
            instead = instead_of(transition, error, self._performer)
            if instead is None:
                raise
            self._bring(instead)
        else:
            self._applied(transition)


def hostname(name: str) -> str:
    """The name of a worker on this machine."""
    return f"{name}@{socket.gethostname()}"
