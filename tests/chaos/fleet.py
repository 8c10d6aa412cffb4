"""Fleet: the beats of a run, as their users start them: who leads, who stands by, who has sent, who has ended."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from backbeat.canvas.holder import Holder
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from support.acceptance_tasks import NAME
from support.processes import Program, own_clocks, wait_until

from .crew import Crew
from .timetable import yaml_text
from .world import World

SENT = re.compile(r"Scheduler: Sending due task ")
STANDING_BY = re.compile(r"Standing by")
ENDED_FROZEN = re.compile(r"Ended the frozen leader, process (\d+)")
SECONDS = 60.0


class Fleet(Crew):
    """`size` beats over a world. `all` has those that have ended, too; `expected_ends` are the pids whose end was our doing;
    `frozen` those that another beat may have ended, if it says so.

    `clocks`: each beat gets clocks of its own, as far apart as those of several machines; drawn from this.
    """

    def __init__(
        self,
        world: World,
        directory: Path,
        *,
        size: int,
        ttl_seconds: float,
        clocks: random.Random | None = None,
    ) -> None:
        super().__init__("beat")
        self._world = world
        self._directory = directory
        path = directory / "schedules.yaml"
        path.write_text(yaml_text("support.acceptance_tasks.add"))
        same = ("--store", world.store.url) if not world.is_one else ()
        first = ("-q", "-A", NAME, "-b", world.broker.url, *same)
        self._arguments = (*first, "beat", "--lease-ttl", str(ttl_seconds), "-s", str(path))
        self.size = size
        self._clocks = clocks
        self.frozen: set[int] = set()

    def strange_ends(self) -> list[str]:
        said = {int(pid) for beat in self.all for pid in ENDED_FROZEN.findall(beat.text)}
        self.expected_ends |= self.frozen & said
        return super().strange_ends()

    def fill(self) -> None:
        """Start as many as are missing."""
        for _ in range(self.size - len(self.running)):
            self.all.append(Program(*self._arguments, cwd=self._directory, launcher=self._launcher()))

    def _launcher(self) -> list[str]:
        """Clocks that are days apart."""
        return [] if self._clocks is None else own_clocks(self._clocks.randrange(0, 30 * 86_400))

    def leader(self, seconds: float = SECONDS) -> Program:
        """The beat that the lease row names, once there is one that runs."""
        return wait_until(self._leader, seconds, what=self.text)

    def wait_for_standbys(self) -> None:
        """Wait until somebody leads, and all others are ready to take over."""

        def are_ready() -> bool:
            leader = self._leader()
            return leader is not None and all(
                _index(beat, STANDING_BY) is not None for beat in self.running if beat is not leader
            )

        wait_until(are_ready, SECONDS, what=self.text)

    def sending_of_others(self, but: Iterable[Program]) -> Callable[[], float | None]:
        """From now on: a question that answers when, by the monotonic clock, another than these has sent first."""
        since = {beat.pid: len(beat.lines) for beat in self.all}
        others, begun = set(self.all) - set(but), time.monotonic()

        def ask() -> float | None:
            times = []
            for beat in others:
                lines = beat.lines
                for at in range(since[beat.pid], len(lines)):
                    since[beat.pid] = at + 1
                    if lines[at][0] >= begun and SENT.search(lines[at][1]):
                        times.append(lines[at][0])
                        break
            return min(times, default=None)

        return ask

    def wait_for_sending(self, count: int, seconds: float = SECONDS) -> None:
        """Wait until the fleet, with who joins it, has sent `count` more."""
        since = {beat.pid: len(beat.lines) for beat in self.all}
        seen = 0

        def is_done() -> bool:
            nonlocal seen
            for beat in self.all:
                lines = beat.lines
                end = len(lines)
                seen += sum(1 for _, line in lines[since.get(beat.pid, 0) : end] if SENT.search(line))
                since[beat.pid] = end
            return seen >= count

        wait_until(is_done, seconds, what=self.text)

    def _leader(self) -> Program | None:
        try:
            with self._world.engine.connect() as conn:
                row = conn.execute(text("SELECT holder FROM bb_lease")).scalar()
        except SQLAlchemyError:
            return None
        holder = Holder.parse(row or "")
        return next((beat for beat in self.running if holder and beat.pid == holder.pid), None)


def _index(beat: Program, pattern: re.Pattern[str]) -> int | None:
    return next((at for at, (_, line) in enumerate(list(beat.lines)) if pattern.search(line)), None)
