"""backbeat.scheduler.testing: the beat in a test's own thread, and in the time of a world in memory (backbeat.canvas.testing).

    with in_memory(app, at="2026-03-29T00:00:00+01:00") as world, beat_in(world, Path("schedules.yaml")) as beat:
        fires = beat.advance("1d")              # what a beat sends in a day, 23 hours of which this one has
        world.drain()                           # and what becomes of it

It is the real loop (beat.py) with the real ledger, in memory: policies, clock changes, jitter, what is not sent and why are as they will be.
Only the clock is another one, which jumps to what comes next. Nothing else imports this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ..canvas.clock import FakeClock
from ..canvas.holder import LocalProcesses
from ..canvas.testing.sent import moment
from ..canvas.testing.world import Length, World, us_of_length
from ..canvas.wiring import keyring_of
from .app_source import read_app
from .beat import Beat
from .clock import SECOND_US
from .entry import Entry, Overlap
from .errand import Errands
from .errors import ScheduleError
from .files.loader import parse
from .files.problem import Severity
from .firing import Firing
from .leader import Elector
from .listener import SilentListener
from .outlet import BrokerOutlet
from .result_runs import ResultRuns
from .skip import Skip
from .source import FilesSource
from .store.memory import MemoryStore
from .store.registry_memory import MemoryRegistry

LEASE_SECONDS = 1e9
"""Nobody else wants to lead, so there is no need to renew."""
ROUNDS_SECONDS, HOLDING_SECONDS = 3600.0, 60.0
"""A beat looks twice a second for edits, and for runs that others wait for. Here nobody edits, and it looks when a task has run; only for
the `overlap_timeout` of what waits (`overlap: queue`) it must look from time to time."""

Schedules = str | Path | Iterable[Path] | None
"""The text of a schedules file, a file, several of them, or None: those of the app alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """One firing that was sent. Times are aware UTC."""

    schedule: str
    fire_time: datetime
    """The nominal one, before jitter and spread."""
    sent_at: datetime
    task: str
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Fire times that were passed over, from the first to the last."""

    schedule: str
    first: datetime
    last: datetime
    count: int | None
    """None: they were not counted."""
    reason: str


@contextmanager
def beat_in(world: World, schedules: Schedules = None, *, cluster: str | None = None) -> Iterator[WorldBeat]:
    """A beat over a world, with the schedules given and those of its app (`beat_schedule`, `add_periodic_task`).

    It leads, and the first fire times are those after the world's present. Raises ScheduleError for schedules with errors.
    """
    beat = WorldBeat(world, schedules, cluster=cluster)
    try:
        yield beat
    finally:
        beat.close()


class WorldBeat:
    """A beat that goes on when a test says so. Made by `beat_in`."""

    def __init__(self, world: World, schedules: Schedules = None, *, cluster: str | None = None) -> None:
        self._world = world
        self._cluster = cluster or world.app.cluster
        self._app_entries = read_app(world.app)
        self._entries = _entries(schedules, {entry.name: entry.source for entry in self._app_entries})
        self._store = MemoryStore(self._cluster)
        self._clock = WorldClock(world.clock, self._pass)
        self._heard = _Heard(self._clock)
        self._runs = ResultRuns(world.app)
        self._drains = False
        self._beat = self._open()

    @property
    def fires(self) -> list[Fire]:
        """All that was sent, in that order."""
        return list(self._heard.fires)

    @property
    def skipped(self) -> list[Skipped]:
        """All that was not sent, and why."""
        return list(self._heard.skips)

    @property
    def next_fire(self) -> datetime | None:
        """The next fire time of any schedule; None if there is none any more."""
        return None if self._beat.next_us is None else moment(self._beat.next_us)

    def advance(self, length: Length, *, drain: bool = False) -> list[Fire]:
        """Let time pass; returns what was sent meanwhile. It lies in the world's broker, see `World.drain`.

        With `drain` the world's workers work all the time, as `overlap` needs it, and retries and countdowns run at their own times.
        """
        until_us = self._clock.now_us() + us_of_length(length)
        before = len(self._heard.fires)
        self._drains = drain
        try:
            while (left_us := until_us - self._clock.now_us()) > 0:
                self._beat.turn(left_us / SECOND_US)
            self._beat.drain()
            if drain and self._world.drain():
                self._beat.drain()
        finally:
            self._drains = False
        return self._heard.fires[before:]

    def outage(self, length: Length) -> list[Fire]:
        """For so long there is no beat; returns what the next one sends at once of what was missed, as `catch_up` says."""
        us, before = us_of_length(length), len(self._heard.fires)
        self._beat.retire()
        self._world.clock.advance_to(self._clock.now_us() + us)
        self._beat = self._open()
        return self._heard.fires[before:]

    def close(self) -> None:
        """The beat ends."""
        self._beat.retire()
        self._runs.close()

    def _open(self) -> Beat:
        """Another beat, on the same store; it has decided and sent what is due now."""
        world, clock = self._world, self._clock
        processes, registry = LocalProcesses(), MemoryRegistry(self._store, clock.now_us)
        outlet = BrokerOutlet(
            world.broker(),
            world.app,
            cluster=self._cluster,
            store_id=self._store.store_id(),
            keyring=keyring_of(world.app.conf),
            monotonic=clock.boottime,
        )
        given = [self._entries]
        holds = any(entry.overlap is Overlap.QUEUE for entry in (*self._entries, *self._app_entries))
        beat = Beat(
            self._store,
            outlet,
            clock,
            Elector(self._store, clock, processes.myself(), processes, ttl_seconds=LEASE_SECONDS),
            cluster=self._cluster,
            listener=self._heard,
            entries_source=lambda: given.pop() if given else None,
            app_entries=self._app_entries,
            runs=self._runs,
            errands=Errands(registry, registry, clock, self._cluster),
            rounds_seconds=HOLDING_SECONDS if holds else ROUNDS_SECONDS,
        )
        beat.drain()
        return beat

    def _pass(self, us: int) -> None:
        """Let time pass; but as soon as a task has run the beat goes on, as one may be over that another one waits for."""
        world, until_us = self._world, self._clock.now_us() + us
        if not self._drains:
            world.clock.advance_to(until_us)
        elif world.drain():
            self._beat.wake()
        else:
            due_us = world.stage.next_us
            next_us = until_us if due_us is None else min(due_us, until_us)
            if world.advance(timedelta(microseconds=next_us - self._clock.now_us())):
                self._beat.wake()


class WorldClock:
    """The Clock of a beat: the world's. To wait is to let time pass there."""

    def __init__(self, clock: FakeClock, let_pass: Callable[[int], None]) -> None:
        self._clock = clock
        self._let_pass = let_pass
        self._begun_us = clock.now_us()
        self._woken = False

    def now_us(self) -> int:
        return self._clock.now_us()

    def boottime(self) -> float:
        return (self._clock.now_us() - self._begun_us) / SECOND_US

    def wait(self, seconds: float) -> bool:
        woken, self._woken = self._woken, False
        if not woken and seconds > 0:
            self._let_pass(max(1, round(seconds * SECOND_US)))
        return woken

    def wake(self) -> None:
        self._woken = True


