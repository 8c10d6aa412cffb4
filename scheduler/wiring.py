"""Wiring of a beat: from an app and a few options to a Beat that is ready to run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..canvas.app import App
from ..canvas.holder import LocalProcesses
from ..canvas.message import CONTROL_QUEUE
from ..canvas.places import Kind, broker_url, kind_of
from ..canvas.places import store_url as results_url
from ..canvas.webhook.post import Answer, ping, post
from ..canvas.webhook_tasks import policy_of
from ..canvas.wiring import keyring_of, open_broker
from .alarm import ABSENT_SECONDS, Alarm
from .app_source import read_app
from .beat import Beat
from .clock import SystemClock
from .clock_guard import ClockGuard
from .courier import Courier
from .enclosure import enclosure_of
from .entry import Entry, Overlap, is_canvas
from .errand import Errands
from .errors import ScheduleError
from .installed import installed_version
from .leader import TTL_SECONDS, Elector
from .listener import Listener
from .notice import PING, Notice
from .outlet import BrokerOutlet
from .result_runs import ResultRuns
from .roster import NO_RUNS
from .sender import ThreadSender
from .source import FilesSource, in_thread
from .store.base import Store
from .store.registry_wiring import deliveries_of, registry_of
from .store.wiring import BeatStore, open_for_beat, set_damaged_aside
from .succession import Succession
from .vitals import Vitals
from .watched_lease import WatchedLease
from .watched_outlet import WatchedOutlet

log = logging.getLogger(__name__)

DEFAULT_FILE = Path("schedules.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatOptions:
    """What a beat is started with; `store` None means BACKBEAT_STORE, or a default (see `store_url`).

    `reads_app` False: no project was named, so that what the store has of it stays.
    """

    files: Sequence[Path] = ()
    store: str | None = None
    cluster: str | None = None
    lease_ttl_seconds: float = TTL_SECONDS
    reads_app: bool = True
    accept_state_loss: bool = False


@dataclass(frozen=True, slots=True)
class OpenBeat:
    """A beat with what belongs to it."""

    beat: Beat
    source: FilesSource
    store: BeatStore
    outlet: BrokerOutlet
    runs: ResultRuns | None
    courier: Courier

    def close(self) -> None:
        """Let go of connections; one that a hanging publish still holds ends with the process."""
        self.courier.close()
        if self.runs is not None:
            self.runs.close()
        if not self.beat.publishing:
            self.outlet.close()
        self.store.close()


def store_url(app: App, given: str | None) -> str:
    """Where a beat keeps its ledger: as given; else in the broker's database if that is SQL; else in a SQLite file."""
    chosen = given or os.environ.get("BACKBEAT_STORE")
    if chosen:
        return chosen
    broker = broker_url(app.conf)
    if kind_of(broker) is Kind.SQL:
        return broker.removeprefix("sqla+").removeprefix("db+")
    # systemd gives the directory to a unit with StateDirectory=
    directory = os.environ.get("STATE_DIRECTORY", ".").split(":")[0]
    return f"sqlite:///{Path(directory) / 'backbeat.db'}"


