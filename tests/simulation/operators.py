"""Operators: people who edit, pause, reload, backfill, and run things by hand, drawn by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from backbeat.scheduler.backfill import Backfill
from backbeat.scheduler.crontab import Crontab
from backbeat.scheduler.entry import CatchUp, Entry
from backbeat.scheduler.instants import Interval, Schedule
from backbeat.scheduler.order import (
    Add,
    Change,
    Order,
    OrderRefused,
    Pause,
    Remove,
    Resume,
    Revert,
    SkipNext,
    Unskip,
)
from backbeat.scheduler.schedule import schedule_to_spec

from .timeline import SECOND_US
from .timetable import ZONES


class Operators:
    """Each call is something that one of them does now; `tell` is told before an edit."""

    def __init__(self, world: Any, draw: random.Random, tell: Callable[[], None]) -> None:
        self._world = world
        self._draw = draw
        self._tell = tell
        self._names = 0
        self._requests = 0

    def edit(self) -> None:
        """Ask something of one entry; what is refused is refused."""
        world, draw = self._world, self._draw
        kept = [each for each in world.store._entries.values() if not each.removed]
        if not kept:
            return
        self._tell()
        name, order = draw.choice(kept).name, self._order()
        if isinstance(order, Add):
            name = order.entry.name
        try:
            world.registry.edit(name, order, actor="operator")
        except OrderRefused:
            return
        world.history.entries_may_differ()

    def _order(self) -> Order:
        draw, now_us = self._draw, self._world.registry.now_us()
        until_us = draw.choice((None, now_us + round(draw.uniform(5, 9_000) * SECOND_US)))
        match draw.randrange(9):
            case 0 | 1:
                return Pause(reason="a test", until_us=until_us)
            case 2:
                return Resume()
            case 3:
                return Change(
                    changes={"what": {"task": f"app.changed{draw.randrange(99)}"}}, until_us=until_us
                )
            case 4:
                return Change(changes={"when": schedule_to_spec(self._schedule())}, until_us=until_us)
            case 5:
                return Revert()
            case 6:
                return SkipNext(count=draw.randrange(1, 4))
            case 7:
                return draw.choice((Unskip(), Remove()))
            case _:
                self._names += 1
                return Add(entry=self._entry(f"db{self._names}"))

    def _schedule(self) -> Schedule:
        draw = self._draw
        if draw.random() < 0.5:
            return Interval(every=timedelta(minutes=draw.choice((50, 75, 180))))
        return Crontab(
            expression=f"{draw.randrange(60)} {draw.randrange(4)} * * *", timezone=draw.choice(ZONES)
        )

    def _entry(self, name: str) -> Entry:
        catch_up = self._draw.choice(list(CatchUp))
        return Entry(name=name, when=self._schedule(), what={"task": f"app.{name}"}, catch_up=catch_up)

    def reload(self) -> None:
        """Save the file with an entry more, less or another one."""
        draw, files = self._draw, self._world.files
        self._tell()
        entries = list(files.entries)
        match draw.randrange(4):
            case 0 if len(entries) > 8:
                entries.pop(draw.randrange(len(entries)))
            case 1:
                self._names += 1
                entries.append(self._entry(f"file{self._names}"))
            case 2:
                number = draw.randrange(len(entries))
                known = entries[number]
                spec = known.to_spec() | {"what": {"task": f"app.reloaded{draw.randrange(99)}"}}
                entries[number] = Entry.from_spec(known.name, spec)
            case _:
                number = draw.randrange(len(entries))
                known = entries[number]
                spec = known.to_spec() | {"when": schedule_to_spec(self._schedule())}
                entries[number] = Entry.from_spec(known.name, spec)
        files.write(entries)

    def run_now(self) -> None:
        """Run an entry once."""
        world = self._world
        kept = [each for each in world.store._entries.values() if not each.removed]
        if not kept:
            return
        self._requests += 1
        name = self._draw.choice(kept).name
        world.registry.run_now(name, f"request {self._requests}", actor="operator")

    def backfill(self) -> None:
        """Send a range of the past again."""
        world, draw = self._world, self._draw
        kept = [each for each in world.store._entries.values() if not each.removed]
        if not kept:
            return
        self._requests += 1
        to_us = world.registry.now_us() - draw.randrange(3_600) * SECOND_US
        wish = Backfill(
            id=f"backfill {self._requests}",
            entry=draw.choice(kept).name,
            from_us=to_us - draw.choice((3_600, 20_000)) * SECOND_US,
            to_us=to_us,
            rate=draw.choice((None, 1.0)),
            actor="operator",
        )
        world.registry.backfill(wish)
