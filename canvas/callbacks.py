"""Callbacks: who is told that something ended, and what they get: error callbacks, and what taps call. PURE.

Each of them is a task with an id by its place, so that whoever tells again sends the same task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from .effect import Part
from .ending_report import done_report, failure_report
from .error_report import report_of
from .ids import derive
from .json_text import Json
from .node import Call, Group, Node, Tap, first_calls, freeze, frozen_errbacks, map_first
from .outcome import Failure, Success


def told_by(
    tap: Tap, ended: Success | Failure, root_id: str, parts: Sequence[Part]
) -> Iterator[tuple[Node, Json]]:
    """What a tap calls, each with the value that it gets in front: a value that succeeded, else a report."""
    if isinstance(ended, Success):
        report = done_report(ended, tap, root_id)
        told = {"on_success": ended.value, "on_done": report}
    else:
        report = failure_report(ended, tap, root_id, parts)
        told = {"on_failure": report, "on_done": report}
    for name, value in told.items():
        for index, callback in enumerate(tap.hooks.get(name, ())):
            yield _telling(freeze(callback, derive(tap.key, f"{name}:{index}")), {"id": tap.id}), value


def told_of_failure(
    errbacks: tuple[Node, ...], id_: str, task: str, failure: Failure, root_id: str
) -> Iterator[Node]:
    """Error callbacks: they get the failed id in front, and the error itself in the header `errback`."""
    report = report_of(failure, id_, task, root_id)
    for errback in frozen_errbacks(errbacks, id_):
        yield _telling(errback, report)


def _telling(callback: Node, report: Mapping[str, Any]) -> Node:
    """A callback that says what it tells of; so it starts though the canvas that it belongs to was revoked."""
    return map_first(callback, lambda call: replace(call, options={**call.options, "errback": report}))


def who_tells(steps: Sequence[Node]) -> Iterator[Call]:
    """The calls whose error callbacks tell of a group that failed: those that would follow it. Of groups in a row they all, up to what
    follows the last."""
    for step in steps:
        yield from first_calls(step)
        if not isinstance(step, Group | Tap):
            return
