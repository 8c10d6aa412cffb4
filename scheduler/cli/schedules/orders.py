"""`schedules pause`, `resume`, `skip-next`, `delete`: orders about one schedule or several."""

from __future__ import annotations

from datetime import datetime

import click

from ....canvas.cli import Options
from ..completing import name_argument, names_argument
from ..opening import actor_option, opened
from ..table import clock, tz_option, zone_of
from .listing import state_text

until_option = click.option("--until", help="It ends by itself then: 2026-12-01T03:00, or +2h from now.")
reason_option = click.option("--reason", default="", help="Why, for those who ask.")


def end_of(until: str | None, tz: str | None) -> datetime | None:
    """The instant of --until."""
    from ...view import moment
    from ..entries import instant_us

    return None if until is None else moment(instant_us(until, zone_of(tz)))


@click.command("pause")
@names_argument(required=True)
@reason_option
@until_option
@actor_option
@tz_option
@click.pass_obj
def pause_(
    options: Options,
    names: tuple[str, ...],
    reason: str,
    until: str | None,
    actor: str | None,
    tz: str | None,
) -> None:
    """Pause schedules. What would have fired meanwhile is not made up for."""
    from ...view import to_json

    end, zone = end_of(until, tz), zone_of(tz)
    with opened(options, actor=actor) as schedules:
        for name in names:
            view = schedules.pause(name, reason=reason, until=end)
            options.show(to_json(view), f"{name}: {state_text(view, zone)}")


@click.command("resume")
@names_argument(required=True)
@actor_option
@tz_option
@click.pass_obj
def resume_(options: Options, names: tuple[str, ...], actor: str | None, tz: str | None) -> None:
    """End the pause of schedules; they go on with the next fire time."""
    from ...view import to_json

    zone = zone_of(tz)
    with opened(options, actor=actor) as schedules:
        for name in names:
            view = schedules.resume(name)
            options.show(to_json(view), f"{name}: {view.state}, next {clock(view.next, zone)}")


@click.command("skip-next")
@name_argument()
@click.option("-n", "--count", default=1, show_default=True, type=click.IntRange(1, 1_000))
@click.option("--undo", is_flag=True, help="Skip nothing, whatever was to be skipped.")
@reason_option
@actor_option
@tz_option
@click.pass_obj
def skip_next_(
    options: Options, name: str, count: int, undo: bool, reason: str, actor: str | None, tz: str | None
) -> None:
    """Pass the next fire times of a schedule over; each is in its history, as skipped by an operator."""
    from ...view import to_json

    zone = zone_of(tz)
    with opened(options, actor=actor) as schedules:
        view = schedules.unskip(name) if undo else schedules.skip_next(name, count, reason=reason)
    skipped = ", ".join(clock(each, zone) for each in view.skipped) or "nothing"
    options.show(to_json(view), f"{name}: skips {skipped}; next {clock(view.next, zone)}")


@click.command("delete")
@names_argument(required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before deleting several.")
@actor_option
@click.pass_obj
def delete_(options: Options, names: tuple[str, ...], yes: bool, actor: str | None) -> None:
    """Delete schedules that were added here. Their history stays; those of a file are removed there."""
    from ...view import to_json

    with opened(options, actor=actor) as schedules:
        if len(names) > 1 and not yes:
            click.confirm(f"Delete {len(names)} schedules: {', '.join(names)}?", abort=True, err=True)
        for name in names:
            options.show(to_json(schedules.remove(name)), f"{name}: deleted")
