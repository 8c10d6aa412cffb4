"""Trial: one scenario on one stack, with processes that are killed at given points, and everything that must be true in the end."""

from __future__ import annotations

import json
import secrets
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbeat.canvas import killpoint
from backbeat.canvas.outcome import State
from backbeat.canvas.results.document import Document

from .kill_log import KillLog
from .kill_scenarios import ANY, Scenario
from .kill_tasks import LEASE_SECONDS, LOG, NAME
from .leftovers import Leftovers
from .processes import wait_until
from .stacks import Stack
from .zygote import Fork, Zygote

Plan = tuple[str, ...]
"""The points, as NAME#N, at which a process is killed, in this order."""
SECONDS = 2 * LEASE_SECONDS + 8.0
"""Deadline for everything to have ended, from the last death on; other suites share this machine."""
LOOK_SECONDS = 0.01
QUIET_SECONDS = 0.2
SENT = ("split.stored", "send.sent", "send.sliced")
"""Points of a sender behind which something is sent for good."""
MOST_WORKERS = 8
MOST_DRAINS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a trial ended. `seconds`: from the last death until everything was ready."""

    plan: Plan
    points: Sequence[str]
    killed: Sequence[str]
    runs: int
    repeats: int
    seconds: float
    troubles: Sequence[str]
    story: str


class Trial:
    """One run of a scenario. `stack` may have run others before: nothing of them is left."""

    def __init__(
        self,
        zygote: Zygote,
        stack: Stack,
        leftovers: Leftovers,
        scenario: Scenario,
        directory: Path,
        plan: Plan = (),
    ) -> None:
        self._zygote = zygote
        self._stack = stack
        self._leftovers = leftovers
        self._scenario = scenario
        self._plan = plan
        self._id = f"{scenario.name}-{secrets.token_hex(4)}"
        self._log = directory / f"{self._id}.log"
        self._log.touch()
        doomed = f"{','.join(plan)}@" if plan else ""
        self._environ = {killpoint.VARIABLE: f"{doomed}{self._log}", LOG: str(self._log)}
        self._expected = scenario.expected(self._id)
        self._programs: list[Fork] = []
        self._workers: list[Fork] = []
        self._told = self._doubts = False
        self._died_at = time.monotonic()
        self._troubles: list[str] = []

    def run(self) -> Ended:
        """Play it to its end."""
        seconds = 0.0
        try:
            if self._send():
                if self._scenario.operator == "retry":
                    self._work_until(self._is_settled)
                if self._scenario.operator:
                    self._operate()
                self._work_until(self._is_settled)
                seconds = time.monotonic() - self._died_at
                self._send_again()
                self._thaw()
                self._drain()
        except AssertionError as error:
            self._troubles.append(str(error))
        finally:
            for program in self._programs:
                program.send(signal.SIGKILL)
                program.wait(30)
        log = KillLog(self._log, "+" in self._stack.name)
        self._judge(log)
        return Ended(
            plan=self._plan,
            points=log.points,
            killed=log.killed,
            runs=sum(log.runs.values()),
            repeats=log.repeats,
            seconds=seconds,
            troubles=self._troubles,
            story=self._story(),
        )

    # --- what happens ----------------------------------------------------------------------------------------------------------

    def _send(self) -> bool:
        """Send the canvas. A client that was killed before anything was stored is followed by another one. False if nothing was sent."""
        for _ in range(len(self._plan) + 1):
            client = self._start_client()
            code = client.wait(30)
            assert code in (0, -signal.SIGKILL), f"the client ended with {code}: {client.text}"
            self._doubts = code != 0
            has_stored = any(f"{client.pid} {name}\n" in self._log.read_text() for name in SENT)
            if has_stored or self._scenario.sliced:
                return has_stored
        raise AssertionError("the client was killed again and again")

    def _operate(self) -> None:
        """Do what the scenario says; who was killed while doing it is followed by another one."""
        arguments = [self._stack.broker, self._stack.backend, self._scenario.operator, self._id]
        for _ in range(len(self._plan) + 1):
            operator = self._start("support.kill_client:operator", arguments)
            code = operator.wait(30)
            assert code in (0, -signal.SIGKILL), f"the operator ended with {code}: {operator.text}"
            if code == 0:
                self._died_at = time.monotonic()
                return
        raise AssertionError("the operator was killed again and again")

    def _send_again(self) -> None:
        """What a caller does who does not know whether it was sent: under the same id. It makes no difference, sent or not."""
        if self._doubts and not self._scenario.sliced:
            self._start_client().wait(30)

    def _start_client(self) -> Fork:
        urls = [self._stack.broker, self._stack.backend]
        return self._start("support.kill_client:client", [*urls, self._scenario.name, self._id])

    def _start_worker(self) -> None:
        assert len(self._workers) < MOST_WORKERS, "workers end one after the other"
        options = ["-A", NAME, "-b", self._stack.broker, "--result-backend", self._stack.backend, "-q"]
        self._workers.append(
            self._start("support.kill_client:worker", [*options, "worker", *self._scenario.worker])
        )

    def _start(self, function: str, arguments: list[str]) -> Fork:
        self._programs.append(self._zygote.start(function, arguments, self._environ))
        return self._programs[-1]

    def _work_until(self, is_done: Any) -> None:
        """Keep one worker at work until it is done; the deadline counts from the last death."""
        while not is_done():
            self._look_after()
            assert time.monotonic() < self._died_at + SECONDS, (
                f"not within {SECONDS:.0f} s: {is_done.__name__} {self._documents()} {self._leftovers.count()}"
            )
            self._zygote.listen(LOOK_SECONDS)

    def _look_after(self) -> None:
        """A worker that is no more, or is frozen, is followed by another one."""
        if not self._workers:
            self._died_at = time.monotonic()
            self._start_worker()
            return
        worker = self._workers[-1]
        if worker.code is not None:
            is_well = (worker.code == 0 and self._told) or self._is_excused(worker)
            assert is_well, f"a worker ended with {worker.code}: {worker.text}"
            self._died_at = time.monotonic()
            self._start_worker()
        elif self._scenario.freezes and worker.is_stopped:
            with self._log.open("a") as log:
                log.write(f"{worker.pid} frozen\n")
            self._died_at = time.monotonic()
            self._start_worker()
        elif self._scenario.told_to_stop and not self._told and f" run {self._id}" in self._log.read_text():
            self._told = True
            worker.send(signal.SIGTERM)

    def _is_excused(self, worker: Fork) -> bool:
        """It was killed; or told to stop before it listened to signals, when it had taken nothing."""
        has_begun = f"\n{worker.pid} " in self._log.read_text()
        return worker.code == -signal.SIGKILL or (worker.code == -signal.SIGTERM and not has_begun)

    def _thaw(self) -> None:
        """Let those go on that were stopped: they bring what is done by now."""
        for worker in self._workers:
            if self._scenario.freezes and worker.is_stopped:
                worker.send(signal.SIGCONT)
                worker.send(signal.SIGTERM)
                worker.wait(SECONDS)

    def _drain(self) -> None:
        """Let duplicates be dealt with, then end all workers in order. What a worker holds of RabbitMQ's is seen only after that."""
        for _ in range(MOST_DRAINS):
            self._work_until(self._is_drained)
            self._stop()
            if not self._leftovers.count():
                return
            self._died_at = time.monotonic()
            self._start_worker()

    def _stop(self) -> None:
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        for worker in self._workers:
            code = worker.wait(SECONDS)
            assert code == 0 or self._is_excused(worker), f"a worker ended with {code}: {worker.text}"
        wait_until(self._leftovers.is_let_go)

    # --- what must be true -------------------------------------------------------------------------------------------------------

    def _documents(self) -> dict[str, Document]:
        return {each.id: each for each in self._stack.app.results.get(list(self._expected))}

    def _is_settled(self) -> bool:
        documents = self._documents()
        if self._scenario.sliced and documents[self._id].ready:
            return True  # what a sender that died has not sent is not there
        return all(document.ready for document in documents.values())

    def _is_drained(self) -> bool:
        return not self._leftovers.count() and self._is_quiet()

    def _is_quiet(self) -> bool:
        """What a worker holds of RabbitMQ's is not seen, but that it deals with it is."""
        is_seen = not self._stack.broker.startswith("amqp")
        return is_seen or time.time() - self._log.stat().st_mtime > QUIET_SECONDS

    def _judge(self, log: KillLog) -> None:
        self._troubles += [
            f"{id_} ran again, attempt {attempt}, unexplained" for id_, attempt in log.unexplained
        ]
        if not self._troubles:
            self._troubles += [f"left: {left}"] if (left := self._leftovers.count()) else []
            self._troubles += self._wrong_values(log)
        if self._scenario.early and log.repeats:
            self._troubles.append("a task that was acknowledged early ran twice")

    def _wrong_values(self, log: KillLog) -> list[str]:
        documents = self._documents()
        if self._scenario.operator == "cancel":
            return [
                f"{each} should be revoked" for each in documents.values() if each.state is not State.REVOKED
            ]
        if self._scenario.sliced and (cut := self._cut(log)):
            return [] if cut(documents[self._id]) else [f"{documents[self._id]}"]
        if self._scenario.early and log.lost_early:
            document = documents[self._id]
            is_lost = document.error is not None and document.error.type == "WorkerLostError"
            return [] if is_lost else [f"acknowledged early, and its worker died: {document}"]
        wrong = [
            f"{id_} should give {value!r}: {documents[id_]}"
            for id_, value in self._expected.items()
            if not _gives(documents[id_], value)
        ]
        if self._scenario.freezes:
            first, last = (json.loads(document.value) for document in documents.values())
            wrong += [] if last == first + 1 else [f"{last} was made of something else than {first}"]
        return wrong

    @staticmethod
    def _cut(log: KillLog) -> Any:
        """What must be true of a canvas whose sender was killed; None if it was sent whole."""
        if "send.sealed#1" in log.points or "send.begun#1" not in log.points:
            return None
        if "send.begun#1" in log.killed:
            return lambda document: document.state is State.PENDING
        # in the split store the last slice is stored before it is sent
        if [point for point in log.killed if point.startswith("split.")]:
            return lambda document: _is_interrupted(document) or _gives(document, 9)
        return _is_interrupted

    def _story(self) -> str:
        outputs = "\n".join(
            f"--- {program.pid} ended with {program.code}\n{program.text}" for program in self._programs
        )
        return f"{self._log.read_text()}\n{outputs}"


def _gives(document: Document, value: Any) -> bool:
    return document.state is State.SUCCESS and (value is ANY or json.loads(document.value) == value)


def _is_interrupted(document: Document) -> bool:
    return document.error is not None and document.error.type == "SendInterrupted"
