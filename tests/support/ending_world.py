"""EndingWorld: a client and one worker over any store, and every way in which the task at one place of a tree can end.

What ends a task is made as a worker makes it: by `execute`, by the claims of the store, by the worker's hard limit; not written down as an
outcome. A process that dies is played: its claim is given back as lost, as a worker does that sees a child die.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from backbeat.canvas import App, flow
from backbeat.canvas.commit.base import Commit
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.mailbox import Mailbox
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import planned
from backbeat.canvas.errors import Ignore, Reject, SoftTimeLimitExceeded
from backbeat.canvas.execute import execute
from backbeat.canvas.json_text import Json
from backbeat.canvas.node import Call, Node, calls, root_of
from backbeat.canvas.outcome import Failure, Outcome, State
from backbeat.canvas.perform import Execute, Performer
from backbeat.canvas.pools.base import Job
from backbeat.canvas.results.document import Document
from backbeat.canvas.sending import send
from backbeat.canvas.worker.running import RunningTasks
from backbeat.canvas.worker.task_limits import TaskLimits
from msgspec.structs import replace

from .backends import MemoryBackend
from .flow_world import Backend, routed
from .random_canvas import PAST
from .trees import TELL, changed

LIMITS = Limits(max_lost=3)
RESULT_BYTES = 10_000
UNREADABLE = Json('[{"__type__": "of nobody", "__value__": 1}]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a task ends: its state, the class of the error that all is blamed on, and how often it is started.

    `text`: the argument of that error where the task's own document has none, as it did not fail.
    """

    state: State
    error: str
    starts: int = 1
    text: str = ""


ENDINGS: Mapping[str, Ending] = {
    "fails": Ending(state=State.FAILURE, error="ValueError"),
    "exhausts its retries": Ending(state=State.FAILURE, error="ValueError", starts=3),
    "expires": Ending(state=State.REVOKED, error="TaskRevokedError", starts=0, text="expired"),
    "is revoked": Ending(state=State.REVOKED, error="TaskRevokedError", starts=0, text="revoked"),
    "is not known": Ending(state=State.FAILURE, error="NotRegistered"),
    "ignores": Ending(state=State.IGNORED, error="Ignore", text="the task asked to be ignored"),
    "rejects": Ending(state=State.REJECTED, error="Reject", text="not mine"),
    "reaches its soft limit": Ending(state=State.FAILURE, error="SoftTimeLimitExceeded"),
    "reaches its hard limit": Ending(state=State.FAILURE, error="TimeLimitExceeded"),
    "loses its process": Ending(state=State.FAILURE, error="WorkerLostError", starts=3),
    "exits": Ending(state=State.FAILURE, error="SystemExit"),
    "cannot be read": Ending(state=State.FAILURE, error="Reject", starts=0),
    "has arguments that cannot be read": Ending(state=State.FAILURE, error="Reject"),
    "has a result that cannot be encoded": Ending(state=State.FAILURE, error="EncodeError"),
    "has a result that is too large": Ending(state=State.FAILURE, error="EncodeError"),
}


def ending_at(tree: Node, place: int, name: str) -> Node:
    """`tree` with the call at that place ending so."""

    def change(call: Call) -> Call:
        match name:
            case "is revoked" | "cannot be read":
                return call
            case "expires":
                return replace(call, options={"expires": PAST})
            case "has arguments that cannot be read":
                return replace(call, args=UNREADABLE)
            case "reaches its hard limit":
                return replace(call, task=name, options={"time_limit": 0.5})
        return replace(call, task=name)

    return changed(tree, place, change)


