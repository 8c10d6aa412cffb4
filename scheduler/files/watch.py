"""Watch: have the schedules files changed since they were read?

Beat asks `is_touched` twice a second: a watch of a thousand files is a thousand stats. Where one was, `stamp` hashes what is in it, and
`is_changed` compares: a `touch` alone changes no hash and reloads nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStamp:
    """What a file was when it was looked at. `digest` is "" for one that is not there or cannot be read.

    A folder's digest is that of the names in it: an include may find a new file.
    """

    path: Path
    mtime_ns: int
    ctime_ns: int
    """It moves with permissions, too, and cannot be set back."""
    size: int
    digest: str


def stamp(paths: Iterable[Path], before: Iterable[FileStamp] = ()) -> tuple[FileStamp, ...]:
    """The stamps of `paths` now, in their order; the digest of an untouched file is taken from `before`. Raises nothing."""
    known = {each.path: each for each in before}
    return tuple(_stamp(path, known.get(path)) for path in paths)


def is_touched(before: Iterable[FileStamp]) -> bool:
    """Whether size, times or permissions of a file moved, or it appeared or went. Raises nothing."""
    return any(_status(each.path) != _status_of(each) for each in before)


def is_changed(before: Iterable[FileStamp], now: Iterable[FileStamp]) -> bool:
    """True when a file has other content, appeared or went. Pure."""
    return [(each.path, each.digest) for each in before] != [(each.path, each.digest) for each in now]


def _stamp(path: Path, before: FileStamp | None) -> FileStamp:
    # a file that changes while it is read has the times of before: the next look sees that it was touched
    mtime_ns, ctime_ns, size = status = _status(path)
    if before is not None and before.digest and _status_of(before) == status:
        return before
    try:
        digest = _names(path) if path.is_dir() else _content(path)
    except OSError:
        digest = ""
    return FileStamp(path=path, mtime_ns=mtime_ns, ctime_ns=ctime_ns, size=size, digest=digest)


def _status(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _status_of(seen: FileStamp) -> tuple[int, int, int]:
    return seen.mtime_ns, seen.ctime_ns, seen.size


def _names(folder: Path) -> str:
    names = "\0".join(sorted(each.name for each in folder.iterdir()))
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()


def _content(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
