"""EagerResult: the handle of what was run here and now, see eager.py. It has ended when there is a handle of it, so nobody waits.

It reads the documents of its run as any handle reads those of a store. EagerGroupResult is the same of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from .async_result import AsyncResult
from .errors import ImproperlyConfigured
from .group_result import GroupResult
from .results.base import Results, Trace
from .results.document import Document
from .results.groups import SavedGroups
from .written_handle import handle_of

R_co = TypeVar("R_co", covariant=True)


class EagerResult(AsyncResult[R_co]):
    """The value, or the error, of a task that was run here and now. It is kept also where the task's result is to be ignored."""

    waits: ClassVar[bool] = False

    def __init__(
        self, id: str, app: Any = None, parent: Any = None, ignored: bool = False, sent: bool = True
    ) -> None:
        del ignored, sent  # what was run here is known here
        super().__init__(id, app=app, parent=parent, sent=True)

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"


class EagerGroupResult(GroupResult):
    """The values of a group whose members were run here and now."""

    waits: ClassVar[bool] = False


class EagerResults:
    """What a run left, and for all that it sent elsewhere the app's own results; a Results."""

    def __init__(self, own: Results, others: Callable[[], Results]) -> None:
        self._own = own
        self._others = others

    @property
    def groups(self) -> SavedGroups:
        """The app's own: what is saved is for others."""
        return self._others().groups

    def get(self, ids: Sequence[str]) -> list[Document]:
        documents = self._own.get(ids)
        missing = [document.id for document in documents if not document.ready]
        if not missing:
            return documents
        found = {document.id: document for document in self._others().get(missing)}
        return [found.get(document.id, document) for document in documents]

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        missing = self._missing(ids)
        return not missing or self._others().wait(missing, timeout)

    def trace(self, ids: Sequence[str]) -> list[Trace]:
        missing = self._missing(ids)
        found = dict(zip(missing, self._others().trace(missing) if missing else (), strict=True))
        return [found.get(id_, Trace.SENT) for id_ in ids]

    def forget(self, ids: Sequence[str]) -> None:
        missing = set(self._missing(ids))
        self._own.forget([id_ for id_ in ids if id_ not in missing])
        if missing:
            self._others().forget(sorted(missing))

    def close(self) -> None:
        """Nothing of its own to let go of."""

    def _missing(self, ids: Sequence[str]) -> list[str]:
        return [document.id for document in self._own.get(ids) if not document.ready]


class AtOnce:
    """Tells of what has ended as soon as it is asked; a Watching."""

    def add(
        self,
        views: Sequence[Any],  # noqa: ARG002 - they have ended
        done: Callable[[Exception | None], object],
        *,
        is_lasting: bool = False,  # noqa: ARG002 - nothing is read
    ) -> object:
        done(None)
        return done

    def remove(self, ticket: object) -> None:
        """It was told already."""


class _Ended:
    def cancel(self, *, rest_only: bool = False, signum: int | None = None, was_sent: bool = False) -> None:
        """Nothing of it runs any more."""


class EagerReader:
    """What an eager handle has in place of an app: results to read. A Reader. `backend` is the app's own, where groups are saved."""

    def __init__(self, results: Results, backend: Callable[[], Any]) -> None:
        self.results = results
        self.watch = AtOnce()
        self.is_strict = True
        self._backend = backend

    @property
    def backend(self) -> Any:
        return self._backend()

    def result_from_tuple(self, data: Any, *, sent: bool = False) -> Any:
        """The handle that `as_tuple` wrote down, of what was run here."""
        return handle_of(data, EagerResult, EagerGroupResult, self, sent)

    def revoke(
        self, ids: str | Sequence[str], terminate: bool = False, signal: str | int = "SIGTERM"
    ) -> None:
        """It has ended, so there is nothing to be revoked."""

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any] | Sequence[str],
        terminate: bool = False,  # noqa: ARG002 - see below
        signal: str | int = "SIGTERM",  # noqa: ARG002 - likewise
    ) -> None:
        """Raise ImproperlyConfigured: it would be for others than this task, of which this handle knows nothing."""
        raise ImproperlyConfigured(
            f"{headers!r:.80}: a handle of what was run here revokes nothing: use app.revoke_by_stamped_headers"
        )

    def canvas(self, id: str, near: Sequence[str] = ()) -> _Ended:  # noqa: ARG002 - likewise
        """It has ended, so there is nothing to be cancelled."""
        return _Ended()
