"""Sent: what was sent, as a test looks at it, and whether it is what the test expects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from msgspec import Struct, field

from ..codec import dumps, loads
from ..message import Message

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_SHOWN = 20
"""Lines of a message that says what was sent."""


class Sent(Struct, frozen=True, kw_only=True):
    """One task that came to the broker, as a worker will read it. Times are aware UTC, of the world's clock."""

    task: str
    id: str
    args: list[Any]
    kwargs: dict[str, Any]
    queue: str
    sent_at: datetime
    eta: datetime | None = None
    """Not before this; None: at once."""
    expires: datetime | None = None
    priority: int | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    root_id: str = ""
    parent_id: str | None = None
    group_id: str | None = None

    @property
    def countdown(self) -> float | None:
        """Seconds from when it was sent until its eta."""
        return None if self.eta is None else (self.eta - self.sent_at).total_seconds()

    def __str__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        when = "" if self.eta is None else f", not before {self.eta.isoformat()}"
        return f"{self.task}({', '.join(arguments)}) to {self.queue!r}{when}"


def sent_of(message: Message, queue: str, due_us: int | None, now_us: int) -> Sent:
    """A message that was put into `queue`, to be taken at `due_us`. Raises DecodeError for arguments that nobody can read."""
    return Sent(
        task=message.task,
        id=message.id,
        args=loads(message.args),
        kwargs=loads(message.kwargs),
        queue=queue,
        sent_at=moment(now_us),
        eta=None if due_us is None else moment(due_us),
        expires=None if message.expires_us is None else moment(message.expires_us),
        priority=message.priority,
        headers=message.headers,
        root_id=message.root_id,
        parent_id=message.parent_id,
        group_id=message.group_id,
    )


def moment(us: int) -> datetime:
    """Microseconds since 1970 as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=us)


def name_of(task: Any) -> str:
    """The name of a task, or a name as it is. Raises TypeError for what is neither."""
    name = getattr(task, "name", task)
    if not isinstance(name, str):
        raise TypeError(f"this wants a task or its name, found {task!r:.100}")
    return name


class Expected(Struct, frozen=True, kw_only=True):
    """What a test expects of what was sent; None: whatever it is. Arguments are as JSON gives them back."""

    task: str
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    queue: str | None = None
    countdown: float | None = None
    eta: datetime | None = None

    def differences(self, sent: Sent) -> list[str]:
        """What of it is another than expected; of another task, that."""
        if sent.task != self.task:
            return [f"task {sent.task!r}"]
        found = []
        for name in ("args", "kwargs", "queue", "countdown", "eta"):
            wanted, is_ = getattr(self, name), getattr(sent, name)
            if wanted is not None and wanted != is_:
                found.append(f"{name} is {is_!r}, not {wanted!r}")
        return found

    def matches(self, sent: Sequence[Sent]) -> list[Sent]:
        """Those that are as expected."""
        return [each for each in sent if not self.differences(each)]

    def report(self, sent: Sequence[Sent], times: int | None) -> str:
        """Why what was sent is not as expected `times` (None: at least once), for people."""
        count = len(self.matches(sent))
        wanted = "at least once" if times is None else _times(times)
        lines = [f"{self} was sent {_times(count)}, not {wanted}"]
        near = [each for each in sent if each.task == self.task]
        if count != len(near):
            lines.append("of this task there were:")
            lines += _shown(
                [f"{each}: {'; '.join(self.differences(each)) or 'as expected'}" for each in near]
            )
        others = [each for each in sent if each.task != self.task]
        if others:
            lines.append("other tasks that were sent:" if near else "what was sent:")
            lines += _shown(map(str, others))
        if not sent:
            lines.append("nothing was sent at all")
        elif not near and (alike := get_close_matches(self.task, {each.task for each in sent}, n=1)):
            lines.append(f"did you mean {alike[0]!r}?")
        return "\n".join(lines)

    def __str__(self) -> str:
        named = ("args", "kwargs", "queue", "countdown", "eta")
        known = [f"{name}={value!r}" for name in named if (value := getattr(self, name)) is not None]
        return f"{self.task} with {', '.join(known)}" if known else self.task


def expected(
    task: Any,
    args: Iterable[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    queue: str | None = None,
    countdown: float | timedelta | None = None,
    eta: datetime | None = None,
) -> Expected:
    """What a test says. Raises EncodeError for arguments that could not have been sent, TypeError for an eta without a zone."""
    if eta is not None and eta.tzinfo is None:
        raise TypeError(f"eta {eta.isoformat()} has no time zone; write datetime(..., tzinfo=UTC)")
    return Expected(
        task=name_of(task),
        args=None if args is None else loads(dumps(list(args))),
        kwargs=None if kwargs is None else loads(dumps(dict(kwargs))),
        queue=queue,
        countdown=countdown.total_seconds() if isinstance(countdown, timedelta) else countdown,
        eta=eta,
    )


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _shown(lines: Iterable[str]) -> list[str]:
    every = [f"  {line}" for line in lines]
    more = len(every) - MOST_SHOWN
    return every if more <= 0 else [*every[:MOST_SHOWN], f"  ... and {more} more"]
