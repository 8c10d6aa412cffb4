"""`backbeat schema`: the JSON Schema of schedules files, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file instead."
)
def schema(output: Path | None) -> None:
    """Print the JSON Schema (draft-07) of schedules files.

    An editor with a YAML language server completes and checks keys, if the file starts with
    "# yaml-language-server: $schema=./schedules.schema.json".
    """
    from ..errors import ScheduleError
    from ..files.schema import schedules_schema

    text = json.dumps(schedules_schema(), indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise ScheduleError(f"{output} cannot be written: {error.strerror or error}") from error
