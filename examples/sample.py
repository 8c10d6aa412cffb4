"""The tasks of the sample that `make run` starts (schedules.yaml): they look at this machine and read this repository's documents."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections import Counter
from pathlib import Path
from typing import Any

from backbeat.canvas import App

app = App("sample")


@app.task
def sample_machine() -> dict[str, float]:
    """Load, memory and disk of this machine, in plain numbers."""
    disk = shutil.disk_usage(".")
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "load": round(os.getloadavg()[0], 2),
        "memory_gb": round(pages * size / 1e9, 1),
        "disk_free_gb": round(disk.free / 1e9, 1),
        "disk_used_percent": round(100 * disk.used / disk.total, 1),
    }


@app.task
def find_texts(directory: str, pattern: str = "**/*.md") -> list[str]:
    """The text files below `directory`, without those of installed packages."""
    found = (
        path for path in Path(directory).glob(pattern) if not any(part.startswith(".") for part in path.parts)
    )
    return sorted(str(path) for path in found if path.is_file())


@app.task
def count_words(files: list[str], part: int, of: int) -> dict[str, int]:
    """How often each word stands in this part of the files: every `of`-th one, beginning with number `part`."""
    words: Counter[str] = Counter()
    for name in files[part::of]:
        words.update(
            re.findall(r"[a-z']{4,}", Path(name).read_text(encoding="utf-8", errors="replace").lower())
        )
    return dict(words)


@app.task
def merge_report(parts: list[dict[str, int]], report: str) -> dict[str, Any]:
    """Add the parts up, write the whole count to the file `report`, and return its top."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    path = Path(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(total.most_common(), indent=1), encoding="utf-8")
    return {
        "words": total.total(),
        "distinct": len(total),
        "top": dict(total.most_common(5)),
        "report": report,
    }


@app.task
def probe_port(host: str, port: int) -> float:
    """Connect to a port of a machine; fails while nothing listens there."""
    with socket.create_connection((host, port), timeout=2):
        return 1.0


@app.task
def note_failure(request: Any, exc: Exception, traceback: str, log: str) -> str:  # noqa: ARG001 - what error callbacks get
    """The error callback: writes down what failed, and why."""
    line = f"{request.task} failed: {exc}"
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return line
