"""SignatureSending: which app a signature belongs to, and how that sends it or runs it. A part of Signature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .awaitable import in_thread
from .default_app import default_app_if_any
from .sender import Sender, default_sender
from .signature_fields import SignatureFields


class SignatureSending(SignatureFields):
    """Of a signature with the app `_app`, or with whichever is the default."""

    _app: Sender | None

    @property
    def app(self) -> Sender:
        return self._app if self._app is not None else default_sender()

    @property
    def own_app(self) -> Sender | None:
        """The app that it was made with; None if it belongs to whichever is the default."""
        return self._app

    @property
    def is_strict(self) -> bool:
        """False if it is composed as Celery does it."""
        app: Sender | None = self._app or default_app_if_any()
        return app is None or app.is_strict

    @property
    def type(self) -> Any:
        """The task itself. Raises NotRegistered if its app has none of this name."""
        app: Any = self.app
        return app.tasks[self.task]

    @property
    def AsyncResult(self) -> Any:  # noqa: N802 - Celery's name
        """Makes the handle of a task by its id."""
        app: Any = self.app
        return app.AsyncResult

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Send it with `args` in front of its own."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Send it; returns an AsyncResult, a GroupResult for a group, None for an empty chain. Options: see `Task.apply_async`."""
        return self.app.send_signature(self, args or (), kwargs or {}, options)

    async def adelay(self, *args: Any, **kwargs: Any) -> Any:
        """As `delay`, for coroutines: the event loop goes on while it is sent (see awaitable.py)."""
        return await in_thread(self.delay, *args, **kwargs)

    async def aapply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """As `apply_async`, for coroutines."""
        return await in_thread(self.apply_async, args, kwargs, **options)

    def apply(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Run it here and now, to its end; returns what `apply_async` does, ready. Options: also `throw`, see `Task.apply`."""
        return self.app.apply_signature(self, args or (), kwargs or {}, options)

    def __invert__(self) -> Any:
        """Send it and wait for its value: `~add.s(2, 2)`."""
        return self.apply_async().get()
