"""Bar: a figure of a run and what it must be; and what a percentile is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure, and what it must be; None: there was nothing to measure."""

    name: str
    figure: float | None
    bound: str
    is_met: bool


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest of `ordered` that `share` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def show(bars: Sequence[Mapping[str, Any]]) -> None:
    """Print bars as they stand in a report."""
    for bar in bars:
        print(f"{'ok  ' if bar['is_met'] else 'FAIL'} {bar['name']}: {bar['figure']} ({bar['bound']})")
