"""Afar: all by which a worker is seen and steered from elsewhere: its events, and remote control."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from kombu.clocks import LamportClock
from msgspec import Struct

from ..application import App
from ..bug_report import version_of
from ..events.listener import FREQUENCY_SECONDS, EventListener
from ..events.sender import EventSender
from ..places import Kind, broker_url, kind_of
from ..remote.wiring import open_event_sink, open_mailbox
from . import control_commands, inspect_commands  # noqa: F401 - they add themselves to the panel
from .listener import Listener
from .panel import panel
from .remote_control import RemoteControl
from .state import WorkerState
from .tally import Tally
from .worker import Worker

SQL_SECONDS = 10.0
"""Where each event is a row in a table a worker tells more seldom that it lives."""


class AfarOptions(Struct, frozen=True, kw_only=True):
    """What is wanted of it. `tells_tasks` None: as the setting worker_send_task_events says."""

    tells_tasks: bool | None = None
    tells_itself: bool = True
    heartbeat_seconds: float | None = None


class Afar:
    """Of the worker called `hostname`."""

    def __init__(self, app: App, hostname: str, *, pool: str, options: AfarOptions | None = None) -> None:
        options = options or AfarOptions()
        self._app = app
        self._hostname = hostname
        self._pool = pool
        self._clock = LamportClock()
        self._tally = Tally()
        self._sink = open_event_sink(app.conf)
        self._beats = options.tells_itself
        tells = app.conf.worker_send_task_events if options.tells_tasks is None else options.tells_tasks
        self._events = None
        if self._sink is not None:
            usual = SQL_SECONDS if kind_of(broker_url(app.conf)) is Kind.SQL else FREQUENCY_SECONDS
            seconds = options.heartbeat_seconds or usual
            version = version_of("backbeat") or "0"
            self._events = EventListener(
                tells_tasks=bool(tells),
                version=version,
                tells_sent=bool(app.conf.task_send_sent_event),
                seconds=seconds,
            )

    @property
    def listeners(self) -> Sequence[Listener]:
        """Those that must hear what the worker does."""
        return [self._tally] if self._events is None else [self._tally, self._events]

    @contextlib.contextmanager
    def working(self, worker: Worker) -> Iterator[None]:
        """While `worker` runs."""
        with contextlib.ExitStack() as stack:
            if self._events is not None and self._sink is not None:
                beat = self._events.beat if self._beats else None
                sender = EventSender(
                    self._sink, self._hostname, self._clock, beat=beat, beat_seconds=self._events.seconds
                )
                stack.enter_context(self._events.working(sender))
            mailbox = None
            if self._app.conf.worker_enable_remote_control:
                mailbox = open_mailbox(self._app.conf, self._hostname, self._clock)
            if mailbox is not None:
                stack.enter_context(RemoteControl(mailbox, panel, self._state(worker)).working())
            yield

    def _state(self, worker: Worker) -> WorkerState:
        return WorkerState(
            self._app,
            self._hostname,
            worker,
            self._tally,
            self._events,
            self._clock,
            pool=self._pool,
        )
