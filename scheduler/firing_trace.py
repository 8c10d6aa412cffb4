"""FiringTrace: each firing begins a trace, where OpenTelemetry is set up in the beat (see canvas/tracing.py); its messages say which.

What the span tells of is the sending of a firing that stands in the ledger: one that is sent once more, after a crash, has another trace.
"""

from __future__ import annotations

from ..canvas.trace_context import Trace
from ..canvas.tracing import fired
from .firing import Firing


def trace_of_firing(firing: Firing) -> Trace:
    """The trace of one firing, which begins now. Only where something is traced."""
    return fired(firing.entry, {"messaging.message.id": firing.task_id, "backbeat.entry": firing.entry})
