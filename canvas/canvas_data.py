"""CanvasData: a canvas as plain data: its tasks with all that is known of them, and what follows what; for `--json` and for programs. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .node import Call, Chain, Group, Node, calls, first_calls
from .plan import Plan
from .results.document import Document


def canvas_data(plan: Plan, documents: Mapping[str, Document]) -> dict[str, Any]:
    """{id, root_id, parent_id, tree, tasks: [...], edges: [[from, to], ...]}; edges are between ids of tasks and of groups.

    An edge from a group is from the moment when all its members have ended.
    """
    skeleton = plan.skeleton
    return {
        "id": plan.id,
        "root_id": plan.root_id,
        "parent_id": plan.parent_id,
        "tree": _tree(skeleton),
        "tasks": [_task(call, documents.get(call.id) or Document(id=call.id)) for call in calls(skeleton)],
        "edges": [list(edge) for edge in edges_of(skeleton)],
    }


def edges_of(node: Node) -> Iterator[tuple[str, str]]:
    """Which id leads to which."""
    match node:
        case Chain():
            for before, step in zip(node.steps, node.steps[1:], strict=False):
                ends = [before.id] if isinstance(before, Group) else [call.id for call in _last_calls(before)]
                starts = [call.id for call in first_calls(step)] or [step.id]
                yield from ((end, start) for end in ends for start in starts)
            for step in node.steps:
                yield from edges_of(step)
        case Group():
            for member in node.members:
                yield from edges_of(member)
                yield from ((call.id, node.id) for call in _last_calls(member))


def _last_calls(node: Node) -> Iterator[Call]:
    match node:
        case Call():
            yield node
        case Chain():
            yield from _last_calls(node.steps[-1])
        case Group():
            for member in node.members:
                yield from _last_calls(member)


def _tree(node: Node) -> Any:
    match node:
        case Chain():
            return {"chain": [_tree(step) for step in node.steps]}
        case Group():
            return {
                "group": node.id,
                "policy": node.policy.value,
                "members": [_tree(each) for each in node.members],
            }
    return node.id


def _task(call: Call, document: Document) -> dict[str, Any]:
    error = document.error
    return {
        "id": call.id,
        "task": call.task,
        "state": str(document.state),
        "retries": document.retries,
        "started": document.date_started,
        "done": document.date_done,
        "worker": document.worker,
        "queue": document.queue,
        "error": None
        if error is None
        else {"type": error.type, "message": error.text, "node": error.node or call.id},
    }
