"""Route: what `task_routes` says: the options that tasks are sent with, by their names or by what a function says of a call.

A route is the name of a queue, or a map of options. It stands in a map (or a list of pairs) from names, patterns ("feeds.*") and compiled regular
expressions; of these the very name comes first, then the first pattern that matches. A router is such a map, a function
`route(name, args, kwargs, options, task=None, **kw)`, an object with a method `route_for_task(name, args, kwargs)`, or the dotted path of one of
these, which is imported when the first task is sent; a class is called to make the object. The first router that has a route has the word.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from .errors import BackbeatError, ImproperlyConfigured
from .importing import named_object
from .options import checked
from .value import check_limits, key, mapping

_SETTING = "task_routes"


def read_routes(name: str, value: Any) -> Any:
    """The setting as it was given. Raises ImproperlyConfigured that names the pattern whose route no task could be sent by."""
    for _ in _routers(name, value):
        pass
    return value


def route_of(
    routes: Any,
    name: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    task: Any = None,
) -> dict[str, Any]:
    """The options of the first route for a call of the task `name`; none if there is no route.

    Raises ImproperlyConfigured for what a function or object says that cannot be a route.
    """
    for router in _routers(_SETTING, routes, checks=False):
        if isinstance(router, list):
            route = _matching(router, name)
        else:
            made = _router(router)
            route = _asked(made, name, args, kwargs or {}, options or {}, task)
            if route is not None:
                _check_route(f"the route that {_shown(router)} gives for task {name}", route)
        if route is not None:
            return {"queue": route} if not isinstance(route, Mapping) else dict(route)
    return {}


def asks(routes: Any) -> bool:
    """Whether a route may depend on more than the name of the task."""
    return any(not isinstance(router, list) for router in _routers(_SETTING, routes, checks=False))


def _routers(name: str, value: Any, *, checks: bool = True) -> Iterator[Any]:
    """Each as a list of pairs, or as whatever is to be asked."""
    if value is None:
        return
    routers = [value] if isinstance(value, Mapping | str) or not isinstance(value, list | tuple) else value
    if isinstance(routers, list | tuple) and routers and all(map(_is_pair, routers)):
        routers = [routers]  # Celery wants the pairs in a list of their own; nothing else can be meant
    for index, router in enumerate(routers):
        where = name if routers is not value or len(routers) == 1 else f"{name}[{index}]"
        pairs = _pairs(where, router)
        if checks:
            _check_router(where, router, pairs)
        yield router if pairs is None else pairs


def _is_pair(item: Any) -> bool:
    return (
        isinstance(item, list | tuple)
        and len(item) == 2  # noqa: PLR2004 - a pair
        and isinstance(item[0], str | re.Pattern)
        and isinstance(item[1], str | Mapping)
    )


def _pairs(where: str, router: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(router, Mapping):
        return list(router.items())
    if isinstance(router, list | tuple):
        if not all(isinstance(item, list | tuple) and len(item) == 2 for item in router):  # noqa: PLR2004 - pairs
            raise ImproperlyConfigured(
                f"{where} must be a list of pairs such as [('tasks.*', 'queue')], found {router!r:.80}"
            )
        return [(pattern, route) for pattern, route in router]
    return None


def _check_router(where: str, router: Any, pairs: list[tuple[Any, Any]] | None) -> None:
    if pairs is None:
        if isinstance(router, str):
            if not re.fullmatch(r"\w+([.:]\w+)+", router):
                raise ImproperlyConfigured(
                    f"{where} must be the path of a router, such as 'project.routers.route', or a map such as "
                    f"{{'tasks.*': 'queue'}}, found {router!r:.80}"
                )
        elif not callable(router) and not hasattr(router, "route_for_task"):
            raise ImproperlyConfigured(
                f"{where} must be a map such as {{'tasks.*': 'queue'}}, a function, or an object with route_for_task, "
                f"found {router!r:.80}"
            )
        return
    for pattern, route in pairs:
        if not isinstance(pattern, str | re.Pattern):
            raise ImproperlyConfigured(
                f"{where} must be a map with texts as keys, or compiled regular expressions, found {pattern!r:.80}"
            )
        if not pattern:
            raise ImproperlyConfigured(f"{where} has an empty pattern, which is the name of no task")
        shown = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
        _check_route(f"{where}[{shown!r:.80}]", route)


def _check_route(where: str, route: Any) -> None:
    if not isinstance(route, Mapping):
        key(where, getattr(route, "name", route))
        return
    options = mapping(where, route)
    try:
        check_limits(checked(options))
    except (BackbeatError, TypeError) as error:
        raise ImproperlyConfigured(f"{where}: {error}") from None


def _matching(pairs: list[tuple[Any, Any]], name: str) -> Any:
    patterns = []
    for pattern, route in pairs:
        if pattern == name:
            return route
        patterns.append((pattern, route))
    for pattern, route in patterns:
        if pattern.match(name) if isinstance(pattern, re.Pattern) else fnmatchcase(name, pattern):
            return route
    return None


def _router(router: Any) -> Any:
    if isinstance(router, str):
        return _imported(router)
    return router() if inspect.isclass(router) else router


@cache
def _imported(path: str) -> Any:
    found = named_object(path)
    made = found() if inspect.isclass(found) else found
    if not callable(made) and not hasattr(made, "route_for_task"):
        raise ImproperlyConfigured(
            f"{_SETTING}: {path} is no router: it must be a function, or have a method route_for_task, found {made!r:.80}"
        )
    return made


def _asked(
    router: Any,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    task: Any,
) -> Any:
    if hasattr(router, "route_for_task"):
        return router.route_for_task(name, args, kwargs)
    return router(name, args, kwargs, options, task=task)


def _shown(router: Any) -> str:
    return router if isinstance(router, str) else getattr(router, "__qualname__", type(router).__qualname__)
