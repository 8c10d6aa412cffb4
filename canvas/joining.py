"""Joining: what a group comes to when its members have ended, by its policy. PURE."""

from __future__ import annotations

from collections.abc import Sequence

from .continuation import Continuation, JoinRecord
from .effect import Part
from .json_text import json_list
from .node import Group, Policy, calls
from .outcome import Failure, Success, celery_error, error_value, repr_of
from .stamp import Stamps, common_stamps
from .trace_context import Trace


def join_of(
    group: Group,
    then: Continuation | None,
    root_id: str,
    parent_id: str | None,
    stamps: Stamps,
    trace: Trace,
) -> JoinRecord:
    """The join that the members of a frozen group report to; `stamps` and `trace` are those of what leads to it."""
    is_hasty = group.policy is Policy.FAIL_FAST
    return JoinRecord(
        join_id=group.id,
        then=then,
        root_id=root_id,
        parent_id=parent_id,
        policy=group.policy,
        members=tuple(call.id for call in calls(group)) if is_hasty else (),
        stamps={**stamps, **common_stamps(group)},
        trace=trace,
    )


def value_of(parts: Sequence[Part], policy: Policy) -> Success | Failure:
    """The list of what `parts`, which are in order, came to; or why there is none."""
    failed = next((part for part in parts if isinstance(part.outcome, Failure)), None)
    match policy:
        case Policy.FAIL | Policy.FAIL_FAST if failed is not None:
            return _chord_failure(failed)
        case Policy.DROP:
            parts = [part for part in parts if isinstance(part.outcome, Success)]
    values = (
        part.outcome.value if isinstance(part.outcome, Success) else error_value(part.outcome.error)
        for part in parts
    )
    return Success(value=json_list(values))


def fails(record: JoinRecord, parts: Sequence[Part]) -> bool:
    """Whether a join whose `parts` are in comes to a failure."""
    has_failed = any(isinstance(part.outcome, Failure) for part in parts)
    return has_failed and record.policy in (Policy.FAIL, Policy.FAIL_FAST)


def unstarted_of(record: JoinRecord, parts: Sequence[Part]) -> tuple[str, ...]:
    """The calls of a join that shall not start any more, as one of its members failed."""
    came = {part.id for part in parts}
    return tuple(id_ for id_ in record.members if id_ not in came)


def _chord_failure(part: Part) -> Failure:
    assert isinstance(part.outcome, Failure)
    error = part.outcome.error
    text = f"Dependency {part.id} raised {repr_of(error)}"
    return Failure(error=celery_error("ChordError", text, error.node or part.id, error))
