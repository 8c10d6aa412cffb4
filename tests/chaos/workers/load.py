"""Load: a client that asks at a steady rate, whatever happens to the workers and the broker, and looks at what comes of it.

What could not be sent is sent again under the same ids until it is; whether the first try was heard does not matter then. A result is
noted when it is first seen, and read again at the end: what has ended must not change.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from backbeat.canvas import App
from backbeat.canvas.codec import loads
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.outcome import State

from ..moment import now_us, wait
from .order import KINDS, Order, signature_of, wanted_of

LOOK_SECONDS = 0.5
OPEN_AT_MOST = 400
"""Tasks that have not ended; beyond it nothing new is asked for, as a slow machine would only pile it up."""
Ending = tuple[str, object]
"""State, and the value, or the name of the error's type."""


class Load:
    """Orders of one run. `name` is in front of their ids. Its thread owns the app until `stop` has returned."""

    def __init__(self, app: App, name: str, draw: random.Random, *, per_second: float) -> None:
        self._app = app
        self._name = name
        self._draw = draw
        self._period = 1 / per_second
        self.orders: list[Order] = []
        self.endings: dict[str, Ending] = {}
        self.changed: list[str] = []
        self.refused = 0
        self._open: dict[str, Order] = {}
        self._look_at = 0.0
        self._is_over = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"load {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Ask for nothing more. Raises what the thread has ended with."""
        self._is_over.set()
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the load does not end"
        if self._fault is not None:
            raise self._fault

    def open_tasks(self) -> list[str]:
        """After `stop`: look, and return what has not ended."""
        self._look()
        return [f"{order.kind} {order.number}: {id_}" for id_, order in self._open.items()]

    def look_again(self) -> None:
        """Read all results once more, and note those that have changed since they were first seen."""
        for id_, ending in self._read(list(self.endings)):
            if ending != self.endings[id_]:
                self.changed.append(f"{id_}: {self.endings[id_]}, later {ending}")

    # --- the thread ----------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            at = time.monotonic()
            for number, kind in enumerate(self._kinds()):
                at = max(at + self._period, time.monotonic() - self._period)
                wait(at - time.monotonic())
                while len(self._open) > OPEN_AT_MOST and not self._is_over.is_set():
                    self._is_over.wait(LOOK_SECONDS)
                    self._look()
                if self._is_over.is_set():
                    return
                self._send(number, kind)
                self._look_at_times()
        except BaseException as fault:  # told to whoever waits for the thread
            self._fault = fault

    def _kinds(self) -> Iterator[str]:
        """Rounds of all kinds, each in an order of its own."""
        for _ in itertools.count():
            round_ = [kind for kind, times in KINDS.items() for _ in range(times)]
            self._draw.shuffle(round_)
            yield from round_

    def _send(self, number: int, kind: str) -> None:
        order = Order(number, kind, sent_us=now_us())
        signature, id_ = signature_of(number, kind, self._draw), f"{self._name}-{kind}-{number}"
        self.orders.append(order)
        while True:
            try:
                handle = self._app.send_signature(signature, options={"task_id": id_})
                break
            except Unavailable:
                self.refused += 1
                wait(0.02)
        order.wanted = wanted_of(number, kind, handle)
        order.body = handle.id if kind == "chord" else None
        self._open.update(dict.fromkeys(order.wanted, order))

    def _look_at_times(self) -> None:
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self._look()

    def _look(self) -> None:
        for id_, ending in self._read(list(self._open)):
            order = self._open.pop(id_)
            self.endings[id_] = ending
            if order.kind == "spawn" and order.child is None and ending[0] == State.SUCCESS:
                order.child = str(ending[1])
                order.wanted = {id_: order.child, order.child: order.number + 1}
                self._open[order.child] = order

    def _read(self, ids: Sequence[str]) -> Iterator[tuple[str, Ending]]:
        with suppress(Unavailable):
            for first in range(0, len(ids), 200):
                for document in self._app.results.get(ids[first : first + 200]):
                    if document.ready:
                        error = document.error
                        value = loads(document.value) if error is None else error.type
                        yield document.id, (str(document.state), value)
