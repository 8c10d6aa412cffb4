"""Assignments: which child of a pool has which job, and what is to be reported of them. It is told by the brood what children say and that they are gone.

A child that runs one job at a time may be given more jobs, which wait behind the one that it runs (turnstile.py); until they start they can be taken back.

A child that has run its number of jobs, or that says that it has grown too large, is retired: it gets no more jobs, its successor is born at
once, and it ends when what it has is reported. More jobs than slots never run side by side, however many children there are meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from ..json_text import Json
from .base import Ended, Job, Lost, Report, Requeue, Told, Unstarted
from .brood import Brood
from .leaving import ANSWER_SECONDS, Leaving
from .line import Line
from .nursery import StartMethod
from .openings import Openings, QueuedOpenings, SharedOpenings
from .pipe import report_of
from .runner import ChildSpec

logger = logging.getLogger(__name__)


class Assignments:
    """Of `size` children (brood.Keeper). A job that is to be ended where others share its process has `terminate_seconds`."""

    def __init__(
        self,
        size: int,
        spec: ChildSpec,
        method: StartMethod,
        *,
        spare: bool,
        max_tasks: int | None,
        terminate_seconds: float,
    ) -> None:
        self._can_cancel = spec.kind.can_cancel
        self._slots = spec.slots
        self._max_tasks = max_tasks
        self._terminate_seconds = terminate_seconds
        self.busy: dict[str, Line] = {}
        """By key, the child that has the job."""
        self.alone: deque[Job] = deque()
        """Jobs that wait for a child without any."""
        self.reports: list[Report] = []
        self.told: dict[str, Told] = {}
        """By key, what jobs say of themselves."""
        self.stopping = False
        """A child ends as soon as it has no job."""
        self.brood = Brood(size, spec, method, self, spare=spare)
        self._send = self.brood.say if spec.kind.is_shared else self.brood.give
        self._leaving = Leaving(self.brood.nudge_in)
        openings = SharedOpenings if spec.kind.is_shared else QueuedOpenings
        self.openings: Openings = openings(
            self.brood.lines, slots=spec.slots, total=size * spec.slots, max_tasks=max_tasks
        )

    def resize(self, *, slots: int, total: int) -> None:
        """So many run side by side in each child and in all of them from now on."""
        self._slots = slots
        self.openings.resize(slots=slots, total=total)

    # --- giving and taking back ----------------------------------------------------------------------------------------------

    def enter(self, line: Line, job: Job) -> None:
        line.jobs[job.key] = time.monotonic() if len(line.jobs) < self._slots else None
        line.given += 1
        self.busy[job.key] = line
        if job.alone or line.given == self._max_tasks:
            self.brood.retire(line)  # now, so that its successor gets ready while this job runs
        self.changed(line)

    def give(self, line: Line, jobs: Sequence[Job]) -> None:
        """Send jobs that were entered."""
        self._send(line, [[job.key, job.raw, job.queue] for job in jobs])

    def give_alone(self) -> None:
        """Each to a child without jobs; where there is none, one is retired, so that it is followed by one that has none."""
        for line in self.openings:
            if not self.alone:
                return
            if line.jobs:
                self.brood.retire(line)
            else:
                job = self.alone.popleft()
                self.enter(line, job)
                self.give(line, [job])

    def take_back(self, line: Line, *, whole: bool = False) -> None:
        keys = line.take_back(whole=whole)
        if keys:
            self._back(keys)
            self._has_less(line)

    def forget_alone(self, key: str) -> None:
        """It is ended before a child had it."""
        for job in [job for job in self.alone if job.key == key]:
            self.alone.remove(job)
            self.reports.append(Lost(key, "it was ended before it began"))
            self.brood.nudge()

    def heard(self, line: Line, note: list[Any]) -> None:
        match note:
            case ["full", int(kib)]:
                extra = {"action": "pool_child_full", "kib": kib}
                logger.info("child %s has %s KiB, and is replaced", line.pid, f"{kib:,}", extra=extra)
                self.brood.retire(line)
                if not line.doomed:
                    self.take_back(line)
            case ["dropped", str(key)]:
                self.brood.answered(line)
                if key in line.leaving:
                    self._leaving.expect(line, key, self._terminate_seconds)
                self.changed(line)
            case ["left", str(key)]:
                line.haunted -= 1
                line.leaving.pop(key, None)
                if not line.haunted:
                    self._has_less(line)
            case ["told", str(key), str(state), str(value)]:
                if key in line.jobs:
                    self.told[key] = Told(key, state, Json(value))
            case _:
                self._report(line, report_of(note))

    def changed(self, line: Line) -> None:
        self.openings.look_at(line)
        if self.alone:
            self.give_alone()

    def let_go(self, line: Line) -> None:
        self.brood.retire(line)
        if not line.doomed:
            self.take_back(line)
        if not line.jobs and not line.doomed:
            self.brood.dismiss(line)

    def gone(self, line: Line, reason: str) -> None:
        self._back(line.take_back())
        count = len(line.jobs) + line.haunted
        shared = count > 1 and not line.doomed
        if shared and line.unanswered:
            reason += "; a job of the same process was ended, and the process did not answer"
        elif shared:
            reason += f"; the process ran {count} jobs, and which of them ended it is not known"
        for key in line.jobs:
            del self.busy[key]
            self.reports.append(Lost(key, reason, shared=shared))
        line.jobs.clear()

    def _report(self, line: Line, report: Ended | Requeue) -> None:
        if report.key not in line.jobs:
            return  # it was reported as lost
        self.reports.append(report)
        del self.busy[report.key]
        line.ended(report.key)
        self._has_less(line)

    def _back(self, keys: Sequence[str]) -> None:
        for key in reversed(keys):  # who puts each before what it holds has them in their order
            del self.busy[key]
            self.reports.append(Unstarted(key))
        if keys:
            self.brood.nudge()

    def _has_less(self, line: Line) -> None:
        """It has fewer jobs than before: what becomes of it."""
        if line.jobs or not (line.retired or self.stopping):
            self.changed(line)
        elif line.orphan:
            self.brood.forget(line)
        elif line.doomed:
            line.end()  # it may be too large, and wait for this alone
        else:
            self.brood.dismiss(line)

    # --- ending a job of a process that others share -------------------------------------------------------------------------

    def abandon(self, line: Line, key: str) -> None:
        """End a job of a process that it shares, and report it now."""
        del self.busy[key]
        del line.jobs[key]
        line.haunted += 1
        how = ", and the process in which its thread ran is replaced"
        self.reports.append(Lost(key, f"it was ended{'' if self._can_cancel else how}"))
        self.brood.nudge()
        if self._can_cancel:
            self._leaving.expect(line, key, ANSWER_SECONDS)
        else:
            self.brood.retire(line)
        if line.jobs or self._can_cancel:
            self.brood.say(line, [["drop", key]])
            self.brood.end_unless_it_answers(line, self._terminate_seconds)
            self.changed(line)
        else:
            self.brood.end(line)

    def replace_stuck(self) -> None:
        """Those of which a job was ended, and goes on."""
        for line in self._leaving.stuck(list(self.brood.lines.values())):
            self._replace(line)

    def _replace(self, line: Line) -> None:
        extra = {"action": "pool_child_stuck"}
        text = "a job of child %s was ended and goes on, so the process is replaced"
        logger.warning(text, line.pid, extra=extra)
        self.brood.retire(line)
        if not line.jobs:
            self.brood.end(line)
