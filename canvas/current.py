"""Current: `current_app` and `current_task`: stand-ins for whatever app is the current one, and whatever task runs here, when they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .request import running_request
from .sender import default_sender


class Proxy:
    """Does what the object does that `find` gives at the time."""

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[], Any]) -> None:
        object.__setattr__(self, "_find", find)

    def _get_current_object(self) -> Any:
        """The object itself."""
        return self._find()

    @property
    def __class__(self) -> Any:
        return type(self._find())

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("a stand-in has the class of what it stands for")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._find(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._find(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._find()(*args, **kwargs)

    def __bool__(self) -> bool:
        return bool(self._find())

    def __eq__(self, other: object) -> bool:
        return bool(self._find() == other)

    def __hash__(self) -> int:
        return hash(self._find())

    def __repr__(self) -> str:
        return repr(self._find())


def running_task() -> Any:
    """The task that runs here; None outside of one."""
    request = running_request()
    return None if request is None else request.task_object


current_app: Any = Proxy(default_sender)
"""The app that `set_default` made the current one. Using it before there is one raises ImproperlyConfigured."""
current_task: Any = Proxy(running_task)
"""The task that runs here; false outside of one."""
