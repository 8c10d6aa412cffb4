"""Errors: one tree, root BackbeatError; catch by meaning. The names that Celery users know keep Celery's names.

Those in SHARED_WITH_CELERY are recorded in result documents under the module `celery.exceptions` and read back as ours, so that
clients of both kinds can catch them (see failure.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


class BackbeatError(Exception):
    """Root of all errors of backbeat."""


class ImproperlyConfigured(BackbeatError):
    """A setting, URL or argument is wrong; the text says which one and what to write."""


class EncodeError(BackbeatError):
    """A value cannot be written in the wanted format."""


class DecodeError(BackbeatError):
    """Bytes are not what they claim to be."""


class MessageError(DecodeError):
    """A message is not a task message. `task_id` is its id where one could be read, `headers` what else it says of itself."""

    def __init__(
        self, reason: str, task_id: str | None = None, headers: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(reason)
        self.task_id = task_id
        self.headers = headers or {}


class SignatureError(MessageError):
    """A message must not be believed: it is not signed, or not by a key that may send it. It has no `task_id`, as that may be forged."""


class Unavailable(BackbeatError):
    """A broker, result store or database cannot be reached; trying again later may help."""


class TaskError(BackbeatError):
    """Base of what ends or diverts a task."""


class TimeoutError(TaskError):  # noqa: A001 - Celery's name
    """A result was not ready in the time given."""


class UnknownResult(TaskError):
    """There is nothing to wait for: the task was never sent, or its record is gone."""


class IncompleteStream(TaskError):
    """A task has not ended, so it is not known yet what it led to (see `AsyncResult.iterdeps`)."""


class NotRegistered(TaskError, KeyError):
    """The worker, or the app, has no task of this name."""

    __str__ = Exception.__str__


class ChordError(TaskError):
    """A member of a group failed, so what was to follow the group cannot run."""


class TaskRevokedError(TaskError):
    """The task was revoked or expired before it ran."""


class MaxRetriesExceededError(TaskError):
    """The task asked to be retried more often than it may."""


class WorkerLostError(TaskError):
    """The process that ran the task died, more often than is allowed."""


class JoinLost(TaskError):
    """The store no longer has the join or the chain that a task was to report to."""


class SendInterrupted(TaskError):
    """The process that was sending a large canvas died before it had sent all of it."""


class UniqueConflict(TaskError):
    """Another task has the `unique_key` of what was to be sent, and `unique_conflict` is "raise". `task_id` is the one that has it."""

    def __init__(self, key: str, task_id: str) -> None:
        super().__init__(key, task_id)
        self.key = key
        self.task_id = task_id

    def __str__(self) -> str:
        return f"task {self.task_id} has the unique key {self.key!r}"


class SoftTimeLimitExceeded(TaskError):
    """The soft time limit was reached; the task may clean up."""


class TimeLimitExceeded(TaskError):
    """The hard time limit was reached and the task was killed."""


class TaskPredicate(TaskError):
    """Base of what a task raises to say how it ends: Ignore, Reject and Retry."""


class Ignore(TaskPredicate):
    """Raised by a task: its outcome shall not be recorded; what depends on it fails."""


class Replaced(Ignore):
    """Raised by `self.replace()`: another canvas takes the place of this run. `canvas` is its node."""

    def __init__(self, canvas: Any) -> None:
        super().__init__(canvas)
        self.canvas = canvas

    def __str__(self) -> str:
        return "the task is replaced by another canvas"


class Reject(TaskPredicate):
    """Raised by a task: refuse the message; with `requeue`, hand it back to be delivered again."""

    def __init__(self, reason: object = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue


class Retry(TaskPredicate):
    """Raised by `self.retry()`: run this task again, at `when`."""

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | None = None,
        when: datetime | float | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, exc, when)
        self.message = message
        self.exc = exc
        self.when = when
        self.fields = fields

    def __str__(self) -> str:
        reason = f": {self.exc!r}" if self.exc is not None else ""
        return self.message or f"Retry {self.when}{reason}"


SHARED_WITH_CELERY: dict[str, type[BackbeatError]] = {
    cls.__name__: cls
    for cls in (
        ImproperlyConfigured,
        TaskError,
        TimeoutError,
        IncompleteStream,
        NotRegistered,
        ChordError,
        TaskRevokedError,
        MaxRetriesExceededError,
        WorkerLostError,
        SoftTimeLimitExceeded,
        TimeLimitExceeded,
        Ignore,
        Reject,
        Retry,
    )
}
