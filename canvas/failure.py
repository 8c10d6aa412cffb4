"""Failure: between exceptions and errors as data.

Classes are never imported on behalf of stored data: one is taken only if its module is loaded already and it is an Exception, or if it
is one of those that we share with Celery; anything else becomes a class made up under its name, with the same text (decisions C4).
"""

from __future__ import annotations

import sys
import traceback as traceback_module
from pathlib import Path
from types import TracebackType

from .codec import dumps, loads
from .errors import SHARED_WITH_CELERY, EncodeError, TaskError
from .json_text import Json, json_list
from .outcome import Error

DEPTH = 5
"""How many causes are recorded."""
TRACEBACK_CHARACTERS = 65_536
_NOT_THE_USERS = (
    str(Path(__file__).parent / "_")[:-1],
    str(Path(traceback_module.__file__).parent / "asyncio" / "_")[:-1],
)
"""Where frames lie that every task's traceback would begin with: what calls the task's function."""


def error_of(exc: BaseException, node: str = "", depth: int = DEPTH) -> Error:
    """The exception as data, with its causes."""
    cls = type(exc)
    shared = SHARED_WITH_CELERY.get(cls.__name__) is cls
    cause = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return Error(
        type=cls.__qualname__,
        module="celery.exceptions" if shared else cls.__module__,
        args=json_list(_encoded(arg) for arg in exc.args),
        text=_text_of(exc),
        node=node,
        cause=error_of(cause, node, depth - 1) if cause is not None and depth > 1 else None,
    )


def traceback_of(exc: BaseException) -> str:
    """The formatted traceback, from the user's code on; its beginning is cut off where it is longer than a store should keep."""
    frames = _from_user_code(exc.__traceback__)
    return "".join(traceback_module.format_exception(type(exc), exc, frames))[-TRACEBACK_CHARACTERS:]


def exception_of(error: Error) -> Exception:
    """An exception for an error: of its own class where that is loaded, else of one made up under its name."""
    cls = _class_of(error)
    args = [loads(arg) for arg in _items(error.args)]
    try:
        exc = cls(*args)
    except Exception:  # noqa: BLE001 - a constructor of the user's own may want anything
        exc = _without_constructor(cls)
        exc.args = tuple(args)
    if error.cause is not None:
        exc.__cause__ = exception_of(error.cause)
    return exc


def _without_constructor(cls: type[Exception]) -> Exception:
    try:
        return cls.__new__(cls)
    except Exception:  # noqa: BLE001 - as above
        return _made_up(cls.__qualname__, cls.__module__)()


def _made_up(name: str, module: str) -> type[Exception]:
    return type(name.rsplit(".", 1)[-1], (TaskError,), {"__module__": module})


def _from_user_code(frames: TracebackType | None) -> TracebackType | None:
    """`frames` without those in front that call the task; None where there are no others."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frames = frames.tb_next
    return frames


def _text_of(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:  # noqa: BLE001 - a __str__ of the user's own may do anything
        return f"<{type(exc).__name__} without a text: its __str__ fails>"


def _encoded(arg: object) -> Json:
    try:
        return dumps(arg)
    except EncodeError:
        pass
    try:
        return dumps(repr(arg))
    except Exception:  # noqa: BLE001 - a __repr__ of the user's own may do anything
        return dumps(f"<{type(arg).__name__}>")


def _items(args: Json) -> list[str]:
    return [dumps(item) for item in loads(args)]


def _class_of(error: Error) -> type[Exception]:
    if error.module in ("celery.exceptions", "backbeat.canvas.errors") and error.type in SHARED_WITH_CELERY:
        return SHARED_WITH_CELERY[error.type]
    found: object = sys.modules.get(error.module)
    for name in error.type.split("."):
        # not getattr: a module may import lazily when it is asked for a name
        found = getattr(found, "__dict__", {}).get(name)
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return _made_up(error.type, error.module)
