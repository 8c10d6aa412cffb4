"""Box: a canvas as it is drawn: boxes in boxes, each with a state. Large groups are folded. PURE."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from ..node import Call, Chain, Group, Node, calls
from ..outcome import State
from ..results.document import Document

FOLD = 12
"""Members of a group that are drawn one by one; of a larger one those that failed or run come first, the others are counted."""
MARKS = {
    State.SUCCESS: "✔",
    State.FAILURE: "✘",
    State.REVOKED: "⊘",
    State.REJECTED: "⊘",
    State.IGNORED: "⊘",
    State.STARTED: "▶",
    State.RETRY: "↻",
}
"""A sign for each state, so that it can be told without colours; whatever waits has a dot."""
WAITS = "·"
_FIRST = (State.FAILURE, State.REVOKED, State.REJECTED, State.IGNORED, State.STARTED, State.RETRY)


class TaskBox(Struct, frozen=True, kw_only=True):
    """A task. `document` is what is known of it."""

    id: str
    task: str
    document: Document

    @property
    def state(self) -> str:
        return str(self.document.state)

    @property
    def mark(self) -> str:
        return mark_of(self.document.state)


class ChainBox(Struct, frozen=True, kw_only=True):
    """Steps, one after the other."""

    steps: tuple[Box, ...]


class GroupBox(Struct, frozen=True, kw_only=True):
    """Members, side by side; `folded` are those that are not drawn, by their states."""

    id: str
    size: int
    members: tuple[Box, ...]
    folded: tuple[tuple[str, int], ...] = ()

    @property
    def more(self) -> str:
        """A line that tells of what is folded; empty if nothing is."""
        if not self.folded:
            return ""
        count = sum(count for _, count in self.folded)
        return f"{count:,} more: {', '.join(f'{number:,} {state}' for state, number in self.folded)}"


Box = TaskBox | ChainBox | GroupBox


def box_of(node: Node, documents: Mapping[str, Document]) -> Box:
    """The skeleton of a plan as boxes; what is in no document is PENDING."""
    match node:
        case Call():
            return TaskBox(
                id=node.id, task=node.task, document=documents.get(node.id) or Document(id=node.id)
            )
        case Chain():
            return ChainBox(steps=tuple(box_of(step, documents) for step in node.steps))
        case Group():
            drawn, rest = _parted(node.members, documents)
            states = Counter(str(_state_of(member, documents)) for member in rest)
            return GroupBox(
                id=node.id,
                size=len(node.members),
                members=tuple(box_of(member, documents) for member in drawn),
                folded=tuple(sorted(states.items())),
            )
    raise AssertionError("a skeleton has no taps")


def mark_of(state: State | str) -> str:
    """The sign of a state; a task in a state of its own runs."""
    return MARKS.get(_known(state), WAITS)


def _known(state: State | str) -> State:
    return State.__members__.get(state, State.STARTED)


def tasks_of(box: Box) -> Iterable[TaskBox]:
    """The tasks that are drawn."""
    match box:
        case TaskBox():
            yield box
        case ChainBox(steps=inside) | GroupBox(members=inside):
            for each in inside:
                yield from tasks_of(each)


def _parted(members: Sequence[Node], documents: Mapping[str, Document]) -> tuple[list[Node], list[Node]]:
    """Those that are drawn, in order, and the others."""
    if len(members) <= FOLD:
        return list(members), []
    ranked = sorted(range(len(members)), key=lambda index: _rank(_state_of(members[index], documents)))
    chosen = set(ranked[:FOLD])
    drawn = [member for index, member in enumerate(members) if index in chosen]
    return drawn, [member for index, member in enumerate(members) if index not in chosen]


def _rank(state: State) -> int:
    return _FIRST.index(state) if state in _FIRST else len(_FIRST)


def _state_of(node: Node, documents: Mapping[str, Document]) -> State:
    """The state of a member: the most telling one of its tasks."""
    found = (documents[call.id].state if call.id in documents else State.PENDING for call in calls(node))
    states = set(map(_known, found))
    for state in _FIRST:
        if state in states:
            return state
    return State.PENDING if State.PENDING in states else State.SUCCESS
