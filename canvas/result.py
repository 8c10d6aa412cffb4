"""Result: what a caller holds of a task or of a group, and how it is written down and read again.

The names are those of Celery's module of this name.
"""

from __future__ import annotations

from typing import Any

from .async_result import AsyncResult
from .blocking import allow_join_result, assert_will_not_block, denied_join_result, task_join_will_block
from .eager_result import EagerGroupResult, EagerResult
from .group_result import GroupResult
from .result_base import ResultBase
from .result_set import ResultSet
from .written_handle import handle_of

__all__ = [
    "AsyncResult",
    "EagerGroupResult",
    "EagerResult",
    "GroupResult",
    "Result",
    "ResultBase",
    "ResultSet",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "result_from_tuple",
    "task_join_will_block",
]

Result = AsyncResult[Any] | GroupResult


def result_from_tuple(data: Any, app: Any = None) -> Result:
    """The inverse of `as_tuple`, also of what JSON made of it; a handle as it is. Raises TypeError for anything else."""
    found: Result = handle_of(data, AsyncResult, GroupResult, app, sent=False)
    return found
