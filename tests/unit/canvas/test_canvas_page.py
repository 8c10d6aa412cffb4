"""docs/canvas.md: its examples run, and it names what there is."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.effect import Part
from backbeat.canvas.ending_report import failure_report
from backbeat.canvas.node import HOOKS, Policy, Tap
from backbeat.canvas.outcome import Error, Failure

from support.page import DOCS, run_examples

PAGE = (DOCS / "canvas.md").read_text()


def test_the_examples_of_the_page_run():
    assert run_examples("canvas.md") == 11


@pytest.mark.parametrize("name", [*HOOKS, *Policy])
def test_every_hook_and_policy_is_named(name):
    assert f"`{name}`" in PAGE


def test_every_key_of_a_report_is_named():
    failure = Failure(error=Error(type="ValueError", text="no", node="x"))
    report = json.loads(failure_report(failure, Tap(of="t", id="x", key="k"), "r", [Part(0, "m", failure)]))

    assert {key for key in (*report, *report["members"][0]) if f"`{key}`" not in PAGE} == set()