class _Heard(SilentListener):
    """Writes down what a beat did."""

    def __init__(self, clock: WorldClock) -> None:
        self._clock = clock
        self.fires: list[Fire] = []
        self.skips: list[Skipped] = []

    def fired(self, firing: Firing, lateness_us: int) -> None:
        del lateness_us  # it is the world's clock, which tells it, too
        fire = Fire(
            schedule=firing.entry,
            fire_time=moment(firing.due_us),
            sent_at=moment(self._clock.now_us()),
            task=str(firing.payload["task"]),
            task_id=firing.task_id,
        )
        self.fires.append(fire)

    def skipped(self, skip: Skip) -> None:
        first, last = moment(skip.from_us), moment(skip.to_us)
        self.skips.append(
            Skipped(schedule=skip.entry, first=first, last=last, count=skip.count, reason=skip.reason.value)
        )


def _entries(schedules: Schedules, taken: dict[str, str]) -> Sequence[Entry]:
    if schedules is None:
        return ()
    if not isinstance(schedules, str):
        files = [schedules] if isinstance(schedules, Path) else list(schedules)
        source = FilesSource(files, taken=taken)
        source.read()
        return source.entries
    loaded = parse(schedules, "schedules", os.environ)
    errors = [problem.render() for problem in loaded.problems if problem.severity is Severity.ERROR]
    errors += [
        f"{entry.source}: {entry.name} is also in {taken[entry.name]}"
        for entry in loaded.entries
        if entry.name in taken
    ]
    if errors:
        raise ScheduleError("\n".join(errors))
    return loaded.entries
