"""Doorbell: gets the worker's loop to go round, from a signal handler or another thread."""

from __future__ import annotations

import contextlib
import os

from ..readable import readable


class Doorbell:
    """`fileno` can be read once it has rung."""

    def __init__(self) -> None:
        self._inside, self._outside = os.pipe()
        os.set_blocking(self._outside, False)

    def fileno(self) -> int:
        return self._inside

    def ring(self) -> None:
        """Safe in a signal handler, from other threads, and when it is closed."""
        with contextlib.suppress(OSError):  # a full pipe means that the loop is awake anyhow
            os.write(self._outside, b"s")

    def hear(self) -> None:
        """It has done its work: `fileno` cannot be read until it rings again."""
        while readable([self._inside], 0):
            os.read(self._inside, 4096)

    def close(self) -> None:
        # forgotten first: who rings late must not write into whatever gets the number next
        ends = self._inside, self._outside
        self._inside = self._outside = -1
        for end in ends:
            os.close(end)
