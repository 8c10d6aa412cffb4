"""`backbeat check` and `backbeat schema`, as they are called: files, formats, exit codes, and an app that is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from backbeat.scheduler.cli import main
from backbeat.scheduler.files.schema import schedules_schema
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
GOOD = "schedules:\n  ping: {task: ops.ping, every: 5m}\n"
WARNED = "schedules:\n  ping: {task: ops.ping, every: 7m}\n"
WRONG = "schedules:\n  ping: {task: ops.ping, every: 5x}\n"
APP = """\
from backbeat.canvas import App

app = App("ops", broker="memory://")


@app.task(name="ops.ping")
def ping(host="localhost"):
    pass
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def check(*arguments: str, before: tuple[str, ...] = ()):
    return CliRunner().invoke(main, [*before, "check", *arguments], catch_exceptions=False)


def write(text: str, name: str = "schedules.yaml") -> str:
    Path(name).write_text(text)
    return name


def test_a_good_file_is_no_problem_and_exits_with_0():
    write(GOOD)

    result = check()

    assert (result.exit_code, result.stdout) == (0, "1 schedule, no problems\n")


def test_a_file_may_be_named_as_other_commands_want_it():
    write(WRONG)

    result = check("-s", write(GOOD, "good.yaml"))

    assert (result.exit_code, result.stdout) == (0, "1 schedule, no problems\n")


def test_errors_exit_with_2_and_are_told_on_standard_error():
    result = check(write(WRONG))

    assert result.exit_code == 2
    assert result.stderr.startswith('schedules.yaml:2:33: error E160: ping: "5x" is not a duration\n')
    assert result.stdout == "0 schedules, 1 error, 0 warnings\n"


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--strict",), 1)])
def test_warnings_exit_with_1_only_if_strict(arguments, code):
    result = check(write(WARNED), *arguments)

    assert result.exit_code == code
    assert "warning W183" in result.stderr
    assert result.stdout == "1 schedule, 0 errors, 1 warning\n"


def test_a_file_that_is_not_there_is_an_error():
    result = check("none.yaml")

    assert result.exit_code == 2
    assert "none.yaml:1:1: error E100: cannot be read: No such file or directory" in result.stderr


def test_a_name_in_two_files_is_an_error_at_its_second_place():
    result = check(write(GOOD, "a.yaml"), write("\n" + GOOD, "b.yaml"))

    assert result.exit_code == 2
    assert 'b.yaml:3:3: error E110: ping: duplicate schedule "ping" (first in a.yaml:2)' in result.stderr


@pytest.mark.parametrize(("before", "arguments"), [((), ("--format", "json")), (("--json",), ())])
def test_json_is_for_editors(before, arguments):
    result = check(write(WRONG), *arguments, before=before)

    told = json.loads(result.stdout)
    assert result.exit_code == 2
    assert told["schedules"] == 0
    assert [(each["code"], each["line"], each["column"]) for each in told["problems"]] == [("E160", 2, 33)]
    assert told["second_opinions"] == []


def test_github_gets_annotations_with_their_reserved_characters_escaped():
    name = write("schedules:\n  100%:\n    task: a\n    every: 5x\n", "a,b.yaml")

    result = check(name, "--format", "github")

    assert result.stdout.splitlines() == [
        '::error file=a%2Cb.yaml,line=4,col=12,title=E160::100%25: "5x" is not a duration%0Ahelp: 30s, 5m, 1h30m, 2h, 1d',
        "0 schedules, 1 error, 0 warnings",
    ]
    assert result.exit_code == 2


def test_tasks_are_looked_up_in_the_app():
    write(APP, "right_app.py")
    write(
        "schedules:\n"
        "  one: {task: ops.ping, every: 5m}\n"
        "  two: {task: ops.pign, every: 5m}\n"
        "  three: {task: ops.ping, every: 5m, args: [1, 2]}\n"
    )

    result = check("--tasks", before=("-A", "right_app"))

    told = [line for line in result.stderr.splitlines() if "schedules.yaml:" in line or "help:" in line]
    assert told == [
        'schedules.yaml:3:15: error E170: two: the app has no task "ops.pign"',
        'help: did you mean "ops.ping"?',
        "schedules.yaml:4:44: warning W171: three: the arguments do not fit ops.ping: too many positional arguments",
        "help: it is called as ping(host='localhost')",
    ]
    assert result.exit_code == 2


def test_an_app_that_cannot_be_imported_is_a_warning():
    write("import nothing_of_this_name\n", "broken_app.py")
    write(GOOD)

    result = check("--tasks", before=("-A", "broken_app"))

    assert result.exit_code == 0
    assert (
        "schedules.yaml:1:1: warning W170: the app broken_app cannot be imported, so names of tasks are not checked: "
        "module broken_app cannot be imported"
    ) in result.stderr
    assert check("--tasks", "--strict", before=("-A", "broken_app")).exit_code == 1


def test_tasks_without_an_app_is_a_usage_error():
    write(GOOD)

    result = check("--tasks")

    assert result.exit_code == 2
    assert "--tasks needs the app" in result.stderr


def test_the_sample_of_this_repository_is_right_with_its_app(monkeypatch):
    monkeypatch.chdir(ROOT)

    result = check("--tasks", "--strict", "schedules.yaml", before=("-A", "examples.sample"))

    assert (result.exit_code, result.stderr) == (0, "")


def test_the_schema_is_printed_or_written():
    printed = CliRunner().invoke(main, ["schema"], catch_exceptions=False)
    written = CliRunner().invoke(main, ["schema", "--output", "schema.json"], catch_exceptions=False)
    refused = CliRunner().invoke(main, ["schema", "--output", "no/such/folder.json"])

    assert json.loads(printed.stdout) == schedules_schema()
    assert (written.exit_code, written.stdout) == (0, "")
    assert json.loads(Path("schema.json").read_text()) == schedules_schema()
    assert refused.exit_code == 2
    assert "no/such/folder.json cannot be written: No such file or directory" in refused.output


def test_a_process_ends_with_the_exit_code():
    write(WRONG)

    done = subprocess.run(
        [sys.executable, "-m", "backbeat.scheduler.cli", "check"], capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout) == (2, "0 schedules, 1 error, 0 warnings\n")


@pytest.mark.parametrize(
    "when",
    [
        "at: 2020-01-01T00:00",
        "every: 5m\n    end: 2020-01-01T00:00",
        'cron: "0 0 0 1 1 ? 2020"\n    cron_fields: 7',
        'cron: "30 2 * 3 sunL"\n    timezone: Europe/Berlin\n    dst: skip',
    ],
)
def test_a_schedule_that_never_fires_again_is_told(tmp_path, monkeypatch, when):
    monkeypatch.chdir(tmp_path)
    text = f"schedules:\n  ping:\n    task: t\n    {when}\n"
    (tmp_path / "schedules.yaml").write_text(text)

    answer = CliRunner().invoke(main, ["check", "--strict"])

    assert answer.exit_code == 1
    assert (
        "schedules.yaml:2:3: warning W185: ping: it has no fire time left: it never fires again"
        in answer.output
    )
    (tmp_path / "schedules.yaml").write_text(text + "    enabled: false\n")
    assert "W185" not in CliRunner().invoke(main, ["check", "--strict"]).output


def test_every_may_be_written_in_capitals(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schedules.yaml").write_text('schedules:\n  ping: {task: t, cron: "@EVERY 5m"}\n')

    answer = CliRunner().invoke(main, ["check", "--strict"])

    assert answer.exit_code == 0, answer.output
