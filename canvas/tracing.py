"""Tracing: spans of OpenTelemetry around what is sent and what runs, where the process has set up a tracer provider; elsewhere nothing.

    publish     PRODUCER, of whoever sends: a beat, a client, a task. Its context is in the headers of what it sends (trace_context.py).
    process     CONSUMER, of one attempt of a task, where its function runs. It is current there, so spans of the task's own are its children.

A run is the child of what its message names, and not a root with a link to that, as OpenTelemetry would have it for batches: a message is one
task here, and so one trace holds all that came of a firing or of a call. Whose child it is:

    first task, members of a group      of the publish span; that is a child of the run, where a task sends
    next step of a chain, link,
    error callback, what replaces it    of the run that it follows
    next attempt (retry)                of what the first one is a child of, as it is the same message once more
    body, callbacks of a group          of what sent the group: it has as many causes as members, and which is the last one is chance

Where a run left no span, as its process died or a Celery worker ran it, what follows is a child of what the run would have been one of. A
worker without a provider, or with the setting `task_traces` off, passes on what came.

Nothing of OpenTelemetry is imported here: who has not imported it has set up no provider.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from .message import Message
from .node import Call, Chain, Group, Node, bare
from .span import NO_RUN, Run, Spans
from .trace_context import NO_TRACE, Trace


def run_of(message: Message, *, is_on: bool) -> Run:
    """The span of an attempt, to be entered where its function runs."""
    spans = _spans() if is_on else None
    return NO_RUN if spans is None else spans.run(message)


def publishing(node: Node, root_id: str, passed_on: Trace, *, is_on: bool) -> AbstractContextManager[Trace]:
    """Around the sending of a frozen canvas: yields the trace of its messages, `passed_on` where there is no span."""
    spans = _spans() if is_on else None
    if spans is None:
        return nullcontext(passed_on)
    whole = bare(node)
    attributes = {"messaging.message.id": whole.id, "messaging.message.conversation_id": root_id}
    if isinstance(whole, Call) and (queue := whole.options.get("queue")):
        attributes["messaging.destination.name"] = str(queue)
    name = _name(whole)
    return spans.publishing(name, {**attributes, "backbeat.task": name})


def is_traced(*, is_on: bool) -> bool:
    """Whether a firing begins a trace now."""
    return is_on and _spans() is not None


def fired(name: str, attributes: Mapping[str, str]) -> Trace:
    """The trace that a firing begins, with a span that is over when this returns."""
    spans = _spans()
    if spans is None:
        return NO_TRACE
    with spans.publishing(name, attributes, is_root=True) as trace:
        return trace


def _name(node: Node) -> str:
    match node:
        case Call(task=task):
            return task
        case Chain(steps=(Group(), _)):
            return "celery.chord"
        case Chain():
            return "celery.chain"
        case _:
            return "celery.group"


def _spans() -> Spans | None:
    if "opentelemetry.trace" not in sys.modules:
        return None
    from .otel_spans import recorded  # here, so that who traces nothing does not pay for it

    return recorded()
