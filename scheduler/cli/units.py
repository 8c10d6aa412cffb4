"""`backbeat systemd`: the units, on the terminal or in their place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

from ...canvas.cli import EXIT_FAILED, Options

if TYPE_CHECKING:
    from ..unit import Unit

P = ParamSpec("P")
PREFIX = Path("/etc/systemd/system")
SHORT = {"beat": "backbeat-beat.service", "worker": "backbeat-worker@.service"}


@click.group("systemd")
def systemd() -> None:
    """Print or install the systemd units."""


def _fit_options(command: Callable[P, None]) -> Callable[P, None]:
    """The options that say what a unit is fitted to."""
    for option in (
        click.option(
            "--user", help="An account that exists; default: one that systemd makes up (DynamicUser)."
        ),
        click.option(
            "--directory", metavar="DIR", help="Where your tasks are.  [default: /opt/backbeat/app]"
        ),
        click.option("--program", metavar="PATH", help="The backbeat to start; default: this one."),
    ):
        command = option(command)
    return command


@systemd.command("print")
@click.argument("name", required=False, type=click.Choice(sorted(SHORT)))
@_fit_options
def print_units(name: str | None, program: str | None, directory: str | None, user: str | None) -> None:
    """Print a unit, or all of them."""
    chosen = [unit for unit in _fitted(program, directory, user) if name is None or unit.name == SHORT[name]]
    for unit in chosen:
        if name is None:
            click.echo(f"# --- {unit.name}")
        click.echo(unit.text, nl=False)


@systemd.command()
@click.option(
    "--prefix",
    type=click.Path(file_okay=False, path_type=Path),
    default=PREFIX,
    show_default=True,
    help="Where the units go.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be written; write nothing.")
@click.option("--force", is_flag=True, help="Overwrite units that are there and differ.")
@_fit_options
@click.pass_obj
def install(
    options: Options,
    prefix: Path,
    dry_run: bool,
    force: bool,
    program: str | None,
    directory: str | None,
    user: str | None,
) -> None:
    """Write the units, and say which commands come next. Starts nothing, and overwrites nothing without --force."""
    chosen = _fitted(program, directory, user)
    kept = [unit.name for unit in chosen if _differs(prefix / unit.name, unit)]
    if kept and not force:
        click.echo(
            f"backbeat: error: {', '.join(kept)} in {prefix} differ from what would be written; nothing was. "
            "Changes of your own belong into `systemctl edit`; --force overwrites",
            err=True,
        )
        sys.exit(EXIT_FAILED)
    written = [unit for unit in chosen if not _is_there(prefix / unit.name, unit)]
    if not dry_run:
        prefix.mkdir(parents=True, exist_ok=True)
        for unit in written:
            path = prefix / unit.name
            path.write_text(unit.text, encoding="utf-8")
            path.chmod(0o644)
    paths = [str(prefix / unit.name) for unit in written]
    verb = "would write" if dry_run else "wrote"
    lines = [f"{verb} {path}" for path in paths] or ["all units are there already"]
    lines += ["", "next:", *(f"  {command}" for command in _next(directory))]
    options.show({"written": paths, "dry_run": dry_run, "next": _next(directory)}, "\n".join(lines))


def _next(directory: str | None) -> list[str]:
    from ..unit import DIRECTORY

    return [
        f"mkdir -p {directory or DIRECTORY} /etc/backbeat      # your tasks.py goes to the first, schedules.yaml to the second",
        "systemctl daemon-reload",
        "systemctl enable --now backbeat-beat.service backbeat-worker@celery.service",
        "systemctl status 'backbeat-*'",
    ]


def _fitted(program: str | None, directory: str | None, user: str | None) -> list[Unit]:
    from ..unit import DIRECTORY, units

    path = program or _this_program()
    if path.startswith(("/home/", "/root/", "/tmp/", "/var/tmp/")):  # noqa: S108 - that is what it warns of
        click.echo(
            f"note: {path} is hidden from the units by ProtectHome and PrivateTmp; install backbeat in /opt",
            err=True,
        )
    return [unit.fitted(program=path, directory=directory or DIRECTORY, user=user) for unit in units()]


def _this_program() -> str:
    """The backbeat that runs, or the one of the documents where it runs as a module."""
    from ..unit import PROGRAM

    found = Path(sys.argv[0])
    if found.name == "backbeat":
        import shutil

        return str(Path(shutil.which(found) or found).absolute())
    return PROGRAM


def _is_there(path: Path, unit: Unit) -> bool:
    return path.exists() and path.read_text(encoding="utf-8", errors="replace") == unit.text


def _differs(path: Path, unit: Unit) -> bool:
    return path.exists() and not _is_there(path, unit)
