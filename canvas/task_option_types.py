"""TaskOptionTypes: what `@app.task(...)` and `@shared_task(...)` take, for type checkers. What each means is said in task_options.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict


class TaskOptionTypes(TypedDict, total=False):
    """The options besides `bind` and `name`; None is as if it were not given, but for `max_retries`, where it means without end."""

    base: type[Any] | None
    queue: str | None
    routing_key: str | None
    priority: int | None
    expires: float | timedelta | datetime | str | None
    serializer: str | None
    ignore_result: bool | None
    time_limit: float | timedelta | None
    soft_time_limit: float | timedelta | None
    max_retries: int | None
    default_retry_delay: float | timedelta
    autoretry_for: Sequence[type[Exception]]
    dont_autoretry_for: Sequence[type[Exception]]
    throws: Sequence[type[Exception]]
    retry_backoff: bool | float | timedelta
    retry_backoff_max: float | timedelta
    retry_jitter: bool
    retry_kwargs: Mapping[str, Any]
    acks_late: bool
    track_started: bool | None
    reject_on_worker_lost: Literal[True] | None
    retry_on_worker_lost: Literal[False] | None
    acks_on_failure: Literal[True] | None
    acks_on_failure_or_timeout: Literal[True] | None
    acks_on_timeout: Literal[True] | None
    store_eager_result: bool | None
    store_errors_even_if_ignored: Literal[False] | None
    resultrepr_maxsize: int
    typing: bool | None
    trail: bool
    send_events: bool
    shared: bool
    lazy: bool
    abstract: bool
    backend: None
    compression: None
    delivery_mode: Literal[2, "persistent"] | None
    exchange: str | None
    exchange_type: Literal["direct"] | None
    immediate: Literal[False] | None
    mandatory: bool | None
    Strategy: str | None
    Request: str | None
    rate_limit: str | float | None
    limit_key: str | Callable[..., str | None] | None
    limit_concurrency: int | None
    pydantic: bool
    pydantic_strict: bool
    pydantic_context: Mapping[str, Any] | None
    pydantic_dump_kwargs: Mapping[str, Any] | None
    unique_key: bool | str | Callable[..., str | None] | None
    unique_scope: Literal["pending", "running"] | float | timedelta | None
    unique_conflict: Literal["existing", "replace", "raise"] | None
