"""OwnTasks: the tasks that every worker serves itself (built_in.py): their names, the messages that stores send, and what ids follow. PURE."""

from __future__ import annotations

from .continuation import Counted
from .ids import derive
from .json_text import json_list, json_string
from .message import CONTROL_QUEUE, Message
from .trace_context import NO_TRACE, Trace

JOIN_TASK = "backbeat.join"
NEXT_TASK = "backbeat.next"
FAILED_TASK = "backbeat.failed"
START_TASK = "backbeat.start"
CHORD_TASK = "backbeat.chord"
"""Tasks that every backbeat worker serves itself, from the queue `backbeat`."""


def join_message(join_id: str, generation: int = 0) -> Message:
    """The message that stores send, in the same step, when the last part of a join comes in; `joined` answers it."""
    args = json_list([json_string(join_id)])
    id_ = derive(join_id, "join")
    return Message(id=id_, task=JOIN_TASK, args=args, queue=CONTROL_QUEUE, generation=generation)


def chord_message(chord: Counted, root_id: str, parent_id: str, trace: Trace = NO_TRACE) -> Message:
    """The message that stores send, in the same step, when the last part of a chord of Celery's comes in; `counted` answers it."""
    return Message(
        id=derive(chord.group_id, "chord"),
        task=CHORD_TASK,
        args=json_list([json_string(chord.group_id), chord.body]),
        root_id=root_id,
        parent_id=parent_id,
        queue=CONTROL_QUEUE,
        ignore_result=True,
        headers=dict(trace),
    )


def started_id(start_id: str) -> str:
    """The id of the value of a canvas that was sent as one START_TASK message."""
    return derive(start_id, "canvas")


def started_roots(start_id: str) -> list[str]:
    """The ids that may be the root of a canvas that was sent as one START_TASK message: to revoke all of it by that id alone.

    Its root is its first task, or a group that comes first; a chain inside a chain begins one level deeper.
    """
    ids = [started_id(start_id)]
    for _ in range(3):
        ids.append(derive(ids[-1], "step:0"))
    return ids
