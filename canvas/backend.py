"""Backend: the result backend of an app as Celery's code knows it: `app.backend`. It keeps nothing; all is in the store (results/base.py).

What is stored by hand is an outcome like any other (decisions K2): it is stored once, and what stands is never overwritten.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from .by_hand import outcome_by_hand
from .commit.base import Commit
from .commit.transition import Transition
from .effect import Settle
from .errors import ImproperlyConfigured
from .meta import meta_of
from .outcome import State
from .result import GroupResult, result_from_tuple
from .results.base import Results
from .results.document import Document
from .results.groups import not_a_group, text_of, written_of
from .url_text import without_password
from .value import identity


class Backend:
    """`app` is what its handles read by. `url` gives that of the result store; None where there is none."""

    supports_native_join = True

    def __init__(
        self,
        app: Any,
        results: Callable[[], Results],
        client: Callable[[], AbstractContextManager[Commit]],
        url: Callable[[], str | None],
    ) -> None:
        self.app = app
        self._results = results
        self._client = client
        self._url = url

    # --- reading -------------------------------------------------------------------------------------------------------------

    def get_task_meta(self, task_id: str | UUID) -> dict[str, Any]:
        """What is known of a task: a map of status, result, traceback, children, date_done and more (see meta.py)."""
        return meta_of(self._document(task_id))

    def get_state(self, task_id: str | UUID) -> str:
        """Celery's state name; PENDING for what is not known."""
        return str(self._document(task_id).state)

    get_status = get_state

    def get_result(self, task_id: str | UUID) -> Any:
        """The value, or the exception; None if there is none yet."""
        return self.get_task_meta(task_id)["result"]

    def get_traceback(self, task_id: str | UUID) -> str | None:
        return self._document(task_id).traceback

    def get_children(self, task_id: str | UUID) -> list[Any]:
        """Handles of what it led to."""
        return [result_from_tuple(child, self.app) for child in self.get_task_meta(task_id)["children"]]

    def forget(self, task_id: str | UUID) -> None:
        """Delete its result."""
        self._results().forget([identity("a task's id", task_id)])

    def _document(self, task_id: str | UUID) -> Document:
        return self._results().get([identity("a task's id", task_id)])[0]

    # --- storing by hand -----------------------------------------------------------------------------------------------------

    def store_result(
        self,
        task_id: str | UUID,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,  # noqa: ARG002 - Celery's argument; what is known of the task's run stays known
    ) -> Any:
        """Store by hand how a task ended, unless it has ended: SUCCESS with its value, FAILURE with an exception, REVOKED, REJECTED, IGNORED.

        Whoever waits for it is told. If its message comes to a worker afterwards it does not run, and what depends on it goes on from
        this. Returns `result`. Raises ImproperlyConfigured for a state that is no ending, EncodeError for a value that JSON cannot hold.
        """
        id_ = identity("a task's id", task_id)
        self.ensure_chords_allowed()
        settled = Settle(id_, outcome_by_hand(id_, result, state, traceback), attempt=None)
        with self._client() as client:
            client.exchange([Transition(effects=(settled,))])
        return result

    def mark_as_done(self, task_id: str | UUID, result: Any, request: Any = None) -> None:
        """As `store_result` with SUCCESS."""
        self.store_result(task_id, result, State.SUCCESS, request=request)

    def mark_as_failure(
        self, task_id: str | UUID, exc: BaseException, traceback: Any = None, request: Any = None
    ) -> None:
        """As `store_result` with FAILURE."""
        self.store_result(task_id, exc, State.FAILURE, traceback, request)

    def mark_as_revoked(self, task_id: str | UUID, reason: str = "", request: Any = None) -> None:
        """As `store_result` with REVOKED. To keep a task from being run use `app.revoke`."""
        self.store_result(task_id, reason, State.REVOKED, request=request)

    # --- groups --------------------------------------------------------------------------------------------------------------

    def save_group(self, group_id: str | UUID, result: GroupResult) -> GroupResult:
        """See `GroupResult.save`."""
        id_ = identity("a group's id", group_id)
        text, is_short = text_of(id_, result.as_tuple())
        self._results().groups.save(id_, text, is_short=is_short)
        return result

    def restore_group(self, group_id: str | UUID) -> GroupResult | None:
        """See `GroupResult.restore`. Raises DecodeError if something else lies there."""
        id_ = identity("a group's id", group_id)
        text = self._results().groups.load(id_)
        if text is None:
            return None
        try:
            found = result_from_tuple(written_of(id_, text), self.app)
        except TypeError as error:
            raise not_a_group(id_, str(error)) from error
        if not isinstance(found, GroupResult):
            raise not_a_group(id_, "it has no members")
        return found

    def delete_group(self, group_id: str | UUID) -> None:
        """See `GroupResult.delete`."""
        self._results().groups.delete(identity("a group's id", group_id))

    # --- what it is ------------------------------------------------------------------------------------------------------------

    def ensure_chords_allowed(self) -> None:
        """Raise ImproperlyConfigured where there is no store, so that there can be no chords and nothing can be stored."""
        if self._url() is None:
            raise ImproperlyConfigured(
                "there is no result store (none is configured, or rpc://), which chords and stored results need. "
                "Write App(backend='redis://...') or postgresql://."
            )

    def as_uri(self, include_password: bool = False) -> str:
        """The URL of the store; a password in it as ** unless that is to be shown, too."""
        url = self._url() or str(self.app.conf.result_backend or "disabled://")
        return url if include_password else without_password(url)
