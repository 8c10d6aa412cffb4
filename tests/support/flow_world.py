"""The flow harness: workers that take, run, die and come back around one store, driven step by step from one seed.

A crash may strike before every single effect: before and after each call of the Commit seam and, where an implementation consists of
several steps (split), between these. Whoever crashes forgets everything; what it held comes back after its lease.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from backbeat.canvas import flow
from backbeat.canvas.commit.base import Commit
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.transition import Exchange, Transition
from backbeat.canvas.effect import Effect, Publish, planned
from backbeat.canvas.json_text import Json, json_value
from backbeat.canvas.message import Message
from backbeat.canvas.node import Node, root_of
from backbeat.canvas.node_data import node_to_data
from backbeat.canvas.outcome import Error, Failure, Ignored, Outcome, Replaced, Retry, Success
from backbeat.canvas.perform import Execute, Performer
from backbeat.canvas.results.base import Results
from backbeat.canvas.sending import send
from msgspec.structs import replace

from support.random_canvas import replacement_of

QUEUES = ("celery", "backbeat")
CALM = Limits(max_lost=1_000)
"""Where nobody dies no claim must run out, however slow the machine is."""


class Crash(Exception):
    """The process dies here."""


class Backend(Protocol):
    """One implementation under test, with a store of its own."""

    patience_seconds: float
    """How long a canvas may take to settle, where things happen by themselves; 0 where nothing does."""

    def open(self, worker: str, crash: Callable[[str], None] = ..., **known: Any) -> Commit:
        """A new worker's Commit; it calls `crash(where)` wherever it may die inside. `known`: role, limits, queues."""
        ...

    def results(self) -> Results: ...

    def now_us(self) -> int: ...

    def pass_lease(self) -> None:
        """Let so much time pass that the leases of the dead are over."""
        ...

    def clear(self) -> None:
        """Delete all that is stored."""
        ...

    def close(self) -> None: ...


class CrashingCommit:
    """A Commit that may die before and after each exchange, and that may send messages twice."""

    def __init__(self, inner: Commit, world: FlowWorld) -> None:
        self._inner = inner
        self._world = world

    def exchange(self, transitions: Sequence[Transition], *, take: int = 0) -> Exchange:
        self._world.maybe_crash("before exchange")
        doubled = [replace(t, effects=self._world.doubled(t.effects)) for t in transitions]
        exchange = self._inner.exchange(doubled, take=take)
        self._world.maybe_crash("after exchange")
        return exchange

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@dataclass
class Faults:
    duplicates: float = 0.0
    crashes: float = 0.0


class FlowWorld:
    """Runs canvases to the end under faults, from one random generator."""

    def __init__(self, backend: Backend, rng: random.Random, faults: Faults, workers: int = 2) -> None:
        self.backend = backend
        self.rng = rng
        self.faults = faults
        self.executions = 0
        self.starts: Counter[str] = Counter()
        """Runs of each task, by id."""
        self.attempts: Counter[tuple[str, int, int]] = Counter()
        """Runs by id, generation and attempt."""
        self._serial = 0
        self._known: dict[str, Any] = {} if faults.crashes else {"limits": CALM}
        self._seats = [self._new_worker() for _ in range(workers)]

    def maybe_crash(self, where: str) -> None:
        if self.rng.random() < self.faults.crashes:
            raise Crash(where)

    def doubled(self, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        out: list[Effect] = []
        for effect in effects:
            out.append(effect)
            if isinstance(effect, Publish) and self.rng.random() < self.faults.duplicates:
                out.append(effect)
        return tuple(out)

    def send(self, node: Node) -> bool:
        """Send a canvas as a client would; False if the sender died."""
        client = CrashingCommit(self.backend.open("client", self.maybe_crash), self)
        try:
            started = flow.start(node, root_of(node), inline_limit=self.rng.choice([0, 2_000]))
            effects = [*started, *planned(node, root_of(node), None)]
            send(client, [routed(effect) for effect in effects])  # type: ignore[arg-type]
        except Crash:
            return False
        finally:
            client.close()  # type: ignore[operator]
        return True

    def run(self) -> None:
        """Work until nothing moves any more."""
        # where time passes by itself, the caller looks again if this was too early
        idle, enough = 0, 1 if self.backend.patience_seconds else 3
        while idle < enough:
            if self.step():
                idle = 0
            else:
                idle += 1
                self.backend.pass_lease()
                self._sweep_calmly()

    def step(self) -> bool:
        """Let one worker take and run a little; False if there was nothing for it."""
        seat = self.rng.randrange(len(self._seats))
        try:
            return self._work(*self._seats[seat])
        except Crash:
            self._seats[seat][0].close()  # type: ignore[operator]
            self._seats[seat] = self._new_worker()
            return True

    def close(self) -> None:
        for commit, _ in self._seats:
            commit.close()  # type: ignore[operator]

    def _sweep_calmly(self) -> None:
        commit, performer = self._seats[0]
        performer_faults, self.faults = self.faults, Faults()
        try:
            for record in commit.sweep():
                performer.settle_interrupted(record)  # type: ignore[operator]
        finally:
            self.faults = performer_faults

    def _new_worker(self) -> tuple[CrashingCommit, Performer]:
        self._serial += 1
        inner = self.backend.open(f"worker{self._serial}", self.maybe_crash, **self._known)
        commit = CrashingCommit(inner, self)
        return commit, Performer(commit, self.backend.results(), now_us=self.backend.now_us)  # type: ignore[arg-type]

    def _work(self, commit: CrashingCommit, performer: Performer) -> bool:
        taken = performer.commit([], take=self.rng.randint(1, 3))
        transitions = []
        for item in taken:
            route = performer.route(item)
            if isinstance(route, Execute):
                self.maybe_crash("before the task")
                route = performer.finished(item, route.message, self._execute(route.message))
            transitions.append(route)
        self.rng.shuffle(transitions)
        if transitions:
            performer.commit(transitions)
        return bool(taken)

    def _execute(self, message: Message) -> Outcome:
        """Every run of a task returns another value, so that a duplicate that won could be told. Whatever failed is repaired meanwhile."""
        self.executions += 1
        self.starts[message.id] += 1
        self.attempts[message.id, message.generation, message.attempt] += 1
        match message.task:
            case "fail" if message.generation == 0:
                text = f"run {self.executions}"
                return Failure(error=Error(type="ValueError", text=text, args=Json(json.dumps([text]))))
            case "ignored":
                return Ignored()
            case "replaced":
                return Replaced(canvas=json_value(node_to_data(replacement_of(message), json.loads)))
            case "retry" if message.retries < 2:
                return Retry(eta_us=self.backend.now_us())
        return Success(value=Json(json.dumps([self.executions])))


def routed(effect: Effect) -> Effect:
    """A client chooses the queue of messages that name none."""
    if isinstance(effect, Publish) and not effect.message.queue:
        return replace(effect, message=replace(effect.message, queue=QUEUES[0]))
    return effect
