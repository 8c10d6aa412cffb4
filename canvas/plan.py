"""Plan: of which tasks a canvas consists, and which follows which: what `show`, `cancel` and `retry` go by. PURE.

It is stored once, when the canvas is sent: a skeleton of the canvas, in which calls have their id and task alone. A group of like calls
with derived ids, which most large ones are, is as short as one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from .alike import Alike
from .errors import DecodeError
from .ids import derive
from .node import Call, Chain, Group, Node, Policy, Tap, calls

VERSION = 1


class Plan(Struct, frozen=True, kw_only=True):
    """`skeleton` is frozen. Several plans have the same root where a task sent canvases of its own, `parent_id`."""

    root_id: str
    parent_id: str | None
    skeleton: Node
    added_to: str = ""
    """The group of which it is one more member, by `add_to_chord`."""

    @property
    def id(self) -> str:
        """The id of the canvas: of its value."""
        return self.skeleton.id


def plan_of(node: Node, root_id: str, parent_id: str | None, added_to: str = "") -> Plan | None:
    """The plan of the frozen canvas `node`; None for a single call that stands alone, of which there is nothing to plan."""
    skeleton = _skeleton(node)
    if isinstance(skeleton, Call) and not added_to:
        return None
    return Plan(root_id=root_id, parent_id=parent_id, skeleton=skeleton, added_to=added_to)


def _skeleton(node: Node) -> Node:
    match node:
        case Call():
            return Call(task=node.task, id=node.id)
        case Chain():
            steps = tuple(_skeleton(step) for step in node.steps if not isinstance(step, Tap))
            return steps[0] if len(steps) == 1 else Chain(steps=steps)
        case Group(members=Alike()):
            return node
        case Group():
            return replace(node, members=tuple(map(_skeleton, node.members)))
        case Tap():
            raise AssertionError("a tap stands in a chain")


def inside(node: Node, id_: str) -> Iterator[str]:
    """The ids of all calls of the call, or the group, with this id; none if it is not in `node`."""
    match node:
        case Call() | Group() if node.id == id_:
            yield from (call.id for call in calls(node))
        case Chain(steps=each) | Group(members=each):
            for part in each:
                yield from inside(part, id_)


def rest_of(node: Node, id_: str) -> Iterator[str] | None:
    """The ids of all calls that come after the call `id_`, or after the group or chain of this id; None if it is not in `node`."""
    match node:
        case Call():
            return iter(()) if node.id == id_ else None
        case Group():
            if node.id == id_:
                return iter(())
            found = (rest_of(member, id_) for member in node.members)
            return next((rest for rest in found if rest is not None), None)
        case Chain():
            for index, step in enumerate(node.steps):
                rest = rest_of(step, id_)
                if rest is not None:
                    return _followed_by(rest, node.steps[index + 1 :])
    return None


def _followed_by(rest: Iterator[str], steps: tuple[Node, ...]) -> Iterator[str]:
    yield from rest
    for step in steps:
        for call in calls(step):
            yield call.id


# --- as text -------------------------------------------------------------------------------------------------------------------


def plan_to_text(plan: Plan) -> str:
    """The plan, as JSON text."""
    data = {"v": VERSION, "root": plan.root_id, "parent": plan.parent_id, "canvas": _to_data(plan.skeleton)}
    if plan.added_to:
        data["to"] = plan.added_to
    return json.dumps(data, separators=(",", ":"))


def plan_from_text(text: str | bytes) -> Plan:
    """The inverse of `plan_to_text`. Raises DecodeError for a plan of another version."""
    data: dict[str, Any] = json.loads(text)
    if data.get("v") != VERSION:
        raise DecodeError(f"a plan has version {data.get('v')}, this backbeat reads {VERSION}: upgrade it")
    return Plan(
        root_id=data["root"],
        parent_id=data["parent"],
        skeleton=_from_data(data["canvas"]),
        added_to=data.get("to", ""),
    )


def _to_data(node: Node) -> Any:
    match node:
        case Call():
            return [node.id, node.task]
        case Chain():
            return {"chain": [_to_data(step) for step in node.steps]}
        case Group():
            data: dict[str, Any] = {"group": node.id}
            if node.policy is not Policy.FAIL:
                data["policy"] = node.policy.value
            task = _task_of_all(node)
            if task is None:
                return data | {"members": [_to_data(member) for member in node.members]}
            return data | {"size": len(node.members), "task": task}
    raise AssertionError("a skeleton has no taps")


def _task_of_all(group: Group) -> str | None:
    """The task that all members call, with ids that are derived from the group's; None if it is not so."""
    if isinstance(group.members, Alike):
        return group.members.task
    tasks = {member.task if isinstance(member, Call) else None for member in group.members}
    is_derived = all(member.id == derive(group.id, str(index)) for index, member in enumerate(group.members))
    return tasks.pop() if len(tasks) == 1 and is_derived else None


def _from_data(data: Any) -> Node:
    match data:
        case [str(id_), str(task)]:
            return Call(task=task, id=id_)
        case {"chain": list(steps)}:
            return Chain(steps=tuple(_from_data(step) for step in steps))
        case {"group": id_, "size": size, "task": task}:
            return Group(
                id=id_, members=Alike(id_, size, task), policy=Policy(data.get("policy", Policy.FAIL))
            )
        case {"group": id_, "members": list(inside)}:
            members = tuple(_from_data(member) for member in inside)
            return Group(id=id_, members=members, policy=Policy(data.get("policy", Policy.FAIL)))
    raise DecodeError(f"a plan cannot be read: {data!r:.100}")
