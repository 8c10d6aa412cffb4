"""CeleryJoin: what follows a chord that a client of Celery's sent, when its parts are in.

In Redis the parts are counted as they end, and the last one brings `backbeat.chord` (see commit/celery_chord.lua). Everywhere else a client
of Celery's sends `celery.chord_unlock` with the ids of all parts, and whoever serves that looks again and again until all have ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from . import flow, own_tasks
from .effect import Effect, Part
from .errors import DecodeError
from .ids import derive
from .joining import value_of
from .json_text import json_value
from .message import Message, check_calls
from .node import Node, Policy, freeze
from .node_data import node_from_data
from .outcome import Failure, GoingOn, Outcome, Success, cause_of, lost
from .results.base import Results
from .results.chord_books import DONE, ReadsChords, leaves, parts_of
from .trace_context import trace_of

UNLOCK_TASK = "celery.chord_unlock"
UNLOCK_SECONDS = 1.0
"""How often it is looked whether all parts have ended, unless the message says it."""
LEAST_SECONDS = 0.1


class Again(Struct, frozen=True):
    """It cannot be told yet; look again at `at_us`."""

    at_us: int


class Joined(Struct, frozen=True):
    """These effects follow; of a chord whose books are kept in Redis once, for who closes them."""

    effects: Sequence[Effect] = ()
    counted: str | None = None


class CeleryJoin:
    """A worker's side of it. Raises whatever arguments that it cannot have lead to."""

    def __init__(self, results: Results | None, now_us: Callable[[], int]) -> None:
        self._results = results
        found: object = results
        self._chords = found if isinstance(found, ReadsChords) else None
        self._now_us = now_us

    def counted(self, message: Message, group_id: str, body: Any) -> Again | Joined:
        """What follows the chord of `group_id`, of which the last part came in."""
        if self._chords is None:
            raise DecodeError(
                "chords of Celery's are counted in Redis, and this worker's results are not there"
            )
        books = self._chords.chord(group_id)
        if books.claim == DONE or not (books.is_open or books.claim == message.id):
            return Joined()
        if books.claim not in ("", message.id):
            return Again(self._after(books.claim_seconds))
        parts = books.parts
        if books.header is not None:
            read = self._read(books.header)
            if read is None:
                return Again(self._after(UNLOCK_SECONDS))
            parts = read
        return Joined(_following(message, group_id, body, parts), counted=group_id)

    def unlocked(
        self, message: Message, group_id: str, body: Any, kwargs: Mapping[str, Any]
    ) -> Again | Joined:
        """What follows the parts that `kwargs` names, as soon as all of them have ended."""
        if self._results is None:
            raise DecodeError("a chord needs a result backend, and this worker has none")
        parts = self._read(kwargs["result"])
        if parts is not None:
            return Joined(_following(message, group_id, body, parts))
        tries = kwargs.get("max_retries")
        if tries is not None and message.retries >= int(tries):
            text = f"chord_unlock could not be retried: its parts had not ended after {tries} retries"
            return Joined(_given_up(message, group_id, body, lost("ChordError", text, group_id)))
        return Again(self._after(float(kwargs.get("interval") or UNLOCK_SECONDS)))

    def _read(self, trees: Sequence[Any]) -> list[Part] | None:
        """What the parts came to; None if one has not ended."""
        assert self._results is not None
        ids = list(leaves(trees))
        documents = self._results.get(ids)
        if not all(document.ready for document in documents):
            return None
        return parts_of(trees, dict(zip(ids, documents, strict=True)))

    def _after(self, seconds: float) -> int:
        return self._now_us() + round(max(seconds, LEAST_SECONDS) * 1_000_000)


def never_joined(message: Message, outcome: Outcome) -> list[Effect]:
    """What follows when the message that brings the parts of a chord together ended otherwise: nobody else will do it."""
    if message.task not in (own_tasks.CHORD_TASK, UNLOCK_TASK) or isinstance(outcome, Success | GoingOn):
        return []
    try:
        group_id, body = _arguments(message)
        return _given_up(message, group_id, body, cause_of(outcome, message.id))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return []  # there is no body that could be read


def _arguments(message: Message) -> tuple[str, Any]:
    group_id, body = json.loads(message.args)
    return str(group_id), body


def _following(message: Message, group_id: str, body: Any, parts: Sequence[Part]) -> list[Effect]:
    outcome = value_of(parts, Policy.FAIL)
    return _counted(message, group_id, body, outcome)


def _given_up(message: Message, group_id: str, body: Any, failure: Failure) -> list[Effect]:
    return _counted(message, group_id, body, failure)


def _counted(message: Message, group_id: str, body: Any, outcome: Success | Failure) -> list[Effect]:
    trace = trace_of(message.headers)
    return flow.counted(_body(group_id, body), outcome, message.root_id, message.parent_id, trace)


def _body(group_id: str, data: Any) -> Node:
    """A client of Celery's freezes it; one that did not gets ids that are always the same."""
    node = freeze(node_from_data(data, json_value), derive(group_id, "body"))
    check_calls(node)
    return node
