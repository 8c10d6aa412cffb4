"""Trees of chain, group and chord, for tests that want all of them: every one up to some size, and random ones beyond.

A chord is a chain in which a group is followed by something. A chain in a chain is spliced and a plain group in a group flattened, so the
two take turns on the way down.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache

from backbeat.canvas.node import Call, Chain, Group, Node, calls, flat

TELL = "told"
"""The task that is the error callback of each call."""
CALL = Call(task="ok", link_error=(Call(task=TELL),))
DEEPEST = 8
"""Chains and groups inside each other: a chord is one of each, so this is a depth of four chords."""


@cache
def trees(size: int) -> tuple[Node, ...]:
    """Every tree with `size` calls in which chains and groups have two parts at least."""
    return (CALL,) if size == 1 else (*_chains(size), *_groups(size))


def random_tree(rng: random.Random, size: int, depth: int = DEEPEST) -> Node:
    """A tree with `size` calls, and with groups of one and of none."""
    kind = rng.choice([_random_chain, _random_group])
    return _random_part(rng, size, depth, kind)


def changed(node: Node, place: int, change: Callable[[Call], Call]) -> Node:
    """`node` with `change` applied to the call at that place, in the order of `calls`."""
    match node:
        case Call():
            return change(node) if place == 0 else node
        case Chain(steps=inside) | Group(members=inside):
            parts = []
            for each in inside:
                size = len(list(calls(each)))
                parts.append(changed(each, place, change) if 0 <= place < size else each)
                place -= size
            return Chain(steps=tuple(parts)) if isinstance(node, Chain) else Group(members=tuple(parts))
    raise AssertionError("a tree has no taps")


@cache
def _chains(size: int) -> tuple[Node, ...]:
    return tuple(Chain(steps=parts) for parts in _rows(size, size - 1, _groups))


@cache
def _groups(size: int) -> tuple[Node, ...]:
    return tuple(Group(members=parts) for parts in _rows(size, size - 1, _chains))


def _rows(
    size: int, largest: int, composites: Callable[[int], tuple[Node, ...]]
) -> Iterator[tuple[Node, ...]]:
    """Every row of calls and composites with `size` calls in all, and at most `largest` in each."""
    if size == 0:
        yield ()
    for first in range(1, min(size, largest) + 1):
        for head in (CALL,) if first == 1 else composites(first):
            for tail in _rows(size - first, largest, composites):
                yield (head, *tail)


Kind = Callable[[random.Random, int, int], Node]


def _random_part(rng: random.Random, size: int, depth: int, kind: Kind) -> Node:
    if size == 1 and (depth == 0 or rng.random() < 0.9):
        return CALL
    return kind(rng, size, depth)


def _random_chain(rng: random.Random, size: int, depth: int) -> Node:
    sizes = _cut(rng, size) if depth > 1 else [1] * size
    steps = [_random_part(rng, each, depth - 1 if depth > 1 else 0, _random_group) for each in sizes]
    if depth > 1 and rng.random() < 0.05:
        steps.insert(rng.randint(0, len(steps)), Group(members=()))
    return steps[0] if len(steps) == 1 else Chain(steps=tuple(steps))


def _random_group(rng: random.Random, size: int, depth: int) -> Node:
    sizes = _cut(rng, size) if depth > 1 else [1] * size
    members = (_random_part(rng, each, depth - 1 if depth > 1 else 0, _random_chain) for each in sizes)
    return Group(members=flat(members))


def _cut(rng: random.Random, size: int) -> list[int]:
    """`size` in two parts or more, if it is more than one."""
    if size == 1:
        return [1]
    cuts = sorted(rng.sample(range(1, size), rng.randint(1, min(3, size - 1))))
    return [end - start for start, end in zip([0, *cuts], [*cuts, size], strict=True)]
