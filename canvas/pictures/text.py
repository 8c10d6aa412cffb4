"""A canvas as lines of text: one for each task, indented by what it is in. PURE."""

from __future__ import annotations

from collections.abc import Iterator

from .box import Box, ChainBox, GroupBox, TaskBox

ERROR_CHARACTERS = 100


def text_of(box: Box) -> str:
    """The canvas, a line for each task: sign, task, id, state, tries, when and where it ran, and why it failed."""
    return "\n".join(_lines(box, ""))


def _lines(box: Box, indent: str) -> Iterator[str]:
    match box:
        case TaskBox():
            yield f"{indent}{_line(box)}"
        case ChainBox():
            yield f"{indent}chain of {len(box.steps)}"
            for step in box.steps:
                yield from _lines(step, indent + "  ")
        case GroupBox():
            yield f"{indent}group of {box.size:,}  {box.id}"
            for member in box.members:
                yield from _lines(member, indent + "  ")
            if box.folded:
                yield f"{indent}  … {box.more}"


def _line(box: TaskBox) -> str:
    document = box.document
    parts = [f"{box.mark} {box.task or '?'}", box.id, box.state]
    if document.retries:
        parts.append(f"try {document.retries + 1}")
    when = document.date_done or document.date_started
    if when:
        parts.append(str(when)[:19].replace("T", " "))
    if document.worker:
        parts.append(document.worker)
    if document.error is not None:
        error = document.error
        where = f" in {error.node}" if error.node and error.node != box.id else ""
        parts.append(
            f"{error.type.rsplit('.', 1)[-1]}: {error.text[:ERROR_CHARACTERS]}{where}".replace("\n", " ")
        )
    return "  ".join(parts)
