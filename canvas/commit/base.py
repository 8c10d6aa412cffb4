"""Commit: the seam through which everything that happened is written down, in one step, and new work is taken.

A worker brings what ended (transitions) and gets what to do next (taken messages). One transition is applied whole or not at all:
its outcome, the effects that flow computed from it, and the acknowledgement of its message. Who brings an outcome that another
one beat is told which one stands, and must compute the effects from that one and bring these (decisions K1, K2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable

from ..continuation import ChainRecord, JoinRecord
from ..delivery import Delivery
from ..effect import Effect, Part
from ..errors import MessageError, SignatureError
from ..message import Message
from ..outcome import Outcome
from ..signing import NO_KEYS, Key, Keyring, permit
from ..stub import stub_of
from ..template import Rendered
from ..unique import Unique
from ..wire import Wire, from_wire, unpack

KNOWN_SECONDS = 3_600.0
"""The shortest time for which what has ended is known, however short results are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What every store of a fleet should agree on."""

    lease_seconds: float = 10.0
    """How long a message or a claim that nobody renews is held for its worker."""
    max_lost: int = 3
    """How many workers or processes a task may take with it before it ends as WorkerLostError (decisions K8)."""
    keep_seconds: float = 86_400.0
    """How long results are kept (`result_expires`); 0 is for ever."""
    extended: bool = True
    """Whether results hold the task's name, arguments, worker, retries and queue (`result_extended`)."""
    compression: str | None = None
    """How results are compressed, where the store can hold bytes (`result_compression`)."""

    @property
    def known_seconds(self) -> float:
        """How long ended runs and closed joins are kept, so that a message that comes twice is known."""
        return max(self.keep_seconds, KNOWN_SECONDS) if self.keep_seconds else 0.0

    @property
    def lease_us(self) -> int:
        return round(self.lease_seconds * 1_000_000)

    @property
    def outbox_lease_us(self) -> int:
        """How long the writer of an outbox message has to send it before any worker's relay does (decisions K1)."""
        return round(min(OUTBOX_LEASE_SECONDS, self.lease_seconds) * 1_000_000)


DEFAULT_LIMITS = Limits()


REVOKED_KEEP_US = 30 * 86_400 * 1_000_000
"""How long a revoked id is remembered; a message that waits for longer than that may start."""


class Role(Enum):
    """What a store is used for."""

    WHOLE = "whole"
    """It is broker and store: a message that is published goes to its queue, a message that is taken is claimed."""
    BROKER = "broker"
    """It only carries messages: what is taken is not claimed."""
    STORE = "store"
    """It only keeps the canvas, another broker carries messages: what is published goes to the outbox (see split.py)."""


OUTBOX = "backbeat.outbox"
"""The queue of messages that are stored and still have to be sent by the broker."""
OUTBOX_LEASE_SECONDS = 2.0
"""The longest that an outbox message waits for its writer (see Limits.outbox_lease_us)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The outcome that stands, and the attempt that it ended. Outcome None: a later attempt is under way, nothing follows."""

    outcome: Outcome | None
    attempt: int
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Verdict: the claim is stored, run it. `lost` workers or processes were lost while they ran it before."""

    lost: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """Verdict: this attempt ended before; do again what follows from its outcome."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class Later:
    """Verdict: its eta has not come, or the worker `holder` runs it, for all that is known; look again at `until_us`."""

    until_us: int
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Stale:
    """Verdict: a later attempt is under way; nothing to do."""


@dataclass(frozen=True, slots=True)
class WasRevoked:
    """Verdict: it was revoked before it started."""


@dataclass(frozen=True, slots=True)
class Poison:
    """Verdict: it took too many workers with it; with `early` one is too many, as it was acknowledged before it ran."""

    lost: int
    early: bool = False


