"""Killpoint: named points between two effects, at which a test has this process killed, to see that what it began is ended by others.

The code says `reach("split.stored")` where one effect is done and the next is not. That does nothing, unless a worker was started with
BACKBEAT_KILL_POINT in its environment:

    /path/of/log                        writes each passing into the log: "PID NAME", a line each, in the order in which they happened
    name#n@/path/of/log                 the same, and ends the process by SIGKILL at the n-th passing of that name ("PID !NAME#N")
    name#n,other#m@/path/of/log         the same, at both

Passings are counted over all processes that share the log, so a point is met once, whoever passes it: a worker that takes over, or a
new child, goes on. Who starts a worker (cli.py) or a child (pools/child.py) arms the points; nothing reads the environment otherwise.
"""

from __future__ import annotations

import logging
import os
import re
import signal
from collections.abc import Collection, Mapping
from typing import NoReturn

from .errors import ImproperlyConfigured

logger = logging.getLogger(__name__)

VARIABLE = "BACKBEAT_KILL_POINT"


class Armed:
    """The points of one process, and where it writes that it has passed them. `doomed`: those at which it is killed, as NAME#N."""

    def __init__(self, path: str, doomed: Collection[str]) -> None:
        self._path = path
        self._doomed = frozenset(doomed)
        self._names = {point.partition("#")[0] for point in doomed}

    def reached(self, name: str) -> None:
        """Write it down; the process ends here if this is one of its points."""
        # opened for each line: the position behind it tells which lines came before, whoever wrote them
        log = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(log, f"{os.getpid()} {name}\n".encode())
            if name not in self._names:
                return
            until = os.lseek(log, 0, os.SEEK_CUR)
            point = f"{name}#{_count(os.pread(log, until, 0), name)}"
            if point in self._doomed:
                os.write(log, f"{os.getpid()} !{point}\n".encode())
                _end()
        finally:
            os.close(log)


_armed: Armed | None = None


def reach(name: str) -> None:
    """One effect is done, and the next is not: does nothing, unless this process was armed."""
    if _armed is not None:
        _armed.reached(name)


def arm(environ: Mapping[str, str] = os.environ) -> None:
    """Arm the points of this process, if the environment asks for it. Raises ImproperlyConfigured for what cannot be meant."""
    global _armed  # noqa: PLW0603 - the points are the process's, as its signals are
    _armed = armed_by(environ) or _armed


def armed_by(environ: Mapping[str, str]) -> Armed | None:
    """The points that the environment asks for, said loudly; None if it asks for none. Raises ImproperlyConfigured."""
    text = environ.get(VARIABLE)
    if not text:
        return None
    doomed, path = parsed(text)
    logger.warning(
        "%s is set: this process writes what it does into %s%s",
        VARIABLE,
        path,
        f", and kills itself at {', '.join(doomed)}" if doomed else "",
        extra={"action": "kill_point_armed"},
    )
    return Armed(path, doomed)


def parsed(text: str) -> tuple[list[str], str]:
    """The points at which this process ends, and the path of the log. Raises ImproperlyConfigured for any other text."""
    points, at, path = text.rpartition("@") if not text.startswith("/") else ("", "", text)
    doomed = points.split(",") if at else []
    if not path.startswith("/") or not all(re.fullmatch(r"[a-z_.]+#[1-9][0-9]*", each) for each in doomed):
        raise ImproperlyConfigured(
            f"{VARIABLE}={text!r}: it is meant for tests, and is the absolute path of a log, or name#n@/path"
        )
    return doomed, path


def _count(lines: bytes, name: str) -> int:
    return sum(line.endswith(b" " + name.encode()) for line in lines.splitlines())


def _end() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")
