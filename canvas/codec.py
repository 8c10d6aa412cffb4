"""Codec: between Python values and `Json` text.

What comes back as it was: what JSON has; Celery's extension types (datetime, date, time, Decimal, UUID, bytes), written by kombu as Celery
writes them, those included that a user registered with kombu; and ours: tuple, set, frozenset, dataclass, Enum, Path, timedelta,
complex (see extension.py). Ours are known here alone: kombu's registry, which is the whole process's, stays as it is.

Values that hold nothing but JSON's own types, nearly all of them, are written and read by json's functions in C.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from .errors import DecodeError, EncodeError
from .extension import marked, unmarked
from .json_text import Json, encoder, parsed
from .mark import is_marked

_JSONS_OWN = frozenset({str, int, float, bool, type(None), list, dict})
_CELERYS = frozenset({datetime, date, time, Decimal, UUID, bytes})
_QUOTED_TYPE = '"__type__"'


def dumps(value: Any) -> Json:
    """`value` as JSON text. Raises EncodeError, naming the type, for what has no form."""
    try:
        return Json(_written(value))
    except Exception as error:  # a method of the value's own may raise anything
        raise EncodeError(
            f"{type(value).__name__} cannot be written as JSON: {error}. Pass numbers, strings, lists, tuples, sets, "
            "maps with strings as keys, dates, Decimal, UUID, bytes, paths, dataclasses or enums."
        ) from error


def loads(text: str | bytes) -> Any:
    """The value of JSON text. Raises DecodeError for what is not JSON, or names an extension type of kombu's that nobody registered.

    Nothing is imported: a dataclass that is not loaded here comes as a map of its fields, a member of an Enum as its value.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        if is_marked(text):
            return unmarked(json.loads(text), _kombu_json().object_hook)
        if _QUOTED_TYPE in text:
            return json.loads(text, object_hook=_kombu_json().object_hook)
        return parsed(text)
    except Exception as error:  # a decoder that a user registered with kombu may raise anything
        raise DecodeError(f"not valid JSON: {type(error).__name__}: {error}") from error


class _NotNative(Exception):
    """The value holds what neither JSON nor Celery has."""


def _written(value: Any) -> str:
    try:
        text = _encode(value)
    except _NotNative:
        text = ""  # and on below, so that nobody sees this one as the context of another error
    # json writes tuples as lists and members of a StrEnum as strings without asking
    if text and _is_native(value) and not is_marked(text):
        return text
    return _encode(marked(value, _celerys_form))


def _is_native(value: Any) -> bool:
    """True if there is nothing in `value` but JSON's and Celery's types themselves. It has no circles: it was written already.

    It goes down level by level, and leaves it to the garbage collector to say what a level's containers hold: that is in C, and
    half as expensive as the writing. Keys that are simple strings it may pass over.
    """
    level = [value]
    while level:
        kinds = set(map(type, level))
        if not kinds <= _JSONS_OWN:
            if not kinds <= _JSONS_OWN | _CELERYS:
                return False
            level = [item for item in level if type(item) in (list, dict)]
        level = gc.get_referents(*level)
    return True


def _default(value: Any) -> Any:
    if type(value) in _CELERYS:
        return _celerys_form(value)
    raise _NotNative


_encode = encoder(_default)


def _celerys_form(value: Any) -> Any:
    """What Celery writes for it. Raises TypeError for what it cannot write."""
    return _kombu_default()(value)


@cache
def _kombu_default() -> Callable[[Any], Any]:
    default: Callable[[Any], Any] = _kombu_json().JSONEncoder().default
    return default


@cache
def _kombu_json() -> Any:
    """Loaded on first use: it costs 80 ms, which `import backbeat.canvas` must not."""
    from kombu.utils import json as kombu_json

    return kombu_json
