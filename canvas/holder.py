"""Holder: who holds the lease: one incarnation of one process, never reused; and what can be known of it on its own host.

The text of a holder stands in the lease row. Its `host_id` is the boot id with the pid and the time namespace: only where all are equal
do a pid and its start time mean the same process, so that containers of one machine do not judge each other by their pids.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
from enum import Enum
from pathlib import Path
from typing import Protocol

from msgspec import Struct


class Holder(Struct, frozen=True, kw_only=True):
    """`host` is for people; `host_id` "" is unknown; `started` is the start time of the pid, in the kernel's ticks."""

    host: str
    host_id: str
    pid: int
    started: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.host} {self.host_id or '-'} {self.pid} {self.started} {self.nonce}"

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """The holder of a lease row; None for nobody, and for a text that is not ours."""
        match text.split(" "):
            case [host, host_id, pid, started, nonce] if pid.isdigit() and started.isdigit():
                known = "" if host_id == "-" else host_id
                return cls(host=host, host_id=known, pid=int(pid), started=int(started), nonce=nonce)
            case _:
                return None


_EXITING = 0x4
"""The kernel's mark of a process that is on its way out: none of its own code runs any more (PF_EXITING)."""


class Sighting(Enum):
    """What one process can see of the process of a holder."""

    GONE = "gone"
    """It ran on this host, and has ended: it can do nothing any more."""
    ALIVE = "alive"
    """It is on this host, the same pid with the same start time. It may be stopped."""
    UNKNOWN = "unknown"
    """Another host, or this system does not tell."""


class Processes(Protocol):
    """The processes of this host."""

    def look(self, holder: Holder) -> Sighting:
        """What can be seen of the holder's process."""

    def end(self, holder: Holder) -> bool:
        """Kill the holder's process, if it is ALIVE, stopped, and not the caller's own; says whether it was killed.

        One that is not stopped may merely wait for a lock or a disk.
        """


class LocalProcesses:
    """Processes by /proc and signals. Where there is no /proc nothing is known, and only the lease's TTL decides."""

    def __init__(self) -> None:
        self._host_id = _host_id()

    def myself(self) -> Holder:
        """A new incarnation of this process."""
        pid = os.getpid()
        host = socket.gethostname().replace(" ", "_")[:100]
        started = _started(pid) or 0
        return Holder(host=host, host_id=self._host_id, pid=pid, started=started, nonce=secrets.token_hex(8))

    def look(self, holder: Holder) -> Sighting:
        if not self._host_id or holder.host_id != self._host_id:
            return Sighting.UNKNOWN
        try:
            os.kill(holder.pid, 0)
        except ProcessLookupError:
            return Sighting.GONE
        except PermissionError:
            pass  # somebody else's process: it exists, and /proc may still tell since when
        started = _started(holder.pid)
        if started is None:
            return Sighting.UNKNOWN  # hidden (ProtectProc=invisible), or it ended just now
        return Sighting.ALIVE if started == holder.started else Sighting.GONE

    def end(self, holder: Holder) -> bool:
        if (
            holder.pid == os.getpid()
            or self.look(holder) is not Sighting.ALIVE
            or not _is_stopped(holder.pid)
        ):
            return False
        try:
            os.kill(holder.pid, signal.SIGKILL)
        except OSError:
            return False  # the caller takes over all the same: the fence refuses the holder's decisions
        return True


def _host_id() -> str:
    """Of this boot and of the namespaces; "" where /proc is not there, or is that of other processes (`unshare --pid` alone)."""
    try:
        if Path("/proc/self").readlink() != Path(str(os.getpid())):
            return ""
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        kinds = [kind for kind in ("pid", "time") if Path("/proc/self/ns", kind).exists()]  # time: since 5.6
        namespaces = [str(Path("/proc/self/ns", kind).stat().st_ino) for kind in kinds]
    except OSError:
        return ""
    return "/".join([boot_id, *namespaces]) if namespaces else ""


def _started(pid: int) -> int | None:
    """Start time of a process, in ticks since boot; -1 for one that is ending, which is as good as gone; None: not known.

    A broker may hear that its connections are closed before it is a zombie.
    """
    fields = _stat(pid)
    if not fields:
        return None
    is_ending = fields[0] in "ZX" or int(fields[6]) & _EXITING
    return -1 if is_ending else int(fields[19])


def _is_stopped(pid: int) -> bool:
    """By a signal, or by a debugger."""
    return _stat(pid)[:1] in (["T"], ["t"])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none where it cannot be read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the name before may hold spaces and brackets
