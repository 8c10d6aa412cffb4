"""EndingReport: what the callbacks `on_failure` and `on_done` of a canvas get: how it ended, as one JSON map. PURE.

id, name      of the canvas: the id of its value; its task, or celery.chain, celery.group, celery.chord
root_id       of the canvas that it belongs to
state         SUCCESS or FAILURE
result        what it returned; None if it failed
exc_type, exc_module, exc_message, traceback    why it failed; None if it did not
node          the id of the task that broke; None if none did
cause         {exc_type, exc_module, exc_message} of what was raised there, where the error above tells of it; else None
members       of a group that failed: [{index, id, state, result, exc_type, exc_message}], in order; else None
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .effect import Part
from .json_text import Json, json_value
from .node import Tap
from .outcome import Error, Failure, State, Success

RESULT_CHARACTERS = 65_536
"""Of the results of members that succeeded, in all; beyond it they are left out, and can be read by the members' ids."""
MEMBERS = 1_000
"""Members that are told of, those that failed first."""
TEXT_CHARACTERS = 8_000


def done_report(ended: Success, tap: Tap, root_id: str) -> Json:
    """The report of a canvas that succeeded."""
    head = json_value(_report(tap, root_id, State.SUCCESS))
    return Json(f'{head[:-1]},"result":{ended.value}}}')


def failure_report(ended: Failure, tap: Tap, root_id: str, parts: Sequence[Part]) -> Json:
    """The report of a canvas that failed; `parts` are those of the group that it is, if it is one."""
    error = ended.error
    report = (
        _report(tap, root_id, State.FAILURE)
        | _error(error)
        | {
            "result": None,
            "traceback": ended.traceback[-TEXT_CHARACTERS:],
            "node": error.node or tap.id,
            "cause": None if error.cause is None else _error(error.cause),
            "members": _members(parts) if parts else None,
        }
    )
    return json_value(report)


def _report(tap: Tap, root_id: str, state: State) -> dict[str, Any]:
    nothing = ("exc_type", "exc_module", "exc_message", "traceback", "node", "cause", "members")
    return {"id": tap.id, "name": tap.of, "root_id": root_id, "state": state.value} | dict.fromkeys(nothing)


def _error(error: Error) -> dict[str, Any]:
    return {"exc_type": error.type, "exc_module": error.module, "exc_message": error.text[:TEXT_CHARACTERS]}


def _members(parts: Sequence[Part]) -> list[dict[str, Any]]:
    failed_first = sorted(parts, key=lambda part: isinstance(part.outcome, Success))[:MEMBERS]
    told = sorted(failed_first, key=lambda part: part.index)
    size = sum(len(part.outcome.value) for part in told if isinstance(part.outcome, Success))
    return [_member(part, with_result=size <= RESULT_CHARACTERS) for part in told]


def _member(part: Part, *, with_result: bool) -> dict[str, Any]:
    member: dict[str, Any] = {"index": part.index, "id": part.id}
    if isinstance(part.outcome, Failure):
        error = part.outcome.error
        return member | {
            "state": State.FAILURE.value,
            "result": None,
            "exc_type": error.type,
            "exc_message": error.text[:TEXT_CHARACTERS],
        }
    value = part.outcome.value
    result = json.loads(value) if with_result else None
    return member | {"state": State.SUCCESS.value, "result": result, "exc_type": None, "exc_message": None}
