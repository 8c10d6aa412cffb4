"""FileHint: the crash hint beside a SQLite file. The kernel frees a file lock when the process ends, however it ends.

Each key is a file of its own, `NAME-leader-KEY`, locked as long as it is held and removed when it is dropped. A missing file
is a free key: the holder made it before it wrote the lease row that names the key.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

TRIES = 5
"""Of locking a file that somebody who tidies up removes at the same time."""


class FileHint:
    """Locks beside the database file `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: tuple[str, int] | None = None

    def hold(self, key: str) -> bool:
        if self._held is not None and self._held[0] == key:
            return True
        self.drop()
        try:
            lock = self._lock(self._file(key))
        except OSError:  # a full disk, or a directory that is read-only
            return False
        if lock is None:
            return False
        self._held = key, lock
        self._tidy()
        return True

    def is_free(self, key: str) -> bool:
        try:
            lock = os.open(self._file(key), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(lock)
        return True

    def drop(self) -> None:
        if self._held is None:
            return
        key, lock = self._held
        self._held = None
        with contextlib.suppress(OSError):
            self._file(key).unlink()
        os.close(lock)

    def close(self) -> None:
        self.drop()

    def _file(self, key: str) -> Path:
        return self._path.with_name(f"{self._path.name}-leader-{key}")

    def _lock(self, file: Path) -> int | None:
        """A locked descriptor of `file`; None when somebody else has the lock."""
        for _ in range(TRIES):
            lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if file.stat().st_ino == os.fstat(lock).st_ino:
                    return lock
            except FileNotFoundError:
                pass  # somebody tidied up between our open and our lock: once more
            except BlockingIOError:
                os.close(lock)
                return None
            os.close(lock)
        return None

    def _tidy(self) -> None:
        """Remove what leaders that crashed have left."""
        for file in self._path.parent.glob(f"{self._path.name}-leader-*"):
            with contextlib.suppress(OSError):
                lock = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused for our own, too
                    file.unlink()
                finally:
                    os.close(lock)
