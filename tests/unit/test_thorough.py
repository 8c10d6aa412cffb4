"""What `make test` leaves to `make test-all`: kinds, never promises; and each kind stays in use in each file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from support.thorough import chosen, in_turn

KINDS = in_turn(["a", "b", "c", "d"], always=["a"])


@dataclass(frozen=True, slots=True)
class Item:
    """What a test is to those who choose."""

    originalname: str
    kind: str = ""
    marks: tuple[pytest.Mark, ...] = ()
    path: Path = Path("test_it.py")

    def iter_markers(self, name):
        return iter(mark for mark in self.marks if mark.name == name)


def each(name, kinds=KINDS):
    return [Item(name, kind.values[0], tuple(mark.mark for mark in kind.marks)) for kind in kinds]


def kept_of(items):
    return [(item.originalname, item.kind) for item in chosen(items)[0]]


def test_each_test_has_what_it_always_has_and_one_other_in_turn():
    items = [*each("one"), *each("two"), Item("plain"), *each("three"), *each("four")]

    assert kept_of(items) == [
        ("one", "a"),
        ("one", "b"),
        ("two", "a"),
        ("two", "c"),
        ("plain", ""),
        ("three", "a"),
        ("three", "d"),
        ("four", "a"),
        ("four", "b"),
    ]


def test_one_kind_alone_comes_every_second_time():
    kinds = in_turn(["a", "b"], always=["a"])

    kept = kept_of([*each("one", kinds), *each("two", kinds), *each("three", kinds)])

    assert kept == [("one", "a"), ("one", "b"), ("two", "a"), ("three", "a"), ("three", "b")]


def test_what_has_no_turn_is_left_out_and_nothing_is_lost():
    items = [Item("long", marks=(pytest.mark.thorough("it takes an hour").mark,)), *each("one")]

    kept, left_out = chosen(items)

    assert left_out[0] == items[0]
    assert sorted(map(id, [*kept, *left_out])) == sorted(map(id, items))


def test_a_promise_needs_a_kind_that_is_always_tried():
    with pytest.raises(AssertionError, match="always tried"):
        in_turn(["a", "b"], always=[])
