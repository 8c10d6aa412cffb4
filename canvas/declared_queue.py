"""DeclaredQueue: a queue that an app has declared, and how it is read from what the setting `task_queues` says. PURE.

What it says of one is an object of kombu's `Queue`, an entry of a map, or a name. Objects are read by their attributes, so that kombu need not be loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from .binding import TYPES, Binding
from .errors import ImproperlyConfigured
from .message import BROADCAST_QUEUE
from .value import Bound, flag, key, label, mapping, number_of

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


class DeclaredQueue(Struct, frozen=True, kw_only=True):
    """A queue as a broker that declares queues shall have it. `broadcast`: every worker that serves it gets a copy of each message."""

    name: str
    bindings: tuple[Binding, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    durable: bool = True
    auto_delete: bool = False
    broadcast: bool = False


def plain_queue(name: str, arguments: Mapping[str, Any] | None = None) -> DeclaredQueue:
    """A queue that is bound to a direct exchange of its own name."""
    return DeclaredQueue(name=name, bindings=(Binding(name, "direct", name),), arguments=arguments or {})


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
        arguments=sound_arguments(where, arguments | _named(options.get)),
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
        arguments=sound_arguments(where, arguments),
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


def sound_arguments(where: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
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
