"""Wiring of a worker: from an app and a few options to a Worker that is ready to run."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from .. import signals
from ..application import App
from ..clock import SystemClock
from ..commit.base import Commit
from ..errors import ImproperlyConfigured
from ..execute import time_limits_of
from ..incarnation import incarnation
from ..limit import LimitsKept, TimeLimits
from ..message import CONTROL_QUEUE
from ..perform import Performer
from ..places import Kind, broker_url, check_queue, has_exchanges, kind_of, store_url
from ..pools.base import Pool
from ..pools.runner import RunnerSpec
from ..pools.solo import SoloPool
from ..pools.wiring import default_size, most_size, open_pool, size_of
from ..purging import purge
from ..queue_table import own_queue_name, queue_table
from ..results.base import Results
from ..setting import check_limit_settings
from ..transaction import OutboxRelay
from ..value import SECONDS, key
from ..wiring import limits_of, open_commit, open_results
from .admission import Admission
from .afar import Afar, AfarOptions
from .listener import Listener, Listeners
from .outbox import OutboxThread
from .signal_listener import SignalListener
from .sizing import Sizing
from .task_limits import TaskLimits
from .worker import Worker

MOST_AHEAD = 65_535
"""What the field of AMQP for it can hold."""


class WorkerOptions(Struct, frozen=True, kw_only=True):
    """What a worker is started with; None means the setting, or its default."""

    queues: Sequence[str] = ()
    excluded: Sequence[str] = ()
    concurrency: int | None = None
    autoscale: tuple[int, int] | None = None
    """The most and the least tasks side by side, between which it finds its size itself."""
    pool: str | None = None
    name: str = "celery@%h"
    grace: float | None = None
    loglevel: str = "INFO"
    afar: AfarOptions | None = None

    @property
    def hostname(self) -> str:
        """The node name; %h is the host, %n the name, %d the domain. Raises ImproperlyConfigured for what is no name."""
        key("the node name (-n)", self.name)
        host = socket.gethostname()
        name, _, domain = host.partition(".")
        text = self.name.replace("%h", host).replace("%n", name).replace("%d", domain)
        return text if "@" in text else f"{text}@{host}"


def queues_of(app: App, options: WorkerOptions) -> list[str]:
    """The queues that a worker serves: those asked for, else those of `task_queues`, or the default one; and always the one for joins and starts.

    Raises ImproperlyConfigured for names that no queue can have, and for leaving out a queue that was not to be served, or must be.
    """
    table = queue_table(app.conf)
    asked = list(options.queues) or [queue.name for queue in table]
    for queue in asked:
        key("the name of a queue (-Q)", queue)
        check_queue(app.conf, queue)
        table.check(queue)
    check_queue(app.conf, CONTROL_QUEUE)
    for queue in options.excluded:
        if queue == CONTROL_QUEUE:
            raise ImproperlyConfigured(
                f"queue {queue!r} cannot be excluded: every worker serves it, for joins and starts"
            )
        if queue not in asked:
            raise ImproperlyConfigured(
                f"queue {queue!r} cannot be excluded: it would not be served anyway, but {', '.join(asked)}"
            )
    left = [queue for queue in asked if queue not in options.excluded]
    if not left:
        raise ImproperlyConfigured("every queue is excluded: nothing is left to serve")
    return [*dict.fromkeys([*left, CONTROL_QUEUE])]


def broadcasts_of(app: App, options: WorkerOptions, me: str) -> dict[str, str]:
    """The worker's own queue for each broadcast that it serves. Raises ImproperlyConfigured where the broker cannot do that."""
    table = queue_table(app.conf)
    found = {name: own_queue_name(name, me) for name in queues_of(app, options) if table.is_broadcast(name)}
    if found and kind_of(broker_url(app.conf)) is Kind.KOMBU and not has_exchanges(app.conf):
        raise ImproperlyConfigured(
            f"{', '.join(found)}: of kombu's transports only that of RabbitMQ has broadcasts. Use amqp://, redis:// or a database"
        )
    return found


