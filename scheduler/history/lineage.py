"""Lineage: which schedule runs belong to, by the ledger: a firing's task, the canvas that it starts, and what those have sent.

A firing's id begins with its fire time, so that it is found by that. The tasks of a canvas have ids that derive from it: those of the canvases of the
last hour are kept here, by what may be their root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ...canvas.own_tasks import START_TASK, started_roots
from .argument_text import Arguments
from .ledger_reader import Fired, LedgerReader
from .task_run import TaskRun

BACK_US = 120_000_000
"""How far the ledger is read again each time: a pass of the beat may be late."""
FIRST_BACK_US = 3_600_000_000
AT_ONCE = 5_000
ROOTS_KEPT = 20_000


class Lineage:
    """Used by one thread. Raises StoreDown."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._roots: dict[str, str] = {}
        self._followed_us: int | None = None

    def follow(self, now_us: int) -> tuple[list[Fired], Mapping[str, str]]:
        """Firings of late, most of which were in the answer before, too; and whose canvases may have which roots, of those that are new."""
        back_us = now_us - FIRST_BACK_US if self._followed_us is None else self._followed_us - BACK_US
        fired = self._ledger.since(back_us, now_us, AT_ONCE)
        self._followed_us = fired[-1].due_us + BACK_US if len(fired) == AT_ONCE else now_us
        canvases = [each for each in fired if each.what.get("subtask_type")]
        roots = {root: each.entry for each in canvases for root in started_roots(each.task_id)}
        new = {root: entry for root, entry in roots.items() if root not in self._roots}
        self._roots |= new
        while len(self._roots) > ROOTS_KEPT:
            del self._roots[next(iter(self._roots))]
        return fired, new

    def named(self, runs: Sequence[TaskRun]) -> list[TaskRun]:
        """The runs, with the names of their schedules where they have one."""
        nameless = [run for run in runs if not run.entry]
        if not nameless:
            return list(runs)
        fired = self._ledger.of_ids({id_ for run in nameless for id_ in (run.id, run.root_id)})
        return [run if run.entry else self._named(run, fired) for run in runs]

    def _named(self, run: TaskRun, fired: Mapping[str, Fired]) -> TaskRun:
        if run.id in fired:
            return with_firing(run, fired[run.id])
        root = fired.get(run.root_id)
        entry = root.entry if root is not None else self._roots.get(run.root_id or run.id, "")
        return replace(run, entry=entry)


def with_firing(run: TaskRun, fired: Fired) -> TaskRun:
    """The run with what its schedule says of it."""
    what, arguments = fired.what, run.arguments
    is_canvas = bool(what.get("subtask_type"))
    if not arguments.is_whole and not is_canvas:
        arguments = Arguments.of_call(what.get("args") or [], what.get("kwargs") or {})
    return replace(
        run,
        entry=fired.entry,
        name=run.name or (START_TASK if is_canvas else str(what.get("task", ""))),
        arguments=arguments,
        due_us=fired.due_us,
        sent_us=run.sent_us or fired.sent_us,
    )
