"""The real units under a systemd of their own: booted in systemd-nspawn, on a root of its own, with no network.

Slow, and for root only: it runs with BACKBEAT_NSPAWN=1 (`make test-all`). What it cannot do here it says as the reason of its skip. The
root is a minimal Debian tree (about 290 MB, made once by debootstrap; BACKBEAT_NSPAWN_ROOT names another place for it), which is never
written to: each boot works on an overlay in memory. Python and packages are those that run the tests, bound in read-only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from support.processes import wait_until

ROOT = Path(__file__).parents[3]
TREE = Path(os.environ.get("BACKBEAT_NSPAWN_ROOT", ROOT / ".cache" / "nspawn"))
MIRROR = os.environ.get("BACKBEAT_NSPAWN_MIRROR", "http://deb.debian.org/debian")
PACKAGES = "systemd,systemd-sysv,dbus,python3-minimal,libpython3-stdlib,ca-certificates"
SECONDS = 60.0
BEAT, WORKER = "backbeat-beat.service", "backbeat-worker@celery.service"
SECRET = "sqlite:////var/lib/backbeat/backbeat.db"
TASKS = """
from backbeat.canvas import App
app = App("demo")
@app.task(name="ran")
def ran():
    with open("/var/lib/backbeat/ran", "a") as file:
        file.write("x")
"""
SCHEDULES = "schedules: {fast: {every: 1s, task: ran}}\n"

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.environ.get("BACKBEAT_NSPAWN") != "1",
        reason="NOT BOOTED: the units under systemd-nspawn, which is slow and needs root: BACKBEAT_NSPAWN=1",
    ),
]


class Machine:
    """A booted tree. `run` is a command in it."""

    def __init__(self, work: Path) -> None:
        self._console = (work / "console").open("wb")
        binds = {
            **_python(),
            sysconfig.get_path("purelib"): "/opt/backbeat/site",
            str(ROOT / "canvas"): "/opt/backbeat/src/backbeat/canvas",
            str(ROOT / "scheduler"): "/opt/backbeat/src/backbeat/scheduler",
            str(ROOT / "systemd"): "/opt/backbeat/src/backbeat/systemd",
            str(_program(work)): "/opt/backbeat/bin",
        }
        self._process = subprocess.Popen(
            [
                "systemd-nspawn",
                f"--directory={TREE}",
                "--volatile=overlay",
                "--boot",
                "--register=no",
                "--keep-unit",
                "--private-network",
                "--console=pipe",
                f"--machine=backbeat-{os.getpid()}",
                *(f"--bind-ro={source}:{target}" for source, target in binds.items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
        )
        self._console_path = work / "console"
        self._init: int | None = None

    def boot(self) -> None:
        """Wait until its systemd has started everything."""
        wait_until(self._is_up, SECONDS, what=self.console)

    def console(self) -> str:
        """What it wrote while it booted."""
        return f"a booted machine; its console:\n{self._console_path.read_text(errors='replace')[-2000:]}"

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            said = self._console_path.read_text(errors="replace")[-300:]
            pytest.skip(f"NOT BOOTED: systemd-nspawn cannot run here: {said}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children or not _is_inside(children[0]):
            return False
        self._init = int(children[0])
        return self.run("systemctl is-system-running", check=False).stdout.strip() in {"running", "degraded"}

    def run(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A shell command inside."""
        inside = ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-n", "-p", "--", "sh", "-c", command]
        answer = subprocess.run(inside, capture_output=True, text=True, timeout=SECONDS)
        assert not check or answer.returncode == 0, (
            f"{command}: {answer.stdout}{answer.stderr}\n{self._log()}"
        )
        return answer

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run(f"systemctl show --value -p {name} '{unit}'").stdout.strip()

    def journal(self, unit: str) -> str:
        """What a unit wrote."""
        return self.run(f"journalctl -u '{unit}' --no-pager -o cat").stdout

    def write(self, path: str, text: str) -> None:
        """A file inside."""
        self.run(f"mkdir -p $(dirname {path}) && cat > {path} <<'END'\n{text}\nEND")

    def _log(self) -> str:
        return self.run("journalctl --no-pager -n 40 -o cat", check=False).stdout

    def close(self) -> None:
        """Switch it off."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._console.close()


def _is_inside(pid: str) -> bool:
    """Whether a process is in namespaces of its own: at first there is a helper of nspawn's, and a command in its would be one out here."""
    try:
        return all(
            Path(f"/proc/{pid}/ns/{kind}").readlink() != Path(f"/proc/self/ns/{kind}").readlink()
            for kind in ("pid", "mnt", "uts")
        )
    except OSError:  # it has ended
        return False


