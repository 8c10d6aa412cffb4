"""The suite in lanes side by side, for `make test`: python tests/lanes.py [pytest arguments].

Most of the suite waits: for a lease to pass, a process to start, a server to answer. Two lanes have the tests with real processes, beats and
workers apart, two those of every implementation of a seam, two those with real servers, one those with a real Celery, one all others; each test has a database, a vhost or
a key prefix of its own, so none sees the others. What a lane but the first says is shown when all are done; with --short also how many tests
were left out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from support.thorough import REPORT, SHORT, told

TESTS = Path(__file__).parent
APART = (
    ("acceptance/scheduler",),
    ("acceptance/canvas",),
    ("conformance",),
    ("integration",),
    ("integration/test_[p-z]*.py",),
    ("conformance/test_commit.py", "conformance/test_signed_messages.py"),
    (),
    ("integration/test_beat_*.py", "integration/test_crash_points.py", "conformance/test_broker.py"),
    ("interop",),
)
"""What each lane has, in the order in which they begin; of a directory what no other lane has by its name; () is for all that is left."""
FIRST = "acceptance"
"""What has real processes has bounds in real time, and goes before what computes."""
NICE = 5
"""How far the other lanes step back (0 to 19)."""
SIDE_BY_SIDE = 5
"""So many at once: more would keep the two processors of a small machine no busier, and let real processes wait for them."""
NOTHING_COLLECTED = 5
MEMORY = Path("/dev/shm")
"""Files that live in memory, on Linux: what the tests write, many databases of SQLite among it, need not reach a disk."""
ENOUGH_BYTES = 4_000_000_000


def lanes() -> list[list[Path]]:
    """The paths of all lanes: every directory with tests, and every test file beside them, is in one of them."""
    wanted = [[path for name in names for path in sorted(TESTS.glob(name))] for names in APART]
    named = {path for paths in wanted for path in paths}
    apart = [[each for path in paths for each in _of(path, named)] for paths in wanted]
    taken = {path for paths in apart for path in paths}
    return [paths or [path for path in _tests(TESTS, taken) if path not in taken] for paths in apart]


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


@contextmanager
def scratch() -> Iterator[dict[str, str]]:
    """What the lanes find in their environment, so that their files are in memory, if there is enough."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        yield {}
        return
    there = os.statvfs(MEMORY)
    if there.f_flag & os.ST_NOEXEC or there.f_bavail * there.f_frsize < ENOUGH_BYTES:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="backbeat-", dir=MEMORY, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # database servers of the tests' own run as other users
        yield {"TMPDIR": name}


def end(lane: subprocess.Popen[bytes]) -> None:
    """Let a lane end its processes and give back what it was lent. A Ctrl-C has reached it too, and a second one would cut that short."""
    for number in (0, signal.SIGINT):
        lane.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            lane.wait(30)
            return
    lane.kill()


def main(arguments: list[str]) -> int:
    running: list[subprocess.Popen[bytes]] = []
    environ: dict[str, str] = {}

    def run(paths: list[Path], said: IO[bytes] | None) -> int:
        """A lane from start to end; the first one speaks for itself, and keeps what failed."""
        command = [sys.executable, "-m", "pytest", *arguments, *(["-p", "no:cacheprovider"] if said else [])]
        lane = subprocess.Popen(
            [*command, *map(str, paths)],
            stdout=said,
            stderr=subprocess.STDOUT if said else None,
            cwd=TESTS.parent,
            env={**os.environ, **environ, "PYTHONUNBUFFERED": "1"},
        )
        running.append(lane)
        if not any(path.is_relative_to(TESTS / FIRST) for path in paths):
            os.setpriority(os.PRIO_PROCESS, lane.pid, NICE)
        return lane.wait()

    with ExitStack() as files, ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        environ.update(files.enter_context(scratch()))
        left_out = files.enter_context(tempfile.NamedTemporaryFile())
        environ[REPORT] = left_out.name
        planned = [
            (paths, files.enter_context(tempfile.TemporaryFile()) if place else None)
            for place, paths in enumerate(lanes())
        ]
        begun = [threads.submit(run, paths, said) for paths, said in planned]
        try:
            codes = [each.result() for each in begun]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            for lane in running:
                end(lane)
        for _, said in planned:
            if said is not None:
                said.seek(0)
                sys.stdout.write(said.read().decode())
        if SHORT in arguments:
            print(told(left_out.name), flush=True)
    failed = [code for code in codes if code not in (0, NOTHING_COLLECTED)]
    return failed[0] if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
