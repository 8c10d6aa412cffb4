"""Failure: between exceptions and errors as data.

Recorded are an exception's class by name, arguments, attributes, notes, causes, and the members of a group; what has no form in JSON by
its repr. It comes back as its own class if that is loaded, and as one made up under its name if not, and says what it said; it never
comes back as an error of reading it (see exception_class.py). The traceback of the worker comes with it: as `remote_traceback`, and
in a note, so that Python prints it.
"""

from __future__ import annotations

import json
import traceback as traceback_module
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import indent
from types import TracebackType
from typing import Any

from .codec import dumps, loads
from .errors import SHARED_WITH_CELERY, DecodeError, EncodeError
from .exception_class import (
    args_of,
    attributes_of,
    bare,
    bare_group,
    dict_of,
    loaded_class,
    made_up,
    saying,
    set_attributes,
    set_cause,
    type_name,
)
from .extension import register
from .json_text import Json, json_list, json_string
from .mark import ERROR
from .outcome import Error, error_from_data, error_value

DEPTH = 5
"""How many causes are recorded, and how many groups inside groups."""
MEMBERS = 100
"""How many exceptions of a group are recorded."""
TRACEBACK_CHARACTERS = 65_536
CHARACTERS = 65_536
"""Of arguments and attributes in all, those of causes and members included; and of a text."""
REPR_CHARACTERS = 4_096
REMOTE = "Raised in a worker:"
"""What the note with the remote traceback begins with."""
_NOT_THE_USERS = (
    str(Path(__file__).parent / "_")[:-1],
    str(Path(traceback_module.__file__).parent / "asyncio" / "_")[:-1],
)
"""Where frames lie that every task's traceback would begin with: what calls the task's function."""


# --- recording -----------------------------------------------------------------------------------------------------------------


def error_of(exc: BaseException, node: str = "", depth: int = DEPTH) -> Error:
    """The exception as data, with its causes; at least its name, whatever its class makes of being read."""
    try:
        return _recorded(exc, node, depth, _Room(CHARACTERS))
    except Exception:  # noqa: BLE001 - a class of the user's own may do anything
        return unreadable(exc, node)


def unreadable(exc: BaseException, node: str = "") -> Error:
    """The error that names the exception's class, and asks it for nothing else."""
    name = type_name(type(exc))
    return Error(type=name, text=f"<{name} cannot be recorded: its class fails when it is read>", node=node)


def traceback_of(exc: BaseException) -> str:
    """The formatted traceback, from the user's code on; its beginning is cut off where it is longer than a store should keep."""
    frames = _from_user_code(exc.__traceback__)
    try:
        lines = traceback_module.format_exception(type(exc), exc, frames)
    except Exception:  # noqa: BLE001 - likewise
        lines = [*traceback_module.format_tb(frames), unreadable(exc).text]
    return "".join(lines)[-TRACEBACK_CHARACTERS:]


class _Room:
    """How many characters may still be recorded."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def taken(self, value: object) -> Json:
        """`value` as JSON text, or what it was where it is too large."""
        text = _encoded(value)
        if len(text) > self._left:
            text = json_string(f"<left out: {type(value).__name__} of {len(text):,} characters>")
        self._left -= len(text)
        return text


def _recorded(exc: BaseException, node: str, depth: int, room: _Room) -> Error:
    cls = type(exc)
    shared = SHARED_WITH_CELERY.get(cls.__name__) is cls
    cause = exc.__cause__  # compared with None: an exception may be false
    if cause is None and not exc.__suppress_context__:
        cause = exc.__context__
    deeper = depth - 1
    group = exc if isinstance(exc, BaseExceptionGroup) else None
    return Error(
        type=cls.__qualname__,
        module="celery.exceptions" if shared else cls.__module__,
        args=json_list(map(room.taken, args_of(exc) if group is None else [group.message])),
        text=_text_of(exc),
        node=node,
        attributes=_attributes(exc, room),
        notes=tuple(_notes(exc)),
        cause=_recorded(cause, node, deeper, room) if cause is not None and deeper else None,
        members=tuple(_recorded(member, node, deeper, room) for member in group.exceptions[:MEMBERS])
        if group is not None and deeper
        else (),
    )


def _attributes(exc: BaseException, room: _Room) -> Json:
    pieces = [
        f"{json_string(name)}:{room.taken(value)}"
        for name, value in attributes_of(exc)
        if name not in _NOT_ATTRIBUTES
    ]
    return Json(f"{{{','.join(pieces)}}}")


_NOT_ATTRIBUTES = frozenset({"remote_traceback"})


def _notes(exc: BaseException) -> Iterator[str]:
    """Its notes but for ours, which tells of another task."""
    left = CHARACTERS
    notes = dict_of(exc).get("__notes__")
    for note in notes if isinstance(notes, list) else []:
        if isinstance(note, str) and not note.startswith(REMOTE) and len(note) <= left:
            left -= len(note)
            yield note


def _from_user_code(frames: TracebackType | None) -> TracebackType | None:
    """`frames` without those in front that call the task; None where there are no others."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frames = frames.tb_next
    return frames


