"""Workflow: what the names under `workflows` stand for.

PURE. Workflows may use each other by name, wherever a step may stand, but not in a circle. They are read in such an order that
whatever one uses was read before it; so no reading goes deeper than one workflow is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from difflib import get_close_matches

from .call import Use, uses
from .node import Node, Pair
from .problem import Fault, quoted
from .signature import Signature, check_size
from .step import read_step
from .value import text

_MOST_SHOWN = 10  # names, in a message


class BrokenWorkflowError(Fault):
    """What uses a workflow that could not be read has that workflow's fault, which is told where it stands, once."""

    def inside(self, where: str) -> Fault:  # noqa: ARG002 - as Fault has it
        return self


class Workflows:
    """The named workflows of files that are loaded together; the first of each name."""

    def __init__(self, pairs: MappingOf[str, Pair]) -> None:
        self.pairs = pairs
        self._read: dict[str, Signature | Fault] = {}
        for name, circle in _in_order(pairs):
            self._read[name] = circle or self._signature(name)

    def used(self, node: Node) -> Signature:
        """The signature of the workflow that a node names. Raises Fault."""
        name = text(node, "workflow")
        found = self._read.get(name)
        if found is None:
            hint = _nearest(name, self.pairs)
            raise Fault(node.place, "E193", f"workflow {quoted(name)} is not defined", help=hint)
        if isinstance(found, Fault):
            raise BrokenWorkflowError(found.place, found.code, found.message, help=found.help)
        return found

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with them; not again with those that use one with a fault."""
        return [
            each
            for each in self._read.values()
            if isinstance(each, Fault) and not isinstance(each, BrokenWorkflowError)
        ]

    def _signature(self, name: str) -> Signature | Fault:
        pair = self.pairs[name]
        try:
            signature = read_step(pair.value, self.used)
            check_size(signature, pair.key.place)
        except Fault as fault:
            return fault.inside(f"workflow {quoted(name)}")
        return {**signature, "workflow": name}


def _in_order(pairs: MappingOf[str, Pair]) -> Iterator[tuple[str, Fault | None]]:
    """Each name after those that it uses; with the fault, if it closes a circle. Without recursion: the names may be many."""
    done: set[str] = set()
    for root in pairs:
        path: dict[str, Iterator[Use]] = {} if root in done else {root: uses(pairs[root].value)}
        circles: dict[str, Fault] = {}
        while path:
            name = next(reversed(path))
            use = next(path[name], None)
            if use is None:
                del path[name]
                done.add(name)
                yield name, circles.get(name)
            elif use.workflow in path:
                circles.setdefault(name, _circle(use, [*path]))
            elif use.workflow in pairs and use.workflow not in done:
                path[use.workflow] = uses(pairs[use.workflow].value)


def _circle(use: Use, path: list[str]) -> Fault:
    around = [*path[path.index(use.workflow) :], use.workflow]
    shown = around if len(around) <= _MOST_SHOWN else [*around[: _MOST_SHOWN - 1], "…", around[-1]]
    where = f"workflow {quoted(path[-1])}: {use.where}"
    message = f"{where}workflows use each other in a circle: {' -> '.join(shown)}"
    if len(around) == 2:  # noqa: PLR2004 - there and back
        message = f"{where}it uses itself"
    return Fault(use.place, "E196", message, help="it would never end: take one of these uses out")


def _nearest(name: str, known: MappingOf[str, object]) -> str:
    near = get_close_matches(name[:120], known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {quoted(near[0])}?"
    names = ", ".join(sorted(known)[:_MOST_SHOWN])
    return f"known are {names}" if names else "write it under workflows:"
