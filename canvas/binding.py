"""Binding: which messages an exchange gives a queue. PURE.

An exchange leads to queues as RabbitMQ does it: `direct` by the very key, `topic` by patterns (`*` is one word, `#` any number of them), `fanout`
by any key.
"""

from __future__ import annotations

from msgspec import Struct

TYPES = ("direct", "topic", "fanout")


class Binding(Struct, frozen=True):
    """The queue that it belongs to gets what is published to `exchange` with a routing key that fits `key`."""

    exchange: str
    type: str
    key: str
    durable: bool = True

    def takes(self, routing_key: str) -> bool:
        """Whether a message with this routing key goes there."""
        match self.type:
            case "fanout":
                return True
            case "topic":
                return topic_fits(self.key, routing_key)
            case _:
                return self.key == routing_key


def topic_fits(pattern: str, routing_key: str) -> bool:
    """Whether a routing key fits a pattern of a topic exchange."""
    return _fits(pattern.split("."), routing_key.split(".") if routing_key else [])


def _fits(pattern: list[str], words: list[str]) -> bool:
    # by the places of the pattern that can be reached; trying each `#` out would take exponential time
    reached = {0}
    for word in [*words, None]:
        for place in sorted(reached):
            while place < len(pattern) and pattern[place] == "#":
                place += 1  # noqa: PLW2901 - a # may be no word
                reached.add(place)
        if word is None:
            return len(pattern) in reached
        reached = {
            place if pattern[place] == "#" else place + 1
            for place in reached
            if place < len(pattern) and pattern[place] in ("#", "*", word)
        }
    raise AssertionError("unreachable")
