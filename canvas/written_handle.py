"""WrittenHandle: handles of what `as_tuple` wrote down, of whatever kind the reader wants them to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .result_base import ResultBase


def handle_of(
    data: Any, single: Callable[..., Any], several: Callable[..., Any], app: Any, sent: bool
) -> Any:
    """The inverse of `as_tuple`, also of what JSON made of it; a handle as it is. Raises TypeError for anything else.

    `single` and `several` are what is made for a task and for a group. `sent`: it is known that the tasks were sent.
    """
    if isinstance(data, ResultBase):
        return data
    above: Any = None
    # not by recursion from child to parent: a chain may have a thousand steps
    for id_, members in reversed(_upwards(data)):
        if members is None:
            above = single(id_, app=app, parent=above, sent=sent)
        else:
            inside = [handle_of(each, single, several, app, sent) for each in members]
            above = several(id_, inside, parent=above, app=app)
    return above


def _upwards(data: Any) -> list[tuple[str, Sequence[Any] | None]]:
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
