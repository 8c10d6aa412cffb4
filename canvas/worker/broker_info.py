"""BrokerInfo: a broker and a queue as remote control tells of them (wire.md 4.5): no password is in it."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from ..binding import Binding
from ..config import Config
from ..declared_queue import DeclaredQueue
from ..url_text import without_password

PORTS = {"amqp": 5672, "pyamqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}


def broker_info(url: str, conf: Config) -> dict[str, Any]:
    """Of the first server of the URL."""
    first, *others = url.split(";")
    parts = urlsplit(first)
    transport = parts.scheme.partition("+")[0]
    try:
        port = parts.port
    except ValueError:
        port = None
    return {
        "hostname": parts.hostname or ("localhost" if transport in PORTS else ""),
        "userid": None if parts.username is None else unquote(parts.username),
        "virtual_host": unquote(parts.path.lstrip("/")) or "/",
        "port": port or PORTS.get(transport),
        "insist": False,
        "ssl": transport in ("amqps", "rediss") or bool(conf.broker_use_ssl),
        "transport": transport,
        "connect_timeout": conf.broker_connection_timeout,
        "transport_options": dict(conf.broker_transport_options or {}),
        "login_method": conf.broker_login_method,
        "uri_prefix": None,
        "heartbeat": conf.broker_heartbeat,
        "failover_strategy": str(conf.broker_failover_strategy or "round-robin"),
        "alternates": [without_password(each) for each in others],
        "credential_provider": None,
    }


def queue_info(queue: DeclaredQueue) -> dict[str, Any]:
    """A queue, and the exchange that it is bound to: the first one, if there are several. Times are seconds, as kombu has them."""
    bound, *_ = (*queue.bindings, Binding("", "direct", queue.name))
    arguments = queue.arguments
    exchange = {
        "name": bound.exchange,
        "type": bound.type,
        "arguments": None,
        "durable": True,
        "passive": False,
        "auto_delete": False,
        "delivery_mode": None,
        "no_declare": False,
    }
    return {
        "name": queue.name,
        "exchange": exchange,
        "routing_key": bound.key,
        "queue_arguments": dict(arguments) or None,
        "binding_arguments": None,
        "consumer_arguments": None,
        "durable": queue.durable,
        "exclusive": False,
        "auto_delete": queue.auto_delete,
        "no_ack": False,
        "alias": None,
        "bindings": [],
        "no_declare": None,
        "expires": _seconds(arguments.get("x-expires")),
        "message_ttl": _seconds(arguments.get("x-message-ttl")),
        "max_length": arguments.get("x-max-length"),
        "max_length_bytes": arguments.get("x-max-length-bytes"),
        "max_priority": arguments.get("x-max-priority"),
    }


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
