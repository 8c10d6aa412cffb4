"""The command line: `backbeat [options] COMMAND`. The commands of the scheduler, put together with those of canvas (canvas/cli.py).

Imports of what a command needs stand inside it, so that `--help` and completion stay quick.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..canvas.cli import (
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    Cli,
    Options,
    banner,
    call,
    loglevel_option,
    patiently,
    result,
    set_up_logging,
    without_password,
    worker,
)
from .errors import BackbeatScheduleError, ScheduleError

if TYPE_CHECKING:
    from .entry import Entry
    from .systemd import SystemdListener
    from .wiring import OpenBeat


class SchedulerCli(Cli):
    """The same exit codes for the scheduler's errors."""

    def invoke(self, ctx: click.Context) -> Any:
        from .store.base import StoreDown

        try:
            return super().invoke(ctx)
        except StoreDown as error:
            self._fail(error, EXIT_UNAVAILABLE)
        except BackbeatScheduleError as error:
            self._fail(error, EXIT_USAGE)


@click.group(cls=SchedulerCli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="backbeat", prog_name="backbeat")
@click.option("-A", "--app", envvar="BACKBEAT_APP", help="The app: module or module:attribute.")
@click.option("-b", "--broker", envvar="BACKBEAT_BROKER_URL", help="Broker URL; default: the app's.")
@click.option(
    "--result-backend", envvar="BACKBEAT_RESULT_BACKEND", help="Result backend URL; default: the app's."
)
@click.option(
    "--store", envvar="BACKBEAT_STORE", help="Where beat keeps its ledger: sqlite:///file or postgresql://."
)
@click.option(
    "--workdir", type=click.Path(exists=True, file_okay=False), help="Change to this directory first."
)
@click.option("-q", "--quiet", is_flag=True, help="No banner.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_context
def main(
    ctx: click.Context,
    app: str | None,
    broker: str | None,
    result_backend: str | None,
    store: str | None,
    workdir: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """backbeat: schedules that never miss and never double, workflows that always settle."""
    if workdir:
        os.chdir(workdir)
    ctx.obj = Options(
        app=app,
        broker=broker,
        result_backend=result_backend,
        store=store,
        as_json=as_json,
        quiet=quiet or as_json,
    )


_FILES = click.option(
    "-s",
    "--schedule",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A schedules file; may be repeated.",
)


@main.command()
@_FILES
@click.option(
    "--lease-ttl",
    default=10.0,
    type=click.FloatRange(0.1),
    show_default=True,
    help="Seconds without a sign of life after which a leader is replaced.",
)
@click.option("--cluster", help="Name under which firings get their ids; default: the app's name.")
@click.option("--once", is_flag=True, help="Send what is due now, and exit.")
@click.option("--dry-run", is_flag=True, help="Check the files and print what comes next; send nothing.")
@loglevel_option("INFO")
@click.pass_context
def beat(
    ctx: click.Context,
    files: tuple[Path, ...],
    lease_ttl: float,
    cluster: str | None,
    once: bool,
    dry_run: bool,
    loglevel: str,
) -> None:
    """Send tasks when they are due. Run as many as you like on one store: one sends, the others stand by.

    SIGTERM: finish, free the lease, exit. SIGHUP: read the files again.
    """
    from ..canvas.errors import Unavailable
    from .store.base import StoreDown
    from .systemd import SystemdListener
    from .wiring import BeatOptions, open_beat, store_url

    options: Options = ctx.obj
    chosen = _chosen(files)
    if dry_run:
        ctx.invoke(next_fires, names=(), files=chosen, count=3, tz=None)
        return
    app = options.load_app()
    set_up_logging(loglevel)
    settings = BeatOptions(files=chosen, store=options.store, cluster=cluster, lease_ttl_seconds=lease_ttl)
    systemd = SystemdListener()

    def open_it() -> OpenBeat:
        return open_beat(app, settings, systemd)

    running = open_it() if once else patiently(open_it, StoreDown, Unavailable)
    if not options.quiet:
        lines = {
            "app": app.name,
            "broker": without_password(app.conf.broker_url),
            "store": without_password(store_url(app, options.store)),
            "schedules": ", ".join(map(str, chosen)) or "those in the store",
        }
        click.echo(banner("backbeat beat", lines))
    try:
        if once:
            _run_once(running)
        else:
            _run_until_stopped(running, systemd)
    finally:
        running.close()


def _run_until_stopped(running: OpenBeat, systemd: SystemdListener) -> None:
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        systemd.stopping()
        running.beat.wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    _reload_on_hangup(running, systemd.reloading)
    running.beat.run(lambda: bool(stopped))


def _reload_on_hangup(running: OpenBeat, reloading: Callable[[], None] = lambda: None) -> None:
    def reload(*_: object) -> None:
        reloading()
        running.source.ask()
        running.beat.wake()

    signal.signal(signal.SIGHUP, reload)


def _run_once(running: OpenBeat) -> None:
    """Steps until nothing is left to do at once."""
    while running.beat.step() == 0:
        pass
    leads, unsent = running.beat.leads, running.beat.unsent
    running.beat.retire()
    if not leads:
        click.echo("backbeat: another beat leads; nothing was sent", err=True)
        sys.exit(75)
    if unsent:
        from ..canvas.errors import Unavailable

        raise Unavailable(
            f"the broker cannot be reached or did not confirm; {unsent} firings wait in the store for the next beat"
        )


@main.command()
@_FILES
@click.option("--for", "duration", help="Stop by itself after this time, e.g. 30s.")
@click.option("-c", "--concurrency", type=click.IntRange(1), help="Tasks side by side.")
@loglevel_option("WARNING")
@click.pass_obj
def dev(
    options: Options, files: tuple[Path, ...], duration: str | None, concurrency: int | None, loglevel: str
) -> None:
    """Beat and one worker together, on a SQLite file: the quickest way to see schedules and workflows run."""
    from ..canvas.worker.wiring import WorkerOptions, open_worker
    from .dev import Display, run_both
    from .duration import parse_duration
    from .wiring import BeatOptions, open_beat

    seconds = None if duration is None else parse_duration(duration).total_seconds()
    app = options.load_app()
    if not app.conf.broker_url:
        app.conf.broker_url = "sqlite:///var/backbeat-dev.db"
    set_up_logging(loglevel)
    display = Display()
    chosen = _chosen(files)
    running = open_beat(app, BeatOptions(files=chosen, store=options.store, lease_ttl_seconds=10.0), display)
    tasks = open_worker(app, options.app or "", WorkerOptions(concurrency=concurrency), display)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: tasks.stop())
    _reload_on_hangup(running)
    lines = {
        "broker": without_password(app.conf.broker_url),
        "schedules": ", ".join(map(str, chosen)),
        "stop": "Ctrl-C",
    }
    click.echo(banner("backbeat dev", lines))
    try:
        run_both(running.beat, tasks, seconds)
    finally:
        running.close()
        app.close()
    click.echo(f"summary: {display.summary()}")


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@click.pass_obj
def check(options: Options, files: tuple[Path, ...], strict: bool) -> None:
    """Check schedules files. Exit code 2 for errors, 1 for warnings with --strict."""
    from .files import Problem, Severity, load
    from .source import repeated

    problems: list[Problem] = []
    loaded_entries: list[Entry] = []
    for path in _chosen(files) or [Path("schedules.yaml")]:
        loaded = load(path, os.environ)
        problems += loaded.problems
        loaded_entries += loaded.entries
    dissents = _second_opinions(loaded_entries)
    twice = repeated(loaded_entries)
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if options.as_json:
        found = [problem.to_json() for problem in problems]
        options.show(
            {
                "schedules": len(loaded_entries),
                "problems": found,
                "repeated": twice,
                "second_opinions": dissents,
            },
            "",
        )
    else:
        for problem in problems:
            click.echo(problem.render(), err=True)
        for line in twice:
            click.echo(line, err=True)
        for dissent in dissents:
            click.echo(f"note: {dissent}", err=True)
        warnings = _counted(len(problems) - len(errors), "warning")
        found_errors = _counted(len(errors) + len(twice), "error")
        verdict = f"{found_errors}, {warnings}" if problems or twice else "no problems"
        click.echo(f"{_counted(len(loaded_entries), 'schedule')}, {verdict}")
    if errors or twice:
        sys.exit(EXIT_USAGE)
    if strict and problems:
        sys.exit(EXIT_FAILED)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _second_opinions(entries: list[Entry]) -> list[str]:
    """Where croniter expects other times than we do."""
    from .second_opinion import dissent

    now = datetime.now(UTC)
    found = [(entry.name, dissent(entry, now)) for entry in entries]
    return [f"{name}: {text}" for name, text in found if text is not None]


@main.command("next")
@click.argument("names", nargs=-1)
@_FILES
@click.option("-n", "--count", default=5, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--tz", help="Show times in this zone; default: UTC.")
@click.pass_obj
def next_fires(
    options: Options, names: tuple[str, ...], files: tuple[Path, ...], count: int, tz: str | None
) -> None:
    """Print the next fire times of all schedules, or of those that are named."""
    from .files import load
    from .zone import zone_named

    zone = zone_named(tz) if tz else UTC
    entries: dict[str, Entry] = {}
    for path in _chosen(files):
        loaded = load(path, os.environ)
        if not loaded.is_applicable:
            raise ScheduleError("\n".join(problem.render() for problem in loaded.problems))
        entries |= {entry.name: entry for entry in loaded.entries}
    for name in names:
        if name not in entries:
            raise ScheduleError(
                f"there is no schedule {name!r}; there are: {', '.join(sorted(entries)) or 'none'}"
            )
    rows = []
    for entry in entries.values():
        if not entry.enabled or (names and entry.name not in names):
            continue
        fire_us = int(datetime.now(UTC).timestamp() * 1_000_000)
        for _ in range(count):
            following = entry.next_after(fire_us)
            if following is None:
                break
            fire_us = following
            rows.append((fire_us, entry.name))
    shown = [(datetime.fromtimestamp(us / 1_000_000, zone).isoformat(), name) for us, name in sorted(rows)]
    options.show(
        [{"at": at, "schedule": name} for at, name in shown], "\n".join(f"{at}  {name}" for at, name in shown)
    )


@main.command()
@click.pass_obj
def status(options: Options) -> None:
    """Show who leads, how many schedules the store holds, and whether broker and store answer."""
    from ..canvas.holder import Holder
    from ..canvas.wiring import broker_url, open_broker, open_client
    from .store.base import StoreRefused
    from .store.wiring import open_store
    from .wiring import store_url

    app = options.load_app()
    with closing(open_broker(app.conf)) as broker:
        broker.wait(0)
    with closing(open_client(app.conf)) as client:
        client.load(chains=[""])
    url = store_url(app, options.store)
    file = url.partition("sqlite:///")[2]
    if file and not Path(file).exists():
        raise StoreRefused(
            f"there is no store at {file} yet: no beat has run with it. Name it with --store, or start a beat."
        )
    store = open_store(url, cluster=app.cluster)
    try:
        lease, loaded = store.read_lease(), store.load(None)
    finally:
        store.close()
    entries = () if loaded is None else loaded.entries
    holder = Holder.parse(lease.holder)
    enabled = sum(known.entry.enabled for known in entries)
    data = {
        "broker": without_password(broker_url(app.conf)),
        "store": without_password(url),
        "leader": f"{holder.host}, pid {holder.pid}" if holder else None,
        "epoch": lease.epoch,
        "schedules": len(entries),
        "enabled": enabled,
    }
    options.show(data, banner("backbeat status", {name: str(value) for name, value in data.items()}))


def _chosen(files: tuple[Path, ...]) -> list[Path]:
    """The files that were named; else schedules.yaml, if it is here."""
    default = Path("schedules.yaml")
    return list(files) or ([default] if default.exists() else [])


for _command in (worker, call, result):
    main.add_command(_command)

if __name__ == "__main__":
    main()
