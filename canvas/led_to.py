"""LedTo: the children of a task that ended: its links, what is told of its end, and what follows it in its chain (O2). PURE.

What follows a group is known already when the group is started: its id is that of the child, and the group is its parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from .callbacks import told_by
from .child import Child, Written, child_of
from .continuation import Chains, Continuation, Inline, Step
from .effect import Effect, Publish
from .ids import derive
from .message import Message
from .node import Call, Chain, Group, Node, Tap, freeze
from .outcome import Outcome, Success


def led_to(
    message: Message, outcome: Outcome, effects: Iterable[Effect], chains: Chains
) -> tuple[Child, ...]:
    """The children of `message`, which ended with `outcome` and these effects. `chains` as in `flow.next_steps`."""
    if not isinstance(outcome, Success):
        return tuple(e.message.id for e in effects if isinstance(e, Publish) and e.message.id != message.id)
    children: list[Child] = []
    coming = _coming(message.then, chains)
    for step in coming:
        if not isinstance(step, Tap):
            children.insert(0, _first(chain([step], coming)))
            break
        told = told_by(step, outcome, message.root_id, ())
        children += [_first(_steps(callback)) for callback, _ in told]
    links = [freeze(link, derive(message.id, f"link:{index}")) for index, link in enumerate(message.link)]
    return (*children, *(_first(_steps(link)) for link in links))


def _coming(then: Continuation | None, chains: Chains) -> Iterator[Node]:
    """All that is still to come, taps too; up to the next join, which others complete."""
    match then:
        case Inline(steps, below):
            yield from steps
            yield from _coming(below, chains)
        case Step(chain_id, index) if chain_id in chains:
            record = chains[chain_id]
            yield from record.steps[index:]
            yield from _coming(record.below, chains)


def _steps(node: Node) -> Iterator[Node]:
    yield from node.steps if isinstance(node, Chain) else (node,)


def _first(steps: Iterator[Node]) -> Child:
    """What begins when `steps` begin: the first of them; if that is a group, what follows it, with the last group as its parent."""
    group: Group | None = None
    before: Written | None = None
    for step in steps:
        if isinstance(step, Tap):
            continue
        parent = None if group is None else _written(group, None)
        if not isinstance(step, Group):
            return child_of(_written(step, parent))
        group, before = step, parent
    assert group is not None
    return child_of(_written(group, before))


def _written(node: Node, parent: Written | None) -> Written:
    match node:
        case Call():
            return (node.id, parent), None
        case Group():
            return (node.id, parent), tuple(_written(member, None) for member in node.members)
        case Chain():
            return _written([step for step in node.steps if not isinstance(step, Tap)][-1], parent)
        case Tap():
            raise AssertionError("a tap has no result of its own")
