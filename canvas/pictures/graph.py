"""The edges of a canvas: which task or join leads to which; what DOT and Mermaid draw. PURE.

What follows a group follows all of its members, and there may be thousands: a join stands between, so that edges stay few.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .box import Box, ChainBox, GroupBox, TaskBox


@dataclass(slots=True)
class Graph:
    """`tasks` and `joins` by the names that edges give them; `more` are folded members."""

    tasks: dict[str, TaskBox] = field(default_factory=dict)
    joins: dict[str, GroupBox] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)


def graph_of(box: Box) -> Graph:
    """The canvas as a graph."""
    graph = Graph()
    _drawn(box, graph)
    return graph


def _drawn(box: Box, graph: Graph) -> tuple[list[str], list[str]]:
    """The names of what starts with `box`, and of what ends with it."""
    match box:
        case TaskBox():
            name = f"t{len(graph.tasks)}"
            graph.tasks[name] = box
            return [name], [name]
        case ChainBox():
            return _drawn_chain(box, graph)
        case GroupBox():
            ends = [_drawn(member, graph) for member in box.members]
            starts = [name for first, _ in ends for name in first]
            if box.folded:
                more = f"m{len(graph.more)}"
                graph.more[more] = box.more
                starts.append(more)
                ends.append(([more], [more]))
            return starts, [name for _, last in ends for name in last]


def _drawn_chain(box: ChainBox, graph: Graph) -> tuple[list[str], list[str]]:
    first: list[str] | None = None
    before: list[str] = []
    for index, step in enumerate(box.steps):
        starts, ends = _drawn(step, graph)
        graph.edges += [(one, other) for one in before for other in starts]
        first = starts if first is None else first
        if isinstance(step, GroupBox) and index < len(box.steps) - 1:
            join = f"j{len(graph.joins)}"
            graph.joins[join] = step
            graph.edges += [(end, join) for end in ends]
            if not starts:
                graph.edges += [(one, join) for one in before]
            ends = [join]
        before = ends
    return first or [], before
