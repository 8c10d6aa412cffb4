"""A canvas in Graphviz's DOT language. PURE."""

from __future__ import annotations

import json

from ..outcome import State
from .box import Box, TaskBox
from .graph import graph_of

COLOURS = {
    State.SUCCESS.value: "#2e7d32",
    State.FAILURE.value: "#c62828",
    State.REVOKED.value: "#6d4c41",
    State.REJECTED.value: "#6d4c41",
    State.IGNORED.value: "#6d4c41",
    State.STARTED.value: "#1565c0",
    State.RETRY.value: "#ef6c00",
}
WAITING = "#757575"


def dot_of(box: Box) -> str:
    """A digraph, from left to right: tasks are boxes, joins are points."""
    graph = graph_of(box)
    lines = ["digraph canvas {", "  rankdir=LR;", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    for name, task in graph.tasks.items():
        colour = COLOURS.get(task.state, WAITING)
        lines.append(
            f'  {name} [label={_quoted(_label(task))}, color="{colour}", tooltip={_quoted(task.id)}];'
        )
    lines += [f"  {name} [label={_quoted(text)}, style=dashed];" for name, text in graph.more.items()]
    lines += [f"  {name} [shape=point, tooltip={_quoted(group.id)}];" for name, group in graph.joins.items()]
    lines += [f"  {one} -> {other};" for one, other in graph.edges]
    return "\n".join([*lines, "}"])


def _label(task: TaskBox) -> str:
    return f"{task.mark} {task.task}\n{task.state}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
