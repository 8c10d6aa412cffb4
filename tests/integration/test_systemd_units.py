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
from click import Group

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

    assert line.endswith("kill -HUP $MAINPID")
    assert "ExecReload" not in settings(NAMES[1])["Service"]  # SIGHUP would end a worker


def test_a_worker_serves_the_queue_that_its_instance_is_named_after_unless_told_otherwise():
    service = settings(NAMES[1])["Service"]

    assert "BACKBEAT_QUEUES=%i" in service["Environment"]
    assert service["EnvironmentFile"][-1] == "-/etc/backbeat/worker-%i.env"
    assert "-Q ${BACKBEAT_QUEUES} -n %i@%H" in service["ExecStart"][0]
