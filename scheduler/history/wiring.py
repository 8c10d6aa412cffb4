"""Wiring of the history: from an app and the address of a store to a Recorder, and to what reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ...canvas.app import App
from ...canvas.holder import LocalProcesses
from ...canvas.places import store_url as results_url
from ...canvas.remote.wiring import carries, open_event_source
from ...canvas.wiring import expires_seconds
from ..clock import SystemClock
from ..errors import ScheduleError
from ..leader import Elector
from ..store.engine import open_engine
from ..store.lease_row import SqlLeaseRow
from .findings import Findings
from .history import SqlHistory
from .ledger_reader import LedgerReader
from .lineage import Lineage
from .recorder import Recorder, Retention
from .task_run import TaskRun

LEASE = "recorder"
TTL_SECONDS = 10.0


def open_history(store_url: str) -> SqlHistory:
    """The history in a store. Raises ScheduleError for a store that only its own process can see."""
    check_lasting(store_url)
    return SqlHistory(open_engine(store_url))


def open_recorder(
    app: App, store_url: str, told: Callable[[Sequence[TaskRun]], None] = lambda _runs: None
) -> Recorder:
    """What keeps it, not started. Its queue on the broker is called by the cluster, as each cluster has a history of its own."""
    check_lasting(store_url)
    engine, me = open_engine(store_url), LocalProcesses()
    days = float(app.conf.history_max_days)
    return Recorder(
        SqlHistory(engine),
        Lineage(LedgerReader(engine)),
        Findings(
            app.results.get if results_url(app.conf) is not None else None,
            expires_seconds(app.conf) or days * 86_400,
        ),
        Elector(SqlLeaseRow(engine, LEASE), SystemClock(), me.myself(), me, ttl_seconds=TTL_SECONDS),
        (lambda: open_event_source(app.conf, f"history.{app.cluster}")) if carries(app.conf) else None,
        retention=Retention(days=days, runs=int(app.conf.history_max_runs)),
        told=told,
    )


@contextmanager
def recording(app: App, store_url: str, *, wanted: bool = True) -> Iterator[None]:
    """Keep the history meanwhile, if that is wanted. Raises ScheduleError where there can be none."""
    if not wanted:
        yield
        return
    recorder = open_recorder(app, store_url)
    recorder.start()
    try:
        yield
    finally:
        recorder.close()


def check_lasting(store_url: str) -> None:
    """Raises ScheduleError where there can be no history."""
    if store_url.startswith("memory:"):
        raise ScheduleError(
            "a store in memory keeps no history: name a database with --store sqlite:///backbeat.db, postgresql:// or mysql://"
        )
