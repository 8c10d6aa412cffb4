"""Started: what is known of a task while it runs, from its claim: the worker's name and process."""

from __future__ import annotations

import json

from ..incarnation import name_of, pid_of
from ..json_text import Json
from ..outcome import State
from .document import Document


def started(id_: str, worker: str) -> Document:
    """The document of a task that `worker` (an incarnation) has claimed; its value is `{pid, hostname}`, as Celery's is."""
    name = name_of(worker)
    known = {"pid": pid_of(worker), "hostname": name}
    return Document(id=id_, state=State.STARTED, value=Json(json.dumps(known)), worker=name)
