"""Child: one of those that a task led to, as its result keeps it. PURE.

A task is its id. A group is written as handles are, `((id, parent), members)`, so that whoever reads it gets a handle of the group; so is
a task whose parent is told, too: what follows a group has the group as its parent.
"""

from __future__ import annotations

from typing import Any

Written = tuple[Any, Any]
"""((id, parent or None), members or None), of tuples all the way down."""
Child = str | Written


def child_of(data: Any) -> Child:
    """The child of what `as_tuple` wrote, which may have been through JSON. Raises TypeError or ValueError for what is not that."""
    written = _tuples(data)
    return str(written[0][0]) if written == ((written[0][0], None), None) else written


def sent_child(written: Written) -> Child:
    """As `child_of`, of what a task sent by itself: without parents, of which a chain may have a thousand."""
    (id_, _), members = written
    return str(id_) if members is None else ((id_, None), tuple(map(_alone, members)))


def child_from_data(data: Any) -> Child:
    """A child as plain data (JSON has lists) as it was."""
    return data if isinstance(data, str) else _tuples(data)


def written_child(child: Child) -> Written:
    """What `result_from_tuple` makes the handle of."""
    return ((child, None), None) if isinstance(child, str) else child


def _alone(written: Written) -> Written:
    return written_child(sent_child(written))


def _tuples(data: Any) -> Written:
    above: Written | None = None
    for id_, members in reversed(
        _upwards(data)
    ):  # not by recursion: Celery tells a thousand parents of a chain's last step
        above = (str(id_), above), None if members is None else tuple(map(_tuples, members))
    assert above is not None
    return above


def _upwards(data: Any) -> list[tuple[Any, Any]]:
    """Id and members of it and of all its parents, the nearest first."""
    found: list[tuple[Any, Any]] = []
    while data is not None:
        head, members = data
        id_, data = head if isinstance(head, list | tuple) else (head, None)
        found.append((id_, members))
    if not found:
        raise TypeError("a child must not be null")
    return found
