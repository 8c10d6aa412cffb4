"""Result: what a caller holds of a task or of a group, and how it is written down and read again.

The names are those of Celery's module of this name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .async_result import AsyncResult
from .blocking import allow_join_result, assert_will_not_block, denied_join_result, task_join_will_block
from .group_result import GroupResult
from .result_base import ResultBase
from .result_set import ResultSet

__all__ = [
    "AsyncResult",
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


def result_from_tuple(data: Any, app: Any = None, *, sent: bool = False) -> Result:
    """The inverse of `as_tuple`, also of what JSON made of it; a handle as it is. `sent`: it is known that the tasks were sent.

    Raises TypeError for anything else.
    """
    if isinstance(data, AsyncResult | GroupResult):
        return data
    above: Result | None = None
    # not by recursion from child to parent: a chain may have a thousand steps
    for id_, members in reversed(list(_written_above(data))):
        if members is None:
            above = AsyncResult(id_, app=app, parent=above, sent=sent)
        else:
            above = GroupResult(
                id_, [result_from_tuple(each, app, sent=sent) for each in members], above, app
            )
    assert above is not None
    return above


def _written_above(data: Any) -> list[tuple[str, Sequence[Any] | None]]:
    """Id and members of what was written, and of all its parents, the nearest first."""
    found: list[tuple[str, Sequence[Any] | None]] = []
    rest: Any = data
    while rest is not None or not found:
        match rest:
            case [[str(id_), rest], None | list() | tuple() as members]:
                pass
            case [str(id_), None | list() | tuple() as members]:
                rest = None
            case _:
                raise TypeError(
                    f"not what as_tuple() wrote of a result: {rest!r:.100}; it writes ((id, parent), members)"
                )
        found.append((id_, members))
    return found
