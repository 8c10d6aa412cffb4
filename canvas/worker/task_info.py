"""TaskInfo: a task as remote control tells of it (wire.md 4.5). PURE."""

from __future__ import annotations

import json
from typing import Any

from ..message import Message

Info = dict[str, Any]


def info_of(
    message: Message,
    hostname: str,
    *,
    queue: str,
    began: float | None = None,
    acknowledged: bool = False,
    pid: int | None = None,
) -> Info:
    """`began` is in seconds of the epoch, None for what has not begun; `pid` is that of the process that runs it."""
    return {
        "id": message.id,
        "name": message.task,
        "args": _value(message.args, []),
        "kwargs": _value(message.kwargs, {}),
        "type": message.task,
        "hostname": hostname,
        "time_start": began,
        "acknowledged": acknowledged,
        "delivery_info": {
            "exchange": "",
            "routing_key": queue,
            "priority": message.priority or 0,
            "redelivered": None,
        },
        "worker_pid": pid,
    }


def _value(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise
