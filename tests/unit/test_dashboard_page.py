"""docs/dashboard.md names every option of `backbeat web`, every page and its JSON."""

from __future__ import annotations

from pathlib import Path

from backbeat.scheduler.cli.web import web
from backbeat.scheduler.web.pages.listing import actions, pages
from backbeat.scheduler.web.pages.runs import FIELDS

PAGE = (Path(__file__).parents[2] / "docs" / "dashboard.md").read_text()


def test_every_option_is_named():
    options = {option for each in web.params for option in each.opts if option.startswith("--")}

    assert {option for option in options if option not in PAGE} <= {"--loglevel"}


def test_every_page_and_its_json_are_named():
    served = {path for each in [*pages(), *actions()] for path in (each.path, each.api)}

    assert {path for path in served if f"`{path}`" not in PAGE} == set()


def test_every_filter_of_runs_is_named():
    assert {name for name in FIELDS if f"`{name}`" not in PAGE} == set()
