"""TraceContext: the headers by which a message says of which trace it is: those of W3C, under their names and at the top, as Celery's have them. PURE.

Here they are texts that are passed on: what a message leads to is of its trace, whether or not the worker in between knows OpenTelemetry.
Spans are tracing.py's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Trace = Mapping[str, str]
NO_TRACE: Trace = MappingProxyType({})
PARENT = "traceparent"
NAMES = (PARENT, "tracestate", "baggage")
LONGEST = 8_192
"""Characters of a value that is passed on; W3C lets baggage have as many bytes."""


def trace_of(headers: Mapping[str, Any]) -> Trace:
    """The trace that a message with these headers is of; empty if of none."""
    if PARENT not in headers:
        return NO_TRACE
    found = {name: headers[name] for name in NAMES if _is_short_text(headers.get(name))}
    return found if PARENT in found else NO_TRACE


def in_trace(headers: Mapping[str, Any], trace: Trace) -> Mapping[str, Any]:
    """`headers` of a message that is of `trace`, unless they name one themselves."""
    return {**headers, **trace} if trace and PARENT not in headers else headers


def moved(headers: Mapping[str, Any], trace: Trace) -> Mapping[str, Any]:
    """`headers` with `trace` in place of the one that they name."""
    return {**{name: value for name, value in headers.items() if name not in NAMES}, **trace}


def _is_short_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST
