"""What systemd is told, read from a socket like systemd's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.json_text import NULL
from backbeat.canvas.notify import Notifier
from backbeat.canvas.outcome import Error, Failure, Success
from backbeat.canvas.worker.listener import Listeners
from backbeat.canvas.worker.systemd import SystemdListener as WorkerListener
from backbeat.scheduler.auditor import Audit
from backbeat.scheduler.leader import Term
from backbeat.scheduler.self_audit import Difference, DifferenceKind
from backbeat.scheduler.systemd import SystemdListener as BeatListener
from backbeat.scheduler.vitals import Vitals

from support.service_manager import ServiceManager

DEADLINE_SECONDS = 20.0
TERM = Term("host", 7, 99.0)


class Hands:
    """A monotonic clock that is moved by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def ns(self):
        return int(self.seconds * 1e9)

    def __call__(self):
        return self.seconds


@pytest.fixture(params=["path", "abstract"])
def any_manager(request, tmp_path):
    address = str(tmp_path / "notify") if request.param == "path" else f"@backbeat-test-{os.getpid()}"
    manager = ServiceManager(address)
    yield manager
    manager.close()


@pytest.fixture
def manager(tmp_path):
    manager = ServiceManager(str(tmp_path / "notify"))
    yield manager
    manager.close()


@pytest.fixture
def hands():
    return Hands()


def notifier(manager, hands, watchdog=30.0):
    return Notifier(manager.address, watchdog, monotonic_ns=hands.ns)


def succeeded():
    return Transition(message=None, delivery=None, outcome=Success(value=NULL))


def failed():
    return Transition(message=None, delivery=None, outcome=Failure(error=Error(type="ValueError", text="no")))


# --- the protocol --------------------------------------------------------------------------------------------------------------


def test_every_message_arrives_at_a_path_and_at_an_abstract_socket(any_manager, hands):
    line = notifier(any_manager, hands)

    said = [
        line.ready("leading"),
        line.status("sent 3"),
        line.reloading(),
        line.stopping("bye"),
        line.extend_timeout(30.5),
    ]

    assert all(said)
    assert any_manager.heard() == [
        ["READY=1", "STATUS=leading"],
        ["STATUS=sent 3"],
        ["RELOADING=1", "MONOTONIC_USEC=1000000000"],
        ["STOPPING=1", "STATUS=bye"],
        ["EXTEND_TIMEOUT_USEC=30500000"],
    ]


def test_the_time_of_a_reload_is_that_of_the_clock_that_systemd_reads(manager):
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    Notifier(manager.address).reloading()

    ((_, line),) = manager.heard()
    said = int(line.removeprefix("MONOTONIC_USEC="))
    assert before <= said <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_without_a_socket_nothing_is_said_and_nothing_fails():
    line = Notifier.from_environment({})

    assert not line.listens
    assert line.ready("x")
    assert line.reloading()
    assert line.stopping()
    assert line.alive(lambda: pytest.fail("no status is asked for"))


@pytest.mark.parametrize("address", ["", "relative/path", "vsock:2:1234", "unix:/run/x"])
def test_an_address_of_another_kind_means_that_nobody_listens(address):
    assert not Notifier(address).listens
    assert Notifier(address).ready()


def test_a_socket_that_is_not_there_is_no_error(tmp_path):
    line = Notifier(str(tmp_path / "missing"))

    assert line.listens
    assert not line.ready()
    assert not line.alive(lambda: "x")


def test_a_path_that_is_too_long_for_a_socket_is_no_error():
    assert not Notifier("/" + "x" * 300).ready()


