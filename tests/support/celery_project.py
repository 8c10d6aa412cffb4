"""The project of tests/data/celery_project in a directory of its own, as it is or moved to backbeat, with a worker; and what its modules give."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.celery_env import celery_python, ready_program

PROJECT = Path(__file__).resolve().parents[1] / "data" / "celery_project"
EXAMPLES = sorted(path.stem for path in PROJECT.glob("*.py") if "\ndef main():" in path.read_text())


def moved(source: str) -> str:
    """The source with another import root, and nothing else."""
    return re.sub(r"^(from|import) celery(?=[. ])", r"\1 backbeat.canvas", source, flags=re.MULTILINE)


def values(
    home: Path, url: str, *, celery: bool, names: Sequence[str] = EXAMPLES, settings: str = ""
) -> dict[str, dict[str, Any]]:
    """What `main` of each module gives, {"value": ...} or {"raised": traceback}, with a worker of either kind on the Redis at `url`.

    `settings`: lines for the end of settings.py.
    """
    _write(home, settings, celery=celery)
    environment = {
        **os.environ,
        "PROJECT_BROKER": url,
        "PROJECT_NOTES": str(home / "notes"),
        "PYTHONPATH": str(home),
    }
    python = str(celery_python()) if celery else sys.executable
    with _worker(home, python, environment, celery=celery):
        command = [python, "-m", "celery_project.run", *names]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _write(home: Path, settings: str, *, celery: bool) -> None:
    (home / "celery_project").mkdir(parents=True)
    (home / "notes").mkdir()
    for path in PROJECT.glob("*.py"):
        source = path.read_text()
        (home / "celery_project" / path.name).write_text(source if celery else moved(source))
    with (home / "celery_project" / "settings.py").open("a") as file:
        file.write(settings)


@contextmanager
def _worker(home: Path, python: str, environment: dict[str, str], *, celery: bool) -> Iterator[None]:
    program = "celery" if celery else "backbeat"
    command = [
        str(Path(python).parent / program),
        "-A",
        "celery_project.celery",
        "worker",
        "-c",
        "4",
        "--loglevel",
        "INFO",
    ]
    with ready_program(home, "env", *(f"{name}={value}" for name, value in environment.items()), *command):
        yield
