"""A real Celery in a virtual environment of its own, made on first use, so that its packages never meet ours."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .celery_zygote import celery_zygote
from .processes import wait_until

ROOT = Path(__file__).resolve().parents[2]


OLDER = ("5.4.0", "5.5.3", "5.6.3")
"""The last of each series before it; `make test-all` runs tests/interop with each of them, too."""
NEWEST = "5.7.0"
VERSION = os.environ.get("BACKBEAT_CELERY", NEWEST)
"""The Celery that the tests meet."""


def from_celery(series: str, reason: str) -> pytest.MarkDecorator:
    """Marks what Celery does from this series on ("5.6"); with an older one it is skipped, and the summary says why."""
    return pytest.mark.skipif(_numbers(VERSION) < _numbers(series), reason=f"Celery {VERSION}: {reason}")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


only_newest = from_celery(
    NEWEST, f"what is compared is what {NEWEST} does, of which older ones differ by themselves"
)


def celery_python(version: str = VERSION, *more: str) -> Path:
    """The interpreter of an environment with this Celery, and with `more` packages, if any ("flower==2.2.0").

    Fails with pip's own words if it cannot be made.
    """
    home = ROOT / "-".join([f".venv-celery-{version}", *(each.replace("==", "-") for each in more)])
    python = home / "bin" / "python"
    with (ROOT / ".venv-celery.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # with the kombu of its time, as its users have it; a later one asks for a later Redis client than it knows
        kombu = f"kombu[redis]~={version.rsplit('.', 1)[0]}.0"
        packages = [f"celery[redis,solar,sqlalchemy]=={version}", kombu, "psycopg[binary]", *more]
        complete = home / ".complete"
        if not complete.exists() or complete.read_text().split() != packages:
            venv.create(home, with_pip=True, clear=True)
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install"]
            done = subprocess.run([*pip, *packages], capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"{packages} cannot be installed:\n{done.stdout}{done.stderr}"
            complete.write_text(" ".join(packages))
    return python


def run_celery(script: str, *arguments: str, version: str = VERSION, timeout: float = 60) -> Any:
    """Run a script with the real Celery; returns what it printed last, decoded from JSON."""
    done = celery_zygote(celery_python(version)).run(script, *arguments, timeout=timeout)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextmanager
def ready_program(home: Path, *command: str) -> Iterator[None]:
    """A worker, Celery's or ours, that has said that it is ready. `home` is its directory, and gets its log."""
    path = home / "worker.log"
    with path.open("w") as log:
        process = subprocess.Popen(command, cwd=home, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "ready" in path.read_text() or process.poll() is not None, 60, what=path.read_text)
        assert process.poll() is None, path.read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)
