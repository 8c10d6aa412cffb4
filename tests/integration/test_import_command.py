"""`backbeat import` on the command line: where the file goes, where the report goes, and what the exit code says."""

from __future__ import annotations

import json

import pytest
from backbeat.scheduler.cli import main
from backbeat.scheduler.files import parse
from click.testing import CliRunner

GOOD = "0 2 * * * backup --all\n"
BAD = GOOD + "@reboot start\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `backbeat ARGUMENTS` in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, input=None):
        return CliRunner().invoke(main, arguments, input=input)

    return run


def test_a_crontab_from_standard_input_becomes_a_file_on_standard_output(run):
    answer = run("import", "crontab", "-", "--task", "shell.run", "--timezone", "Europe/Berlin", input=GOOD)

    assert answer.exit_code == 0, answer.stderr
    (entry,) = parse(answer.stdout, "schedules.yaml", {}).entries
    assert (entry.name, entry.when.timezone, entry.what["args"]) == (
        "backup-all",
        "Europe/Berlin",
        ["backup --all"],
    )
    assert "1 schedules imported, 0 not" in answer.stderr


def test_what_could_not_be_imported_is_exit_code_1_and_stands_in_file_and_report(run, tmp_path):
    answer = run("import", "crontab", "-", "--task", "shell.run", "-o", "out.yaml", input=BAD)

    assert answer.exit_code == 1
    assert answer.stdout == ""
    assert "line 2: @reboot" in answer.stderr
    assert "# line 2: @reboot" in (tmp_path / "out.yaml").read_text()


def test_a_file_is_replaced_only_by_force(run, tmp_path):
    (tmp_path / "out.yaml").write_text("mine")
    arguments = ("import", "crontab", "-", "--task", "shell.run", "-o", "out.yaml")

    refused = run(*arguments, input=GOOD)
    forced = run(*arguments, "--force", input=GOOD)

    assert (refused.exit_code, forced.exit_code) == (2, 0)
    assert "--force" in refused.stderr
    assert "backup-all" in (tmp_path / "out.yaml").read_text()


def test_json_holds_the_report_and_the_file(run):
    answer = run("--json", "import", "crontab", "-", "--task", "shell.run", input=BAD)

    report = json.loads(answer.stdout)
    assert answer.exit_code == 1
    assert [each["name"] for each in report["schedules"]] == ["backup-all"]
    assert [each["text"] for each in report["not_imported"]] == ["@reboot start"]
    assert parse(report["yaml"], "schedules.yaml", {}).is_applicable


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("import", "celery"), 2, "which Celery app?"),
        (("import", "celery", "-A", "x", "--from", "soon"), 2, '"soon" is not a moment'),
        (("import", "celery", "-A", "x", "--python", "/nowhere/python"), 2, "/nowhere/python cannot be run"),
        (("import", "crontab", "nofile", "--task", "t"), 2, "nofile"),
        (("import", "crontab", "-", "--task", "t", "--timezone", "Mars/Base"), 2, "Mars/Base"),
        (("import", "django", "--database", "sqlite:///nothing.db"), 2, "no file"),
        (("import", "redbeat", "--url", "redis://127.0.0.1:1/0"), 69, "Redis cannot be read"),
        (
            ("import", "django", "--database", "postgresql://x@127.0.0.1:1/x"),
            69,
            "the database cannot be read",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(run, arguments, code, text):
    answer = run(*arguments, input="")

    assert answer.exit_code == code
    assert text in answer.stderr
