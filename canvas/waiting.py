"""Waiting: what `get()` does until several results are there: one wait of the store for all, and now and then a look.

A look is for what the wait cannot see. The results that are waited for may never come although their fate is known: a Celery worker does not
settle all that depends on a task that failed, and one member of a group may fail long before another one ends. And a caller may want
to hear of states on the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .meta import meta_of
from .result_base import Reader
from .results.document import Document
from .task_view import TaskView, documents_of
from .value import Bound

FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 1.0, 30.0
"""How long after the wait began the first look is; each further one comes after twice the time. Most waits are over before."""
INTERVAL_SECONDS = 0.5
_INTERVAL = Bound(above=True)


@dataclass(slots=True)
class Notices:
    """What a caller wants to hear while it waits: every `interval` seconds `on_interval()`, and `on_message(meta)` of each state that is new.

    States that come and go between two looks are not heard of.
    """

    interval: float = INTERVAL_SECONDS
    on_interval: Callable[[], object] | None = None
    on_message: Callable[[dict[str, Any]], object] | None = None
    _told: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def are_wanted(self) -> bool:
        return self.on_interval is not None or self.on_message is not None

    def tell(self, app: Reader, views: Sequence[TaskView]) -> None:
        """An interval is over."""
        if self.on_interval is not None:
            self.on_interval()
        self.tell_states(app, views)

    def tell_states(self, app: Reader, views: Sequence[TaskView]) -> None:
        """Tell of states that are new."""
        if self.on_message is None:
            return
        for document in documents_of(app, views):
            said = _said(document)
            if self._told.get(document.id, ("PENDING", "null", None)) != said:
                self._told[document.id] = said
                self.on_message(meta_of(document))


def notices_of(
    interval: Any,
    on_interval: Callable[[], object] | None,
    on_message: Callable[[dict[str, Any]], object] | None,
) -> Notices:
    """Of what `get` was given. Raises ImproperlyConfigured for an interval of nothing."""
    if on_interval is None and on_message is None:
        return Notices()  # then the interval says nothing: Celery's 0 is as good as any
    seconds = INTERVAL_SECONDS if interval is None else _INTERVAL("interval", interval)
    return Notices(seconds, on_interval, on_message)


def wait_for(
    app: Reader,
    pending: Sequence[TaskView],
    seconds: float | None,
    *,
    look: Callable[[], object] | None = None,
    notices: Notices | None = None,
) -> bool:
    """Wait until all `pending` are ready; False if `seconds` passed before. `look` may raise, which ends the wait."""
    notices = notices or Notices()
    ids = [view.id for view in pending]
    if is_driven(app) or (look is None and not notices.are_wanted):
        is_ready = app.results.wait(ids, seconds)
        notices.tell_states(app, pending)
        if look is not None and not is_ready:
            look()
        return is_ready
    deadline = None if seconds is None else time.monotonic() + seconds
    for pause in _pauses(notices):
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if app.results.wait(ids, shorter(pause, left)):
            notices.tell_states(app, pending)
            return True
        if left is not None and left <= pause:
            return False
        notices.tell(app, pending)
        if look is not None:
            look()
    raise AssertionError("a wait without an end has ended")


def is_driven(app: Reader) -> bool:
    """True if time passes, and workers work, only while somebody waits for results: in the kit for tests. There one wait is all."""
    return bool(getattr(app.results, "is_driven", False))


def look_pauses() -> Iterator[float]:
    """Seconds before each look."""
    pause = FIRST_LOOK_SECONDS
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_LOOK_SECONDS)


def shorter(pause: float | None, left: float | None) -> float | None:
    """The smaller of the two; None is for ever."""
    return min((each for each in (pause, left) if each is not None), default=None)


def _pauses(notices: Notices) -> Iterator[float]:
    if not notices.are_wanted:
        yield from look_pauses()
    while True:
        yield notices.interval


def _said(document: Document) -> tuple[Any, ...]:
    return str(document.state), document.value, document.error