Verdict = Run | Settled | Later | Stale | WasRevoked | Poison


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was taken, with its verdict; `message` None and `reason` where it could not be decoded.

    `forged`: it must not be believed, so the id that it names is not told: whose task that is, it must not be touched. `stub`: what its
    headers alone say, where its body cannot be read and something depends on it.
    """

    delivery: Delivery
    message: Message | None
    verdict: Verdict
    reason: str = ""
    task_id: str | None = None
    forged: bool = False
    stub: Message | None = None


def decoded(delivery: Delivery, keyring: Keyring = NO_KEYS, *, is_moved: bool = False) -> Taken:
    """A delivery with its message, before anything is known about it; with the reason where it is not a task message.

    Its signature is verified before its body is parsed, if there are keys. `is_moved`: it comes by another queue than it was sent
    to, as all do from the outbox.
    """
    try:
        return _decoded(delivery, keyring, is_moved or delivery.queue == OUTBOX)
    except SignatureError as error:
        return Taken(delivery, None, Run(), f"it is not to be believed: {error}", forged=True)


def _decoded(delivery: Delivery, keyring: Keyring, is_moved: bool) -> Taken:
    wire: Wire | None = delivery.wire
    key: Key | None = None
    queue = delivery.queue
    try:
        wire = wire or unpack(delivery.raw)
        queue = _sent_to(wire) if is_moved else queue
        key = keyring.verify(wire, queue)
        message = from_wire(wire, queue)
    except SignatureError:
        raise
    except MessageError as error:
        if keyring.signs and wire is None:  # an envelope that cannot be read is signed by nobody
            return Taken(delivery, None, Run(), str(error), forged=True)
        stub = stub_of(error.task_id, error.headers, queue) if error.task_id else None
        if stub is not None:
            permit(key, stub)  # it may bring error callbacks along
        return Taken(delivery, None, Run(), str(error), error.task_id, stub=stub)
    permit(key, message)
    return Taken(delivery, message, Run())


def _sent_to(wire: Wire) -> str:
    try:
        return str(wire.properties["delivery_info"]["routing_key"])
    except (KeyError, TypeError) as error:
        raise MessageError("a message in the outbox does not say where it is going") from error


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that no worker can run, kept whole."""

    reason: str
    raw: str
    task_id: str | None = None
    queue: str = ""


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A dead letter as a store keeps it: `key` names it there, `at_us` is when it died."""

    key: str
    at_us: int
    letter: DeadLetter


def part_without_join(join_id: str, id_: str, part: str) -> DeadLetter:
    """What becomes of a part whose join is gone without a tombstone (decisions K3): the store was emptied, or evicts keys."""
    return DeadLetter(
        f"JoinLost: the store has no join {join_id}, which this task was to report to", part, id_
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One thing that ended, and all that follows from it.

    With `message` and `outcome`: the outcome is stored first, by compare-and-set. With `closes`: the join is closed first, and if
    it is closed already nothing is applied but the acknowledgement. With neither: the effects are applied.

    With `early`: this message, whose claim is stored, shall be acknowledged before it runs (decisions K9). Nobody gets it any more to
    run it; it is kept where backbeat's workers alone find it, so that one of them can end it if the claim dies.

    With `digs_up`: that dead letter is deleted first, and if it is gone already nothing else is applied.

    With `unique`, for a client: its key is taken first, and if another task has it nothing is applied (see commit/unique.py).
    """

    message: Message | None = None
    outcome: Outcome | None = None
    effects: tuple[Effect, ...] = ()
    children: tuple[str, ...] = ()
    delivery: Delivery | None = None
    closes: str | None = None
    dead: DeadLetter | None = None
    early: Message | None = None
    digs_up: str | None = None
    unique: Unique | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """The answer: for each transition None (applied) or the outcome that stands instead (not applied); and new work.

    `claimed` holds the messages that were brought to be claimed, with their verdicts, in order. `outbox` (Role.STORE only) holds the
    messages that this exchange wrote and that are due, held for the caller to send and then to acknowledge. `holders` says of each
    transition that was not applied as its key is taken, by its index, which task has the key.
    """

    standing: Sequence[Standing | None]
    taken: Sequence[Taken] = ()
    claimed: Sequence[Taken] = ()
    outbox: Sequence[Delivery] = ()
    holders: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JoinState:
    """A join as it stands; `complete` when all parts are in and it is not closed."""

    record: JoinRecord
    parts: Sequence[Part]
    complete: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """Records that were asked for; those that the store does not have are missing."""

    chains: Mapping[str, ChainRecord] = field(default_factory=dict)
    joins: Mapping[str, JoinState] = field(default_factory=dict)


