"""The command line's half that canvas owns: call and result; and what all commands share. scheduler/cli puts it together.

The other commands of canvas are cli_worker.py and cli_dead.py.

Exit codes: 0 done; 1 what was asked for failed; 2 usage or configuration; 69 broker or store cannot be reached; 130 interrupted.
Imports of what a command needs stand inside it, so that `--help` and completion stay quick.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import log_setup
from .errors import BackbeatError, ImproperlyConfigured, TaskError, Unavailable
from .message import LONGEST_SECONDS
from .patience import Patience

if TYPE_CHECKING:
    from .application import App

LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
T = TypeVar("T")
EXIT_FAILED, EXIT_USAGE, EXIT_UNAVAILABLE = 1, 2, 69
LOG_FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"


class Finite(click.FloatRange):
    """A number in a range, which "nan" never is, though no comparison tells so; nor is what leaves the calendar, taken as seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not number <= LONGEST_SECONDS:
            self.fail(
                f"{value} is not a number up to {LONGEST_SECONDS:,.0f}, a century of seconds", param, ctx
            )
        return number


SECONDS = Finite(0)
LIMIT = Finite(0, min_open=True)
CONCURRENCY = click.IntRange(1, 10_000)
"""What the largest pool can do; the one that is chosen may bound it further (pools/wiring.py)."""


@dataclass(slots=True)
class Options:
    """The options that stand before the command."""

    app: str | None = None
    broker: str | None = None
    result_backend: str | None = None
    store: str | None = None
    as_json: bool = False
    quiet: bool = False
    beside: Callable[[App, Callable[[], None]], contextlib.AbstractContextManager[object]] | None = None
    """What runs beside a worker, given the app and what stops the worker: the scheduler has something."""

    def load_app(self, default: str | None = None) -> App:
        """The project's app, with the broker and backend of the command line. Raises ImproperlyConfigured if none is named."""
        from .application import App
        from .find_app import find_app

        if self.app or default:
            app = find_app(self.app or default or "")
        elif self.broker:
            app = App("backbeat")
        else:
            raise ImproperlyConfigured(
                "which app? Write backbeat -A module[:app] COMMAND, or -b URL for a broker without one"
            )
        if self.broker:
            app.conf.broker_url = self.broker
        if self.result_backend:
            app.conf.result_backend = self.result_backend
        return app

    def load_project(self) -> App:
        """As `load_app`, for what runs tasks: children import the app by its name. Raises ImproperlyConfigured without -A."""
        if not self.app:
            raise ImproperlyConfigured(
                "which app? Write backbeat -A module[:app] COMMAND: it has the tasks to run"
            )
        return self.load_app()

    def show(self, data: Any, text: str) -> None:
        """Print `data` as one line of JSON with --json, else `text`."""
        shown = json.dumps(data, default=str) if self.as_json else text
        # a lone surrogate, which JSON can hold and UTF-8 cannot
        click.echo(shown.encode("utf-8", "backslashreplace").decode())

    def bar(self, label: str, length: int) -> Any:
        """A progress bar for what takes long; its block gets what `update(steps)` moves. Only terminals show it, and none with --quiet."""
        hidden = self.quiet or not sys.stderr.isatty()
        return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)


class Cli(click.Group):
    """A group whose errors end in one sentence and in the right exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for each in args:
            if any("\ud800" <= character <= "\udfff" for character in each):  # bytes that are no UTF-8
                raise click.UsageError(f"{each!a} is not UTF-8 text", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Unavailable as error:
            self._fail(error, EXIT_UNAVAILABLE)
        except ImproperlyConfigured as error:
            self._fail(error, EXIT_USAGE)
        except BackbeatError as error:
            self._fail(error, EXIT_FAILED)
        except ModuleNotFoundError as error:
            self._fail(error, EXIT_USAGE)

    @staticmethod
    def _fail(error: Exception, code: int) -> None:
        click.echo(f"backbeat: error: {error}", err=True)
        sys.exit(code)


def loglevel_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option -l."""
    return click.option(
        "-l",
        "--loglevel",
        default=default,
        show_default=True,
        type=click.Choice(LEVELS, case_sensitive=False),
    )


def names(_: click.Context, __: click.Parameter, value: str | None) -> list[str]:
    """Names with commas between them. An empty one is a mistake, such as a variable of the shell that is not set."""
    if value is None:
        return []
    found = [name.strip() for name in value.split(",")]
    if not all(found):
        raise click.BadParameter(f"{value!r} has an empty name in it: write one name, or several as a,b")
    return found


def set_up_logging(level: str) -> None:
    """Celery's line format on standard error, unless the project has set up logging of its own."""
    log_setup.set_up_logging(level, LOG_FORMAT)


