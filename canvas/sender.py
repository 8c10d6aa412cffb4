"""Sender: what signatures, tasks and handles need of an app; and the app of those that have none of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from .default_app import default_app, set_default_app
from .result import Result


class Sender(Protocol):
    """What a signature needs of an app."""

    def send_signature(
        self, signature: Any, args: Iterable[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Result:
        """Send the canvas; returns the handle of its value."""
        ...

    def apply_signature(
        self, signature: Any, args: Iterable[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Result:
        """Run the canvas here and now; returns the handle of its value, which is ready."""
        ...

    def call_task(self, name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run a task's function here and now."""
        ...

    @property
    def is_strict(self) -> bool:
        """False if canvases are composed as Celery does it (setting `canvas_mode`)."""
        ...

    @property
    def tells_headers(self) -> bool:
        """Whether an error callback of a chord is one of each member, too (setting `task_allow_error_cb_on_chord_header`)."""
        ...


set_default_sender = set_default_app


def default_sender() -> Sender:
    """The app of signatures that have none. Raises ImproperlyConfigured if there is no app at all."""
    sender: Sender = default_app()
    return sender
