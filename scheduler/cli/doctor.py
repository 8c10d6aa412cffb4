"""`backbeat doctor`: is everything there that a beat needs? One line for each check, with what to do about it."""

from __future__ import annotations

import os
import platform
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import EXIT_FAILED, Options
from ...canvas.url_text import without_password
from .files import chosen_files
from .finding import Finding, Verdict, fail, ok, warn

if TYPE_CHECKING:
    from ...canvas.app import App


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.pass_obj
def doctor(options: Options, files: tuple[Path, ...]) -> None:
    """Check system, schedules, broker, results and store; exit code 1 if something fails. Changes nothing."""
    findings: list[Finding] = []
    for finding in _findings(options, files):
        findings.append(finding)
        if not options.as_json:
            click.echo(f"{finding.verdict.value:4}  {finding.check}: {finding.text}")
            sys.stdout.flush()
    failed = any(finding.verdict is Verdict.FAIL for finding in findings)
    if options.as_json:
        lines = [{"check": f.check, "verdict": f.verdict.value, "text": f.text} for f in findings]
        options.show({"healthy": not failed, "checks": lines}, "")
    if failed:
        sys.exit(EXIT_FAILED)


def _findings(options: Options, files: tuple[Path, ...]) -> Iterator[Finding]:
    from .doctor_store import store_findings

    yield from _system()
    yield from _schedules(files)
    app, problem = _app(options)
    url = options.store or os.environ.get("BACKBEAT_STORE")
    if app is not None:
        from ..wiring import store_url

        yield ok("app", f"{app.name}, {len(app.tasks)} tasks")
        yield from _servers(app)
        url = store_url(app, options.store)
    elif problem:
        yield fail("app", problem)
    else:
        yield warn("app", "none was named, so broker and results were not looked at: add -A module:app")
    if url:
        yield from store_findings(url)
    elif not problem:
        yield warn("store", "none was named: add --store URL or -A module:app")


def _app(options: Options) -> tuple[App | None, str]:
    """The app, or why it cannot be had; neither where none was named."""
    if not (options.app or options.broker):
        return None, ""
    try:
        return options.load_app(), ""
    except Exception as error:  # noqa: BLE001 - a project's module may raise anything, and that is the finding
        return None, f"{options.app} cannot be loaded: {error}"


def _system() -> Iterator[Finding]:
    from ..installed import installed_version
    from ..zone import zone_data_version

    yield ok("version", f"backbeat {installed_version() or 'from a checkout'}")
    yield ok("python", f"{platform.python_version()} on {platform.system()} {platform.release()}")
    if not Path("/proc/self/stat").exists():
        yield warn(
            "system", "no /proc here: a leader that was killed on this host is noticed by its lease alone"
        )
    yield ok("zones", f"tzdata {zone_data_version()}")


def _schedules(files: tuple[Path, ...]) -> Iterator[Finding]:
    from ..files import Severity, load

    for path in chosen_files(files):
        if (problem := _writable_by_others(path)) is not None:
            yield fail("schedules", problem)
        loaded = load(path, os.environ)
        errors = [problem for problem in loaded.problems if problem.severity is Severity.ERROR]
        if errors:
            yield fail("schedules", f"{path}: {len(errors)} errors: run `backbeat check {path}`")
        elif loaded.problems:
            yield warn("schedules", f"{path}: {len(loaded.problems)} warnings: run `backbeat check {path}`")
        else:
            yield ok("schedules", f"{path}: {len(loaded.entries)}")


def _writable_by_others(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return None  # loading says so
    if mode & stat.S_IWOTH:
        return f"{path} can be written by everybody, who can so have any task sent: chmod o-w {path}"
    return None


def _servers(app: App) -> Iterator[Finding]:
    from contextlib import closing

    from ...canvas.places import broker_url
    from ...canvas.wiring import open_broker, open_client

    def ask_broker() -> None:
        with closing(open_broker(app.conf)) as broker:
            broker.wait(0)

    def ask_results() -> None:
        with closing(open_client(app.conf)) as client:
            client.load(chains=[""])

    yield _asked("broker", without_password(broker_url(app.conf)), ask_broker)
    if app.conf.result_backend:
        yield _asked("results", without_password(app.conf.result_backend), ask_results)
    else:
        yield ok("results", "none: what tasks return is not kept")


def _asked(check: str, address: str, ask: Callable[[], None]) -> Finding:
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - any driver's fault is the finding
        return fail(check, f"{address} does not answer: {error or type(error).__name__}")
    return ok(check, f"{address} answers")
