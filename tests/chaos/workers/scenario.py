"""Scenario: one stack under one kind of fire, with a steady load; then the load ends, everything is waited for, read and judged.

    kills      SIGKILL of a child, of a worker's own process, or of a worker with all its children
    rolls      SIGTERM, end in order, and start anew, one worker after the other, until none of the old ones is left
    restarts   of the broker, stopped or killed, away for up to a second, and now and then for longer than a worker's longest pause
    poison     messages that no worker can run, and tasks that kill their process, of all kinds in turn (poison.py)

All workers but one always consume while one is killed or stopped; a worker that is gone is started again at once. `make chaos` makes a
run of each kind, so that what it finds can be told apart; the short form mixes them.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from support.processes import wait_until

from ..moment import wait
from .arena import Arena
from .blow import Blow, BlowKind
from .checker import Verdict, check
from .fleet import SECONDS, Workers
from .journal import Journal
from .load import Load
from .poison import Ended, Poison, poisons_for
from .remains import remains_of
from .run import runs_of

DRAIN_SECONDS = 120.0
GRACE_SECONDS = 1.0
"""Of workers that are stopped: the long tasks outlive it, and are handed back."""
LONG_OUTAGE_SECONDS, LONG_OUTAGE_EACH = 6.0, 10
KINDS = ("kills", "rolls", "restarts", "poison")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How often each thing is done, in any order, to `size` workers. `per_second` orders are sent; `seconds`: no blow comes later."""

    name: str
    kills: int = 0
    rolls: int = 0
    restarts: int = 0
    poison: int = 0
    size: int = 3
    lease_seconds: float
    per_second: float = 10.0
    seconds: float

    @property
    def steps(self) -> list[str]:
        """All that is to be done."""
        return [kind for kind in KINDS for _ in range(getattr(self, kind))]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run came to. `gaps_seconds`: for each restart and each worker, from the broker's first answer to its first start."""

    stack: str
    name: str
    seconds: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    blows: list[Blow] = field(default_factory=list)
    poisons: list[Ended] = field(default_factory=list)
    gaps_seconds: list[float] = field(default_factory=list)
    refused: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    strange_ends: list[str] = field(default_factory=list)

    @property
    def troubles(self) -> list[str]:
        """Everything that must not be."""
        return self.verdict.faults + self.strange_ends


class Scenario:
    """One run."""

    def __init__(self, arena: Arena, directory: Path, setting: Setting, draw: random.Random) -> None:
        self._arena = arena
        self._setting = setting
        self._draw = draw
        self._marker = directory / f"{setting.name}.loaded"
        self._poisons: list[Poison] = []
        self.journal = Journal(directory / f"{setting.name}.jsonl")
        self.workers = Workers(
            arena.stack,
            directory,
            self.journal.path,
            size=setting.size,
            lease_seconds=setting.lease_seconds,
            grace_seconds=GRACE_SECONDS,
        )
        self.load = Load(
            arena.stack.app, setting.name, random.Random(draw.random()), per_second=setting.per_second
        )
        self._dead_before = 0
        self.outcome = Outcome(stack=arena.stack.name, name=setting.name)

    def run(self) -> Outcome:
        """All blows, or as many as there is time for."""
        begun = time.monotonic()
        self.workers.fill()
        self.workers.wait_for_ready(1)
        self._dead_before = len(self._arena.stack.dead_letters())
        self.load.start()
        self.workers.wait_for_ready(self._setting.size)
        steps = self._setting.steps
        self._draw.shuffle(steps)
        strike = {
            "kills": self._kill,
            "rolls": self._roll,
            "restarts": self._restart,
            "poison": self._poison,
        }
        for step in steps:
            if time.monotonic() - begun > self._setting.seconds:
                break
            strike[step]()
            self.outcome.done[step] += 1
        self._finish()
        self.outcome.seconds = time.monotonic() - begun
        return self.outcome

    def _kill(self) -> None:
        ready = self.workers.wait_for_ready(self._setting.size - 1)
        wait(self._draw.uniform(0.1, 0.8))
        kind = self._draw.choice([BlowKind.CHILD, BlowKind.CHILD, BlowKind.PARENT, BlowKind.WORKER])
        blow = None
        while blow is None:
            blow = self.workers.kill(self._draw.choice(ready), kind, self._draw, self.journal.busy())
        self.outcome.blows.append(blow)
        self.workers.fill()

    def _roll(self) -> None:
        """Every worker goes, the oldest first."""
        for _ in range(self._setting.size):
            oldest, *_ = self.workers.wait_for_ready(self._setting.size)
            wait(self._draw.uniform(0.05, 0.3))
            self.outcome.blows += self.workers.stop(oldest)
            self.workers.fill()

    def _poison(self) -> None:
        stack = self._arena.stack
        if not self._poisons:
            self._poisons = poisons_for(stack, self._marker)
            self._draw.shuffle(self._poisons)
        self.outcome.poisons.append(self._poisons.pop().give(stack))
        assert not self._marker.exists(), "a pickle was loaded"

    def _restart(self) -> None:
        broker, draw = self._arena.broker, self._draw
        assert broker is not None
        wait(draw.uniform(0.1, 0.5))
        is_long = self.outcome.done["restarts"] % LONG_OUTAGE_EACH == LONG_OUTAGE_EACH - 1
        broker.end(draw.choice([broker.stop_signal, broker.crash_signal]))
        wait(LONG_OUTAGE_SECONDS if is_long else draw.uniform(0.0, 1.0))
        broker.start()
        answered_at = time.time()
        numbers = [self.workers.number_of(worker) for worker in self.workers.running]

        def starts() -> list[float]:
            found = [self.journal.first_start(number, answered_at) for number in numbers]
            return [at for at in found if at is not None]

        wait_until(lambda: len(starts()) == len(numbers), SECONDS, what=self.workers.text)
        self.outcome.gaps_seconds += [at - answered_at for at in starts()]

    def _finish(self) -> None:
        """The load ends, then everything that is under way; then the workers."""
        stack, load = self._arena.stack, self.load
        load.stop(SECONDS)
        wait_until(lambda: not load.open_tasks(), DRAIN_SECONDS, what=self._missing)
        wait_until(lambda: not remains_of(stack), DRAIN_SECONDS, what=lambda: remains_of(stack))
        load.look_again()
        self.workers.stop(*self.workers.running)
        self.outcome.refused = load.refused
        self.outcome.strange_ends = self.workers.strange_ends()
        self.outcome.verdict = check(
            load.orders,
            load.endings,
            runs_of(self.journal.read()),
            self.outcome.blows,
            dead=[str(letter["task_id"]) for letter in stack.dead_letters()[self._dead_before :]],
            remains=remains_of(stack),
            changed=load.changed,
            poisons=self.outcome.poisons,
        )

    def _missing(self) -> str:
        return f"{self.load.open_tasks()}\n{remains_of(self._arena.stack)}\n{self.workers.text()}"


def run_one(
    arena: Arena, directory: Path, setting: Setting, draw: random.Random, *, logs: Path | None
) -> Outcome:
    """One scenario from start to end. Where anything went wrong, what workers and tasks said is kept in `logs`."""
    scenario = Scenario(arena, directory, setting, draw)
    is_well = False
    try:
        outcome = scenario.run()
        is_well = not outcome.troubles
        return outcome
    finally:
        scenario.workers.close()
        if logs is not None and not is_well:
            scenario.workers.save(logs)
            (logs / "journal.jsonl").write_bytes(scenario.journal.path.read_bytes())
            (logs / "blows.txt").write_text("".join(f"{blow}\n" for blow in scenario.outcome.blows))
