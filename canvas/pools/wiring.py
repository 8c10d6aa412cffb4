"""Wiring of the pools: from the name given to -P (worker_pool) and the settings of children to a pool."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec

from .. import signals
from ..errors import ImproperlyConfigured
from ..value import COUNT, Bound
from .base import Pool
from .nursery import StartMethod
from .processes import ProcessPool
from .runner import Kind, RunnerSpec
from .solo import SoloPool

logger = logging.getLogger(__name__)

MOST = {
    "processes": 1_000,
    "threads": 10_000,
    "solo": 1,
    "asyncio": 10_000,
    "gevent": 10_000,
    "eventlet": 10_000,
}
"""How many jobs run side by side at most: beyond, a machine is more likely to fall over than to get done. A process has its own memory,
some tens of MB; threads share theirs, but Linux has 32,768 of them and of processes, unless told otherwise. More coroutines or greenlets than that are more than one processor gets done."""
NAMES = tuple(MOST)
_KINDS = {
    "processes": Kind.ALONE,
    "threads": Kind.THREADS,
    "asyncio": Kind.ASYNCIO,
    "gevent": Kind.GEVENT,
    "eventlet": Kind.EVENTLET,
}
_WAITERS = frozenset({"asyncio", "gevent", "eventlet"})
"""Pools of tasks that wait most of their time, in a process that they share."""
WAITERS_SIZE = 100
"""How many run side by side there where nobody says: many times what a processor could run, and no more than most servers allow connections."""
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
    """The pool called `name`; "prefork" is Celery's word for "processes". `size` jobs run side by side: see `size_of`.

    A process is replaced after `max_tasks` jobs, and once it is larger than `max_memory_kib`.

    Raises:
        ImproperlyConfigured: there is no such pool or start method, its library is not installed, or a number is less than 1.
        Exception: solo imports the app at once, and passes on what that raises.
    """
    name, size = _known(name), size_of(name, size)
    for setting, value in (
        ("worker_max_tasks_per_child", max_tasks),
        ("worker_max_memory_per_child", max_memory_kib),
    ):
        _check_number(setting, value, has_children=name != "solo")
    if name == "solo":
        made = runner.make()
        signals.worker_process_init.send(getattr(made, "node", ""))
        return SoloPool(made)
    kind = _KINDS[name]
    if kind.is_green:
        check_library(name)
    children, slots = (1, size) if kind.is_shared else (size, 1)
    return ProcessPool(
        children,
        runner,
        _method_of(start_method),
        kind=kind,
        slots=slots,
        max_tasks=max_tasks,
        max_memory_kib=max_memory_kib,
        spare=True,
        most=MOST[name],
    )


def size_of(name: str, size: int) -> int:
    """How many jobs the pool called `name` runs side by side if it is asked for `size`: solo never more than one.

    Raises ImproperlyConfigured for a name that is not known, and a size that no pool of that name can have.
    """
    name = _known(name)
    if name == "solo":
        return 1
    bound = Bound(lowest=1, highest=MOST[name], whole=True)
    return int(bound(f"the concurrency of pool {name} (-c, worker_concurrency)", size))


def most_size(name: str) -> int:
    """How many jobs the pool called `name` runs side by side at most."""
    return MOST[_known(name)]


def default_size(name: str) -> int:
    """How many jobs the pool called `name` runs side by side where nobody says: one for each processor, or WAITERS_SIZE."""
    return WAITERS_SIZE if _known(name) in _WAITERS else os.cpu_count() or 1


def _known(name: str) -> str:
    name = _ALIASES.get(name, name)
    if name not in NAMES:
        raise ImproperlyConfigured(
            f"there is no pool {name!r}; choose one of {', '.join(NAMES)} (or prefork, which is processes)"
        )
    return name


def check_library(name: str) -> None:
    """Raise ImproperlyConfigured if the library that the pool is made of is not installed; say so if nobody should begin with it."""
    if find_spec(name) is None:
        raise ImproperlyConfigured(
            f"pool {name} needs the library {name}, which is not installed: pip install 'backbeat[{name}]'"
        )
    if name == "eventlet":
        text = "eventlet is being retired by its makers, and so is this pool: take -P asyncio, threads or gevent for new work, and soon for all"
        logger.warning(text, extra={"action": "pool_retired"})


def _check_number(setting: str, value: object, *, has_children: bool) -> None:
    if value is None:
        return
    COUNT(setting, value)
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
