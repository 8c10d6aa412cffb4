"""The suite in two lanes side by side, for `make test`: python tests/lanes.py [pytest arguments].

Most of the suite waits: for a lease to pass, a process to start, a server to answer. The second lane has the tests of parts on real
servers, the first all others; each test has a database, a vhost or a key prefix of its own, so neither sees the other. What the second lane
says is shown when the first is done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
SERVERS = ("conformance", "integration")
NOTHING_COLLECTED = 5


def lanes() -> tuple[list[Path], list[Path]]:
    """The paths of both lanes: every directory with tests, and every test file beside them, is in one of them."""
    found = [
        path
        for path in sorted(TESTS.iterdir())
        if path.name.startswith("test_") or (path.is_dir() and any(path.rglob("test_*.py")))
    ]
    second = [path for path in found if path.name in SERVERS]
    return [path for path in found if path not in second], second


def main(arguments: list[str]) -> int:
    first, second = lanes()
    command = [sys.executable, "-m", "pytest", *arguments]
    with tempfile.TemporaryFile("w+") as said:
        other = subprocess.Popen(
            [*command, "-p", "no:cacheprovider", *map(str, second)],
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=TESTS.parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            code = subprocess.run([*command, *map(str, first)], cwd=TESTS.parent, check=False).returncode
            codes = [code, other.wait()]
        finally:
            other.kill()
        said.seek(0)
        sys.stdout.write(said.read())
    failed = [code for code in codes if code not in (0, NOTHING_COLLECTED)]
    return failed[0] if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