def _text_of(exc: BaseException) -> str:
    try:
        return str(exc)[:CHARACTERS]
    except Exception:  # noqa: BLE001 - a __str__ of the user's own may do anything
        return f"<{type(exc).__name__} without a text: its __str__ fails>"


def _encoded(value: object) -> Json:
    try:
        return dumps(value)
    except EncodeError:
        pass
    try:
        return dumps(repr(value)[:REPR_CHARACTERS])
    except Exception:  # noqa: BLE001 - a __repr__ of the user's own may do anything
        return dumps(f"<{type(value).__name__}>")


# --- and back ------------------------------------------------------------------------------------------------------------------


def exception_of(error: Error, traceback: str | None = None) -> Exception:
    """An exception for an error: of its own class where that is loaded, else of one made up under its name.

    `traceback` is where it was raised, as text.
    """
    exc = _made(error)
    if error.attributes is not None:
        attributes = _value(error.attributes)
        set_attributes(exc, attributes if isinstance(attributes, dict) else {})
        exc = _with_its_text(exc, error)
    if error.cause is not None:
        set_cause(exc, exception_of(error.cause))
    notes = list(error.notes)
    if traceback:
        dict_of(exc)["remote_traceback"] = traceback
        notes.append(f"{REMOTE}\n{indent(traceback.rstrip(), '    ')}")
    if notes:
        dict_of(exc)["__notes__"] = notes
    return exc


def _made(error: Error) -> Exception:
    found, args = loaded_class(error.module, error.type), _args(error)
    if error.members:
        return _group(found, error, args)
    text = None if error.attributes is None else error.text
    cls = found or made_up(error.module, error.type, text)
    ways: list[Callable[[], Exception]] = [lambda: bare(cls, args)]
    if error.attributes is None:
        # what Celery recorded has no attributes: only the constructor can tell them
        ways.insert(0, lambda: cls(*args))
    for way in ways:
        with suppress(Exception):  # a class of the user's own may want anything
            return way()
    return bare(made_up(error.module, error.type, text), args)


def _group(cls: type[Exception] | None, error: Error, args: list[Any]) -> Exception:
    """Members are Exceptions, whatever they were; so a BaseExceptionGroup comes back as an ExceptionGroup."""
    message, members = str(args[0] if args else error.text), list(map(exception_of, error.members))
    if cls is None and error.type == "BaseExceptionGroup":
        cls = ExceptionGroup
    if cls is None or not issubclass(cls, ExceptionGroup):
        cls = made_up(error.module, error.type, None, ExceptionGroup)
    return bare_group(cls, message, members)


def _with_its_text(exc: Exception, error: Error) -> Exception:
    """`exc`, or another like it that says what it said, where its own __str__ can no longer know."""
    if error.members or _text_of(exc) == error.text:
        return exc
    cls = saying(type(exc), error.text)
    if cls is None:
        return exc
    other = bare(cls, args_of(exc))
    set_attributes(other, dict(attributes_of(exc)))
    return other


def _args(error: Error) -> list[Any]:
    args = _value(error.args)
    return args if isinstance(args, list) else [args]


def _value(text: Json) -> Any:
    """The value of JSON text; if nobody knows a type that is in it, as plain data."""
    try:
        return loads(text)
    except DecodeError:
        pass
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return []  # a record that something broke


register(
    ERROR,
    Exception,
    lambda exc: dict(json.loads(error_value(error_of(exc)))),
    lambda data: exception_of(error_from_data(data["error"])),
)
