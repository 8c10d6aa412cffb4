"""Publishing: what only sends messages, as most clients do, as the arguments of publish.lua."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ..effect import Publish
from ..priority import STEPS
from .redis_batch import RedisBatch
from .redis_keys import RedisKeys
from .role import Role
from .transition import Transition

_NOTHING = Transition()


def publishing(transitions: Sequence[Transition], batch: RedisBatch, keys: RedisKeys) -> list[Any] | None:
    """The arguments that bring these; None if they are more than messages that may run now."""
    if batch.role is Role.STORE or not all(map(_only_publishes, transitions)):
        return None
    effects = [effect for transition in transitions for effect in transition.effects]
    lists: dict[str, list[bytes]] = {}
    for effect in effects:
        _, queue, step, text, due_us, _ = batch.effect(effect)
        if due_us:
            return None
        lists.setdefault(keys.list_of(queue, STEPS[step - 1]), []).append(_encoded(text))
    arguments: list[Any] = [len(lists)]
    for key, texts in lists.items():
        arguments += _encoded(key), len(texts), *texts
    sent = iter(batch.sent(effects))
    for id_, seconds in zip(sent, sent, strict=True):
        arguments += _encoded(keys.own(f"run:{id_}")), seconds
    return arguments


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # an id may be made of half a character


def _only_publishes(transition: Transition) -> bool:
    return (
        replace(transition, effects=()) == _NOTHING
        and len(transition.effects) > 0
        and all(isinstance(effect, Publish) for effect in transition.effects)
    )
