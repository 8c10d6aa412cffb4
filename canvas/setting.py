"""Setting: what the values may be of those settings that are obeyed. PURE.

A setting is read where it is set, so that the error shows the line that is wrong, and not the first send or a worker's loop. What is not
listed here is checked by whoever knows what it means: routes (route.py), names of time zones, schedules, keys, TLS, compression, names of pools.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta, tzinfo
from typing import Any

from .errors import ImproperlyConfigured
from .message import MAX_BYTES
from .rate import rate_of
from .value import (
    COUNT,
    LIMIT,
    SECONDS,
    Bound,
    Read,
    check_limits,
    flag,
    key,
    mapping,
    number_of,
    optional,
    text,
    texts,
    url,
)
from .webhook.secret import key_of
from .webhook.url import read_url

MOST_SIDE_BY_SIDE = 10_000
"""Tasks of one worker. A machine has 32,768 processes and threads, unless its kernel was told otherwise; pools bound it further."""
MOST_HEARTBEAT = 65_535
"""Seconds: what the field of AMQP for it can hold."""
CONCURRENCY = Bound(lowest=1, highest=MOST_SIDE_BY_SIDE, whole=True)
LEASE = Bound(lowest=0.1, highest=86_400)
"""Below, a lease would be over before it could be renewed; beyond, what a dead worker had would wait for days."""


def read_setting(name: str, value: Any) -> Any:
    """What `value` says for the setting `name`. Raises ImproperlyConfigured if it cannot be meant."""
    return _READERS[name](name, value) if name in _READERS else value


def check_limit_settings(conf: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured if the two limits do not go together. They are set one by one, so who uses them asks."""
    check_limits(conf, "task_")


def _expiry(name: str, value: Any) -> Any:
    if not SECONDS.holds(number_of(value)):
        raise ImproperlyConfigured(
            f"{name} must be {SECONDS}, or as long a timedelta; 0 or None is for ever; found {value!r:.100}"
        )
    return value if isinstance(value, timedelta) else number_of(value)


def _modules(name: str, value: Any) -> Any:
    """Names of modules; None is as good as none of them."""
    return () if value is None else texts(name, value)


def _content_types(name: str, value: Any) -> Any:
    """Names of serializers or their content types, as a list; who knows what is supported says so."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ImproperlyConfigured(f"{name} must be a list: write ['json'], found {value!r:.80}")
    names = ["json" if item == "application/json" else item for item in value]
    return ["json"] if names and all(item == "json" for item in names) else names


def _tls(name: str, value: Any) -> Any:
    """A text such as "no" would turn it on."""
    if value is not None and not isinstance(value, bool | Mapping):
        raise ImproperlyConfigured(
            f"{name} must be True, False, None, or a map such as {{'ca_certs': 'ca.pem'}}, found {value!r:.80}"
        )
    return value


def _zone(name: str, value: Any) -> Any:
    """A time zone or its name; which names there are is known to who reads schedules."""
    if isinstance(value, tzinfo) or (isinstance(value, str) and value):
        return value
    raise ImproperlyConfigured(
        f"{name} must be the name of a time zone, such as 'Europe/Berlin', or a tzinfo, found {value!r:.80}"
    )


def _urls(name: str, value: Any) -> Any:
    for item in [value] if isinstance(value, str) or not isinstance(value, list | tuple) else value:
        url(name, item)
    return value


def _rate(name: str, value: Any) -> Any:
    rate_of(name, value)
    return value


def _tables(name: str, value: Any) -> Any:
    """What is said of Celery's two tables of results."""
    known = ("task", "group")
    if mapping(name, value) and not all(
        key_ in known and isinstance(item, str) and item for key_, item in value.items()
    ):
        raise ImproperlyConfigured(
            f"{name} must be a map such as {{'task': 'celery_taskmeta', 'group': 'celery_tasksetmeta'}}, found {value!r:.100}"
        )
    return value


def _mode(name: str, value: Any) -> Any:
    if value not in ("strict", "celery"):
        raise ImproperlyConfigured(f"{name} must be 'strict' or 'celery', found {value!r:.80}")
    return value


def _wire(name: str, value: Any) -> Any:
    if value not in ("auto", "celery"):
        raise ImproperlyConfigured(f"{name} must be 'auto' or 'celery', found {value!r:.80}")
    return value


def _queue_type(name: str, value: Any) -> Any:
    """A type of RabbitMQ's queues."""
    if value not in ("classic", "quorum"):
        raise ImproperlyConfigured(f"{name} must be 'classic' or 'quorum', found {value!r:.80}")
    return value