def _python() -> dict[str, str]:
    """What to bind so that the Python of these tests runs inside."""
    if sys.base_prefix == "/usr":
        pytest.skip("NOT BOOTED: this Python is the system's own, and its /usr cannot be put into the tree")
    return {sys.base_prefix: "/opt/python"}


def _program(work: Path) -> Path:
    """A directory with `backbeat`."""
    folder = work / "bin"
    folder.mkdir()
    (folder / "backbeat").write_text(
        "#!/bin/sh\n"
        "export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/backbeat/site:/opt/backbeat/src PYTHONDONTWRITEBYTECODE=1\n"
        'exec /opt/python/bin/python3 -m backbeat.scheduler.cli "$@"\n'
    )
    (folder / "backbeat").chmod(0o755)
    return folder


def _make_tree() -> None:
    if (TREE / "usr/lib/systemd/systemd").exists():
        return
    made = TREE.with_name(f"{TREE.name}.making")
    shutil.rmtree(made, ignore_errors=True)
    made.parent.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(made), MIRROR]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:
        pytest.skip(f"NOT BOOTED: debootstrap failed: {answer.stdout[-300:]}{answer.stderr[-300:]}")
    made.rename(TREE)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("NOT BOOTED: systemd-nspawn needs root")
    for tool in ("systemd-nspawn", "debootstrap", "nsenter"):
        if shutil.which(tool) is None:
            pytest.skip(f"NOT BOOTED: there is no {tool} (apt-get install systemd-container debootstrap)")
    _make_tree()
    work = tmp_path_factory.mktemp("nspawn")
    booted = Machine(work)
    try:
        booted.boot()
        booted.run("/opt/backbeat/bin/backbeat systemd install")
        booted.write("/opt/backbeat/app/tasks.py", TASKS)
        booted.write("/etc/backbeat/schedules.yaml", SCHEDULES)
        booted.run("install -d -m 0700 /etc/credstore")
        booted.write("/etc/credstore/backbeat.broker_url", SECRET)
        booted.run("chmod 0600 /etc/credstore/*")
        booted.write("/etc/systemd/system/backbeat-beat.service.d/test.conf", "[Service]\nWatchdogSec=6")
        booted.run("systemctl daemon-reload")
        yield booted
    finally:
        booted.close()


@pytest.fixture
def beat(machine):
    """A beat and a worker that run, with the schedules that they began with."""
    machine.write("/etc/backbeat/schedules.yaml", SCHEDULES)
    machine.run(f"systemctl reset-failed; systemctl start {BEAT} '{WORKER}'")
    yield machine
    machine.run(f"systemctl stop {BEAT} '{WORKER}'", check=False)


def ran(machine):
    return len(machine.run("cat /var/lib/backbeat/ran", check=False).stdout)


def test_start_returns_when_the_role_is_known_and_tasks_run(beat):
    assert beat.show(BEAT, "ActiveState") == "active"
    wait_until(lambda: "leading, epoch" in beat.show(BEAT, "StatusText"), SECONDS)
    before = ran(beat)
    wait_until(lambda: ran(beat) > before, SECONDS)


def test_they_run_as_an_account_that_systemd_made_up_and_keep_their_state_to_themselves(beat):
    pid = beat.show(BEAT, "MainPID")

    uid = int(beat.run(f"stat -c %u /proc/{pid}").stdout)
    modes = beat.run(
        "stat -c '%a %u' /var/lib/private/backbeat /var/lib/private/backbeat/backbeat.db"
    ).stdout.split("\n")

    assert 61184 <= uid <= 65519  # systemd's range for DynamicUser
    assert modes[:2] == [f"700 {uid}", f"600 {uid}"]


