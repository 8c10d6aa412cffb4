"""Journal: what tasks write down of themselves, one line of JSON each, whichever process they run in, also one that is killed right after."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


def write_line(path: str, **fields: Any) -> None:
    """Append one line of JSON, whole, whoever else writes."""
    line = json.dumps({"at": time.time(), "pid": os.getpid(), **fields}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """What was written so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def read_events(path: Path, event: str) -> list[dict[str, Any]]:
    """The lines about one kind of event."""
    return [line for line in read_lines(path) if line.get("event") == event]
