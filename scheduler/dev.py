"""Dev: beat and one worker in one process, and what they do as lines on a terminal. The whole product without a server."""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

from ..canvas.built_in import BUILT_IN
from ..canvas.commit.taken import Taken
from ..canvas.commit.transition import Transition
from ..canvas.effect import Settle
from ..canvas.message import Message
from ..canvas.outcome import Failure, Ignored, Outcome, Rejected, Retry, Revoked, Success
from ..canvas.own_tasks import START_TASK
from ..canvas.worker.worker import Worker
from .beat import Beat
from .beat_thread import running_beat
from .firing import Firing
from .leader import Term
from .skip import Skip
from .work_words import work_text

_COLOURS = {
    "fired": "36",
    "done": "32",
    "workflow": "35",
    "failed": "31",
    "lost": "31",
    "retry": "33",
    "skipped": "33",
    "late": "33",
    "doubtful": "31",
}
_WIDTH = 160


class Display:
    """Shows firings, ends of tasks and results of workflows, live; listens to a beat and to a worker. Thread-safe."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._colour = out.isatty()
        self._workflows: dict[str, str] = {}
        self._lateness: list[float] = []
        self.counts = {"fired": 0, "done": 0, "failed": 0, "workflows": 0, "workflows failed": 0}

    # --- the beat ------------------------------------------------------------------------------------------------------------

    def fired(self, firing: Firing, lateness_us: int) -> None:
        self._lateness.append(lateness_us / 1000)
        due = datetime.fromtimestamp(firing.due_us / 1_000_000).astimezone()
        what = work_text(firing.payload)
        text = f"{firing.entry}  {what}  due {due:%H:%M:%S%z}  {lateness_us / 1000:.0f} ms late"
        self._line("fired", text, count="fired")

    def late(self, firing: Firing, lateness_us: int) -> None:
        self._line("late", f"{firing.entry}  sent {lateness_us / 1_000_000:.1f} s late")

    def failed(self, firing: Firing, reason: str) -> None:
        self._line("failed", f"{firing.entry}  cannot be sent: {reason}", count="failed")

    def doubtful(self, firing: Firing) -> None:
        self._line("doubtful", f"{firing.entry}  {firing.task_id}: nobody knows whether it was sent")

    def quarantined(self, entry: str, fault: str) -> None:
        self._line("refused", f"{entry} waits until it is edited: {fault}")

    def clock_stepped(self, seconds: float) -> None:
        self._line("clock", f"the wall clock was set by {seconds:+.1f} s")

    def skipped(self, skip: Skip) -> None:
        self._line("skipped", f"{skip.entry}  {skip.count} fire times ({skip.reason.value})")

    def leading(self, term: Term) -> None:
        self._line("leading", f"epoch {term.epoch}")

    def standby(self) -> None:
        self._line("standby", "this beat does not lead (any more)")

    def reloaded(self, changes: int) -> None:
        self._line("reloaded", f"{changes} schedules are new or different")

    def reload_refused(self, problems: Sequence[str]) -> None:
        for problem in problems:
            self._line("refused", problem)

    # --- both ----------------------------------------------------------------------------------------------------------------

    def passed(self, busy: int = 0, fault: str = "", *, leads: bool = True) -> None:
        """Nothing to show."""

    # --- the worker ----------------------------------------------------------------------------------------------------------

    def ready(self) -> None:
        self._line("ready", "the worker takes tasks")

    def started(self, message: Message) -> None:
        """Shown when it ends."""

    def lost(self, taken: Taken, reason: str) -> None:
        name = taken.message.task if taken.message else "a task"
        self._line("lost", f"{name}: its process died ({reason}); it runs again")

    def applied(self, transition: Transition, seconds: float | None) -> None:
        message, outcome = transition.message, transition.outcome
        if message is not None and message.task == START_TASK and isinstance(outcome, Success):
            name = str(message.headers.get("periodic_task_name", "workflow"))
            ends = json.loads(outcome.value)
            self._workflows |= dict.fromkeys([ends] if isinstance(ends, str) else ends, name)
        elif message is not None and outcome is not None and message.task not in BUILT_IN:
            self._ended(message, outcome, seconds)
        for effect in transition.effects:
            if isinstance(effect, Settle):
                self._workflow_ended(effect.id, effect.outcome)

    def _ended(self, message: Message, outcome: Outcome, seconds: float | None) -> None:
        took = "" if seconds is None else f"  {seconds * 1000:.0f} ms"
        match outcome:
            case Success(value=value):
                self._line("done", f"{message.task}{took}  {value}", count="done")
            case Retry(error=error):
                self._line("retry", f"{message.task}  {error.text if error else ''}")
            case Failure(error=error):
                self._line("failed", f"{message.task}{took}  {error.type}: {error.text}", count="failed")
            case Revoked(reason=reason) | Rejected(reason=reason):
                self._line("failed", f"{message.task}  {reason}", count="failed")
            case Ignored():
                self._line("done", f"{message.task}{took}  ignored", count="done")
        if not isinstance(outcome, Retry):
            self._workflow_ended(message.id, outcome)

    def _workflow_ended(self, id_: str, outcome: Outcome) -> None:
        name = self._workflows.pop(id_, None)
        match outcome:
            case _ if name is None:
                return
            case Success(value=value):
                self._line("workflow", f"{name} finished: {value}", count="workflows")
            case Failure(error=error):
                self._line("workflow", f"{name} failed: {error.type}: {error.text}", count="workflows failed")
            case _:
                self._line("workflow", f"{name} ended: {type(outcome).__name__}", count="workflows failed")

    # --- showing -------------------------------------------------------------------------------------------------------------

    def summary(self) -> str:
        """What happened, in one line."""
        late = (
            f", lateness p50 {statistics.median(self._lateness):.0f} ms, max {max(self._lateness):.0f} ms"
            if self._lateness
            else ""
        )
        return ", ".join(f"{number} {name}" for name, number in self.counts.items()) + late

    def _line(self, kind: str, text: str, count: str | None = None) -> None:
        stamp = f"{datetime.now().astimezone():%H:%M:%S.%f}"[:-3]
        text = text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
        label = f"{kind:<9}"
        if self._colour and kind in _COLOURS:
            label = f"\x1b[{_COLOURS[kind]}m{label}\x1b[0m"
        with self._lock, contextlib.suppress(BrokenPipeError):  # nobody looks any more: work goes on
            if count is not None:
                self.counts[count] += 1
            print(f"{stamp}  {label}{text}", file=self._out, flush=True)


def run_both(beat: Beat, worker: Worker, seconds: float | None) -> None:
    """Run both until the worker is stopped, or for `seconds`; the beat in a thread of its own."""
    timer = None if seconds is None else threading.Timer(seconds, worker.stop)
    with running_beat(beat, worker.stop):
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            worker.run()
        finally:
            if timer is not None:
                timer.cancel()
