"""`backbeat init`: what it writes is checked by all that checks such files, and what is there stays."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from backbeat.scheduler.cli import main
from backbeat.scheduler.cli.main import COMMANDS
from backbeat.scheduler.unit import units
from click import Group
from click.testing import CliRunner
from jsonschema import Draft7Validator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    """A new project."""
    directory = tmp_path / "shop"
    answer = run("init", str(directory))
    assert answer.exit_code == 0, answer.output
    return directory


def run(*arguments):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def there(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def services(project):
    return yaml.safe_load((project / "compose.yaml").read_text())["services"]


def parsed(arguments):
    """The command that the command line understands by these words; what it does not understand is an error of click's."""
    assert isinstance(main, Group)
    context = main.make_context("backbeat", list(arguments))
    name, command, rest = main.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None
    command.make_context(name, rest, parent=context)
    return name


def test_it_says_what_it_wrote_and_what_comes_next(tmp_path):
    answer = run("init", str(tmp_path / "my shop"))

    written = re.findall(r"(?m)^wrote .*/my shop/(.+)$", answer.output)
    assert answer.exit_code == 0
    assert set(written) == there(tmp_path / "my shop")
    assert {"schedules.yaml", "tasks.py", "compose.yaml", "Dockerfile", "README.md", ".gitignore"} <= set(
        written
    )
    assert answer.output.endswith(f"next:\n  cd '{tmp_path}/my shop'\n  backbeat dev\n")


def test_the_app_is_called_as_the_directory_is(tmp_path):
    run("init", str(tmp_path / "my shop"))

    assert 'app = App("my-shop")' in (tmp_path / "my shop" / "tasks.py").read_text()
    assert (tmp_path / "my shop" / "README.md").read_text().startswith("# my-shop\n")


def test_what_is_there_stays_and_is_named(tmp_path):
    (tmp_path / "tasks.py").write_text("mine")
    (tmp_path / ".gitignore").symlink_to(tmp_path / "nowhere")

    answer = run("init", str(tmp_path))
    again = run("--json", "init", str(tmp_path))

    assert answer.exit_code == 0
    assert (tmp_path / "tasks.py").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert f"kept  {tmp_path}/tasks.py, which is there already\n" in answer.output
    assert f"wrote {tmp_path}/schedules.yaml\n" in answer.output
    assert json.loads(again.output)["written"] == []
    assert set(json.loads(again.output)["kept"]) == there(tmp_path) | {".gitignore"}


def test_without_a_directory_it_writes_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    answer = run("init")

    assert answer.output.endswith("next:\n  backbeat dev\n")
    assert (tmp_path / "schedules.yaml").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_a_directory_is_refused_in_one_sentence(tmp_path, place):
    (tmp_path / "file").write_text("")

    answer = run("init", str(tmp_path / place))

    assert answer.exit_code == 1
    assert re.fullmatch(rf"backbeat: error: {tmp_path}/file.*\n", answer.output)


def test_check_finds_nothing_in_it(project):
    answer = run("--workdir", str(project), "-A", "tasks", "check", "--tasks", "--strict")

    assert answer.output == "4 schedules, no problems\n"
    assert answer.exit_code == 0


def test_its_schedules_show_every_way_to_say_when(project):
    given = yaml.safe_load((project / "schedules.yaml").read_text())["schedules"].values()

    assert {"every", "cron", "at"} <= {key for schedule in given for key in schedule}
    assert any("chain" in schedule for schedule in given)


def test_an_editor_finds_the_schema_beside_the_file_and_it_accepts_the_file(project):
    text = (project / "schedules.yaml").read_text()
    match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert match is not None
    schema = json.loads((project / match[1]).read_text())

    Draft7Validator.check_schema(schema)
    loaded = yaml.load(text, yaml.BaseLoader)  # a date is a text to an editor
    wrong = {**loaded, "schedules": {"a": {"evry": "1s"}}}
    assert list(Draft7Validator(schema).iter_errors({**loaded, "version": 1})) == []
    assert list(Draft7Validator(schema).iter_errors({**wrong, "version": 1})) != []


def test_its_units_are_those_that_systemd_print_prints(project):
    found = {path.name: path.read_text() for path in (project / "systemd").iterdir()}
    readme = found.pop("README.md")

    assert found == {unit.name: unit.text for unit in units()}
    assert readme == (ROOT / "systemd" / "README.md").read_text()


def test_the_compose_file_has_two_beats_a_worker_and_their_servers(project):
    found = services(project)

    assert found["beat"]["deploy"] == {"replicas": 2}
    assert {"beat", "worker", "redis", "postgres"} <= found.keys()
    assert {name for name, each in found.items() if "healthcheck" not in each} == set()
    assert {"BACKBEAT_BROKER_URL", "BACKBEAT_STORE"} == found["beat"]["environment"].keys()


def test_the_dashboard_is_in_the_compose_file_when_there_is_one(project):
    assert ("web" in services(project)) == ("web" in COMMANDS)


def test_the_command_line_understands_what_the_compose_file_starts_and_asks(project):
    ours = {name: each for name, each in services(project).items() if "build" in each}

    assert ours.keys() >= {"beat", "worker"}
    for name, each in ours.items():
        kind, program, *question = each["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "backbeat")
        assert parsed(question) == "health"
        assert parsed(each["command"]) == name
        assert question[question.index("--url") + 1].endswith(each["command"][-1])
        assert each["ports"] == ["127.0.0.1:8787:8787"] if name == "web" else "ports" not in each


def test_the_image_has_one_entry_point_and_is_not_root(project):
    lines = (project / "Dockerfile").read_text().splitlines()

    assert 'ENTRYPOINT ["backbeat"]' in lines
    assert lines.index("USER backbeat") < lines.index('ENTRYPOINT ["backbeat"]')
    assert any(line.startswith("ENV BACKBEAT_APP=tasks") for line in lines)


@pytest.mark.parametrize("tool", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy", "--strict"]])
def test_its_tasks_please_ruff_and_mypy(project, tool):
    ruff = ["--config", str(ROOT / "pyproject.toml")] if tool[0] == "ruff" else []
    ignored = ["--ignore", "INP001"] if tool == ["ruff", "check"] else []

    answer = subprocess.run(
        [sys.executable, "-m", *tool, *ruff, *ignored, "tasks.py"],
        cwd=project,
        capture_output=True,
        text=True,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr
