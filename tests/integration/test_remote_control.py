"""When a worker can be asked: from when it says that it is ready, and in any case it starts."""

from __future__ import annotations

import threading
import time

from backbeat.canvas.errors import Unavailable
from backbeat.canvas.worker import remote_control
from backbeat.canvas.worker.remote_control import RemoteControl


class Box:
    """A Mailbox of a broker that takes its time, or cannot be reached."""

    def __init__(self, fault=None):
        self._fault = fault
        self.let_in, self.is_in = threading.Event(), threading.Event()

    def take(self, seconds):
        self.let_in.wait(20)
        if self._fault is not None:
            raise self._fault
        self.is_in.set()
        time.sleep(min(seconds, 0.01))
        return []

    def close(self):
        pass


def test_a_worker_is_ready_when_orders_come_to_it():
    box = Box()
    threading.Timer(0.2, box.let_in.set).start()

    with RemoteControl(box, None, None).working():
        assert box.is_in.is_set()


def test_a_worker_that_no_order_can_reach_starts_all_the_same(monkeypatch):
    monkeypatch.setattr(remote_control, "BEGIN_SECONDS", 0.2)
    silent, refused = Box(), Box(Unavailable("the broker cannot be reached"))
    refused.let_in.set()

    for box in (silent, refused):
        began = time.monotonic()
        with RemoteControl(box, None, None).working():
            assert time.monotonic() - began < 5
        box.let_in.set()
