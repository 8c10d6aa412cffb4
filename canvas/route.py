"""Route: what `task_routes` says: the options that tasks are sent with whose names match a pattern. Config reads it where it is set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import BackbeatError, ImproperlyConfigured
from .options import checked
from .value import check_limits, key, mapping


def read_routes(name: str, value: Any) -> Any:
    """The map of patterns to queues or options. Raises ImproperlyConfigured that names the pattern whose route no task could be sent by."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(
            f"{name} must be a map such as {{'tasks.*': 'queue'}}; lists and routers are not supported by this version, "
            f"found {value!r:.80}"
        )
    for pattern, route in mapping(name, value).items():
        if not pattern:
            raise ImproperlyConfigured(f"{name} has an empty pattern, which is the name of no task")
        _check_route(f"{name}[{pattern!r:.80}]", route)
    return value


def _check_route(where: str, route: Any) -> None:
    if not isinstance(route, Mapping):
        key(where, route)
        return
    options = mapping(where, route)
    try:
        check_limits(checked(options))
    except (BackbeatError, TypeError) as error:
        raise ImproperlyConfigured(f"{where}: {error}") from None
