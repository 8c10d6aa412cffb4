"""`make fuzz`: what it runs, and that what goes wrong can be made to go wrong again."""

from __future__ import annotations

from collections import Counter

import pytest

import fuzz
from support.flow_trial import SETTINGS


def test_all_canvases_are_there_each_with_a_seed_of_its_own():
    chunks = fuzz.chunks_of(100_000, "s")
    seeds = [seed for chunk in chunks for seed in chunk.seeds]
    where = Counter()
    for chunk in chunks:
        where[chunk.kind, chunk.setting] += len(chunk.seeds)

    assert len(seeds) == len(set(seeds)) == 100_000
    assert where[fuzz.EAGER, "calm"] == 45_000
    assert {kind for kind, _ in where} == fuzz.SHARES.keys()
    assert where["memory", "calm"] == where["memory", "both"] == 12_500
    assert all(where["postgres", setting] == 50 for setting in SETTINGS)


@pytest.mark.parametrize("kind", [fuzz.EAGER, "memory", "split-memory"])
def test_a_canvas_that_goes_wrong_is_told_with_what_makes_it_go_wrong_again(kind, monkeypatch, capsys):
    def fail(*_):
        raise AssertionError("not as planned")

    monkeypatch.setattr(fuzz, "settle_one", fail)
    monkeypatch.setattr(fuzz, "settle_eagerly", fail)

    (wrong,) = fuzz.compare(fuzz.Chunk(kind, "calm", ("s/1",))).wrong
    code = fuzz.main(["--again", *wrong.splitlines()[0].split()])

    assert wrong == f"{kind} calm s/1\n    AssertionError: not as planned"
    assert code == 1
    assert "not as planned" in capsys.readouterr().out


def test_a_canvas_that_is_right_is_said_to_be(capsys):
    assert fuzz.main(["--again", "memory", "calm", "s/1"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
