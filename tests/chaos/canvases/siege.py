"""Siege: one stack whose servers are restarted at random while canvases are sent to it; then everything is waited for, and judged."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from backbeat.canvas.codec import loads
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.outcome import State

from support.processes import Program, wait_until
from support.stacks import Stack

from ..moment import wait
from ..own_server import OwnServer
from ..workers.remains import remains_of
from .plan import Broken, drawn, signature_of, value_of

WORKERS, CONCURRENCY = 3, 2
READY_SECONDS = 60.0
SETTLE_SECONDS = 240.0
LONG_OUTAGE_SECONDS, LONG_OUTAGE_EACH = 6.0, 8
FAILED = "failed"
Ending = int | str
"""The value, or FAILED."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a siege came to. `troubles` is all that must not be."""

    stack: str
    seconds: float = 0.0
    canvases: int = 0
    failed: int = 0
    """Of the canvases, those that were to fail."""
    refused: int = 0
    """Sends that found no server, and were repeated."""
    restarts: dict[str, int] = field(default_factory=dict)
    longest_seconds: float = 0.0
    """From the last restart until all had settled."""
    troubles: list[str] = field(default_factory=list)


class Siege:
    """`servers` are those of the stack, which are ours to restart."""

    def __init__(
        self,
        stack: Stack,
        servers: Sequence[OwnServer],
        directory: Path,
        draw: random.Random,
        *,
        logs: Path,
    ) -> None:
        """What workers say is kept in `logs` if anything goes wrong."""
        self._stack = stack
        self._servers = servers
        self._draw = draw
        self._directory = directory
        self._logs = logs
        self._workers: list[Program] = []
        self._wanted: dict[str, Ending] = {}
        self._is_over = threading.Event()
        self._faults: list[BaseException] = []
        self.outcome = Outcome(stack=stack.name)

    def run(self, seconds: float, *, per_second: float) -> Outcome:
        """Send and restart for so long, then wait and judge."""
        begun = time.monotonic()
        sender = threading.Thread(target=self._send, args=(per_second,), daemon=True)
        try:
            for number in range(WORKERS):
                self._start_worker(number)
            for worker in self._workers:
                worker.wait_for("ready$")
            sender.start()
            while time.monotonic() - begun < seconds and not self._faults:
                self._restart()
            self._is_over.set()
            sender.join(READY_SECONDS)
            restarted = time.monotonic()
            self._judge()
            self.outcome.longest_seconds = time.monotonic() - restarted
        finally:
            self._is_over.set()
            for worker in self._workers:
                worker.end()
            if self.outcome.troubles or self._faults:
                self._save(self._logs)
        self.outcome.seconds = time.monotonic() - begun
        return self.outcome

    def _start_worker(self, number: int) -> None:
        arguments = ["-q", *self._stack.options, "worker", "-c", str(CONCURRENCY), "-n", f"w{number}@chaos"]
        self._workers.append(Program(*arguments, cwd=self._directory))

    def _send(self, per_second: float) -> None:
        try:
            draw = random.Random(self._draw.random())
            number = 0
            while not self._is_over.is_set():
                self._send_one(number, draw)
                number += 1
                self._is_over.wait(draw.expovariate(per_second))
        except BaseException as fault:
            self._faults.append(fault)

    def _send_one(self, number: int, draw: random.Random) -> None:
        """Again under the same id until it is sent: whether an earlier try was heard does not matter."""
        plan, x, id_ = drawn(draw), draw.randint(0, 9), f"canvas-{number}"
        try:
            self._wanted[id_] = value_of(plan, x)
        except Broken:
            self._wanted[id_] = FAILED
        while not self._is_over.is_set():
            try:
                self._stack.app.send_signature(signature_of(plan, x), options={"task_id": id_})
            except Unavailable:
                self.outcome.refused += 1
                wait(0.05)
            else:
                return
        del self._wanted[id_]

    def _restart(self) -> None:
        draw = self._draw
        wait(draw.uniform(1.0, 8.0))
        server = draw.choice(self._servers)
        server.end(draw.choice([server.stop_signal, server.crash_signal]))
        restarts = self.outcome.restarts
        count = sum(restarts.values())
        is_long = count % LONG_OUTAGE_EACH == LONG_OUTAGE_EACH - 1
        wait(LONG_OUTAGE_SECONDS if is_long else draw.uniform(0.0, 1.0))
        server.start()
        restarts[server.kind] = restarts.get(server.kind, 0) + 1

    def _save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for number, worker in enumerate(self._workers):
            lines = "".join(f"{at:.3f} {line}\n" for at, line in worker.lines)
            (directory / f"worker-{number}.log").write_text(lines)

    # --- what must be true -------------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        outcome = self.outcome
        outcome.troubles += [f"the sender ended: {fault!r}" for fault in self._faults]
        outcome.canvases = len(self._wanted)
        outcome.failed = sum(wanted == FAILED for wanted in self._wanted.values())
        try:
            wait_until(
                lambda: len(self._endings()) == len(self._wanted), SETTLE_SECONDS, what=self._unsettled
            )
            wait_until(
                lambda: not remains_of(self._stack), SETTLE_SECONDS, what=lambda: str(remains_of(self._stack))
            )
        except AssertionError as error:
            outcome.troubles.append(str(error)[:3_000])
        first = self._endings()
        outcome.troubles += [
            f"{id_} came to {first[id_]!r} in place of {wanted!r}"
            for id_, wanted in self._wanted.items()
            if id_ in first and first[id_] != wanted
        ]
        second = self._endings()
        outcome.troubles += [
            f"{id_} was {first[id_]!r}, later {second.get(id_)!r}"
            for id_ in first
            if second.get(id_) != first[id_]
        ]
        outcome.troubles += [
            f"{worker} ended by itself: {worker.text[-1_000:]}" for worker in self._workers if not worker.runs
        ]

    def _endings(self) -> dict[str, Ending]:
        """How those ended that have."""
        found: dict[str, Ending] = {}
        ids = list(self._wanted)
        with suppress(Unavailable):
            for first in range(0, len(ids), 200):
                for document in self._stack.app.results.get(ids[first : first + 200]):
                    if document.ready:
                        is_value = document.state is State.SUCCESS
                        found[document.id] = loads(document.value) if is_value else FAILED
        return found

    def _unsettled(self) -> str:
        left = sorted(self._wanted.keys() - self._endings().keys())
        return f"{len(left)} canvases have not settled: {left[:10]}, {remains_of(self._stack)}"
