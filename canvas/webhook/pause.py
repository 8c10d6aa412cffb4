"""Pause: how long a delivery waits before it is tried again, and when it is given up. PURE."""

from __future__ import annotations

LONGEST_PAUSE_SECONDS = 600.0
"""So that a receiver that is there again hears of everything within ten minutes."""
TRIES = 152
"""With these pauses that is a day."""
PING_TRIES = 9
"""And that are eight minutes: later a ping would say of somebody that he is alive who was so long ago."""


def pause_seconds(tries: int, chance: float, most: int = TRIES) -> float | None:
    """Seconds to wait after so many tries that failed; None: it is given up.

    2 s, and each time twice as long as before, up to LONGEST_PAUSE_SECONDS; a quarter more or less of it by `chance` (0 to 1), so that what failed
    together does not come again together.
    """
    if tries >= most:
        return None
    usual = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(tries, 16))
    return usual * (0.75 + 0.5 * chance)
