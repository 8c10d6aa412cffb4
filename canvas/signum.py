"""Signum: the number of a signal, as users name it."""

from __future__ import annotations

import signal as signals

from .errors import ImproperlyConfigured


def signum_of(signal: str | int) -> int:
    """The number of a signal, by its name (SIGTERM, TERM) or number. Raises ImproperlyConfigured."""
    try:
        if isinstance(signal, int):
            return int(signals.Signals(signal))
        name = signal.upper()
        return int(signals.Signals[name if name.startswith("SIG") else f"SIG{name}"])
    except (KeyError, ValueError):
        raise ImproperlyConfigured(f"there is no signal {signal!r}; write SIGTERM or SIGKILL") from None
