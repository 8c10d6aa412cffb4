"""Progress: what is said of a task before it has ended: a state of anybody's choice, and a value. PURE.

It is told, not settled: nothing follows from it, the next word takes its place, and how the task ends takes the place of all of them. It never takes
the place of an ending.
"""

from __future__ import annotations

from msgspec import Struct

from .json_text import Json
from .message import Message, iso_of_us
from .outcome import READY_STATES
from .results.document import Document, known_state


class Progress(Struct, frozen=True, kw_only=True):
    """The word on task `id`; its `message`, where that is at hand."""

    id: str
    state: str
    value: Json
    message: Message | None = None

    @property
    def reply_to(self) -> str:
        """The queue of who waits for its result (the rpc backend)."""
        return "" if self.message is None else self.message.reply_to

    def document(self, *, now_us: int, worker: str, extended: bool) -> Document:
        """The result as it reads until the next word."""
        message = self.message
        called = message if extended else None
        return Document(
            id=self.id,
            state=known_state(self.state),
            value=self.value,
            date_done=iso_of_us(now_us) if self.state in READY_STATES else None,
            name=called.task if called else None,
            args=called.args if called else None,
            kwargs=called.kwargs if called else None,
            worker=(worker if extended else "") or None,
            retries=called.retries if called else None,
            queue=called.queue if called else None,
            group_id=message.group_id if message else None,
            parent_id=message.parent_id if message else None,
        )
