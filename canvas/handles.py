"""Handles: makes the handles of one app's tasks and groups: of what was sent, of an id, and of what was written down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from .handle import Handle
from .ids import derive
from .node import Call, Chain, Group, Node, Tap, steps_of
from .result import AsyncResult, GroupResult, Result
from .result_base import Reader
from .result_set import Later, ResultSet
from .streaming import Streamed
from .value import LARGEST_COUNT, Bound, identity
from .written_handle import handle_of


class GroupHandles:
    """`app.GroupResult`: makes handles of groups, and brings saved ones back, as Celery's class that belongs to an app does."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles

    def __call__(
        self, id: str | UUID, results: Sequence[Any] | int = (), parent: Handle | None = None
    ) -> GroupResult:
        """The handle of a group by its id and its members, or by its id and size."""
        return self._handles.of_group(id, results, parent)

    def restore(self, id: str | UUID) -> GroupResult | None:
        """The group that was saved under `id`; None if there is none (any more)."""
        return self._handles.of_saved(id)


_MANY = 100
"""Members of a group that are worth to be put off."""


class Handles:
    """`app` is where handles read results, and what they revoke by; `single` and `several` are what is made for a task and for a group."""

    def __init__(
        self,
        app: Reader,
        single: type[AsyncResult[Any]] = AsyncResult,
        several: type[GroupResult] = GroupResult,
    ) -> None:
        self._app = app
        self._single = single
        self._several = several

    def of_sent(self, node: Node, parent: Handle | None = None) -> Result:
        """The handle of a canvas that was sent; of a chain that of its last step, whose parents are the steps before it."""
        match node:
            case Call():
                ignored = bool(node.options.get("ignore_result"))
                return self._single(node.id, app=self._app, parent=parent, ignored=ignored, sent=True)
            case Group():
                return self._several(node.id, self._members(node.members), app=self._app, parent=parent)
            case Chain():
                *before, last = [step for step in node.steps if not isinstance(step, Tap)]
                for step in before:
                    parent = self.of_sent(step, parent)
                return self.of_sent(last, parent)
            case Tap():
                raise AssertionError("a tap has no result of its own")

    def _members(self, members: Sequence[Node]) -> list[Any] | Later:
        """The handles of a group's members; of many calls they are made when somebody looks at them."""
        if len(members) < _MANY or not all(isinstance(member, Call) for member in members):
            return [self.of_sent(member) for member in members]
        sent = [
            (call.id, bool(call.options.get("ignore_result"))) for call in members if isinstance(call, Call)
        ]

        def handles() -> list[Any]:
            return [self._single(id_, app=self._app, ignored=ignored, sent=True) for id_, ignored in sent]

        return Later(len(sent), handles)

    def of_streamed(self, canvas: Node, streamed: Streamed) -> Result:
        """The handle of a canvas whose first group was sent as its members came; they get handles when somebody looks at them."""
        group, *rest = [step for step in steps_of(canvas) if not isinstance(step, Tap)]

        def members() -> list[Any]:
            ids = [derive(group.id, str(index)) for index in range(streamed.size)]
            for index, id_ in streamed.named.items():
                ids[index] = id_
            return [self._single(id_, app=self._app, sent=True) for id_ in ids]

        handle: Result = self._several(group.id, Later(streamed.size, members), app=self._app)
        for step in rest:
            handle = self.of_sent(step, handle)
        return handle

    def of_task(self, id_: str | UUID) -> AsyncResult[Any]:
        """The handle of a task by its id."""
        return AsyncResult(identity("a task's id", id_), app=self._app)

    def of_set(self, results: Iterable[Any]) -> ResultSet:
        """The handle of several results that are waited for together."""
        return ResultSet(results, app=self._app)

    def of_group(
        self, id_: str | UUID, results: Sequence[Any] | int, parent: Handle | None = None
    ) -> GroupResult:
        """The handle of a group by its id and its members, or by its id and size."""
        group_id: str = identity("a group's id", id_)
        if isinstance(results, int):
            Bound(highest=LARGEST_COUNT, whole=True)("a group's size", results)
            results = [self.of_task(derive(group_id, str(index))) for index in range(results)]
        return GroupResult(group_id, results, parent, self._app)

    def of_saved(self, id_: str | UUID) -> GroupResult | None:
        """The handle of the group that was saved under its id; None if there is none."""
        found: GroupResult | None = self._app.backend.restore_group(id_)
        return found

    def of_tuple(self, data: Any, *, sent: bool = False) -> Result:
        """The handle that `as_tuple` wrote down."""
        found: Result = handle_of(data, self._single, self._several, self._app, sent)
        return found
