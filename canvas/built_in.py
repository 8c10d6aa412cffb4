"""BuiltIn: the tasks that every worker serves itself: joins, starts, and what Celery workers forward.

It says what such a message comes to; perform.py makes the transition of it.

    backbeat.join(join_id)            all parts of the join are in                                    --> Served | Ended | Lost
    backbeat.start(signature)         a canvas that travelled as one message (decisions B7)           --> Served
    backbeat.next(value, ref)         a Celery worker ran a task, and this is its value               --> Ended
    backbeat.value(value)             the value of a group that has taken the place of a task         --> Ended
    backbeat.failed(failed_id, ref)   a Celery worker ran a task, and it failed                       --> Ended
    backbeat.chord(group_id, body)    all parts of a chord that Celery counts are in                  --> Served | Ended
    celery.chord_unlock(group_id, body, result=...)    see celery_join.py                             --> Served | Ended
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from . import celery_join, flow, own_tasks, replacing
from .celery_join import UNLOCK_TASK, Again, CeleryJoin, Joined
from .chain_cache import ChainCache
from .commit.base import Commit
from .commit.transition import Closing
from .continuation import position_of
from .effect import Effect, planned
from .joining import fails
from .json_text import NULL, Json, json_value
from .message import Message, check_calls
from .node import Call, Group, Node, bare, freeze, map_first, root_of
from .node_data import node_from_data
from .outcome import Failure, GoingOn, Outcome, Retry, Success, cause_of, celery_error, lost
from .results.base import Results
from .trace_context import trace_of

logger = logging.getLogger(__name__)

BUILT_IN = frozenset(
    {
        own_tasks.CHORD_TASK,
        own_tasks.JOIN_TASK,
        own_tasks.NEXT_TASK,
        own_tasks.FAILED_TASK,
        own_tasks.START_TASK,
        replacing.VALUE_TASK,
        UNLOCK_TASK,
    }
)
INNER = BUILT_IN - {replacing.VALUE_TASK}
"""Those whose results are nobody's business; the value of a group that replaced a task is a result like any other."""
CARRIERS = frozenset(
    {own_tasks.CHORD_TASK, own_tasks.JOIN_TASK, own_tasks.NEXT_TASK, own_tasks.FAILED_TASK, UNLOCK_TASK}
)
"""Those that only carry on what others began: what they start is judged itself."""

UNKNOWN_JOIN_TRIES, UNKNOWN_JOIN_PAUSE_US = 60, 500_000
"""How often, and how far apart, the message of a join that this store does not know is sent again before it is a dead letter."""


class Served(Struct, frozen=True):
    """It is done: these effects follow, and nothing else does. With `closes`, once and for the first who closes that join so.

    With `counted` the same of that chord of Celery's.
    """

    message: Message
    outcome: Outcome
    effects: Sequence[Effect] = ()
    closes: Closing | None = None
    counted: str | None = None


class Ended(Struct, frozen=True):
    """It ended so, as this message; flow says what follows."""

    message: Message
    outcome: Outcome


class Lost(Struct, frozen=True):
    """There is no use in trying again: it is a dead letter."""

    failure: Failure


