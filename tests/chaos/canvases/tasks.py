"""Tasks of the canvases under fire: `backbeat -A chaos.canvases.tasks`."""

from __future__ import annotations

from typing import Any

from backbeat.canvas import App

NAME = "chaos.canvases.tasks"
app = App("chaos")


@app.task
def step(x: int) -> int:
    return x + 1


@app.task(bind=True)
def again(self: Any, x: int) -> int:
    """Succeeds at its second attempt."""
    if not self.request.retries:
        raise self.retry(countdown=0.1)
    return x + 1


@app.task(bind=True)
def swapped(self: Any, x: int) -> int:
    """Two steps take its place."""
    raise self.replace(step.s(x) | step.s())


@app.task
def broken(x: int) -> int:
    raise ValueError(x)


@app.task
def total(values: list[Any]) -> int:
    """The body of each chord: of the members that have a value."""
    return sum(value for value in values if not isinstance(value, Exception))
