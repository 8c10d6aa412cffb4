"""Flow: what happens next. PURE.

Theory of operation. A canvas is set going by `start`, and goes on by `next_steps`, a function from "this ended so" to a list of
effects; `perform` carries the effects out, all of them or none, together with the acknowledgement of the message that ended.

* Nothing is drawn: every id comes from the ids above it, so a step that is decided twice is the same step.
* A join is a set of parts, keyed by index, never a counter: a part that comes twice counts once. When the last part is in, the
  store sends the join's own message (`JOIN_TASK`), so the dispatch is as durable as any task.
* What stands in the store is what counts: the caller stores an outcome by compare-and-set and asks `next_steps` about the outcome
  that stands, which need not be the one that it brought.
* Every ending settles what depends on it: on success the next step starts; on anything else all later steps are stored as
  failed with the cause, up to the join above, which gets the failure as its part.

    next_steps(message, outcome) --> Publish next | AddPart | Settle ...     joined(record, parts), counted(body, outcome) --> the same
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from .callbacks import told_by, told_of_failure, who_tells
from .continuation import (
    ChainRecord,
    Chains,
    Continuation,
    Counted,
    Inline,
    JoinRecord,
    Member,
    Step,
    added_member,
    counted_of,
    join_above,
    rest_of,
)
from .effect import (
    AddPart,
    CloseChain,
    CountPart,
    Effect,
    GrowJoin,
    OpenChain,
    OpenJoin,
    Part,
    Publish,
    Revoke,
    Settle,
    planned,
    published,
)
from .ids import derive
from .joining import join_of, unstarted_of, value_of
from .json_text import EMPTY_LIST, NULL, Json, json_string, json_value, prepend
from .members import is_alike, labelled
from .message import Message, message_of
from .node import Call, Chain, Group, Node, Policy, Tap, calls, freeze, untapped
from .node_data import node_from_data
from .outcome import (
    Ending,
    Failure,
    Outcome,
    Replaced,
    Retry,
    Success,
    cause_of,
    lost,
)
from .replacing import in_place_of, record_id
from .stamp import Stamps
from .trace_context import NO_TRACE, Trace, trace_of

ALONE = "add_to_chord was called by a task that is in the header of no chord, so there is nothing to add to"
INLINE_LIMIT = 2_000
"""Bytes of arguments up to which a chain of plain calls travels inside its messages (decisions K13)."""


class _Scope(Struct, frozen=True):
    """Whose effects these are (the canvas, and the task that ended just before), and the chain records that are at hand."""

    root_id: str
    parent_id: str | None
    chains: Chains
    inline_limit: int = INLINE_LIMIT
    parts: Sequence[Part] = ()
    """Those of the group that ended just before."""
    generation: int = 0
    """That of the message that ended: what follows a task that is run again is run again, too (decisions K6)."""
    stamps: Stamps = field(default_factory=dict)
    """Those of what ended: what it leads to gets them."""
    trace: Trace = field(default_factory=dict)
    """That of what ended, which is that of what it leads to."""

    def knowing(self, record: ChainRecord) -> _Scope:
        return replace(self, chains={**self.chains, record.chain_id: record})


def start(
    node: Node,
    root_id: str,
    *,
    parent_id: str | None = None,
    then: Continuation | None = None,
    inline_limit: int = INLINE_LIMIT,
    trace: Trace = NO_TRACE,
) -> list[Effect]:
    """Effects that set the frozen canvas `node` going. Tails of plain calls up to `inline_limit` bytes travel in the message."""
    return list(_enter(node, None, then, _Scope(root_id, parent_id, {}, inline_limit, trace=trace)))


def member_effects(
    member: Node,
    group: Group,
    index: int,
    root_id: str,
    parent_id: str | None,
    *,
    reports: bool,
    trace: Trace = NO_TRACE,
) -> list[Effect]:
    """Effects that start one more member of a group that was started before, in the same canvas; it `reports` to the group's join."""
    scope = _Scope(root_id, parent_id, {}, trace=trace)
    if not reports:
        return list(_enter(labelled(member, group.id, index), None, None, scope))
    position = Member(group.id, index, group.policy is Policy.FAIL_FAST)
    return list(_enter(member, None, position, scope))


