"""Wiring of the pools: from the name given to -P (worker_pool) and the settings of children to a pool."""

from __future__ import annotations

import logging

from ..errors import ImproperlyConfigured
from .base import Pool
from .nursery import StartMethod
from .processes import ProcessPool
from .runner import RunnerSpec
from .solo import SoloPool

logger = logging.getLogger(__name__)

NAMES = ("processes", "threads", "solo")
_ALIASES = {"prefork": "processes"}


def open_pool(
    name: str,
    *,
    size: int,
    runner: RunnerSpec,
    start_method: str = "forkserver",
    max_tasks: int | None = None,
    max_memory_kib: int | None = None,
) -> Pool:
    """The pool called `name`; "prefork" is Celery's word for "processes". `size` jobs run side by side; it is of no account to solo.

    A process is replaced after `max_tasks` jobs, and once it is larger than `max_memory_kib`.

    Raises:
        ImproperlyConfigured: there is no such pool or start method, or a number is less than 1.
        Exception: solo imports the app at once, and passes on what that raises.
    """
    name = _ALIASES.get(name, name)
    if name not in NAMES:
        raise ImproperlyConfigured(
            f"there is no pool {name!r}; choose one of {', '.join(NAMES)} (or prefork, which is processes)"
        )
    for setting, value in (
        ("worker_max_tasks_per_child", max_tasks),
        ("worker_max_memory_per_child", max_memory_kib),
    ):
        _check_number(setting, value, has_children=name != "solo")
    if name == "solo":
        return SoloPool(runner.make())
    if size < 1:
        raise ImproperlyConfigured(f"a pool needs at least 1 slot, not {size} (--concurrency)")
    children, slots = (1, size) if name == "threads" else (size, 1)
    return ProcessPool(
        children,
        runner,
        _method_of(start_method),
        slots=slots,
        max_tasks=max_tasks,
        max_memory_kib=max_memory_kib,
        spare=True,
    )


def _check_number(setting: str, value: object, *, has_children: bool) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ImproperlyConfigured(f"{setting} must be a whole number of at least 1, not {value!r}")
    if not has_children:
        extra = {"action": "pool_setting_idle", "setting": setting}
        logger.warning("pool solo has no child processes: %s does nothing here", setting, extra=extra)


def _method_of(name: str) -> StartMethod:
    try:
        return StartMethod(name)
    except ValueError:
        why = " (a fork of the worker would share its connections and locks)" if name == "fork" else ""
        raise ImproperlyConfigured(
            f"worker_pool_start_method {name!r} is not offered{why}; choose one of {', '.join(StartMethod)}"
        ) from None
