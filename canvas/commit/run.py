"""Run: what a store knows about one task id, and the two decisions that every store takes on it. PURE.

                 claim                  outcome (compare-and-set)
    nothing  ------------> claimed  -----------------------------> ended(attempt)
                             ^   \\                                    |  Retry: a message of the next attempt
          claim is dead: lost+1 |  \\-- max_lost, or early: Poison  v
                             \\--+                                  claimed(attempt + 1) ...

The identity of a run is (generation, attempt) under its id (decisions K6). The Redis script `decisions.lua` takes the same decisions;
the conformance suite holds them together.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from ..effect import Publish
from ..message import Message
from ..outcome import Ending, GoingOn, Outcome, Revoked
from .limits import Limits
from .transition import Transition
from .verdict import Later, Poison, Settled, Stale, Standing, Verdict, WasRevoked
from .verdict import Run as RunIt


class RunRecord(Struct, frozen=True, kw_only=True):
    """One task id in a store. `outcome` is that of (generation, attempt); None while it is claimed or was only lost or revoked."""

    generation: int = 0
    attempt: int = 0
    outcome: Outcome | None = None
    worker: str = ""
    lease_us: int = 0
    lost: int = 0
    early: bool = False
    """It was acknowledged before it ran (decisions K9): the death of its claim ends it."""
    started_us: int = 0
    """When it was claimed."""

    @property
    def is_open(self) -> bool:
        """True while it waits, runs, or will run again."""
        return self.outcome is None or isinstance(self.outcome, GoingOn)

    @property
    def key(self) -> tuple[int, int]:
        return self.generation, self.attempt


def judge(
    record: RunRecord | None,
    message: Message,
    *,
    worker: str,
    now_us: int,
    limits: Limits,
    revoked: bool,
    is_gone: Callable[[str], bool],
) -> tuple[Verdict, RunRecord | None]:
    """May `worker` run `message` now? Returns the verdict and the record to store, if it changed.

    `is_gone` knows of a worker for certain that its process is over; such a claim is dead before its lease is.
    """
    record = record or RunRecord()
    key = (message.generation, message.attempt)
    if record.outcome is not None and record.key >= key:
        return Settled(Standing(record.outcome, record.attempt, record.generation)), None
    if record.key > key:
        return Stale(), None
    same = record.key == key
    if same and record.worker and record.lease_us > now_us and not is_gone(record.worker):
        return Later(record.lease_us, record.worker), None  # also if it is revoked: what runs goes on
    if revoked:
        return WasRevoked(), None
    if message.eta_us is not None and message.eta_us > now_us:
        return Later(message.eta_us), None
    # a claim that died counts; a retry or a later generation starts counting anew
    lost = (record.lost + (1 if record.worker else 0)) if same else 0
    if lost >= limits.max_lost or (same and record.early and lost):
        return Poison(lost, early=record.early), replace(record, lost=lost)
    claim = RunRecord(
        generation=message.generation,
        attempt=message.attempt,
        worker=worker,
        lease_us=now_us + limits.lease_us,
        lost=lost,
        started_us=now_us,
    )
    return RunIt(lost, now_us), claim


def waiting_id(transition: Transition) -> str | None:
    """The task of which a message shall wait by this transition: for its next attempt, or as it may not start yet."""
    if transition.puts_off is not None:
        return transition.puts_off.message.id
    return transition.message.id if transition.message and isinstance(transition.outcome, GoingOn) else None


def hastened(transition: Transition) -> Transition:
    """A transition of a task that was revoked while a worker had it: its message waits no longer, and ends as revoked."""
    id_ = waiting_id(transition)
    if id_ is None:
        return transition
    effects = [
        replace(effect, not_before_us=0)
        if isinstance(effect, Publish) and effect.message.id == id_
        else effect
        for effect in transition.effects
    ]
    return replace(transition, effects=tuple(effects))


def begin_early(record: RunRecord | None, message: Message, worker: str) -> RunRecord | None:
    """The record to store when `worker` acknowledges `message` before it runs; None if the claim is not its own any more."""
    if record is None or record.outcome is not None or record.worker != worker:
        return None
    return replace(record, early=True) if record.key == (message.generation, message.attempt) else None


def give_back(record: RunRecord | None, message: Message, worker: str) -> RunRecord | None:
    """The record to store when `worker` puts `message` off, as if it had never claimed it; None if the claim is not its own any more."""
    if record is None or record.outcome is not None or record.worker != worker:
        return None
    is_same = record.key == (message.generation, message.attempt)
    return replace(record, worker="", lease_us=0) if is_same else None


def revoke(record: RunRecord | None, now_us: int) -> RunRecord | None:
    """The record to store when its id is revoked: REVOKED at once for what nobody runs (decisions K20); None if that is not so.

    Its message, when it comes to a worker, finds that it ended so, and what depends on it is settled then.
    """
    if record is None:
        return RunRecord(outcome=Revoked())
    if record.outcome is None and (not record.worker or record.lease_us <= now_us):
        return RunRecord(
            generation=record.generation, attempt=record.attempt, outcome=Revoked(), lost=record.lost
        )
    return _next_attempt(record, Revoked()) if isinstance(record.outcome, GoingOn) else None


def settle_unstarted(record: RunRecord | None, ending: Ending, attempt: int | None) -> RunRecord | None:
    """The record to store for an attempt that can no longer run; None if there is an outcome that it does not follow.

    Attempt None: the one that waits, runs or is to follow.
    """
    if record is None or record.outcome is None:
        if attempt is None and record is not None:
            return RunRecord(generation=record.generation, attempt=record.attempt, outcome=ending)
        return RunRecord(outcome=ending, attempt=attempt or 0)
    follows = isinstance(record.outcome, GoingOn) and attempt in (None, record.attempt + 1)
    return _next_attempt(record, ending) if follows else None


def restart(record: RunRecord | None, generation: int) -> RunRecord | None:
    """The record to store for a task that shall run again in this generation; None if it does already."""
    is_there = record is not None and record.generation >= generation
    return None if is_there else RunRecord(generation=generation)


def _next_attempt(record: RunRecord, outcome: Outcome) -> RunRecord:
    """The attempt that was to follow ended so, before it began."""
    return RunRecord(generation=record.generation, attempt=record.attempt + 1, outcome=outcome)


def settle(
    record: RunRecord | None, message: Message, outcome: Outcome
) -> tuple[Standing | None, RunRecord | None]:
    """Which outcome stands? Returns it if it is another one than `outcome`, and the record to store, if it changed."""
    key = (message.generation, message.attempt)
    if record is not None and record.outcome is not None and record.key >= key:
        if record.key == key and record.outcome == outcome:
            # revoked before its message was known: now its result can tell what it was
            return None, record if isinstance(outcome, Revoked) else None
        return Standing(record.outcome, record.attempt, record.generation), None
    if record is not None and record.key > key:
        # a later attempt runs: it exists because this one ended before, so there is nothing to add
        return Standing(None, record.attempt, record.generation), None
    lost = record.lost if record is not None else 0
    return None, RunRecord(generation=message.generation, attempt=message.attempt, outcome=outcome, lost=lost)
