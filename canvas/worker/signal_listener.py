"""SignalListener: tells the receivers of signals what a worker does, in the worker's own process; a Listener, of which each worker has one.

What a run itself tells comes from the process that runs it (run_report.py). A receiver is called in the worker's loop: who takes long holds up all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .. import signals
from ..application import App
from ..commit.taken import Taken
from ..commit.transition import Transition
from ..errors import DecodeError
from ..failure import exception_of
from ..message import Message
from ..outcome import Failure, Outcome, Rejected, Revoked, is_refusal
from ..publish_signals import published
from ..request import Request, request_of
from ..task import Task


class SignalListener:
    """Of the worker called `node`. `worker` is the sender of what happens to it, once it is made."""

    def __init__(self, node: str, app: App) -> None:
        self._node = node
        self._tasks, self._conf = app.tasks, app.conf
        self.worker: Any = None

    def made(self, worker: Any) -> None:
        """The worker is there, and takes nothing yet."""
        self.worker = worker
        signals.celeryd_after_setup.send(self._node, instance=worker, conf=self._conf)
        signals.worker_init.send(worker)

    def ready(self) -> None:
        signals.worker_ready.send(self.worker)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """While the worker runs."""
        try:
            yield
        finally:
            signals.worker_shutdown.send(self.worker)

    def started(self, message: Message) -> None:
        if signals.task_received.receivers:
            signals.task_received.send(self._node, request=self._request(message))

    def applied(self, transition: Transition, seconds: float | None) -> None:  # noqa: ARG002 - a Listener's
        if transition.effects and signals.after_task_publish.receivers:
            published(transition.effects)
        message, outcome = transition.message, transition.outcome
        if message is not None and outcome is not None:
            self._ended(message, outcome)
        elif message is None and transition.dead is not None and transition.closes is None:
            signals.task_rejected.send(self._node, message=transition.dead.raw, exc=transition.dead.reason)

    def lost(self, taken: Taken, reason: str) -> None:
        """Nothing: it is handed back, and no end of it."""

    def passed(self, busy: int, fault: str = "") -> None:
        """Nothing to tell."""

    def _ended(self, message: Message, outcome: Outcome) -> None:
        match outcome:
            case Revoked(reason=reason) if signals.task_revoked.receivers:
                signals.task_revoked.send(
                    self._sender(message),
                    request=self._request(message),
                    terminated=reason == "terminated",
                    signum=None,
                    expired=reason == "expired",
                )
            case Rejected(reason=reason):
                signals.task_rejected.send(self._node, message=message, exc=reason)
            case Failure() if is_refusal(outcome) and outcome.error.type == "NotRegistered":
                exc = exception_of(outcome.error)
                signals.task_unknown.send(
                    self._node, message=message, exc=exc, name=message.task, id=message.id
                )
            case Failure() if is_refusal(outcome):
                signals.task_rejected.send(self._node, message=message, exc=exception_of(outcome.error))
            case Failure() if outcome.error.type in _KILLED and not outcome.traceback:
                self._killed(message, outcome)

    def _killed(self, message: Message, failure: Failure) -> None:
        """The process that ran it could not tell."""
        if signals.task_failure.receivers:
            request = self._request(message)
            signals.task_failure.send(
                self._sender(message),
                task_id=message.id,
                exception=exception_of(failure.error),
                args=request.args,
                kwargs=request.kwargs,
                traceback=None,
                einfo=None,
            )

    def _sender(self, message: Message) -> Task[Any, Any] | str:
        return self._tasks.get(message.task) or message.task

    def _request(self, message: Message) -> Request:
        try:
            return request_of(message, self._node)
        except DecodeError:
            return Request(id=message.id, task=message.task, called_directly=False, message=message)


_KILLED = frozenset({"WorkerLostError", "TimeLimitExceeded"})