def open_beat(app: App, options: BeatOptions, listener: Listener, vitals: Vitals | None = None) -> OpenBeat:
    """A beat over the app's broker. The `vitals` are told of the lease and of the broker, beside what the listener hears.

    Raises ScheduleError for files with errors, StoreRefused and ImproperlyConfigured for addresses that cannot work.
    """
    app_entries = read_app(app) if options.reads_app else None
    taken = {entry.name: entry.source for entry in app_entries or ()}
    source = FilesSource(
        options.files,
        refused=listener.reload_refused,
        taken=taken,
        start=in_thread,
        ready=lambda: beat.wake(),  # noqa: PLW0108 - it is made below
    )
    source.read()
    if app.conf.canvas_wire != "celery":
        _tell_of_workflows([*source.entries, *(app_entries or ())])
    runs = _runs_of(app, [*source.entries, *(app_entries or ())])
    url = store_url(app, options.store)
    cluster = options.cluster or app.cluster
    if options.accept_state_loss:
        set_damaged_aside(url)
    opened = open_for_beat(url, cluster=cluster, lease_ttl_seconds=options.lease_ttl_seconds)
    store, processes = opened.store, LocalProcesses()
    clock = ClockGuard(SystemClock(), store.witness_us, listener.clock_stepped)
    vitals, me = vitals or Vitals(), processes.myself()
    succession = Succession(
        source, opened.serials, clock, str(me), leads=lambda: beat.leads, refused=listener.reload_refused
    )
    elector = Elector(
        WatchedLease(store, vitals),
        clock,
        me,
        processes,
        ttl_seconds=options.lease_ttl_seconds,
        end_frozen=url.startswith("sqlite"),
        hint=opened.hint,
        sessions=opened.sessions,
        fit=lambda: clock.fit() and succession.is_willing(),
        version=installed_version(),
    )
    keyring = keyring_of(app.conf)
    outlet = BrokerOutlet(
        open_broker(app.conf),
        app,
        cluster=cluster,
        store_id=store.store_id(),
        keyring=keyring,
        enclosure=enclosure_of(store, url, broker_url(app.conf), keyring),
    )
    alarm = None
    if app.conf.webhook_url:
        # a leader that lives renews its lease several times in this
        absent = max(ABSENT_SECONDS, 2 * options.lease_ttl_seconds)
        who = {"url": app.conf.webhook_url, "cluster": cluster, "who": str(me)}
        alarm = Alarm(vitals, _deliver_of(app), **who, absent_seconds=absent)
    _, records, chores = registry_of(store)
    beat = Beat(
        store,
        WatchedOutlet(outlet, vitals),
        clock,
        elector,
        cluster=cluster,
        listener=listener,
        entries_source=succession,
        app_entries=app_entries,
        begins=clock.begin,
        may_apply=succession.may_apply,
        sender=ThreadSender(clock.wake),
        runs=runs,
        errands=Errands(chores, records, clock, cluster),
    )
    return OpenBeat(beat, source, opened, outlet, runs, _courier(app, store, beat, alarm))


def _deliver_of(app: App) -> Callable[[Notice], Answer]:
    """How the app's settings say that somebody is told."""
    policy = policy_of(app.conf)

    def deliver(notice: Notice) -> Answer:
        if notice.event == PING:
            return ping(notice.url, policy)
        return post(notice.id, notice.url, notice.body, policy)

    return deliver


def _courier(app: App, store: Store, beat: Beat, alarm: Alarm | None) -> Courier:
    """Who delivers what the store says is to be told, and looks at the alarm."""
    return Courier(
        deliveries_of(store),
        _deliver_of(app),
        leads=lambda: beat.leads,
        now_us=lambda: time.time_ns() // 1000,
        alarm=alarm.look if alarm is not None else lambda: None,
    )


def _runs_of(app: App, entries: Sequence[Entry]) -> ResultRuns | None:
    """How the beat learns which runs are over. Raises ScheduleError for entries that need that where nobody can know it."""
    if results_url(app.conf) is not None:
        return ResultRuns(app)
    for entry in entries:
        if entry.overlap is not Overlap.ALLOW:
            raise ScheduleError(f"{entry.source or 'schedules'}: entry {entry.name!r}: {NO_RUNS}")
    return None


def _tell_of_workflows(entries: Sequence[Entry]) -> None:
    """A fleet of Celery workers alone would leave workflows in their queue, and nobody would know why (decisions B7)."""
    names = [entry.name for entry in entries if is_canvas(entry.what)]
    if names:
        text = "%d of the schedules are workflows (%s): a backbeat worker starts them, from the queue %r; Celery workers alone leave them there"
        shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")  # noqa: PLR2004 - enough to know which
        log.info(text, len(names), shown, CONTROL_QUEUE, extra={"action": "workflows"})
