"""Members: what the messages of a group's members have in common, and how one that reports to no join says whose it is. PURE."""

from __future__ import annotations

from msgspec.structs import replace

from .continuation import counted_of
from .node import Call, Chain, Group, Node, Tap, untapped


def labelled(member: Node, group_id: str, index: int) -> Node:
    """A member that reports to no join still says whose it is: its call, or the last one of its chain."""
    match member:
        case Call() if counted_of(member) is not None:
            return member  # it says already whose it is
        case Call():
            return replace(member, options={**member.options, "group_id": group_id, "group_index": index})
        case Chain():
            steps = untapped(member.steps)
            last = labelled(steps[-1], group_id, index)
            return Chain(steps=(*steps[:-1], last, *member.steps[len(steps) :]))
        case Group() | Tap():
            return member


def is_alike(call: Call, like: Call) -> bool:
    """Whether two calls differ in id and arguments alone, and call nobody."""
    # options are the same ones where a call has none of its own; to compare them would take 1 for True
    return (
        call.options is like.options
        and call.task == like.task
        and call.immutable == like.immutable
        and not (call.link or call.link_error or like.link or like.link_error)
    )
