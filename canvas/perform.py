"""Perform: between flow, which decides, and Commit, which writes down. The only place that turns effects into transitions.

`Performer` is one worker's: `route` says of each taken message whether a function must run, or gives the transition that it needs
right away; `finished` makes the transition of a task that ended; `commit` brings transitions until each is applied, asking flow again
where another outcome stands. What the tasks come to that every worker serves itself is in built_in.py, what a client does in sending.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from . import flow, own_tasks
from .built_in import BUILT_IN, CARRIERS, BuiltIn, Ended, Lost, Served, never_started
from .celery_join import never_joined
from .chain_cache import ChainCache
from .commit.base import Commit
from .commit.dead_letter import DeadLetter
from .commit.overlap import beside, nothing
from .commit.records import join_to_text
from .commit.role import OUTBOX
from .commit.taken import Taken
from .commit.transition import Closing, Transition
from .commit.verdict import Later, Poison, Run, Settled, Stale, Standing, WasRevoked
from .continuation import JoinRecord, join_above
from .effect import Effect, Publish, Settle
from .errors import DecodeError
from .json_text import NULL, json_list, json_string
from .killpoint import reach
from .led_to import led_to
from .message import CONTROL_QUEUE, DEFAULT_QUEUE, Message, copy_of
from .outcome import (
    Error,
    Failure,
    Outcome,
    Rejected,
    Replaced,
    Revoked,
    Success,
    celery_error,
    is_refusal,
    lost,
)
from .replacing import VALUE_TASK
from .results.base import Results

logger = logging.getLogger(__name__)

ABSENT_PAUSE_US = 1_000_000
"""After it a broadcast is looked at again that nobody was there to get."""
RESULT_BYTES = 1024 * 1024
"""Bytes of a result, at most, unless the setting `result_max_bytes` says another number (decisions K19)."""


class Execute(Struct, frozen=True):
    """Route: a function must run; bring its outcome to `ended`. With `early`, its acknowledgement must be brought before it starts."""

    taken: Taken
    message: Message
    early: bool = False
    frees: str | None = None
    """The limit_key of which it has a slot."""

    @property
    def starts_at_once(self) -> bool:
        """It must not wait in a pool: it is acknowledged as started, or may end what it runs in."""
        return self.early or self.taken.suspect


Route = Execute | Transition


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
        is_broadcast: Callable[[str], bool] = lambda _queue: False,
        result_bytes: int = RESULT_BYTES,
    ) -> None:
        self._commit = commit
        self._exchange_beside = beside(commit)
        self._now_us = now_us
        self._queue_of = queue_of
        self._is_early = is_early
        self._is_broadcast = is_broadcast
        self._result_bytes = result_bytes
        self._chains = ChainCache(commit)
        self._built_in = BuiltIn(commit, results, self._chains, now_us)
        self._left: list[Taken] = []
        self.forgeries = 0
        """How many messages were refused because of their signature, or for want of one."""

    def route(self, taken: Taken) -> Route:
        """What to do with a taken message."""
        message = taken.message
        if message is None:
            return self._undecodable(taken)
        if message.paced_us is not None and not isinstance(taken.verdict, Later):
            message = replace(message, paced_us=None)  # nothing that follows from it has a turn
        match taken.verdict:
            case Settled() if message.guards is not None:
                # what followed was sent when the outcome was stored
                return Transition(delivery=taken.delivery)
            case Settled(standing):
                return self._stands(taken, message, standing)
            case Stale():
                return Transition(delivery=taken.delivery)
            case Later(until_us):
                return Transition(effects=(Publish(message, until_us),), delivery=taken.delivery)
            case WasRevoked() if message.task in CARRIERS:
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
            chains = self._chains.needed(message.then)
            effects = flow.next_steps(message, outcome, chains)
        except KeyError as error:
            return self._chain_lost(taken, message, outcome, error)
        children = led_to(message, outcome, effects, chains)
        if message.task == own_tasks.START_TASK:
            effects += never_started(message, outcome)
        effects += never_joined(message, outcome)
        return Transition(
            message=message,
            outcome=outcome,
            effects=self._routed(effects),
            children=children,
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
        if isinstance(outcome, Success | Replaced) and outcome.added and self._is_alone(message):
            args = json_list([json_string(flow.ALONE)])
            outcome = Failure(error=Error(type="ValueError", args=args, text=flow.ALONE, node=message.id))
        return self.finished(taken, message, outcome)

    def _is_alone(self, message: Message) -> bool:
        """Whether a task is in no group that is waited for, so that there is nothing that it could add to."""
        try:
            return join_above(message.then, self._chains.needed(message.then)) is None
        except KeyError:
            return False  # what is said of the chain that is lost says more

    def dead(self, taken: Taken, message: Message, failure: Failure) -> Transition:
        """The transition of a message that no worker can run: it fails, and is kept as a dead letter."""
        return replace(self.finished(taken, message, failure), dead=_dead_letter(taken, failure.error.text))

    def commit(
        self, transitions: Sequence[Transition], *, take: int = 0, meanwhile: Callable[[], object] = nothing
    ) -> Sequence[Taken]:
        """Bring `transitions`, and those that replace the ones that another outcome beat; then take. `meanwhile` is called while that is under
        way, or just before.
        """
        exchange = self._exchange_beside(transitions, take, meanwhile)
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

    def admitted(self, asks: Sequence[Transition]) -> Collection[str]:
        """The ids of those of `asks` (Transition.admits) that may start."""
        return self._commit.exchange(asks).admitted

    @property
    def left(self) -> Sequence[Taken]:
        """What was taken by a `commit` that could not be ended; the next one returns it."""
        return self._left

    def given_up(self, transition: Transition, failure: Failure) -> Transition | None:
        """In place of the transition of a join that no store takes: what was to follow is settled. None if the join is gone."""
        assert transition.closes is not None
        join_id = transition.closes.join_id
        state = self._commit.load(joins=[join_id]).joins.get(join_id)
        if state is None:
            return None
        effects, chain_lost = self._given_up(state.record, failure)
        dead = _dead_join(state.record, chain_lost or failure.error.text)
        return replace(transition, effects=effects, dead=dead)

    def settle_interrupted(self, record: JoinRecord) -> None:
        """Settle a canvas whose sender died before it had sent all of it."""
        logger.warning(
            "the sender of join %s died while it was sending",
            record.join_id,
            extra={"action": "send_interrupted"},
        )
        effects, chain_lost = self._given_up(record, flow.interrupted(record.join_id))
        dead = _dead_join(record, chain_lost) if chain_lost else None
        reach("perform.interrupting")
        self._commit.exchange([Transition(effects=effects, closes=Closing(record.join_id), dead=dead)])
        reach("perform.interrupted")

    def _given_up(self, record: JoinRecord, failure: Failure) -> tuple[tuple[Effect, ...], str]:
        """What follows when a join fails; and, where that cannot be known, why."""
        try:
            return self._routed(flow.given_up(record, failure, self._chains.needed(record.then))), ""
        except KeyError as error:
            text = f"JoinLost: the store no longer has chain {error}, so what waits for this join cannot be found"
            logger.error("join %s: %s", record.join_id, text, extra={"action": "chain_lost"})  # noqa: TRY400 - it says all
            return (), text

    # --- verdicts ------------------------------------------------------------------------------------------------------------

    def _start(self, taken: Taken, message: Message) -> Route:
        if message.expires_us is not None and message.expires_us <= self._now_us():
            return self.finished(taken, message, Revoked(reason="expired"))
        if message.copy_of is None and self._is_broadcast(message.queue):
            return self._hand_out(taken, message)
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

    def _hand_out(self, taken: Taken, message: Message) -> Transition:
        """Of a broadcast every worker that is there gets a copy, in the step that acknowledges it; that is all that it comes to."""
        queues = self._commit.audience(message.queue)
        if queues is None:
            whole = copy_of(message, message.queue)
            copies = [replace(whole, exchange=message.queue, first_queue=message.queue)]
        elif queues:
            copies = [copy_of(message, queue) for queue in queues]
        else:  # this worker was away for so long that it does not count: it will soon again
            again = Publish(message, self._now_us() + ABSENT_PAUSE_US)
            return Transition(effects=(again,), delivery=taken.delivery)
        done = self.finished(taken, message, Success(value=NULL))
        return replace(done, effects=(*done.effects, *map(Publish, copies)))

    def _stands(self, taken: Taken, message: Message, standing: Standing) -> Transition:
        is_older = (standing.generation, standing.attempt) > (message.generation, message.attempt)
        if standing.outcome is None or is_older:
            # what followed was sent when the outcome was stored, and what this copy says need not hold for the attempt that ended: it may
            # have been another task, as those between were replaced
            return Transition(delivery=taken.delivery)
        return self.finished(taken, message, standing.outcome)

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

    def _serve(self, taken: Taken, message: Message) -> Transition:
        match self._built_in.serve(message):
            case Ended(ended, outcome) if ended.task == VALUE_TASK:
                return self.ended(taken, ended, outcome)  # a result like any other
            case Ended(ended, outcome):
                return self.finished(taken, ended, outcome)
            case Lost(failure):
                return self.dead(taken, message, failure)
            case Served(served, outcome, effects, closes, counted):
                return Transition(
                    message=served,
                    outcome=outcome,
                    effects=self._routed(effects),
                    delivery=taken.delivery,
                    closes=closes,
                    counted=counted,
                )

    def _routed(self, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        """Messages that name no queue go to that of their task."""
        return tuple(
            replace(e, message=replace(e.message, queue=self._queue_of(e.message.task)))
            if isinstance(e, Publish) and not e.message.queue
            else e
            for e in effects
        )


def _dead_join(record: JoinRecord, reason: str) -> DeadLetter:
    return DeadLetter(reason, join_to_text(record), record.join_id)


def _dead_letter(taken: Taken, reason: str) -> DeadLetter:
    id_ = taken.task_id or (taken.message.id if taken.message else None)
    queue = (taken.message and taken.message.guards) or taken.delivery.queue
    is_early = isinstance(taken.verdict, Poison) and taken.verdict.early
    if queue == OUTBOX or (is_early and queue == CONTROL_QUEUE):
        # it came by a queue of our own: the message itself says where it was sent
        queue = ""
    return DeadLetter(reason, taken.delivery.raw, id_, queue)
