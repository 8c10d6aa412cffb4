"""`backbeat worker`: run tasks, from the command line.

Imports of what a worker needs stand inside the command, so that `--help` and completion stay quick.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Sequence

import click

from .cli import (
    CONCURRENCY,
    LIMIT,
    SECONDS,
    Options,
    banner,
    loglevel_option,
    names,
    patiently,
    set_up_logging,
)
from .cli_celery_flags import celery_flags
from .errors import Unavailable
from .url_text import without_password

POOLS = ["processes", "prefork", "threads", "asyncio", "gevent", "eventlet", "solo"]
COUNT = click.IntRange(1)


def _bounds(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """MAX,MIN; MAX alone means down to 0 with Celery, and down to 1 here."""
    if value is None:
        return None
    most, _comma, least = value.partition(",")
    try:
        bounds = int(most), max(1, int(least or 0))
    except ValueError:
        raise click.BadParameter(f"{value!r} must be two whole numbers, as 10,3") from None
    if bounds[0] < bounds[1]:
        raise click.BadParameter(f"{value!r}: the first number is the most tasks, the second the least")
    return bounds


@click.command()
@click.option("-Q", "--queues", callback=names, help="Queues to serve, with commas between them.")
@click.option("-X", "--exclude-queues", callback=names, help="Queues not to serve.")
@click.option("-I", "--include", callback=names, help="Modules with tasks to import besides, with commas.")
@click.option(
    "--purge", is_flag=True, help="First revoke what waits in the queues to serve, and say how many."
)
@click.option(
    "-c",
    "--concurrency",
    type=CONCURRENCY,
    help="Tasks side by side; default: one a processor; asyncio, gevent, eventlet: 100.",
)
@click.option(
    "--autoscale", callback=_bounds, metavar="MAX,MIN", help="Grow and shrink between these by itself."
)
@click.option("-P", "--pool", type=click.Choice(POOLS), help="prefork is another word for processes.")
@click.option("--time-limit", type=LIMIT, help="End a task after so many seconds, if it has no limit itself.")
@click.option("--soft-time-limit", type=LIMIT, help="Raise SoftTimeLimitExceeded in it, likewise.")
@click.option("--max-tasks-per-child", type=COUNT, help="Replace a process after so many tasks.")
@click.option("--max-memory-per-child", type=COUNT, help="Replace a process that is larger, in KiB.")
@click.option("-n", "--hostname", default="celery@%h", help="Node name; %h is the host.", show_default=True)
@click.option(
    "--grace",
    type=SECONDS,
    help="Seconds that tasks may run on after SIGTERM; then they are handed back.  [default: 600]",
)
@click.option(
    "--web",
    metavar="HOST:PORT",
    help="Serve /healthz, /readyz and /metrics there; without a host on 127.0.0.1.",
)
@click.option(
    "-E",
    "--task-events",
    "--events",
    is_flag=True,
    help="Tell of tasks as they go (Flower, backbeat events).",
)
@click.option("--without-heartbeat", is_flag=True, help="Do not tell every two seconds that it lives.")
@click.option("--heartbeat-interval", type=LIMIT, help="Tell so every so many seconds instead.")
@click.option(
    "--prefetch-multiplier",
    type=click.IntRange(0),
    help="Messages that a broker may send ahead for each task side by side.",
)
@click.option(
    "--pool-start-method", type=click.Choice(["forkserver", "spawn"]), help="How processes are started."
)
@loglevel_option("INFO")
@celery_flags
@click.pass_obj
def worker(
    options: Options,
    queues: Sequence[str],
    exclude_queues: Sequence[str],
    include: Sequence[str],
    purge: bool,
    concurrency: int | None,
    autoscale: tuple[int, int] | None,
    pool: str | None,
    time_limit: float | None,
    soft_time_limit: float | None,
    max_tasks_per_child: int | None,
    max_memory_per_child: int | None,
    hostname: str,
    grace: float | None,
    web: str | None,
    task_events: bool,
    without_heartbeat: bool,
    heartbeat_interval: float | None,
    prefetch_multiplier: int | None,
    pool_start_method: str | None,
    loglevel: str,
) -> None:
    """Run tasks. SIGTERM: what runs may end within the grace, the rest is handed back; a second one: the grace is over."""
    from . import killpoint, signals
    from .bug_report import version_of
    from .places import broker_url, store_url
    from .probe_server import ProbeServer, address_of
    from .worker.afar import AfarOptions
    from .worker.listener import Listener, Listeners, LogListener
    from .worker.pages import pages_of
    from .worker.systemd import STOPPING_SECONDS, SystemdListener
    from .worker.tasks_counted import TasksCounted
    from .worker.vitals import WorkerVitals
    from .worker.wiring import (
        WorkerOptions,
        grace_of,
        open_worker,
        purged,
        queues_of,
        side_by_side,
    )

    app = options.load_project()
    set_up_logging(loglevel)
    given = {
        "task_time_limit": time_limit,
        "task_soft_time_limit": soft_time_limit,
        "worker_prefetch_multiplier": prefetch_multiplier,
        "worker_pool_start_method": pool_start_method,
        "worker_max_tasks_per_child": max_tasks_per_child,
        "worker_max_memory_per_child": max_memory_per_child,
    }
    app.conf.update({name: value for name, value in given.items() if value is not None})
    if include:
        app.conf.include = [*app.conf.include, *include]
    killpoint.arm()
    chosen = WorkerOptions(
        queues=queues,
        excluded=exclude_queues,
        concurrency=concurrency,
        autoscale=autoscale,
        pool=pool,
        name=hostname,
        grace=grace,
        loglevel=loglevel,
        afar=AfarOptions(
            tells_tasks=True if task_events else None,
            tells_itself=not without_heartbeat,
            heartbeat_seconds=heartbeat_interval,
        ),
    )
    asked = {"queues": queues, "concurrency": concurrency, "pool": pool, "loglevel": loglevel}
    signals.celeryd_init.send(chosen.hostname, instance=app, conf=app.conf, options=asked)
    systemd = SystemdListener(drain_seconds=grace_of(app, chosen) + STOPPING_SECONDS)
    vitals = WorkerVitals(runs_tasks_in_loop=(pool or app.conf.worker_pool) == "solo")
    listeners: list[Listener] = [LogListener(), systemd, vitals]
    counted, probes = TasksCounted(app.tasks), None
    if web is not None:
        listeners.append(counted)
        probes = ProbeServer(*address_of(web), pages_of(pool or app.conf.worker_pool, vitals, counted))
    listener = Listeners(listeners)
    count = patiently(lambda: purged(app, chosen), Unavailable) if purge else None
    running = patiently(lambda: open_worker(app, options.app or "", chosen, listener), Unavailable)

    counted.size = lambda: running.sizing.size
    running.shutdown = lambda: stop(signal.SIGTERM, None)

    def stop(number: int, _: object) -> None:
        how = "Warm" if running.goes_on else "Cold"
        signals.worker_shutting_down.send(
            chosen.hostname, sig=signal.Signals(number).name, how=how, exitcode=0
        )
        systemd.stopping()
        vitals.stopping()
        running.stop()
        if running.busy:
            # whose terminal is gone, or who interrupts a write to it: what runs must not end for that
            with contextlib.suppress(OSError, RuntimeError):
                click.echo(f"stopping: {running.busy} tasks may end; once more hands them back", err=True)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if not options.quiet:
        lines = {
            "version": version_of("backbeat") or "from a checkout",
            "app": app.name,
            "broker": without_password(broker_url(app.conf)),
            "results": without_password(store_url(app.conf) or app.conf.result_backend),
            "pool": f"{chosen.pool or app.conf.worker_pool}, {side_by_side(app, chosen)} at a time",
            "queues": ", ".join(queues_of(app, chosen)),
            "tasks": ", ".join(sorted(app.tasks)) or "none",
        }
        if count is not None:
            lines["purged"] = f"{count} messages"
        click.echo(banner(f"backbeat worker {chosen.hostname}", lines))
        if probes is not None:
            click.echo(f"  probes  http://{probes.shown}/healthz")
    with options.beside(app, running.stop) if options.beside else contextlib.nullcontext():
        running.run()
    for number in (signal.SIGTERM, signal.SIGINT):
        # all is done; one more of them must not turn a good end into another one, while Python takes itself apart
        signal.signal(number, signal.SIG_IGN)
    if probes is not None:
        probes.close()
