"""Confirms: what a server has said about the messages of one batch, by publish numbers. AmqpLine owns it, and feeds it. No I/O.

RabbitMQ numbers what is published on a channel from 1 on, and answers each number once, several with one answer at times. A message that
it cannot route comes back before its number is confirmed; then it has none of it.
"""

from __future__ import annotations

import logging

from .base import Posted

logger = logging.getLogger(__name__)


class Confirms:
    """The answers to one batch at a time; `begin` forgets the one before, whose late answers find nothing here."""

    def __init__(self) -> None:
        self._published = 0
        self._pending: dict[int, str] = {}
        self._confirmed: list[str] = []
        self._returned: set[str] = set()
        self._unsendable: dict[str, str] = {}

    def begin(self) -> None:
        """A new batch."""
        self._pending, self._confirmed, self._returned, self._unsendable = {}, [], set(), {}

    def sent(self, id_: str) -> None:
        """A message was written, and has the next number."""
        self._published += 1
        self._pending[self._published] = id_

    def refuse(self, id_: str, for_good: str = "") -> None:
        """The broker has nothing of this message; `for_good` says why it never will, if so."""
        self._returned.add(id_)
        if for_good:
            self._unsendable[id_] = for_good

    @property
    def waiting(self) -> bool:
        """Whether answers are missing."""
        return bool(self._pending)

    def posted(self) -> Posted:
        """What is known of the batch."""
        confirmed = [id_ for id_ in self._confirmed if id_ not in self._returned]
        return Posted(confirmed, self._returned, self._unsendable)

    def ack(self, number: int, multiple: bool) -> None:
        """The server has it, or all up to it."""
        self._confirmed += self._answered(number, multiple)

    def nack(self, number: int, multiple: bool) -> None:
        """The server does not want it, or all up to it."""
        refused = self._answered(number, multiple)
        self._returned.update(refused)
        logger.warning("the broker refused %d messages", len(refused), extra={"action": "nacked"})

    def _answered(self, number: int, multiple: bool) -> list[str]:
        if not multiple:
            id_ = self._pending.pop(number, None)
            return [] if id_ is None else [id_]
        numbers = []
        for pending in self._pending:  # in ascending order
            if pending > number:
                break
            numbers.append(pending)
        return [self._pending.pop(each) for each in numbers]
