"""TaskAttributes: a task's options as attributes, as Celery projects say and read them: of a class of tasks, or of one task.

What is true is the attribute: `options` is a checked copy of all of them, made when it is first asked for, and anew after one was set. Options
that a task leaves open read as the app's setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, cast

from msgspec import Struct

from . import errors
from .argument_key import check_key_format
from .known_settings import DEFAULTS
from .retry_call import RetryCall
from .retrying import DELAY_SECONDS, LONGEST_BACKOFF_SECONDS, MAX_RETRIES, Retrying
from .sender import Sender, default_sender
from .task_options import NUMBERS, OPTION_NAMES, TaskOptions, check_options, options_of, retry_options
from .unique_call import check_task
from .value import number_of

_NUMBERS = frozenset({*NUMBERS, "default_retry_delay"})
"""Those that are kept as numbers of Python's own, whatever they are set to."""


def check_limit_key(name: str, limit_key: Any, run: Callable[..., Any]) -> None:
    """Refuse a limit_key that names what the task has no parameter for. Raises ImproperlyConfigured."""
    if isinstance(limit_key, str):
        try:
            check_key_format("limit_key", limit_key, run)
        except errors.ImproperlyConfigured as error:
            raise errors.ImproperlyConfigured(f"task {name}: {error}") from None


class _FromSetting:
    """An attribute that reads as a setting of the task's app where neither the task nor its class has it."""

    def __init__(self, setting: str) -> None:
        self._setting = setting

    def __get__(self, task: TaskAttributes | None, owner: type) -> Any:
        if task is None:
            return None
        return task.setting(self._setting)


def _from_setting(name: str) -> Any:
    """As `_FromSetting`, for type checkers, which shall see the type that the class says."""
    return _FromSetting(name)


class _Checked(Struct, frozen=True):
    """What the attributes come to."""

    options: TaskOptions
    retrying: Retrying
    retry_kwargs: RetryCall


class TaskAttributes:
    """A task's name, its app and its options. `run` is its function as callers see it."""

    name: str = ""
    bound_app: Sender | None = None
    run: Callable[..., Any]

    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    priority: int | None = _from_setting("task_default_priority")
    expires: Any = None
    serializer: str | None = _from_setting("task_serializer")
    ignore_result: bool | None = _from_setting("task_ignore_result")
    acks_late: bool | None = _from_setting("task_acks_late")
    track_started: bool | None = _from_setting("task_track_started")
    time_limit: float | timedelta | None = _from_setting("task_time_limit")
    soft_time_limit: float | timedelta | None = _from_setting("task_soft_time_limit")
    rate_limit: Any = _from_setting("task_default_rate_limit")
    limit_key: Any = None
    limit_concurrency: int | None = None
    store_eager_result: bool | None = _from_setting("task_store_eager_result")
    store_errors_even_if_ignored: bool | None = None
    acks_on_failure_or_timeout: bool | None = True
    reject_on_worker_lost: bool | None = True
    max_retries: int | None = MAX_RETRIES
    default_retry_delay: float | timedelta = DELAY_SECONDS
    autoretry_for: Sequence[type[Exception]] = ()
    dont_autoretry_for: Sequence[type[Exception]] = ()
    throws: Sequence[type[Exception]] = ()
    retry_backoff: bool | float | timedelta = False
    retry_backoff_max: float | timedelta = LONGEST_BACKOFF_SECONDS
    retry_jitter: bool = True
    retry_kwargs: Mapping[str, Any] = MappingProxyType({})
    typing: bool | None = None
    trail: bool = True
    send_events: bool = True
    resultrepr_maxsize: int = 1024

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _NUMBERS and (number := number_of(value)) is not None:
            value = number
        object.__setattr__(self, name, value)
        if name in OPTION_NAMES or name == "name":
            self.__dict__.pop("_checked", None)

    @property
    def app(self) -> Any:
        """The app that it belongs to; for a shared task the current one. Raises ImproperlyConfigured if there is none."""
        return self.bound_app if self.bound_app is not None else default_sender()

    def setting(self, name: str) -> Any:
        """The app's setting; its default while there is no app."""
        try:
            conf: Mapping[str, Any] = self.app.conf
        except errors.ImproperlyConfigured:
            conf = DEFAULTS
        return conf[name]

    @property
    def options(self) -> TaskOptions:
        """What the task itself, or its class, says. Raises TypeError or ImproperlyConfigured for what cannot be meant."""
        return self._known.options

    @property
    def retrying(self) -> Retrying:
        return self._known.retrying

    @property
    def retry_queue(self) -> str | None:
        """The queue that `retry_kwargs` names for its next runs."""
        queue: str | None = self._retry_call.options.get("queue")
        return queue

    @property
    def _retry_call(self) -> RetryCall:
        return self._known.retry_kwargs

    @property
    def _known(self) -> _Checked:
        known = self.__dict__.get("_checked")
        if known is None:
            options = options_of(self.name, self._said())
            check_options(self.name, options)
            check_task(self.name, options.unique(), self.run)
            check_limit_key(self.name, options.limit_key, self.run)
            known = _Checked(options, *retry_options(self.name, options))
            self.__dict__["_checked"] = known
        return cast("_Checked", known)

    def _said(self) -> dict[str, Any]:
        """The options that the task or one of its classes says."""
        said: dict[str, Any] = {}
        for names in (*(vars(cls) for cls in reversed(type(self).__mro__)), self.__dict__):
            said |= {name: names[name] for name in OPTION_NAMES.intersection(names)}
        return {name: value for name, value in said.items() if not isinstance(value, _FromSetting | property)}
