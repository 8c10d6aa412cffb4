"""ByHand: the outcome of a task that somebody else than a worker says, as `app.backend.store_result` is told."""

from __future__ import annotations

from typing import Any

from .codec import dumps
from .errors import ImproperlyConfigured
from .failure import error_of, traceback_of
from .outcome import Ending, Failure, Ignored, Rejected, Revoked, State, Success


def outcome_by_hand(id_: str, result: Any, state: str, traceback: Any = None) -> Ending:
    """How task `id_` ended. `traceback` is a text; without one it is that of the exception.

    Raises ImproperlyConfigured for a state that is no ending, TypeError for a failure without an exception, EncodeError for a value that
    JSON cannot hold.
    """
    match state:
        case State.SUCCESS:
            return Success(value=dumps(result))
        case State.FAILURE:
            if not isinstance(result, BaseException):
                raise TypeError(f"task {id_}: FAILURE is stored with an exception, found {result!r:.80}")
            text = traceback_of(result) if traceback is None else str(traceback)
            return Failure(error=error_of(result, id_), traceback=text)
        case State.REVOKED:
            return Revoked(reason=str(result or "revoked"))
        case State.REJECTED:
            return Rejected(reason=str(result or ""))
        case State.IGNORED:
            return Ignored()
    raise ImproperlyConfigured(
        f"task {id_}: {state!r:.80} is not how a task ends. Store SUCCESS, FAILURE, REVOKED, REJECTED or IGNORED; what it is doing "
        "a running task says itself"
    )
