"""Protocol1: messages of Celery's task protocol 1, which its clients send with `task_protocol = 1`, turned into protocol 2. Nothing of ours sends it.

There all stands in the body, one map: task, id, args, kwargs, group (or taskset), group_index, retries, eta, expires, utc, callbacks, errbacks,
timelimit, chord. A chain travels in it as callbacks. There is no root and no parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .errors import MessageError
from .json_text import json_value

_FIELDS = ("task", "id", "retries", "group_index", "timelimit")


def is_protocol_1(headers: Mapping[str, Any]) -> bool:
    """Whether a message may be one, by its headers: those of protocol 2 name the task and its id."""
    return "task" not in headers and "id" not in headers


def to_protocol_2(headers: Mapping[str, Any], body: object) -> tuple[dict[str, Any], bytes]:
    """Headers and body of protocol 2, given what the body of protocol 1 holds. Raises MessageError for what is neither."""
    if not isinstance(body, Mapping) or not {"task", "id"} <= body.keys():
        raise MessageError("the message has no id")
    args, kwargs = body.get("args") or [], body.get("kwargs") or {}
    embed = {name: body.get(name) for name in ("callbacks", "errbacks", "chord")}
    own = {name: body.get(name) for name in _FIELDS}
    own["group"] = body.get("taskset") or body.get("group")
    own |= {name: _moment(name, body.get(name), is_utc=body.get("utc", True)) for name in ("eta", "expires")}
    return {**headers, **own}, json_value([args, kwargs, embed]).encode()


def _moment(name: str, text: Any, *, is_utc: Any) -> Any:
    """A time without an offset is of the sender's zone unless `utc` is set, and the best guess at that is this machine's."""
    if is_utc or not isinstance(text, str):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MessageError(f"{name} is not a time: {error}") from error
    return (moment if moment.tzinfo else moment.astimezone()).isoformat()
