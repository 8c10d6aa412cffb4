"""`backbeat init`: a small project that runs as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ...canvas.cli import Options


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.pass_obj
def init(options: Options, directory: Path) -> None:
    """Write a small project that runs into DIR, or here: schedules.yaml, tasks.py, systemd units, compose.yaml and Dockerfile.

    Asks nothing and overwrites nothing: a file that is there stays as it is.
    """
    from ..project import write_project

    done = write_project(directory)
    here = directory.resolve() == Path.cwd()
    coming = [*([] if here else [f"cd {shlex.quote(str(directory))}"]), "backbeat dev"]
    lines = [f"wrote {directory / file}" for file in done.written]
    lines += [f"kept  {directory / file}, which is there already" for file in done.kept]
    lines += ["", "next:", *(f"  {command}" for command in coming)]
    data = {"written": list(done.written), "kept": list(done.kept), "next": coming}
    options.show({"directory": str(directory), **data}, "\n".join(lines))
