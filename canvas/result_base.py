"""ResultBase: what handles of tasks and of several results have in common: an app, what came before, and what stands above them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from .default_app import default_app
from .errors import ImproperlyConfigured
from .handle import Handle
from .results.base import Results
from .signum import signum_of
from .value import flag


class Reader(Protocol):
    """What a handle needs of an app."""

    @property
    def results(self) -> Results: ...

    @property
    def backend(self) -> Any: ...

    @property
    def watch(self) -> Watching: ...

    @property
    def is_strict(self) -> bool: ...

    def revoke(
        self, ids: str | Sequence[str], terminate: bool = False, signal: str | int = "SIGTERM"
    ) -> None: ...

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any] | Sequence[str],
        terminate: bool = False,
        signal: str | int = "SIGTERM",
    ) -> None: ...

    def canvas(self, id: str, near: Sequence[str] = ()) -> Cancelled: ...


class Cancelled(Protocol):
    """A canvas that can be cancelled (see canvas_run.py)."""

    def cancel(
        self, *, rest_only: bool = False, signum: int | None = None, was_sent: bool = False
    ) -> None: ...


class Watching(Protocol):
    """Tells when tasks have ended, without a thread for each of who wants to know (see watch.py)."""

    def add(
        self, views: Sequence[Any], done: Callable[[Exception | None], object], *, is_lasting: bool = False
    ) -> object:
        """Call `done`, in a thread of its own, once all have ended, or with the error if that cannot be known; returns a ticket.

        With `is_lasting` it waits on while the store cannot be reached.
        """
        ...

    def remove(self, ticket: object) -> None:
        """Nobody wants to know any more. Idempotent."""
        ...


class ResultBase:
    """Base of AsyncResult and ResultSet."""

    id: str
    parent: Handle | None = None
    """Of what came before it in its chain."""
    _app: Any = None

    @property
    def app(self) -> Any:
        """The app whose results it reads; the default one if it was made without any."""
        return self._app if self._app is not None else default_app()

    @property
    def backend(self) -> Any:
        """The result backend of its app, as Celery's code knows it (see backend.py)."""
        return self.app.backend

    @property
    def supports_native_join(self) -> bool:
        """True: several results are read, and waited for, by one call in every store."""
        return True

    def as_tuple(self) -> tuple[Any, Any]:
        """((id, parent), members), as Celery writes handles down: parent is None or the same again; members are None for a task's."""
        above: Any
        written: tuple[Any, Any] | None = None
        for above in [self, *self._parents()][::-1]:  # not by recursion: a chain may have a thousand steps
            written = above._written(written)
        assert written is not None
        return written

    def as_list(self) -> list[str]:
        """Its id, and those of what came before it, the nearest first."""
        return [self.id, *(above.id for above in self._parents())]

    def revoke(
        self,
        terminate: bool = False,
        signal: str | int = "SIGTERM",
        *,
        scope: Literal["step", "rest", "all"] = "step",
        connection: Any = None,  # noqa: ARG002 - Celery's argument; connections are the app's own
        wait: bool = False,  # noqa: ARG002 - likewise; when this returns it is stored
        timeout: float | None = None,  # noqa: ARG002 - likewise
    ) -> None:
        """See to it that it does not start, or none of its members; what runs already goes on, but with `terminate` (see App.revoke).

        With `scope="rest"` nor does what comes after it, with `scope="all"` nothing of the canvas that it is part of. It is stored, and
        holds though all workers and the broker are started anew; what has not begun is REVOKED at once.
        """
        if scope == "step":
            self.app.revoke(list(self.value_ids()), terminate, signal)
            return
        if scope not in ("rest", "all"):
            raise ImproperlyConfigured(f"scope must be 'step', 'rest' or 'all', found {scope!r:.80}")
        signum = signum_of(signal)
        canvas = self.app.canvas(self.id, [above.id for above in self._parents()])
        ended_by = signum if flag("terminate", terminate) else None
        canvas.cancel(rest_only=scope == "rest", signum=ended_by, was_sent=True)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any] | Sequence[str],
        terminate: bool = False,
        signal: str | int = "SIGTERM",
        *,
        connection: Any = None,  # noqa: ARG002 - as for `revoke`
        wait: bool = False,  # noqa: ARG002 - likewise
        timeout: float | None = None,  # noqa: ARG002 - likewise
    ) -> None:
        """See to it that nothing starts that has one of these stamps, whosever it is (see App.revoke_by_stamped_headers)."""
        self.app.revoke_by_stamped_headers(headers, terminate, signal)

    @abstractmethod
    def value_ids(self) -> Iterator[str]:
        """The ids of all tasks whose values make up the result."""

    @abstractmethod
    def _written(self, parent: tuple[Any, Any] | None) -> tuple[Any, Any]:
        """As `as_tuple`, with what was written of its parent."""

    def _parents(self) -> Iterator[Any]:
        """What came before it, the nearest first."""
        above: Any = self.parent
        while above is not None:
            yield above
            above = above.parent
