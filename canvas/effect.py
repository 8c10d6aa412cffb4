"""Effect: what shall be done next, as data: what flow decides and a Commit carries out. PURE.

OpenChain, OpenJoin   records, before anything refers to them        Publish   a message
AddPart, SealJoin     what makes a join complete                     Settle    what can no longer run
GrowJoin              what it waits for besides
CountPart, OpenCount  the same for a chord that Celery counts
OpenPlan              what all of it is                              Revoke    what shall not run

Restart, ReopenJoin and KeepChain let a canvas that failed go on (see resume.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from .continuation import ChainRecord, Counted, JoinRecord
from .message import Message, copy_of
from .node import Node
from .outcome import Ending, Failure, Success
from .plan import Plan, plan_of
from .trace_context import NO_TRACE, Trace


class Publish(Struct, frozen=True):
    """Send a message; not before `not_before_us`, or else its eta."""

    message: Message
    not_before_us: int | None = None


def published(message: Message) -> Iterator[Publish]:
    """A message, and a copy of it for each further queue that it goes to."""
    if not message.copies:
        yield Publish(message)
        return
    first = replace(message, copies=())
    yield Publish(first)
    for queue in message.copies:
        yield Publish(copy_of(first, queue))


class Settle(Struct, frozen=True):
    """Store the outcome of a task that can no longer run, unless one is stored; but for the attempt before `attempt`, which was replaced.

    With `attempt` None it is said by hand, and holds for whatever attempt waits, runs or is to follow.
    """

    id: str
    outcome: Ending
    name: str = ""
    attempt: int | None = 0


class OpenChain(Struct, frozen=True):
    """Store a chain, unless it is stored."""

    record: ChainRecord


class CloseChain(Struct, frozen=True):
    """The last step of a chain is on its way, or the chain failed: its record may go once no duplicate can come any more."""

    chain_id: str


class OpenJoin(Struct, frozen=True):
    """Store a join of `size` parts, unless it is stored.

    Size None: unsealed, SealJoin will tell it (decisions K4). If nobody repeats this effect for `lease_seconds` before that,
    the sender is taken for dead; None where a redelivery stands in for the sender.
    """

    record: JoinRecord
    size: int | None
    lease_seconds: float | None = None
    generation: int = 0
    """Of what follows it."""


class SealJoin(Struct, frozen=True):
    """Tell an unsealed join its size."""

    join_id: str
    size: int


class GrowJoin(Struct, frozen=True):
    """Let an open join wait for one more part, which is known by `key`; once for each key. It comes behind all others, in the order of growing.

    A join that is closed, or waits for no other part, refuses: then `ids`, the calls that would bring the part, are revoked.
    """

    join_id: str
    key: str
    ids: tuple[str, ...]


class AddPart(Struct, frozen=True):
    """Put a part into a join, unless part `index` is there; `id` is the member that brought it. With `completes` no other is waited for.

    With `key` the part is the one that the join was grown by under this key, and nothing is done if it was not.
    """

    join_id: str
    index: int
    id: str
    outcome: Success | Failure
    completes: bool = False
    key: str = ""


class CountPart(Struct, frozen=True):
    """Count how `id` ended in a chord of Celery's, once; if it is the last that was missing the chord's message is sent.

    `root_id` is that of the canvas of the task, `trace` what the chord's message is of.
    """

    chord: Counted
    id: str
    outcome: Success | Failure
    root_id: str = ""
    trace: Trace = NO_TRACE


class OpenCount(Struct, frozen=True):
    """Say how many parts a chord has that Celery's workers will count, unless it is over."""

    group_id: str
    size: int


class Revoke(Struct, frozen=True):
    """Remember that these must not start; what nobody runs is REVOKED at once."""

    ids: tuple[str, ...]


class OpenPlan(Struct, frozen=True):
    """Store what a canvas consists of, unless it is stored."""

    plan: Plan


def planned(node: Node, root_id: str, parent_id: str | None, added_to: str = "") -> list[OpenPlan]:
    """Store what the frozen canvas `node` consists of. Of a single task that is added to no group there is nothing to store."""
    plan = plan_of(node, root_id, parent_id, added_to)
    return [] if plan is None else [OpenPlan(plan)]


class Restart(Struct, frozen=True):
    """Let these tasks run again, as the next generation: their outcomes, their results, and that they were revoked are forgotten.

    Of `roots` only that they were revoked.
    """

    ids: tuple[str, ...]
    generation: int
    roots: tuple[str, ...] = ()


class ReopenJoin(Struct, frozen=True):
    """Let a join wait again for the parts `indexes`, and for those that never came. Whoever read it before can no longer close it.

    It failed, or will: its message may still be under way, as the canvas may have ended by another join, or not have ended yet.
    """

    join_id: str
    indexes: tuple[int, ...]
    generation: int


class KeepChain(Struct, frozen=True):
    """A chain goes on after all: its record stays."""

    chain_id: str


Effect = (
    Publish
    | Settle
    | OpenChain
    | CloseChain
    | OpenJoin
    | SealJoin
    | GrowJoin
    | AddPart
    | CountPart
    | OpenCount
    | Revoke
    | OpenPlan
    | Restart
    | ReopenJoin
    | KeepChain
)


class Part(Struct, frozen=True):
    """A part as a join gives it back."""

    index: int
    id: str
    outcome: Success | Failure
