"""Commit: the seam through which everything that happened is written down, in one step, and new work is taken.

A worker brings what ended (transitions) and gets what to do next (taken messages). One transition is applied whole or not at all:
its outcome, the effects that flow computed from it, and the acknowledgement of its message. Who brings an outcome that another
one beat is told which one stands, and must compute the effects from that one and bring these (decisions K1, K2).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from msgspec import Struct, field

from ..continuation import ChainRecord, JoinRecord, chain_needed
from ..effect import Part
from ..plan import Plan
from ..progress import Progress
from ..template import Rendered
from .dead_letter import DeadLetters
from .looking import Waiting
from .taken import Taken
from .transition import Exchange, Transition


class JoinState(Struct, frozen=True):
    """A join as it stands; `complete` when all parts are in and it is not closed."""

    record: JoinRecord
    parts: Sequence[Part]
    complete: bool
    closed: bool = False
    generation: int = 0


class Loaded(Struct, frozen=True):
    """Records that were asked for; those that the store does not have are missing."""

    chains: Mapping[str, ChainRecord] = field(default_factory=dict)
    joins: Mapping[str, JoinState] = field(default_factory=dict)
    plans: Sequence[Plan] = ()


def chains_after(joins: Iterable[JoinState]) -> set[str]:
    """The chains that go on when these joins have ended."""
    return {id_ for join in joins if (id_ := chain_needed(join.record.then)) is not None}


class Commit(Protocol):
    """One worker's (or client's) way to a store and a broker. Not thread-safe. Raises Unavailable when these cannot be reached.

    After Unavailable it is unknown whether a transition was applied; bringing it again is safe, as everything is idempotent.
    """

    @property
    def at_once(self) -> int:
        """How many outcomes of short tasks it is to get in one exchange: more would not be cheaper, each by itself, and would keep others waiting."""
        ...

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        """Apply `transitions`, each whole or not at all, in order; then take up to `take` messages, and claim them.

        `claim` are messages that another broker delivered, to be claimed too (Role.STORE).

        When it returns, what was published is durable. A message that is taken is held for a lease and comes back to any worker
        if it is neither acknowledged nor renewed. Never waits for messages.
        """
        ...

    def load(
        self, chains: Collection[str] = (), joins: Collection[str] = (), plans: Collection[str] = ()
    ) -> Loaded:
        """The records of these chains and joins; for chains also those below them, and for joins the chains that follow them. `plans`: ids of roots or canvases; for each of them
        the plans of all canvases with the same root come, in the order in which they were sent.
        """
        ...

    def renew(self, held: Sequence[Taken]) -> None:
        """Hold these messages, and their claims, for another lease, and what the commit itself holds (timers, what it has not given out);
        of none, it keeps the connection to the broker alive.
        """
        ...

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:
        """Hand messages back, to be taken again at once by anyone. `lost`: they had started and their process died."""
        ...

    def pause(self) -> None:
        """Nothing more is wanted until the next `take`: hand back what is held and was not given out, and have no more sent ahead.

        To be called again and again for as long as nothing is wanted; that is cheap.
        """
        ...

    def sweep(self) -> list[JoinRecord]:
        """Hand back what dead workers held, send what is due, relay what dead writers left.

        Returns the joins whose sender died before they were sealed, for the caller to settle (`flow.interrupted`) and close.
        """
        ...

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        """Wait until there may be something to take, a file descriptor of `wakers` can be read, or `timeout` seconds have passed.

        May return early.
        """
        ...

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        """Remember that these ids (tasks or roots) must not start; what nobody runs is REVOKED at once, and timers of it are due now.

        An id may also be the key of a stamp (stamp.py): what has that stamp must not start, and is REVOKED when its message is taken.

        With `signum`: what runs shall be ended by this signal (see `terminations`).
        """
        ...

    def terminations(self, ids: Collection[str]) -> Mapping[str, int]:
        """Those of these running tasks that shall be ended, with the signal for it."""
        ...

    def serve(self, queues: Sequence[str]) -> None:
        """Take from these queues from now on, and from no others."""
        ...

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        """How many messages wait in each of these queues, to be taken now; those that are not there are missing. What a broker has sent ahead to
        a worker is that worker's.
        """
        ...

    def scheduled(self, limit: int) -> Sequence[Waiting]:
        """Messages that wait for their time, the earliest first; of a store all, whatever queue they go to."""
        ...

    def revoked(self, limit: int) -> Sequence[str]:
        """Ids, and keys of stamps, that shall not run, the latest first."""
        ...

    def tell(self, words: Sequence[Progress]) -> None:
        """Let these be the results of tasks that have not ended; where one has, its word is dropped. Each id comes once.

        Nobody waits for it to be durable, and nothing follows from it: after Unavailable it may be dropped as well.
        """
        ...

    def announce(self, name: str, value: str, seconds: float) -> str:
        """Keep `value` under `name` for so many seconds, unless another value is kept there; returns the one that stands."""
        ...

    def present(self, broadcast: str, queue: str, seconds: float) -> None:
        """Queue `queue` gets a copy of what is broadcast under this name for so many seconds from now; with 0 no more. Idempotent.

        What lies in queues whose time is over is deleted: nobody will take it.
        """
        ...

    def audience(self, broadcast: str) -> Sequence[str] | None:
        """The queues that get a copy now; None where a message to the exchange of this name gets into all of them."""
        ...

    def close(self) -> None:
        """Let go of connections. Messages that are still held come back to others after their lease."""
        ...


@runtime_checkable
class OverlappingCommit(Commit, Protocol):
    """A Commit whose user can do something else while the server works: make the next step, say."""

    def overlapping(self) -> AbstractContextManager[Callable[[Sequence[Transition]], object]]:
        """Inside, what is returned brings transitions as `exchange` does, in its order, and waits at its next call, or at the end of the block.

        So that call, or the end, raises what `exchange` would have.
        """
        ...

    def exchange_beside(
        self, transitions: Sequence[Transition], take: int, meanwhile: Callable[[], object]
    ) -> Exchange:
        """As `exchange`; `meanwhile` is called once while the server works on it. It must not exchange anything itself."""
        ...


@runtime_checkable
class DeadLetterCommit(Commit, DeadLetters, Protocol):
    """A Commit over a store, which keeps dead letters."""


class Store(DeadLetterCommit, Protocol):
    """One of our own stores, in any role."""

    def seconds_to_timer(self) -> float | None:
        """How long until the first message that waits for its time is due, 0 or less if it is; None if none waits."""
        ...

    def put(self, items: Sequence[Rendered]) -> Collection[str]:
        """Send rendered messages in few steps; the ids of those that were refused. When it returns the others are durable.

        Without items it only asks the server whether it is there.
        """
        ...
