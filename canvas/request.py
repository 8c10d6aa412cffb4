"""Request: what a running task can know of itself, as `self.request`; the current one is kept for each thread and coroutine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .codec import loads
from .continuation import may_be_member
from .errors import Retry
from .json_text import Json
from .message import Message, iso_of_us


@dataclass(slots=True, kw_only=True)
class Request:
    """One run of a task. Names and meanings are Celery's."""

    id: str | None = None
    task: str | None = None
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    retries: int = 0
    replaced_task_nesting: int = 0
    eta: str | None = None
    expires: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    delivery_info: Mapping[str, Any] = field(default_factory=dict)
    timelimit: tuple[float | None, float | None] = (None, None)
    hostname: str | None = None
    origin: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    ignore_result: bool = False
    stamped_headers: list[str] | None = None
    stamps: Mapping[str, Any] = field(default_factory=dict)
    called_directly: bool = True
    is_eager: bool = False
    children: list[str] = field(default_factory=list)
    max_retries: int | None = None
    """How often it may be retried, where the caller or `self.retry` said so; None: as its task says."""
    growth: str | None = None
    """Under which path the ids of what it adds to its group are derived; None: it is in no group that is waited for."""
    added: list[Json] = field(default_factory=list)
    """What it has added to its group, frozen, in the JSON shape of signatures."""
    retry_asked: Retry | None = None
    """What `self.retry(throw=False)` returned."""


_current: ContextVar[Request | None] = ContextVar("backbeat_request", default=None)


def current_request() -> Request:
    """The request of the task that runs here; outside of a task one that is empty, with `called_directly`."""
    return _current.get() or Request()


def running_request() -> Request | None:
    """The request of the task that runs here, or None."""
    return _current.get()


@contextmanager
def running(request: Request) -> Iterator[Request]:
    """Make `request` the current one."""
    token = _current.set(request)
    try:
        yield request
    finally:
        _current.reset(token)


def request_of(message: Message, hostname: str) -> Request:
    """The request of a message. Raises DecodeError if its arguments are not what they say."""
    return Request(
        id=message.id,
        task=message.task,
        args=loads(message.args),
        kwargs=loads(message.kwargs),
        root_id=message.root_id,
        parent_id=message.parent_id,
        group=message.group_id,
        group_index=message.group_index,
        retries=message.retries,
        replaced_task_nesting=message.replaced_task_nesting,
        eta=None if message.eta_us is None else iso_of_us(message.eta_us),
        expires=None if message.expires_us is None else iso_of_us(message.expires_us),
        headers=message.headers,
        delivery_info={
            "exchange": "",
            "routing_key": message.queue,
            "priority": message.priority,
            "redelivered": None,
        },
        timelimit=(message.time_limit, message.soft_time_limit),
        hostname=hostname,
        origin=message.origin,
        reply_to=message.reply_to,
        correlation_id=message.id,
        ignore_result=message.ignore_result,
        stamped_headers=list(message.stamps) or None,
        stamps=message.stamps,
        called_directly=False,
        growth=f"added:{message.generation}.{message.attempt}" if may_be_member(message.then) else None,
        max_retries=message.max_retries,
    )
