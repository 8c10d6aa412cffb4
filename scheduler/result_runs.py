"""ResultRuns: which runs are over, by the results that workers wrote, backbeat's or Celery's; the Runs of a beat over an app.

The run of a task is over when its result is ready. A canvas travels as one START_TASK message, whose value names the tasks at
the canvas's end: it is over when those are ready, too, and on a failure they are settled as failed. A task that keeps no result
is never seen to end; its entry's overlap_timeout helps then.

Results are read in a thread of its own, as a result store that hangs must not hold up the loop: an answer that does not come at
once is used when the next question is asked.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Collection, Sequence
from typing import Protocol

from ..canvas.errors import BackbeatError
from ..canvas.outcome import State
from ..canvas.own_tasks import START_TASK, started_roots
from ..canvas.results.base import Results
from ..canvas.results.document import Document

log = logging.getLogger(__name__)

ANSWER_SECONDS = 0.25
"""How long the loop waits for an answer: many times what a store needs that is well."""


class Reader(Protocol):
    """What it needs of an app."""

    @property
    def results(self) -> Results: ...

    def revoke(self, ids: Sequence[str]) -> None: ...


class ResultRuns:
    """Runs over the result backend of an app."""

    def __init__(self, app: Reader, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._app = app
        self._answer_seconds = answer_seconds
        self._questions: queue.SimpleQueue[Sequence[str] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Collection[str]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = False

    def over(self, task_ids: Sequence[str]) -> Collection[str]:
        """Those that are known to be over; asks the store, unless it still owes the answer to the question before."""
        seconds = 0.0 if self._waiting else self._answer_seconds
        if not self._waiting:
            self._ask(task_ids)
        try:
            answer = self._answers.get(block=seconds > 0, timeout=seconds or None)
        except queue.Empty:
            return ()
        self._waiting = False
        return set(answer).intersection(task_ids)

    def revoke(self, task_id: str) -> bool:
        """Revoke a firing's task, or the canvas that it starts. What runs at this moment runs to its end; nothing follows it."""
        try:
            self._app.revoke([task_id, *started_roots(task_id)])
        except BackbeatError as error:
            extra = {"action": "revoke_failed", "id": task_id}
            log.warning("Run %s cannot be revoked now: %s", task_id, error, extra=extra)
            return False
        return True

    def close(self) -> None:
        """Let go of the thread."""
        if self._thread is not None:
            self._questions.put(None)
            self._thread = None

    def _ask(self, task_ids: Sequence[str]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer, name="beat-runs", daemon=True)
            self._thread.start()
        self._waiting = True
        self._questions.put(task_ids)

    def _answer(self) -> None:
        while (task_ids := self._questions.get()) is not None:
            try:
                answer: Collection[str] = self._ended(task_ids)
            except Exception as fault:  # noqa: BLE001 - it must not end this thread: nobody would answer any more
                log.warning("Results cannot be read now: %s", fault, extra={"action": "results_unread"})
                answer = ()
            self._answers.put(answer)

    def _ended(self, task_ids: Sequence[str]) -> set[str]:
        results = self._app.results
        ready = [document for document in results.get(task_ids) if document.ready]
        ends = {document.id: ends_of(document) for document in ready}
        asked = sorted({end for known in ends.values() for end in known})
        settled = {document.id for document in results.get(asked) if document.ready} if asked else set()
        return {task_id for task_id, known in ends.items() if settled.issuperset(known)}


def ends_of(document: Document) -> tuple[str, ...]:
    """The tasks that must be ready, too, before the run whose first result this is counts as over."""
    if document.name != START_TASK or document.state is not State.SUCCESS:
        return ()
    value = json.loads(document.value)
    return (value,) if isinstance(value, str) else tuple(value)
