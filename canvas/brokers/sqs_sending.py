"""Sending to Amazon SQS: ten messages in a request, in the layout that kombu's transport has (base64 of its envelope), so that Celery reads them."""

from __future__ import annotations

import base64
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore has no types

from ..envelope import pack
from ..errors import EncodeError, ImproperlyConfigured
from ..message import sent_at
from ..signing import Keyring
from ..template import Rendered, Sendable
from .base import Posted
from .sqs_queue import AT_ONCE, SqsQueue, SqsQueues, code_of, told

logger = logging.getLogger(__name__)

MOST_BYTES = 1_048_576
"""What SQS takes in one request, whether one message or ten. A queue may have been made to take less."""
_UNFIT = ("InvalidParameterValue", "InvalidMessageContents", "BatchRequestTooLong", "UnsupportedOperation")
"""What SQS says of what it will never take."""

_Entry = tuple[str, str]
"""A message's id, and its text."""


def send(queues: SqsQueues, items: Sequence[Sendable], keyring: Keyring) -> Posted:
    """Send all. Those of which nothing is said are in doubt. Raises as SqsLine does."""
    confirmed: list[str] = []
    refused: dict[str, str] = {}
    by_queue: dict[SqsQueue, list[_Entry]] = defaultdict(list)
    for item in items:
        message = item.message() if isinstance(item, Rendered) else item
        try:
            with told():
                queue = queues[message.queue]
            wire = keyring.wire(sent_at(message, time.time_ns() // 1000))
            by_queue[queue].append((item.id, _text(pack(wire, message.queue), is_base64=queues.is_base64)))
        except (EncodeError, ImproperlyConfigured) as error:
            refused[item.id] = str(error)
    for queue, entries in by_queue.items():
        for batch in _batches(entries):
            _send_batch(queue, batch, confirmed, refused)
    for id_, why in refused.items():
        logger.error("message %s cannot be sent: %s", id_, why, extra={"action": "unsendable", "id": id_})
    return Posted(confirmed, refused.keys(), refused)


def _text(envelope: str, *, is_base64: bool) -> str:
    text = base64.b64encode(envelope.encode()).decode() if is_base64 else envelope
    if len(text) > MOST_BYTES:
        raise EncodeError(
            f"the message has {len(text):,} bytes as it is sent to SQS, which takes {MOST_BYTES:,}: keep large data elsewhere, and send "
            "where it is"
        )
    return text


def _batches(entries: Sequence[_Entry]) -> Iterator[list[_Entry]]:
    """As many in one as SQS takes."""
    batch: list[_Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == AT_ONCE or size + len(entry[1]) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += len(entry[1])
    if batch:
        yield batch


def _send_batch(
    queue: SqsQueue, batch: Sequence[_Entry], confirmed: list[str], refused: dict[str, str]
) -> None:
    entries = [_entry(number, text, is_fifo=queue.is_fifo) for number, (_, text) in enumerate(batch)]
    try:
        answer = queue.call("send_message_batch", Entries=entries)
    except ClientError as error:
        if code_of(error) not in _UNFIT:
            with told():
                raise
        if len(batch) == 1:
            refused[batch[0][0]] = f"SQS says {code_of(error)}: {error.response['Error'].get('Message', '')}"
            return
        for entry in batch:  # one of them is at fault, or all of them are too much for this queue
            _send_batch(queue, [entry], confirmed, refused)
        return
    confirmed += [batch[int(done["Id"])][0] for done in answer.get("Successful", ())]
    for failed in answer.get("Failed", ()):
        text = f"SQS says {failed.get('Code')}: {failed.get('Message')}"
        if str(failed.get("Code", "")).rpartition(".")[2] in _UNFIT:
            refused[batch[int(failed["Id"])][0]] = text
        else:
            logger.warning(
                "a message to queue %s was not sent: %s", queue.name, text, extra={"action": "returned"}
            )


def _entry(number: int, text: str, *, is_fifo: bool) -> dict[str, Any]:
    entry = {"Id": str(number), "MessageBody": text}
    # one group, as with kombu: a queue of this kind is asked for where order counts
    return entry | (
        {"MessageGroupId": "default", "MessageDeduplicationId": uuid.uuid4().hex} if is_fifo else {}
    )
