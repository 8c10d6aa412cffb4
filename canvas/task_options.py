"""TaskOptions: what a task was given when it was defined, checked; `@app.task(...)` and `@shared_task(...)` make it. See task.py.

What type checkers are told of the same options stands in task_option_types.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal

from msgspec import Struct, field

from .errors import BackbeatError, ImproperlyConfigured
from .options import checked
from .quota import check_quota
from .rate import rate_of
from .retry_call import RetryCall, retry_call
from .retrying import DELAY_SECONDS, LONGEST_BACKOFF_SECONDS, MAX_RETRIES, Exceptions, Retrying, retrying_of
from .value import check_limits, flag, key, number_of, optional

SENT_OPTIONS = frozenset(
    {
        "queue",
        "priority",
        "expires",
        "ignore_result",
        "time_limit",
        "soft_time_limit",
        "exchange",
        "routing_key",
        "serializer",
    }
)
"""Options of a task that each of its messages carries, unless the caller says otherwise."""


NUMBERS = ("priority", "expires", "time_limit", "soft_time_limit", "max_retries", "limit_concurrency")
"""Those that are kept as numbers of Python's own, whatever they were given as."""
FIXED: dict[str, tuple[tuple[Any, ...], str]] = {
    "acks_on_failure": (
        (True, None),
        "a task that failed is acknowledged with its outcome; raise Reject to keep its message",
    ),
    "acks_on_failure_or_timeout": (
        (True, None),
        "a task that failed is acknowledged with its outcome; raise Reject to keep its message",
    ),
    "acks_on_timeout": ((True, None), "a task that reached its time limit has failed, and is acknowledged"),
    "compression": ((None,), "messages are not compressed"),
    "delivery_mode": ((None, 2, "persistent"), "every message is durable"),
    "exchange_type": ((None, "direct"), "the type of an exchange is said in the setting task_queues"),
    "immediate": ((None, False), "brokers have no such flag any more"),
    "mandatory": ((None, False, True), "the app's own queues are declared before anything is sent there"),
    "backend": ((None,), "the results of all tasks are kept where the setting result_backend says"),
    "reject_on_worker_lost": (
        (True, None),
        "a task whose process died runs again, up to the setting task_max_lost",
    ),
    "retry_on_worker_lost": (
        (False, None),
        "a task whose process died runs again, up to the setting task_max_lost",
    ),
    "store_errors_even_if_ignored": ((False, None), "who wants the error of a task cannot ignore its result"),
    "Strategy": (
        (None, "celery.worker.strategy:default"),
        "a worker has one way to take messages; hooks and signals tell of it",
    ),
    "Request": (
        (None, "celery.worker.request:Request"),
        "a worker has one kind of request; hooks and signals tell of it",
    ),
}
"""Options of Celery's that have one value here: which may be given, and why no other."""
WITHOUT_MEANING = (
    "abstract",
    "lazy",
    "resultrepr_maxsize",
    "send_events",
    "shared",
    "store_eager_result",
    "track_started",
)
"""Options of Celery's by which nothing changes here, whatever they say: see docs/tasks.md."""


