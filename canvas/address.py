"""Address: where a message goes: from `queue`, `exchange` and `routing_key`, as options say them, to the names of queues. PURE.

Options come in layers: of the settings, of a route, of the task, of the call. What a nearer layer says of the address replaces what a farther one
says of it: a queue all of it, an exchange the queue, a routing key the queue unless an exchange goes with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from .errors import ImproperlyConfigured
from .queue_table import QueueTable

ADDRESS = frozenset({"queue", "exchange", "routing_key"})
_WHERE = frozenset({"copies", "first_queue"})
"""Options that say where an address has led, see `Address.options`."""


class Address(Struct, frozen=True):
    """`queue` gets the message, and each of `copies` a copy that is a task of its own.

    With `exchange` it is published there, with `routing_key`: by a broker that has exchanges, which may lead to further queues.
    """

    queue: str
    copies: Sequence[str] = ()
    exchange: str = ""
    routing_key: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """What the options of a call say of it."""
        if self.exchange:
            return {"exchange": self.exchange, "routing_key": self.routing_key, "first_queue": self.queue}
        return {"queue": self.queue, **({"copies": list(self.copies)} if self.copies else {})}


class Foreign(Struct, frozen=True):
    """An exchange that no declared queue is bound to: only the broker knows where it leads."""

    exchange: str
    routing_key: str


def laid(farther: Mapping[str, Any], nearer: Mapping[str, Any]) -> dict[str, Any]:
    """The options of two layers, `nearer` over `farther`."""
    return {**unaddressed(farther, nearer), **nearer}


def unaddressed(farther: Mapping[str, Any], nearer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of the farther layer without what a nearer one replaces of the address."""
    if ADDRESS.isdisjoint(nearer):
        return farther
    replaced = {*_WHERE, *ADDRESS} if "queue" in nearer else {*_WHERE, "queue"}
    return {name: value for name, value in farther.items() if name not in replaced}


def address_of(options: Mapping[str, Any], table: QueueTable, *, has_exchanges: bool) -> Address | Foreign:
    """Where a message with these options goes. `has_exchanges`: the broker knows exchanges, and leads messages on by itself.

    Raises ImproperlyConfigured for a queue that must not be made, and for a key that no queue is bound by.
    """
    queue, exchange, routing_key = (options.get(name) or "" for name in ("queue", "exchange", "routing_key"))
    if not exchange and queue:
        known = table.get(queue)
        exchange = _exchange_by_key(known.bindings if known else (), routing_key, table)
    elif not exchange and routing_key and table.bound(table.default_exchange, routing_key):
        exchange = table.default_exchange
    if not exchange:
        table.check(queue or routing_key)
        return Address(queue or routing_key)
    return _by_exchange(exchange, routing_key or queue or exchange, queue, table, has_exchanges)


def _exchange_by_key(bindings: Sequence[Any], routing_key: str, table: QueueTable) -> str:
    """The exchange of a queue that is named together with a key that leads somewhere."""
    if not routing_key:
        return ""
    found = (
        each.exchange for each in bindings if each.type == "topic" and table.bound(each.exchange, routing_key)
    )
    return next(found, "")


def _by_exchange(
    exchange: str, routing_key: str, queue: str, table: QueueTable, has_exchanges: bool
) -> Address | Foreign:
    if table.is_broadcast(exchange):
        return Address(exchange)
    kind = table.type_of(exchange)
    first, *copies = table.bound(exchange, routing_key) or [""]
    if first:
        # a direct exchange leads to the queues that are declared; to others may lead only one that somebody else binds queues to
        is_open = has_exchanges and kind != "direct"
        return Address(
            first, () if is_open else copies, exchange if is_open else "", routing_key if is_open else ""
        )
    if exchange in (routing_key, queue):
        table.check(exchange)
        return Address(exchange)
    if kind is None or has_exchanges:
        return Foreign(exchange, routing_key)
    keys = ", ".join(map(repr, table.keys_of(exchange)))
    raise ImproperlyConfigured(
        f"no queue of task_queues is bound to exchange {exchange!r:.80} by a key that fits {routing_key!r:.80}; the keys are {keys}"
    )
