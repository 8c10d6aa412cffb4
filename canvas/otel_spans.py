"""OtelSpans: spans of OpenTelemetry, by the names of its conventions for messaging. Imported only where its API is (see tracing.py).

The context travels as the process's propagator writes it: by default W3C's headers, which Celery's instrumentation reads and writes, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token
from functools import lru_cache
from types import TracebackType
from typing import Self

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode, Tracer, TracerProvider

from .message import Message, iso_of_us
from .outcome import Error, Failure, Outcome, Replaced, Retry, state_of
from .span import Run, Spans
from .trace_context import NO_TRACE, Trace

SYSTEM = "backbeat"
LONGEST = 2_000
"""Characters of an error's text in a span; all of it is in the result."""


def recorded() -> Spans | None:
    """None where no provider is set up: then spans would be opened for nobody."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return _of(provider)


class OtelSpans:
    """Those of one provider."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def run(self, message: Message) -> Run:
        return RunSpan(self._tracer, message)

    @contextmanager
    def publishing(
        self, name: str, attributes: Mapping[str, str], *, is_root: bool = False
    ) -> Iterator[Trace]:
        told = {
            "messaging.system": SYSTEM,
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            **attributes,
        }
        above = Context() if is_root else None
        with self._tracer.start_as_current_span(
            f"{name} publish", above, kind=SpanKind.PRODUCER, attributes=told
        ):
            yield _injected()


class RunSpan(Run):
    """The span of one attempt; current from `__enter__` to `__exit__`."""

    __slots__ = ("_current", "_has_exception", "_message", "_span", "_trace", "_tracer")

    def __init__(self, tracer: Tracer, message: Message) -> None:
        self._tracer = tracer
        self._message = message
        self._trace: Trace = NO_TRACE
        self._has_exception = False

    @property
    def trace(self) -> Trace:
        return self._trace

    def __enter__(self) -> Self:
        message = self._message
        # a stranger's message may have anything there
        above = propagate.extract({n: v for n, v in message.headers.items() if isinstance(v, str)})
        self._span = self._tracer.start_span(
            f"{message.task} process", above, kind=SpanKind.CONSUMER, attributes=_attributes(message)
        )
        # of what came with the message its baggage is current, too
        self._current: Token[Context] = context.attach(trace.set_span_in_context(self._span, above))
        self._trace = _injected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        context.detach(self._current)
        if exc is not None:
            self._span.record_exception(exc)
            self._span.set_status(StatusCode.ERROR, type(exc).__name__)
        self._span.end()

    def raised(self, exc: BaseException) -> None:
        self._has_exception = True
        self._span.record_exception(exc)

    def ended(self, outcome: Outcome) -> None:
        state = "REPLACED" if isinstance(outcome, Replaced) else str(state_of(outcome))
        self._span.set_attribute("backbeat.state", state)
        match outcome:
            case Failure(error=error):
                if not self._has_exception:  # what no function raised: a task that is not known here, say
                    self._span.add_event("exception", _told(error))
                self._span.set_attribute("error.type", error.type)
                self._span.set_status(StatusCode.ERROR, f"{error.type}: {error.text}"[:LONGEST])
            case Retry(eta_us=eta_us, error=error):
                why = {} if error is None else _told(error)
                self._span.add_event("retry", {"backbeat.eta": iso_of_us(eta_us), **why})

    def requeued(self) -> None:
        self._span.add_event("requeue")


@lru_cache(maxsize=1)
def _of(provider: TracerProvider) -> OtelSpans:
    return OtelSpans(provider.get_tracer("backbeat"))


def _injected() -> Trace:
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def _attributes(message: Message) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": message.queue,
        "messaging.message.id": message.id,
        "messaging.message.conversation_id": message.root_id,
        "backbeat.task": message.task,
        "backbeat.retries": message.retries,
        "backbeat.root_id": message.root_id,
    }
    if message.parent_id is not None:
        attributes["backbeat.parent_id"] = message.parent_id
    if message.group_id is not None:
        attributes["backbeat.group_id"] = message.group_id
    if (entry := message.headers.get("periodic_task_name")) is not None:
        attributes["backbeat.entry"] = str(entry)
    return attributes


def _told(error: Error) -> dict[str, str]:
    name = error.type if error.module == "builtins" else f"{error.module}.{error.type}"
    return {"exception.type": name, "exception.message": error.text[:LONGEST]}
