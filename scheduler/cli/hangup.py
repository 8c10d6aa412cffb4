"""Hangup: SIGHUP reads the schedules files again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..wiring import OpenBeat


def reload_on_hangup(running: OpenBeat, reloading: Callable[[], None] = lambda: None) -> None:
    """From now on; `reloading` is told first."""

    def reload(*_: object) -> None:
        reloading()
        running.source.ask()
        running.beat.wake()

    signal.signal(signal.SIGHUP, reload)
