"""SqlMessages: the messages that one exchange sends, and those that it is done with, in a SQL database. Everything happens in the caller's transaction.

They are written when the exchange has decided everything. Where the database is a store beside another broker they go to its outbox, and what is
due at once is held by who writes it: it sends them as soon as the transaction is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..delivery import Delivery
from ..message import Message, sent_at
from ..priority import lane
from ..series import Series
from ..sql.dialect import dialect_of
from ..sql.moment import Moment
from ..sql.step import Add, Drop, Step, Tell
from ..sql.tables import Row, message_table
from ..template import Sendable
from .role import OUTBOX, Role


@dataclass(slots=True)
class SqlMessages:
    """What goes to the outbox `worker` holds for so many microseconds."""

    moment: Moment
    series: Series
    role: Role = Role.WHOLE
    worker: str = ""
    outbox_lease_us: int = 0
    outbox: list[Delivery] = field(default_factory=list)
    """What was written to the outbox, and is this worker's to send."""
    _rows: list[Row] = field(default_factory=list)
    _done: dict[str, set[int]] = field(default_factory=dict)
    """By holder the numbers of messages."""

    def publish(self, message: Message, not_before_us: int | None = None) -> None:
        """Send a message when the rest is written."""
        now_us = self.moment.us
        message = sent_at(message, now_us)
        due = not_before_us if not_before_us is not None else message.eta_us
        visible = now_us if due is None else max(due, now_us)
        row = _row(message, visible, self.series.text(message))
        if self.role is Role.STORE:
            row["queue"] = OUTBOX
            if visible <= now_us:
                row["visible_us"] = now_us + self.outbox_lease_us
                row["holder"] = self.worker
        self._rows.append(row)

    def put(self, item: Sendable) -> None:
        """Send one of those that are no part of a canvas; not by the outbox."""
        if isinstance(item, Message):
            self.publish(item)
        else:
            self._rows.append(_row(item, self.moment.us, item.envelope()))

    def acknowledge(self, tag: str) -> None:
        """Delete the message of this tag, if its holder still is who took it."""
        seq, holder = tag.split("@", 1)
        self._done.setdefault(holder, set()).add(int(seq))

    def drops(self) -> list[Step]:
        """The steps that delete what was acknowledged."""
        done, self._done = self._done, {}
        return [Drop(holder, seqs) for holder, seqs in done.items()]

    def adds(self) -> list[Step]:
        """The steps that write what was sent, but not to an outbox. Whoever waits for a message is woken by the commit."""
        if self.role is Role.STORE:
            return []
        rows, self._rows = self._rows, []
        return [Add(message_table, rows), Tell("bb_message", [""] if rows else [])]

    def write_outbox(self) -> None:
        """Write what is to be sent by another broker. Nobody waits for it: it is looked at."""
        rows, self._rows = self._rows, []
        if rows:
            connection = self.moment.connection
            held = dialect_of(connection).add_held(connection, rows)
            self.outbox = [
                Delivery(f"{row.seq}@{row.holder}", OUTBOX, None, row.body)
                for row in sorted(held, key=lambda row: row.seq)
            ]


def _row(item: Sendable, visible_us: int, body: str) -> Row:
    queue = lane(item.queue, item.priority)
    return {"queue": queue, "visible_us": visible_us, "holder": "", "body": body, "task_id": item.id}
