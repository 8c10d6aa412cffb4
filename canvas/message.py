"""Message: one task on its way, as data; `message_of` makes one of a call. PURE. Its bytes are wire.py's matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from .continuation import Continuation, Counted, Member
from .ids import derive
from .json_text import EMPTY_LIST, EMPTY_MAP, Json
from .node import Call, Node, callbacks, calls
from .stamp import Stamps, stamp_keys, stamps_in
from .trace_context import Trace, in_trace

DEFAULT_QUEUE = "celery"
CONTROL_QUEUE = "backbeat"
"""The queue that every backbeat worker serves besides its own, for joins, starts and forwarded continuations."""
BROADCAST_QUEUE = "bcast."
"""How the names of the queues begin that workers have of their own for broadcasts, as those of Celery's workers do."""
LONGEST_SECONDS = 100 * 366 * 86_400.0
"""The longest countdown or relative expiry; what is beyond would leave the calendar."""
MAX_BYTES = 16 * 1024 * 1024
"""Largest body that is decoded (decisions K19)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Message(Struct, frozen=True, kw_only=True):
    """One task on its way. `args` and `kwargs` are JSON text; times are microseconds UTC; (id, generation, attempt) is its identity.

    An empty `queue` is one that whoever sends it must still choose (a step that a Celery client embedded names none).
    `countdown` and `expires_after` (seconds) count from the moment when the message is sent; `sent_at` makes them absolute.
    """

    id: str
    task: str
    args: Json = EMPTY_LIST
    kwargs: Json = EMPTY_MAP
    root_id: str = ""
    parent_id: str | None = None
    then: Continuation | None = None
    tail: Json | None = None
    """In place of `then`: a list of the signatures that follow, the last one first, in Celery's own terms (see expansion.py)."""
    link: tuple[Node, ...] = ()
    link_error: tuple[Node, ...] = ()
    attempt: int = 0
    first_attempt: int = 0
    """With which attempt what runs now began under this id: those before were of tasks that it replaced (see replacing.py)."""
    replaced_task_nesting: int = 0
    """How many tasks had themselves replaced, one by the other, down to this one."""
    generation: int = 0
    group_id: str | None = None
    group_index: int | None = None
    eta_us: int | None = None
    countdown: float | None = None
    expires_us: int | None = None
    expires_after: float | None = None
    queue: str = DEFAULT_QUEUE
    exchange: str = ""
    """With it, it is published to this exchange of the broker, with `queue` as routing key; what comes from a queue has none any more."""
    first_queue: str = ""
    """Of an exchange: the queue whose message keeps the id; those of other queues are copies. Without it all of them keep it."""
    copies: tuple[str, ...] = ()
    """Further queues that get a copy, see `effect.published`."""
    copy_of: str | None = None
    """The id of the message of which this is a copy."""
    priority: int | None = None
    ignore_result: bool = False
    time_limit: float | None = None
    soft_time_limit: float | None = None
    max_retries: int | None = None
    shadow: str | None = None
    reply_to: str = ""
    origin: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    stamps: Stamps = field(default_factory=dict)
    errback: Mapping[str, Any] | None = None
    """It tells of something that ended: of what, and of an error callback how."""
    guards: str | None = None
    """It is a copy of a message of this queue that was acknowledged before it ran, see `guard_of`."""
    paced_us: int | None = None
    """It was put off for a limit until then, when it is its turn (see worker/admission.py)."""
    stub: bool = False
    """Its headers alone could be read: it can end, and not go on, see stub.py."""

    @property
    def revocable_by(self) -> tuple[str, ...]:
        """By what it is revoked: its id, its root's, its stamps. What tells of the end of a canvas is not revoked with it."""
        if self.errback is not None:
            return (self.id,)
        return (self.id, self.root_id, *stamp_keys(self.stamps)) if self.stamps else (self.id, self.root_id)

    @property
    def retries(self) -> int:
        """How often what runs now was tried before."""
        return self.attempt - self.first_attempt


def guard_of(message: Message, seconds: float) -> Message:
    """A copy that comes to a backbeat worker after `seconds`, to end what was acknowledged early if its worker died (decisions K9)."""
    return replace(
        message, queue=CONTROL_QUEUE, guards=message.queue, eta_us=None, countdown=seconds, priority=None
    )


def copy_of(message: Message, queue: str) -> Message:
    """What queue `queue` gets of a message that goes to several: a task of its own, whose result nobody waits for.

    What follows a task follows the message itself alone.
    """
    return replace(
        message,
        id=derive(message.id, f"copy/{queue}"),
        copy_of=message.id,
        queue=queue,
        exchange="",
        first_queue="",
        copies=(),
        then=None,
        tail=None,
        link=(),
        link_error=(),
        group_id=None,
        group_index=None,
        reply_to="",
        ignore_result=True,
    )


_OPTIONS = frozenset(
    [
        *("group_id", "group_index", "countdown", "priority", "time_limit", "soft_time_limit"),
        *("max_retries", "shadow", "errback"),
    ]
)
"""Options of a call that a message has under the same names, and as they are."""
_TRUE_OPTIONS = frozenset(
    [
        "queue",
        "exchange",
        "first_queue",
        "reply_to",
        "origin",
        "headers",
        "first_attempt",
        "replaced_task_nesting",
    ]
)
"""The same, of which anything empty, in whatever form another program writes it, is none."""


