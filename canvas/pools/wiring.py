"""Wiring of the pools: from the name given to -P (worker_pool) and the setting worker_pool_start_method to a pool."""

from __future__ import annotations

from ..errors import ImproperlyConfigured
from .base import Pool
from .nursery import StartMethod
from .processes import ProcessPool
from .runner import RunnerSpec
from .solo import SoloPool

NAMES = ("processes", "solo")
_ALIASES = {"prefork": "processes"}


def open_pool(name: str, *, size: int, runner: RunnerSpec, start_method: str = "forkserver") -> Pool:
    """The pool called `name`; "prefork" is Celery's word for "processes". `size` is of no account to solo.

    Raises:
        ImproperlyConfigured: there is no such pool or start method, or `size` is less than 1.
        Exception: solo imports the app at once, and passes on what that raises.
    """
    match _ALIASES.get(name, name):
        case "solo":
            return SoloPool(runner.make())
        case "processes":
            if size < 1:
                raise ImproperlyConfigured(f"a pool needs at least 1 process, not {size} (--concurrency)")
            return ProcessPool(size, runner, _method_of(start_method))
    raise ImproperlyConfigured(
        f"there is no pool {name!r}; choose one of {', '.join(NAMES)} (or prefork, which is processes)"
    )


def _method_of(name: str) -> StartMethod:
    try:
        return StartMethod(name)
    except ValueError:
        why = " (a fork of the worker would share its connections and locks)" if name == "fork" else ""
        raise ImproperlyConfigured(
            f"worker_pool_start_method {name!r} is not offered{why}; choose one of {', '.join(StartMethod)}"
        ) from None
