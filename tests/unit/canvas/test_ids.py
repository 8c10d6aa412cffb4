"""Ids are UUIDs, also where they are not made by the library of that name."""

from __future__ import annotations

from uuid import RFC_4122, UUID, uuid5

from backbeat.canvas.ids import derive, draw


def test_a_drawn_id_is_a_random_uuid():
    drawn = [draw() for _ in range(1_000)]

    ids = [UUID(text) for text in drawn]
    assert {(id_.version, id_.variant) for id_ in ids} == {(4, RFC_4122)}
    assert [str(id_) for id_ in ids] == drawn
    assert len(set(ids)) == 1_000
    assert len({id_.hex[:12] for id_ in ids}) > 990


def test_a_derived_id_is_the_uuid_of_its_two_texts():
    namespace = UUID("6f5a2b0e-7c55-5a2d-9a37-0b6c1f9d8e44")

    for number in range(100):
        assert derive(f"base{number}", "path") == str(uuid5(namespace, f"base{number}/path"))
