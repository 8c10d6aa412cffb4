"""Announcements on Amazon SQS: a value that is kept under a name for a while, as one message in a queue of its own (see announcement.py).

SQS forgets no message in seconds, so the message says itself until when it stands. Two that start in the same moment may see each other
a little later, as on all transports without locks. Where queues are predefined and this one is not, nothing can be announced.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from kombu.connection import Connection

from ..errors import ImproperlyConfigured
from .sqs_line import SqsLine
from .sqs_queue import AT_ONCE, SqsQueue, told

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1
"""How long SQS looks: without any waiting it asks some of its servers only."""
HIDDEN_SECONDS = 5


def announce(connection: Connection, name: str, value: str, seconds: float) -> str:
    """Keep `value` under `name` unless another one is kept; returns the one that stands. Raises as SqsLine does."""
    line = SqsLine(connection, create_queues=True)
    try:
        try:
            queue = line.queue(f"backbeat.announced.{name}")
        except ImproperlyConfigured as error:
            logger.info("not announced: %s", error, extra={"action": "not_announced"})
            return value
        with told():
            return _announced(queue, value, seconds)
    finally:
        line.close()


def _announced(queue: SqsQueue, value: str, seconds: float) -> str:
    kept = _kept(queue)
    now = time.time()
    standing = {handle: word for handle, word in kept.items() if word.get("until", 0) > now}
    other = next((str(word["value"]) for word in standing.values() if word["value"] != value), None)
    if other is None:
        text = json.dumps({"value": value, "until": now + seconds})
        queue.call("send_message", MessageBody=text)
        queue.call_for("delete_message_batch", [*kept])
        return value
    queue.call_for("change_message_visibility_batch", [*standing], VisibilityTimeout=0)
    queue.call_for("delete_message_batch", [handle for handle in kept if handle not in standing])
    return other


def _kept(queue: SqsQueue) -> dict[str, Mapping[str, Any]]:
    answer = queue.call(
        "receive_message",
        MaxNumberOfMessages=AT_ONCE,
        WaitTimeSeconds=LOOK_SECONDS,
        VisibilityTimeout=HIDDEN_SECONDS,
    )
    found: dict[str, Mapping[str, Any]] = {}
    for message in answer.get("Messages", ()):
        try:
            word = json.loads(message["Body"])
        except ValueError:
            word = {}
        found[message["ReceiptHandle"]] = word if isinstance(word, dict) and "value" in word else {}
    return found
