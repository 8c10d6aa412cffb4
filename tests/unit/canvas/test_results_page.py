"""docs/results.md: its examples run, one after the other, and it names what the handles have."""

from __future__ import annotations

import inspect

import pytest
from backbeat.canvas import AsyncResult, GroupResult, ResultSet
from backbeat.canvas.backend import Backend

from support.page import DOCS, run_examples

PAGE = (DOCS / "results.md").read_text()
HANDED_DOWN = {"task_id", "status", "info", "wait", "maybe_reraise", "id", "app", "parent", "backend"}
"""Other words for what the page names, and what goes without saying."""


def test_the_examples_of_the_page_run():
    assert run_examples("results.md") == 7


@pytest.mark.parametrize(
    "kind", [AsyncResult, ResultSet, GroupResult, Backend], ids=lambda kind: kind.__name__
)
def test_what_the_page_says_that_there_is_is_there(kind):
    """And no method that Celery does not have goes unnamed."""
    own = {
        name
        for name, value in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, classmethod))
    }

    assert {name for name in own - HANDED_DOWN if f"{name}" not in PAGE} <= NOT_ON_THE_PAGE[kind.__name__]


NOT_ON_THE_PAGE = {
    "AsyncResult": {"throw", "build_graph", "iterdeps"},
    "ResultSet": {"exists", "successful", "value_ids"},
    "GroupResult": set(),
    "Backend": {"get_status"},
}
