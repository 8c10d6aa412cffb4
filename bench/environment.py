"""Environment: the interpreter of a virtual environment with the peers, made on first use; its packages never meet ours."""

from __future__ import annotations

import fcntl
import subprocess
import venv
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = (
    "celery[redis]==5.7.0",
    "celery-redbeat==2.4.2",
    "psycopg[binary]==3.3.9",
    "APScheduler==3.11.3",
    "sqlalchemy-celery-beat==0.9.1",
    "dramatiq[redis,rabbitmq]==2.2.1",
    "taskiq==0.13.0",
    "taskiq-redis==1.2.4",
    "huey[redis]==3.5.4",
    "procrastinate==3.10.0",
)
"""The versions that the figures of the documentation name."""


@cache
def peers_python() -> Path:
    """The interpreter that can import every peer. Fails with pip's own words if it cannot be made."""
    home = ROOT / ".venv-peers"
    done = home / ".complete"
    with (ROOT / ".venv-peers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != "\n".join(PEERS):
            venv.create(home, with_pip=True, clear=True)
            pip = [str(home / "bin" / "pip"), "--disable-pip-version-check", "-q", "install", *PEERS]
            result = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
            if result.returncode:
                raise SystemExit(f"the peers cannot be installed:\n{result.stdout}{result.stderr}")
            done.write_text("\n".join(PEERS))
    return home / "bin" / "python"
