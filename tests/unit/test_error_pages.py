"""docs/errors: each code that the sources can print has a page, each page a code; and a page's example prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from backbeat.scheduler.files import parse

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "errors"
CODE = re.compile(r'"([EW]\d{3})"')
BLOCK = re.compile(r"```(yaml|text)\n(.*?)```", re.DOTALL)
TOLD_ELSEWHERE = {"E100", "E170", "W170", "W171", "W185"}
"""Those that need a file that is no text, an app, or a date: shown in tests of the loader and of `check`."""


def codes() -> set[str]:
    found = set()
    for path in (ROOT / "scheduler").rglob("*.py"):
        found |= set(CODE.findall(path.read_text(encoding="utf-8")))
    return found


def pages() -> list[str]:
    return sorted(path.stem for path in PAGES.glob("*.md") if path.name != "README.md")


def test_every_code_has_a_page_and_no_page_is_orphaned():
    assert set(pages()) == codes()


def test_the_index_names_every_page_with_its_title():
    index = (PAGES / "README.md").read_text(encoding="utf-8")

    listed = dict(re.findall(r"^\| \[([EW]\d{3})\]\(\1\.md\) \| (.*) \|$", index, re.MULTILINE))

    titles = {page: (PAGES / f"{page}.md").read_text(encoding="utf-8").splitlines()[0] for page in pages()}
    assert {page: f"# {page}: {title}" for page, title in listed.items()} == titles


@pytest.mark.parametrize("page", [page for page in pages() if page not in TOLD_ELSEWHERE])
def test_the_example_of_a_page_gives_the_text_of_the_page_and_the_cure_gives_none(page):
    blocks = BLOCK.findall((PAGES / f"{page}.md").read_text(encoding="utf-8"))

    assert [kind for kind, _ in blocks] == ["yaml", "text", "yaml"]
    (_, wrong), (_, shown), (_, right) = blocks
    loaded = parse(wrong, "schedules.yaml", {})
    assert [problem.code for problem in loaded.problems] == [page]
    assert "".join(f"{problem.render()}\n" for problem in loaded.problems) == shown
    assert [problem.render() for problem in parse(right, "schedules.yaml", {}).problems] == []
