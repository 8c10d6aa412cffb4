"""Extension: the types that we add to JSON and to what kombu adds: tuple, set, frozenset, dataclass, Enum, Path, timedelta, complex.

`marked` writes them as marked maps (see mark.py), `unmarked` reads them, both wherever they stand in a value. Both know nothing of
kombu: the codec passes in what to do with what is not ours. The kinds, and what they hold besides `value`:

    tuple, set, frozenset   a list
    dataclass               a map of its fields; `type`: "module:name"
    enum                    the value of the member; `type`, and `name`: the member's
    path                    its text; `type`: the class in pathlib
    timedelta               its seconds; `parts`: days, seconds, microseconds
    complex                 its two parts
    dict                    a map with a key that would make it look marked
    error                   what Celery writes for an exception; `error`: all that was recorded of it (see failure.py)

What is read decides nothing about code: a class is taken only if it is loaded and really is a dataclass or an Enum. In place of
anything else comes a stand-in, which is the nearest plain value: the map of the fields, the value of the member, the list.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import Enum, Flag
from typing import Any

from .loaded import loaded
from .mark import DATACLASS, MAP, MARK, kind_of

_SCALARS = frozenset({str, int, float, bool, type(None)})
_PATHS: dict[str, type[pathlib.PurePath]] = {
    cls.__name__: cls
    for cls in (
        pathlib.PosixPath,
        pathlib.WindowsPath,
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
    )
}
_READ_AS = _PATHS | {
    # of another operating system there are pure paths only
    cls.__name__: pure
    for cls, pure in (
        (pathlib.PosixPath, pathlib.PurePosixPath),
        (pathlib.WindowsPath, pathlib.PureWindowsPath),
    )
    if not isinstance(pathlib.Path(), cls)
}
Other = Callable[[Any], Any]
Writer = Callable[[Any], dict[str, Any]]
Reader = Callable[[dict[str, Any]], Any]
_others: dict[str, tuple[type, Writer, Reader]] = {}


def register(kind: str, cls: type, write: Writer, read: Reader) -> None:
    """Let values of `cls` be written as marked maps of this kind, by a module that itself needs to read and write values."""
    _others[kind] = (cls, write, read)


# --- writing -------------------------------------------------------------------------------------------------------------------


def marked(value: Any, other: Other) -> Any:
    """`value` in terms of what JSON has. `other` gives the same for types that are not ours, and raises TypeError if it cannot."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Enum):
        return _marked_enum(value, other)
    if isinstance(value, dict):
        return _marked_map(value, other)
    if isinstance(value, tuple):
        return {MARK: "tuple", "value": [marked(item, other) for item in value]}
    if isinstance(value, list):
        return [marked(item, other) for item in value]
    if isinstance(value, str | int | float):
        return value
    try:
        known = other(value)
    except TypeError:
        return _marked_own(value, other)
    return marked(known, other)


def _marked_map(value: dict[Any, Any], other: Other) -> Any:
    for key in dict.keys(value):  # iterating over a group gives its members
        if key is not None and not isinstance(key, str | int | float):
            raise TypeError(f"keys of a map must be strings or numbers, not {type(key).__name__}")
    items = {key: marked(item, other) for key, item in value.items()}
    return {MARK: MAP, "value": items} if MARK in items else items


def _marked_enum(member: Enum, other: Other) -> dict[str, Any]:
    try:
        value = marked(member.value, other)
    except TypeError:
        value = member.name  # a member of any object: its name is all that can be written
    return {MARK: "enum", "type": _name_of(type(member)), "name": member.name, "value": value}


def _marked_own(value: Any, other: Other) -> dict[str, Any]:
    """Raises TypeError for what is none of ours."""
    match value:
        case set() | frozenset():
            items = _in_order(marked(item, other) for item in value)
            return {MARK: "set" if isinstance(value, set) else "frozenset", "value": items}
        case pathlib.PurePath():
            return {MARK: "path", "type": _path_class(value).__name__, "value": str(value)}
        case timedelta():
            parts = [value.days, value.seconds, value.microseconds]
            return {MARK: "timedelta", "parts": parts, "value": value.total_seconds()}
        case complex():
            return {MARK: "complex", "value": [value.real, value.imag]}
    for cls, write, _ in _others.values():
        if isinstance(value, cls):
            return write(value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"there is no form for {type(value).__name__}")
    fields = {field.name: marked(getattr(value, field.name), other) for field in dataclasses.fields(value)}
    return {MARK: DATACLASS, "type": _name_of(type(value)), "value": fields}


