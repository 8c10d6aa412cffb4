"""ErrorReport: what an error callback is told of the failure, in the header `backbeat_errback` of its message. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .json_text import Json, json_list, json_string
from .outcome import Error, Failure

LIMIT = 8_000
"""Characters of a text of it: all headers must fit into one AMQP frame of 128 kB."""


def report_of(failure: Failure, id_: str, task: str, root_id: str) -> dict[str, Any]:
    """What is told of the failure of `id_`, a call of `task`. Of an error that is larger, its text at least."""
    error = failure.error
    report: dict[str, Any] = {
        "id": id_,
        "name": task,
        "exc_type": error.type,
        "exc_module": error.module,
        "exc_args": error.args if len(error.args) <= LIMIT else json_list([json_string(error.text[:1_000])]),
        "exc_message": error.text[:LIMIT],
        "traceback": failure.traceback[-LIMIT:],
        "root_id": root_id,
    }
    if error.attributes is not None:
        whole = max(len(error.args), len(error.text), len(error.attributes)) <= LIMIT
        report |= {"exc_attributes": error.attributes} if whole else {}
    return report


def reported_error(report: Mapping[str, Any]) -> Error:
    """The error that a report tells of."""
    return Error(
        type=str(report.get("exc_type", "Exception")),
        module=str(report.get("exc_module", "builtins")),
        args=Json(report.get("exc_args", "[]")),
        text=str(report.get("exc_message", "")),
        node=str(report.get("id", "")),
        attributes=report.get("exc_attributes"),
    )
