"""The units that we ship, as systemd reads them. It is not booted here: `systemd-analyze` judges the files."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from backbeat.scheduler.cli import main
from backbeat.scheduler.unit import units
from click import Group
from click.testing import CliRunner

UNITS = Path(__file__).parents[2] / "systemd"
NAMES = ("backbeat-beat.service", "backbeat-worker@.service")
PROGRAM = "/opt/backbeat/bin/backbeat"
EXPOSURE = {"backbeat-beat.service": 12, "backbeat-worker@.service": 12}
"""Tenths on systemd's scale of 0 to 10: higher than this fails. Nine and a half is what a unit without any wall has."""
COMMON = {
    "Type": ["notify"],
    "NotifyAccess": ["main"],
    "WatchdogSec": ["30"],
    "Restart": ["on-failure"],
    "RestartSec": ["1"],
    "RestartPreventExitStatus": ["2"],
    "KillMode": ["mixed"],
    "StateDirectory": ["backbeat"],
    "StateDirectoryMode": ["0700"],
    "User": ["backbeat"],
    "NoNewPrivileges": ["yes"],
    "LoadCredential": ["backbeat.broker_url", "backbeat.result_backend", "backbeat.store"],
    "Slice": ["backbeat.slice"],
}


@pytest.fixture
def analyze(tmp_path):
    """Runs systemd-analyze on copies of the units whose program exists."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        text = "NO SYSTEMD-ANALYZE: the units were not verified (apt-get install systemd)"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)

    def run(*arguments, name, add=""):
        copy = tmp_path / name
        copy.write_text((UNITS / name).read_text().replace(PROGRAM, "/bin/true") + add)
        return subprocess.run([tool, *arguments, str(copy)], capture_output=True, text=True, cwd=tmp_path)

    return run


def settings(name):
    """section -> key -> its values, in order."""
    found = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in (UNITS / name).read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif line and line[0] not in "#;":
            key, _, value = line.partition("=")
            found[section][key].append(value)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_nothing_wrong_with_a_unit(analyze, name):
    answer = analyze("verify", "--man=no", name=name)

    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


@pytest.mark.parametrize(
    "wrong",
    ["[Service]\nNoSuchSetting=1\n", "[Service]\nWatchdogSec=soon\n", "[Service]\nExecStart=/no/such\n"],
)
def test_systemd_would_find_what_is_wrong(analyze, wrong):
    answer = analyze("verify", "--man=no", name=NAMES[0], add=wrong)

    assert answer.stdout + answer.stderr != ""


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_stays_as_closed_as_it_is(analyze, name):
    level = EXPOSURE[name]

    kept = analyze("security", "--offline=true", "--no-pager", f"--threshold={level}", name=name)
    tighter = analyze("security", "--offline=true", "--no-pager", f"--threshold={level - 1}", name=name)

    assert kept.returncode == 0, kept.stdout
    assert tighter.returncode != 0, f"{name} is more closed than the gate: lower it"


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_says_what_the_documents_promise(name):
    unit = settings(name)

    service = unit["Service"]
    assert {key: service[key] for key in COMMON} == COMMON
    assert unit["Unit"]["StartLimitIntervalSec"] == ["5min"]
    assert unit["Unit"]["StartLimitBurst"] == ["20"]
    assert service["EnvironmentFile"][0] == "-/etc/backbeat/backbeat.env"
    assert "TimeoutStopSec" in service


def test_no_unit_hides_by_what_the_end_of_a_holder_is_known():
    """See scheduler/leader.py: the boot, and for a frozen leader its start time."""
    beat, worker = (settings(name)["Service"] for name in NAMES)

    assert "ProcSubset" not in {**beat, **worker}
    assert "ProtectProc" not in beat


@pytest.mark.parametrize(
    ("name", "key", "commands"),
    [
        (NAMES[0], "ExecStartPre", ["check"]),
        (NAMES[0], "ExecStart", ["beat"]),
        (NAMES[1], "ExecStart", ["worker"]),
    ],
)
def test_the_command_line_understands_what_a_unit_starts(name, key, commands):
    (line,) = settings(name)["Service"][key]
    program, *arguments = shlex.split(line)

    context = main.make_context("backbeat", list(arguments), resilient_parsing=False)
    assert isinstance(main, Group)
    command, sub, rest = main.resolve_command(context, [*context._protected_args, *context.args])
    assert sub is not None
    parsed = sub.make_context(command, rest, parent=context)

    assert program == PROGRAM
    assert [command] == commands
    assert not parsed.args


def test_a_beat_reloads_by_the_signal_that_it_understands():
    (line,) = settings(NAMES[0])["Service"]["ExecReload"]

    assert shlex.split(line) == [
        "/bin/sh",
        "-c",
        "kill -HUP $MAINPID",
    ]  # the shell's own: a minimal system has no /bin/kill
    assert "ExecReload" not in settings(NAMES[1])["Service"]  # SIGHUP would end a worker


def test_a_worker_serves_the_queue_that_its_instance_is_named_after_unless_told_otherwise():
    service = settings(NAMES[1])["Service"]

    assert "BACKBEAT_QUEUES=%i" in service["Environment"]
    assert service["EnvironmentFile"][-1] == "-/etc/backbeat/worker-%i.env"
    assert "-Q ${BACKBEAT_QUEUES} -n %i@%H" in service["ExecStart"][0]


# --- installed -----------------------------------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(main, ["systemd", *map(str, arguments)])


def test_the_units_of_the_package_are_those_of_the_repository():
    files = {path.name: path.read_text() for path in UNITS.iterdir() if path.suffix != ".md"}

    assert {unit.name: unit.text for unit in units()} == files


def test_install_writes_all_units_for_this_host_and_says_what_comes_next(tmp_path):
    answer = run(
        "install", "--prefix", tmp_path / "system", "--program", "/srv/bb/bin/backbeat", "--user", "beat"
    )

    assert answer.exit_code == 0, answer.output
    written = {path.name: path.read_text() for path in (tmp_path / "system").iterdir()}
    assert set(written) == {unit.name for unit in units()}
    assert "ExecStart=/srv/bb/bin/backbeat -A ${BACKBEAT_APP} beat" in written[NAMES[0]]
    assert "\nUser=beat\n" in written[NAMES[0]]
    assert "\nDynamicUser=no\n" in written[NAMES[0]]
    assert "systemctl daemon-reload" in answer.output


def test_a_dry_run_writes_nothing(tmp_path):
    answer = run("install", "--prefix", tmp_path / "system", "--dry-run")

    assert answer.exit_code == 0
    assert f"would write {tmp_path}/system/{NAMES[0]}" in answer.output
    assert not (tmp_path / "system").exists()


def test_install_twice_changes_nothing_and_is_no_error(tmp_path):
    run("install", "--prefix", tmp_path)

    answer = run("install", "--prefix", tmp_path)

    assert (answer.exit_code, "all units are there already" in answer.output) == (0, True)


def test_a_unit_that_somebody_changed_is_overwritten_only_by_force(tmp_path):
    (tmp_path / NAMES[1]).write_text("[Service]\n# mine\n")

    refused = run("install", "--prefix", tmp_path)
    found = sorted(path.name for path in tmp_path.iterdir())
    forced = run("install", "--prefix", tmp_path, "--force")

    assert refused.exit_code == 1
    assert NAMES[1] in refused.output
    assert found == [NAMES[1]]
    assert forced.exit_code == 0
    assert "# mine" not in (tmp_path / NAMES[1]).read_text()


def test_print_shows_one_unit_as_it_would_be_installed():
    answer = run("print", "worker", "--directory", "/srv/app")

    assert "WorkingDirectory=/srv/app\n" in answer.output
    assert answer.output.startswith("# backbeat worker:")


def test_print_shows_all_units_without_a_name():
    answer = run("print")

    assert re.findall(r"(?m)^# --- (.+)$", answer.output) == [unit.name for unit in units()]
