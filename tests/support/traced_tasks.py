"""An app whose processes record spans, each as a line of the file that BACKBEAT_TEST_SPANS names: without that they have no tracer provider."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from backbeat.canvas import App
from backbeat.canvas.signals import beat_init, worker_process_init
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from .journal import write_line

NAME = "support.traced_tasks"
SPANS = "BACKBEAT_TEST_SPANS"

app = App("traced", task_traces=os.environ.get("BACKBEAT_TEST_TRACES") != "off")


class JournalExporter(SpanExporter):
    """Writes spans down as they end."""

    def __init__(self, path: str) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            write_line(self._path, **told(span))
        return SpanExportResult.SUCCESS


def told(span: ReadableSpan) -> dict[str, Any]:
    """A span, as JSON can hold it."""
    return {
        "name": span.name,
        "trace": f"{span.context.trace_id:032x}",
        "span": f"{span.context.span_id:016x}",
        "parent": None if span.parent is None else f"{span.parent.span_id:016x}",
        "kind": span.kind.name,
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes or {}),
        "events": [event.name for event in span.events],
    }


@beat_init.connect
@worker_process_init.connect
def set_up(**_: Any) -> None:
    if SPANS in os.environ:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(JournalExporter(os.environ[SPANS])))
        trace.set_tracer_provider(provider)


@app.task
def first() -> int:
    with trace.get_tracer("own").start_as_current_span("work"):
        sent.delay()
    return 1


@app.task
def sent() -> None:
    """Was sent by a task."""


@app.task
def note(value: int) -> int:
    return value


@app.task
async def wait(value: int) -> int:
    with trace.get_tracer("own").start_as_current_span("wait"):
        return value


@app.task
def hold(value: int) -> int:
    """As `wait`, where coroutines cannot run."""
    with trace.get_tracer("own").start_as_current_span("wait"):
        return value


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def again(self: Any, value: int) -> int:
    """Succeeds with its second attempt."""
    if self.request.retries == 0:
        raise self.retry(exc=ConnectionError("not yet"))
    return value


@app.task
def fail(values: list[int]) -> None:
    raise ValueError(f"no paper for {values}")


@app.task
def told_of(report: Any) -> None:
    """Of a failure."""


@app.task(bind=True)
def header(self: Any) -> str | None:
    """What its message says of a trace."""
    found: str | None = self.request.headers.get("traceparent")
    return found
