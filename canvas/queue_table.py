"""QueueTable: the queues that an app has declared, and which of them an exchange leads to by a routing key. PURE.

A queue is what the setting `task_queues` says: an object of kombu's `Queue`, an entry of a map, or a name. Objects are read by their attributes,
so that kombu need not be loaded. A queue that nobody has declared is one of its own name, bound to a direct exchange of that name, as in Celery.

An exchange leads to queues as RabbitMQ does it: `direct` by the very key, `topic` by patterns (`*` is one word, `#` any number of them), `fanout`
by any key. A broadcast is a fanout exchange of whose messages every worker gets a copy, in a queue of the worker's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from .errors import ImproperlyConfigured
from .ids import derive
from .message import BROADCAST_QUEUE, CONTROL_QUEUE
from .value import Bound, flag, key, label, mapping, number_of

OWN_QUEUE_SECONDS = 60
"""How long a worker's own queue is kept while nobody consumes from it."""
TYPES = ("direct", "topic", "fanout")
HIGHEST_PRIORITY = Bound(highest=255, whole=True)
_ARGUMENTS = {
    "max_priority": "x-max-priority",
    "max_length": "x-max-length",
    "max_length_bytes": "x-max-length-bytes",
}
"""Attributes of kombu's queues that are arguments of the queue, and those below, which are seconds there and milliseconds here."""
_SECONDS = {"expires": "x-expires", "message_ttl": "x-message-ttl"}
_OPTIONS = {
    *("exchange", "exchange_type", "routing_key", "binding_key", "queue_arguments", "arguments", "durable"),
    *(
        "queue_durable",
        "exchange_durable",
        "auto_delete",
        "queue_auto_delete",
        "delivery_mode",
        "no_ack",
        "alias",
    ),
    *_ARGUMENTS,
    *_SECONDS,
}


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


class DeclaredQueue(Struct, frozen=True, kw_only=True):
    """A queue as a broker that declares queues shall have it. `broadcast`: every worker that serves it gets a copy of each message."""

    name: str
    bindings: tuple[Binding, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    durable: bool = True
    auto_delete: bool = False
    broadcast: bool = False


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


def plain_queue(name: str, arguments: Mapping[str, Any] | None = None) -> DeclaredQueue:
    """A queue that is bound to a direct exchange of its own name."""
    return DeclaredQueue(name=name, bindings=(Binding(name, "direct", name),), arguments=arguments or {})


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
        else replace(queue, arguments=_sound(queue.name, {**usual, **queue.arguments}))
        for queue in declared
    ]
    missing = {**usual, **_type_of(conf["task_create_missing_queue_type"])}
    return QueueTable(
        with_usual,
        creates_missing=bool(conf["task_create_missing_queues"]),
        missing_arguments=_sound("", missing),
        default_exchange=exchange,
    )


def read_queues(name: str, value: Any, unnamed: Binding | None = None) -> list[DeclaredQueue]:
    """What `value`, of the setting `name`, declares. `unnamed`: to what a queue is bound that names neither exchange nor key.

    Raises ImproperlyConfigured that says which entry is wrong.
    """
    if value is None:
        return []
    if isinstance(value, str | bytes) or not isinstance(value, Mapping | Iterable):
        raise ImproperlyConfigured(
            f"{name} must be a list of queues or names, or a map of names to options, found {value!r:.80}"
        )
    usual = unnamed or Binding("celery", "direct", "celery")
    if isinstance(value, Mapping):
        found = [_of_entry(f"{name}[{each!r:.80}]", each, given, usual) for each, given in value.items()]
    else:
        found = [_of_item(f"{name}[{index}]", item, usual) for index, item in enumerate(value)]
    names = [queue.name for queue in found]
    if twice := next((each for each in names if names.count(each) > 1), None):
        raise ImproperlyConfigured(f"{name} has queue {twice!r:.80} twice: give each its own name")
    _check_exchanges(name, found)
    return found


def _of_item(where: str, item: Any, usual: Binding) -> DeclaredQueue:
    if isinstance(item, str):
        return plain_queue(key(where, item))
    if hasattr(item, "exchange") and hasattr(item, "routing_key") and hasattr(item, "name"):
        return _of_object(where, item, usual)
    raise ImproperlyConfigured(f"{where} must be a queue of kombu's or a name, found {item!r:.80}")