class Commit(Protocol):
    """One worker's (or client's) way to a store and a broker. Not thread-safe. Raises Unavailable when these cannot be reached.

    After Unavailable it is unknown whether a transition was applied; bringing it again is safe, as everything is idempotent.
    """

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        """Apply `transitions`, each whole or not at all, in order; then take up to `take` messages, and claim them.

        `claim` are messages that another broker delivered, to be claimed too (Role.STORE).

        When it returns, what was published is durable. A message that is taken is held for a lease and comes back to any worker
        if it is neither acknowledged nor renewed. Never waits for messages.
        """
        ...

    def load(self, chains: Collection[str] = (), joins: Collection[str] = ()) -> Loaded:
        """The records of these chains and joins; for chains also those below them."""
        ...

    def renew(self, held: Sequence[Taken]) -> None:
        """Hold these messages, and their claims, for another lease."""
        ...

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:
        """Hand messages back, to be taken again at once by anyone. `lost`: they had started and their process died."""
        ...

    def pause(self) -> None:
        """Nothing more is wanted until the next `take`: hand back what is held and was not given out, and have no more sent ahead.

        To be called again and again for as long as nothing is wanted; that is cheap.
        """
        ...

    def sweep(self) -> list[JoinRecord]:
        """Hand back what dead workers held, send what is due, relay what dead writers left.

        Returns the joins whose sender died before they were sealed, for the caller to settle (`flow.interrupted`) and close.
        """
        ...

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        """Wait until there may be something to take, a file descriptor of `wakers` can be read, or `timeout` seconds have passed.

        May return early.
        """
        ...

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        """Remember that these ids (tasks or roots) must not start; what nobody runs is REVOKED at once, and timers of it are due now.

        With `signum`: what runs shall be ended by this signal (see `terminations`).
        """
        ...

    def terminations(self, ids: Collection[str]) -> Mapping[str, int]:
        """Those of these running tasks that shall be ended, with the signal for it."""
        ...

    def announce(self, name: str, value: str, seconds: float) -> str:
        """Keep `value` under `name` for so many seconds, unless another value is kept there; returns the one that stands."""
        ...

    def close(self) -> None:
        """Let go of connections. Messages that are still held come back to others after their lease."""
        ...


class DeadLetters(Protocol):
    """What no worker could run, and what tasks refused or died of, kept whole until somebody decides about it. Raises Unavailable."""

    def dead_letters(self, limit: int, before: str = "") -> Sequence[KeptLetter]:
        """The newest of them; with `before` those that are older than the one of this key."""
        ...

    def dead_letter(self, key: str) -> KeptLetter | None:
        """The one of this key."""
        ...

    def drop_dead(self, keys: Sequence[str]) -> int:
        """Delete them; how many there were."""
        ...


@runtime_checkable
class DeadLetterCommit(Commit, DeadLetters, Protocol):
    """A Commit over a store, which keeps dead letters."""


class Store(DeadLetterCommit, Protocol):
    """One of our own stores, in any role."""

    def seconds_to_timer(self) -> float | None:
        """How long until the first message that waits for its time is due, 0 or less if it is; None if none waits."""
        ...

    def put(self, items: Sequence[Rendered]) -> Collection[str]:
        """Send rendered messages in few steps; the ids of those that were refused. When it returns the others are durable.

        Without items it only asks the server whether it is there.
        """
        ...