def _priority_order(name: str, value: Any) -> Any:
    if value not in ("highest", "lowest"):
        raise ImproperlyConfigured(f"{name} must be 'highest' or 'lowest', found {value!r:.80}")
    return value


def _exchange_type(name: str, value: Any) -> Any:
    if value not in ("direct", "topic", "fanout"):
        raise ImproperlyConfigured(f"{name} must be 'direct', 'topic' or 'fanout', found {value!r:.80}")
    return value


def _hosts(name: str, value: Any) -> Any:
    """Hosts, networks and addresses; none for None."""
    from .webhook.allowed import read_allowed  # few have any

    found = () if value is None else texts(name, value)
    read_allowed(found)
    return found


def _webhook_secret(_: str, value: Any) -> Any:
    key_of(value)
    return value


def _webhook_url(_: str, value: Any) -> Any:
    read_url(value)
    return value


_READERS: dict[str, Read] = {
    "accept_content": _content_types,
    "beat_cron_starting_deadline": optional(SECONDS),
    "beat_sentry_monitors": flag,
    "broker_heartbeat": optional(Bound(highest=MOST_HEARTBEAT, whole=True)),
    "broker_transport_options": optional(mapping),
    "broker_url": optional(url),
    "broker_use_ssl": _tls,
    "broker_write_url": optional(url),
    "canvas_mode": _mode,
    "canvas_wire": _wire,
    "cluster": optional(text),
    "control_exchange": key,
    "control_queue_expires": optional(LIMIT),
    "control_queue_ttl": optional(LIMIT),
    "database_pickled_rows": optional(flag),
    "database_table_names": optional(_tables),
    "database_table_schemas": optional(_tables),
    "database_url": optional(url),
    "enable_utc": flag,
    "event_exchange": key,
    "event_queue_expires": optional(LIMIT),
    "event_queue_prefix": key,
    "event_queue_ttl": optional(LIMIT),
    "history_max_days": LIMIT,
    "history_max_runs": COUNT,
    "imports": _modules,
    "include": _modules,
    "outbox_table": key,
    "outbox_url": optional(_urls),
    "redis_backend_use_ssl": _tls,
    "result_backend": optional(url),
    "result_backend_transport_options": optional(mapping),
    "result_chord_expires": optional(_expiry),
    "result_chord_join_timeout": optional(SECONDS),
    "result_expires": optional(_expiry),
    "result_extended": flag,
    "result_max_bytes": COUNT,
    "security_accept_unsigned": flag,
    "task_acks_late": flag,
    "task_allow_error_cb_on_chord_header": flag,
    "task_always_eager": flag,
    "task_create_missing_queue_type": optional(_queue_type),
    "task_create_missing_queues": flag,
    "task_default_exchange": optional(key),
    "task_default_exchange_type": _exchange_type,
    "task_default_priority": optional(Bound(highest=255, whole=True)),
    "task_default_queue": key,
    "task_default_rate_limit": _rate,
    "task_default_queue_type": optional(_queue_type),
    "task_default_routing_key": optional(key),
    "task_eager_propagates": flag,
    "task_ignore_result": flag,
    "task_inherit_parent_priority": flag,
    "task_lease_seconds": LEASE,
    "task_max_argument_bytes": Bound(lowest=1, highest=MAX_BYTES, whole=True),
    "task_max_lost": COUNT,
    "task_priority_order": _priority_order,
    "task_queue_max_priority": optional(Bound(highest=255, whole=True)),
    "task_send_sent_event": flag,
    "task_soft_time_limit": optional(LIMIT),
    "task_store_eager_result": flag,
    "task_time_limit": optional(LIMIT),
    "task_traces": flag,
    "task_track_started": flag,
    "timezone": optional(_zone),
    "webhook_allowed_hosts": _hosts,
    "webhook_secret": optional(_webhook_secret),
    "webhook_timeout": Bound(lowest=0.1, highest=300),
    "webhook_url": optional(_webhook_url),
    "worker_concurrency": optional(CONCURRENCY),
    "worker_disable_rate_limits": flag,
    "worker_enable_remote_control": flag,
    "worker_grace_seconds": SECONDS,
    "worker_max_memory_per_child": optional(COUNT),
    "worker_max_tasks_per_child": optional(COUNT),
    "worker_pool": text,
    "worker_pool_start_method": text,
    "worker_prefetch_multiplier": Bound(lowest=0, highest=65_535, whole=True),
    "worker_send_task_events": flag,
}
