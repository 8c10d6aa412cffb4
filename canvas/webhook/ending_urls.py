"""EndingUrls: the options by which somebody outside is told how a task or canvas ended, as calls of tasks of our own. PURE.

on_done_url   a URL: the payload is posted there, signed                         --> backbeat.webhook(report, url=...)
ping          {done, fail}: one of the two is asked for, with nothing to say     --> backbeat.ping(report, done=..., fail=...)

They are callbacks as `on_done` are: a message of their own in the commit that stores the outcome, to the queue that every backbeat worker serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ImproperlyConfigured
from ..ids import derive
from ..json_text import json_value
from ..node import Call
from ..outcome import State
from .url import read_url

WEBHOOK_TASK, PING_TASK = "backbeat.webhook", "backbeat.ping"
OPTIONS = ("on_done_url", "ping")
PINGS = ("done", "fail")
_QUEUE = "backbeat"
"""CONTROL_QUEUE of message.py, which stands on what this stands on."""


def check_ending_urls(options: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured if what somebody gives for them cannot be meant."""
    if (url := options.get("on_done_url")) is not None:
        read_url(url)
    if (pings := options.get("ping")) is None:
        return
    if not isinstance(pings, Mapping) or not pings or not set(pings) <= set(PINGS):
        raise ImproperlyConfigured(
            "ping must be a map such as {'done': URL, 'fail': URL}, or with one of the two"
        )
    for each in pings.values():
        read_url(each)


def told_by_url(options: dict[str, Any]) -> tuple[Call, ...]:
    """Take these options out of `options`; what they call when it has ended. Raises TypeError for what is none."""
    calls: list[Call] = []
    if (url := options.pop("on_done_url", None)) is not None:
        calls.append(_call(WEBHOOK_TASK, {"url": url}))
    if (pings := options.pop("ping", None)) is not None:
        if not isinstance(pings, Mapping) or not set(pings) <= set(PINGS):
            raise TypeError(f"the option ping is a map of {' and '.join(PINGS)}, found {pings!r:.80}")
        calls.append(_call(PING_TASK, dict(pings)))
    return tuple(calls)


def delivery_id(task_id: str, report: Mapping[str, Any]) -> str:
    """The id of the delivery of a report that the task `task_id` brings.

    A canvas that failed may be run again and end well, and the same task brings that; it is other news, and who got the first must not take it for
    the same. What ended well never ends again.
    """
    state = str(report.get("state"))
    return task_id if state == State.SUCCESS.value else derive(task_id, state)


def _call(task: str, urls: Mapping[str, Any]) -> Call:
    if not all(isinstance(url, str) for url in urls.values()):
        raise TypeError(f"the URLs of {task} must be texts")
    return Call(task=task, kwargs=json_value(urls), options={"queue": _QUEUE})
