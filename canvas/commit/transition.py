"""Transition: one thing that ended, with all that follows from it, on its way into a store; and Exchange, what comes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from ..child import Child
from ..delivery import Delivery
from ..effect import Effect, Settle
from ..message import Message
from ..outcome import GoingOn, Outcome, Success
from ..quota import Ask
from ..results.document import Document, document_of
from ..signing import NO_KEYS, Keyring
from ..unique import Unique
from .dead_letter import DeadLetter
from .put_off import PutOff
from .taken import Taken
from .verdict import Standing


class Closing(Struct, frozen=True):
    """A join that somebody goes on from, as he read it: in this generation, or in any. With `keeps_parts` its parts stay for as long as it
    is known, so that the canvas can go on from them.
    """

    join_id: str
    generation: int | None = None
    keeps_parts: bool = False


class Transition(Struct, frozen=True, kw_only=True):
    """One thing that ended, and all that follows from it.

    With `message` and `outcome`: the outcome is stored first, by compare-and-set; of a run that began at `started_us`. With `closes`:
    the join is closed first, and if it is closed already, or was opened again since it was read, nothing is applied but the
    acknowledgement. With neither: the effects are applied.

    With `early`: this message, whose claim is stored, shall be acknowledged before it runs (decisions K9). Nobody gets it any more to
    run it; it is kept where backbeat's workers alone find it, so that one of them can end it if the claim dies.

    With `counted`: the books of that chord of Celery's are closed first, and if they are another's nothing else is applied but the
    acknowledgement.

    With `digs_up`: that dead letter is deleted first, and if it is gone already nothing else is applied.

    With `puts_off`: the claim of that message is given back, uncounted, and it is published again for later.

    With `admits`: it is asked whether that message, which is claimed, may start. If it may not it is put off as with `puts_off`; else, and only
    then, nothing of this is applied, and its delivery stays. Whose claim is another's by now is acknowledged.

    With `frees`, the limit_key of the run that ended: who waits for its slot is woken.

    With `unique`, for a client: its key is taken first, and if another task has it nothing is applied (see commit/unique.py).
    """

    message: Message | None = None
    outcome: Outcome | None = None
    effects: tuple[Effect, ...] = ()
    children: tuple[Child, ...] = ()
    delivery: Delivery | None = None
    closes: Closing | None = None
    counted: str | None = None
    dead: DeadLetter | None = None
    early: Message | None = None
    digs_up: str | None = None
    unique: Unique | None = None
    puts_off: PutOff | None = None
    admits: Ask | None = None
    frees: str | None = None
    started_us: int = 0

    def dated(self, now_us: int) -> Transition:
        """With the message that it puts off among its effects."""
        if self.puts_off is None:
            return self
        return replace(self, effects=(*self.effects, self.puts_off.publish(now_us)))

    def document(
        self, *, now_us: int, worker: str, extended: bool, keyring: Keyring = NO_KEYS
    ) -> Document | None:
        """The result of what ended, as `worker` (its name) writes it; None where nothing ended, or nobody wants the result."""
        message, outcome = self.message, self.outcome
        if message is None or outcome is None or message.ignore_result:
            return None
        return document_of(
            message.id,
            outcome,
            now_us=now_us,
            message=message,
            children=self.children,
            worker=worker,
            extended=extended,
            started_us=self.started_us,
            resume=keyring.text(message) if _can_resume(message, outcome) else None,
        )


def _can_resume(message: Message, outcome: Outcome) -> bool:
    """Whether a task failed that can be run again with all that it was sent with."""
    return not message.stub and not isinstance(outcome, Success | GoingOn)


def settled_document(settled: Settle, *, now_us: int, extended: bool) -> Document:
    """The result of a task that can no longer run."""
    return document_of(settled.id, settled.outcome, now_us=now_us, name=settled.name, extended=extended)


class Exchange(Struct, frozen=True):
    """The answer: for each transition None (applied) or the outcome that stands instead (not applied); and new work.

    `claimed` holds the messages that were brought to be claimed, with their verdicts, in order. `outbox` (Role.STORE only) holds the
    messages that this exchange wrote and that are due, held for the caller to send and then to acknowledge. `holders` says of each
    transition that was not applied as its key is taken, by its index, which task has the key. `admitted` are the ids of those
    that may start.
    """

    standing: Sequence[Standing | None]
    taken: Sequence[Taken] = ()
    claimed: Sequence[Taken] = ()
    outbox: Sequence[Delivery] = ()
    holders: Mapping[int, str] = field(default_factory=dict)
    admitted: Collection[str] = ()
