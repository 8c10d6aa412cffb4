"""QueueTable: the queues that an app has declared, and which of them an exchange leads to by a routing key. PURE.

A queue that nobody has declared is one of its own name, bound to a direct exchange of that name, as in Celery. A broadcast is a fanout exchange
of whose messages every worker gets a copy, in a queue of the worker's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from .binding import Binding
from .declared_queue import DeclaredQueue, plain_queue, read_queues, sound_arguments
from .errors import ImproperlyConfigured
from .ids import derive
from .message import BROADCAST_QUEUE, CONTROL_QUEUE

OWN_QUEUE_SECONDS = 60
"""How long a worker's own queue is kept while nobody consumes from it."""


class QueueTable:
    """The queues of an app, by name. Of names that it does not have `queue` makes up what they are. Immutable."""

    def __init__(
        self,
        queues: Sequence[DeclaredQueue] = (),
        *,
        creates_missing: bool = True,
        missing_arguments: Mapping[str, Any] | None = None,
        default_exchange: str = "",
    ) -> None:
        self._queues = {queue.name: queue for queue in queues}
        self._creates_missing = creates_missing
        self._missing_arguments = missing_arguments or {}
        self.default_exchange = default_exchange

    def __iter__(self) -> Iterator[DeclaredQueue]:
        return iter(self._queues.values())

    def get(self, name: str) -> DeclaredQueue | None:
        """The declared queue of this name, if there is one."""
        return self._queues.get(name)

    def queue(self, name: str) -> DeclaredQueue:
        """The queue of this name, declared or not."""
        known = self._queues.get(name)
        if known is None and is_own(name):
            return _own_queue(name)
        return known or plain_queue(name, self._missing_arguments)

    def check(self, name: str) -> None:
        """Raise ImproperlyConfigured for a queue that is not declared, where none is to be made."""
        if not self.makes(name):
            raise ImproperlyConfigured(
                f"queue {name!r:.80} is not among task_queues ({', '.join(self._queues)}), and the setting "
                "task_create_missing_queues is False: declare it there"
            )

    def makes(self, name: str) -> bool:
        """Whether a queue of this name is to be made where there is none."""
        return self._creates_missing or name in self._queues or name == CONTROL_QUEUE or is_own(name)

    def is_broadcast(self, name: str) -> bool:
        """Whether what is sent to this queue goes to every worker that serves it."""
        queue = self._queues.get(name)
        return queue is not None and queue.broadcast

    def type_of(self, exchange: str) -> str | None:
        """The type of an exchange that a declared queue is bound to; None if none is."""
        return self._exchanges.get(exchange)

    def bound(self, exchange: str, routing_key: str) -> list[str]:
        """The declared queues that get what is published so, in the order of their declaration."""
        return [
            queue.name
            for queue in self._queues.values()
            if any(b.exchange == exchange and b.takes(routing_key) for b in queue.bindings)
        ]

    def keys_of(self, exchange: str) -> list[str]:
        """The keys by which declared queues are bound to an exchange."""
        return [b.key for queue in self for b in queue.bindings if b.exchange == exchange]

    def queues_of(self, exchange: str) -> list[str]:
        """The declared queues that are bound to an exchange by any key."""
        return [queue.name for queue in self if any(b.exchange == exchange for b in queue.bindings)]

    @cached_property
    def _exchanges(self) -> dict[str, str]:
        found = {b.exchange: b.type for queue in self for b in queue.bindings}
        return found | {queue.name: "fanout" for queue in self if queue.broadcast}


NO_QUEUES = QueueTable()
"""Nothing is declared, and everything is made."""


def own_queue_name(broadcast: str, holder: str) -> str:
    """The name of a worker's own queue for a broadcast; `holder` is known to no other worker."""
    return f"{BROADCAST_QUEUE}{broadcast}.{derive(holder, broadcast)}"


def is_own(name: str) -> bool:
    """Whether a queue is a worker's own, for a broadcast."""
    return name.startswith(BROADCAST_QUEUE)


def _own_queue(name: str) -> DeclaredQueue:
    """It outlives a connection that is lost, so that nothing is missed meanwhile; the broker deletes it some time after its worker."""
    broadcast, _, _ = name.removeprefix(BROADCAST_QUEUE).rpartition(".")
    return DeclaredQueue(
        name=name,
        bindings=(Binding(broadcast, "fanout", ""),),
        arguments={"x-expires": OWN_QUEUE_SECONDS * 1000},
    )


def queue_table(conf: Mapping[str, Any]) -> QueueTable:
    """The table of an app's settings. Raises ImproperlyConfigured where two of them contradict each other."""
    default = str(conf["task_default_queue"])
    exchange = str(conf["task_default_exchange"] or default)
    kind = str(conf["task_default_exchange_type"])
    routing_key = str(conf["task_default_routing_key"] or default)
    highest = conf["task_queue_max_priority"]
    usual: dict[str, Any] = {} if highest is None else {"x-max-priority": highest}
    unnamed = Binding(exchange, kind, routing_key)
    declared = read_queues("task_queues", conf["task_queues"], unnamed)
    names = [queue.name for queue in declared]
    if default not in names and not declared:
        first = DeclaredQueue(
            name=default, bindings=(unnamed,), arguments=_type_of(conf["task_default_queue_type"])
        )
        declared = [first]
    with_usual = [
        queue
        if queue.broadcast
        else replace(queue, arguments=sound_arguments(queue.name, {**usual, **queue.arguments}))
        for queue in declared
    ]
    missing = {**usual, **_type_of(conf["task_create_missing_queue_type"])}
    return QueueTable(
        with_usual,
        creates_missing=bool(conf["task_create_missing_queues"]),
        missing_arguments=sound_arguments("", missing),
        default_exchange=exchange,
    )


def _type_of(kind: Any) -> dict[str, Any]:
    """The arguments for a type of queues; classic ones are what RabbitMQ makes anyhow."""
    return {} if kind in (None, "classic") else {"x-queue-type": kind}
