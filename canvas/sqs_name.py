"""The names of queues on Amazon SQS: which can be, and what kombu makes of them. PURE.

SQS takes letters, digits, `-` and `_`, 80 at most, and `.fifo` at the end for a queue of that kind. kombu writes `-` for a dot and `_` for other
punctuation, so that `mail.high` and `mail-high` are one queue.
"""

from __future__ import annotations

import re
import string

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


def name_fault(queue: str, prefix: str = "") -> str | None:
    """Why SQS cannot have a queue of this name; None if it can."""
    name = sqs_name(queue, prefix)
    if _KNOWN.fullmatch(name.removesuffix(FIFO)) and len(name) <= MOST_CHARACTERS:
        return None
    return f"queue {queue!r:.100} cannot be: SQS takes names of at most {MOST_CHARACTERS} letters (a to z), digits, - and _"