def patiently(open_it: Callable[[], T], *absent: type[Exception]) -> T:
    """Open what a daemon stands on; while it is absent say so and try again, as a daemon must not end for that (decisions B15)."""
    patience = Patience()
    while True:
        try:
            return open_it()
        except absent as error:
            pause, is_told = patience.next()
            level = logging.WARNING if is_told else logging.DEBUG
            logging.getLogger("backbeat").log(level, "%s; trying again in %.1f s", error, pause)
            time.sleep(pause)


@click.command()
@click.argument("name")
@click.option("-a", "--args", "args_text", default="[]", help="Positional arguments, a JSON list.")
@click.option("-k", "--kwargs", "kwargs_text", default="{}", help="Keyword arguments, a JSON map.")
@click.option("--countdown", type=SECONDS, help="Seconds from now.")
@click.option("--eta", help="Not before this time (ISO 8601).")
@click.option("--expires", help="Seconds, or a time (ISO 8601), after which it shall not run.")
@click.option("-Q", "--queue", help="The queue to send it to.")
@click.option("--priority", type=click.IntRange(0, 255))
@click.option("--wait", type=SECONDS, default=None, help="Wait so many seconds for the result, and print it.")
@click.pass_obj
def call(
    options: Options,
    name: str,
    args_text: str,
    kwargs_text: str,
    countdown: float | None,
    eta: str | None,
    expires: str | None,
    queue: str | None,
    priority: int | None,
    wait: float | None,
) -> None:
    """Send task NAME, and print its id."""
    app = options.load_app()
    args, kwargs = _parsed(args_text, list, "--args"), _parsed(kwargs_text, dict, "--kwargs")
    for option, text in (("--eta", eta), ("--expires", expires)):
        _check_moment(option, text)
    seconds = float(expires) if expires and expires.replace(".", "", 1).isdigit() else expires
    given = {"countdown": countdown, "eta": eta, "expires": seconds, "queue": queue, "priority": priority}
    handle = app.send_task(
        name, args, kwargs, **{key: value for key, value in given.items() if value is not None}
    )
    options.show({"id": handle.id, "task": name}, handle.id)
    if wait is not None:
        _print_result(options, handle, wait)


@click.command()
@click.argument("task_id")
@click.option("-t", "--traceback", is_flag=True, help="Print the traceback of a failed task.")
@click.option("--wait", type=SECONDS, default=0.0, help="Wait so many seconds until it is ready.")
@click.pass_obj
def result(options: Options, task_id: str, traceback: bool, wait: float) -> None:
    """Print the result of task TASK_ID."""
    app = options.load_app()
    handle = app.AsyncResult(task_id)
    if traceback and wait > 0:
        try:
            handle.get(timeout=wait, propagate=False)
        except TaskError as error:  # it is not ready in time
            _print_failure(options, handle, error)
    if traceback and handle.traceback:
        options.show({"id": task_id, "state": handle.state, "traceback": handle.traceback}, handle.traceback)
        sys.exit(EXIT_FAILED)
    _print_result(options, handle, wait)


def _print_result(options: Options, handle: Any, wait: float) -> None:
    try:
        if not handle.ready() and wait <= 0:
            options.show({"id": handle.id, "state": handle.state}, f"{handle.state}: not ready, or not known")
            sys.exit(EXIT_FAILED)
        value = handle.get(timeout=wait)
    except TaskError as error:
        _print_failure(options, handle, error)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the task raised
        _print_failure(options, handle, error)
    else:
        shown = value if isinstance(value, str) else json.dumps(value, default=str)
        options.show({"id": handle.id, "state": handle.state, "result": value}, shown)


def _print_failure(options: Options, handle: Any, error: Exception) -> None:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception of the user's own
        text = "its text cannot be made"
    data = {"id": handle.id, "state": handle.state, "error": type(error).__name__, "message": text}
    options.show(data, f"{handle.state}: {type(error).__name__}: {text}")
    sys.exit(EXIT_FAILED)


def _check_moment(option: str, text: str | None) -> None:
    """A time without a zone means another instant on each machine."""
    with contextlib.suppress(ValueError):
        if text and datetime.fromisoformat(text).tzinfo is None and not text.isdigit():
            raise click.UsageError(f"{option} {text} has no time zone: write {text}Z or {text}+02:00")


def _parsed(text: str, kind: type, option: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{option} is not JSON: {error}") from None
    if not isinstance(value, kind):
        raise click.UsageError(f"{option} must be a JSON {'list' if kind is list else 'map'}")
    return value


def banner(title: str, lines: dict[str, str]) -> str:
    """A few aligned lines that say what runs with what."""
    width = max(map(len, lines))
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in lines.items())])
