"""Config: an app's settings under Celery's lower-case names. Names are checked: a misspelt one is an error with a suggestion.

Defaults are Celery's but for those of decisions C2: tasks are acknowledged late, one message is prefetched, started tasks can be told
from waiting ones, children come from a fork server, results hold their task's name and arguments.
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeVar

from .annotations import read_annotations
from .declared_queue import read_queues
from .errors import ImproperlyConfigured
from .former_settings import FORMER
from .known_settings import DEFAULTS, OBEYED
from .route import read_routes
from .setting import read_setting

T = TypeVar("T")


_ONLY: dict[str, Any] = {
    "accept_content": ["json"],
    "result_serializer": "json",
    "task_protocol": 2,
    "task_serializer": "json",
}
"""Settings of which this version knows one value; any other is refused, as obeying it half would lose something."""


_ENVIRONMENT = {
    "broker_url": ("BACKBEAT_BROKER_URL", "CELERY_BROKER_URL"),
    "result_backend": ("BACKBEAT_RESULT_BACKEND", "CELERY_RESULT_BACKEND"),
    "security_keys": ("BACKBEAT_SECURITY_KEYS",),
    "webhook_secret": ("BACKBEAT_WEBHOOK_SECRET",),
}
"""The variables that a setting is read from where nothing was given, the first one first."""


class Config(MutableMapping[str, Any]):
    """Settings, as attributes and as items. Raises ImproperlyConfigured for a name that does not exist, and a value that cannot be."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_edition", 0)
        object.__setattr__(self, "_kept", {})
        self.update(values or {})

    def __getitem__(self, name: str) -> Any:
        values = self._values  # each message that is sent looks up some thirty settings
        if name in values:
            return values[name]
        try:
            return DEFAULTS[name]
        except KeyError:
            _check(name)
            raise

    def __setitem__(self, name: str, value: Any) -> None:
        _check(name)
        read = _read(name, value)
        _check_value(name, read)
        self._values[name] = read
        self._changed()

    def __delitem__(self, name: str) -> None:
        self._values.pop(name, None)
        self._changed()

    def __contains__(self, name: object) -> bool:
        return name in DEFAULTS

    def __iter__(self) -> Iterator[str]:
        return iter(DEFAULTS)

    def __len__(self) -> int:
        return len(DEFAULTS)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    @property
    def edition(self) -> int:
        """Another number after each setting that was given. What is inside a list or a mapping may change without it."""
        return int(self._edition)

    def kept(self, read: Callable[[Config], T]) -> T:
        """What `read` makes of the settings, asked once in each edition; for who is asked for each message, and looks into no list or mapping."""
        known: tuple[int, T] | None = self._kept.get(read)
        if known is not None and known[0] == self._edition:
            return known[1]
        value = read(self)
        self._kept[read] = self._edition, value
        return value

    def _changed(self) -> None:
        object.__setattr__(self, "_edition", self._edition + 1)

    def is_set(self, name: str) -> bool:
        """True if the value was given, and is not the default."""
        _check(name)
        return name in self._values

    @contextmanager
    def lent(self, values: Mapping[str, Any]) -> Iterator[None]:
        """In the block these are set; afterwards all settings are as they were."""
        before = dict(self._values)
        self.update(values)
        try:
            yield
        finally:
            self._values.clear()
            self._values.update(before)
            self._changed()

    def read_environment(self, environ: Mapping[str, str] = os.environ) -> None:
        """Take broker and result backend from the environment where nothing was given: BACKBEAT_..., then Celery's names.

        The path of the file of keys comes from BACKBEAT_SECURITY_KEYS.
        """
        for name, variables in _ENVIRONMENT.items():
            if name in self._values:
                continue  # each message that is sent asks, and each look into the environment costs a microsecond
            found = next(filter(None, map(environ.get, variables)), None)
            if found:
                self[name] = found


def _read(name: str, value: Any) -> Any:
    match name:
        case "task_annotations":
            return read_annotations(name, value)
        case "task_routes":
            return read_routes(name, value)
        case "task_queues":
            read_queues(name, value)
            return value if value is None or isinstance(value, Mapping | list) else list(value)
        case _:
            return read_setting(name, value)


def _check_value(name: str, value: Any) -> None:
    if name in _ONLY and value != _ONLY[name]:
        raise ImproperlyConfigured(
            f"{name} = {value!r} is not supported by this version; it knows {_ONLY[name]!r} only"
        )
    if name not in OBEYED and value != DEFAULTS[name]:
        text = f"setting {name!r} is known, but this version does not obey it yet"
        warnings.warn(text, UserWarning, stacklevel=4)


def _check(name: str) -> None:
    if name in DEFAULTS:
        return
    if name in FORMER:
        raise ImproperlyConfigured(f"setting {name!r} has a new name: {FORMER[name]}")
    near = difflib.get_close_matches(name.lower(), DEFAULTS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ImproperlyConfigured(f"there is no setting {name!r}{hint}")