def test_a_file_or_a_stream_socket_in_its_place_is_no_error(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.bind(str(tmp_path / "stream"))
        stream.listen()

        assert not Notifier(str(plain)).ready()
        assert not Notifier(str(tmp_path / "stream")).ready()


def test_a_full_socket_neither_blocks_nor_raises(manager, hands):
    line = notifier(manager, hands)
    count = 0
    while line.status("x"):
        count += 1
        assert count < 100_000

    assert not line.ready()
    manager.heard()
    assert line.ready()


def test_a_status_is_one_line_whatever_is_in_it(manager, hands):
    notifier(manager, hands).status("a\nWATCHDOG=trigger\r\n b\udc80")

    assert manager.heard() == [["STATUS=a WATCHDOG=trigger b?"]]


# --- the watchdog --------------------------------------------------------------------------------------------------------------


def test_the_watchdog_is_fed_three_times_in_its_period_however_often_the_loop_passes(manager, hands):
    line = notifier(manager, hands, watchdog=30.0)

    for _ in range(301):  # thirty seconds in steps of a tenth
        line.alive(lambda: "")
        hands.seconds += 0.1

    assert [lines[0] for lines in manager.heard()] == ["WATCHDOG=1"] * 4


def test_a_feeding_that_did_not_arrive_is_said_again_at_the_next_pass(tmp_path, hands):
    line = Notifier(str(tmp_path / "late"), 30.0, monotonic_ns=hands.ns)
    assert not line.alive(lambda: "")

    manager = ServiceManager(str(tmp_path / "late"))
    assert line.alive(lambda: "")

    assert manager.heard() == [["WATCHDOG=1"]]
    manager.close()


def test_without_a_watchdog_only_the_status_is_renewed(manager, hands):
    line = notifier(manager, hands, watchdog=None)

    line.alive(lambda: "one")
    line.alive(lambda: "two")
    hands.seconds += 10
    line.alive(lambda: "three")

    assert manager.heard() == [["STATUS=one"], ["STATUS=three"]]


@pytest.mark.parametrize(
    ("usec", "pid", "fed"),
    [
        ("30000000", str(os.getpid()), True),
        ("30000000", "", True),
        ("30000000", "1", False),
        ("0", str(os.getpid()), False),
        ("never", str(os.getpid()), False),
        ("-5", "", False),
    ],
)
def test_only_the_process_that_the_watchdog_watches_feeds_it(manager, usec, pid, fed):
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}

    Notifier.from_environment(environ).alive(lambda: "up")

    assert manager.heard() == [["WATCHDOG=1", "STATUS=up"] if fed else ["STATUS=up"]]


def test_what_tasks_start_does_not_find_the_socket(manager):
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}

    Notifier.from_environment(environ)

    assert environ == {"PATH": "/bin"}


# --- the beat ------------------------------------------------------------------------------------------------------------------


def beat_listener(manager, hands):
    at = datetime(2026, 3, 1, 9, 0, tzinfo=UTC).timestamp()
    return BeatListener(notifier(manager, hands), now=lambda: at)


def test_a_leader_is_ready_when_its_term_begins(manager, hands):
    listener = beat_listener(manager, hands)

    listener.leading(TERM)
    listener.passed(leads=True)

    ready, fed = manager.heard()
    assert ready == ["READY=1", "STATUS=leading, epoch 7; sent 0; skipped 0; open 0"]
    assert fed == [
        "WATCHDOG=1",
        "STATUS=leading, epoch 7; sent 0; skipped 0; open 0; last pass 2026-03-01T09:00:00Z",
    ]


def test_a_standby_is_as_ready_as_a_leader_and_ready_is_said_once(manager, hands):
    listener = beat_listener(manager, hands)

    listener.standby()
    listener.leading(TERM)

    ready, lead = manager.heard()
    assert ready[0] == "READY=1"
    assert lead[0].startswith("STATUS=leading, epoch 7")


def test_before_the_role_is_known_a_beat_is_not_ready(manager, hands):
    listener = beat_listener(manager, hands)

    listener.passed(leads=False)

    assert not any("READY=1" in lines for lines in manager.heard())


def test_ready_is_said_again_until_it_arrives(tmp_path, hands):
    listener = BeatListener(Notifier(str(tmp_path / "late"), 30.0, monotonic_ns=hands.ns))
    listener.standby()

    manager = ServiceManager(str(tmp_path / "late"))
    listener.passed(leads=False)
    listener.passed(leads=False)

    assert [lines[0] for lines in manager.heard()] == ["READY=1", "WATCHDOG=1"]
    manager.close()


