"""Span: what is asked of whoever records spans, and the run that leaves none. The seam between tracing.py and otel_spans.py."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from .message import Message
from .outcome import Outcome
from .trace_context import NO_TRACE, Trace


class Run:
    """What is told of one attempt of a task. This one is of an attempt without a span."""

    __slots__ = ()

    @property
    def trace(self) -> Trace:
        """What follows the attempt is of; empty if that is for its message to say."""
        return NO_TRACE

    def __enter__(self) -> Self:
        """Where its function is going to run, in the same thread and coroutine."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is raised here is no outcome: the attempt was broken off."""

    def raised(self, exc: BaseException) -> None:
        """The exception that is the failure."""

    def ended(self, outcome: Outcome) -> None:
        """What the attempt came to."""

    def requeued(self) -> None:
        """It hands its message back."""


NO_RUN = Run()


class Spans(Protocol):
    """Records spans. Thread-safe."""

    def run(self, message: Message) -> Run:
        """That of an attempt, a child of what the message says."""
        ...

    def publishing(
        self, name: str, attributes: Mapping[str, str], *, is_root: bool = False
    ) -> AbstractContextManager[Trace]:
        """That of a sending; yields the trace of what is sent. With `is_root` a trace begins with it, whatever is current."""
        ...
