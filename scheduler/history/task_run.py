"""TaskRun: what is known of one task, and how an event, a result or a line of the ledger adds to it. PURE.

    SENT -> RECEIVED -> STARTED -> SUCCESS | FAILURE | REVOKED | REJECTED
                           |  ^
                           v  |
                          RETRY                a task that has ended begins anew when it is sent again (dead letters, resumed canvases)

Events of one task come in any order, twice, or not at all: each only adds what it knows, and a state is never followed by an earlier one of the
same attempt. Times are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ...canvas.own_tasks import START_TASK
from ...canvas.results.document import Document
from .argument_text import Arguments, arguments_of

SENT = "SENT"
ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED", "REJECTED", "IGNORED"})
OPEN = ("SENT", "RECEIVED", "STARTED", "RETRY")
STATES = (*OPEN, "SUCCESS", "FAILURE", "REVOKED", "REJECTED", "IGNORED")
"""All that a run can be in, but for states that tasks give themselves."""
MOST_ATTEMPTS = 20
LONGEST = 65_536
"""Characters of a result, an error or a traceback that are kept."""
LABEL = 255
_RANK = {state: rank for rank, state in enumerate(("SENT", "RECEIVED", "STARTED", "RETRY"))}
_STATES = {
    "task-sent": "SENT",
    "task-received": "RECEIVED",
    "task-started": "STARTED",
    "task-succeeded": "SUCCESS",
    "task-failed": "FAILURE",
    "task-retried": "RETRY",
    "task-revoked": "REVOKED",
    "task-rejected": "REJECTED",
}


class Attempt(Struct, frozen=True, kw_only=True):
    """One try: who made it, when, and how it came out."""

    state: str
    worker: str = ""
    started_us: int | None = None
    ended_us: int | None = None
    error: str = ""


class TaskRun(Struct, frozen=True, kw_only=True):
    """A row of the history. `seconds` is how long its last try took; `look_us` when its result is looked for next (None: not)."""

    id: str
    at_us: int
    name: str = ""
    state: str = SENT
    queue: str = ""
    worker: str = ""
    entry: str = ""
    root_id: str = ""
    parent_id: str = ""
    arguments: Arguments = Arguments()
    result: str = ""
    error: str = ""
    traceback: str = ""
    retries: int = 0
    eta: str = ""
    expires: str = ""
    due_us: int | None = None
    sent_us: int | None = None
    received_us: int | None = None
    started_us: int | None = None
    ended_us: int | None = None
    seconds: float | None = None
    attempts: tuple[Attempt, ...] = ()
    look_us: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.state in ENDED


def is_told(event: Mapping[str, Any]) -> bool:
    """Whether the event tells something of a task."""
    return event.get("type") in _STATES and bool(event.get("uuid"))


def id_of(event: Mapping[str, Any]) -> str:
    """The task that it tells of."""
    return str(event["uuid"])[:LABEL]


def after_event(run: TaskRun | None, event: Mapping[str, Any], now_us: int) -> TaskRun:
    """What is known after an event for which `is_told`. `now_us` stands in for a time that it does not have."""
    at_us = _event_us(event, now_us)
    run = run or TaskRun(id=id_of(event), at_us=at_us)
    state = _STATES[str(event["type"])]
    run = _with_call(run, event)
    if state == SENT:
        return replace(run, sent_us=run.sent_us or at_us)
    if run.has_ended and at_us > (run.ended_us or 0) and state not in ENDED:
        run = replace(run, state=state, ended_us=None, result="", error="", traceback="", seconds=None)
    run = replace(run, worker=_label(event.get("hostname")) or run.worker)
    match state:
        case "RECEIVED":
            later = replace(run, received_us=max(run.received_us or 0, at_us))
        case "STARTED":
            later = replace(run, started_us=max(run.started_us or 0, at_us))
        case _:
            return _tried(run, state, at_us, event)
    return replace(later, state=state) if _is_later(run, state, at_us) else later


def after_result(run: TaskRun, document: Document) -> TaskRun:
    """What is known when the result backend has been asked: what was called, and if it is ready how it came out."""
    run = replace(
        run,
        name=run.name or (document.name or "")[:LABEL],
        queue=run.queue or (document.queue or "")[:LABEL],
        worker=run.worker or (document.worker or "")[:LABEL],
        root_id=run.root_id or document.root_id or "",
        parent_id=run.parent_id or document.parent_id or "",
        retries=max(run.retries, document.retries or 0),
        arguments=run.arguments.completed(document.args, document.kwargs),
        started_us=run.started_us or _iso_us(document.date_started),
    )
    if document.ready and document.value != "null" and document.error is None:
        run = replace(run, result=str(document.value)[:LONGEST])
    if not document.ready:
        return run if run.has_ended or str(document.state) != "STARTED" else replace(run, state="STARTED")
    if run.has_ended:
        return run
    error = "" if document.error is None else f"{document.error.type}: {document.error.text}"
    ended_us = _iso_us(document.date_done)
    ended = replace(
        run,
        state=str(document.state)[:20],
        error=error[:LONGEST],
        traceback=(document.traceback or "")[:LONGEST],
        ended_us=ended_us,
        seconds=_between(run.started_us, ended_us),
    )
    return _noted(ended, ended.state, ended_us)


def after_start(run: TaskRun, document: Document, ends: Sequence[Document | None]) -> TaskRun:
    """Of a canvas that was started by one message, whose result is `document`, when the tasks at its end have these results."""
    if not all(end is not None and end.ready for end in ends):
        return replace(run, state="STARTED", started_us=run.started_us or _iso_us(document.date_done))
    known = [end for end in ends if end is not None]
    worst = next((end for end in known if end.error is not None), known[-1])
    ended = after_result(replace(run, name=run.name or START_TASK), worst)
    return replace(ended, arguments=run.arguments, worker=run.worker, queue=run.queue)


def _with_call(run: TaskRun, event: Mapping[str, Any]) -> TaskRun:
    """What was called, as far as the event says."""
    args, kwargs = event.get("args"), event.get("kwargs")
    arguments = run.arguments
    if not arguments.is_whole and isinstance(args, str) and isinstance(kwargs, str):
        arguments = arguments_of(args, kwargs)
    retries = event.get("retries")
    return replace(
        run,
        name=run.name or _label(event.get("name")),
        queue=_label(event.get("queue") or event.get("routing_key")) or run.queue,
        root_id=run.root_id or _label(event.get("root_id")),
        parent_id=run.parent_id or _label(event.get("parent_id")),
        retries=max(run.retries, retries if isinstance(retries, int) else 0),
        eta=_label(event.get("eta"))[:40] or run.eta,
        expires=_label(event.get("expires"))[:40] or run.expires,
        arguments=arguments,
    )


def _tried(run: TaskRun, state: str, at_us: int, event: Mapping[str, Any]) -> TaskRun:
    """A try has come to an end."""
    runtime = event.get("runtime")
    error, traceback = _text(event.get("exception")), _text(event.get("traceback"))
    if state == "REVOKED":
        error = next((word for word in ("terminated", "expired") if event.get(word)), "revoked")
    noted = _noted(replace(run, error=error or run.error), state, at_us)
    if not _is_later(run, state, at_us):
        return replace(noted, error=run.error)
    result = _text(event.get("result")) if state == "SUCCESS" else ""
    return replace(
        noted,
        state=state,
        error=error,
        traceback=traceback,
        result=result or (run.result if state == "SUCCESS" else ""),
        ended_us=at_us if state in ENDED else None,
        seconds=float(runtime) if isinstance(runtime, int | float) else _between(run.started_us, at_us),
    )


def _noted(run: TaskRun, state: str, ended_us: int | None) -> TaskRun:
    """The same with this try in the list of them; one that is there already, told again, is not added."""
    if any(each.ended_us == ended_us and each.state == state for each in run.attempts):
        return run
    made = Attempt(
        state=state, worker=run.worker, started_us=run.started_us, ended_us=ended_us, error=run.error[:1000]
    )
    tried = sorted((*run.attempts, made), key=lambda each: each.ended_us or 0)
    return replace(run, attempts=tuple(tried[-MOST_ATTEMPTS:]))


def _is_later(run: TaskRun, state: str, at_us: int) -> bool:
    """Whether `state`, told of `at_us`, comes after that which the run is in. An end comes after whatever another clock says."""
    if run.has_ended:
        return state in ENDED and at_us >= (run.ended_us or 0)
    return state in ENDED or (at_us, _RANK[state]) >= (_since_us(run), _RANK.get(run.state, 0))


def _since_us(run: TaskRun) -> int:
    """When it came into the state that it is in."""
    match run.state:
        case "RECEIVED":
            return run.received_us or 0
        case "STARTED":
            return run.started_us or 0
        case "RETRY":
            return max((each.ended_us or 0 for each in run.attempts), default=0)
        case _:
            return 0


def _between(started_us: int | None, ended_us: int | None) -> float | None:
    """Seconds; None if one of the two is not known, or clocks say that it ended before it began."""
    if started_us is None or ended_us is None or ended_us < started_us:
        return None
    return (ended_us - started_us) / 1_000_000


def _event_us(event: Mapping[str, Any], now_us: int) -> int:
    stamp = event.get("timestamp")
    return round(stamp * 1_000_000) if isinstance(stamp, int | float) and 0 < stamp < 1e11 else now_us  # noqa: PLR2004 - the year 5138


def _label(value: object) -> str:
    return "" if value is None else str(value)[:LABEL]


def _text(value: object) -> str:
    return "" if value is None else str(value)[:LONGEST]


def _iso_us(text: str | None) -> int | None:
    """Microseconds of a time as results write it; in UTC where it names no zone."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1_000_000)