def test_nothing_but_a_pass_feeds_the_watchdog_of_a_beat(manager, hands):
    listener = beat_listener(manager, hands)

    listener.leading(TERM)
    listener.reloading()
    listener.reloaded(3)
    hands.seconds += 100
    listener.reload_refused(["entry 'a': no"])
    listener.standby()

    assert not any("WATCHDOG=1" in lines for lines in manager.heard())


def test_a_reload_ends_when_the_files_are_applied_or_refused(manager, hands):
    listener = beat_listener(manager, hands)
    listener.leading(TERM)
    manager.heard()

    listener.reloading()
    listener.passed(leads=True)
    listener.reloaded(2)
    listener.reloading()
    listener.reload_refused(["schedules.yaml:3: no"])

    assert [lines[0] for lines in manager.heard()] == [
        "RELOADING=1",
        "WATCHDOG=1",
        "READY=1",
        "RELOADING=1",
        "READY=1",
    ]


def test_a_reload_that_finds_nothing_new_ends_with_the_second_pass(manager, hands):
    listener = beat_listener(manager, hands)
    listener.standby()
    listener.passed(leads=False)
    manager.heard()

    listener.reloading()
    listener.passed(leads=False)
    assert [lines[0] for lines in manager.heard()] == ["RELOADING=1"]
    listener.passed(leads=False)

    assert [lines[0] for lines in manager.heard()] == ["READY=1"]


def test_a_reload_that_is_asked_for_while_ready_is_being_said_gets_a_ready_of_its_own(manager, hands):
    """A signal handler runs between any two steps of the loop's thread."""
    line = notifier(manager, hands)
    listener = BeatListener(line)
    said = line.ready

    def ready_and_then_a_signal(status):
        line.ready = said
        sent = said(status)
        listener.reloading()
        return sent

    line.ready = ready_and_then_a_signal
    listener.standby()
    for _ in range(3):
        listener.passed(leads=False)

    first = [lines[0] for lines in manager.heard()]
    assert [line for line in first if line != "WATCHDOG=1"] == ["READY=1", "RELOADING=1", "READY=1"]


def test_a_beat_that_stops_says_so_and_is_not_ready_again(manager, hands):
    listener = beat_listener(manager, hands)
    listener.leading(TERM)
    manager.heard()

    listener.stopping()
    listener.standby()  # retiring
    hands.seconds += 60
    listener.passed(leads=False)

    stopping, extended, fed = manager.heard()
    assert stopping[0] == "STOPPING=1"
    assert extended == ["EXTEND_TIMEOUT_USEC=30000000"]
    assert fed[0] == "WATCHDOG=1"


def test_a_beat_that_waits_for_its_store_at_the_start_says_so_and_asks_for_time(manager, hands):
    listener = BeatListener(notifier(manager, hands), monotonic=hands)

    for _ in range(3):
        listener.waiting("the store does not answer")
        hands.seconds += 10

    said = manager.heard()
    assert said == [["STATUS=waiting: the store does not answer"], ["EXTEND_TIMEOUT_USEC=30000000"]] * 3


def test_a_publish_that_hangs_ends_the_feeding_and_the_next_that_does_not_begins_it_again(manager, hands):
    vitals = Vitals(monotonic=hands)
    listener = BeatListener(notifier(manager, hands), vitals=vitals, monotonic=hands)
    listener.leading(TERM)
    vitals.publish_began()
    manager.heard()

    fed = []
    for _ in range(3):
        hands.seconds += 25
        vitals.passed(leads=True)
        listener.passed(leads=True)
        fed.append([lines[0] for lines in manager.heard()])
    vitals.publish_ended(None)
    listener.passed(leads=True)

    assert fed == [["WATCHDOG=1"], ["WATCHDOG=1"], []]
    assert [lines[0] for lines in manager.heard()] == ["WATCHDOG=1"]


def test_the_status_shows_what_is_open_and_what_is_wrong(manager, hands):
    vitals = Vitals(monotonic=hands)
    listener = BeatListener(notifier(manager, hands), vitals=vitals, monotonic=hands)
    vitals.open_firings = 17
    vitals.publish_ended("no connection")
    difference = Difference("a", 1, DifferenceKind.MISSING, 1)
    vitals.audited(Audit((difference,), 1, 0, 0.0))

    listener.leading(TERM)

    ((_, status),) = manager.heard()
    assert "open 17; the broker does not answer; the self-audit found 1 differences" in status


