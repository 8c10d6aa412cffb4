"""Files: the option that names schedules files, and the default when it is not given."""

from __future__ import annotations

from pathlib import Path

import click

files_option = click.option(
    "-s",
    "--schedule",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A schedules file; may be repeated.",
)


def chosen_files(files: tuple[Path, ...]) -> list[Path]:
    """The files that were named; else schedules.yaml, if it is here."""
    default = Path("schedules.yaml")
    return list(files) or ([default] if default.exists() else [])
