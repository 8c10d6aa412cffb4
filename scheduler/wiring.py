"""Wiring of a beat: from an app and a few options to a Beat that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..canvas.app import App
from ..canvas.holder import LocalProcesses
from ..canvas.wiring import Kind, broker_url, kind_of, open_broker
from .beat import Beat
from .clock import SystemClock
from .leader import TTL_SECONDS, Elector
from .listener import Listener
from .outlet import BrokerOutlet
from .source import FilesSource
from .store.base import Store
from .store.wiring import open_store

DEFAULT_FILE = Path("schedules.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatOptions:
    """What a beat is started with; `store` None means BACKBEAT_STORE, or a default (see `store_url`)."""

    files: Sequence[Path] = ()
    store: str | None = None
    cluster: str | None = None
    lease_ttl_seconds: float = TTL_SECONDS


@dataclass(frozen=True, slots=True)
class OpenBeat:
    """A beat with what belongs to it."""

    beat: Beat
    source: FilesSource
    store: Store
    outlet: BrokerOutlet

    def close(self) -> None:
        """Let go of connections."""
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


def open_beat(app: App, options: BeatOptions, listener: Listener) -> OpenBeat:
    """A beat over the app's broker.

    Raises ScheduleError for files with errors, StoreRefused and ImproperlyConfigured for addresses that cannot work.
    """
    source = FilesSource(options.files, refused=listener.reload_refused)
    source.read()
    url = store_url(app, options.store)
    cluster = options.cluster or app.cluster
    store = open_store(url, cluster=cluster, lease_ttl_seconds=options.lease_ttl_seconds)
    clock, processes = SystemClock(), LocalProcesses()
    elector = Elector(
        store,
        clock,
        processes.myself(),
        processes,
        ttl_seconds=options.lease_ttl_seconds,
        end_frozen=url.startswith("sqlite"),
    )
    outlet = BrokerOutlet(open_broker(app.conf), app, cluster=cluster, store_id=store.store_id())
    beat = Beat(store, outlet, clock, elector, cluster=cluster, listener=listener, entries_source=source)
    return OpenBeat(beat, source, store, outlet)
