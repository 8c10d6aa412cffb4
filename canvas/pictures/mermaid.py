"""A canvas as a Mermaid flow chart, as GitHub and many editors draw it. PURE."""

from __future__ import annotations

from .box import Box, TaskBox
from .dot import COLOURS, WAITING
from .graph import graph_of


def mermaid_of(box: Box) -> str:
    """A flow chart, from left to right."""
    graph = graph_of(box)
    lines = ["flowchart LR"]
    lines += [f'  {name}["{_label(task)}"]' for name, task in graph.tasks.items()]
    lines += [f'  {name}["{_text(text)}"]' for name, text in graph.more.items()]
    lines += [f'  {name}(("{group.size}"))' for name, group in graph.joins.items()]
    lines += [f"  {one} --> {other}" for one, other in graph.edges]
    for name, task in graph.tasks.items():
        lines.append(f"  style {name} stroke:{COLOURS.get(task.state, WAITING)},stroke-width:2px")
    return "\n".join(lines)


def _label(task: TaskBox) -> str:
    return f"{task.mark} {_text(task.task)}<br/>{task.state}"


def _text(text: str) -> str:
    """Mermaid's own way to write what would end a label."""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
