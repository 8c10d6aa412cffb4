"""Started: what is known of a task while it runs, from its claim: the worker's name and process, and since when."""

from __future__ import annotations

import json

from ..incarnation import name_of, pid_of
from ..json_text import Json
from ..message import iso_of_us
from ..outcome import State
from .document import Document


def started(id_: str, worker: str, started_us: int) -> Document:
    """The document of a task that `worker` (an incarnation) has claimed; its value is `{pid, hostname}`, as Celery's is.

    `started_us` is 0 for a claim of a version that did not write it down.
    """
    name = name_of(worker)
    known = {"pid": pid_of(worker), "hostname": name}
    since = iso_of_us(started_us) if started_us else None
    value = Json(json.dumps(known))
    return Document(id=id_, state=State.STARTED, value=value, date_started=since, worker=name)
