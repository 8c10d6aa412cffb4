"""Result: what a caller holds of a task or of a group, and how it is written down and read again."""

from __future__ import annotations

from typing import Any

from .async_result import AsyncResult
from .eager_result import EagerGroupResult, EagerResult
from .group_result import GroupResult

__all__ = ["AsyncResult", "EagerGroupResult", "EagerResult", "GroupResult", "Result", "result_from_tuple"]

Result = AsyncResult[Any] | GroupResult


def result_from_tuple(data: Any, app: Any = None) -> Result:
    """The inverse of `as_tuple`."""
    (id_, parent), members = data
    above = result_from_tuple(parent, app) if parent else None
    if members is None:
        return AsyncResult(id_, app=app, parent=above)
    return GroupResult(id_, [result_from_tuple(member, app) for member in members], app=app, parent=above)