def _of_entry(where: str, name: Any, given: Any, usual: Binding) -> DeclaredQueue:
    key(f"{where}: the name of a queue", name)
    if hasattr(given, "exchange") and hasattr(given, "routing_key"):
        return _of_object(where, given, usual)
    options = {} if given is None else mapping(where, given)
    if unknown := sorted(set(options) - _OPTIONS):
        raise ImproperlyConfigured(
            f"{where}: there is no option {unknown[0]!r}; known are {', '.join(sorted(_OPTIONS))}"
        )
    exchange, kind = _exchange_of(where, options.get("exchange"), options.get("exchange_type"), name)
    routing_key = options.get("routing_key") or options.get("binding_key") or name
    durable = flag(f"{where}: durable", options.get("durable", options.get("queue_durable", True)))
    deletes = options.get("auto_delete", options.get("queue_auto_delete", False))
    arguments = {**(options.get("queue_arguments") or {}), **(options.get("arguments") or {})}
    return DeclaredQueue(
        name=name,
        bindings=(Binding(exchange, kind, label(f"{where}: routing_key", routing_key)),),
        arguments=_sound(where, arguments | _named(options.get)),
        durable=durable,
        auto_delete=flag(f"{where}: auto_delete", deletes),
    )


def _of_object(where: str, queue: Any, usual: Binding) -> DeclaredQueue:
    exchange, kind = _exchange_of(where, queue.exchange, None, usual.exchange)
    if _is_broadcast(queue):
        name = key(f"{where}: the name of a broadcast", exchange or queue.alias)
        return DeclaredQueue(name=name, bindings=(), broadcast=True)
    name = key(f"{where}: the name of a queue", queue.name)
    bindings = [
        Binding(
            *_exchange_of(where, each.exchange, None, usual.exchange), label(where, each.routing_key or "")
        )
        for each in getattr(queue, "bindings", None) or ()
    ]
    if not bindings:
        is_bare = not exchange and not queue.routing_key
        bindings = [
            usual if is_bare else Binding(exchange or usual.exchange, kind, queue.routing_key or name)
        ]
    arguments = dict(queue.queue_arguments or {}) | _named(lambda each: getattr(queue, each, None))
    return DeclaredQueue(
        name=name,
        bindings=tuple(sorted(bindings, key=lambda each: (each.exchange, each.key))),  # kombu has a set
        arguments=_sound(where, arguments),
        durable=bool(queue.durable),
        auto_delete=bool(queue.auto_delete),
    )


def _is_broadcast(queue: Any) -> bool:
    return any(each.__name__ == "Broadcast" for each in type(queue).__mro__)


def _exchange_of(where: str, exchange: Any, kind: Any, default: str) -> tuple[str, str]:
    name = default if exchange is None else getattr(exchange, "name", exchange)
    label(f"{where}: exchange", name)
    kind = kind or getattr(exchange, "type", None) or "direct"
    if kind not in TYPES:
        raise ImproperlyConfigured(
            f"{where}: exchange type {kind!r:.40} is not supported by this version; known are {', '.join(TYPES)}"
        )
    return name, kind


def _named(get: Any) -> dict[str, Any]:
    found = {argument: get(name) for name, argument in _ARGUMENTS.items()}
    for name, argument in _SECONDS.items():
        seconds = number_of(get(name))
        found[argument] = None if seconds is None else round(seconds * 1000)
    return {argument: value for argument, value in found.items() if value is not None}


def _type_of(kind: Any) -> dict[str, Any]:
    """The arguments for a type of queues; classic ones are what RabbitMQ makes anyhow."""
    return {} if kind in (None, "classic") else {"x-queue-type": kind}


def _sound(where: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that RabbitMQ takes: a quorum queue has two priorities of its own, and refuses to have others."""
    mapping(f"{where}: queue_arguments", arguments)
    if (highest := arguments.get("x-max-priority")) is not None:
        HIGHEST_PRIORITY(f"{where}: max_priority", highest)
    if arguments.get("x-queue-type") == "quorum":
        return {name: value for name, value in arguments.items() if name != "x-max-priority"}
    return dict(arguments)


def _check_exchanges(name: str, queues: Sequence[DeclaredQueue]) -> None:
    types: dict[str, str] = {}
    for queue in queues:
        if queue.name.startswith(BROADCAST_QUEUE):
            raise ImproperlyConfigured(
                f"{name}: queue {queue.name!r:.80} cannot be: names that begin with {BROADCAST_QUEUE} are those of workers' own queues "
                "for broadcasts; write kombu.common.Broadcast('name')"
            )
        for binding in queue.bindings:
            if types.setdefault(binding.exchange, binding.type) != binding.type:
                raise ImproperlyConfigured(
                    f"{name}: exchange {binding.exchange!r:.80} is {types[binding.exchange]} and {binding.type}: it has one type"
                )
