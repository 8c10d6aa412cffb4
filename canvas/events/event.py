"""Event: the events of tasks, made of messages and outcomes, with the fields that Celery's have (wire.md 4.4). PURE."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable
from typing import Any

from ..effect import Effect, Publish
from ..message import CONTROL_QUEUE, Message, iso_of_us
from ..outcome import Failure, Ignored, Outcome, Rejected, Replaced, Retry, Revoked, Success, repr_of

Event = dict[str, Any]
LONGEST = 1024
"""Characters of a value that an event shows."""
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = LONGEST
_repr.maxlist = _repr.maxtuple = _repr.maxdict = 100
_repr.maxlevel = 6


def received(message: Message) -> Event:
    """A worker has it."""
    return {
        "type": "task-received",
        "uuid": message.id,
        "name": message.task,
        "args": shown(message.args),
        "kwargs": shown(message.kwargs),
        "root_id": message.root_id,
        "parent_id": message.parent_id,
        "retries": message.retries,
        "eta": _iso(message.eta_us),
        "expires": _iso(message.expires_us),
    }


def sent(message: Message) -> Event:
    """A client has sent it."""
    return {
        **received(message),
        "type": "task-sent",
        "queue": message.queue,
        "exchange": "",
        "routing_key": message.queue,
    }


def all_sent(effects: Iterable[Effect]) -> list[Event]:
    """What was sent with these; but what only workers tell each other."""
    messages = (effect.message for effect in effects if isinstance(effect, Publish))
    return [sent(message) for message in messages if message.queue != CONTROL_QUEUE]


def started(message: Message) -> Event:
    """Its function is called."""
    return {"type": "task-started", "uuid": message.id}


def ended(message: Message, outcome: Outcome, seconds: float | None) -> Event | None:
    """How a run came out; None for what no event tells. `seconds` is how long it took, None if nothing ran."""
    match outcome:
        case Success(value=value):
            told = {"type": "task-succeeded", "result": shown(value), "runtime": seconds}
        case Failure(error=error, traceback=traceback):
            told = {"type": "task-failed", "exception": repr_of(error), "traceback": traceback or None}
        case Retry(error=error, traceback=traceback):
            cause = "None" if error is None else repr_of(error)
            told = {"type": "task-retried", "exception": cause, "traceback": traceback or None}
        case Revoked(reason=reason):
            told = {
                "type": "task-revoked",
                "terminated": reason == "terminated",
                "signum": "SIGTERM" if reason == "terminated" else None,
                "expired": reason == "expired",
            }
        case Rejected():
            told = {"type": "task-rejected", "requeue": False}
        case Ignored() | Replaced():
            # Celery tells nothing of these either; who watches would count them as running for ever
            told = {"type": "task-succeeded", "result": shown("null"), "runtime": seconds}
    return {**told, "uuid": message.id}


def shown(text: str) -> str:
    """The Python text of a JSON value, of some size at most."""
    try:
        return _repr.repr(json.loads(text))
    except (ValueError, RecursionError):
        return text[:LONGEST]


def _iso(us: int | None) -> str | None:
    return None if us is None else iso_of_us(us)
