"""Observing: an app's view of its running workers: `app.control` asks and steers them, `app.events` hears what they tell. A part of App.

What these need is imported when they are used: a program that only sends tasks does not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .config import Config

if TYPE_CHECKING:
    from .control import Control
    from .events.receiver import EventReceiver
    from .events.state import State


class Observing:
    """Of an app with the settings `conf`."""

    conf: Config
    queue_of: Callable[[str], str]

    @cached_property
    def control(self) -> Control:
        """Asks workers and gives them orders."""
        from .control import Control

        return Control(self.conf, self.queue_of)

    @cached_property
    def events(self) -> Events:
        """Hears what workers tell."""
        return Events(self.conf)

    def bugreport(self) -> str:
        """Versions and settings as text, without secrets."""
        from .bug_report import bug_report

        return bug_report(self)


class Events:
    """Of an app with these settings."""

    def __init__(self, conf: Config) -> None:
        self._conf = conf

    def Receiver(  # noqa: N802 - Celery's name
        self,
        channel: Any = None,  # noqa: ARG002 - Celery's argument: a receiver has a connection of its own
        handlers: Mapping[str, Callable[[dict[str, Any]], object]] | None = None,
        **_: Any,
    ) -> EventReceiver:
        """What hears events and hands each to the handler of its type, "*" being that of all others.

        Raises ImproperlyConfigured where the broker carries no events.
        """
        from .events.receiver import EventReceiver
        from .remote.wiring import open_event_source

        return EventReceiver(open_event_source(self._conf), handlers)

    def State(self, *args: Any, **known: Any) -> State:  # noqa: N802 - the same
        """What is known of workers and tasks by the events that it is given."""
        from .events.state import State

        return State(*args, **known)
