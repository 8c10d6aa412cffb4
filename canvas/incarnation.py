"""Incarnation: one life of one process, as text, so that others on the same machine can tell when it is over.

Whoever holds something (a message, a claim, a lease) signs with it. On another machine, or after a reboot, nothing is known and only
the lease counts; on the same one a process that is gone frees what it held at once.
"""

from __future__ import annotations

import os
import secrets
import socket
from functools import cache
from pathlib import Path


def incarnation(name: str = "") -> str:
    """A text for this process that no other process, earlier or later, shares: name, host, boot, pid, start and a random part."""
    pid = os.getpid()
    fields = (
        name.replace("|", "_"),
        socket.gethostname(),
        _boot_id(),
        str(pid),
        _started(pid),
        secrets.token_hex(4),
    )
    return "|".join(fields)


def name_of(text: str) -> str:
    """The name that an incarnation was made with; any other text as it is."""
    return text.split("|", 1)[0]


def is_gone(text: str) -> bool:
    """True only if it is certain that the process is over; False where that cannot be known."""
    fields = text.split("|")
    if len(fields) != 6:  # noqa: PLR2004 - see incarnation
        return False
    _, host, boot, pid, started, _ = fields
    if host != socket.gethostname() or not boot or boot != _boot_id() or not started:
        return False
    return _started(int(pid)) != started


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """The start time of a process in clock ticks since boot; empty if there is no such process, or no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] == "Z" else fields[19]
