"""Node: a beat process of a simulated world: it is started, steps when its time has come, ends, stands still, is cut off.

The beat, the elector, the clock guard, the errands are the real ones, wired as scheduler/wiring.py does it; store, registry and outlet
are reached through wires (Wire) on which each call can be struck before it is made and after it was made: by a crash, a freeze, an
outage, a lost answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backbeat.canvas.holder import Holder
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock_guard import ClockGuard
from backbeat.scheduler.errand import Errands
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.listener import SilentListener
from backbeat.scheduler.published import OutletDown
from backbeat.scheduler.sender import InlineSender, Sender
from backbeat.scheduler.store.base import StoreDown
from backbeat.scheduler.store.hint import Hint, MemoryHint, NoHint

from .timeline import SECOND_US, Machine, MachineClock
from .wire import NodeOutlet, NodeProcesses, Wire

STORE = ("read_lease", "swap_lease", "load", "reconcile", "decide", "settle", "load_open", "mark")
STORE_TOO = ("latest_cursor_us", "rewind", "witness_us")
REGISTRY = ("running", "advance", "first_end_us", "lift", "get")
BROKER = ("publish", "reach")


class Crash(BaseException):
    """The process of `node` ends here."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.name)
        self.node = node


@dataclass(frozen=True, slots=True)
class Parts:
    """What a beat is made of; a mutant puts another class in the place of one of these."""

    beat: type[Beat] = Beat
    elector: type[Elector] = Elector
    guard: type[ClockGuard] = ClockGuard
    errands: type[Errands] = Errands


class Node:
    """One process after the other, under one name. `host` is shared by those that see each other's processes."""

    def __init__(self, world: Any, name: str, host: str, machine: Machine) -> None:
        self.world = world
        self.name = name
        self.host = host
        self.machine = machine
        self.beat: Beat | None = None
        self.guard: ClockGuard | None = None
        self.hint: Hint = NoHint()
        self.holder = ""
        self.wake_at_us = 0
        self.frozen_until_us = 0
        self.thawed_us = 0
        self.inside = False
        self.stands = False
        self.doomed = False
        self.store_cut_until_us = 0
        self.broker_cut_until_us = 0
        self.starts = 0

    # --- life ----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process."""
        world, setting = self.world, self.world.setting
        if self.beat is not None:
            return
        self.starts += 1
        holder = Holder(
            host=self.host, host_id=self.host, pid=self.starts, started=1, nonce=f"{self.name}{self.starts}"
        )
        self.holder, number = str(holder), self.starts
        clock = MachineClock(self.machine, self.wake)
        store = Wire(self, world.store, STORE + STORE_TOO)
        guard = world.parts.guard(clock, store.witness_us)
        self.hint = MemoryHint(world.hints) if setting.hint else NoHint()
        elector = world.parts.elector(
            store,
            guard,
            holder,
            NodeProcesses(self),
            ttl_seconds=setting.ttl_seconds,
            end_frozen=setting.one_host,
            hint=self.hint,
            fit=guard.fit,
        )
        registry = Wire(self, world.registry, REGISTRY)
        self.guard = guard
        self.beat = world.parts.beat(
            store,
            NodeOutlet(self),
            guard,
            elector,
            cluster=world.cluster,
            listener=SilentListener(),
            entries_source=world.files.source(),
            begins=guard.begin,
            sender=self._sender(lambda: self.starts == number and self.beat is not None),
            runs=world.runs,
            errands=world.parts.errands(registry, registry, guard, world.cluster),
        )
        self.wake_at_us = world.timeline.now_us
        world.note_health()

    def step(self) -> None:
        """One step of the loop, and when the next one is to be."""
        assert self.beat is not None
        self.inside = True
        try:
            pause = self.beat.step()
        except Crash:
            self.doomed = True
        else:
            self.wake_at_us = self.world.timeline.now_us + max(1, math.ceil(pause * SECOND_US))
        finally:
            self.inside = False
        if self.doomed:
            self.end()

    def crash(self) -> None:
        """SIGKILL."""
        if self.inside:
            self.doomed = (
                True  # it stands still in the middle of a step; when that goes on it finds itself dead
            )
            self.hint.drop()
        elif self.beat is not None:
            self.end()

    def stop(self) -> None:
        """SIGTERM."""
        if self.inside or self.beat is None or self.is_frozen:
            return
        self.inside = True
        try:
            self.beat.retire()
        except Crash:
            pass
        finally:
            self.inside = False
        self.end()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        if not self.inside:
            self.frozen_until_us = self.world.timeline.now_us + round(seconds * SECOND_US)

    def wake(self) -> None:
        """End its sleep."""
        if not self.inside:
            self.wake_at_us = self.world.timeline.now_us

    def end(self) -> None:
        """Its process is gone."""
        self.beat, self.doomed = None, False
        self.frozen_until_us = 0
        self.hint.drop()
        self.world.ended(self)

    def _sender(self, alive: Callable[[], bool]) -> Sender:
        world = self.world
        if not world.setting.sender_takes_time:
            return InlineSender()
        return world.sender(
            alive=alive,
            awake=lambda: not self.is_frozen and not self.stands,
            wake=self.wake,
            pause=world.go_on,
        )

    # --- what can be said of it ----------------------------------------------------------------------------------------------

    @property
    def is_frozen(self) -> bool:
        return self.world.timeline.now_us < self.frozen_until_us

    @property
    def may_step(self) -> bool:
        return self.beat is not None and not self.inside

    @property
    def at_us(self) -> int:
        """When it steps next."""
        return max(self.wake_at_us, self.frozen_until_us)

    @property
    def is_healthy(self) -> bool:
        """Whether it could lead."""
        now_us = self.world.timeline.now_us
        return (
            self.beat is not None
            and not self.doomed
            and not self.is_frozen
            and not self.stands
            and now_us >= self.store_cut_until_us
            and (self.world.setting.one_host or abs(self.machine.offset_us) < 3 * SECOND_US)
        )

    # --- effects -------------------------------------------------------------------------------------------------------------

    def effect(self, name: str, when: str) -> None:
        """A call that leaves the process is about to be made, or was made."""
        if self.doomed:
            raise Crash(self)
        now_us = self.world.timeline.now_us
        if name in BROKER:
            if now_us < self.broker_cut_until_us or now_us < self.world.broker_down_until_us:
                raise OutletDown("cut off")
        elif now_us < self.store_cut_until_us or now_us < self.world.store_down_until_us:
            raise StoreDown("cut off")
        self.world.strike(self, name, when)

    def stand_still(self, seconds: float) -> None:
        """Freeze here, in the middle of a step or of a publish, while the world goes on."""
        before, self.inside, self.stands = self.inside, True, True
        self.world.note_health()
        self.world.go_on(seconds)
        self.inside, self.stands = before, False
        self.world.note_health()
        self.thawed_us = self.world.timeline.now_us
        if self.doomed:
            raise Crash(self)
