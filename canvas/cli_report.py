"""`backbeat report` and `backbeat shell`: what an app is, as text for who reports a fault, and in an interpreter."""

from __future__ import annotations

import click

from .cli import Options


@click.command()
@click.pass_obj
def report(options: Options) -> None:
    """Print versions and settings, without secrets, for who reports a fault."""
    from .bug_report import bug_report, masked_settings, version_of

    app = options.load_app()
    data = {"backbeat": version_of("backbeat"), "app": app.name, "settings": masked_settings(app.conf)}
    options.show(data, bug_report(app).rstrip("\n"))


@click.command()
@click.pass_obj
def shell(options: Options) -> None:
    """Start Python with the app at hand: app, its tasks by their names, and what canvases are made of. Also reads a script from a pipe."""
    import code
    import sys

    from . import canvas

    app = options.load_app()
    app.import_modules()
    tasks = {name.rpartition(".")[2]: task for name, task in app.tasks.items()}
    known = {name: getattr(canvas, name) for name in ("chain", "chord", "group", "signature", "chunks")}
    names = {**tasks, **known, "app": app, "celery": app}
    if not sys.stdin.isatty():
        exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)  # noqa: S102 - that is what a shell is for
        return
    banner = (
        f"backbeat shell: app, {', '.join(sorted(known))}, and {len(tasks)} tasks: {', '.join(sorted(tasks))}"
    )
    code.interact(banner=banner, local=names, exitmsg="")
