"""Files that are made to do harm, each read by a process of its own: refused in less than 2 seconds and less than 200 MB."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MB = 1024 * 1024
SECONDS, PEAK = 2.0, 200 * MB
PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from backbeat.scheduler.files import load

start = time.process_time()
loaded = load(Path(sys.argv[1]), {"A": "x"})
seconds = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
told = [[each.code, each.message[:200], len(each.render())] for each in loaded.problems]
print(json.dumps([seconds, peak, loaded.is_applicable, len(loaded.entries), told]))
"""
SCHEDULE = "schedules:\n  it:\n    task: t\n"


def read(path: Path) -> subprocess.CompletedProcess[str]:
    """One run of PROGRAM. A process starts with the peak of the memory that it was started from, so a small shell stands between."""
    command = ["/bin/sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", PROGRAM, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def large(path: Path) -> None:
    """100 MB of schedules; the file is never read, so its content does not matter."""
    with path.open("wb") as file:
        file.write(SCHEDULE.encode() + b"    every: 5m\n")
        file.truncate(100 * MB)


def bomb(path: Path) -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    path.write_text("\n".join(lines))


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content.encode())


def raw(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content)


HOSTILE = [
    ("100 MB", large, "E100"),
    ("a billion laughs", bomb, "E103"),
    (
        "a python tag",
        text(SCHEDULE + "    every: 5m\n    args: [!!python/object/apply:os.system [id]]\n"),
        "E104",
    ),
    ("20,000 nested lists", text("a: " + "[" * 20_000 + "]" * 20_000), "E103"),
    ("20,000 nested mappings", text("{a: " * 20_000), "E103"),
    ("20,000 dashes", text("- " * 20_000 + "x"), "E103"),
    ("10 MB of cron", text(f'{SCHEDULE}    cron: "{"1," * (5 * MB)}1 * * * *"\n'), "E112"),
    ("10 MB of rrule", text(f"{SCHEDULE}    rrule: {'BYDAY=MO;' * MB}\n"), "E112"),
    ("a 10 MB key", text(f"{SCHEDULE}    every: 5m\n    {'x' * (10 * MB)}: 1\n"), "E101"),
    ("a 10 MB name", text(f'schedules:\n  ? "{"x" * (10 * MB)}"\n  : {{task: t, every: 5m}}\n'), "E113"),
    ("a 10 MB number", text(f"{SCHEDULE}    every: {'9' * (10 * MB)}\n"), "E104"),
    ("a 10 MB duration", text(f"{SCHEDULE}    every: {'1h' * (5 * MB)}\n"), "E160"),
    ("a NUL byte", raw(b"schedules:\n  a: {task: \x00}\n"), "E100"),
    ("10 MB of NUL bytes", raw(b"\x00" * (10 * MB)), "E100"),
    ("UTF-16", raw((SCHEDULE + "    every: 5m\n").encode("utf-16")), "E100"),
    ("10 MB of UTF-16", raw(("# x\n" * (5 * MB // 2)).encode("utf-16-le")), "E100"),
    ("no UTF-8 after 10 MB", raw(b"# comment\n" * MB + b"\xff\n"), "E100"),
    ("a reference to itself", text("a: &a [*a]\n"), "E103"),
    ("a reference to itself by way of a mapping", text("a: &a {b: {c: *a}}\n"), "E103"),
    ("variables in variables", text(f'{SCHEDULE}    every: 5m\n    args: ["{"${A}" * MB}${{B}}"]\n'), "E190"),
    ("an unclosed variable", text(f'{SCHEDULE}    every: 5m\n    args: ["{"${A" * MB}"]\n'), "E190"),
    ("100,000 open quotes", text("a: '" + "''" * 100_000), "E101"),
    ("50,000 anchors", text("a:\n" + "".join(f"- &x{n} y\n" for n in range(50_000)) + "- *nope\n"), "E101"),
    ("a rule that never comes", text(f"{SCHEDULE}    rrule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\n"), "E182"),
    (
        "windows without end",
        text(
            f'{SCHEDULE}    every: 1s\n    except: [{{from: "00:00", to: "12:00"}}, {{from: "12:00", to: "00:00"}}]\n'
        ),
        "E182",
    ),
]


@pytest.mark.parametrize(("make", "code"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_hostile_file_is_refused_quickly_and_in_little_memory(tmp_path, make, code):
    path = tmp_path / "schedules.yaml"
    make(path)

    done = read(path)

    assert done.returncode == 0, done.stderr[-2000:]
    seconds, peak, is_applicable, entries, told = json.loads(done.stdout)
    assert told[0][0] == code
    assert (is_applicable, entries) == (False, 0)
    assert all(length < 2_000 for *_, length in told)
    assert seconds < SECONDS
    assert peak < PEAK


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + SCHEDULE.encode() + b"    every: 5m\n",
        SCHEDULE.replace("\n", "\r\n").encode() + b"    every: 5m",
    ],
    ids=["a byte order mark", "line ends of Windows"],
)
def test_what_editors_leave_in_a_file_is_read(tmp_path, content):
    path = tmp_path / "schedules.yaml"
    path.write_bytes(content)

    done = read(path)

    assert json.loads(done.stdout)[2:] == [True, 1, []]
