"""Dependencies: from the handle of a task to those of all that it led to: what it sent, its links, the steps that followed it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .dependency_graph import DependencyGraph
from .errors import IncompleteStream


def iterdeps(root: Any, intermediate: bool) -> Iterator[tuple[Any, Any]]:
    """(parent, handle), level by level. What several tasks led to is given for each of them, and what it led to itself once.

    A handle is asked for its children only when the next one is wanted: who waits for each one in turn, as `collect` does, has it ready.
    """
    waiting: deque[tuple[Any, Any]] = deque([(None, root)])
    seen = set()
    while waiting:
        parent, node = waiting.popleft()
        yield parent, node
        if node in seen:
            continue
        seen.add(node)
        if node.ready():
            waiting.extend((node, child) for child in node.children)
        elif not intermediate:
            raise IncompleteStream(f"{node} has not ended, and may yet lead to more")


def graph_of(root: Any, intermediate: bool, formatter: Callable[[Any], str] | None) -> DependencyGraph:
    """The graph of `root` and of all that it led to."""
    graph = DependencyGraph(formatter)
    for parent, node in iterdeps(root, intermediate):
        graph.add_arc(node)
        if parent is not None:
            graph.add_edge(parent, node)
    return graph
