"""A canvas as an SVG picture: boxes in boxes, chains from left to right, members of groups one below the other. PURE.

It needs nothing to be drawn but this text: no script, no font, no other file.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct

from .box import Box, ChainBox, GroupBox, TaskBox
from .dot import COLOURS, WAITING

HEIGHT, GAP, PAD, CHARACTER = 40, 24, 10, 7.2
"""Of a task's box, between boxes, inside a group's frame, and the width of a character; in pixels."""


class _Drawing(Struct, frozen=True):
    """A box with its size, and the pieces of SVG of which it consists, which are drawn at (x, y)."""

    width: float
    height: float
    box: Box | str
    inside: tuple[_Drawing, ...] = ()


def svg_of(box: Box, title: str = "canvas") -> str:
    """The picture, as a document of its own."""
    drawing = _measured(box)
    width, height = drawing.width + 2 * PAD, drawing.height + 2 * PAD
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12" role="img">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", *_drawn(drawing, PAD, PAD), "</svg>"])


def _measured(box: Box) -> _Drawing:
    match box:
        case TaskBox():
            return _Drawing(max(90, PAD * 2 + CHARACTER * (len(box.task) + 2)), HEIGHT, box)
        case ChainBox():
            steps = tuple(map(_measured, box.steps))
            width = sum(step.width for step in steps) + GAP * (len(steps) - 1)
            return _Drawing(width, max(step.height for step in steps), box, steps)
        case GroupBox():
            members = tuple(map(_measured, box.members))
            if box.folded:
                members += (_Drawing(PAD * 2 + CHARACTER * len(box.more), HEIGHT, box.more),)
            width = max([60.0, *(member.width for member in members)]) + 2 * PAD
            height = sum(member.height + PAD for member in members) + PAD if members else HEIGHT
            return _Drawing(width, height, box, members)


def _drawn(drawing: _Drawing, x: float, y: float) -> Iterator[str]:
    match drawing.box:
        case TaskBox() as task:
            yield from _task(task, drawing, x, y)
        case ChainBox():
            middle = y + drawing.height / 2
            for index, step in enumerate(drawing.inside):
                if index:
                    yield _arrow(x - GAP, x, middle)
                yield from _drawn(step, x, middle - step.height / 2)
                x += step.width + GAP
        case GroupBox():
            yield _frame(x, y, drawing.width, drawing.height, "#bdbdbd", "4 3")
            y += PAD
            for member in drawing.inside:
                yield from _drawn(member, x + PAD, y)
                y += member.height + PAD
        case str() as text:
            yield _frame(x, y, drawing.width, drawing.height, WAITING, "2 2")
            yield _text(x + PAD, y + HEIGHT / 2 + 4, text)


def _task(task: TaskBox, drawing: _Drawing, x: float, y: float) -> Iterator[str]:
    colour = COLOURS.get(task.state, WAITING)
    error = task.document.error
    tip = f"{task.task} {task.id} {task.state}" + (f": {error.type}: {error.text}" if error else "")
    yield f"<g><title>{escape(_printable(tip))}</title>"
    yield _frame(x, y, drawing.width, drawing.height, colour, "")
    yield _text(x + PAD, y + 17, f"{task.mark} {task.task}")
    yield _text(x + PAD, y + 32, task.state, colour)
    yield "</g>"


def _frame(x: float, y: float, width: float, height: float, colour: str, dashes: str) -> str:
    dashed = f" stroke-dasharray={quoteattr(dashes)}" if dashes else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} rx="6" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'


def _arrow(x1: float, x2: float, y: float) -> str:
    line = f'<path d="M{x1 + 3:.1f} {y:.1f} H{x2 - 4:.1f}" stroke="#616161" stroke-width="1.5" fill="none"/>'
    head = f'<path d="M{x2 - 8:.1f} {y - 4:.1f} L{x2 - 2:.1f} {y:.1f} L{x2 - 8:.1f} {y + 4:.1f} Z" fill="#616161"/>'
    return line + head


def _text(x: float, y: float, text: str, colour: str = "currentColor") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{escape(_printable(text))}</text>'


def _printable(text: str) -> str:
    """XML has no form for control characters and surrogates."""
    return "".join(c if c.isprintable() else " " for c in text)[:500]
