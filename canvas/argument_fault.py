"""ArgumentFault: which argument of a call cannot be written as JSON, and what in it. Looked for only when one could not.

As in `argument 1 of task add, at ['x'][2]: object cannot be written as JSON: ...`, counted from 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .codec import dumps
from .errors import EncodeError

DEEPEST = 50
"""So many levels are looked through."""


def named_fault(task: str, args: Iterable[Any], kwargs: Mapping[str, Any], error: EncodeError) -> EncodeError:
    """`error`, which these arguments led to, naming the first of them that cannot be written; itself if it is none of them."""
    arguments = [(str(index), value) for index, value in enumerate(args)]
    for name, value in [*arguments, *((repr(name), value) for name, value in kwargs.items())]:
        if (fault := _fault(value)) is not None:
            path, why = _innermost(value, fault)
            return EncodeError(f"argument {name} of task {task}{f', at {path}' if path else ''}: {why}")
    return error


def _fault(value: Any) -> EncodeError | None:
    try:
        dumps(value)
    except EncodeError as error:
        return error
    return None


def _innermost(value: Any, fault: EncodeError) -> tuple[str, EncodeError]:
    """The way to the innermost value that cannot be written, and why it cannot."""
    path, seen = "", {id(value)}
    for _ in range(DEEPEST):
        found = ((step, inner, _fault(inner)) for step, inner in _inside(value) if id(inner) not in seen)
        step, inner, deeper = next((each for each in found if each[2] is not None), ("", None, None))
        if deeper is None:
            break
        path, value, fault = path + step, inner, deeper
        seen.add(id(value))
    return path, fault


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", dict.__getitem__(value, key)) for key in dict.keys(value))
    elif isinstance(value, list | tuple):
        yield from ((f"[{index}]", inner) for index, inner in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from (("{...}", inner) for inner in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((f".{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value))