def _in_order(items: Iterable[Any]) -> list[Any]:
    """The items of a set, so that equal sets give equal texts in every process."""
    found = list(items)
    kinds = set(map(type, found))
    return sorted(found) if kinds <= {str} or kinds <= {int} else sorted(found, key=json.dumps)


def _path_class(path: pathlib.PurePath) -> type[pathlib.PurePath]:
    return next(cls for cls in _PATHS.values() if isinstance(path, cls))


def _name_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


# --- reading -------------------------------------------------------------------------------------------------------------------


def unmarked(value: Any, other: Other) -> Any:
    """The inverse of `marked`. `other` is given each map that is not marked, with its values read.

    Raises ValueError or TypeError for a marked map of a kind that we know, but in another form. A kind that we do not know may come
    from a later version: its `value` is taken.
    """
    if isinstance(value, list):
        return [unmarked(item, other) for item in value]
    if not isinstance(value, dict):
        return value
    kind = kind_of(value)
    return other(_read_map(value, other)) if kind is None else _of_kind(kind, value, other)


def _of_kind(kind: str, data: dict[str, Any], other: Other) -> Any:
    inner = data["value"]
    match kind:
        case "tuple":
            return tuple(_read_list(inner, other))
        case "set":
            return _hashed(set, _read_list(inner, other))
        case "frozenset":
            return _hashed(frozenset, _read_list(inner, other))
        case "dict":
            return _read_map(inner, other)
        case "dataclass":
            return _dataclass(_class_of(data), _read_map(inner, other))
        case "enum":
            return _member(_class_of(data), data.get("name"), unmarked(inner, other))
        case "path":
            return _path(data.get("type"), inner)
        case "timedelta":
            days, seconds, microseconds = data["parts"]
            return timedelta(days, seconds, microseconds)
        case "complex":
            real, imaginary = inner
            return complex(real, imaginary)
    return _others[kind][2](data) if kind in _others else unmarked(inner, other)


def _read_list(items: Any, other: Other) -> list[Any]:
    if not isinstance(items, list):
        raise TypeError(f"a list was expected, not {type(items).__name__}")
    return [unmarked(item, other) for item in items]


def _read_map(items: Any, other: Other) -> dict[str, Any]:
    if not isinstance(items, dict):
        raise TypeError(f"a map was expected, not {type(items).__name__}")
    return {key: unmarked(item, other) for key, item in items.items()}


def _hashed(kind: type[set[Any] | frozenset[Any]], items: list[Any]) -> Any:
    try:
        return kind(items)
    except TypeError:
        return items  # a stand-in among them has no hash


def _class_of(data: dict[str, Any]) -> object:
    module, found, name = str(data.get("type")).partition(":")
    return loaded(module, name) if found else None


def _dataclass(cls: object, fields: dict[str, Any]) -> Any:
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        return fields
    known = {field.name: field for field in dataclasses.fields(cls)}
    try:
        made: Any = cls(**{name: value for name, value in fields.items() if known[name].init})
        for name, value in fields.items():
            object.__setattr__(made, name, value)  # as it was, whatever __post_init__ makes of it
    except Exception:  # noqa: BLE001 - a field is gone, or a __post_init__ refuses it
        return fields
    return made


def _member(cls: object, name: object, value: Any) -> Any:
    if not isinstance(cls, type) or not issubclass(cls, Enum):
        return value
    if isinstance(name, str) and name in cls.__members__:
        return cls.__members__[name]
    if issubclass(cls, Flag) and isinstance(value, int):
        try:
            return cls(value)  # several flags at once have no member of their own
        except ValueError:
            pass
    return value


def _path(name: Any, text: Any) -> pathlib.PurePath:
    return _READ_AS[str(name)](text)
