"""ChordTimes: for how long Celery's workers keep the books of a chord, by Celery's settings. See celery_chord.lua."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

KNOWN_SECONDS = 86_400
"""How long, at least, the body of a chord is kept for parts that cannot be read."""
LEAST_CLAIM_SECONDS, LEAST_DONE_SECONDS = 5, 300
"""Celery's."""


class ChordTimes(Struct, frozen=True, kw_only=True):
    """What must be the same in both fleets, by Celery's settings. Seconds; 0 of `keep_seconds` is for ever."""

    keep_seconds: float = 86_400.0
    join_seconds: float = 3.0
    ordered: bool = True

    @property
    def argument(self) -> dict[str, Any]:
        """What the script needs to know."""
        claim = max(LEAST_CLAIM_SECONDS, int(self.join_seconds * 2))
        return {
            "keep_seconds": math.ceil(self.keep_seconds),
            "known_seconds": max(KNOWN_SECONDS, math.ceil(self.keep_seconds)),
            "claim_seconds": claim,
            "done_seconds": max(LEAST_DONE_SECONDS, claim * 2),
            "ordered": self.ordered,
        }


DEFAULT_TIMES = ChordTimes()


def times_of(settings: Mapping[str, Any], result_seconds: float) -> ChordTimes:
    """The times that the settings ask for; `result_seconds` is how long results are kept."""
    keep = settings["result_chord_expires"]
    options = settings["result_backend_transport_options"] or {}
    return ChordTimes(
        keep_seconds=result_seconds if keep is None else _seconds(keep),
        join_seconds=float(settings["result_chord_join_timeout"] or LEAST_CLAIM_SECONDS),
        ordered=bool(options.get("result_chord_ordered", True)),
    )


def _seconds(value: Any) -> float:
    return float(value.total_seconds()) if hasattr(value, "total_seconds") else float(value)
