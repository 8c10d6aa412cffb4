"""CommitWorld: one store, as many workers as a test wants, and the verbs that tests of Commit are written in."""

from __future__ import annotations

import secrets
import time
from typing import Any

from backbeat.canvas.clock import FakeClock
from backbeat.canvas.commit.base import Commit
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.continuation import JoinRecord
from backbeat.canvas.effect import AddPart, Effect, OpenJoin, Publish
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import CONTROL_QUEUE, DEFAULT_QUEUE, Message
from backbeat.canvas.outcome import Error, Failure, Success
from backbeat.canvas.own_tasks import JOIN_TASK
from backbeat.canvas.results.document import Document

LIVING = Limits(lease_seconds=60.0)
DYING = Limits(lease_seconds=0.06)
"""For workers that a test lets die: see `pass_lease`."""
SECONDS = 20.0
"""The deadline of whatever should happen."""


def ok(value: object) -> Success:
    return Success(value=Json(str(value)))


def broken(text: str = "broken") -> Failure:
    return Failure(error=Error(type="ValueError", text=text))


class CommitWorld:
    """A backend, and the commits that were opened on it."""

    def __init__(self, backend: Any, kind: str) -> None:
        self.backend = backend
        self.kind = kind
        self.mark = secrets.token_hex(4)
        self._opened: list[Commit] = []
        self._messages = 0

    def open(self, worker: str = "", limits: Limits = LIVING, **known: Any) -> Commit:
        """A worker of its own; it dies when it is closed and its lease is over."""
        commit = self.backend.open(worker or f"w{len(self._opened)}", limits=limits, **known)
        self._opened.append(commit)
        return commit

    def message(self, name: str = "", **known: Any) -> Message:
        self._messages += 1
        return Message(id=f"{name or self._messages}-{self.mark}", task="t", queue=DEFAULT_QUEUE, **known)

    def send(self, *messages: Message) -> None:
        self.do(self.open("client"), *(Publish(message) for message in messages))

    def do(self, commit: Commit, *effects: Effect) -> None:
        (standing,) = commit.exchange([Transition(effects=effects)]).standing
        assert standing is None

    def take(self, commit: Commit, count: int = 1, seconds: float = SECONDS) -> list[Taken]:
        """Take until there are `count`, or the deadline has passed."""
        taken: list[Taken] = []
        deadline = time.monotonic() + seconds
        while True:
            taken += commit.exchange([], take=count - len(taken)).taken
            if len(taken) >= count or time.monotonic() >= deadline:
                return taken
            commit.sweep()
            commit.wait(0.01)

    def take_any(self, commits: list[Commit], count: int = 1, seconds: float = SECONDS) -> list[Taken]:
        """Take from whichever gets them: RabbitMQ deals messages out among consumers."""
        taken: list[Taken] = []
        deadline = time.monotonic() + seconds
        while len(taken) < count and time.monotonic() < deadline:
            for commit in commits:
                taken += self.take(commit, 1, 0.01)
        return taken

    def none(self, commit: Commit) -> bool:
        """True if nothing comes, although a little while is waited."""
        return not self.take(commit, 1, 0.1)

    def join_messages(self, commit: Commit, count: int = 1, seconds: float = SECONDS) -> list[str]:
        taken = self.take(commit, count, seconds)
        assert all(item.message and item.message.task == JOIN_TASK for item in taken)
        assert all(item.delivery.queue == CONTROL_QUEUE for item in taken)
        commit.exchange([Transition(delivery=item.delivery) for item in taken])
        return [item.message.args[2:-2] for item in taken if item.message]

    def open_join(self, commit: Commit, size: int | None, name: str = "join", **known: Any) -> str:
        join_id = f"{name}-{self.mark}"
        self.do(commit, OpenJoin(JoinRecord(join_id=join_id, then=None, root_id="root"), size, **known))
        return join_id

    def document(self, id_: str) -> Document:
        results = self.backend.results()
        try:
            (document,) = results.get([id_])
        finally:
            results.close()
        return document

    def pass_lease(self) -> None:
        """Let the leases of DYING be over; those of LIVING too where the clock is moved."""
        self.backend.pass_lease()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, really only where the clock cannot be moved."""
        clock = getattr(self.backend, "clock", None)
        if isinstance(clock, FakeClock):
            clock.advance(seconds)
        else:
            time.sleep(seconds)

    def now_us(self) -> int:
        return self.backend.now_us()

    def close(self) -> None:
        for commit in self._opened:
            commit.close()
        self.backend.clear()
        self.backend.close()


def part(join_id: str, index: int, value: object = None) -> AddPart:
    return AddPart(join_id, index, f"member{index}", ok(index if value is None else value))