def ending_app() -> App:
    """The tasks. A value is the id of the task that returned it."""
    app = App("endings", set_as_current=False)
    app.task(name="ok", bind=True)(lambda task, *_: task.request.id)
    app.task(name=TELL)(lambda *_: None)
    app.task(name="exits")(lambda *_: sys.exit(3))
    app.task(name="has a result that cannot be encoded")(lambda *_: object())
    app.task(name="has a result that is too large")(lambda *_: "x" * RESULT_BYTES)
    for name, exc in (
        ("fails", ValueError("broken")),
        ("ignores", Ignore()),
        ("rejects", Reject("not mine")),
        ("reaches its soft limit", SoftTimeLimitExceeded("the task ran longer than its soft time limit")),
    ):
        app.task(name=name)(_raiser(exc))

    @app.task(name="exhausts its retries", bind=True, max_retries=2)
    def exhaust(task: Any, *_: Any) -> None:
        raise task.retry(exc=ValueError("broken"), countdown=0)

    return app


class EndingWorld:
    """Plays canvases to their end, one after the other, on one backend; in memory each has a new one."""

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend = backend
        self._app = ending_app()
        self.starts: Counter[str] = Counter()
        """Runs of each task, by id, of the canvas that was played last."""

    def settle(self, tree: Node, name: str, broken: Call) -> dict[str, Document]:
        """Play the frozen `tree`, whose call `broken` ends so, until nothing moves; what is known then of each call and error callback."""
        backend = self._backend or MemoryBackend()
        if name == "cannot be read":
            assert isinstance(backend, MemoryBackend)
            backend.store.state.mail = _Garbling(broken.id)
        self.starts = Counter()
        ids = [call.id for call in calls(tree)]
        with closing(backend.open("client", limits=LIMITS)) as client:
            if name == "is revoked":
                client.revoke([broken.id])
            effects = [*planned(tree, root_of(tree), None), *flow.start(tree, root_of(tree))]
            send(client, [routed(effect) for effect in effects])
        with closing(backend.open("worker", limits=LIMITS)) as commit:
            self._work(backend, commit, ids)
        return {document.id: document for document in backend.results().get(ids)}

    def _work(self, backend: Backend, commit: Commit, ids: list[str]) -> None:
        performer = Performer(commit, backend.results(), now_us=backend.now_us, result_bytes=RESULT_BYTES)
        deadline, transitions = time.monotonic() + backend.patience_seconds, []
        while True:
            taken = performer.commit(transitions, take=1)
            transitions = [
                each for item in taken if (each := self._ended(commit, performer, item, backend.now_us))
            ]
            if not taken:
                is_over = all(document.ready for document in backend.results().get(ids))
                if is_over or time.monotonic() > deadline:
                    return
                backend.pass_lease()
                commit.sweep()

    def _ended(
        self, commit: Commit, performer: Performer, taken: Taken, now_us: Callable[[], int]
    ) -> Transition | None:
        route = performer.route(taken)
        if isinstance(route, Transition):
            return route
        self.starts[route.message.id] += 1
        if route.message.task == "loses its process":
            commit.release([taken], lost=True)
            return None
        return performer.ended(taken, route.message, self._outcome(route, now_us))

    def _outcome(self, route: Execute, now_us: Callable[[], int]) -> Outcome:
        if route.message.time_limit:
            return _overdue(route)
        return execute(route.message, self._app.tasks, "celery@test", now_us=now_us)


class _Garbling(Mailbox):
    """A mailbox in which the body of one message is lost."""

    def __init__(self, doomed: str) -> None:
        super().__init__()
        self._doomed = doomed

    def put(self, queue: str, text: str) -> None:
        envelope = json.loads(text)
        if envelope["headers"]["id"] == self._doomed:
            text = json.dumps({**envelope, "body": "no base64"})
        super().put(queue, text)


class _Pool:
    """A pool whose processes die when they are told to."""

    def kill(self, key: str, signum: int = 9) -> None:
        pass

    def submit(self, jobs: list[Job]) -> None:
        pass

    def since(self, key: str) -> float:
        return 100.0


def _overdue(route: Execute) -> Failure:
    """What the worker makes of a task that its hard limit ends."""
    running = RunningTasks(_Pool(), TaskLimits())  # type: ignore[arg-type]
    (job,) = running.enter([route])
    running.kill_overdue(now=101.0)
    fate = running[job.key].fate
    assert isinstance(fate, Failure)
    return fate


def _raiser(exc: BaseException) -> Any:
    def run(*_: Any) -> None:
        raise exc

    return run
