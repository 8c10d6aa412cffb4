"""Meta: a result as Celery's code knows it: a map of status, result, traceback, children and, where they are known, more."""

from __future__ import annotations

from typing import Any

from .child import written_child
from .codec import loads
from .results.document import Document
from .task_view import moment_of, result_of


def meta_of(document: Document) -> dict[str, Any]:
    """The result of a task. `result` is its value, or the exception that it ended with; times are aware datetimes."""
    meta = {
        "task_id": document.id,
        "status": str(document.state),
        "result": result_of(document),
        "traceback": document.traceback,
        "children": [written_child(child) for child in document.children],
        "date_done": moment_of(document.date_done),
    }
    more = {
        "date_started": moment_of(document.date_started),
        "group_id": document.group_id,
        "parent_id": document.parent_id,
        "name": document.name,
        "args": None if document.args is None else loads(document.args),
        "kwargs": None if document.kwargs is None else loads(document.kwargs),
        "worker": document.worker,
        "retries": document.retries,
        "queue": document.queue,
    }
    return meta | {name: value for name, value in more.items() if value is not None}