def concurrency_of(app: App, options: WorkerOptions) -> int:
    """How many tasks run side by side, at first; by default one for each processor, 100 where they wait most of their time (asyncio, gevent, eventlet), with solo always one. Raises ImproperlyConfigured."""
    asked = app.conf.worker_concurrency if options.concurrency is None else options.concurrency
    pool = options.pool or app.conf.worker_pool
    size = size_of(pool, default_size(pool) if asked is None else asked)
    if options.concurrency is not None and size < options.concurrency:
        raise ImproperlyConfigured(
            f"-c {options.concurrency} cannot be: pool {pool} runs one task at a time. Use -P processes or -P threads, or leave -c out"
        )
    if options.autoscale is None:
        return size
    most, least = options.autoscale
    if most_size(pool) == 1:
        raise ImproperlyConfigured(
            f"--autoscale {most},{least} cannot be: pool {pool} runs one task at a time. Use another pool, as -P processes"
        )
    size_of(pool, most)
    return least if asked is None else max(least, min(most, size))


def most_of(app: App, options: WorkerOptions) -> int:
    """How many tasks it may come to run side by side without anybody's doing."""
    return concurrency_of(app, options) if options.autoscale is None else options.autoscale[0]


def side_by_side(app: App, options: WorkerOptions) -> str:
    """How many tasks run at a time, for people."""
    return "{1} to {0}".format(*options.autoscale) if options.autoscale else str(concurrency_of(app, options))


def prefetch_of(app: App, options: WorkerOptions) -> int:
    """How many messages of a queue a broker may send ahead; 0 is without limit. Raises ImproperlyConfigured."""
    prefetch = most_of(app, options) * int(app.conf.worker_prefetch_multiplier)
    if prefetch > MOST_AHEAD:
        raise ImproperlyConfigured(
            f"worker_prefetch_multiplier = {app.conf.worker_prefetch_multiplier} is too much: with {most_of(app, options)} tasks side "
            f"by side {prefetch:,} messages would be sent ahead, and a broker sends {MOST_AHEAD:,} at most. Write 0 for no limit."
        )
    return prefetch


class Ahead:
    """How many messages of a queue a broker may send ahead to a worker: `first`, and once its pool is resized `multiplier` for each slot."""

    def __init__(self, first: int, multiplier: int) -> None:
        self._first = first
        self._multiplier = multiplier
        self.sizing: Sizing | None = None

    def __call__(self) -> int:
        if self.sizing is None:
            return self._first
        return min(MOST_AHEAD, self.sizing.limit * self._multiplier)


def grace_of(app: App, options: WorkerOptions) -> float:
    """How many seconds what runs may go on after the worker was told to stop."""
    return float(
        app.conf.worker_grace_seconds if options.grace is None else SECONDS("--grace", options.grace)
    )


def open_worker(app: App, spec: str, options: WorkerOptions, listener: Listener) -> Worker:
    """A worker for `app`, which its children import as `spec` ("module:attribute").

    Raises ImproperlyConfigured for what cannot work, Unavailable when broker or store cannot be reached.
    """
    app.import_modules()
    check_limit_settings(app.conf)
    refuse_keys(app)
    grace = grace_of(app, options)
    me, limits = incarnation(options.hostname), limits_of(app.conf)
    ahead = Ahead(prefetch_of(app, options), int(app.conf.worker_prefetch_multiplier))
    told, queues = SignalListener(options.hostname, app), queues_of(app, options)
    afar = Afar(
        app,
        options.hostname,
        pool=options.pool or app.conf.worker_pool,
        options=options.afar,
    )
    default = TimeLimits(app.conf.task_time_limit, app.conf.task_soft_time_limit)
    with contextlib.ExitStack() as opened:
        broadcasts = broadcasts_of(app, options, me)
        commit = opened.enter_context(
            contextlib.closing(_open_commit(app, options, me, [*broadcasts.values()], ahead))
        )
        has_results = store_url(app.conf) is not None
        results = opened.enter_context(contextlib.closing(open_results(app.conf))) if has_results else None
        pool = _open_pool(app, spec, options)
        opened.callback(pool.stop, 0)
        refuse_limits(app, options.pool or app.conf.worker_pool, pool.limits)
        relays = app.open_relays()
        opened.pop_all()  # from here on all of it is the worker's to close
    worker = Worker(
        commit,
        _performer(app, commit, results),
        pool,
        Listeners([listener, told, *afar.listeners]),
        limits,
        grace_seconds=grace,
        task_limits=TaskLimits(lambda message: time_limits_of(message, app.tasks, default)),
        admission=_admission(app),
        beside=lambda worker: _beside(results, relays, told, afar.working(worker)),
        runs_tasks_in_loop=isinstance(pool, SoloPool),
        broadcasts=broadcasts,
        most=most_size(options.pool or app.conf.worker_pool),
        autoscale=options.autoscale,
    )
    ahead.sizing = worker.sizing
    worker.inside.queues = [*queues, *broadcasts.values()]
    told.made(worker)
    if isinstance(pool, SoloPool):
        signals.worker_process_init.send(options.hostname)  # it is the process that runs tasks, too
    return worker


