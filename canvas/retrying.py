"""Retrying: what a task's options say about running it again: after which exceptions, after how long, how often. PURE.

It is the policy only, checked once where the task is defined. `Task.retry_after` asks it after an exception, `Task.retry` for its limit.

The delays of `retry_backoff` double with each attempt, and what is waited is drawn between nothing and that, so that tasks which failed
together do not come back together ("full jitter": Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). The draw
is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from .errors import Ignore, ImproperlyConfigured, MaxRetriesExceededError, Reject, Retry
from .value import SECONDS, flag, number_of

MAX_RETRIES = 3
DELAY_SECONDS = 180.0
LONGEST_BACKOFF_SECONDS = 600.0
FIRST_BACKOFF_SECONDS = 1.0
"""What `retry_backoff=True` begins with."""
_ORDERS = (Retry, Ignore, Reject, MaxRetriesExceededError)
"""What a task raises to say how it ends; never a reason to run it again."""
_DOUBLINGS = 900
"""More would leave what a float can hold; the longest delay is reached long before."""

Exceptions = tuple[type[Exception], ...]


class Retrying(Struct, frozen=True, kw_only=True):
    """The policy of one task."""

    retry_for: Exceptions = ()
    never_for: Exceptions = ()
    expected: Exceptions = ()
    """Exceptions that are no surprise (`throws`): they end the task as others do, but nobody needs a traceback in the log."""
    max_retries: int | None = MAX_RETRIES
    """None: without end."""
    delay_seconds: float = DELAY_SECONDS
    backoff_seconds: float | None = None
    """The first delay of an exponential backoff; None: there is none."""
    longest_seconds: float = LONGEST_BACKOFF_SECONDS
    jitter: bool = True

    def wants(self, exc: BaseException) -> bool:
        """True if `exc` asks for another run."""
        return isinstance(exc, self.retry_for) and not isinstance(exc, (*_ORDERS, *self.never_for))

    def backoff(self, attempt: int, draw: float) -> float | None:
        """Seconds to wait after `attempt` (0 is the first one) failed; `draw` is from 0 to 1. None: there is no backoff."""
        if self.backoff_seconds is None:
            return None
        delay = min(self.longest_seconds, self.backoff_seconds * 2.0 ** min(attempt, _DOUBLINGS))
        return delay * draw if self.jitter else delay


def retrying_of(options: Mapping[str, Any]) -> Retrying:
    """The policy of a task's options, all of which are given. Raises ImproperlyConfigured that says which is wrong and what to write."""
    return Retrying(
        retry_for=_exceptions("autoretry_for", options),
        never_for=_exceptions("dont_autoretry_for", options),
        expected=_exceptions("throws", options),
        max_retries=_max_retries(options["max_retries"]),
        delay_seconds=_seconds("default_retry_delay", options["default_retry_delay"]),
        backoff_seconds=_backoff(options["retry_backoff"]),
        longest_seconds=_seconds("retry_backoff_max", options["retry_backoff_max"]),
        jitter=flag("retry_jitter", options["retry_jitter"]),
    )


def count_of(value: object) -> int | None:
    """The number of retries that `value` is; None if it is none."""
    number = number_of(value)
    return number if isinstance(number, int) and number >= 0 else None


def _exceptions(name: str, options: Mapping[str, Any]) -> Exceptions:
    value = options[name]
    if isinstance(value, type) and issubclass(value, Exception):
        raise ImproperlyConfigured(f"{name} must be a tuple: write {name}=({value.__name__},)")
    if not isinstance(value, tuple | list | set | frozenset):
        raise ImproperlyConfigured(f"{name} must be a tuple of exception classes, found {value!r:.100}")
    for item in value:
        if not (isinstance(item, type) and issubclass(item, Exception)):
            raise ImproperlyConfigured(
                f"{name} must hold subclasses of Exception, found {item!r:.100}; write {name}=(OSError, ...)"
            )
    return tuple(value)


def _max_retries(value: Any) -> int | None:
    if value is None or (count := count_of(value)) is not None:
        return None if value is None else count
    raise ImproperlyConfigured(
        f"max_retries must be a whole number from 0 on, or None to retry without end, found {value!r:.100}"
    )


def _backoff(value: Any) -> float | None:
    if isinstance(value, bool):
        return FIRST_BACKOFF_SECONDS if value else None
    if number_of(value) is None:
        raise ImproperlyConfigured(
            f"retry_backoff must be True, False, or the seconds of the first delay, found {value!r:.100}"
        )
    return _seconds("retry_backoff", value) or None


def _seconds(name: str, value: Any) -> float:
    return float(SECONDS(name, value))