def next_steps(message: Message, outcome: Outcome, chains: Chains) -> list[Effect]:
    """What follows when `message` ended with the standing `outcome`, in the order in which it must be performed.

    `chains` holds the record that `message.then` refers to, if it is a Step (see `chain_needed`). Raises KeyError without it.
    """
    if isinstance(outcome, Retry):
        return [Publish(_again(message, outcome))]
    if isinstance(outcome, Replaced):
        return list(_replace(message, outcome, chains))
    scope = replace(_scope_of_message(message, chains), parent_id=message.id)
    effects: list[Effect] = []
    if isinstance(outcome, Success):
        # before its own part is counted, so that the join is not complete without what it added
        effects += _grow(message, outcome.added, scope)
    effects += _advance(message.id, outcome, message.then, scope)
    match outcome:
        case Success():
            for index, link in enumerate(message.link):
                effects += _enter(
                    freeze(link, derive(message.id, f"link:{index}")), outcome.value, None, scope
                )
        case _:
            effects += _call_errbacks(
                message.link_error, message.id, message.task, cause_of(outcome, message.id), scope
            )
    return effects


def joined(record: JoinRecord, parts: Sequence[Part], chains: Chains, generation: int = 0) -> list[Effect]:
    """What follows when all `parts` of a join are in. `chains` as in `next_steps`; `generation`: how often the join was opened again."""
    ordered = sorted(parts, key=lambda part: part.index)
    scope = replace(_scope_of(record, chains), parts=ordered, generation=generation)
    outcome = value_of(ordered, record.policy)
    if isinstance(outcome, Success):
        return list(_advance(record.join_id, outcome, record.then, scope))
    unstarted = unstarted_of(record, ordered)
    effects: list[Effect] = [Revoke(unstarted)] if unstarted else []
    return [*effects, *_fail_join(record, outcome, scope)]


def counted(
    body: Node,
    outcome: Success | Failure,
    root_id: str,
    parent_id: str | None,
    trace: Trace = NO_TRACE,
) -> list[Effect]:
    """What follows when all parts of a chord of Celery's are in, and came to `outcome`. `parent_id` is the task that was the last."""
    if isinstance(outcome, Failure):
        return not_started(body, root_id, outcome, trace)
    return list(_enter(body, outcome.value, None, _Scope(root_id, parent_id, {}, trace=trace)))


def interrupted(join_id: str) -> Failure:
    """Why a join fails whose sender died before it had sent all members."""
    text = "the process that was sending this canvas died before all of it was sent"
    return lost("SendInterrupted", text, join_id)


def given_up(record: JoinRecord, failure: Failure, chains: Chains) -> list[Effect]:
    """What follows when a join cannot be what it was to be, whatever its parts are."""
    return list(_fail_join(record, failure, _scope_of(record, chains)))


def _scope_of(record: JoinRecord, chains: Chains) -> _Scope:
    return _Scope(record.root_id, record.parent_id, chains, stamps=record.stamps, trace=record.trace)


def _scope_of_message(message: Message, chains: Chains) -> _Scope:
    return _Scope(
        message.root_id,
        message.parent_id,
        chains,
        generation=message.generation,
        stamps=message.stamps,
        trace=trace_of(message.headers),
    )


def not_started(node: Node, root_id: str, cause: Failure, trace: Trace = NO_TRACE) -> list[Effect]:
    """What follows when the frozen canvas `node` will never start: all of it is settled, and who waits for errors is told once."""
    scope = _Scope(root_id, None, {}, trace=trace)
    effects: list[Effect] = list(_abandon(node, cause, scope))
    steps = untapped(node.steps) if isinstance(node, Chain) else (node,)
    has_body = isinstance(steps[0], Group) and len(steps) > 1
    for call in who_tells(steps[1:] if has_body else steps[:1]):
        effects += _call_errbacks(call.link_error, call.id, call.task, cause, scope)
    return effects


def _again(message: Message, retry: Retry) -> Message:
    return replace(
        message,
        attempt=message.attempt + 1,
        eta_us=retry.eta_us,
        args=message.args if retry.args is None else retry.args,
        kwargs=message.kwargs if retry.kwargs is None else retry.kwargs,
        **({} if retry.changes is None else json.loads(retry.changes)),
    )