def purged(app: App, options: WorkerOptions, told: Callable[[int], object] = lambda _: None) -> int:
    """How many messages were in the queues that a worker with these options serves, all of which are revoked now.

    Not in the queue for joins and starts, and not what waits for its time. Raises Unavailable.
    """
    me = incarnation(options.hostname)
    queues = [queue for queue in queues_of(app, options) if queue != CONTROL_QUEUE]
    with contextlib.closing(open_commit(app.conf, worker=me, queues=queues)) as commit:
        return purge(commit, _performer(app, commit, None), told)


@contextlib.contextmanager
def _beside(
    results: Results | None,
    relays: Sequence[OutboxRelay],
    told: SignalListener,
    afar: contextlib.AbstractContextManager[None],
) -> Iterator[None]:
    """What there is while a worker runs, and is closed with it."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(told.working())
        stack.enter_context(afar)
        if results is not None:
            stack.enter_context(contextlib.closing(results))
        if relays:
            stack.enter_context(OutboxThread(relays))
        yield


def refuse_limits(app: App, pool: str, kept: LimitsKept) -> None:
    """A limit that nobody keeps is worse than none. Raises ImproperlyConfigured that names the pool, and the tasks and settings that have one."""
    found: dict[str, list[str]] = {}
    for task in sorted(app.tasks.values(), key=lambda task: task.name):
        for option in kept.missing(TimeLimits(task.options.time_limit, task.options.soft_time_limit)):
            found.setdefault(option, []).append(task.name)
    for option in kept.missing(TimeLimits(app.conf.task_time_limit, app.conf.task_soft_time_limit)):
        found.setdefault(option, []).append(f"setting task_{option}")
    if found:
        what = "; ".join(f"the {option} of {', '.join(names)}" for option, names in found.items())
        raise ImproperlyConfigured(f"pool {pool} cannot keep {what}. Use -P processes or -P threads")


def _admission(app: App) -> Admission:
    default, is_off = app.conf.task_default_rate_limit, app.conf.worker_disable_rate_limits
    return Admission(app.tasks, default=default, is_off=is_off)


def refuse_keys(app: App) -> None:
    """A limit that nobody counts is worse than none. Raises ImproperlyConfigured that names the tasks, where there is no store that would."""
    keyed = sorted(task.name for task in app.tasks.values() if task.options.limit_key is not None)
    if keyed and store_url(app.conf) is None:
        raise ImproperlyConfigured(
            f"the limit_key of {', '.join(keyed)} cannot be kept, as there is no result backend that would count over all workers. "
            "Write App(backend='redis://...') or postgresql://."
        )


def _open_commit(app: App, options: WorkerOptions, me: str, own: Sequence[str], ahead: Ahead) -> Commit:
    return open_commit(
        app.conf,
        worker=me,
        queues=[*queues_of(app, options), *own],
        prefetch=ahead,
    )


def _performer(app: App, commit: Commit, results: Results | None) -> Performer:
    return Performer(
        commit,
        results,
        now_us=SystemClock().now_us,
        queue_of=app.queue_of,
        is_early=app.is_early,
        is_broadcast=queue_table(app.conf).is_broadcast,
        result_bytes=int(app.conf.result_max_bytes),
    )


def _open_pool(app: App, spec: str, options: WorkerOptions) -> Pool:
    runner = RunnerSpec(
        "backbeat.canvas.pools.child:make_runner",
        (
            spec,
            options.hostname,
            broker_url(app.conf),
            app.conf.result_backend,
            app.conf.task_time_limit,
            app.conf.task_soft_time_limit,
            options.loglevel.upper(),
            ",".join(app.conf.include),
        ),
    )
    return open_pool(
        options.pool or app.conf.worker_pool,
        size=concurrency_of(app, options),
        runner=runner,
        start_method=app.conf.worker_pool_start_method,
        max_tasks=app.conf.worker_max_tasks_per_child,
        max_memory_kib=app.conf.worker_max_memory_per_child,
    )