# --- the worker ----------------------------------------------------------------------------------------------------------------


def test_a_worker_is_ready_when_it_takes_messages_and_counts_what_it_did(manager, hands):
    listener = WorkerListener(notifier(manager, hands), monotonic=hands)

    Listeners([listener]).ready()
    listener.applied(succeeded(), 0.1)
    listener.applied(failed(), 0.1)
    listener.applied(failed(), None)
    Listeners([listener]).passed(0)

    ready, fed = manager.heard()
    assert ready[0] == "READY=1"
    assert fed == ["WATCHDOG=1", "STATUS=working; succeeded 1, failed 1, other ends 0, lost 0"]


def test_a_worker_that_drains_asks_for_time_until_its_own_patience_ends(manager, hands):
    listener = WorkerListener(notifier(manager, hands, None), drain_seconds=45.0, monotonic=hands)
    listener.ready()
    manager.heard()

    listener.stopping()
    listener.stopping()  # the second signal
    for _ in range(60):
        listener.passed(1)
        hands.seconds += 1

    said = [lines[0] for lines in manager.heard()]
    assert said.count("STOPPING=1") == 1
    assert [line for line in said if line.startswith("EXTEND")] == [
        f"EXTEND_TIMEOUT_USEC={seconds}000000" for seconds in (30, 30, 25, 15, 5)
    ]


# --- the real commands ---------------------------------------------------------------------------------------------------------

APP = "from backbeat.canvas import App\napp = App('demo', broker='sqlite:///demo.db')\n"


@pytest.mark.parametrize(
    ("command", "status"), [(["beat"], "leading, epoch"), (["worker", "-P", "solo"], "working")]
)
def test_the_commands_are_ready_feed_the_watchdog_and_stop(manager, tmp_path, command, status):
    (tmp_path / "demo.py").write_text(APP)
    environ = {**os.environ, "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "600000"}
    environ.pop("WATCHDOG_PID", None)

    process = subprocess.Popen(
        [sys.executable, "-m", "backbeat.scheduler.cli", "-A", "demo:app", *command],
        cwd=tmp_path,
        env=environ,
    )
    try:
        ready = manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1")
        fed = manager.wait_for("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        stopping = manager.wait_for("STOPPING=1")
        code = process.wait(DEADLINE_SECONDS)
    finally:
        process.kill()
        process.wait()

    assert any(line.startswith(f"STATUS={status}") for line in [*ready, *fed])
    assert stopping[0] == "STOPPING=1"
    assert code == 0


def test_a_beat_reloads_by_signal_and_is_ready_again(manager, tmp_path):
    (tmp_path / "demo.py").write_text(APP)
    command = [sys.executable, "-m", "backbeat.scheduler.cli", "-A", "demo:app", "beat"]

    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "NOTIFY_SOCKET": manager.address})
    try:
        manager.wait_for("READY=1")
        process.send_signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING=1")
        ready = manager.wait_for("READY=1")
    finally:
        process.kill()
        process.wait()

    assert reloading[1].startswith("MONOTONIC_USEC=")
    assert ready[0] == "READY=1"


def test_a_worker_that_cannot_consume_for_a_minute_leaves_the_watchdog_hungry_unless_tasks_run(
    manager, hands
):
    listener = WorkerListener(notifier(manager, hands), monotonic=hands)
    listener.ready()
    manager.heard()

    def fed(busy, fault):
        hands.seconds += 15
        listener.passed(busy, fault)
        return [lines[0] for lines in manager.heard()]

    assert [fed(0, "no broker") for _ in range(4)] == [["WATCHDOG=1"]] * 4
    assert [fed(0, "no broker") for _ in range(3)] == [[]] * 3
    assert fed(1, "no broker") == ["WATCHDOG=1"]
    assert fed(0, "no broker") == []
    assert fed(0, "") == ["WATCHDOG=1"]
