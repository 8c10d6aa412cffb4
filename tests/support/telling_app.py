"""An app whose tasks say how far they are, and whose hooks and receivers of signals write down what they are told, in $BACKBEAT_TEST_TOLD."""

from __future__ import annotations

import logging
import os
from typing import Any

from backbeat.canvas import App, Task, signals
from backbeat.canvas.errors import Ignore

from .acceptance_tasks import wait_for_gate
from .journal import write_line

NAME = "support.telling_app"
PATH = "BACKBEAT_TEST_TOLD"
app = App("telling", set_as_current=False)


def note(what: str, **known: Any) -> None:
    path = os.environ.get(PATH)
    if path:
        write_line(path, what=what, pid=os.getpid(), **known)


class Told(Task[..., Any]):
    calls = 0

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.calls += 1
        note("before_start", id=task_id, calls=self.calls)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        note("on_success", id=task_id, retval=retval)

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        note("on_failure", id=task_id, exc=repr(exc), traceback="ZeroDivisionError" in einfo.traceback)

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        note("after_return", id=task_id, status=status)


class Divide(Told):
    name = "divide"

    def run(self, x: int, y: int) -> float:
        return x / y


app.register_task(Divide())


@app.task(name="step", bind=True)
def step(self: Any, gate: str) -> str:
    """Says how far it is, and goes on when the gate opens."""
    for done in range(200):
        self.update_state(state="STEP", meta={"done": done})
    wait_for_gate(gate)
    return "ended"


@app.task(name="skip", bind=True)
def skip(self: Any) -> None:
    self.update_state(state="SKIPPED", meta={"why": "nothing to do"})
    raise Ignore


@app.task(name="die")
def die() -> None:
    os._exit(3)


@signals.setup_logging.connect
def set_up(loglevel: int, **known: Any) -> None:
    logging.basicConfig(level=loglevel, format="ours: %(message)s")


def _receiver(name: str) -> Any:
    def receiver(signal: Any, sender: Any, **known: Any) -> None:
        request = known.get("request")
        id_ = known.get("task_id") or (request.id if request is not None else None)
        note(name, sender=getattr(sender, "name", None) or str(sender)[:40], id=id_)

    return receiver


for _name in signals.__all__:
    if not getattr(signals, _name).never:
        getattr(signals, _name).connect(_receiver(_name), weak=False)
