"""Flags of Celery's worker that ours has not: those without harm are passed over with a word, others are refused with what to do instead.

They are hidden from --help. So the command line of a unit or a container file either works as it stands or says in one sentence why not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

F = Callable[..., Any]

PASSED_OVER = {
    "--without-gossip": "workers do not talk to each other here",
    "--without-mingle": "what is revoked is in the store, so workers need not ask each other",
    "--disable-prefetch": "a worker takes no more than it can start, and what should start within 10 ms",
}
"""Flags without a value."""
PASSED_OVER_VALUES = {
    "-O": "tasks are given to processes that are free, always",
    "--optimization": "tasks are given to processes that are free, always",
    "-S": "what is revoked is in the store, and no file is needed",
    "--statedb": "what is revoked is in the store, and no file is needed",
}
REFUSED = {
    "-D": "a worker stays in the foreground: let systemd run it (backbeat systemd install), or your container",
    "--detach": "a worker stays in the foreground: let systemd run it (backbeat systemd install), or your container",
}
REFUSED_VALUES = {
    "--pidfile": "systemd and containers know the process: leave it out",
    "--uid": "start it as the user that it shall run as: User= of a systemd unit (backbeat systemd install)",
    "--gid": "start it with the group that it shall have: Group= of a systemd unit (backbeat systemd install)",
    "--umask": "set it where the worker is started: UMask= of a systemd unit",
    "--executable": "start it with the interpreter that it shall run in",
    "-f": "the log goes to standard error: let systemd or the shell (2>>file) keep it, or set up logging in the project",
    "--logfile": "the log goes to standard error: let systemd or the shell (2>>file) keep it, or set up logging in the project",
    "--scheduler": "a beat reads schedules.yaml, the app and its store: backbeat import writes that from django-celery-beat, RedBeat and others",
}


def celery_flags(command: F) -> F:
    """Let a command know Celery's flags."""
    for names, is_flag, act in (
        (PASSED_OVER, True, _pass_over),
        (PASSED_OVER_VALUES, False, _pass_over),
        (REFUSED, True, _refuse),
        (REFUSED_VALUES, False, _refuse),
    ):
        for name, why in names.items():
            plain = f"celery_{name.strip('-').replace('-', '_')}_{len(name) - len(name.lstrip('-'))}"
            option = click.option(
                name, plain, is_flag=is_flag, hidden=True, expose_value=False, callback=act(name, why)
            )
            command = option(command)
    return command


def _pass_over(name: str, why: str) -> Callable[..., None]:
    def tell(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(f"{name} is passed over: {why}", err=True)

    return tell


def _refuse(name: str, why: str) -> Callable[..., None]:
    def refuse(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value and not ctx.resilient_parsing:
            raise click.UsageError(f"{name} is a flag of Celery's that is not here: {why}", ctx)

    return refuse
