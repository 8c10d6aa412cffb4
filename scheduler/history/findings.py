"""Findings: what the result backend knows of runs: how they came out, and arguments and values in full, which events only show.

A run that has ended is looked for once, at once. One that has not is looked for after 2 s, and then ever more rarely, until its result would be gone: so
runs of a fleet that tells nothing, and runs of which an event was lost, end here, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from ...canvas.errors import BackbeatError
from ...canvas.results.document import Document
from ..result_runs import ends_of
from .task_run import TaskRun, after_result, after_start

log = logging.getLogger(__name__)

FIRST_LOOK_US = 2_000_000
LAST_LOOK_US = 600_000_000
"""Pauses between looks: half of a run's age, between these."""


class Findings:
    """`lookup` gives the documents of ids; None: there is no result backend. `results_seconds` is how long results are kept."""

    def __init__(
        self, lookup: Callable[[Sequence[str]], Sequence[Document]] | None, results_seconds: float
    ) -> None:
        self._lookup = lookup
        self._results_us = round(results_seconds * 1_000_000)

    def completed(self, runs: Sequence[TaskRun], now_us: int) -> list[TaskRun]:
        """Runs that an event has told of, with what is known in full of those that have ended."""
        documents = self._documents([run.id for run in runs if run.has_ended])
        seen = [after_result(run, documents[run.id]) if run.id in documents else run for run in runs]
        return self.awaited(seen, now_us)

    def looked(self, runs: Sequence[TaskRun], now_us: int) -> list[TaskRun]:
        """Runs whose time has come, after a look for their results."""
        documents = self._documents([run.id for run in runs])
        ends = sorted({end for each in documents.values() if each.ready for end in ends_of(each)})
        documents = {**self._documents(ends), **documents}
        return self.awaited([_looked(run, documents) for run in runs], now_us)

    def awaited(self, runs: Sequence[TaskRun], now_us: int) -> list[TaskRun]:
        """Runs with the time at which they are looked for next."""
        return [replace(run, look_us=self._next_look(run, now_us)) for run in runs]

    def _next_look(self, run: TaskRun, now_us: int) -> int | None:
        age_us = now_us - run.at_us
        if run.has_ended or self._lookup is None or age_us > self._results_us:
            return None
        return now_us + min(max(age_us // 2, FIRST_LOOK_US), LAST_LOOK_US)

    def _documents(self, ids: Sequence[str]) -> Mapping[str, Document]:
        """Of those of which something is known; none where the backend cannot be asked now."""
        if not ids or self._lookup is None:
            return {}
        try:
            found = self._lookup(ids)
        except BackbeatError as fault:
            log.debug("Results are not looked for now: %s", fault, extra={"action": "history_waits"})
            return {}
        return {each.id: each for each in found if each.name or each.ready or str(each.state) != "PENDING"}


def _looked(run: TaskRun, documents: Mapping[str, Document]) -> TaskRun:
    """The start of a canvas goes on until the ends of the canvas are there."""
    document = documents.get(run.id)
    if document is None:
        return run
    ends = ends_of(document) if document.ready else ()
    if not ends:
        return after_result(run, document)
    return after_start(run, document, [documents.get(end) for end in ends])
