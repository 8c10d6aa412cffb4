"""Inbox: documents that came to this process, by the ids of their tasks, and no more of them than memory allows. PURE.

Those that nobody has asked for yet are kept longest; of those that were read a few, as handles keep what they read.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec.structs import replace

from ..message import iso_of_us
from ..outcome import READY_STATES
from .document import Document

UNREAD, READ = 100_000, 1_000
"""How many documents are kept."""


class Inbox:
    """Not thread-safe."""

    def __init__(self, *, unread: int = UNREAD, read: int = READ) -> None:
        self._limits = (unread, read)
        self._unread: OrderedDict[str, Document] = OrderedDict()
        self._read: OrderedDict[str, Document] = OrderedDict()

    def put(self, document: Document, now_us: int) -> Document | None:
        """Keep it, unless what is known already is final; returns one that had to go although nobody had asked for it.

        Celery's worker does not say when a task ended, so it is when its document came.
        """
        if self._known(document.id).ready:
            return None
        if document.state in READY_STATES and not document.ready:
            document = replace(document, date_done=iso_of_us(now_us))
        self._read.pop(document.id, None)
        self._unread[document.id] = document
        return self._unread.popitem(last=False)[1] if len(self._unread) > self._limits[0] else None

    def get(self, id_: str) -> Document:
        """What is known of a task; nothing is PENDING."""
        document = self._unread.pop(id_, None)
        if document is not None:
            self._read[id_] = document
            if len(self._read) > self._limits[1]:
                self._read.popitem(last=False)
        return self._known(id_)

    def has_ended(self, id_: str) -> bool:
        """True if its final document came. Not a reading."""
        return self._known(id_).ready

    def forget(self, id_: str) -> None:
        """Drop what is known of a task."""
        self._unread.pop(id_, None)
        self._read.pop(id_, None)

    def __len__(self) -> int:
        return len(self._unread) + len(self._read)

    def _known(self, id_: str) -> Document:
        return self._unread.get(id_) or self._read.get(id_) or Document(id=id_)
