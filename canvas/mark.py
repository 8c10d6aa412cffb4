"""Mark: how a value that neither JSON nor Celery has stands in JSON text. PURE.

A marked value is a map with the key `__backbeat__`, which holds its kind, and the key `value`, which holds the nearest value that JSON
has: `{"__backbeat__": "tuple", "value": [1, 2]}`. Some kinds have more keys (see extension.py). To a Celery client, which knows nothing
of it, such a map would be a map; so where Celery looks it gets `plain(text)`, and the marked text goes beside it.
"""

from __future__ import annotations

import json
from typing import Any

from .json_text import Json, json_value

MARK = "__backbeat__"
_QUOTED = f'"{MARK}"'
MAP = "dict"
"""The kind of a map that has a key like MARK of its own, and must not be taken for a marked value."""
DATACLASS = "dataclass"
ERROR = "error"
"""An exception; `error` holds all that was recorded of it."""


def is_marked(text: str) -> bool:
    """False if there is no marked value in `text`. True if there is one, or a string that looks like it."""
    return _QUOTED in text


def kind_of(value: dict[str, Any]) -> str | None:
    """The kind of a marked value; None for any other map."""
    kind = value.get(MARK)
    return kind if isinstance(kind, str) and "value" in value else None


def plain(text: Json) -> Json:
    """`text` with the nearest plain value in place of each marked one; the text itself where there is none."""
    if not is_marked(text):
        return text
    try:
        return json_value(_plain(json.loads(text)))
    except RecursionError:
        return text  # nobody reads so deep a value with pleasure; that it is marked is no reason to lose it


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind = kind_of(value)
    if kind is None:
        return {key: _plain(item) for key, item in value.items()}
    inner = value["value"]
    if kind in (MAP, DATACLASS) and isinstance(inner, dict):
        return {key: _plain(item) for key, item in inner.items()}
    return _plain(inner)
