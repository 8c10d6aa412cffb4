"""Request: what a running task can know of itself, as `self.request`; the current one is kept for each thread and coroutine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .codec import loads
from .continuation import may_be_member
from .embed import embed_of
from .errors import Retry
from .json_text import Json
from .mark import plain
from .message import Message, iso_of_us
from .wire import properties_of, repr_of


@dataclass(slots=True, kw_only=True)
class Request:
    """One run of a task. Names and meanings are Celery's; the headers that its sender gave it can be read as attributes, too."""

    utc: ClassVar[bool] = True
    loglevel: ClassVar[int | None] = None
    logfile: ClassVar[str | None] = None

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
    timelimit: list[float | None] = field(default_factory=lambda: [None, None])
    """[hard, soft], in seconds."""
    hostname: str | None = None
    origin: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    shadow: str | None = None
    ignore_result: bool = False
    called_directly: bool = True
    is_eager: bool = False
    stamped_headers: list[str] | None = None
    stamps: Mapping[str, Any] = field(default_factory=dict)
    children: list[Any] = field(default_factory=list)
    """Handles of what it sent so far."""
    task_object: Any = field(default=None, repr=False)
    """The task that runs."""
    max_retries: int | None = None
    """How often it may be retried, where the caller or `self.retry` said so; None: as its task says."""
    growth: str | None = None
    """Under which path the ids of what it adds to its group are derived; None: it is in no group that is waited for."""
    added: list[Json] = field(default_factory=list)
    """What it has added to its group, frozen, in the JSON shape of signatures."""
    retry_asked: Retry | None = None
    """What `self.retry(throw=False)` returned."""
    tell: Callable[[str, Json], bool] | None = None
    """Passes on what it says of itself; None: it says so to the store."""
    told: tuple[str, Json] | None = None
    """The last of it: a state and a value."""
    message: Message | None = field(default=None, repr=False)
    """What it came as."""

    @property
    def time_limit(self) -> float | None:
        return self.timelimit[0]

    @property
    def soft_time_limit(self) -> float | None:
        return self.timelimit[1]

    @property
    def name(self) -> str | None:
        """As `task`: receivers of signals read a request so."""
        return self.task

    @property
    def taskset(self) -> str | None:
        """Celery's old name of `group`."""
        return self.group

    @property
    def callbacks(self) -> list[dict[str, Any]] | None:
        """Its links, in the JSON shape of signatures."""
        return self._embedded("callbacks")

    @property
    def errbacks(self) -> list[dict[str, Any]] | None:
        """Its error callbacks, likewise; among them what tells the rest of its canvas."""
        return self._embedded("errbacks")

    @property
    def chain(self) -> list[dict[str, Any]] | None:
        """The steps that travel along, the last one first. Those that the store keeps are one `backbeat.next`."""
        return self._embedded("chain")

    @property
    def chord(self) -> None:
        """None: the body of a chord waits in the store, see `chain`."""
        return

    @property
    def properties(self) -> dict[str, Any]:
        """Those of its message, such as `correlation_id`, `reply_to`, `priority` and `content_type`."""
        return {} if self.message is None else properties_of(self.message)

    @property
    def argsrepr(self) -> str | None:
        return None if self.message is None else repr_of(plain(self.message.args))

    @property
    def kwargsrepr(self) -> str | None:
        return None if self.message is None else repr_of(plain(self.message.kwargs))

    @property
    def execution_options(self) -> dict[str, Any]:
        """The options with which another call would be one like this."""
        hard, soft = self.timelimit
        options: dict[str, Any] = {
            "task_id": self.id,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "group_id": self.group,
            "group_index": self.group_index,
            "shadow": self.shadow,
            "chord": self.chord,
            "chain": self.chain,
            "link": self.callbacks,
            "link_error": self.errbacks,
            "expires": self.expires,
            "soft_time_limit": soft,
            "time_limit": hard,
            "headers": dict(self.headers),
            "retries": self.retries,
            "reply_to": self.reply_to,
            "replaced_task_nesting": self.replaced_task_nesting,
            "origin": self.origin,
        }
        if self.stamped_headers is not None:
            options["stamped_headers"] = self.stamped_headers
            options |= {name: self.stamps[name] for name in self.stamped_headers if name in self.stamps}
        return options

    def as_execution_options(self) -> dict[str, Any]:
        """As `execution_options`."""
        return self.execution_options

    def get(self, name: str, default: Any = None) -> Any:
        """A field, or a header; `default` if there is none of that name."""
        return getattr(self, name, default)

    def __getattr__(self, name: str) -> Any:
        """A header of the sender's own."""
        if not name.startswith("_") and name not in Request.__slots__ and name in self.headers:
            return self.headers[name]
        raise AttributeError(f"the request has no {name!r}, and no header of that name")

    def _embedded(self, name: str) -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] | None = None if self.message is None else embed_of(self.message)[name]
        return found


Context = Request
"""Celery's name."""


_current: ContextVar[Request | None] = ContextVar("backbeat_request", default=None)


def current_request() -> Request:
    """The request of the task that runs here; outside of a task one that is empty, with `called_directly`."""
    return _current.get() or Request()


def running_request() -> Request | None:
    """The request of the task that runs here, or None."""
    return _current.get()


class running:  # noqa: N801 - used as what contextlib has, which costs a microsecond for each task
    """Make `request` the current one."""

    __slots__ = ("_request", "_token")

    def __init__(self, request: Request) -> None:
        self._request = request

    def __enter__(self) -> Request:
        self._token = _current.set(self._request)
        return self._request

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


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
        timelimit=[message.time_limit, message.soft_time_limit],
        hostname=hostname,
        origin=message.origin,
        reply_to=message.reply_to,
        correlation_id=message.id,
        shadow=message.shadow,
        ignore_result=message.ignore_result,
        stamped_headers=list(message.stamps) or None,
        stamps=message.stamps,
        called_directly=False,
        growth=f"added:{message.generation}.{message.attempt}" if may_be_member(message.then) else None,
        message=message,
        max_retries=message.max_retries,
    )
