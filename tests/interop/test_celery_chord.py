"""Chords of a real Celery 5.7 client whose headers run in both fleets: counted in Celery's own keys, with the body on either side."""

from __future__ import annotations

import json

import pytest

from interop.fleets import CELERY_CLIENT, both_fleets
from support.celery_env import from_celery, run_celery


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with both_fleets(tmp_path_factory.mktemp("chords")) as url:
        yield url


def asked(url, *lines):
    """What a client of Celery's gets: of each expression the value, or what was raised."""
    script = CELERY_CLIENT + "".join(f"begin({line})\n" for line in lines) + "finish()\n"
    return run_celery(script, url)


def test_k13_a_chord_of_a_celery_client_runs_in_both_fleets_with_the_body_on_either(url):
    seen = asked(
        url,
        "chord([new.add(i, 1) if i % 2 else old.add(i, 1) for i in range(7)], new.collect())",
        "chord([old.add(i, 1) if i % 2 else new.add(i, 1) for i in range(7)], old.collect())",
        "chord([new.add(i, 1) for i in range(3)], new.collect())",
        "chord([new.collect([1]), old.collect([2])], old.collect()) | new.collect()",
    )

    assert seen[:2] == [[1, 2, 3, 4, 5, 6, 7]] * 2
    assert seen[2] == [1, 2, 3]
    assert seen[3] == [[1], [2]]


def test_k13_nested_chords_of_a_celery_client_run_in_both_fleets(url):
    seen = asked(
        url,
        "chord([chord([new.add(1, 1), old.add(2, 2)], new.total()), chord([old.add(3, 3), new.add(4, 4)], old.total()), "
        "new.add(0, 1)], old.collect())",
        "chord([chain(new.add(1, 1), old.add(1)), chain(old.add(2, 2), new.add(1)), old.add(0, 9)], new.collect())",
        "chain(new.add(1, 1), group(old.add(1), new.add(2)), new.total(), old.add(1))",
        "chord([chain(new.add(1, 1), group(old.add(1), new.add(2))), old.add(0, 1)], new.collect())",
        "chord([new.add(1, 1), old.add(2, 2)], chain(old.total(), new.add(1), old.add(1)))",
        "chord([new.add(1, 1), old.add(2, 2)], chord([new.total(), old.total()], new.total()))",
    )

    assert seen[0] == [6, 14, 1]
    assert seen[1] == [3, 5, 9]
    assert seen[2] == 8
    assert seen[3] == [[3, 4], 1]
    assert seen[4] == 8
    assert seen[5] == 12


@pytest.mark.parametrize("failing", ["new", "old"])
def test_k13_a_part_that_failed_fails_the_body(url, failing):
    seen = asked(
        url,
        f"chord([new.add(1, 1), old.add(2, 2), {failing}.fail('no')], new.total())",
        f"chord([chain({failing}.fail('no'), new.add(1)), old.add(2, 2)], new.total())",
    )

    for name, text in seen:
        assert name == "ChordError"
        assert "no" in text


@from_celery(
    "5.6", "what follows a chord stays pending where its last part fails, also with its own workers alone"
)
@pytest.mark.parametrize("failing", ["new", "old"])
def test_k13_a_part_that_failed_fails_what_follows_the_body(url, failing):
    line = f"chord([new.add(1, 1), old.add(2, 2), {failing}.fail('no')], old.total()) | new.add(1)"

    ((name, text),) = asked(url, line)

    assert (name, "no" in text) == ("ChordError", True)


def test_parts_that_end_otherwise_fail_the_body(url):
    seen = asked(
        url,
        "chord([old.add(1, 1), new.add(1, 1).set(expires=-1)], old.total())",
        "chord([old.add(1, 1), sig('new.unknown', 1)], old.total())",
        "chord([old.add(1, 1), new.rejects()], new.total())",
        "chord([old.add(1, 1), new.ignores()], new.total())",
    )

    assert [name for name, _ in seen] == ["ChordError"] * 4, json.dumps(seen)
