"""Publish signals: tells the receivers of before_task_publish and after_task_publish of what is sent; asked for only if there are any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from . import signals
from .codec import loads
from .effect import Effect, Publish
from .embed import embed_of
from .header import check_headers
from .message import Message
from .wire import OWN_HEADERS, headers_of, properties_of

_OURS = "backbeat."


def about_to_publish(effects: Sequence[Effect]) -> list[Effect]:
    """These effects, whose messages have the headers that receivers added. Raises EncodeError for one that no message could carry."""
    return [_told_before(effect) for effect in effects]


def published(effects: Iterable[Effect]) -> None:
    """The broker has them."""
    for effect in effects:
        if isinstance(effect, Publish) and not effect.message.task.startswith(_OURS):
            message = effect.message
            signals.after_task_publish.send(message.task, headers=headers_of(message), **_place(message))


def _told_before(effect: Effect) -> Effect:
    if not isinstance(effect, Publish) or effect.message.task.startswith(_OURS):
        return effect
    message = effect.message
    headers = headers_of(message)
    signals.before_task_publish.send(
        message.task,
        headers=headers,
        properties=properties_of(message),
        declare=[],
        retry_policy=None,
        **_place(message),
    )
    own = {name: value for name, value in headers.items() if name not in OWN_HEADERS}
    if own == message.headers:
        return effect
    check_headers(own)
    return replace(effect, message=replace(message, headers=own))


def _place(message: Message) -> dict[str, Any]:
    body = loads(message.args), loads(message.kwargs), embed_of(message)
    return {"body": body, "exchange": "", "routing_key": message.queue}
