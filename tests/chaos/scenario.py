"""Scenario: one combination under fire: the faults of a plan, one after another, each noted, and then everything is read and judged.

Faults do not overlap but where one says so, so that each copy has its cause; the next one comes when somebody leads, another stands by
and something was sent.
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from support.processes import Program, wait_until

from .checker import check
from .drain import read_remains
from .fault import Fault, FaultKind
from .fleet import SECONDS, Fleet
from .freezing import freeze
from .moment import now_us, wait
from .plan import Outcome, Plan
from .world import World


class Scenario:
    """One run. `run` returns; a beat that does not come back raises AssertionError with what the beats said."""

    def __init__(
        self,
        world: World,
        directory: Path,
        *,
        draw: random.Random,
        ttl_seconds: float,
        own_clocks: bool = False,
    ) -> None:
        self._world = world
        self._draw = draw
        self._ttl = ttl_seconds
        self.fleet = Fleet(
            world, directory, size=3, ttl_seconds=ttl_seconds, clocks=draw if own_clocks else None
        )
        self.faults: list[Fault] = []
        self.not_done: list[str] = []

    def run(self, plan: Plan, *, seconds: float) -> Outcome:
        """Do it all, or as much as begins within `seconds`."""
        begun = time.monotonic()
        steps = plan.steps
        self._draw.shuffle(steps)
        self.fleet.fill()
        for at, step in enumerate(steps):
            if time.monotonic() - begun > seconds:
                self.not_done += steps[at:]
                break
            self._recover()
            getattr(self, f"_{step}")()
        self._recover()
        until_us = self._finish()
        remains = read_remains(self._world.engine, self._world.store_kind, self._world.broker.direct_url)
        verdict = check(remains, self.faults, until_us=until_us, is_one=self._world.is_one)
        strange = self.fleet.strange_ends()
        if remains.holder:
            strange.append(f"the lease was not released: {remains.holder}")
        return Outcome(
            store=self._world.store_kind,
            broker=self._world.broker_kind,
            seconds=time.monotonic() - begun,
            epochs=remains.epoch,
            faults=self.faults,
            verdict=verdict,
            strange_ends=strange,
            not_done=self.not_done,
        )

    def _recover(self) -> None:
        self.fleet.fill()
        self.fleet.wait_for_sending(self._draw.randrange(2, 25))
        self.fleet.wait_for_standbys()

    def _finish(self) -> int:
        """Standbys go first. Returns up to when everything must have been decided."""
        self.fleet.wait_for_sending(60)
        leader = self.fleet.leader()
        for beat in [*(each for each in self.fleet.running if each is not leader), leader]:
            self.fleet.expected_ends.add(beat.pid)
            until_us = now_us() - 1_500_000
            beat.send(signal.SIGTERM)
            code = beat.wait()
            assert code == 0, f"{beat} ended with {code}: {beat.text[-3000:]}"
        return until_us

    # --- killed --------------------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        leader = self.fleet.leader()
        self._hit([leader], signal.SIGKILL, FaultKind.KILL)

    def _kill_two(self) -> None:
        leader = self.fleet.leader()
        standby = self._draw.choice([beat for beat in self.fleet.running if beat is not leader])
        self._hit([leader, standby], signal.SIGKILL, FaultKind.KILL_MORE)

    def _kill_all(self) -> None:
        self._hit(self.fleet.running, signal.SIGKILL, FaultKind.KILL_MORE, awaits=False)

    def _kill_standby(self) -> None:
        leader = self.fleet.leader()
        standby = self._draw.choice([beat for beat in self.fleet.running if beat is not leader])
        self._hit([standby], signal.SIGKILL, FaultKind.KILL_MORE, awaits=False)

    def _stop(self) -> None:
        self._hit([self.fleet.leader()], signal.SIGTERM, FaultKind.STOP)

    def _roll(self) -> None:
        """A rolling restart: one after another, as soon as the one before is back."""
        for beat in self.fleet.running:
            self._hit([beat], signal.SIGTERM, FaultKind.STOP, awaits=False, detail="rolling restart")
            self.fleet.fill()
            self.fleet.wait_for_standbys()

    def _hit(
        self, beats: list[Program], number: int, kind: FaultKind, *, awaits: bool = True, detail: str = ""
    ) -> None:
        sent = self.fleet.sending_of_others(beats)
        begin_us, begun = now_us(), time.monotonic()
        for beat in beats:
            self.fleet.expected_ends.add(beat.pid)
            beat.send(number)
        gap = self._gap(sent, begun, SECONDS) if awaits else None
        for beat in beats:
            code = beat.wait()
            assert code == (0 if number == signal.SIGTERM else -number), (
                f"{beat}: {code}: {beat.text[-3000:]}"
            )
            end_us = begin_us if number == signal.SIGKILL else now_us()
            first = beat is beats[0]
            self.faults.append(
                Fault(
                    kind=kind,
                    begin_us=begin_us,
                    end_us=end_us,
                    pid=beat.pid,
                    gap_seconds=gap if first else None,
                    detail=detail,
                )
            )

    def _gap(self, sent: Callable[[], float | None], begun: float, seconds: float) -> float:
        return wait_until(sent, seconds, what=self.fleet.text) - begun

    # --- frozen --------------------------------------------------------------------------------------------------------------

    def _pause(self) -> None:
        """From a tenth of a second, which nobody notices, to more than the TTL; as many of each order of size."""
        leader = self.fleet.leader()
        seconds = 0.1 * (1.5 * self._ttl / 0.1) ** self._draw.random()
        sent = self.fleet.sending_of_others([leader])
        begin_us, begun = now_us(), time.monotonic()
        leader.send(signal.SIGSTOP)
        gap = None
        with contextlib.suppress(AssertionError):
            gap = self._gap(sent, begun, seconds)
        wait(begun + seconds - time.monotonic())
        self._go_on(leader, FaultKind.PAUSE, begin_us, gap, f"{seconds:.2f} s")

    def _freeze(self) -> None:
        leader = self.fleet.leader()
        begin_us = freeze(leader, self._world, self._draw, patience_seconds=self._ttl / 3)
        if begin_us is None:
            self.not_done.append("freeze")
            return
        sent = self.fleet.sending_of_others([leader])
        begun = time.monotonic() - (now_us() - begin_us) / 1e6
        gap = self._gap(sent, begun, SECONDS)
        self._go_on(leader, FaultKind.FREEZE, begin_us, gap, "inside its transaction")

    def _go_on(self, leader: Program, kind: FaultKind, begin_us: int, gap: float | None, detail: str) -> None:
        """SIGCONT. A candidate ends a leader that blocks a SQLite file, so that one may have ended (decisions B11)."""
        leader.send(signal.SIGCONT)
        if self._world.store_kind == "sqlite":
            self.fleet.frozen.add(leader.pid)
        self.faults.append(
            Fault(
                kind=kind, begin_us=begin_us, end_us=now_us(), pid=leader.pid, gap_seconds=gap, detail=detail
            )
        )

    # --- what they stand on --------------------------------------------------------------------------------------------------

    def _store(self) -> None:
        self._outage(FaultKind.STORE, self._world.store.outages)

    def _broker(self) -> None:
        self._outage(FaultKind.BROKER, self._world.broker.outages)

    def _outage(self, kind: FaultKind, outages: dict[str, Callable[[random.Random], None]]) -> None:
        """One of the ways in which it can be away; every other time the leader is killed meanwhile."""
        if not outages:
            return
        name = self._draw.choice(sorted(outages))
        with_kill = self._draw.random() < 0.5
        leader = self.fleet.leader()
        begin_us, begun = now_us(), time.monotonic()
        outage = threading.Thread(target=outages[name], args=(self._draw,), name=name)
        outage.start()
        if with_kill:
            outage.join(0.3)
            self._hit(
                [leader], signal.SIGKILL, FaultKind.KILL_MORE, awaits=False, detail=f"in {kind.value} {name}"
            )
        outage.join(SECONDS)
        assert not outage.is_alive(), f"{kind.value} {name} does not end"
        end_us, ended = now_us(), time.monotonic()
        self.faults.append(
            Fault(kind=kind, begin_us=begin_us, end_us=end_us, detail=f"{name}, {ended - begun:.1f} s")
        )


def run_one(
    world: World,
    directory: Path,
    plan: Plan,
    *,
    seed: str,
    ttl_seconds: float,
    seconds: float,
    logs: Path | None,
    own_clocks: bool = False,
) -> Outcome:
    """One scenario from start to end. Where anything went wrong, what the beats said is kept in `logs`."""
    scenario = Scenario(
        world, directory, draw=random.Random(seed), ttl_seconds=ttl_seconds, own_clocks=own_clocks
    )
    is_well = False
    try:
        outcome = scenario.run(plan, seconds=seconds)
        is_well = not outcome.troubles
        return outcome
    finally:
        scenario.fleet.close()
        if logs is not None and not is_well:
            scenario.fleet.save(logs)
            (logs / "faults.txt").write_text("".join(f"{fault}\n" for fault in scenario.faults))
