"""Failure: between exceptions and errors as data.

Classes are never imported on behalf of stored data: one is taken only if its module is loaded already and it is an Exception, or if it
is one of those that we share with Celery; anything else becomes a class made up under its name, with the same text (decisions C4).
"""

from __future__ import annotations

import sys
import traceback as traceback_module

from .codec import dumps, loads
from .errors import SHARED_WITH_CELERY, EncodeError, TaskError
from .json_text import Json, json_list
from .outcome import Error

DEPTH = 5
"""How many causes are recorded."""
TRACEBACK_CHARACTERS = 65_536


def error_of(exc: BaseException, node: str = "", depth: int = DEPTH) -> Error:
    """The exception as data, with its causes."""
    cls = type(exc)
    shared = SHARED_WITH_CELERY.get(cls.__name__) is cls
    cause = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return Error(
        type=cls.__qualname__,
        module="celery.exceptions" if shared else cls.__module__,
        args=json_list(_encoded(arg) for arg in exc.args),
        text=str(exc),
        node=node,
        cause=error_of(cause, node, depth - 1) if cause is not None and depth > 1 else None,
    )


def traceback_of(exc: BaseException) -> str:
    """The formatted traceback, its beginning cut off where it is longer than a store should keep."""
    return "".join(traceback_module.format_exception(exc))[-TRACEBACK_CHARACTERS:]


def exception_of(error: Error) -> Exception:
    """An exception for an error: of its own class where that is loaded, else of one made up under its name."""
    cls = _class_of(error)
    args = [loads(arg) for arg in _items(error.args)]
    try:
        exc = cls(*args)
    except Exception:  # noqa: BLE001 - a constructor of the user's own may want anything
        exc = cls.__new__(cls)
        exc.args = tuple(args)
    if error.cause is not None:
        exc.__cause__ = exception_of(error.cause)
    return exc


def _encoded(arg: object) -> Json:
    try:
        return dumps(arg)
    except EncodeError:
        return dumps(repr(arg))


def _items(args: Json) -> list[str]:
    return [dumps(item) for item in loads(args)]


def _class_of(error: Error) -> type[Exception]:
    if error.module in ("celery.exceptions", "backbeat.canvas.errors") and error.type in SHARED_WITH_CELERY:
        return SHARED_WITH_CELERY[error.type]
    found: object = sys.modules.get(error.module)
    for name in error.type.split("."):
        found = getattr(found, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return type(error.type.rsplit(".", 1)[-1], (TaskError,), {"__module__": error.module})
