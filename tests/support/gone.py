"""A worker's process that is over."""

from __future__ import annotations

import subprocess
import sys


def gone_incarnation() -> str:
    """The text of an incarnation whose process has ended."""
    program = "from backbeat.canvas.incarnation import incarnation; print(incarnation('dead'))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ended.stdout.strip()
