"""`backbeat check`: are the schedules files right?"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import EXIT_FAILED, EXIT_USAGE, Options
from .files import chosen_files

if TYPE_CHECKING:
    from ...canvas.app import App
    from ..entry import Entry
    from ..files import Loaded, Problem
    from ..schedule import Schedule


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-s", "--schedule", "more", multiple=True, type=click.Path(path_type=Path), help="The same as FILES."
)
@click.option(
    "--tasks", is_flag=True, help="Import the app (-A), too: are there such tasks, do the arguments fit?"
)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How problems are printed; github: annotations of a workflow.",
)
@click.pass_obj
def check(
    options: Options, files: tuple[Path, ...], more: tuple[Path, ...], tasks: bool, strict: bool, form: str
) -> None:
    """Check schedules files. Exit code 2 for errors, 1 for warnings with --strict."""
    from ..files import Severity, load_all
    from ..files.gap import gap_warnings
    from ..files.spent import spent_warnings

    paths = chosen_files((*files, *more)) or [Path("schedules.yaml")]
    loaded = load_all(paths, os.environ)
    now_us = time.time_ns() // 1_000
    loaded = loaded.with_problems(gap_warnings(loaded.definitions, now_us))
    loaded = loaded.with_problems(spent_warnings(loaded.definitions, now_us))
    if tasks:
        loaded = loaded.with_problems(_task_problems(options, loaded, paths[0]))
    dissents = _second_opinions(loaded.entries)
    errors = sum(problem.severity is Severity.ERROR for problem in loaded.problems)
    if form == "json" or (options.as_json and form == "text"):
        options.as_json = True
        found = [problem.to_json() for problem in loaded.problems]
        options.show(
            {
                "schedules": len(loaded.entries),
                "workflows": len(loaded.workflows),
                "problems": found,
                "second_opinions": dissents,
            },
            "",
        )
    else:
        _print(loaded, errors, dissents, is_github=form == "github")
    if errors:
        sys.exit(EXIT_USAGE)
    if strict and loaded.problems:
        sys.exit(EXIT_FAILED)


def _print(loaded: Loaded, errors: int, dissents: list[str], *, is_github: bool) -> None:
    """Problems: to standard error for people, to standard output for GitHub, which reads nothing else."""
    for problem in loaded.problems:
        click.echo(problem.to_github() if is_github else problem.render(), err=not is_github)
    for dissent in dissents:
        click.echo(f"note: {dissent}", err=True)
    warnings = _counted(len(loaded.problems) - errors, "warning")
    verdict = f"{_counted(errors, 'error')}, {warnings}" if loaded.problems else "no problems"
    named = f", {_counted(len(loaded.workflows), 'workflow')}" if loaded.workflows else ""
    click.echo(f"{_counted(len(loaded.entries), 'schedule')}{named}, {verdict}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _task_problems(options: Options, loaded: Loaded, path: Path) -> list[Problem]:
    """What the app says. Raises ImproperlyConfigured if none is named; an app that cannot be imported is a warning."""
    from ...canvas.errors import ImproperlyConfigured
    from ..files import Problem
    from ..files.fit import fit

    if not options.app:
        raise ImproperlyConfigured("--tasks needs the app: write backbeat -A module[:app] check --tasks")
    try:
        app = options.load_app()
        app.finalize()
    except ImproperlyConfigured as error:
        message = f"the app {options.app} cannot be imported, so names of tasks are not checked: {error}"
        problem = Problem.about(
            str(path), "W170", message, help="run the check where the app can be imported"
        )
        return [problem]
    return fit(
        loaded,
        app.tasks,
        has_results=_has_results(app),
        ignores_results=bool(app.conf.task_ignore_result),
    )


def _has_results(app: App) -> bool:
    from ...canvas.errors import ImproperlyConfigured
    from ...canvas.places import store_url

    try:
        return store_url(app.conf) is not None
    except ImproperlyConfigured:  # no broker is named either: a check needs none
        return bool(app.conf.result_backend)


def _second_opinions(entries: tuple[Entry, ...]) -> list[str]:
    """Where croniter expects other times than we do."""
    from ..second_opinion import dissent

    now = datetime.now(UTC)
    told: dict[Schedule, str | None] = {}  # entries share times, and a second opinion takes croniter long
    for entry in entries:
        if entry.when not in told:
            told[entry.when] = dissent(entry, now)
    return [f"{entry.name}: {text}" for entry in entries if (text := told[entry.when]) is not None]
