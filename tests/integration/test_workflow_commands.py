"""Workflows as people see them: `check`, `explain`, `next`, `schedules list | show | diff | export`, `audit`; and what an edit of one does.

A file is loaded into a SQLite store by a beat of one pass, as a reload does it.
"""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import App
from backbeat.scheduler.cli.main import main
from backbeat.scheduler.files import load, load_all
from backbeat.scheduler.files.fit import fit
from click.testing import CliRunner

FILE = """\
workflows:
  import-feed:
    chain:
      - {task: shop.fetch}
      - {workflow: index}
      - {task: shop.publish, options: {queue: heavy}}
  index:
    group: [{task: shop.index, kwargs: {shard: 0}}, {task: shop.index, kwargs: {shard: 1}}]
defaults: {at: 2099-01-01T00:00}
schedules:
  feed: {workflow: import-feed, on_error: {task: ops.alert}}
  ranks: {chord: {header: [{workflow: index}, {task: shop.rank}], body: {task: shop.merge}}}
  plain: {task: shop.tick}
"""


@pytest.fixture
def bb(tmp_path, monkeypatch):
    """Run a command in a directory with the file."""
    (tmp_path / "schedules.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKBEAT_STORE", f"sqlite:///{tmp_path}/store.db")

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture
def reload(bb, tmp_path):
    """Write the file anew and have a beat take it up."""

    def run(text):
        (tmp_path / "schedules.yaml").write_text(text)
        bb("-q", "-b", "memory://workflow-commands", "beat", "--once", "-s", "schedules.yaml")

    return run


def test_check_counts_workflows(bb, tmp_path):
    assert bb("check").splitlines()[-1] == "3 schedules, 2 workflows, no problems"
    assert json.loads(bb("check", "--format", "json"))["workflows"] == 2
    (tmp_path / "schedules.yaml").write_text(FILE.replace("{workflow: index}, {task: shop.rank}", ""))
    assert "header has no steps" in bb("check", code=2)


def test_check_is_strict_about_a_workflow_that_nothing_starts(bb, tmp_path):
    (tmp_path / "schedules.yaml").write_text(FILE.replace("defaults:", "  lone: {task: t}\ndefaults:"))

    said = bb("check", "--strict", code=1)

    assert 'schedules.yaml:9:3: warning W198: workflow "lone" is not used by any schedule' in said
    assert "3 schedules, 3 workflows, 0 errors, 1 warning" in said


def test_a_file_of_workflows_that_is_included_is_for_many(tmp_path):
    (tmp_path / "lib.yaml").write_text("workflows: {a: {task: t}, b: {task: t}}\n")
    (tmp_path / "more.yaml").write_text("workflows: {c: {task: t}}\nschedules: {x: {task: t, every: 1h}}\n")
    main_file = tmp_path / "s.yaml"
    main_file.write_text("include: [lib.yaml, more.yaml]\nschedules: {y: {workflow: a, every: 1h}}\n")

    loaded = load(main_file, {})

    assert [(each.code, each.file) for each in loaded.problems] == [("W198", str(tmp_path / "more.yaml"))]


def test_workflows_of_two_files_are_each_files_own_for_the_check_against_an_app(tmp_path):
    app = App("two")
    app.task(name="none")(lambda: None)
    app.task(name="one")(lambda value: value)
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text("workflows: {w: {task: none}}\nschedules: {a: {workflow: w, every: 1h}}\n")
    second.write_text(
        "workflows: {w: {task: one}}\nschedules: {b: {chain: [{task: none}, {workflow: w}], every: 1h}}\n"
    )

    loaded = load_all([first, second], {})

    assert loaded.problems == ()
    assert fit(loaded, app.tasks, has_results=True, ignores_results=False) == []


def test_explain_and_next_say_what_is_sent(bb):
    explained = bb("explain", "feed")
    assert "  sends a chain of 3 (workflow import-feed)\n" in explained
    assert "              | shop.index(shard=1)\n" in explained
    assert "  shop.tick" not in bb("explain", "plain")
    assert json.loads(bb("--json", "explain", "ranks"))["what"] == "chord of 2"
    lines = bb("next").splitlines()
    assert lines == [
        "2099-01-01T00:00:00+00:00  feed  chain of 3 (workflow import-feed)",
        "2099-01-01T00:00:00+00:00  plain",
        "2099-01-01T00:00:00+00:00  ranks  chord of 2",
    ]
    assert bb("beat", "--dry-run", "-s", "schedules.yaml").splitlines() == lines


def test_the_store_shows_what_is_sent(bb, reload):
    reload(FILE)

    listed = bb("schedules", "list").splitlines()
    assert [line.split("  ")[0] for line in listed] == ["NAME", "feed", "plain", "ranks"]
    assert "  chain of 3 (workflow import-feed)  " in listed[1]
    assert "  shop.tick  " in listed[2]
    assert "  chord of 2  " in listed[3]
    assert [line["what"] for line in json.loads(bb("--json", "schedules", "list"))] == [
        "chain of 3 (workflow import-feed)",
        "shop.tick",
        "chord of 2",
    ]
    shown = bb("schedules", "show", "feed")
    assert "what:  chain of 3 (workflow import-feed)\n         > shop.fetch\n" in shown
    assert "         on error: ops.alert\n" in shown
    assert "what:" not in bb("schedules", "show", "plain")


def test_an_export_is_a_file_that_sends_the_same(bb, reload, tmp_path):
    reload(FILE)

    (tmp_path / "again.yaml").write_text(bb("schedules", "export"))

    def without_names(what):
        if isinstance(what, dict):
            return {key: without_names(value) for key, value in what.items() if key != "workflow"}
        return [without_names(each) for each in what] if isinstance(what, list) else what

    again, first = (load(tmp_path / name, {}) for name in ("again.yaml", "schedules.yaml"))
    assert again.problems == ()
    sent = {entry.name: without_names(entry.what) for entry in first.entries}
    assert {entry.name: entry.what for entry in again.entries} == sent


def test_an_edit_of_a_named_workflow_is_one_of_each_schedule_that_uses_it(bb, reload, tmp_path):
    reload(FILE)
    edited = FILE.replace("kwargs: {shard: 1}", "kwargs: {shard: 2}")
    (tmp_path / "schedules.yaml").write_text(edited)

    said = bb("schedules", "diff")
    reload(edited)

    same_times = "revised, next 2099-01-01 00:00:00Z -> 2099-01-01 00:00:00Z"
    assert said.splitlines() == [
        f"~ feed: {same_times}",
        "    what: chain of 3 (workflow import-feed)",
        "      -     | shop.index(shard=1)",
        "      +     | shop.index(shard=2)",
        f"~ ranks: {same_times}",
        "    what: chord of 2",
        "      -     | shop.index(shard=1)",
        "      +     | shop.index(shard=2)",
    ]
    audit = bb("audit", "feed")
    assert "reload  feed" in audit
    assert "      +     | shop.index(shard=2)\n" in audit
    revisions = {each["name"]: each["rev"] for each in json.loads(bb("--json", "schedules", "list"))}
    assert revisions == {"feed": 2, "plain": 1, "ranks": 2}


def test_a_workflow_that_breaks_changes_nothing(bb, reload, tmp_path):
    reload(FILE)
    (tmp_path / "schedules.yaml").write_text(FILE.replace("{task: shop.fetch}", "{workflow: import-feed}"))

    assert "E196" in bb("schedules", "diff", code=2)
    assert {each["rev"] for each in json.loads(bb("--json", "schedules", "list"))} == {1}