class TaskOptions(Struct, frozen=True, kw_only=True):
    """What `@app.task(...)` was given. Values that are None were not given."""

    bind: bool = False
    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    priority: int | None = None
    expires: float | None = None
    serializer: str | None = None
    ignore_result: bool | None = None
    acks_late: bool | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    rate_limit: str | float | None = None
    limit_key: str | Callable[..., str | None] | None = None
    limit_concurrency: int | None = None
    max_retries: int | None = MAX_RETRIES
    default_retry_delay: float | timedelta = DELAY_SECONDS
    autoretry_for: Exceptions = ()
    dont_autoretry_for: Exceptions = ()
    throws: Exceptions = ()
    retry_backoff: bool | float | timedelta = False
    retry_backoff_max: float | timedelta = LONGEST_BACKOFF_SECONDS
    retry_jitter: bool = True
    retry_kwargs: Mapping[str, Any] = field(default_factory=dict)
    unique_key: bool | str | Callable[..., str | None] | None = None
    unique_scope: Literal["pending", "running"] | float | timedelta | None = None
    unique_conflict: Literal["existing", "replace", "raise"] | None = None
    typing: bool = True
    trail: bool = True
    pydantic: bool = False
    pydantic_strict: bool = False
    pydantic_context: Mapping[str, Any] | None = None
    pydantic_dump_kwargs: Mapping[str, Any] | None = None

    def unique(self) -> dict[str, Any]:
        """Those that say whether two of its tasks may be there at once (see unique.py)."""
        known = {
            "unique_key": self.unique_key,
            "unique_scope": self.unique_scope,
            "unique_conflict": self.unique_conflict,
        }
        return {name: value for name, value in known.items() if value is not None}

    def sent(self) -> dict[str, Any]:
        """Those that go with each message."""
        found = {name: getattr(self, name) for name in SENT_OPTIONS}
        return {name: value for name, value in found.items() if value is not None}


OPTION_NAMES = frozenset({*TaskOptions.__struct_fields__, *FIXED, *WITHOUT_MEANING})
"""What a class of tasks may say as attributes."""


def options_of(name: str, given: Mapping[str, Any]) -> TaskOptions:
    """The options that are `given` to the task `name`. Raises TypeError, with a suggestion, for one that does not exist."""
    given = dict(given)
    for option, (values, reason) in FIXED.items():
        if (value := given.pop(option, None)) not in values:
            raise TypeError(
                f"task {name}: {option} cannot be {value!r}, it is always {values[0]!r}: {reason}"
            )
    for option in WITHOUT_MEANING:
        given.pop(option, None)
    if given.get("typing", True) is None:
        del given["typing"]
    for option in given:
        if option not in TaskOptions.__struct_fields__:
            near = difflib.get_close_matches(option, TaskOptions.__struct_fields__, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = ", ".join(("name", *TaskOptions.__struct_fields__))
            raise TypeError(f"task {name}: there is no option {option!r}{hint or '.'} Options are: {known}.")
    # what is no number is left, to be refused with the others
    numbers = {option: number_of(given[option]) for option in NUMBERS if option in given}
    return TaskOptions(**given | {option: number for option, number in numbers.items() if number is not None})


def check_options(name: str, options: TaskOptions) -> None:
    """Refuse a name or an option that no message could have, or that cannot be meant. Raises ImproperlyConfigured."""
    key("a task's name", name)
    try:
        for option in (
            "bind",
            "ignore_result",
            "acks_late",
            "typing",
            "trail",
            "pydantic",
            "pydantic_strict",
        ):
            optional(flag)(option, getattr(options, option))
        sent = checked(options.sent())
        check_limits(sent)
        rate_of("rate_limit", options.rate_limit)
        check_quota(options.limit_key, options.limit_concurrency)
        if isinstance(expires := sent.get("expires"), float) and expires <= 0:
            raise ImproperlyConfigured(
                f"expires must be above 0, as no run would be in time, found {expires}"
            )
    except BackbeatError as error:
        raise ImproperlyConfigured(f"task {name}: {error}") from None


def retry_options(name: str, options: TaskOptions) -> tuple[Retrying, RetryCall]:
    """The retry policy of a task, checked. Raises ImproperlyConfigured."""
    where = f"task {name}: "
    try:
        retrying = retrying_of({option: getattr(options, option) for option in TaskOptions.__struct_fields__})
        where += "retry_kwargs: "
        asked = retry_call(options.retry_kwargs)
        # a running task may compute a time that is over already; nobody writes one down
        if isinstance(asked.when, int | float) and asked.when < 0:
            raise ImproperlyConfigured(f"countdown must not be negative, found {asked.when}")
    except (TypeError, BackbeatError) as error:
        raise ImproperlyConfigured(f"{where}{error}") from None
    return retrying, asked
