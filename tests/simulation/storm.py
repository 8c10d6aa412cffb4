"""Storm: what befalls a world, drawn by a seed: at effects, and at instants that lie mostly around fire times.

Everything is written into the fault log before it is done. Operators are part of the weather: they edit, pause, backfill and reload.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from backbeat.scheduler.published import OutletDown
from backbeat.scheduler.store.base import StoreDown

from .fault import FaultKind
from .node import BROKER, Crash, Node
from .operators import Operators
from .timeline import SECOND_US
from .world import World

FREEZES = (0.3, 1.0, 4.0, 8.0, 12.0, 30.0)
BACK_OFF_SECONDS = 34.0
"""After an outage of the broker the next try may be so far away."""
CLOCK_SECONDS = 45.0
"""After a step of the wall clock: the patience of the clock guard, and what follows."""


class Storm:
    """Weather over one world. `share` of all effects is struck; something happens every `every_seconds`, of those in `only`; `aim` names the effects that are struck, if not all."""

    def __init__(
        self,
        world: World,
        *,
        share: float = 1 / 2_500,
        every_seconds: float = 50_000.0,
        only: Collection[str] = (),
        aim: Collection[str] = (),
    ) -> None:
        self._world = world
        self._draw = random.Random(f"storm {world.seed}")
        self._share = share
        self._aim_at = frozenset(aim)
        self._every_seconds = every_seconds
        operators = Operators(world, self._draw, lambda: self._note(FaultKind.EDIT, 0.0, 4.0))
        world.strike = self.strike
        world.broker.draw = self._draw
        world.restart_seconds = lambda: self._draw.choice((0.5, 2.0, 8.0, 25.0))
        self._weather = [
            (self._crash_leader, 10),
            (self._crash_somebody, 3),
            (self._stop_leader, 6),
            (self._freeze_leader, 10),
            (self._cut_from_store, 8),
            (self._cut_from_broker, 5),
            (self._store_down, 3),
            (self._broker_down, 3),
            (self._all_crash, 3),
            (self._set_clock, 5),
            (self._broker_refuses, 3),
            (operators.edit, 14),
            (operators.reload, 5),
            (operators.run_now, 3),
            (operators.backfill, 3),
            (self._roll_back, 12 if world.setting.rollbacks else 0),
        ]
        if only:
            self._weather = [
                (happens, weight) for happens, weight in self._weather if happens.__name__.lstrip("_") in only
            ]
        self._expect()

    # --- effects -------------------------------------------------------------------------------------------------------------

    def strike(self, node: Node, name: str, when: str) -> None:
        """Perhaps strike an effect."""
        draw = self._draw
        if (self._aim_at and name not in self._aim_at) or draw.random() >= self._share:
            return
        world, ttl = self._world, self._world.setting.ttl_seconds
        world.stay_awake(ttl + 6)
        now_us = world.timeline.now_us
        match draw.choice(("crash", "crash", "freeze", "lost", "lost")):
            case "crash":
                world.faults.note(FaultKind.CRASH, now_us, None, ttl + 3, node.name)
                raise Crash(node)
            case "freeze" if world.may_nest:
                seconds = draw.choice(FREEZES) * draw.uniform(0.5, 1.5)
                self._note_freeze(node, seconds)
                node.stand_still(seconds)
            case _ if name in BROKER:
                world.faults.note(FaultKind.LOST_CONFIRM, now_us, None, 3.0, node.name)
                raise OutletDown(f"{name}: lost {when}")
            case _:
                world.faults.note(FaultKind.LOST_ANSWER, now_us, None, 4.0, node.name)
                raise StoreDown(f"{name}: lost {when}")

    # --- when ----------------------------------------------------------------------------------------------------------------

    def _expect(self) -> None:
        self._world.timeline.within(self._draw.expovariate(1 / self._every_seconds), self._aim)

    def _aim(self) -> None:
        """Most of it happens around a fire time."""
        world, leader = self._world, self._world.leader
        if (
            leader is not None
            and leader.beat
            and leader.guard
            and leader.beat.next_us
            and self._draw.random() < 0.7
        ):
            seconds = (leader.beat.next_us - leader.guard.now_us()) / SECOND_US + self._draw.uniform(
                -2.0, 2.0
            )
            if 0 < seconds < 7_200:
                world.timeline.within(seconds, self._happen)
                return
        self._happen()

    def _happen(self) -> None:
        if self._world.is_calm:
            return
        kinds, weights = zip(*self._weather, strict=True)
        happens: Callable[[], None] = self._draw.choices(kinds, weights)[0]
        happens()
        self._world.stay_awake(self._world.setting.ttl_seconds + 6)
        self._world.note_health()
        self._expect()

    # --- processes -----------------------------------------------------------------------------------------------------------

    def _somebody(self) -> Node:
        return self._draw.choice(self._world.nodes)

    def _leader(self) -> Node:
        return self._world.leader or self._somebody()

    def _note(self, kind: FaultKind, seconds: float, grace_seconds: float, node: Node | None = None) -> None:
        now_us = self._world.timeline.now_us
        until_us = now_us + round(seconds * SECOND_US)
        self._world.faults.note(kind, now_us, until_us, grace_seconds, node.name if node else "")
        self._world.stay_awake(seconds + self._world.setting.ttl_seconds + 6)
        if seconds:
            self._world.timeline.at(until_us, self._world.note_health)

    def _crash_leader(self) -> None:
        self._crash(self._leader())

    def _crash_somebody(self) -> None:
        self._crash(self._somebody())

    def _crash(self, node: Node) -> None:
        self._note(FaultKind.CRASH, 0.0, self._world.setting.ttl_seconds + 3, node)
        node.crash()

    def _stop_leader(self) -> None:
        node = self._leader()
        self._note(FaultKind.STOP, 0.0, self._world.setting.ttl_seconds + 3, node)
        node.stop()

    def _freeze_leader(self) -> None:
        node, seconds = self._leader(), self._draw.choice(FREEZES) * self._draw.uniform(0.5, 1.5)
        self._note_freeze(node, seconds)
        node.freeze(seconds)

    def _note_freeze(self, node: Node, seconds: float) -> None:
        """What a standby needs to take over, and what the frozen one does when it wakes up."""
        self._note(FaultKind.FREEZE, min(seconds, 1.0), self._world.setting.ttl_seconds + 3, node)
        at_us = self._world.timeline.now_us + round(seconds * SECOND_US)
        self._world.faults.note(FaultKind.FREEZE, at_us, None, 4.0, node.name)
        self._world.timeline.at(at_us, self._world.note_health)

    def _all_crash(self) -> None:
        draw = self._draw
        seconds = draw.choice((1.0, 20.0, 90.0, 600.0, 7_200.0, 50_000.0)) * draw.uniform(0.5, 1.5)
        before = self._world.restart_seconds
        self._world.restart_seconds = lambda: seconds
        for node in self._world.nodes:
            self._crash(node)
        self._world.restart_seconds = before

    # --- outages -------------------------------------------------------------------------------------------------------------

    def _some_seconds(self) -> float:
        return self._draw.choice((0.5, 3.0, 7.0, 15.0, 40.0)) * self._draw.uniform(0.5, 1.5)

    def _until_us(self, seconds: float) -> int:
        return self._world.timeline.now_us + round(seconds * SECOND_US)

    def _cut_from_store(self) -> None:
        node, seconds = self._leader(), self._some_seconds()
        self._note(FaultKind.CUT_STORE, seconds, self._world.setting.ttl_seconds + 3, node)
        node.store_cut_until_us = self._until_us(seconds)

    def _cut_from_broker(self) -> None:
        node, seconds = self._leader(), self._some_seconds()
        self._note(FaultKind.CUT_BROKER, seconds, BACK_OFF_SECONDS, node)
        node.broker_cut_until_us = self._until_us(seconds)

    def _store_down(self) -> None:
        seconds = self._some_seconds() * self._draw.choice((1, 1, 1, 10))
        self._note(FaultKind.STORE_DOWN, seconds, self._world.setting.ttl_seconds + 3)
        self._world.store_down_until_us = self._until_us(seconds)

    def _broker_down(self) -> None:
        seconds = self._some_seconds() * self._draw.choice((1, 1, 1, 20))
        self._note(FaultKind.BROKER_DOWN, seconds, BACK_OFF_SECONDS)
        self._world.broker_down_until_us = self._until_us(seconds)

    def _broker_refuses(self) -> None:
        seconds = self._some_seconds()
        self._note(FaultKind.BROKER_DOWN, seconds, BACK_OFF_SECONDS)
        self._world.broker.returned_share = 0.4

        def again() -> None:
            self._world.broker.returned_share = 0.0

        self._world.timeline.within(seconds, again)

    def _roll_back(self) -> None:
        copy, seconds = self._world.copy_of_store(), self._draw.uniform(0.05, 3.0)

        def forget() -> None:
            if self._world.is_calm:
                return
            down = self._draw.uniform(0.05, 2.0)
            self._note(FaultKind.ROLLBACK, down, self._world.setting.ttl_seconds + 16)
            self._world.roll_back(copy)
            self._world.store_down_until_us = self._until_us(down)

        self._world.stay_awake(seconds + 5)
        self._world.timeline.within(seconds, forget)

    # --- clocks --------------------------------------------------------------------------------------------------------------

    def _set_clock(self) -> None:
        draw, world = self._draw, self._world
        far = (20_000.0, 90_000.0) if world.setting.far_steps else ()
        seconds = draw.choice((1.5, 4.0, 60.0, 600.0, 1_800.0, 3_600.0, *far)) * draw.choice((-1, 1))
        node = self._leader() if draw.random() < 0.7 else self._somebody()
        self._note(FaultKind.CLOCK, 0.0, CLOCK_SECONDS, node)
        world.stay_awake(CLOCK_SECONDS)
        machine = node.machine
        machine.set(machine.offset_us + round(seconds * SECOND_US))
        if world.setting.one_host:
            return
        wrong_seconds = draw.uniform(5.0, 400.0)
        self._note(FaultKind.CLOCK, wrong_seconds, CLOCK_SECONDS, node)

        def right() -> None:
            machine.set(0)
            world.stay_awake(CLOCK_SECONDS)
            world.note_health()

        world.timeline.within(wrong_seconds, right)
