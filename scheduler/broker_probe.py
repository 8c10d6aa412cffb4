"""BrokerProbe: does the broker answer? Asked by the probes, on a connection of their own, at most every few seconds.

A standby publishes nothing for days, so that what the beat itself knows of the broker is old. Many may ask at once: one of them asks the
broker, the others get the answer before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..canvas.brokers.base import Broker
from ..canvas.errors import BackbeatError
from .health import Verdict

KEEP_SECONDS = 5.0


class BrokerProbe:
    """Asks a broker whether it is there. Thread-safe."""

    def __init__(self, open_broker: Callable[[], Broker], *, keep_seconds: float = KEEP_SECONDS) -> None:
        self._open_broker = open_broker
        self._keep_seconds = keep_seconds
        self._asking = threading.Lock()
        self._answer = Verdict(False, "the broker was not asked yet")
        self._asked_at = float("-inf")

    def ask(self) -> Verdict:
        """Whether it answers, or did so within the last few seconds. Takes as long as a connection may take to fail."""
        first = self._asked_at == float("-inf")
        if self._asking.acquire(blocking=first):
            try:
                if time.monotonic() - self._asked_at >= self._keep_seconds:
                    self._answer = self._ask()
                    self._asked_at = time.monotonic()
            finally:
                self._asking.release()
        return self._answer

    def _ask(self) -> Verdict:
        try:
            broker = self._open_broker()
            try:
                broker.wait(0)
            finally:
                broker.close()
        except BackbeatError as error:
            return Verdict(False, f"the broker does not answer: {error}")
        except Exception as error:  # noqa: BLE001 - whatever a client library raises is an answer of a kind
            # its text may hold the address
            return Verdict(False, f"the broker does not answer: {type(error).__name__}")
        return Verdict(True, "the broker answers")
