"""Fleet: the workers of a run, as their users start them, each with a number that its tasks know."""

from __future__ import annotations

import itertools
import os
import random
import signal
from pathlib import Path

from support.processes import Program, wait_until
from support.stacks import Stack

from ..crew import Crew
from ..moment import now_us
from . import tasks
from .blow import Blow, BlowKind

SECONDS = 60.0
CONCURRENCY = 2
READY = r"ready$"


class Workers(Crew):
    """`size` workers, `CONCURRENCY` tasks side by side in each."""

    def __init__(
        self,
        stack: Stack,
        directory: Path,
        journal: Path,
        *,
        size: int,
        lease_seconds: float,
        grace_seconds: float,
    ) -> None:
        super().__init__("worker")
        self._directory = directory
        self._environ = {tasks.JOURNAL: str(journal), tasks.LEASE: str(lease_seconds)}
        grace = ["--grace", str(grace_seconds)]
        self._arguments = ["-q", *stack.options, "worker", "-c", str(CONCURRENCY), *grace]
        self._grace_seconds = grace_seconds
        self._numbers: dict[int, int] = {}
        self._next = itertools.count(1)
        self.size = size

    def fill(self) -> None:
        """Start as many as are missing."""
        for _ in range(self.size - len(self.running)):
            number = next(self._next)
            environ = {**self._environ, tasks.WORKER: str(number)}
            name = ["-n", f"w{number}@chaos"]
            program = Program(*self._arguments, *name, cwd=self._directory, environ=environ)
            self._numbers[program.pid] = number
            self.all.append(program)

    def number_of(self, program: Program) -> int:
        return self._numbers[program.pid]

    @property
    def ready(self) -> list[Program]:
        """Those that run and consume."""
        return [program for program in self.running if program.lines_like(READY)]

    def wait_for_ready(self, count: int) -> list[Program]:
        """Wait until so many consume."""
        return wait_until(lambda: ready if len(ready := self.ready) >= count else [], SECONDS, what=self.text)

    def kill(self, victim: Program, kind: BlowKind, draw: random.Random, busy: set[int]) -> Blow | None:
        """SIGKILL; `busy` are the processes that run tasks now, of which a CHILD is one if it can be. None: there was no such process."""
        if kind is BlowKind.CHILD:
            children = [pid for pid in victim.processes if pid != victim.pid]
            chosen = sorted(busy & set(children)) or children
            return None if not chosen else self._kill_child(victim, draw.choice(chosen))
        self.expected_ends.add(victim.pid)
        at_us = now_us()
        if kind is BlowKind.PARENT:
            victim.send(signal.SIGKILL)
        else:
            victim.send_to_group(signal.SIGKILL)
        victim.wait()
        return Blow(kind=kind, worker=self.number_of(victim), pid=victim.pid, at_us=at_us, fatal_us=now_us())

    def _kill_child(self, victim: Program, pid: int) -> Blow | None:
        at_us = now_us()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return Blow(
            kind=BlowKind.CHILD, worker=self.number_of(victim), pid=pid, at_us=at_us, fatal_us=now_us()
        )

    def stop(self, *programs: Program) -> list[Blow]:
        """SIGTERM to all of them at once, and wait for their end, which must be in order."""
        blows = []
        for program in programs:
            self.expected_ends.add(program.pid)
            at_us = now_us()
            program.send(signal.SIGTERM)
            fatal_us = at_us + round(self._grace_seconds * 1e6)
            blows.append(
                Blow(
                    kind=BlowKind.STOP,
                    worker=self.number_of(program),
                    pid=program.pid,
                    at_us=at_us,
                    fatal_us=fatal_us,
                )
            )
        for program in programs:
            code = program.wait()
            # who is told to stop before it has said anything has no handler yet
            early = code == -signal.SIGTERM and not program.text
            assert code == 0 or early, f"{program} ended with {code}: {program.text[-3000:]}"
        return blows
