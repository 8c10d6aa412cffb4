"""The tests with a real Celery, once more with each of its older series, for `make test-all`: python tests/celery_versions.py [pytest arguments]."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))

from support.celery_env import OLDER  # noqa: E402 - the path comes first


def main(arguments: list[str]) -> int:
    codes = []
    for version in OLDER:
        print(f"\nCelery {version}", flush=True)
        command = [sys.executable, "-m", "pytest", *arguments, str(TESTS / "interop")]
        environment = {**os.environ, "BACKBEAT_CELERY": version}
        codes.append(subprocess.run(command, cwd=TESTS.parent, env=environment).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
