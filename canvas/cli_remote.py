"""`backbeat inspect` and `backbeat control`: ask running workers, and give them orders, from the command line, with Celery's words and flags.

They never hang: a broker that cannot be reached is one sentence and 69 within seconds; so is that nobody answered, with who was asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from .cli import EXIT_FAILED, EXIT_UNAVAILABLE, LIMIT, Options, names

F = Callable[..., Any]


def asking(command: F) -> F:
    """The options of whoever asks workers."""
    for option in (
        click.option("-j", "--json", "also_json", is_flag=True, help="Machine-readable output."),
        click.option(
            "-d", "--destination", callback=names, help="Names of workers, with commas between them."
        ),
        click.option(
            "-t", "--timeout", type=LIMIT, help="Seconds to wait for answers.  [default: 1, or what it takes]"
        ),
    ):
        command = option(command)
    return command


@click.command()
@asking
@click.argument("question", required=False)
@click.argument("arguments", nargs=-1)
@click.option("--list", "is_list", is_flag=True, help="List the questions.")
@click.pass_obj
def inspect(
    options: Options,
    question: str | None,
    arguments: Sequence[str],
    timeout: float | None,
    destination: list[str],
    also_json: bool,
    is_list: bool,
) -> None:
    """Ask running workers: backbeat inspect active, stats, ping, ...; --list names all."""
    _run("inspect", options, question, arguments, timeout, destination, also_json, is_list)


@click.command()
@asking
@click.argument("order", required=False)
@click.argument("arguments", nargs=-1)
@click.option("--list", "is_list", is_flag=True, help="List the orders.")
@click.pass_obj
def control(
    options: Options,
    order: str | None,
    arguments: Sequence[str],
    timeout: float | None,
    destination: list[str],
    also_json: bool,
    is_list: bool,
) -> None:
    """Give running workers an order: backbeat control revoke ID, pool_grow 2, shutdown, ...; --list names all."""
    _run("control", options, order, arguments, timeout, destination, also_json, is_list)


def _run(
    kind: str,
    options: Options,
    name: str | None,
    arguments: Sequence[str],
    timeout: float | None,
    destination: list[str],
    also_json: bool,
    is_list: bool,
) -> None:
    from .control import request_to
    from .worker import control_commands, inspect_commands  # noqa: F401 - they add themselves to the panel
    from .worker.panel import panel

    if options.app:
        app = options.load_app()  # first: the project may add commands
    if is_list or name is None:
        _list(kind, options, panel.of_kind(kind))
        return
    command = panel.get(name)
    if command is None or command.kind != kind:
        raise click.UsageError(f"there is no {kind} command {name!r}: backbeat {kind} --list names all")
    known = _arguments(command, arguments)
    if not options.app:
        app = options.load_app()
    options.as_json = options.as_json or also_json
    request = request_to(command.name, known, destination or None, wants_reply=True)
    seconds = timeout or max(command.seconds, 1.0)
    found: dict[str, Any] = {}
    for node, payload in app.control.ask(request, seconds):
        found[node] = payload
        if not options.as_json:
            options.show(None, f"->  {node}: {'ERROR' if _is_error(payload) else 'OK'}\n{_shown(payload)}")
    if not found and command.name != "shutdown":
        nobody(options, app, destination, seconds)
    if options.as_json:
        options.show(found, "")
    elif found:
        options.show(None, f"\n{counted(len(found))}.")
    if any(map(_is_error, found.values())):
        sys.exit(EXIT_FAILED)


def counted(number: int) -> str:
    """So many workers, as Celery says it."""
    return f"{number} node{'' if number == 1 else 's'} online"


def nobody(options: Options, app: Any, destination: Sequence[str], seconds: float) -> None:
    """Say that nobody answered, who was asked, and why that may be; and end."""
    from .places import broker_url
    from .url_text import without_password

    asked = f"workers {', '.join(destination)}" if destination else "all workers"
    click.echo("Error: No nodes replied within time constraint", err=True)
    if not options.quiet:
        click.echo(
            f"{asked} of broker {without_password(broker_url(app.conf))} were asked, for {seconds:g} s. None runs there, or they use "
            "another broker, database number or control_exchange, or run with worker_enable_remote_control = False, or are busy: "
            "ask again with a longer -t",
            err=True,
        )
    sys.exit(EXIT_UNAVAILABLE)


def _list(kind: str, options: Options, commands: Sequence[Any]) -> None:
    lines = [f"  {' '.join(filter(None, [each.name, each.signature])):<60} {each.help}" for each in commands]
    data = [{"name": each.name, "arguments": each.signature, "help": each.help} for each in commands]
    options.show(data, "\n".join([f"backbeat {kind}:", *lines]))


def _arguments(command: Any, given: Sequence[str]) -> dict[str, Any]:
    """What stands on the command line, by the names of the command's arguments."""
    fixed = [each for each in command.args if each[0] != command.variadic]
    if len(given) > len(fixed) and not command.variadic:
        raise click.UsageError(
            f"{command.name} takes {command.signature or 'no arguments'}, found {' '.join(given)}"
        )
    known: dict[str, Any] = {}
    for (name, read), text in zip(fixed, given, strict=False):
        try:
            known[name] = text.lower() in ("1", "true", "yes", "on") if read is bool else read(text)
        except ValueError:
            raise click.UsageError(f"{command.name}: {name} is no {read.__name__}: {text!r}") from None
    rest = list(given[len(fixed) :])
    if command.variadic and rest:
        known[command.variadic] = rest
    return known


def _is_error(payload: Any) -> bool:
    return isinstance(payload, dict) and payload.keys() == {"error"}


def _shown(payload: Any) -> str:
    match payload:
        case {"ok": text} if len(payload) == 1:
            text = str(text)
        case {"error": text} if len(payload) == 1:
            text = str(text)
        case list() | dict() if not payload:
            text = "- empty -"
        case list() if all(isinstance(each, str) for each in payload):
            text = "\n".join(f"* {each}" for each in payload)
        case list():
            text = "\n".join(f"* {json.dumps(each, default=str)}" for each in payload)
        case dict():
            text = json.dumps(payload, indent=4, default=str)
        case _:
            text = str(payload)
    return "\n".join(f"    {line}" for line in text.splitlines())
