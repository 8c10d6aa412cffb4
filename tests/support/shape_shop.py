"""ShapeShop: an app on a stack, a worker in a thread, and what became of each node of a canvas, read by its id alone in another app."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from backbeat.canvas import App, AsyncResult
from backbeat.canvas.clock import SystemClock
from backbeat.canvas.errors import Ignore
from backbeat.canvas.incarnation import incarnation
from backbeat.canvas.message import CONTROL_QUEUE
from backbeat.canvas.node import Call, calls, freeze
from backbeat.canvas.outcome import Error, repr_of
from backbeat.canvas.perform import Performer
from backbeat.canvas.pools.child import run_job
from backbeat.canvas.pools.solo import SoloPool
from backbeat.canvas.results.document import Document
from backbeat.canvas.signature import Signature
from backbeat.canvas.wiring import limits_of, open_commit, open_results
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.worker import Worker

from .drain import HOSTNAME, drain
from .stacks import Stack

PAST = "2001-01-01T00:00:00+00:00"
SECONDS = 20.0
"""Deadline for a canvas to settle; other suites share this machine."""


class ShapeShop:
    """Its tasks note each start. `told`: which node an error callback was told of, by its place in the canvas, and with what error."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.app = App("shapes", broker=stack.broker, backend=stack.backend, set_as_current=False)
        self.starts: Counter[str] = Counter()
        self._told: list[tuple[str, str]] = []
        self._ids: list[str] = []
        for name, function in (("give", _give), ("show", _show), ("fail", _fail), ("ignore", _ignore)):
            self.app.task(name=name, bind=True)(self._noting(function))
        self.app.task(name="tell")(self._tell)

    # --- signatures ------------------------------------------------------------------------------------------------------------

    def give(self, value: Any) -> Signature:
        """Returns `value`, whatever comes in front of it."""
        return self.app.signature("give", [value])

    def show(self) -> Signature:
        """Returns what it gets."""
        return self.app.signature("show")

    def fail(self) -> Signature:
        """Raises KeyError('broke')."""
        return self.app.signature("fail")

    def ignore(self) -> Signature:
        """Raises Ignore."""
        return self.app.signature("ignore")

    def expired(self) -> Signature:
        """As `show`, and too late."""
        return self.show().set(expires=PAST)

    def unknown(self) -> Signature:
        """No worker has it."""
        return self.app.signature("no.such.task")

    def tell(self) -> Signature:
        """An error callback."""
        return self.app.signature("tell")

    # --- running ---------------------------------------------------------------------------------------------------------------

    def settle(self, canvas: Any, *, revoke: Sequence[int] = ()) -> Settled:
        """Send `canvas`, revoke the calls at these places, and only then let a worker run until nothing is left of it."""
        id_ = str(uuid.uuid4())
        found = list(calls(freeze(canvas.to_node(), id_)))
        self._ids = [call.id for call in found]
        handle = canvas.apply_async(task_id=id_)
        assert sorted(ids_of(handle)) == sorted(self._ids), "the handle does not lead to every node"
        if revoke:
            self.app.revoke([self._ids[place] for place in revoke])
        reader = App("reader", broker=self._stack.broker, backend=self._stack.backend, set_as_current=False)
        with closing(reader):
            with working(self.app):
                is_over = reader.results.wait(self._ids, SECONDS)
            drain(self.app, seconds=0.0)  # error callbacks
            documents = reader.results.get(self._ids)
            shown = [f"{call.task} {each.state}" for call, each in zip(found, documents, strict=True)]
            assert is_over, f"not within {SECONDS:.0f} s: {shown}"
            return Settled(found, documents, [_got(reader, each) for each in self._ids], self._starts())

    @property
    def told(self) -> list[tuple[int, str]]:
        """The place in the canvas and the class of the error, for each call of an error callback."""
        return [(self._ids.index(id_), error) for id_, error in self._told]

    def close(self) -> None:
        self.app.close()

    def _starts(self) -> list[int]:
        return [self.starts[id_] for id_ in self._ids]

    def _noting(self, function: Any) -> Any:
        def run(task: Any, *args: Any) -> Any:
            self.starts[task.request.id] += 1
            return function(*args)

        return run

    def _tell(self, request: Any, exc: Exception, traceback: str) -> None:
        self._told.append((request.id, type(exc).__name__))


@dataclass(frozen=True)
class Settled:
    """What the store says of each call of a canvas, in order; `got`: what `get(timeout=0)` by its id alone returned or raised."""

    calls: Sequence[Call]
    documents: Sequence[Document]
    got: Sequence[Any]
    starts: Sequence[int]
    """How often each of them was started."""

    @property
    def states(self) -> str:
        """The first letter of each state: (S)UCCESS, (F)AILURE, (R)EVOKED, (I)GNORED."""
        return "".join(str(document.state)[0] for document in self.documents)

    def must_blame(self, place: int, error: str) -> None:
        """Whatever failed says that it is because of the call there, and by what: the repr of an exception. Nothing that failed gave a value."""
        broken = self.calls[place].id
        for call, document, got in zip(self.calls, self.documents, self.got, strict=True):
            if document.state == "FAILURE":
                assert document.error is not None
                assert document.error.node == broken, f"{call.task} {call.id} blames {document.error}"
                assert repr_of(_first(document.error)) == error
                assert isinstance(got, Exception)
                assert _first_cause(got) == error
            elif document.state == "REVOKED":
                assert type(got).__name__ == "TaskRevokedError"

    def chord_error(self, place: int) -> str:
        """The text of the ChordError that is the outcome of the call there."""
        got = self.got[place]
        assert type(got).__name__ == "ChordError", got
        return str(got)

    def value(self, place: int) -> Any:
        """What the call there returned."""
        value = self.got[place]
        assert value == json.loads(self.documents[place].value)
        return value


@contextmanager
def working(app: App) -> Iterator[None]:
    """A worker, as the command line makes it but for its pool: the tasks run in its own thread, and are the test's."""
    queues = [str(app.conf.task_default_queue), CONTROL_QUEUE]
    commit, results = (
        open_commit(app.conf, worker=incarnation(HOSTNAME), queues=queues),
        open_results(app.conf),
    )
    performer = Performer(
        commit, results, now_us=SystemClock().now_us, queue_of=app.queue_of, is_early=app.is_early
    )
    pool = SoloPool(lambda job, limit: run_job(job, app.tasks, HOSTNAME, limit))
    limits = limits_of(app.conf)
    worker = Worker(
        commit,
        performer,
        pool,
        LogListener(),
        limits,
        beside=lambda _: closing(results),
        runs_tasks_in_loop=True,
    )
    thread = threading.Thread(target=worker.run, name="worker")
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()


def ids_of(handle: Any) -> Iterator[str]:
    """The ids of all tasks to which a handle leads: its members', and those of what came before it."""
    while handle is not None:
        if isinstance(handle, AsyncResult):
            yield handle.id
        else:
            for member in handle.results:
                yield from ids_of(member)
        handle = handle.parent


def _got(app: App, id_: str) -> Any:
    try:
        return AsyncResult(id_, app=app).get(timeout=0)
    except Exception as exc:
        return exc


def _first(error: Error) -> Error:
    while error.cause is not None:
        error = error.cause
    return error


def _first_cause(exc: BaseException) -> str:
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return repr(exc)


def _give(*args: Any) -> Any:
    return args[-1]


def _show(*args: Any) -> Any:
    return args[0]


def _fail(*args: Any) -> None:
    raise KeyError("broke")


def _ignore(*args: Any) -> None:
    raise Ignore
