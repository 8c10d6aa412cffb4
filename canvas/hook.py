"""Hook: a moment in an app's life that a project's functions can wait for, as Celery's `on_after_configure` and `on_after_finalize`.

It is no general signal: it belongs to one app and comes once. Called by App.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Receiver = TypeVar("Receiver", bound=Callable[..., Any])


class Hook:
    """Functions that are called once, in the order in which they were connected; who comes later is called at once."""

    def __init__(self) -> None:
        self._receivers: list[Callable[..., Any]] = []
        self._sent: tuple[Any, ...] = ()

    def connect(self, receiver: Receiver, **_: Any) -> Receiver:
        """Call `receiver(sender=app)` when the moment comes. A decorator; Celery's further arguments have no meaning here."""
        self._receivers.append(receiver)
        for sender in self._sent:
            receiver(sender=sender)
        return receiver

    def send(self, sender: Any) -> None:
        """The moment has come. A second call does nothing."""
        if self._sent:
            return
        self._sent = (sender,)
        for receiver in tuple(self._receivers):
            receiver(sender=sender)