def test_the_secret_is_in_no_environment_and_no_command_line(beat):
    for unit in (BEAT, WORKER):
        pid = beat.show(unit, "MainPID")
        seen = beat.run(f"cat /proc/{pid}/environ /proc/{pid}/cmdline").stdout
        assert "CREDENTIALS_DIRECTORY" in seen
        assert SECRET not in seen


def test_both_are_in_one_slice(beat):
    assert beat.show(BEAT, "ControlGroup").startswith("/backbeat.slice/")
    assert beat.show(WORKER, "ControlGroup").startswith("/backbeat.slice/")


def test_a_reload_applies_new_schedules_and_keeps_the_old_ones_where_the_new_are_wrong(beat):
    beat.write(
        "/etc/backbeat/schedules.yaml",
        "schedules: {fast: {every: 1s, task: ran}, slow: {every: 1h, task: ran}}",
    )
    beat.run(f"systemctl reload {BEAT}")
    wait_until(lambda: "Schedules applied: 1 changes" in beat.journal(BEAT), SECONDS)

    beat.write("/etc/backbeat/schedules.yaml", "schedules: {fast: {every: never, task: ran}}")
    beat.run(f"systemctl reload {BEAT}")
    wait_until(
        lambda: "problems in the schedules, the old ones stay" in beat.show(BEAT, "StatusText"), SECONDS
    )

    assert beat.show(BEAT, "ActiveState") == "active"
    before = ran(beat)
    wait_until(lambda: ran(beat) > before, SECONDS)


def test_a_beat_that_is_killed_is_started_again_and_leads_at_the_next_epoch(beat):
    old = beat.show(BEAT, "MainPID")
    epoch = int(beat.show(BEAT, "StatusText").split("epoch ")[1].split(";")[0])

    beat.run(f"kill -KILL {old}")

    wait_until(lambda: f"leading, epoch {epoch + 1}" in beat.show(BEAT, "StatusText"), SECONDS)
    assert beat.show(BEAT, "MainPID") != old


def test_a_beat_that_is_stopped_by_a_signal_is_ended_by_the_watchdog_and_started_again(beat):
    old = beat.show(BEAT, "MainPID")

    beat.run(f"kill -STOP {old}")

    wait_until(lambda: beat.show(BEAT, "MainPID") not in {old, "0"}, SECONDS)
    wait_until(lambda: "leading, epoch" in beat.show(BEAT, "StatusText"), SECONDS)
    assert "watchdog" in beat.run(f"journalctl -u {BEAT} --no-pager").stdout.lower()


def test_a_beat_that_runs_is_fed_to_the_watchdog_for_longer_than_its_period(beat):
    pid, seen = beat.show(BEAT, "MainPID"), set()

    wait_until(lambda: len(seen.add(beat.show(BEAT, "WatchdogTimestampMonotonic")) or seen) > 5, SECONDS)

    assert beat.show(BEAT, "MainPID") == pid


def test_the_target_stops_both_in_good_order(beat):
    beat.run("systemctl stop backbeat.target")

    for unit in (BEAT, WORKER):
        wait_until(lambda unit=unit: beat.show(unit, "ActiveState") == "inactive", 20.0)
        assert beat.show(unit, "Result") == "success"


def test_an_error_of_the_configuration_is_not_tried_again(machine):
    machine.write("/etc/credstore/backbeat.store", "redis://localhost")
    try:
        machine.run(f"systemctl start {BEAT}", check=False)
        wait_until(lambda: machine.show(BEAT, "ActiveState") == "failed", SECONDS)
        assert machine.show(BEAT, "ExecMainStatus") == "2"
        assert machine.show(BEAT, "NRestarts") == "0"
    finally:
        machine.run(f"rm /etc/credstore/backbeat.store; systemctl reset-failed {BEAT}")
