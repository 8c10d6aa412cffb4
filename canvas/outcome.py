"""Outcome: how one attempt of a task ended, and the states that users see. PURE data.

    PENDING --> STARTED --> SUCCESS | FAILURE | REVOKED | REJECTED | IGNORED     (final)
                        \\-> RETRY --> STARTED ...                               (the next attempt)
                        \\-> replaced by a canvas ... --> STARTED ...            (its last task is the next attempt)

An outcome is stored once for each (id, generation, attempt): the first one stands (decisions K2, K6). `KIND` and `STATE` below are
the whole table; everything that can end a task is in it, because each ending must settle what depends on the task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, assert_never

from msgspec import Struct

from .child import Child, child_from_data
from .json_text import EMPTY_LIST, NULL, Json, json_list, json_string, json_value
from .mark import ERROR, MARK, plain


class State(StrEnum):
    """Celery's state names."""

    UNKNOWN = "UNKNOWN"
    """The store has no trace of it: it was never sent, or its record is gone. Handles say so, documents never do."""
    PENDING = "PENDING"
    """Not known, or not started yet."""
    RECEIVED = "RECEIVED"
    """A worker has it."""
    STARTED = "STARTED"
    """A worker runs it."""
    SUCCESS = "SUCCESS"
    """It returned a value."""
    FAILURE = "FAILURE"
    """It raised, was lost, or can no longer run because something before it failed."""
    REVOKED = "REVOKED"
    """It was revoked or expired before it ran."""
    REJECTED = "REJECTED"
    """It refused its message."""
    RETRY = "RETRY"
    """It will run again."""
    IGNORED = "IGNORED"
    """It asked that its outcome be ignored."""


READY_STATES = frozenset({State.SUCCESS, State.FAILURE, State.REVOKED, State.REJECTED, State.IGNORED})
PROPAGATE_STATES = frozenset({State.FAILURE, State.REVOKED, State.REJECTED, State.IGNORED})
EXCEPTION_STATES = PROPAGATE_STATES | {State.RETRY}
"""Whose results are exceptions."""


class Error(Struct, frozen=True, kw_only=True):
    """An exception as data: its class by name, its arguments as JSON, the node where it broke, and what caused it.

    `attributes` is a JSON map of what else the exception held; None where nobody recorded that, as Celery does not. `members` are
    those of an ExceptionGroup.
    """

    type: str
    module: str = "builtins"
    args: Json = EMPTY_LIST
    text: str = ""
    node: str = ""
    cause: Error | None = None
    attributes: Json | None = None
    notes: tuple[str, ...] = ()
    members: tuple[Error, ...] = ()


class Success(Struct, frozen=True, kw_only=True):
    """It returned `value`. `children` are what the task sent while it ran.

    `added` are the canvases that it added to the group that it is a member of, frozen, in the JSON shape of signatures.
    """

    value: Json
    children: tuple[Child, ...] = ()
    added: tuple[Json, ...] = ()


class Failure(Struct, frozen=True, kw_only=True):
    """It raised, or cannot run any more. `expected`: by an exception of which the task said so (`throws`)."""

    error: Error
    traceback: str = ""
    expected: bool = False


class Revoked(Struct, frozen=True, kw_only=True):
    """It was revoked, or expired, before it ran."""

    reason: str = "revoked"


class Rejected(Struct, frozen=True, kw_only=True):
    """It refused its message for good."""

    reason: str = ""


class Ignored(Struct, frozen=True, kw_only=True):
    """It raised Ignore. `state` and `value` are what it had said of itself by then (`update_state`), and how it reads from then on."""

    state: str = ""
    value: Json = NULL


class Retry(Struct, frozen=True, kw_only=True):
    """It shall run again, at `eta_us` (absolute), with `args` and `kwargs` if these are not None.

    `changes` is a JSON map of other fields of Message that the next attempt has otherwise. The outcome of a later attempt than the
    first names all that any attempt before it changed: whoever has a copy of an older one makes the same next message of it.
    """

    eta_us: int
    error: Error | None = None
    traceback: str = ""
    args: Json | None = None
    kwargs: Json | None = None
    changes: Json | None = None


class Replaced(Struct, frozen=True, kw_only=True):
    """It has put a canvas in its place, which goes on under its id (decisions K10): `canvas` is frozen, in the JSON shape of signatures.

    `added` as in Success.
    """

    canvas: Json
    added: tuple[Json, ...] = ()


Ending = Success | Failure | Revoked | Rejected | Ignored
GoingOn = Retry | Replaced
"""What ends an attempt, and not the task: the next attempt follows, of a replaced task that of whatever ends its canvas."""
Outcome = Ending | GoingOn


