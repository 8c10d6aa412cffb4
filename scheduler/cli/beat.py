"""`backbeat beat`: the daemon."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import Options, banner, loglevel_option, patiently, set_up_logging
from ...canvas.url_text import without_password
from .files import chosen_files, files_option
from .hangup import reload_on_hangup
from .upcoming import upcoming

if TYPE_CHECKING:
    from ...canvas.app import App
    from ..observation import Observation
    from ..wiring import OpenBeat

COURIER_SECONDS = 15.0
"""How long `--once` waits for those who are told of what it sent."""


@click.command()
@files_option
@click.option(
    "--lease-ttl",
    default=10.0,
    type=click.FloatRange(0.1),
    show_default=True,
    help="Seconds without a sign of life after which a leader is replaced.",
)
@click.option("--cluster", help="Name under which firings get their ids; default: the app's name.")
@click.option("--once", is_flag=True, help="Send what is due now, and exit.")
@click.option("--dry-run", is_flag=True, help="Check files and app and print what comes next; send nothing.")
@click.option(
    "--web",
    metavar="HOST:PORT",
    envvar="BACKBEAT_WEB",
    help="Serve /metrics, /healthz, /readyz and /status there; without a host on 127.0.0.1.",
)
@click.option(
    "--record",
    is_flag=True,
    help="Keep the history of runs in the store; of all that may, one does it. Workers tell of their tasks with -E.",
)
@click.option(
    "--accept-state-loss",
    is_flag=True,
    help="Move a damaged SQLite store aside and begin a new one: schedules go on from now, what was missed is not caught up.",
)
@loglevel_option("INFO")
@click.pass_context
def beat(
    ctx: click.Context,
    files: tuple[Path, ...],
    lease_ttl: float,
    cluster: str | None,
    once: bool,
    dry_run: bool,
    web: str | None,
    record: bool,
    accept_state_loss: bool,
    loglevel: str,
) -> None:
    """Send tasks when they are due. Run as many as you like on one store: one sends, the others stand by.

    SIGTERM: finish, free the lease, exit. SIGHUP: read the files again.
    """
    from ...canvas import signals
    from ...canvas.errors import Unavailable
    from ...canvas.wiring import open_broker
    from ..history.wiring import recording
    from ..observation import Observation
    from ..store.base import StoreDown
    from ..wiring import BeatOptions, open_beat, store_url

    options: Options = ctx.obj
    chosen = chosen_files(files)
    if dry_run:
        ctx.invoke(upcoming, names=(), files=chosen, count=3, tz=None)
        return
    app = options.load_app()
    set_up_logging(loglevel)
    settings = BeatOptions(
        files=chosen,
        store=options.store,
        cluster=cluster,
        lease_ttl_seconds=lease_ttl,
        reads_app=bool(options.app),
        accept_state_loss=accept_state_loss,
    )
    observation = Observation(store_url(app, options.store))
    served = observation.serve(web, lambda: open_broker(app.conf)) if web and not once else None

    def open_it() -> OpenBeat:
        try:
            return open_beat(app, settings, observation.listener, observation.vitals)
        except (StoreDown, Unavailable) as absent:
            observation.waiting(str(absent))
            raise

    running = open_it() if once else patiently(open_it, StoreDown, Unavailable)
    observation.watch(running.beat)
    if not options.quiet:
        lines = {
            "app": app.name,
            "broker": without_password(app.conf.broker_url),
            "store": without_password(store_url(app, options.store)),
            "schedules": ", ".join(_sources(app, chosen, reads_app=settings.reads_app))
            or "those in the store",
        } | ({"probes": f"http://{served}/status"} if served else {})
        click.echo(banner("backbeat beat", lines))
    try:
        if once:
            signals.beat_init.send(running.beat)
            _run_once(running)
        else:
            with recording(app, store_url(app, options.store), wanted=record):
                _run_until_stopped(running, observation)
    finally:
        observation.close()
        running.close()


def _sources(app: App, files: Sequence[Path], *, reads_app: bool) -> list[str]:
    """Where the schedules come from, in words."""
    written = reads_app and (app.conf.beat_schedule or app.periodic_tasks)
    return [*(["those of the app"] if written else []), *map(str, files)]


def _run_until_stopped(running: OpenBeat, observation: Observation) -> None:
    from ...canvas import signals

    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        observation.systemd.stopping()
        running.beat.wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    reload_on_hangup(running, observation.systemd.reloading)
    signals.beat_init.send(running.beat)  # who hears that it begins may stop it
    running.courier.start()
    running.beat.run(lambda: bool(stopped))


def _run_once(running: OpenBeat) -> None:
    """Steps until nothing is left to do at once."""
    running.beat.drain()
    leads, unsent = running.beat.leads, running.beat.unsent
    running.beat.retire()
    if leads:
        running.courier.drain(COURIER_SECONDS)
    if not leads:
        click.echo("backbeat: another beat leads; nothing was sent", err=True)
        sys.exit(75)
    if unsent:
        from ...canvas.errors import Unavailable

        raise Unavailable(
            f"the broker cannot be reached or did not confirm; {unsent} firings wait in the store for the next beat"
        )
