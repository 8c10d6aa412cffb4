"""The group `backbeat schedules`, and its commands; each module of this package has some of them."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "add": "editing",
    "backfill": "running",
    "cancel-backfill": "running",
    "change": "editing",
    "delete": "orders",
    "diff": "diff",
    "export": "listing",
    "history": "history",
    "list": "listing",
    "overrides": "listing",
    "pause": "orders",
    "resume": "orders",
    "run-now": "running",
    "show": "listing",
    "skip-next": "orders",
}
"""Each command's name, and the module that has it, under that name with underscores and a closing one."""


class SchedulesGroup(click.Group):
    """Commands on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".{COMMANDS[cmd_name]}", __package__)
        command = getattr(module, cmd_name.replace("-", "_") + "_")
        assert isinstance(command, click.Command)
        return command


@click.group(cls=SchedulesGroup)
def schedules() -> None:
    """Look at schedules and change them, in the store, with or without a beat that runs.

    A running beat sees an edit within a second. No edit fires anything by itself.
    """
