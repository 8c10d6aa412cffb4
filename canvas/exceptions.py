"""Exceptions: all names that Celery projects import from its module of this name. Those that we raise are our errors (errors.py).

The others are here to be caught or raised by projects; each says whether backbeat ever raises it.
"""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn

from .errors import (
    BackbeatError,
    ChordError,
    DecodeError,
    EncodeError,
    Ignore,
    ImproperlyConfigured,
    IncompleteStream,
    MaxRetriesExceededError,
    MessageError,
    NotRegistered,
    Reject,
    Retry,
    SignatureError,
    SoftTimeLimitExceeded,
    TaskError,
    TaskPredicate,
    TaskRevokedError,
    TimeLimitExceeded,
    TimeoutError,  # noqa: A004 - Celery's name
    Unavailable,
    WorkerLostError,
)

CeleryError = BackbeatError
OperationalError = Unavailable
"""A broker or store cannot be reached."""
BackendError = Unavailable
BackendGetMetaError = Unavailable
BackendStoreError = Unavailable
InvalidTaskError = MessageError
"""A message is no task message."""
SecurityError = SignatureError
"""A message must not be believed."""


class AlreadyRegistered(TaskError):
    """Never raised: a task of the same name takes the other's place, as in Celery."""


class QueueNotFound(KeyError, TaskError):
    """Never raised: a queue that is missing is made."""


class Terminated(BackbeatError):
    """Never raised: a task that is terminated gets SystemExit, and ends as REVOKED."""


class WorkerShutdown(SystemExit):
    """Never raised. A task that raises it ends as failed, and its worker goes on: stop a worker by SIGTERM."""


class WorkerTerminate(SystemExit):
    """As WorkerShutdown."""


class CeleryWarning(UserWarning):
    """Base of warnings. Never given: those of backbeat are UserWarning itself."""


class AlwaysEagerIgnored(CeleryWarning):
    """Never given."""


class DuplicateNodenameWarning(CeleryWarning):
    """Never given."""


class DuplicateTaskNameWarning(CeleryWarning):
    """Never given."""


class FixupWarning(CeleryWarning):
    """Never given."""


class NotConfigured(CeleryWarning):
    """Never given: without a broker ImproperlyConfigured is raised."""


class SecurityWarning(CeleryWarning):
    """Never given."""


class CPendingDeprecationWarning(PendingDeprecationWarning):
    """Never given."""


class CDeprecationWarning(DeprecationWarning):
    """Never given."""


class CeleryCommandException(BackbeatError):
    """An error of a command, with the code that the program exits with. Never raised."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def reraise(tp: type[BaseException], value: BaseException, tb: TracebackType | None = None) -> NoReturn:  # noqa: ARG001 - Celery's
    """Raise `value` with the traceback `tb`."""
    raise value.with_traceback(tb)


__all__ = [
    "AlreadyRegistered",
    "AlwaysEagerIgnored",
    "BackendError",
    "BackendGetMetaError",
    "BackendStoreError",
    "CDeprecationWarning",
    "CPendingDeprecationWarning",
    "CeleryCommandException",
    "CeleryError",
    "CeleryWarning",
    "ChordError",
    "DecodeError",
    "DuplicateNodenameWarning",
    "DuplicateTaskNameWarning",
    "EncodeError",
    "FixupWarning",
    "Ignore",
    "ImproperlyConfigured",
    "IncompleteStream",
    "InvalidTaskError",
    "MaxRetriesExceededError",
    "NotConfigured",
    "NotRegistered",
    "OperationalError",
    "QueueNotFound",
    "Reject",
    "Retry",
    "SecurityError",
    "SecurityWarning",
    "SoftTimeLimitExceeded",
    "TaskError",
    "TaskPredicate",
    "TaskRevokedError",
    "Terminated",
    "TimeLimitExceeded",
    "TimeoutError",
    "WorkerLostError",
    "WorkerShutdown",
    "WorkerTerminate",
    "reraise",
]
