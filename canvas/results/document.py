"""Document: a result as Celery's clients read it: one JSON object for each task. PURE.

Errors are data: {exc_type, exc_module, exc_message}. More keys are ours, which Celery's reader passes over: `exc_text` (the exception's
own text), `exc_node` (the id of the task that broke), `exc_cause` (what caused it, in the same shape), and where there are any
`exc_attributes`, `exc_notes`, `exc_members` (of an ExceptionGroup, in the same shape) and `exc_args` (see below); `date_started`;
`root_id` of a part of a canvas, and `backbeat_message`, the message of a task that failed (see resume.py).

Values of types that Celery does not have (see mark.py) are written twice: `result` and `exc_message` hold what Celery shall see,
`backbeat_result` and `exc_args` what we read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from ..child import Child, child_of, written_child
from ..json_text import EMPTY_LIST, NULL, Json, encoder, parsed
from ..mark import is_marked, plain
from ..message import Message, iso_of_us
from ..outcome import (
    EXCEPTION_STATES,
    Error,
    GoingOn,
    Ignored,
    Outcome,
    Replaced,
    State,
    Success,
    cause_of,
    state_of,
)
from ..outcome import Retry as RetryOutcome


class Document(Struct, frozen=True, kw_only=True):
    """What is known of one task. `value` is its result as JSON text, `error` what it raised."""

    id: str
    state: State | str = State.PENDING
    """One of Celery's, or one of the task's own."""
    value: Json = NULL
    error: Error | None = None
    traceback: str | None = None
    children: tuple[Child, ...] = ()
    date_done: str | None = None
    date_started: str | None = None
    """When the run that it tells of began."""
    name: str | None = None
    args: Json | None = None
    kwargs: Json | None = None
    worker: str | None = None
    retries: int | None = None
    queue: str | None = None
    group_id: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    stamps: Mapping[str, Any] = field(default_factory=dict)
    """Each is a key of its own, as Celery has it, and cannot be called like another one."""
    resume: str | None = None
    """The message of a task that failed, as it travelled: with it its canvas can go on from here."""

    @property
    def ready(self) -> bool:
        """True if nothing will change any more."""
        return self.date_done is not None


def document_of(
    id_: str,
    outcome: Outcome,
    *,
    now_us: int,
    message: Message | None = None,
    children: Sequence[Child] = (),
    worker: str = "",
    name: str = "",
    extended: bool = True,
    started_us: int = 0,
    resume: str | None = None,
) -> Document:
    """The document of a task that ended with `outcome`; without its `message` only what the outcome tells.

    `extended` as the setting `result_extended`: with what was called, by whom, how often, and when it began (`started_us`, if known). Our own tasks are always named, as a
    scheduler must tell the start of a canvas from a task.
    """
    called = message if extended else None
    named = message.task if message else name
    own = outcome.children if isinstance(outcome, Success) else ()
    error, traceback = _error_of(id_, outcome)
    said = isinstance(outcome, Ignored) and outcome.state
    return Document(
        id=id_,
        state=known_state(said) if said else state_of(outcome),
        value=outcome.value if isinstance(outcome, Success | Ignored) else NULL,
        error=error,
        traceback=traceback,
        children=(*own, *children),
        date_done=None if isinstance(outcome, GoingOn) else iso_of_us(now_us),
        date_started=iso_of_us(started_us) if extended and started_us else None,
        name=(named if extended or named.startswith("backbeat.") else "") or None,
        args=called.args if called else None,
        kwargs=called.kwargs if called else None,
        worker=(worker if extended else "") or None,
        retries=called.retries if called else None,
        queue=called.queue if called else None,
        group_id=message.group_id if message else None,
        parent_id=message.parent_id if message else None,
        root_id=message.root_id if message and message.root_id not in ("", message.id) else None,
        stamps=called.stamps if called else {},
        resume=resume,
    )


def _error_of(id_: str, outcome: Outcome) -> tuple[Error | None, str | None]:
    match outcome:
        case Success() | Replaced():
            return None, None
        case Ignored(state=state) if state:
            return None, None
        case RetryOutcome():
            return outcome.error, outcome.traceback or None
        case _:
            failure = cause_of(outcome, id_)
            return failure.error, failure.traceback or None


_encode = encoder(separators=(", ", ": "))


def to_text(document: Document) -> str:
    """The document as Celery writes it. Values that are JSON text already are put in as they are."""
    fields: dict[str, Any] = {
        "traceback": document.traceback,
        "children": [written_child(child) for child in document.children],
        "date_done": document.date_done,
        "task_id": document.id,
    }
    optional = {
        "group_id": document.group_id,
        "parent_id": document.parent_id,
        "root_id": document.root_id,
        "date_started": document.date_started,
        "name": document.name,
        "worker": document.worker,
        "retries": document.retries,
        "queue": document.queue,
        "backbeat_message": document.resume,
    }
    fields |= {name: value for name, value in optional.items() if value is not None}
    if document.stamps:
        own = {name: value for name, value in document.stamps.items() if name not in _KEYS}
        fields |= {"stamped_headers": list(document.stamps), **own}
    value = document.value
    result = plain(value) if document.error is None else _encode(error_to_celery(document.error))
    raw = {
        "args": document.args,
        "kwargs": document.kwargs,
        "backbeat_result": value if is_marked(value) else None,
    }
    raw_text = "".join(f', "{name}": {text}' for name, text in raw.items() if text is not None)
    return f'{{"status": "{document.state}", "result": {result}, {_encode(fields)[1:-1]}{raw_text}}}'


def from_text(text: str | bytes) -> Document:
    """The document of Celery's or our own JSON. Raises ValueError, KeyError or TypeError for anything else."""
    return from_data(parsed(text))


