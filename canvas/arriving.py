"""Arriving: the members of a set of results, each as soon as it has ended.

Who waits for any of several has to look, as stores tell when all are there. One look is one call for all that are missing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .pace import Pace
from .result_base import Reader
from .task_view import TaskView, documents_of
from .waiting import Notices, is_driven


def arriving(
    app: Reader,
    members: Sequence[Any],
    views: Sequence[TaskView],
    seconds: float | None,
    notices: Notices,
    late: Callable[[float | None], Exception],
) -> Iterator[Any]:
    """`members`, of which all tasks are among `views`, in the order in which they end. Raises `late(seconds)` when the time is over."""
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    left, pace, heard = list(members), Pace(), time.monotonic()
    if is_driven(app):
        app.results.wait([view.id for view in views], seconds)
    while left:
        began = time.monotonic()
        if views:
            documents_of(app, views)  # asks only for those that are missing
        looked = time.monotonic()
        ended, left = _parted(left)
        yield from ended
        if ended:
            pace.reset()
        if not left:
            notices.tell_states(app, views)
            return
        now = time.monotonic()
        if now >= deadline or (seconds is not None and is_driven(app)):
            raise late(seconds)
        if notices.are_wanted and now - heard >= notices.interval:
            heard = now
            notices.tell(app, views)
        time.sleep(min(pace.pause(looked - began), deadline - now))


def _parted(members: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Those that have ended, and the others; each is asked once, as another thread may learn of it meanwhile."""
    ended: list[Any] = []
    left: list[Any] = []
    for member in members:
        (ended if member.has_ended else left).append(member)
    return ended, left
