"""`backbeat completion`: its script in real shells, and what the command line answers when a shell asks."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from backbeat.scheduler.cli import main
from backbeat.scheduler.cli.completion import VARIABLE
from backbeat.scheduler.entry import Entry
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.schedules import Schedules
from backbeat.scheduler.store.wiring import open_store
from click.shell_completion import ShellComplete

FILE = "schedules:\n  clean-up: {task: ops.clean, every: 5m}\n  report: {task: ops.report, every: 1h}\n"
ASK_BASH = """\
source ./script
COMP_WORDS=({words}) COMP_CWORD={place}
_backbeat_completion backbeat
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def ask(tmp_path):
    """What comes after this line, as a shell shows it; and nothing is written to standard error."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "backbeat"
    program.symlink_to(
        Path(sys.executable).with_name("backbeat")
    )  # the name is what the shell's variable derives from
    place = tmp_path / "project"
    place.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BACKBEAT_")}
    environ = {**kept, "PATH": f"{programs}:{kept['PATH']}", "HOME": str(tmp_path)}

    def told(*command, **more):
        answer = subprocess.run(command, cwd=place, env={**environ, **more}, capture_output=True, text=True)
        assert (answer.returncode, answer.stderr) == (0, "")
        return answer.stdout

    def run(line, *, shell="bash"):
        (place / "script").write_text(told(program, "completion", shell))
        words = line.split(" ")
        match shell:
            case "bash":
                quoted = " ".join(word or "''" for word in words)
                script = ASK_BASH.format(words=quoted, place=len(words) - 1)
                shown = told("bash", "--norc", "-c", script)
            case "fish":
                script = f"source ./script; complete -C {shlex.quote(line)}"
                shown = told("fish", "--no-config", "-c", script)
        return [each.split("\t")[0] for each in shown.split("\n") if each]

    run.told = told
    run.program = program
    run.place = place
    return run


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the command line answers to a line in this process, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BACKBEAT_STORE", raising=False)

    def answer(line):
        _, *words = line.split(" ")
        asked = ShellComplete(main, {}, "backbeat", VARIABLE)
        return [each.value for each in asked.get_completions(words[:-1], words[-1])]

    return answer


def with_schedules(place, *names):
    """A store with these schedules; its URL."""
    url = f"sqlite:///{place}/store.db"
    with Schedules(open_store(url, cluster=None, otherwise="backbeat", make=True)) as schedules:
        for name in names:
            schedules.add_entry(
                Entry(name=name, when=Interval(every=timedelta(minutes=5)), what={"task": "ops.ping"})
            )
    return url


def require(shell):
    """Skips loudly where there is no such shell; bash is everywhere where the tests run by rule."""
    if shutil.which(shell) is None:
        text = f"NO {shell.upper()}: its completion was not tried in it (apt-get install {shell})"
        if shell == "bash" and os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_completes_commands_options_and_names(ask, shell):
    require(shell)
    (ask.place / "schedules.yaml").write_text(FILE)

    assert ask("backbeat schedu", shell=shell) == ["schedules"]
    assert ask("backbeat schedules pau", shell=shell) == ["pause"]
    assert "--from-store" in ask("backbeat next --from", shell=shell)
    assert ask("backbeat schedules pause ", shell=shell) == ["clean-up", "report"]


def test_zsh_can_read_its_script(ask):
    require("zsh")
    (ask.place / "script").write_text(ask.told(ask.program, "completion", "zsh"))

    assert ask.told("zsh", "-n", "./script") == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_asks_by_a_variable_that_the_program_answers(ask, shell):
    (ask.place / "schedules.yaml").write_text(FILE)
    script = ask.told(ask.program, "completion", shell)
    words = {"COMP_WORDS": "backbeat schedules pause re", "COMP_CWORD": "re" if shell == "fish" else "3"}

    answer = ask.told(ask.program, _BACKBEAT_COMPLETE=f"{shell}_complete", **words)

    assert f"_BACKBEAT_COMPLETE={shell}_complete" in script
    assert "report" in re.split(r"[,\s]", answer)
    assert "clean-up" not in answer


@pytest.mark.parametrize(
    "line",
    [
        "backbeat schedules show re",
        "backbeat schedules pause clean-up re",
        "backbeat schedules history re",
        "backbeat schedules change re",
        "backbeat schedules run-now re",
        "backbeat schedules backfill re",
        "backbeat schedules skip-next re",
        "backbeat schedules list re",
        "backbeat next re",
        "backbeat simulate re",
        "backbeat explain re",
        "backbeat audit re",
    ],
)
def test_a_command_that_takes_a_schedule_completes_its_name(names, line, tmp_path):
    (tmp_path / "schedules.yaml").write_text(FILE)

    assert names(line) == ["report"]


def test_names_come_from_the_files_that_are_named(names, tmp_path):
    (tmp_path / "schedules.yaml").write_text(FILE)
    (tmp_path / "other.yaml").write_text(FILE.replace("report", "re-index"))

    assert names("backbeat next -s other.yaml re") == ["re-index"]


def test_names_come_from_the_store_too(names, tmp_path):
    url = with_schedules(tmp_path, "re_build", "rexbuild", "other")
    (tmp_path / "schedules.yaml").write_text(FILE)

    assert names(f"backbeat --store {url} schedules pause re") == ["re_build", "report", "rexbuild"]
    assert names(f"backbeat --store {url} schedules pause re_") == ["re_build"]


@pytest.mark.parametrize(
    "url", ["sqlite:///none.db", "postgresql://postgres@127.0.0.1:1/none", "nonsense", "memory://"]
)
def test_a_store_that_does_not_answer_costs_its_own_names_only(names, url, tmp_path, monkeypatch, capfd):
    (tmp_path / "schedules.yaml").write_text(FILE)

    monkeypatch.setenv("BACKBEAT_STORE", url)

    assert names("backbeat schedules pause re") == ["report"]
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "none.db").exists()


def test_a_file_with_errors_has_the_names_that_can_be_read(names, tmp_path):
    (tmp_path / "schedules.yaml").write_text(FILE + "  rest: {task: ops.rest, every: 5x}\n")

    assert "report" in names("backbeat schedules pause re")


def test_what_is_no_file_at_all_has_no_names_and_no_error(names, tmp_path):
    (tmp_path / "schedules.yaml").write_text("]{")

    assert names("backbeat schedules pause re") == []


def test_no_app_is_imported(names, tmp_path):
    (tmp_path / "schedules.yaml").write_text(FILE)
    (tmp_path / "shop.py").write_text("raise SystemExit('imported')")

    assert names("backbeat -A shop schedules pause re") == ["report"]
    assert "shop" not in sys.modules