def _replace(message: Message, replaced: Replaced, chains: Chains) -> Iterator[Effect]:
    node = in_place_of(message, node_from_data(json.loads(replaced.canvas), json_value))
    scope = _scope_of_message(message, chains)
    yield from _grow(message, replaced.added, replace(scope, parent_id=message.id))
    yield from planned(node, message.root_id, message.id)
    if isinstance(node, Chain):
        yield from _enter_chain(node.steps, record_id(message), None, message.then, scope)
    else:
        yield from _enter(node, None, message.then, scope)


def _grow(message: Message, added: Sequence[Json], scope: _Scope) -> Iterator[Effect]:
    """What a member adds to its join: each part is known by a key, which is the same however often this is decided."""
    member = join_above(message.then, scope.chains) if added else None
    if member is None:
        return
    for index, canvas in enumerate(added):
        node = node_from_data(json.loads(canvas), json_value)
        key = derive(message.id, f"added:{message.generation}.{message.attempt}:{index}")
        yield GrowJoin(member.join_id, key, tuple(call.id for call in calls(node)))
        yield from planned(node, message.root_id, message.id, member.join_id)
        yield from _enter(node, None, added_member(member.join_id, key, hasty=member.hasty), scope)


def _enter(node: Node, value: Json | None, then: Continuation | None, scope: _Scope) -> Iterator[Effect]:
    """Start `node` with `value` in front of its arguments; `then` comes after it."""
    match node:
        case Call():
            args = node.args if value is None or node.immutable else prepend(value, node.args)
            message = message_of(
                node,
                args=args,
                then=then or counted_of(node),
                root_id=scope.root_id,
                parent_id=scope.parent_id,
                generation=scope.generation,
                stamps=scope.stamps,
                trace=scope.trace,
            )
            yield from published(message)
        case Chain():
            yield from _enter_chain(node.steps, node.id, value, then, scope)
        case Group(members=()):
            yield from _advance(node.id, Success(value=EMPTY_LIST), then, scope)
        case Group() if then is None and node.policy is not Policy.FAIL_FAST:
            yield from _enter_members(node, value, scope, is_joined=False)
        case Group():
            record = join_of(node, then, scope.root_id, scope.parent_id, scope.stamps, scope.trace)
            yield OpenJoin(record, len(node.members), generation=scope.generation)
            yield from _enter_members(node, value, scope, is_joined=True)
        case Tap():
            ended = Success(value=NULL if value is None else value)
            yield from _tell(node, ended, scope)
            yield from _advance(node.id, ended, then, scope)


def _enter_members(group: Group, value: Json | None, scope: _Scope, *, is_joined: bool) -> Iterator[Effect]:
    """Start the members. Of calls that differ in id and arguments alone the messages are made one after another's image."""
    hasty = group.policy is Policy.FAIL_FAST
    like: Call | None = None
    message: Message | None = None
    for index, member in enumerate(group.members):
        then = Member(group.id, index, hasty) if is_joined else None
        if message is not None and like is not None and isinstance(member, Call) and is_alike(member, like):
            args = member.args if value is None or member.immutable else prepend(value, member.args)
            kwargs = member.kwargs
            yield Publish(
                replace(message, id=member.id, args=args, kwargs=kwargs, then=then, group_index=index)
            )
            continue
        effects = list(_enter(member if is_joined else labelled(member, group.id, index), value, then, scope))
        yield from effects
        like = message = None
        match member, effects:
            case Call(), [Publish(published, None)] if published.then == then:
                like, message = member, published


def _enter_chain(
    steps: tuple[Node, ...], chain_id: str, value: Json | None, then: Continuation | None, scope: _Scope
) -> Iterator[Effect]:
    """Start the first of `steps`; the others, and then `then`, wait in its message if they are short, else in a record."""
    tail = Inline(steps[1:])
    if isinstance(then, Inline):
        tail = Inline((*tail.steps, *then.steps), then.below)
    if not isinstance(then, Step | Member | Counted) and _fits_inline(
        (steps[0], *tail.steps), scope.inline_limit
    ):
        yield from _enter(steps[0], value, tail, scope)
        return
    first = steps[0]
    # it begins now and is never read again, so it need not be stored: a header may have very many members
    begun = replace(first, members=()) if isinstance(first, Group) else first
    record = ChainRecord(chain_id=chain_id, steps=(begun, *steps[1:]), below=then, root_id=scope.root_id)
    yield OpenChain(record)
    yield from _enter(first, value, Step(chain_id, 1), scope.knowing(record))


