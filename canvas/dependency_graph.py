"""DependencyGraph: which handles led to which; a directed graph without circles. PURE."""

from __future__ import annotations

import json
from collections.abc import Callable, ItemsView, Iterator
from graphlib import TopologicalSorter
from typing import Any, TextIO


class DependencyGraph:
    """Nodes, each with those that it led to, in the order in which they were added. `formatter(node)` gives a node's label."""

    def __init__(self, formatter: Callable[[Any], str] | None = None) -> None:
        self.formatter = formatter
        self.adjacent: dict[Any, list[Any]] = {}

    def add_arc(self, node: Any) -> None:
        """Add a node, unless it is there."""
        self.adjacent.setdefault(node, [])

    def add_edge(self, node: Any, led_to: Any) -> None:
        """Add an edge between two nodes that are there."""
        self.adjacent[node].append(led_to)

    def items(self) -> ItemsView[Any, list[Any]]:
        """Each node with those that it led to."""
        return self.adjacent.items()

    def edges(self) -> Iterator[Any]:
        """The nodes that led to others, as Celery means it; the pairs are in `items`."""
        return (node for node, found in self.items() if found)

    def valency_of(self, node: Any) -> int:
        """To how many others it led, they and theirs included; as often as there are ways to them."""
        found = self.adjacent.get(node, [])
        return len(found) + sum(map(self.valency_of, found))

    def topsort(self) -> list[Any]:
        """All nodes, those that were led to before those that led to them. Raises graphlib.CycleError."""
        return list(TopologicalSorter(self.adjacent).static_order())

    def to_dot(self, file: TextIO | None = None, formatter: Callable[[Any], str] | None = None) -> str:
        """The graph as DOT text, for Graphviz; written into `file`, too, if there is one."""
        label = formatter or self.formatter or str
        numbers = {node: f"n{number}" for number, node in enumerate(self.adjacent)}
        lines = [f"  {name} [label={json.dumps(label(node))}];" for node, name in numbers.items()]
        lines += [f"  {numbers[node]} -> {numbers[to]};" for node, found in self.items() for to in found]
        text = "\n".join(["digraph dependencies {", *lines, "}", ""])
        if file is not None:
            file.write(text)
        return text

    def __iter__(self) -> Iterator[Any]:
        return iter(self.adjacent)

    def __getitem__(self, node: Any) -> list[Any]:
        return self.adjacent[node]

    def __contains__(self, node: object) -> bool:
        return node in self.adjacent

    def __len__(self) -> int:
        return len(self.adjacent)

    def __repr__(self) -> str:
        return "\n".join(
            line
            for node, found in self.items()
            for line in (self._line(node, 0), *(self._line(each, 1) for each in found))
        )

    def _line(self, node: Any, depth: int) -> str:
        return f"{'    ' * depth}{node}({self.valency_of(node)})"