def state_of(outcome: Outcome) -> State:
    """The state that users see."""
    match outcome:
        case Success():
            return State.SUCCESS
        case Failure():
            return State.FAILURE
        case Revoked():
            return State.REVOKED
        case Rejected():
            return State.REJECTED
        case Ignored():
            return State.IGNORED
        case Retry():
            return State.RETRY
        case Replaced():
            return State.STARTED
    assert_never(outcome)


def cause_of(outcome: Failure | Revoked | Rejected | Ignored, node: str) -> Failure:
    """What everything downstream of `node` is settled with, as it can no longer run."""
    match outcome:
        case Failure():
            return outcome
        case Revoked():
            return Failure(error=celery_error("TaskRevokedError", outcome.reason, node))
        case Rejected():
            return Failure(error=celery_error("Reject", outcome.reason, node))
        case Ignored():
            return Failure(error=celery_error("Ignore", "the task asked to be ignored", node))
    assert_never(outcome)


def celery_error(type_name: str, text: str, node: str, cause: Error | None = None) -> Error:
    """An error of a class that Celery has too, with `text` as its only argument."""
    return Error(
        type=type_name,
        module="celery.exceptions",
        args=json_list([json_string(text)]),
        text=text,
        node=node,
        cause=cause,
    )


def is_refusal(failure: Failure) -> bool:
    """True if no function ran: the worker has no such task, or its arguments cannot be read (see execute.py)."""
    error = failure.error
    return error.module == "celery.exceptions" and error.type in _REFUSALS and not failure.traceback


_REFUSALS = frozenset({"NotRegistered", "Reject"})


def lost(type_name: str, text: str, node: str) -> Failure:
    """A failure of one of backbeat's own kinds (JoinLost, SendInterrupted)."""
    return Failure(
        error=Error(
            type=type_name,
            module="backbeat.canvas.errors",
            args=json_list([json_string(text)]),
            text=text,
            node=node,
        )
    )


def repr_of(error: Error) -> str:
    """The error as Python's repr writes the exception: its class and its arguments."""
    return f"{error.type.rsplit('.', 1)[-1]}({', '.join(map(repr, json.loads(plain(error.args))))})"


def error_value(error: Error) -> Json:
    """The error as a value: who reads it gets the exception; Celery sees a map of its type and its arguments."""
    shown = {
        "exc_type": error.type,
        "exc_message": json.loads(plain(error.args)),
        "exc_module": error.module,
    }
    return json_value({MARK: ERROR, "value": shown, "error": error_to_data(error)})


_KINDS: dict[str, type[Outcome]] = {
    "success": Success,
    "failure": Failure,
    "revoked": Revoked,
    "rejected": Rejected,
    "ignored": Ignored,
    "retry": Retry,
    "replaced": Replaced,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}
_SUCCESS = _NAMES[Success]
GOING_ON = frozenset({_NAMES[Retry], _NAMES[Replaced]})
"""The kinds of GoingOn, as `outcome_to_data` writes them; runs.lua knows them, too."""


def outcome_to_data(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain data, for a store; `outcome_from_data` gives it back."""
    data: dict[str, Any] = {"kind": _NAMES[type(outcome)]}
    if isinstance(outcome, Ignored) and not outcome.state:
        return data  # as versions write it, and read it, that know no more of it
    for name in outcome.__struct_fields__:
        value = getattr(outcome, name)
        if name == "added" and not value:
            continue
        data[name] = error_to_data(value) if isinstance(value, Error) else value
    return data


def outcome_from_data(data: Mapping[str, Any]) -> Outcome:
    """The inverse of `outcome_to_data`."""
    if data["kind"] == _SUCCESS and not data.get("children") and not data.get("added"):
        return Success(value=data["value"])  # nearly all
    fields = {name: value for name, value in data.items() if name != "kind"}
    if fields.get("error") is not None:
        fields["error"] = error_from_data(fields["error"])
    if "children" in fields:
        fields["children"] = tuple(map(child_from_data, fields["children"]))
    if "added" in fields:
        fields["added"] = tuple(fields["added"])
    return _KINDS[data["kind"]](**fields)


def error_to_data(error: Error) -> dict[str, Any]:
    """The error as plain data."""
    data: dict[str, Any] = {
        "type": error.type,
        "module": error.module,
        "args": error.args,
        "text": error.text,
        "node": error.node,
        "cause": error_to_data(error.cause) if error.cause else None,
    }
    if error.attributes is not None:
        data["attributes"] = error.attributes
    if error.notes:
        data["notes"] = list(error.notes)
    if error.members:
        data["members"] = [error_to_data(member) for member in error.members]
    return data


def error_from_data(data: Mapping[str, Any]) -> Error:
    """The inverse of `error_to_data`."""
    fields = dict(data)
    cause = fields.pop("cause", None)
    notes, members = fields.pop("notes", ()), fields.pop("members", ())
    return Error(
        cause=error_from_data(cause) if cause else None,
        notes=tuple(notes),
        members=tuple(map(error_from_data, members)),
        **fields,
    )