def _advance(id_: str, outcome: Ending, then: Continuation | None, scope: _Scope) -> Iterator[Effect]:
    """Go on to `then` after `id_` ended with `outcome`."""
    match then:
        case None:
            return
        case Member():
            part = outcome if isinstance(outcome, Success) else cause_of(outcome, id_)
            completes = then.hasty and isinstance(part, Failure)
            yield AddPart(then.join_id, then.index, id_, part, completes, then.key)
            return
        case Counted():
            yield _count(then, id_, outcome, scope)
            return
    steps, below = rest_of(then, scope.chains)
    if not isinstance(outcome, Success):
        failure = cause_of(outcome, id_)
        for index, step in enumerate(steps):
            yield from _abandon(step, failure, scope if index == 0 else replace(scope, parts=()))
        if isinstance(then, Step):
            yield CloseChain(then.chain_id)
        yield from _advance(steps[-1].id if steps else id_, failure, below, scope)
    elif not steps:
        yield from _advance(id_, outcome, below, scope)
    else:
        yield from _step(steps, then, below, outcome.value, scope)


def _step(
    steps: tuple[Node, ...], at: Step | Inline, below: Continuation | None, value: Json, scope: _Scope
) -> Iterator[Effect]:
    """Start the first of `steps`; the others follow it."""
    then: Continuation | None = below
    if len(steps) > 1:
        then = Step(at.chain_id, at.index + 1) if isinstance(at, Step) else Inline(steps[1:], at.below)
    yield from _enter(steps[0], value, then, scope)
    if len(steps) == 1 and isinstance(at, Step):
        yield CloseChain(at.chain_id)


def _fits_inline(steps: tuple[Node, ...], limit: int) -> bool:
    size = 0
    for step in steps:
        if not isinstance(step, Call) or step.link or step.link_error:
            return False
        size += len(step.args) + len(step.kwargs) + len(step.task) + 150
        if size > limit:
            return False
    return True


def _abandon(node: Node, failure: Failure, scope: _Scope) -> Iterator[Effect]:
    """Nothing of `node` can run any more: its calls have failed, and its taps tell of it."""
    match node:
        case Call():
            yield Settle(node.id, failure, node.task, node.options.get("first_attempt", 0))
            if (chord := counted_of(node)) is not None:
                yield _count(chord, node.id, failure, scope)
        case Chain(steps=inside) | Group(members=inside):
            for each in inside:
                yield from _abandon(each, failure, scope)
        case Tap():
            yield from _tell(node, failure, scope)


def _count(chord: Counted, id_: str, outcome: Ending, scope: _Scope) -> CountPart:
    part = outcome if isinstance(outcome, Success) else cause_of(outcome, id_)
    return CountPart(chord, id_, part, scope.root_id, scope.trace)


def _tell(tap: Tap, ended: Success | Failure, scope: _Scope) -> Iterator[Effect]:
    for callback, value in told_by(tap, ended, scope.root_id, scope.parts):
        yield from _enter(callback, value, None, replace(scope, parent_id=tap.id))


def _fail_join(record: JoinRecord, failure: Failure, scope: _Scope) -> Iterator[Effect]:
    """The join failed: what was to follow is settled, and its error callbacks are called, once, under its own id."""
    if isinstance(record.then, Step | Inline):
        steps, _ = rest_of(record.then, scope.chains)
        for call in who_tells(steps):
            yield from _call_errbacks(call.link_error, call.id, call.task, failure, scope)
    yield from _advance(record.join_id, failure, record.then, scope)


def _call_errbacks(
    errbacks: tuple[Node, ...], id_: str, task: str, failure: Failure, scope: _Scope
) -> Iterator[Effect]:
    for errback in told_of_failure(errbacks, id_, task, failure, scope.root_id):
        yield from _enter(errback, json_string(id_), None, replace(scope, parent_id=id_))
