"""Watch: tells when tasks have ended, to all who want to know in one process: one thread reads all their results by one call.

For `then` and for coroutines, of which there may be thousands at a time, so none of them can have a thread or a connection. It looks
every 2 to 50 ms, and less often where one look takes long (see pace.py). The thread is there while somebody wants to know.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import DecodeError, Unavailable
from .pace import Pace
from .task_view import documents_of

logger = logging.getLogger(__name__)

AWAY_SECONDS = 1.0
"""Between two looks while the store cannot be reached."""
IDLE_SECONDS = 5.0
"""How long the thread stays although nobody wants to know anything."""


@dataclass(slots=True, eq=False)
class _Ticket:
    views: Sequence[Any]
    done: Callable[[Exception | None], object]
    is_lasting: bool


class Watch:
    """One app's. Thread-safe. `app` is a Reader."""

    def __init__(
        self, app: Any, *, idle_seconds: float = IDLE_SECONDS, away_seconds: float = AWAY_SECONDS
    ) -> None:
        self._app = app
        self._idle_seconds, self._away_seconds = idle_seconds, away_seconds
        self._begin()
        begin = weakref.WeakMethod(self._begin)
        # the thread stays in the parent, and so do those who wait there; and it may hold the lock at the fork
        os.register_at_fork(after_in_child=lambda: (found := begin()) and found())

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._tickets: dict[_Ticket, None] = {}
        self._news = False
        """Somebody came since the last look."""
        self._is_running = False
        self._is_away = False
        """The store could not be reached at the last look."""

    def add(
        self, views: Sequence[Any], done: Callable[[Exception | None], object], *, is_lasting: bool = False
    ) -> object:
        """Call `done`, in the watch's thread, once all have ended, or with the error if that cannot be known; returns a ticket.

        With `is_lasting` it waits on while the store cannot be reached.
        """
        ticket = _Ticket(views, done, is_lasting)
        with self._changed:
            self._tickets[ticket] = None
            self._news = True
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="backbeat-watch", daemon=True).start()
            self._changed.notify_all()
        return ticket

    def remove(self, ticket: object) -> None:
        """Nobody wants to know any more. Idempotent."""
        with self._changed:
            self._tickets.pop(ticket, None)  # type: ignore[call-overload]  # to others a ticket is an object

    def close(self) -> None:
        """Whoever waits is told that nobody looks any more, as the app lets go of its connections."""
        with self._changed:
            tickets, self._tickets = list(self._tickets), {}
        for ticket in tickets:
            ticket.done(Unavailable("the app was closed before the results were there"))

    # --- the thread ------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pace = Pace()
        while tickets := self._wanted():
            began = time.monotonic()
            self._look(tickets)
            with self._changed:
                if self._news:
                    pace.reset()
                pause = self._away_seconds if self._is_away else pace.pause(time.monotonic() - began)
                self._changed.wait_for(lambda: self._news, pause)
                self._news = False

    def _wanted(self) -> list[_Ticket]:
        """Those who wait; none if nobody came for a while, and then the thread is over."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._tickets, self._idle_seconds):
                self._is_running = False
            return list(self._tickets)

    def _look(self, tickets: Sequence[_Ticket]) -> None:
        try:
            documents_of(self._app, [view for ticket in tickets for view in ticket.views])
        except DecodeError as error:
            if len(tickets) > 1:  # one that cannot be read is no news for who waits for others
                for ticket in tickets:
                    self._look([ticket])
            else:
                self._tell(tickets[0], error)
            return
        except Exception as error:  # noqa: BLE001 - of whatever driver: whoever waits is told
            if not self._is_away:
                logger.warning("results cannot be read: %s", error, extra={"action": "watch_failed"})
            self._is_away = isinstance(error, Unavailable)
            for ticket in tickets:
                if not (self._is_away and ticket.is_lasting):
                    self._tell(ticket, error)
            return
        self._is_away = False
        for ticket in tickets:
            if all(view.has_ended for view in ticket.views):
                self._tell(ticket, None)

    def _tell(self, ticket: _Ticket, error: Exception | None) -> None:
        with self._changed:
            is_wanted = ticket in self._tickets
            self._tickets.pop(ticket, None)
        if not is_wanted:
            return
        try:
            ticket.done(error)
        except BaseException:  # the thread is others' too, whatever a user's code raises in it
            logger.exception("who was told of a result", extra={"action": "callback_failed"})
