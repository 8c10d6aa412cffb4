"""Fault: something that was done to the beats or to what they stand on, and when; the checker explains second copies by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class FaultKind(Enum):
    """What was done. `word` stands in reports."""

    KILL = "kill"
    """SIGKILL of a leader while a standby was ready."""
    KILL_MORE = "kill-more"
    """SIGKILL of several at once, of a standby, or of a leader in an outage: no figure for the gap comes of it."""
    PAUSE = "pause"
    """SIGSTOP of a leader, SIGCONT later."""
    FREEZE = "freeze"
    """SIGSTOP of a leader that is inside its transaction, until somebody else has sent."""
    STOP = "stop"
    """SIGTERM: no reason for any second copy."""
    STORE = "store"
    """The store was away: restarted, killed, cut off, silent or locked."""
    BROKER = "broker"
    """The broker was away: restarted, killed, cut off or silent."""


KILLS = (FaultKind.KILL, FaultKind.KILL_MORE)
PAUSES = (FaultKind.PAUSE, FaultKind.FREEZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Times are wall-clock microseconds of this machine; `end_us` is when the cause was over.

    `gap_seconds`: from the fault to the next emission of another beat, None where none was awaited or none came. `detail` is for people.
    """

    kind: FaultKind
    begin_us: int
    end_us: int
    pid: int = 0
    gap_seconds: float | None = None
    detail: str = ""

    def to_json(self) -> dict[str, object]:
        """As it stands in the report."""
        return {
            "kind": self.kind.value,
            "begin_us": self.begin_us,
            "end_us": self.end_us,
            "pid": self.pid,
            "gap_seconds": self.gap_seconds,
            "detail": self.detail,
        }