class BuiltIn:
    """A worker's side of them. Not thread-safe."""

    def __init__(
        self, commit: Commit, results: Results | None, chains: ChainCache, now_us: Callable[[], int]
    ) -> None:
        self._commit = commit
        self._results = results
        self._chains = chains
        self._now_us = now_us
        self._celery = CeleryJoin(results, now_us)

    def serve(self, message: Message) -> Served | Ended | Lost:
        """What it comes to. Raises whatever arguments that it cannot have lead to."""
        args = json.loads(message.args)
        match message.task:
            case own_tasks.JOIN_TASK:
                (join_id,) = args
                return self._join(message, _text(join_id))
            case own_tasks.CHORD_TASK:
                group_id, body = args
                return self._joined(message, self._celery.counted(message, _text(group_id), body))
            case celery_join.UNLOCK_TASK:
                group_id, body = args
                kwargs = json.loads(message.kwargs)
                return self._joined(message, self._celery.unlocked(message, _text(group_id), body, kwargs))
            case own_tasks.START_TASK:
                (signature,) = args
                return _start(message, signature)
            case replacing.VALUE_TASK:
                (value,) = args
                return Ended(message, Success(value=json_value(value)))
            case own_tasks.NEXT_TASK:
                value, ref = args
                outcome = Success(value=Json(json.dumps(value)))
                return Ended(replace(message, then=position_of(ref)), outcome)
            case _:
                failed_id, ref = args
                return Ended(replace(message, then=position_of(ref)), self._failure_of(_text(failed_id)))

    def _join(self, message: Message, join_id: str) -> Served | Ended | Lost:
        quiet = replace(message, ignore_result=True)
        loaded = self._commit.load(joins=[join_id])
        self._chains.learn(loaded.chains)
        join = loaded.joins.get(join_id)
        if join is None:
            return self._join_unknown(quiet, join_id)
        if not join.complete or message.generation < join.generation:
            # too early, or too late: the message of what is open now comes, or came, by itself
            return Served(quiet, Success(value=NULL))
        needed = self._chains.needed(join.record.then)
        effects = flow.joined(join.record, join.parts, needed, join.generation)
        closing = Closing(join_id, join.generation, keeps_parts=fails(join.record, join.parts))
        return Served(quiet, Success(value=NULL), effects, closes=closing)

    def _join_unknown(self, quiet: Message, join_id: str) -> Ended | Lost:
        """Another app shares the broker and not the store: its own worker must get the message, so it is sent again for a while."""
        text = f"the store of this worker has no join {join_id}"
        if quiet.attempt < UNKNOWN_JOIN_TRIES:
            return Ended(quiet, Retry(eta_us=self._now_us() + UNKNOWN_JOIN_PAUSE_US))
        logger.error("%s: apps that share a broker must share the store, or have a broker vhost each", text)
        return Lost(lost("JoinLost", text, join_id))

    def _joined(self, message: Message, found: Again | Joined) -> Served | Ended:
        quiet = replace(message, ignore_result=True)
        match found:
            case Again(at_us):
                return Ended(quiet, Retry(eta_us=at_us))
            case Joined(effects, counted):
                return Served(quiet, Success(value=NULL), effects, counted=counted)

    def _failure_of(self, failed_id: str) -> Failure:
        if self._results is not None:
            (document,) = self._results.get([failed_id])
            if document.error is not None:
                return Failure(
                    error=replace(document.error, node=failed_id), traceback=document.traceback or ""
                )
        return Failure(
            error=celery_error("TaskError", f"task {failed_id} failed in a Celery worker", failed_id)
        )


def never_started(message: Message, outcome: Outcome) -> list[Effect]:
    """A canvas that travelled as one message, which was revoked or has expired, say, settles as any other does."""
    if isinstance(outcome, Success | GoingOn):
        return []
    try:
        (signature,) = json.loads(message.args)
        node = freeze(node_from_data(signature, json_value), own_tasks.started_id(message.id))
        return flow.not_started(node, root_of(node), cause_of(outcome, message.id), trace_of(message.headers))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return []  # it is none


def _start(message: Message, signature: dict[str, object]) -> Served:
    """The value of the canvas is found under an id derived from the message's."""
    node = freeze(node_from_data(signature, json_value), own_tasks.started_id(message.id))
    check_calls(node)
    whole = bare(node)
    handle = whole.id if not isinstance(whole, Group) else [member.id for member in whole.members]
    started = _with_headers(node, message)
    effects = [
        *planned(started, root_of(node), message.id),
        *flow.start(started, root_of(node), parent_id=message.id, trace=trace_of(message.headers)),
    ]
    return Served(message, Success(value=json_value(handle)), effects)


def _with_headers(node: Node, message: Message) -> Node:
    """The firing's headers (periodic_task_name, fire_time) on every call that starts the canvas."""

    def changed(call: Call) -> Call:
        headers = {**message.headers, **(call.options.get("headers") or {})}
        return replace(call, options={**call.options, "headers": headers})

    return map_first(node, changed)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"an id is a string, not {value!r:.100}")
    return value
