"""Perform: between flow, which decides, and Commit, which writes down. The only place that turns effects into transitions.

`Performer` is one worker's: `route` says of each taken message whether a function must run, or gives the transition that it needs
right away; `finished` makes the transition of a task that ended; `commit` brings transitions until each is applied, asking flow again
where another outcome stands. What a client does is in sending.py.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from . import flow
from .commit.base import (
    Commit,
    DeadLetter,
    Later,
    Poison,
    Run,
    Settled,
    Stale,
    Standing,
    Taken,
    Transition,
    WasRevoked,
)
from .commit.records import join_to_text
from .continuation import ChainRecord, Continuation, JoinRecord, position_of
from .effect import Effect, Publish, Settle
from .errors import DecodeError
from .json_text import NULL, Json
from .killpoint import reach
from .message import CONTROL_QUEUE, DEFAULT_QUEUE, Message, check_calls
from .node import Call, Chain, Group, Node, freeze, node_from_data, root_of
from .outcome import (
    Failure,
    Ignored,
    Outcome,
    Rejected,
    Retry,
    Revoked,
    Success,
    cause_of,
    celery_error,
    is_refusal,
    lost,
)
from .results.base import Results

logger = logging.getLogger(__name__)

UNKNOWN_JOIN_TRIES, UNKNOWN_JOIN_PAUSE_US = 60, 500_000
"""How often, and how far apart, the message of a join that this store does not know is sent again before it is a dead letter."""
CHAINS_KEPT = 1_000
"""Chain records, which never change, kept by a worker."""
BUILT_IN = frozenset({flow.JOIN_TASK, flow.NEXT_TASK, flow.FAILED_TASK, flow.START_TASK})

RESULT_BYTES = 1024 * 1024
"""Bytes of a result, at most, unless the setting `result_max_bytes` says another number (decisions K19)."""
_CARRIERS = frozenset({flow.JOIN_TASK, flow.NEXT_TASK, flow.FAILED_TASK})


@dataclass(frozen=True, slots=True)
class Execute:
    """Route: a function must run; bring its outcome to `ended`. With `early`, its acknowledgement must be brought before it starts."""

    taken: Taken
    message: Message
    early: bool = False

    @property
    def suspect(self) -> bool:
        """A process died while it ran this, so it may have been this that ended it."""
        return isinstance(self.taken.verdict, Run) and self.taken.verdict.lost > 0


Route = Execute | Transition
_Ended = Failure | Revoked | Rejected | Ignored


class Performer:
    """A worker's side. Not thread-safe."""

    def __init__(
        self,
        commit: Commit,
        results: Results | None,
        *,
        now_us: Callable[[], int],
        queue_of: Callable[[str], str] = lambda _task: DEFAULT_QUEUE,
        is_early: Callable[[Message], bool] = lambda _message: False,
        result_bytes: int = RESULT_BYTES,
    ) -> None:
        self._commit = commit
        self._results = results
        self._now_us = now_us
        self._queue_of = queue_of
        self._is_early = is_early
        self._result_bytes = result_bytes
        self._chains: OrderedDict[str, ChainRecord] = OrderedDict()
        self._left: list[Taken] = []
        self.forgeries = 0
        """How many messages were refused because of their signature, or for want of one."""

    def route(self, taken: Taken) -> Route:
        """What to do with a taken message."""
        message = taken.message
        if message is None:
            return self._undecodable(taken)
        match taken.verdict:
            case Settled() if message.guards is not None:
                return Transition(
                    delivery=taken.delivery
                )  # what followed was sent when the outcome was stored
            case Settled(standing):
                return self._stands(taken, message, standing)
            case Stale():
                return Transition(delivery=taken.delivery)
            case Later(until_us):
                return Transition(effects=(Publish(message, until_us),), delivery=taken.delivery)
            case WasRevoked() if message.task in _CARRIERS:
                return self._start(taken, message)  # what it starts is judged itself
            case WasRevoked():
                return self.finished(taken, message, Revoked(reason="revoked"))
            case Poison(lost, early):
                text = (
                    "the worker was lost while it ran this task, which was acknowledged before it ran"
                    if early
                    else f"{lost} workers were lost while they ran this task"
                )
                failure = Failure(error=celery_error("WorkerLostError", text, message.id))
                return replace(self.finished(taken, message, failure), dead=_dead_letter(taken, text))
            case Run():
                return self._start(taken, message)

    def finished(self, taken: Taken, message: Message, outcome: Outcome) -> Transition:
        """The transition of a message that ended with `outcome`."""
        try:
            effects = flow.next_steps(message, outcome, self._chains_for(message.then))
        except KeyError as error:
            return self._chain_lost(taken, message, outcome, error)
        if message.task == flow.START_TASK and isinstance(outcome, _Ended):
            effects += _never_started(message, outcome)
        return Transition(
            message=message,
            outcome=outcome,
            effects=self._routed(effects),
            children=_children(message, effects),
            delivery=taken.delivery,
            started_us=taken.verdict.started_us if isinstance(taken.verdict, Run) else 0,
        )

    def ended(self, taken: Taken, message: Message, outcome: Outcome) -> Transition:
        """The transition of a message that a pool took; one that it could not run is kept as a dead letter, too."""
        if isinstance(outcome, Failure) and is_refusal(outcome):
            return self.dead(taken, message, outcome)
        if isinstance(outcome, Rejected):
            text = f"the task rejected its message: {outcome.reason}"
            return replace(self.finished(taken, message, outcome), dead=_dead_letter(taken, text))
        if isinstance(outcome, Success) and len(outcome.value) > self._result_bytes:
            text = (
                f"the result has {len(outcome.value):,} bytes, more than {self._result_bytes:,}: "
                "return a reference to the data, or raise the setting result_max_bytes"
            )
            outcome = lost("EncodeError", text, message.id)
        return self.finished(taken, message, outcome)

    def dead(self, taken: Taken, message: Message, failure: Failure) -> Transition:
        """The transition of a message that no worker can run: it fails, and is kept as a dead letter."""
        return replace(self.finished(taken, message, failure), dead=_dead_letter(taken, failure.error.text))

    def commit(self, transitions: Sequence[Transition], *, take: int = 0) -> Sequence[Taken]:
        """Bring `transitions`, and those that replace the ones that another outcome beat; then take."""
        exchange = self._commit.exchange(transitions, take=take)
        self._left += exchange.taken  # kept for the next call if what follows cannot be done now
        pairs = zip(transitions, exchange.standing, strict=True)
        again = [self._instead(t, standing) for t, standing in pairs if standing is not None]
        while again:
            reach("perform.beaten")
            exchange = self._commit.exchange(again)
            pairs = zip(again, exchange.standing, strict=True)
            again = [self._instead(t, standing) for t, standing in pairs if standing is not None]
        taken, self._left = self._left, []
        return taken

    @property
    def left(self) -> Sequence[Taken]:
        """What was taken by a `commit` that could not be ended; the next one returns it."""
        return self._left

    def settle_interrupted(self, record: JoinRecord) -> None:
        """Settle a canvas whose sender died before it had sent all of it."""
        logger.warning(
            "the sender of join %s died while it was sending",
            record.join_id,
            extra={"action": "send_interrupted"},
        )
        dead = None
        try:
            effects = flow.interrupted(record, self._chains_for(record.then))
        except KeyError as error:
            text = f"JoinLost: the store no longer has chain {error}, so what waits for this join cannot be found"
            logger.error("join %s: %s", record.join_id, text, extra={"action": "chain_lost"})  # noqa: TRY400 - it says all
            effects, dead = [], DeadLetter(text, join_to_text(record), record.join_id)
        reach("perform.interrupting")
        self._commit.exchange([Transition(effects=self._routed(effects), closes=record.join_id, dead=dead)])
        reach("perform.interrupted")

    # --- verdicts ------------------------------------------------------------------------------------------------------------

    def _start(self, taken: Taken, message: Message) -> Route:
        if message.expires_us is not None and message.expires_us <= self._now_us():
            return self.finished(taken, message, Revoked(reason="expired"))
        if message.task not in BUILT_IN:
            return Execute(taken, message, self._is_early(message))
        try:
            return self._serve(taken, message)
        except (
            ArithmeticError,
            AttributeError,
            DecodeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            text = f"{message.task} was called with arguments that it cannot have: {error}"
            extra = {"action": "message_refused", "id": message.id}
            logger.error("refused message %s: %s", message.id, text, extra=extra)  # noqa: TRY400 - a stranger's fault
            return self.dead(taken, message, Failure(error=celery_error("Reject", text, message.id)))

    def _stands(self, taken: Taken, message: Message, standing: Standing) -> Transition:
        if standing.outcome is None:
            return Transition(delivery=taken.delivery)
        attempted = replace(message, attempt=standing.attempt, generation=standing.generation)
        return self.finished(taken, attempted, standing.outcome)

    def _instead(self, transition: Transition, standing: Standing) -> Transition:
        assert transition.message is not None
        assert transition.delivery is not None
        if transition.message.stub:
            # what follows was sent with what stands, whole; of a stub it would be sent without its arguments
            return Transition(delivery=transition.delivery, dead=transition.dead)
        return self._stands(
            Taken(transition.delivery, transition.message, Run()), transition.message, standing
        )

    def _undecodable(self, taken: Taken) -> Transition:
        if taken.forged:
            self.forgeries += 1
        logger.error(
            "refused %s from queue %s: %s",
            "a message" if taken.task_id is None else f"message {taken.task_id}",
            taken.delivery.queue,
            taken.reason,
            extra={"action": "message_forged" if taken.forged else "message_refused", "id": taken.task_id},
        )
        dead = _dead_letter(taken, taken.reason)
        if taken.task_id is None:
            return Transition(delivery=taken.delivery, dead=dead)
        failure = Failure(
            error=celery_error("Reject", f"the message was refused: {taken.reason}", taken.task_id)
        )
        if taken.stub is not None:  # the headers say what depends on it
            return replace(self.finished(taken, taken.stub, failure), dead=dead)
        return Transition(
            effects=(Settle(taken.task_id, failure),),
            delivery=taken.delivery,
            dead=dead,
        )

    def _chain_lost(self, taken: Taken, message: Message, outcome: Outcome, error: KeyError) -> Transition:
        text = f"the store no longer has chain {error}, so what follows this task cannot be found"
        logger.error("task %s: %s", message.id, text, extra={"action": "chain_lost", "id": message.id})
        bare = self.finished(taken, replace(message, then=None), outcome)
        return replace(bare, dead=_dead_letter(taken, text))

    # --- the tasks that every worker serves itself ---------------------------------------------------------------------------

    def _serve(self, taken: Taken, message: Message) -> Transition:
        args = json.loads(message.args)
        match message.task:
            case flow.JOIN_TASK:
                (join_id,) = args
                return self._serve_join(taken, message, _text(join_id))
            case flow.START_TASK:
                (signature,) = args
                return self._serve_start(taken, message, signature)
            case flow.NEXT_TASK:
                value, ref = args
                outcome: Outcome = Success(value=Json(json.dumps(value)))
                return self.finished(taken, replace(message, then=position_of(ref)), outcome)
            case _:
                failed_id, ref = args
                return self.finished(
                    taken, replace(message, then=position_of(ref)), self._failure_of(_text(failed_id))
                )

    def _serve_join(self, taken: Taken, message: Message, join_id: str) -> Transition:
        join = self._commit.load(joins=[join_id]).joins.get(join_id)
        done = Transition(
            message=replace(message, ignore_result=True), outcome=Success(value=NULL), delivery=taken.delivery
        )
        if join is None:
            return self._join_unknown(taken, message, join_id)
        if not join.complete:
            return done
        effects = flow.joined(join.record, join.parts, self._chains_for(join.record.then))
        return replace(done, effects=self._routed(effects), closes=join_id)

    def _join_unknown(self, taken: Taken, message: Message, join_id: str) -> Transition:
        """Another app shares the broker and not the store: its own worker must get the message, so it is sent again for a while."""
        text = f"the store of this worker has no join {join_id}"
        if message.attempt < UNKNOWN_JOIN_TRIES:
            again = Retry(eta_us=self._now_us() + UNKNOWN_JOIN_PAUSE_US)
            return self.finished(taken, replace(message, ignore_result=True), again)
        logger.error("%s: apps that share a broker must share the store, or have a broker vhost each", text)
        return self.dead(taken, message, lost("JoinLost", text, join_id))

    def _serve_start(self, taken: Taken, message: Message, signature: dict[str, object]) -> Transition:
        """A canvas that travelled as one message (decisions B7). Its value is found under an id derived from the message's."""
        node = freeze(node_from_data(signature, _dump), flow.started_id(message.id))
        check_calls(node)
        handle = node.id if not isinstance(node, Group) else [member.id for member in node.members]
        effects = flow.start(_with_headers(node, message), root_of(node), parent_id=message.id)
        return Transition(
            message=message,
            outcome=Success(value=_dump(handle)),
            effects=self._routed(effects),
            delivery=taken.delivery,
        )

    def _failure_of(self, failed_id: str) -> Outcome:
        text = f"task {failed_id} failed in a Celery worker"
        if self._results is not None:
            (document,) = self._results.get([failed_id])
            if document.error is not None:
                return Failure(
                    error=replace(document.error, node=failed_id), traceback=document.traceback or ""
                )
        return Failure(error=celery_error("TaskError", text, failed_id))

    def _routed(self, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        """Messages that name no queue go to that of their task."""
        return tuple(
            replace(e, message=replace(e.message, queue=self._queue_of(e.message.task)))
            if isinstance(e, Publish) and not e.message.queue
            else e
            for e in effects
        )

    def _chains_for(self, then: Continuation | None) -> dict[str, ChainRecord]:
        wanted = flow.chain_needed(then)
        if wanted is None:
            return {}
        if wanted not in self._chains:
            self._chains.update(self._commit.load(chains=[wanted]).chains)
            while len(self._chains) > CHAINS_KEPT:
                self._chains.popitem(last=False)
        return dict(_with_below(wanted, self._chains))


def _never_started(message: Message, outcome: _Ended) -> list[Effect]:
    """A canvas that travelled as one message, which was revoked or has expired, say, settles as any other does."""
    try:
        (signature,) = json.loads(message.args)
        node = freeze(node_from_data(signature, _dump), flow.started_id(message.id))
        return flow.not_started(node, root_of(node), cause_of(outcome, message.id))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return []  # it is none


def _with_below(id_: str, chains: OrderedDict[str, ChainRecord]) -> Iterator[tuple[str, ChainRecord]]:
    wanted: str | None = id_
    while wanted is not None and wanted in chains:
        chains.move_to_end(wanted)
        yield wanted, chains[wanted]
        wanted = flow.chain_needed(chains[wanted].below)


def _children(message: Message, effects: Sequence[Effect]) -> tuple[str, ...]:
    return tuple(e.message.id for e in effects if isinstance(e, Publish) and e.message.id != message.id)


def _dead_letter(taken: Taken, reason: str) -> DeadLetter:
    id_ = taken.task_id or (taken.message.id if taken.message else None)
    queue = (taken.message and taken.message.guards) or taken.delivery.queue
    if isinstance(taken.verdict, Poison) and taken.verdict.early and queue == CONTROL_QUEUE:
        # Redis brought it by the queue of our own workers: the message itself says where it was sent
        queue = ""
    return DeadLetter(reason, taken.delivery.raw, id_, queue)


def _with_headers(node: Node, message: Message) -> Node:
    """The firing's headers (periodic_task_name, fire_time) on every call that starts the canvas."""
    match node:
        case Call():
            headers = {**message.headers, **(node.options.get("headers") or {})}
            return replace(node, options={**node.options, "headers": headers})
        case Chain():
            return replace(node, steps=(_with_headers(node.steps[0], message), *node.steps[1:]))
        case Group():
            return replace(node, members=tuple(_with_headers(member, message) for member in node.members))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"an id is a string, not {value!r:.100}")
    return value


def _dump(value: object) -> Json:
    return Json(json.dumps(value, separators=(",", ":")))
