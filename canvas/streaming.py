"""Streaming: sends a group whose members are made as they are sent, so that a million of them need no memory (decisions K4).

What its members report to is opened before the first of them, without a size, and sealed after the last. A sender that dies in between
leaves a canvas that workers settle as SendInterrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from . import flow
from .alike import Alike
from .commit.base import Commit
from .commit.overlap import overlapping
from .commit.transition import Transition
from .effect import Effect, OpenJoin, OpenPlan, SealJoin
from .ids import derive
from .killpoint import reach
from .node import Call, Chain, Group, Node, freeze
from .plan import Plan, plan_of
from .sending import SENDER_LEASE_SECONDS, SLICE
from .trace_context import NO_TRACE, Trace


class Stream(Struct, frozen=True):
    """A frozen canvas that begins with a group of which no member is there yet, and these members; `canvas` is a Group, or a Chain."""

    canvas: Node
    members: Iterator[Node]
    root_id: str
    parent_id: str | None
    trace: Trace = NO_TRACE

    @property
    def group(self) -> Group:
        first = self.canvas.steps[0] if isinstance(self.canvas, Chain) else self.canvas
        assert isinstance(first, Group)
        return first


class Streamed(Struct, frozen=True):
    """What was sent: how many members; `named` are the ids of those that have others than derived ones, by their places."""

    size: int
    named: dict[int, str]


def send_stream(commit: Commit, stream: Stream) -> Streamed:
    """Send all of it, in slices. Raises Unavailable; and what the members' generator raises: then no more is sent, and the canvas fails.

    There must be one member at least.
    """
    reach("send.begun")
    with overlapping(commit) as bring:
        sending = _Sending(bring, stream)
        for index, member in enumerate(stream.members):
            sending.add(index, freeze(member, derive(stream.group.id, str(index))))
        streamed = sending.ended()
    reach("send.sealed")
    return streamed


class _Sending:
    def __init__(self, bring: Callable[[Sequence[Transition]], object], stream: Stream) -> None:
        self._bring = bring
        self._stream = stream
        self._opened: list[Effect] = []
        self._slice: list[Effect] = []
        self._size = 0
        self._tasks: set[str | None] = set()
        self._named: dict[int, str] = {}

    def add(self, index: int, member: Node) -> None:
        stream, group = self._stream, self._stream.group
        if index == 0:
            self._slice += self._opening(member)
        else:
            self._slice += flow.member_effects(
                member,
                group,
                index,
                stream.root_id,
                stream.parent_id,
                reports=bool(self._opened),
                trace=stream.trace,
            )
        self._size = index + 1
        self._tasks.add(member.task if isinstance(member, Call) else None)
        if member.id != derive(group.id, str(index)):
            self._named[index] = member.id
        if len(self._slice) >= SLICE:
            self._send_slice()

    def ended(self) -> Streamed:
        if self._slice:
            self._send_slice()
        group_id = self._stream.group.id
        last: list[Effect] = [SealJoin(group_id, self._size)] if self._opened else []
        if (plan := self._plan()) is not None:
            last.append(OpenPlan(plan))
        if last:
            self._bring([Transition(effects=tuple(last))])
        return Streamed(self._size, self._named)

    def _opening(self, first: Node) -> list[Effect]:
        """What starts the canvas as if the first member were its only one, but that the join is not sealed."""
        stream, group = self._stream, self._stream.group
        begun = replace(group, members=(first,))
        canvas = (
            replace(stream.canvas, steps=(begun, *stream.canvas.steps[1:]))
            if isinstance(stream.canvas, Chain)
            else begun
        )
        effects = flow.start(canvas, stream.root_id, parent_id=stream.parent_id, trace=stream.trace)
        opening = [_unsealed(effect, group.id) for effect in effects]
        self._opened = [effect for effect in opening if _is_own_join(effect, group.id)]
        return opening

    def _send_slice(self) -> None:
        # repeated: the store learns that the sender is alive
        self._bring([Transition(effects=(*self._opened, *self._slice))])
        self._slice = []
        reach("send.sliced")

    def _plan(self) -> Plan | None:
        """What it consists of, if all members call one task; of others nothing is kept, as it could be more than all messages."""
        stream, group = self._stream, self._stream.group
        (task,) = self._tasks if len(self._tasks) == 1 else (None,)
        if task is None or self._named:
            return None
        whole = replace(group, members=Alike(group.id, self._size, task))
        steps: Sequence[Node] = stream.canvas.steps[1:] if isinstance(stream.canvas, Chain) else ()
        skeleton = Chain(steps=(whole, *steps)) if steps else whole
        return plan_of(skeleton, stream.root_id, stream.parent_id)


def _unsealed(effect: Effect, group_id: str) -> Effect:
    if not _is_own_join(effect, group_id):
        return effect
    assert isinstance(effect, OpenJoin)
    # what all members have in common nobody knows yet, so what follows them is stamped by itself alone
    record = replace(effect.record, stamps={})
    return replace(effect, record=record, size=None, lease_seconds=SENDER_LEASE_SECONDS)


def _is_own_join(effect: Effect, group_id: str) -> bool:
    return isinstance(effect, OpenJoin) and effect.record.join_id == group_id
