"""Codec: between Python values and `Json` text, with Celery's extension types (datetime, date, time, Decimal, UUID, bytes).

kombu's JSON module does the work, so that Celery reads what we write and the other way round. Tuples become lists; a set, a
complex number or an object that kombu does not know is refused.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .errors import DecodeError, EncodeError
from .json_text import Json


def dumps(value: Any) -> Json:
    """`value` as JSON text. Raises EncodeError, naming the type, for what JSON cannot hold."""
    try:
        return Json(_kombu_json().dumps(value, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(
            f"{type(value).__name__} cannot be written as JSON: {error}. "
            "Pass numbers, strings, lists, maps, dates, Decimal, UUID or bytes."
        ) from error


def loads(text: str | bytes) -> Any:
    """The value of JSON text. Raises DecodeError for what is not JSON or names an unknown extension type."""
    try:
        return _kombu_json().loads(text)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ArithmeticError) as error:
        raise DecodeError(f"not valid JSON: {error}") from error


@cache
def _kombu_json() -> Any:
    """Loaded on first use: it costs 80 ms, which `import backbeat.canvas` must not."""
    from kombu.utils import json

    return json
