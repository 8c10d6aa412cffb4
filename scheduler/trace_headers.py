"""TraceHeaders: each firing begins a trace, where OpenTelemetry is installed and set up; its messages say which (`traceparent`).

Not a dependency: whether the package is there is looked up once. Whether the process has set up a provider is asked for each slice, as
that may come later than we do. Without one nothing is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .firing import Firing


class TraceHeaders:
    """Headers of the spans in which firings are published."""

    def __init__(self) -> None:
        self._tracer: Any = None
        self._propagate: Any = None
        self._kind: Any = None
        if find_spec("opentelemetry") is not None:
            self._open()

    def _open(self) -> None:
        try:
            trace, propagate = import_module("opentelemetry.trace"), import_module("opentelemetry.propagate")
        except ImportError:  # another distribution of the same namespace
            return
        self._tracer = trace.get_tracer("backbeat.scheduler")
        self._propagate = propagate
        self._kind = trace.SpanKind.PRODUCER

    def begin(self) -> bool:
        """Whether spans are recorded now."""
        return self._tracer is not None and bool(self._headers("backbeat.ready", {}))

    def of(self, firing: Firing) -> Mapping[str, str]:
        """The headers of one firing."""
        attributes = {
            "messaging.system": "backbeat",
            "messaging.operation.name": "publish",
            "messaging.message.id": firing.task_id,
            "backbeat.entry": firing.entry,
        }
        return self._headers(f"{firing.entry} publish", attributes)

    def _headers(self, name: str, attributes: Mapping[str, str]) -> dict[str, str]:
        carrier: dict[str, str] = {}
        with self._tracer.start_as_current_span(name, kind=self._kind, attributes=attributes):
            self._propagate.inject(carrier)
        return carrier