def from_data(data: Mapping[str, Any]) -> Document:
    """The same of what that JSON holds."""
    state = known_state(data["status"])
    result = data.get("result")
    is_error = isinstance(result, Mapping) and "exc_type" in result and state in EXCEPTION_STATES
    return Document(
        id=data["task_id"],
        state=state,
        value=NULL if is_error else Json(_encode(data.get("backbeat_result", result))),
        error=error_from_celery(result) if is_error and isinstance(result, Mapping) else None,
        traceback=data.get("traceback"),
        children=tuple(map(child_of, data.get("children") or ())),
        date_done=data.get("date_done"),
        date_started=data.get("date_started"),
        name=data.get("name"),
        args=_raw(data, "args"),
        kwargs=_raw(data, "kwargs"),
        worker=data.get("worker"),
        retries=data.get("retries"),
        queue=data.get("queue"),
        group_id=data.get("group_id"),
        parent_id=data.get("parent_id"),
        root_id=data.get("root_id"),
        stamps={
            name: data[name]
            for name in data.get("stamped_headers") or ()
            if name in data and name not in _KEYS
        },
        resume=data.get("backbeat_message"),
    )


_KEYS = frozenset(
    "status result traceback children date_done task_id group_id parent_id root_id date_started name worker retries queue "
    "backbeat_message args kwargs backbeat_result stamped_headers".split()
)
"""A stamp of such a name is left out: it would hide what the document is for."""


def _raw(data: Mapping[str, Any], name: str) -> Json | None:
    return Json(_encode(data[name])) if name in data else None


def known_state(name: str) -> State | str:
    """The State of that name, else the name: a state of a task's own."""
    return State.__members__.get(name, str(name))


def error_to_celery(error: Error) -> dict[str, Any]:
    """An error as Celery's readers know it, with what they pass over."""
    data = {
        "exc_type": error.type,
        "exc_module": error.module,
        "exc_message": json.loads(plain(error.args)),
        "exc_text": error.text,
        "exc_node": error.node,
        "exc_cause": error_to_celery(error.cause) if error.cause else None,
    }
    if is_marked(error.args):
        data["exc_args"] = json.loads(error.args)
    if error.attributes is not None:
        data["exc_attributes"] = json.loads(error.attributes)
    if error.notes:
        data["exc_notes"] = list(error.notes)
    if error.members:
        data["exc_members"] = [error_to_celery(member) for member in error.members]
    return data


def error_from_celery(data: Mapping[str, Any]) -> Error:
    """The inverse of `error_to_celery`, and for what Celery wrote. Raises KeyError."""
    message = data.get("exc_args", data.get("exc_message"))
    args = message if isinstance(message, list) else [] if message is None else [message]
    cause, attributes = data.get("exc_cause"), data.get("exc_attributes")
    return Error(
        type=str(data["exc_type"]),
        module=str(data.get("exc_module") or "builtins"),
        args=Json(json.dumps(args)) if args else EMPTY_LIST,
        text=data.get("exc_text") or ", ".join(map(str, args)),
        node=data.get("exc_node") or "",
        cause=error_from_celery(cause) if isinstance(cause, Mapping) else None,
        attributes=None if attributes is None else Json(json.dumps(attributes)),
        notes=tuple(map(str, data.get("exc_notes") or ())),
        members=tuple(error_from_celery(member) for member in data.get("exc_members") or ()),
    )
