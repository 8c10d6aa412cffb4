"""Arguments: what a task was called with, as far as it is known: in full, as JSON, or as the text that an event showed. PURE.

Events of Celery's workers hold the Python text of arguments, and only the beginning of what is long. A text that is the literal of plain data,
with nothing left out, is as good as the arguments themselves; any other one can be shown, and not be sent again.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ...canvas.redaction import HIDDEN, SECRET, redacted

CUT = "..."
"""What stands where a text was cut off."""
LONGEST = 262_144
"""Characters of arguments that are kept: the largest message that may be sent."""


class Arguments(Struct, frozen=True):
    """`args` and `kwargs` are JSON if `is_whole`, else what is known of them as text."""

    args: str = ""
    kwargs: str = ""
    is_whole: bool = False

    @classmethod
    def of_call(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
        """What is called with these, which are JSON data."""
        return cls(json.dumps(list(args)), json.dumps(dict(kwargs)), is_whole=True)

    def completed(self, args: str | None, kwargs: str | None) -> Arguments:
        """The same if they are known in full or if these are not; else these, which are JSON."""
        if self.is_whole or args is None or kwargs is None or len(args) + len(kwargs) > LONGEST:
            return self
        return _json_of_texts(args, kwargs) or Arguments(str(args), str(kwargs), is_whole=True)

    def shown(self) -> tuple[Any, Any]:
        """(args, kwargs) for people: data, or the texts of an event, without secrets. A text that names one is hidden as a whole."""
        if self.is_whole:
            args, kwargs = self.call()
            return redacted(args), redacted(kwargs)
        has_secret = SECRET.search(self.args) or SECRET.search(self.kwargs)
        return (HIDDEN, "") if has_secret else (self.args, self.kwargs)

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        """(args, kwargs). Only if `is_whole`."""
        assert self.is_whole
        return json.loads(self.args), json.loads(self.kwargs)


def arguments_of(args: str, kwargs: str) -> Arguments:
    """Of the texts in an event."""
    found = _json_of_literals(args, kwargs)
    return found or Arguments(args[:LONGEST], kwargs[:LONGEST])


def _json_of_texts(args: str, kwargs: str) -> Arguments | None:
    """Results of Celery hold the texts of arguments, as JSON strings, instead of the arguments; None for anything else."""
    try:
        first, second = json.loads(args), json.loads(kwargs)
    except (ValueError, RecursionError):
        return Arguments(str(args), str(kwargs))
    if isinstance(first, str) and isinstance(second, str):
        return arguments_of(first, second)
    return None if isinstance(first, list) and isinstance(second, dict) else Arguments(str(args), str(kwargs))


def _json_of_literals(args: str, kwargs: str) -> Arguments | None:
    try:
        first, second = ast.literal_eval(args or "()"), ast.literal_eval(kwargs or "{}")
        if not isinstance(first, list | tuple) or not isinstance(second, dict):
            return None
        if not (_is_plain(first) and _is_plain(second)):
            return None
        return Arguments(json.dumps(list(first)), json.dumps(second), is_whole=True)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _is_plain(value: Any) -> bool:
    """Whether JSON says the same, with nothing left out."""
    match value:
        case None | bool() | int() | float():
            return True
        case str():
            return CUT not in value
        case list() | tuple():
            return all(map(_is_plain, value))
        case dict():
            return all(
                isinstance(key, str) and CUT not in key and _is_plain(each) for key, each in value.items()
            )
        case _:
            return False
