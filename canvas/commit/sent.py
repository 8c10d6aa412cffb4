"""Sent: which task ids a batch of effects makes known, so that a store can tell who waits from who was never sent. PURE.

A store leaves an empty run for each of these ids, in the step that publishes: without worker and without outcome it says "sent". The
claim writes over it, so it costs no space of its own. Tasks whose result is ignored leave none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from ..continuation import Continuation, Inline
from ..effect import Effect, OpenChain, OpenJoin, Publish
from ..message import Message
from ..node import Node, callbacks, calls

WAITING_SECONDS = 86_400
"""How long, at least, it is known of a message that is due that it was sent. A store that forgets it looks into its queues."""
STEP_SECONDS = 30 * 86_400
"""The same for what has still to be sent: a step, which ends with an outcome unless a Celery worker runs it, or a callback."""


class Sent(Struct, frozen=True):
    """`messages` are on their way; `steps` are ids of what is to follow, which nobody has sent yet."""

    messages: list[Message]
    steps: list[str]


def sent_by(effects: Iterable[Effect]) -> Sent:
    """What these effects make known. A retry is known already."""
    sent = Sent([], [])
    for effect in effects:
        match effect:
            case Publish(message):
                if message.attempt == 0 and not message.ignore_result:
                    sent.messages.append(message)
                sent.steps.extend(_inline(message.then))
                sent.steps.extend(_ids((*message.link, *message.link_error)))
            case OpenChain(record):
                sent.steps.extend(_ids(record.steps))
                sent.steps.extend(_inline(record.below))
            case OpenJoin(record):
                sent.steps.extend(_inline(record.then))
    return sent


def _inline(then: Continuation | None) -> Iterator[str]:
    return _ids(then.steps) if isinstance(then, Inline) else iter(())


def _ids(nodes: Iterable[Node]) -> Iterator[str]:
    """Callbacks have ids if their sender froze them."""
    for node in nodes:
        for call in calls(node):
            if call.id and not call.options.get("ignore_result"):
                yield call.id
        yield from _ids(callbacks(node))
