"""Eager: runs a canvas here and now, to its end, in the caller's thread: `task.apply()`, and all sending with `task_always_eager`.

It is no second evaluator. Each run has a stage of its own (stage.py): a store in memory, a clock that is moved instead of waited for, and
the flow, the codec and the commits of any worker. So values, states, links, retries and replaced tasks are what they are in a fleet; what
is not: there are no time limits, as nobody could keep them in this thread, and no other workers.

A run within a run (a task that sends another one, with `task_always_eager`) ends before the task goes on. What it left is known to the
outer run from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from msgspec.structs import replace

from . import flow
from .built_in import INNER
from .clock import FakeClock, SystemClock
from .commit.limits import Limits
from .commit.memory import MemoryCommit
from .commit.transition import Transition
from .config import Config
from .eager_result import EagerGroupResult, EagerReader, EagerResult, EagerResults
from .effect import AddPart, Settle
from .execute import execute
from .handles import Handles
from .message import Message
from .node import Node, root_of
from .outcome import Error, Failure, GoingOn, Outcome
from .request import running_request
from .result import Result
from .results.base import Results
from .results.document import to_text
from .sending import send
from .stage import MOST_MESSAGES, Crew, Stage, hostname

Keep = Callable[[Sequence[Transition]], None]
"""Stores endings in the app's result backend."""


class EagerApp(Crew, Protocol):
    """What it needs of an app."""

    conf: Config

    @property
    def results(self) -> Results: ...

    @property
    def backend(self) -> Any: ...


class Eager:
    """Runs canvases of one app. `results` and `backend` are the app's own, for what was sent to a real worker; `keep` is given all that ended."""

    def __init__(
        self,
        crew: Crew,
        results: Callable[[], Results],
        backend: Callable[[], Any],
        *,
        result_bytes: int,
        keep: Keep | None = None,
    ) -> None:
        self._crew = crew
        self._results = results
        self._backend = backend
        self._result_bytes = result_bytes
        self._keep = keep

    def apply(self, node: Node, *, throw: bool) -> Result:
        """Run a frozen canvas to its end; returns its handle.

        With `throw` what a task of it raised is raised here, and is the very exception; but all that follows has been run before.
        Raises Endless for what does not end.
        """
        run = EagerRun(self._crew, self._result_bytes)
        run.play(node)
        if self._keep is not None:
            self._keep(run.endings)
        reader = EagerReader(EagerResults(run.stage.results, self._results), self._backend)
        handle = Handles(reader, EagerResult, EagerGroupResult).of_sent(node)
        if throw:
            run.throw(handle)
        return handle


_outer: ContextVar[EagerRun | None] = ContextVar("backbeat_eager_run", default=None)


class EagerRun:
    """One run. `endings` are what ended in it, but what is of no interest to callers: joins and the like."""

    def __init__(self, crew: Crew, result_bytes: int, *, most: int = MOST_MESSAGES) -> None:
        """`most` messages are run before it counts as endless."""
        self._crew = crew
        self._most = most
        clock = FakeClock(SystemClock().now_us())
        self.stage = Stage(crew, clock, self._run, result_bytes=result_bytes, applied=self._applied)
        self.endings: list[Transition] = []
        self._raised: dict[str, BaseException] = {}
        self._loose: list[Error] = []
        """Failures that no join has taken up: it is for the group's policy to say what its members' mean."""

    def play(self, node: Node) -> None:
        """Run a frozen canvas to its end."""
        request, outer = running_request(), _outer.get()
        root, parent = (request.root_id, request.id) if request is not None else (None, None)
        effects = flow.start(node, root or root_of(node), parent_id=parent)
        send(MemoryCommit(self.stage.store, worker=hostname("client"), limits=Limits()), effects)
        with _entered(self):
            self.stage.run_until(most=self._most)
        if outer is not None:
            with outer.stage.store.changed:
                outer.stage.store.state.documents.update(self.stage.store.state.documents)

    def throw(self, handle: Result) -> None:
        """Raise what broke `handle`; if nothing did, what broke a callback. Nothing, if all went well."""
        for document in self.stage.results.get(list(handle.value_ids())):
            self._throw(document.error)
        handle.get()  # that no task of it raised anything does not mean that it went well: it may have expired
        for error in self._loose:
            self._throw(error)

    def _throw(self, error: Error | None) -> None:
        """Raise what the task raised that broke; that is the error's node, whatever else failed because of it."""
        if error is not None and error.node in self._raised:
            raise self._raised[error.node]

    def _run(self, message: Message) -> Outcome:
        return execute(
            message,
            self._crew.tasks,
            hostname("eager"),
            now_us=self.stage.clock.now_us,
            is_eager=True,
            raised=lambda exc: self._raised.__setitem__(message.id, exc),
        )

    def _applied(self, transition: Transition) -> None:
        message, outcome = transition.message, transition.outcome
        settled = tuple(effect for effect in transition.effects if isinstance(effect, Settle))
        if not any(isinstance(effect, AddPart) for effect in transition.effects):
            ends = (outcome, *(effect.outcome for effect in settled))
            self._loose += [end.error for end in ends if isinstance(end, Failure)]
        if message is None or outcome is None or isinstance(outcome, GoingOn) or message.task in INNER:
            message = outcome = None
        if message is not None or settled:
            ending = Transition(
                message=message,
                outcome=outcome,
                effects=settled,
                children=transition.children,
                started_us=transition.started_us,
            )
            self.endings.append(ending)
            if message is not None and message.ignore_result:
                self._know(replace(ending, message=replace(message, ignore_result=False)))

    def _know(self, ending: Transition) -> None:
        """The caller has a handle that needs no store, so it may know also what nobody else wants to."""
        now_us, store = self.stage.clock.now_us(), self.stage.store
        document = ending.document(now_us=now_us, worker=hostname("eager"), extended=True)
        if document is not None:
            with store.changed:
                store.state.documents[document.id] = to_text(document)


@contextmanager
def _entered(run: EagerRun) -> Iterator[None]:
    token = _outer.set(run)
    try:
        yield
    finally:
        _outer.reset(token)
