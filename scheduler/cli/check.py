"""`backbeat check`: are the schedules files right?"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import EXIT_FAILED, EXIT_USAGE, Options
from .files import chosen_files

if TYPE_CHECKING:
    from ..entry import Entry


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@click.pass_obj
def check(options: Options, files: tuple[Path, ...], strict: bool) -> None:
    """Check schedules files. Exit code 2 for errors, 1 for warnings with --strict."""
    from ..files import Problem, Severity, load
    from ..source import repeated

    problems: list[Problem] = []
    loaded_entries: list[Entry] = []
    for path in chosen_files(files) or [Path("schedules.yaml")]:
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
    from ..second_opinion import dissent

    now = datetime.now(UTC)
    found = [(entry.name, dissent(entry, now)) for entry in entries]
    return [f"{name}: {text}" for name, text in found if text is not None]
