"""Handles: makes the handles of one app's tasks and groups: of what was sent, of an id, and of what was written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from .async_result import Reader
from .handle import Handle
from .ids import derive
from .node import Call, Chain, Group, Node, Tap
from .result import AsyncResult, GroupResult, Result, result_from_tuple
from .value import LARGEST_COUNT, Bound, identity


class Handles:
    """`app` is where handles read results, and what they revoke by."""

    def __init__(self, app: Reader) -> None:
        self._app = app

    def of_sent(self, node: Node, parent: Handle | None = None) -> Result:
        """The handle of a canvas that was sent; of a chain that of its last step, whose parents are the steps before it."""
        match node:
            case Call():
                ignored = bool(node.options.get("ignore_result"))
                return AsyncResult(node.id, app=self._app, parent=parent, ignored=ignored, sent=True)
            case Group():
                members = [self.of_sent(member) for member in node.members]
                return GroupResult(node.id, members, app=self._app, parent=parent)
            case Chain():
                *before, last = [step for step in node.steps if not isinstance(step, Tap)]
                for step in before:
                    parent = self.of_sent(step, parent)
                return self.of_sent(last, parent)
            case Tap():
                raise AssertionError("a tap has no result of its own")

    def of_task(self, id_: str | UUID) -> AsyncResult[Any]:
        """The handle of a task by its id."""
        return AsyncResult(identity("a task's id", id_), app=self._app)

    def of_group(self, id_: str | UUID, results: Sequence[Any] | int) -> GroupResult:
        """The handle of a group by its id and its members, or by its id and size."""
        group_id: str = identity("a group's id", id_)
        if isinstance(results, int):
            Bound(highest=LARGEST_COUNT, whole=True)("a group's size", results)
            results = [self.of_task(derive(group_id, str(index))) for index in range(results)]
        return GroupResult(group_id, results, app=self._app)

    def of_tuple(self, data: Any) -> Result:
        """The handle that `as_tuple` wrote down."""
        return result_from_tuple(data, app=self._app)
