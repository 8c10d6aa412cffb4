"""Recorder: keeps the history: it hears what workers tell of tasks, follows the ledger, and looks for results. One of many, by a lease.

Theory of operation. Every process that may record runs a Recorder; the one that holds the lease "recorder" works, in turns:

    hear     events of tasks, together as they come; each adds to the row of its task (task_run.py). What ended is completed at once from the
             result backend (findings.py).
    follow   new lines of the ledger (lineage.py), so that a firing is in the history when it is sent, whoever runs it, and runs have their
             schedule's name.
    look     for the results of runs that nobody has told the end of: fleets without -E, events that were lost.
    prune    what is older than the retention, or more than that many.

Writing is idempotent, so that two recorders for a moment, or events that come twice, do no harm. While nobody listens events are kept by
RabbitMQ alone; elsewhere the span is noted as a gap, which is shown with the history.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from ...canvas.errors import BackbeatError, Unavailable
from ...canvas.events.base import Event, EventSource
from ...canvas.patience import Patience
from ..leader import Elector
from ..store.base import StoreDown
from .findings import Findings
from .gap import Gap
from .history import SqlHistory
from .lineage import Lineage, with_firing
from .task_run import TaskRun, after_event, id_of, is_told

log = logging.getLogger(__name__)

TURN_SECONDS = 0.25
"""How long one turn waits for events: a stop is noticed by then."""
FOLLOW_SECONDS = 1.0
PRUNE_SECONDS = 60.0
HEARD_SECONDS = 1.0
"""How often it is written down that somebody listens, while there is nothing to write."""
LOOK_AT_ONCE = 500
SHORT_GAP_US = 2_000_000
"""A shorter one is the hand-over between two recorders, which heard all of it."""
UNHEARD = "nobody recorded events, and this broker does not keep them"
DAY_US = 86_400_000_000


class Retention(Struct, frozen=True, kw_only=True):
    """What is kept: at most so many runs, for so many days."""

    days: float = 30.0
    runs: int = 100_000


class Recorder:
    """Runs in a thread of its own between `start` and `close`. `told` hears of rows that were written, from that thread.

    `open_source` None: the broker carries no events.
    """

    def __init__(
        self,
        history: SqlHistory,
        lineage: Lineage,
        findings: Findings,
        elector: Elector,
        open_source: Callable[[], EventSource] | None,
        *,
        retention: Retention,
        told: Callable[[Sequence[TaskRun]], None] = lambda _runs: None,
    ) -> None:
        self._history = history
        self._lineage = lineage
        self._findings = findings
        self._elector = elector
        self._open_source = open_source
        self._retention = retention
        self._told = told
        self._source: EventSource | None = None
        self._follow_at = self._prune_at = self._heard_at = 0.0
        self._patience = Patience()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="backbeat-recorder", daemon=True)
        self.records = False
        """Whether this one holds the lease."""
        self.recorded = 0
        """Rows written."""

    @property
    def listens(self) -> bool:
        """Whether it hears what workers tell from now on."""
        return self._source is not None

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Finish the turn, leave the lease to whoever comes."""
        self._stopped.set()
        self._thread.join(10.0)

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                self._turn()
            except (BackbeatError, StoreDown) as fault:
                pause, is_told = self._patience.next()
                level = logging.WARNING if is_told else logging.DEBUG
                log.log(level, "The history waits: %s", fault, extra={"action": "history_waits"})
                self._stopped.wait(pause)
            except Exception:
                log.exception("The history is not kept for a moment", extra={"action": "history_failed"})
                self._stopped.wait(1.0)
        self._leave()

    def _turn(self) -> None:
        """A moment's work, or a moment's wait for the lease."""
        if self._elector.hold() is None:
            self._let_go()
            self._stopped.wait(min(1.0, max(0.05, self._elector.next_look())))
            return
        self.records = True
        self._keep(self._hear())
        now = time.monotonic()
        if now >= self._follow_at:
            self._follow_at = now + FOLLOW_SECONDS
            self._follow()
            self._look()
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_SECONDS
            self._history.prune(_now_us() - round(self._retention.days * DAY_US), self._retention.runs)
        self._patience.reset()

    def _hear(self) -> Sequence[Event]:
        if self._source is not None:
            try:
                return self._source.take(TURN_SECONDS)
            except Unavailable:
                self._let_go()
                raise
        if self._open_source is None:
            self._stopped.wait(TURN_SECONDS)
            return ()
        source = self._open_source()
        try:
            events = source.take(0.0)
        except Unavailable:
            source.close()
            raise
        self._note_gap(source)
        self._source = source
        return events

    def _note_gap(self, source: EventSource) -> None:
        """Between the last event that was kept and now, if nobody kept them for us."""
        heard_us, now_us = self._history.heard_us(), _now_us()
        if heard_us is not None and now_us - heard_us > SHORT_GAP_US and not source.lasting:
            self._history.note_gap(Gap(heard_us, now_us, UNHEARD))

    def _keep(self, events: Iterable[Event]) -> None:
        """Add events to the rows of their tasks."""
        now_us, told = _now_us(), [event for event in events if is_told(event)]
        known = self._history.known(map(id_of, told)) if told else {}
        runs = dict(known)
        for event in told:
            id_ = id_of(event)
            runs[id_] = after_event(runs.get(id_), event, now_us)
        changed = [run for id_, run in runs.items() if run != known.get(id_)]
        self._write(self._lineage.named(self._findings.completed(changed, now_us)), known, now_us)

    def _follow(self) -> None:
        """New lines of the ledger."""
        now_us = _now_us()
        fired, roots = self._lineage.follow(now_us)
        known = self._history.known(each.task_id for each in fired)
        runs = []
        for each in fired:
            run = known.get(each.task_id)
            if run is None and each.sent_us is not None:
                run = TaskRun(id=each.task_id, at_us=each.sent_us)
            if run is not None and not run.entry:
                runs.append(with_firing(run, each))
        self._write(self._findings.awaited(runs, now_us), known, now_us)
        self._history.claim(roots)  # what a canvas has sent may have been heard of before

    def _look(self) -> None:
        """Results of runs whose time has come."""
        now_us = _now_us()
        runs = self._history.to_look_at(now_us, LOOK_AT_ONCE)
        if runs:
            seen = self._lineage.named(self._findings.looked(runs, now_us))
            self._write(seen, [run.id for run in runs], now_us)

    def _write(self, runs: Sequence[TaskRun], known: Iterable[str], heard_us: int) -> None:
        """Rows, and now and then that events were heard until now, if they were."""
        now = time.monotonic()
        tells = self._source is not None and (bool(runs) or now >= self._heard_at)
        if runs or tells:
            self._history.put(runs, known, heard_us if tells else None)
        if tells:
            self._heard_at = now + HEARD_SECONDS
        self.recorded += len(runs)
        if runs:
            self._told(runs)

    def _let_go(self) -> None:
        self.records = False
        if self._source is not None:
            source, self._source = self._source, None
            source.close()

    def _leave(self) -> None:
        try:
            if self._source is not None:
                self._keep(self._source.take(0.0))
                self._source.take(0.0)  # it is done with those
        except (BackbeatError, StoreDown) as fault:
            log.debug("The last events were not kept: %s", fault, extra={"action": "history_waits"})
        self._let_go()
        self._elector.release()
        self._history.close()


def _now_us() -> int:
    return time.time_ns() // 1000
