"""The suite in lanes side by side, for `make test`: python tests/lanes.py [pytest arguments].

Most of the suite waits: for a lease to pass, a process to start, a server to answer. Two lanes have the tests with real processes, beats and
workers apart, one those of every implementation of a seam, one those with real servers, one all others; each test has a database, a vhost or a key prefix of its own, so none sees the others. What a lane but the first says is shown when the first is done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TESTS = Path(__file__).parent
APART = (("acceptance/scheduler",), ("acceptance/canvas",), ("conformance",), ("integration",))
"""What all lanes but the last have; of a directory what no other lane has by its name."""
NOTHING_COLLECTED = 5


def lanes() -> list[list[Path]]:
    """The paths of all lanes: every directory with tests, and every test file beside them, is in one of them."""
    named = {TESTS / name for names in APART for name in names}
    apart = [[path for name in names for path in _of(TESTS / name, named)] for names in APART]
    taken = {path for paths in apart for path in paths}
    return [*apart, [path for path in _tests(TESTS, taken) if path not in taken]]


def _of(path: Path, named: set[Path]) -> list[Path]:
    """A path, or of a directory that lanes share what no other one has."""
    is_shared = any(path in other.parents for other in named)
    return [each for each in _tests(path, named) if each not in named] if is_shared else [path]


def _tests(directory: Path, taken: set[Path]) -> Iterator[Path]:
    """Test files of a directory and directories with tests; of one that lanes share, what is in it."""
    for path in sorted(directory.iterdir()):
        if path.is_dir() and any(path in each.parents for each in taken):
            yield from _tests(path, taken)
        elif path.name.startswith("test_") or (path.is_dir() and any(path.rglob("test_*.py"))):
            yield path


def end(lane: subprocess.Popen[bytes]) -> None:
    """Let a lane end its processes and give back what it was lent. A Ctrl-C has reached it too, and a second one would cut that short."""
    for number in (0, signal.SIGINT):
        lane.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            lane.wait(30)
            return
    lane.kill()


def main(arguments: list[str]) -> int:
    first, *others = lanes()
    command = [sys.executable, "-m", "pytest", *arguments]
    beside = []
    for paths in others:
        said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read when the lane is done
        lane = subprocess.Popen(
            [*command, "-p", "no:cacheprovider", *map(str, paths)],
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=TESTS.parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        beside.append((lane, said))
    shown = subprocess.Popen([*command, *map(str, first)], cwd=TESTS.parent)
    running = [shown, *(lane for lane, _ in beside)]
    try:
        codes = [lane.wait() for lane in running]
    finally:
        for lane in running:
            end(lane)
    for _, said in beside:
        said.seek(0)
        sys.stdout.write(said.read())
    failed = [code for code in codes if code not in (0, NOTHING_COLLECTED)]
    return failed[0] if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
