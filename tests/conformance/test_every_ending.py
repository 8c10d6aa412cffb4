"""Every ending settles everything downstream: each way in which a task can end, at each place of each tree of chain, group and chord.

All trees up to some size are tried one by one (`make fuzz` takes larger ones), and random ones of up to twelve calls, in memory; a sample of
them on servers. What must come of each is said by a judge that walks the tree (support/ending_judge.py).
"""

from __future__ import annotations

import os
import random

import pytest
from backbeat.canvas.ids import derive
from backbeat.canvas.node import calls, freeze

from support.ending_judge import EndingJudge
from support.ending_world import ENDINGS, EndingWorld, ending_at
from support.kinds import open_backend
from support.trees import random_tree, trees

LARGEST = int(os.environ.get("BACKBEAT_ENDINGS", "3"))
"""Calls of the largest trees of which every one is tried, in memory; 4 in `make test-all`."""
RANDOM = 10 * 4 ** (LARGEST - 3)
"""Random trees for each ending, in memory."""
SHARES = {"sqlite": 1, "postgres": 1, "redis": 2}
"""Random trees for each ending, on servers."""
LOST_IN_TRANSIT = "cannot be read"
"""The ending that cannot be had where a test cannot touch what lies in a queue; test_hostile_messages.py has it with real workers."""


def settle(world, tree, place, name, key):
    """Play it, and say what is wrong."""
    node = freeze(ending_at(tree, place, name), key)
    broken = list(calls(node))[place]
    documents = world.settle(node, name, broken)
    wrong = EndingJudge(broken, ENDINGS[name], documents, world.starts).judge(node)
    assert not wrong, (name, place, wrong, node)


@pytest.mark.timeout(60 * 8 ** max(1, LARGEST - 3))
@pytest.mark.parametrize("name", ENDINGS)
def test_a_task_that_ends_so_anywhere_in_any_small_tree_settles_all_that_depends_on_it(name):
    world = EndingWorld()
    for size in range(1, LARGEST + 1):
        for tree in trees(size):
            for place in range(size):
                settle(world, tree, place, name, "canvas")


@pytest.mark.timeout(60 * 8 ** max(1, LARGEST - 3))
@pytest.mark.parametrize("name", ENDINGS)
def test_a_task_that_ends_so_somewhere_in_a_random_tree_settles_all_that_depends_on_it(name):
    seed, world = random.randrange(1_000_000), EndingWorld()
    print(f"seed {seed}")
    for number in range(RANDOM):
        rng = random.Random(f"{seed}/{number}")
        size = rng.randint(5, 12)
        settle(world, random_tree(rng, size), rng.randrange(size), name, "canvas")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", SHARES)
def test_a_task_that_ends_in_any_way_settles_all_that_depends_on_it_on_servers_too(kind, request):
    seed, backend = random.randrange(1_000_000), open_backend(kind, request)
    print(f"seed {seed}")
    try:
        world = EndingWorld(backend)
        for name in [each for each in ENDINGS if each != LOST_IN_TRANSIT]:
            for number in range(SHARES[kind]):
                rng = random.Random(f"{seed}/{name}/{number}")
                size = rng.randint(2, 9)
                key = derive("ending", str(rng.random()))
                settle(world, random_tree(rng, size), rng.randrange(size), name, key)
    finally:
        backend.clear()
        backend.close()


def test_all_trees_are_there():
    """The numbers of ways to put brackets into a row of n, counted twice, as what is outside may be a chain or a group."""
    assert [len(trees(size)) for size in range(1, 8)] == [1, 2, 6, 22, 90, 394, 1806]
    assert len({repr(tree) for tree in trees(6)}) == 394
