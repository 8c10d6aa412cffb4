"""`backbeat canvas show | retry | cancel`: a canvas that was sent, from the command line, by the id of any part of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli import EXIT_FAILED, Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .plan import Plan
    from .results.document import Document

FORMATS = ["text", "json", "dot", "mermaid", "svg"]


@click.group()
def canvas() -> None:
    """Canvases that were sent: show how far they have come, let them go on where they failed, cancel them."""


@canvas.command()
@click.argument("id_", metavar="ID")
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file."
)
@click.pass_obj
def show(options: Options, id_: str, form: str, output: Path | None) -> None:
    """Show the canvas ID: its tasks with states, tries, times, workers and errors, and what follows what.

    ID is the id of its root, of its value (what apply_async returned), or of a task of it that has begun.
    """
    run = options.load_app().canvas(id_)
    plans = run.plans()
    documents = run.documents(plans)
    if form == "json" or options.as_json:
        options.as_json = True
        options.show(_data(plans, documents), "")
        return
    text = _picture(form, plans, documents)
    if output is None:
        options.show(None, text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


@canvas.command()
@click.argument("id_", metavar="ID")
@click.option("--failed", is_flag=True, required=True, help="Those that failed, and what depends on them.")
@click.pass_obj
def retry(options: Options, id_: str, failed: bool) -> None:  # noqa: ARG001 - it is required, to say what is done
    """Let the canvas ID go on: what failed runs again, and what depends on it. What succeeded keeps its value and is not run."""
    done = options.load_app().canvas(id_).retry()
    data = {"failed": done.failed, "dependents": done.dependents, "stuck": list(done.stuck)}
    options.show(data, f"{done.failed} run again, {done.dependents} more depend on them")
    if done.stuck:
        click.echo(
            f"backbeat: error: {len(done.stuck)} cannot be run again, as their messages are not there (yet): {', '.join(done.stuck[:5])}",
            err=True,
        )
    if done.stuck or not done.failed:
        sys.exit(EXIT_FAILED)


@canvas.command()
@click.argument("id_", metavar="ID")
@click.option("--rest", is_flag=True, help="Only the task ID, and what comes after it.")
@click.pass_obj
def cancel(options: Options, id_: str, rest: bool) -> None:
    """Cancel the canvas ID: nothing more of it starts, whatever is restarted; what runs goes on to its end."""
    options.load_app().canvas(id_).cancel(rest_only=rest)
    options.show({"cancelled": id_, "rest": rest}, f"cancelled {'the rest of ' if rest else ''}{id_}")


def _picture(form: str, plans: Sequence[Plan], documents: Mapping[str, Document]) -> str:
    from .pictures.box import box_of

    if form == "text":
        from .pictures.text import text_of

        return "\n".join(_headed(plan, text_of(box_of(plan.skeleton, documents))) for plan in plans)
    # one picture is of one canvas: that which was asked for, with what its tasks have sent left out
    box = box_of(plans[0].skeleton, documents)
    match form:
        case "dot":
            from .pictures.dot import dot_of

            return dot_of(box)
        case "mermaid":
            from .pictures.mermaid import mermaid_of

            return mermaid_of(box)
        case _:
            from .pictures.svg import svg_of

            return svg_of(box, plans[0].id)


def _headed(plan: Plan, text: str) -> str:
    sent_by = f", sent by {plan.parent_id}" if plan.parent_id else ""
    return f"canvas {plan.id}, root {plan.root_id}{sent_by}\n{text}"


def _data(plans: Sequence[Plan], documents: Mapping[str, Document]) -> dict[str, Any]:
    from .canvas_data import canvas_data

    return {"root_id": plans[0].root_id, "canvases": [canvas_data(plan, documents) for plan in plans]}
