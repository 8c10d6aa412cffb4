"""LedTo: the children of a task that ended: its links, and what follows it in its chain (O2). PURE.

What follows a group is known already when the group is started: its id is that of the child, and the group is its parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .child import Child, Written, child_of
from .continuation import Continuation, Inline, Step
from .effect import Effect, Publish
from .flow import Chains
from .ids import derive
from .message import Message
from .node import Call, Chain, Group, Node, freeze
from .outcome import Outcome, Success


def led_to(
    message: Message, outcome: Outcome, effects: Iterable[Effect], chains: Chains
) -> tuple[Child, ...]:
    """The children of `message`, which ended with `outcome` and these effects. `chains` as in `flow.next_steps`."""
    if not isinstance(outcome, Success):
        return tuple(e.message.id for e in effects if isinstance(e, Publish) and e.message.id != message.id)
    following = _following(message.then, chains)
    links = [freeze(link, derive(message.id, f"link:{index}")) for index, link in enumerate(message.link)]
    begun = [following, *(link.steps if isinstance(link, Chain) else (link,) for link in links)]
    return tuple(_first(steps) for steps in begun if steps)


def _following(then: Continuation | None, chains: Chains) -> Sequence[Node]:
    """The steps that come next; none for the member of a join, which others complete."""
    match then:
        case Inline(steps, below):
            return steps or _following(below, chains)
        case Step(chain_id, index):
            record = chains[chain_id]
            return record.steps[index:] or _following(record.below, chains)
    return ()


def _first(steps: Sequence[Node]) -> Child:
    """What begins when `steps` begin: the first of them; if that is a group, what follows it, with the last group as its parent."""
    above: Written | None = None
    for step in steps:
        if isinstance(step, Group) and step is not steps[-1]:
            above = _written(step, None)
        else:
            break
    return child_of(_written(step, above))


def _written(node: Node, parent: Written | None) -> Written:
    match node:
        case Call():
            return (node.id, parent), None
        case Group():
            return (node.id, parent), tuple(_written(member, None) for member in node.members)
        case Chain():
            return _written(node.steps[-1], parent)
