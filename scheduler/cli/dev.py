"""`backbeat dev`: beat and one worker together."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from ...canvas.cli import CONCURRENCY, Options, banner, loglevel_option, set_up_logging
from ...canvas.url_text import without_password
from .files import chosen_files, files_option
from .hangup import reload_on_hangup


@click.command()
@files_option
@click.option("--for", "duration", help="Stop by itself after this time, e.g. 30s.")
@click.option("-c", "--concurrency", type=CONCURRENCY, help="Tasks side by side.")
@loglevel_option("WARNING")
@click.pass_obj
def dev(
    options: Options, files: tuple[Path, ...], duration: str | None, concurrency: int | None, loglevel: str
) -> None:
    """Beat and one worker together, on a SQLite file: the quickest way to see schedules and workflows run.

    Without -A the app is that of tasks.py, as the schedules are those of schedules.yaml, if they are here.
    """
    from ...canvas import signals
    from ...canvas.worker.afar import AfarOptions
    from ...canvas.worker.wiring import WorkerOptions, open_worker
    from ..dev import Display, run_both
    from ..duration import parse_duration
    from ..history.wiring import recording
    from ..wiring import BeatOptions, open_beat, store_url

    seconds = None if duration is None else parse_duration(duration).total_seconds()
    options.app = options.app or _app_that_is_here()
    app = options.load_project()
    if not app.conf.broker_url:
        app.conf.broker_url = "sqlite:///var/backbeat-dev.db"
    set_up_logging(loglevel)
    display = Display()
    chosen = chosen_files(files)
    running = open_beat(app, BeatOptions(files=chosen, store=options.store, lease_ttl_seconds=10.0), display)
    told = AfarOptions(tells_tasks=True)
    chosen_worker = WorkerOptions(concurrency=concurrency, loglevel=loglevel, afar=told)
    tasks = open_worker(app, options.app or "", chosen_worker, display)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: tasks.stop())
    reload_on_hangup(running)
    signals.beat_init.send(running.beat)
    lines = {
        "broker": without_password(app.conf.broker_url),
        "schedules": ", ".join(map(str, chosen)),
        "stop": "Ctrl-C",
    }
    click.echo(banner("backbeat dev", lines))
    url = store_url(app, options.store)
    try:
        running.courier.start()
        with recording(app, url, wanted=not url.startswith("memory:")):
            run_both(running.beat, tasks, seconds)
    finally:
        running.close()
        app.close()
    click.echo(f"summary: {display.summary()}")


def _app_that_is_here() -> str | None:
    return "tasks" if Path("tasks.py").exists() else None
