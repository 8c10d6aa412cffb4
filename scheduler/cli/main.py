"""Main: the group of all commands. A command's module is imported when it is named, or when all are listed by --help.

Imports of what a command needs stand inside it, so that `--help` and completion stay quick. A new command is a module beside this one
and a line in COMMANDS.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import click

from ...canvas.cli import EXIT_UNAVAILABLE, EXIT_USAGE, Cli, Options
from ...canvas.secret_file import from_file
from ..errors import BackbeatScheduleError, StoreDown

COMMANDS = {
    "audit": "backbeat.scheduler.cli.audit:audit",
    "beat": "backbeat.scheduler.cli.beat:beat",
    "call": "backbeat.canvas.cli:call",
    "check": "backbeat.scheduler.cli.check:check",
    "canvas": "backbeat.canvas.cli_canvas:canvas",
    "completion": "backbeat.scheduler.cli.completion:completion",
    "control": "backbeat.canvas.cli_remote:control",
    "dead": "backbeat.canvas.cli_dead:dead",
    "db": "backbeat.scheduler.cli.db:db",
    "dev": "backbeat.scheduler.cli.dev:dev",
    "doctor": "backbeat.scheduler.cli.doctor:doctor",
    "events": "backbeat.canvas.cli_events:events",
    "health": "backbeat.scheduler.cli.health:health",
    "init": "backbeat.scheduler.cli.init:init",
    "inspect": "backbeat.canvas.cli_remote:inspect",
    "import": "backbeat.scheduler.cli.importing:importing",
    "explain": "backbeat.scheduler.cli.explain:explain",
    "simulate": "backbeat.scheduler.cli.simulate:simulate",
    "next": "backbeat.scheduler.cli.upcoming:upcoming",
    "list": "backbeat.canvas.cli_queues:listing",
    "purge": "backbeat.canvas.cli_queues:purge",
    "plan": "backbeat.scheduler.cli.schedules.diff:diff_",
    "report": "backbeat.canvas.cli_report:report",
    "result": "backbeat.canvas.cli:result",
    "runs": "backbeat.scheduler.cli.runs.group:runs",
    "schedules": "backbeat.scheduler.cli.schedules.group:schedules",
    "schema": "backbeat.scheduler.cli.schema:schema",
    "shell": "backbeat.canvas.cli_report:shell",
    "status": "backbeat.scheduler.cli.status:status",
    "systemd": "backbeat.scheduler.cli.units:systemd",
    "web": "backbeat.scheduler.cli.web:web",
    "webhook": "backbeat.scheduler.cli.webhook:webhook",
    "worker": "backbeat.scheduler.cli.worker:worker",
}
"""Each command's name, and where it is: module:attribute."""


class SchedulerCli(Cli):
    """Commands on demand, and the same exit codes for the scheduler's errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StoreDown as error:
            self._fail(error, EXIT_UNAVAILABLE)
        except BackbeatScheduleError as error:
            self._fail(error, EXIT_USAGE)


def _said(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """A value that is empty is a mistake, such as a variable of the shell that is not set: what the app says is not meant."""
    if value == "":
        raise click.BadParameter("it is empty: write a value, or leave the option out")
    return value


def _version(ctx: click.Context, __: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from ..installed import installed_version  # what tells it takes a tenth of the time of --help

        click.echo(f"backbeat, version {installed_version() or 'from a checkout'}")
        ctx.exit()


@click.group(cls=SchedulerCli, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.option(
    "-A", "--app", envvar="BACKBEAT_APP", callback=_said, help="The app: module or module:attribute."
)
@click.option(
    "-b", "--broker", envvar="BACKBEAT_BROKER_URL", callback=_said, help="Broker URL; default: the app's."
)
@click.option(
    "--result-backend",
    envvar="BACKBEAT_RESULT_BACKEND",
    callback=_said,
    help="Result backend URL; default: the app's.",
)
@click.option(
    "--store",
    envvar="BACKBEAT_STORE",
    callback=_said,
    help="Where beat keeps its ledger: sqlite:///file, postgresql:// or mysql://.",
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
        broker=broker or from_file("BROKER_URL", os.environ),
        result_backend=result_backend or from_file("RESULT_BACKEND", os.environ),
        store=store or from_file("STORE", os.environ),
        as_json=as_json,
        quiet=quiet or as_json,
    )