def message_of(
    call: Call,
    *,
    args: Json,
    then: Continuation | None,
    root_id: str,
    parent_id: str | None,
    generation: int = 0,
    stamps: Stamps | None = None,
    trace: Trace | None = None,
) -> Message:
    """The message of a frozen call, with `args` in place of its own; with `stamps` and of the `trace` of what sends it, besides its own."""
    options = call.options
    # most calls have few options; what they have not is as in any message
    known: dict[str, Any] = {"queue": ""}
    known |= {
        name: value
        for name, value in options.items()
        if (value is not None and name in _OPTIONS) or (value and name in _TRUE_OPTIONS)
    }
    if "exchange" in known:
        known["queue"] = options.get("routing_key") or known["exchange"]
    if options.get("copies"):
        known["copies"] = tuple(options["copies"])
    if options.get("retries"):
        known["attempt"] = options["retries"]
    if options.get("ignore_result"):
        known["ignore_result"] = True
    if (eta := options.get("eta")) is not None:
        known["eta_us"] = us_of_iso(eta)
    if isinstance(expires := options.get("expires"), int | float):
        known["expires_after"] = expires
    elif expires is not None:
        known["expires_us"] = us_of_iso(expires)
    match then:
        case Member():
            # what was added to a header comes behind the others, wherever that will be
            known["group_id"] = then.join_id
            if not then.key:
                known["group_index"] = then.index
        case Counted():
            known["group_id"], known["group_index"] = then.group_id, then.index
    if trace:
        known["headers"] = in_trace(known.get("headers", {}), trace)
    return Message(
        id=call.id,
        task=call.task,
        args=args,
        kwargs=call.kwargs,
        root_id=root_id or call.id,
        parent_id=parent_id,
        then=then,
        link=call.link,
        link_error=call.link_error,
        generation=generation,
        stamps={**(stamps or {}), **stamps_in(options)},
        **known,
    )


def checked(message: Message) -> Message:
    """`message`, if its fields are of the types that they say. For what comes from outside. Raises ValueError."""
    for value, usual, holds, name in zip(_values(message), _USUAL, _HOLD, _NAMES, strict=True):
        if value is not None and value is not usual and not holds(value):
            raise ValueError(f"{name} cannot be {value!r:.100}")
    if message.first_attempt > message.attempt:
        raise ValueError(
            f"first_attempt cannot be {message.first_attempt}, after the attempt {message.attempt}"
        )
    return message


def check_calls(node: Node) -> None:
    """Raise ValueError, TypeError or OverflowError if a call of `node`, or of its callbacks, could not be sent."""
    for call in calls(node):
        checked(message_of(call, args=call.args, then=None, root_id="", parent_id=None))
    for callback in callbacks(node):
        check_calls(callback)


def _is_key(value: Any) -> bool:
    # stores use these as keys: some refuse a NUL, some a lone surrogate
    return isinstance(value, str) and len(value) <= 255 and (not value or value.isprintable())  # noqa: PLR2004 - a column's width


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LONGEST_SECONDS


def _is_limit(value: Any) -> bool:
    # one below zero is refused rather than taken for none: whoever sent it wanted the task bounded
    return _is_seconds(value) and value >= 0


def _is_count(value: Any) -> bool:
    # before the first there is none: a store would take it for one that is long over, and drop it without a word
    return _is_index(value) and value >= 0


def _is_time(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31


_HOLDS: tuple[tuple[str, Callable[[Any], bool]], ...] = tuple(
    (name, holds)
    for holds, names in (
        (_is_key, ("id", "task", "root_id", "parent_id", "group_id", "queue", "guards", "copy_of")),
        (_is_text, ("shadow", "reply_to", "origin", "exchange", "first_queue")),
        (_is_seconds, ("countdown", "expires_after")),
        (_is_limit, ("time_limit", "soft_time_limit")),
        (_is_count, ("attempt", "first_attempt", "replaced_task_nesting", "generation")),
        (_is_index, ("group_index", "priority", "max_retries")),
        (_is_time, ("paced_us",)),
        (_is_map, ("headers", "stamps", "errback")),
    )
    for name in names
)
"""What must be true of each field that is not None."""
_NAMES, _HOLD = zip(*_HOLDS, strict=True)
_DEFAULTS = dict(zip(Message.__struct_fields__[::-1], Message.__struct_defaults__[::-1], strict=False))
_USUAL = tuple(_DEFAULTS.get(name, _DEFAULTS) for name in _NAMES)
"""What most messages have there, which is the very same object."""
_values = attrgetter(*_NAMES)


def sent_at(message: Message, now_us: int) -> Message:
    """The message with countdown and relative expiry made absolute, as they count from the moment of sending."""
    if message.countdown is None and message.expires_after is None:
        return message
    eta_us, expires_us = message.eta_us, message.expires_us
    if message.countdown is not None and eta_us is None:
        eta_us = now_us + round(message.countdown * 1_000_000)
    if message.expires_after is not None:
        expires_us = now_us + round(message.expires_after * 1_000_000)
    return replace(message, eta_us=eta_us, countdown=None, expires_us=expires_us, expires_after=None)


def us_of_iso(text: str | None) -> int | None:
    """Microseconds UTC of an ISO 8601 text; a text without an offset is UTC.

    Raises ValueError, TypeError for what is no text, OverflowError for what leaves the years 1 to 9999 in UTC.
    """
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return us_of(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))


def us_of(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def iso_of_us(us: int) -> str:
    """ISO 8601 text, with offset, of microseconds UTC."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat()
