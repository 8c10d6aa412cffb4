"""`backbeat worker`: canvas's command, and the option -B, which runs a beat beside it; canvas knows nothing of a beat."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...canvas.cli import Options, patiently
from ...canvas.cli_worker import worker as canvas_worker
from .files import chosen_files, files_option
from .hangup import reload_on_hangup

if TYPE_CHECKING:
    from ...canvas.application import App


@click.option(
    "-B", "--beat", is_flag=True, help="Run a beat beside it, too, for the schedules of -s and the app."
)
@files_option
@click.pass_context
def _worker(ctx: click.Context, /, beat: bool, files: tuple[Path, ...], **known: Any) -> None:
    options: Options = ctx.obj
    if files and not beat:
        raise click.UsageError("-s names schedules for a beat: add -B, or run backbeat beat -s FILE")
    if beat:
        chosen = chosen_files(files)
        options.beside = lambda app, stop: _beat(app, stop, options, chosen)
    ctx.invoke(canvas_worker, **known)


@contextlib.contextmanager
def _beat(app: App, stop: Callable[[], None], options: Options, files: Sequence[Path]) -> Iterator[None]:
    from ...canvas import signals
    from ...canvas.errors import Unavailable
    from ..beat_thread import running_beat
    from ..listener import SilentListener
    from ..store.base import StoreDown
    from ..wiring import BeatOptions, open_beat

    settings = BeatOptions(files=files, store=options.store)
    opened = patiently(lambda: open_beat(app, settings, SilentListener()), StoreDown, Unavailable)
    signals.beat_init.send(opened.beat)
    reload_on_hangup(opened)
    try:
        opened.courier.start()
        with running_beat(opened.beat, stop):
            yield
    finally:
        opened.close()


worker = click.command(name="worker", help=canvas_worker.help)(_worker)
worker.params = [*canvas_worker.params, *worker.params]
