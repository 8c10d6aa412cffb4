"""The names of queues on Amazon SQS: which can be, and what kombu makes of them. PURE.

SQS takes letters, digits, `-` and `_`, 80 at most, and `.fifo` at the end for a queue of that kind. kombu writes `-` for a dot and `_` for other
punctuation, so that `mail.high` and `mail-high` are one queue.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any

MOST_CHARACTERS = 80
FIFO = ".fifo"
_KNOWN = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
_WRITTEN = {ord(each): "_" for each in string.punctuation if each not in "-_"} | {ord("."): "-"}


def is_plain(queue: str) -> bool:
    """True of a name that every broker takes."""
    return len(queue) <= MOST_CHARACTERS and _PLAIN.fullmatch(queue) is not None


def sqs_name(queue: str, prefix: str = "") -> str:
    """What the queue is called on SQS, as kombu writes it."""
    plain = prefix + queue.removesuffix(FIFO)
    return plain.translate(_WRITTEN) + (FIFO if queue.endswith(FIFO) else "")


def predefined_name(queue: str, options: Mapping[str, Any]) -> str | None:
    """What the queue is called among `predefined_queues` of kombu's options for SQS, as it is or as it is written there; None if it is not."""
    known = options.get("predefined_queues") or {}
    names = (queue, sqs_name(queue, _prefix(options)))
    return next((name for name in names if name in known), None)


def queue_fault(queue: str, options: Mapping[str, Any]) -> str | None:
    """Why there is no queue of this name with these options of kombu's; None if there may be."""
    if options.get("predefined_queues"):
        if predefined_name(queue, options) is not None:
            return None
        return (
            f"queue {queue!r:.100} is not in predefined_queues of broker_transport_options: add it there, with its url "
            "(workers also serve the queue 'backbeat')"
        )
    name = sqs_name(queue, _prefix(options))
    if _KNOWN.fullmatch(name.removesuffix(FIFO)) and len(name) <= MOST_CHARACTERS:
        return None
    return f"queue {queue!r:.100} cannot be: SQS takes names of at most {MOST_CHARACTERS} letters (a to z), digits, - and _"


def _prefix(options: Mapping[str, Any]) -> str:
    return str(options.get("queue_name_prefix") or "")
