"""Rendered messages on their way into the queues of a Redis, many in few commands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from ..priority import step_of
from ..redis_client import Redis, ResponseError
from ..template import Rendered
from .redis_keys import RedisKeys

logger = logging.getLogger(__name__)

_template = attrgetter("template")


def put_messages(client: Redis, keys: RedisKeys, items: Sequence[Rendered]) -> list[str]:
    """Send them; the ids of those that were refused. When it returns the others are in their queues."""
    lists: dict[str, list[Rendered]] = {}
    for template, alike in groupby(items, _template):
        key = keys.lists(template.queue)[step_of(template.priority) - 1]
        lists.setdefault(key, []).extend(alike)
    pipeline = client.pipeline(transaction=False)
    for key, waiting in lists.items():
        pipeline.lpush(key, *[item.envelope() for item in waiting])
    answers = pipeline.execute(raise_on_error=False)
    refused = []
    for (key, waiting), answer in zip(lists.items(), answers, strict=True):
        if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
            logger.error("Redis refuses queue %s: its key is not a list", key, extra={"action": "refused"})
            refused += [item.id for item in waiting]
        elif isinstance(answer, Exception):
            raise answer
    return refused
